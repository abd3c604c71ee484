//! The settings of supervised fine-tuning; TRL's `SFTConfig`.

use super::{
    BestSettings, ConfigError, LoraSettings, OptimiserSettings, RunConfig, supervised_problems,
};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// Which tokens of a row the loss is taken on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// What the row's columns say: of `messages` every answer of the assistant, of `prompt` and `completion` those of the completion (TRL: assistant_only_loss)
    #[default]
    Auto,
    /// Every answer of the assistant, in a prompt's conversation too
    Answers,
    /// The last answer alone (TRL: completion_only_loss)
    Last,
    /// The whole text, prompts included (TRL's default for `messages`)
    Text,
}

/// Supervised fine-tuning on demonstrations (TRL: `SFTConfig`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Args)]
pub struct SftConfig {
    /// Peak learning rate [default: 2e-5, and ten times as much with --lora-rank]
    #[arg(long)]
    pub learning_rate: Option<f64>,
    /// Tokens per sequence; longer ones are cut at the end
    #[arg(long, default_value_t = 1024)]
    pub max_length: usize,
    /// Which of the text is learnt, and which is only read
    #[arg(long, value_enum, default_value_t = LossOn::Auto)]
    #[serde(default)] // runs that are older than the setting go on
    pub loss_on: LossOn,
    /// Put several rows into each sequence of a batch, up to --max-length tokens, none of which sees another: --batch-size counts such sequences
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false, value_name = "true|false")]
    #[serde(default)]
    pub packing: bool,
    /// Measure the held-out loss every so many steps; 0 measures it about ten times; before the first and after the last always
    #[arg(long, default_value_t = 0)]
    pub eval_every: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub best: BestSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub lora: LoraSettings,
    #[command(flatten)]
    #[serde(flatten)]
    pub optimisation: OptimiserSettings,
}

impl Default for SftConfig {
    fn default() -> Self {
        Self {
            learning_rate: None,
            max_length: 1024,
            loss_on: LossOn::Auto,
            packing: false,
            eval_every: 0,
            best: BestSettings::default(),
            lora: LoraSettings::default(),
            optimisation: OptimiserSettings::default(),
        }
    }
}

impl SftConfig {
    /// The peak learning rate, as it was asked for or by default.
    pub fn peak_learning_rate(&self) -> f64 {
        self.lora.learning_rate(self.learning_rate, 2e-5)
    }
}

impl RunConfig for SftConfig {
    fn resolved(&self) -> Self {
        Self { learning_rate: Some(self.peak_learning_rate()), ..self.clone() }
    }

    fn idle(&self) -> Vec<ConfigError> {
        self.lora.idle()
    }

    fn problems(&self) -> Vec<ConfigError> {
        supervised_problems(self.learning_rate, self.max_length, &self.lora, &self.optimisation)
    }
}
