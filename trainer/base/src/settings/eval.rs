//! The flags of `trainer eval`.

use super::MeasureConfig;
use entity::run_config::{ConfigError, LossOn, RunConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What `trainer eval` judges, and on which rows.
#[derive(Clone, Debug, clap::Args)]
pub struct EvalPaths {
    /// A language model to judge by its loss and perplexity on the rows of --data
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// A reward model: on pairs it is judged itself, and answers are judged by it
    #[arg(long, value_name = "DIR")]
    pub reward: Option<PathBuf>,
    /// With --model rows as for SFT (`messages`, `prompt` and `completion`) or of `text`; with --reward pairs (`chosen`
    /// and `rejected`) or answers (`messages`, `prompt` and `completion`, or what `trainer sample` wrote)
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Another model's answers to the same prompts: how often those of --data win by the reward model's scores, and by
    /// how much
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// The prompts that `trainer sample` answered, where the answers are what it wrote
    #[arg(long, value_name = "FILE")]
    pub prompts: Option<PathBuf>,
}

/// How `trainer eval` measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
pub struct EvalConfig {
    /// With --model: which of the text the loss is taken on, as `trainer sft --loss-on`; of `text` it is everything
    #[arg(long, value_enum, default_value_t = LossOn::Auto)]
    pub loss_on: LossOn,
    #[command(flatten)]
    #[serde(flatten)]
    pub measure: MeasureConfig,
}

impl RunConfig for EvalConfig {
    fn problems(&self) -> Vec<ConfigError> {
        self.measure.problems()
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EvalSubject<'a> {
    /// The language model in a folder.
    Language(&'a Path),
    /// The reward model in a folder, or answers by it.
    Reward(&'a Path),
}

impl EvalPaths {
    /// What the flags ask to be judged; an error where they contradict each other, or do not say.
    pub fn subject(&self, loss_on: LossOn) -> Result<EvalSubject<'_>, String> {
        match (&self.model, &self.reward) {
            (None, None) => Err("what is to be judged? Give --model DIR for a language model, or \
                                 --reward DIR for a reward model or for answers that it judges"
                .to_owned()),
            (Some(_), Some(_)) => Err("--model and --reward are two evaluations: give --model for the \
                                       loss of a language model on the rows, or --reward for a reward \
                                       model on pairs and for answers (of a language model, trainer \
                                       sample writes some)"
                .to_owned()),
            (Some(model), None) => match (&self.against, &self.prompts) {
                (None, None) => Ok(EvalSubject::Language(model)),
                (against, _) => {
                    let flag = if against.is_some() { "--against" } else { "--prompts" };
                    Err(format!(
                        "{flag} has no effect with --model, which is judged by its loss: give \
                         --reward DIR to have answers judged by a reward model, or leave it out"
                    ))
                }
            },
            (None, Some(_)) if loss_on != LossOn::Auto => {
                Err("--loss-on has no effect with --reward: a reward model scores whole answers; \
                     leave it out"
                    .to_owned())
            }
            (None, Some(reward)) => Ok(EvalSubject::Reward(reward)),
        }
    }
}
