//! Next-token training on raw text: SFT in which all of a text is the answer.

use crate::{
    data,
    environment::Environment,
    job::{Outcome, Report, Resume},
    model::Transformer,
    progress::say,
    sft::{self, Task},
    tokenizer::Tokenizer,
};
use anyhow::Result;
use entity::{
    report::LogLevel,
    run_config::{PretrainConfig, SftConfig},
};
use std::path::PathBuf;

/// Where `trainer pretrain` reads and writes.
#[derive(Clone, Debug, clap::Args)]
pub struct PretrainPaths {
    /// Folder with config.json and tokenizer.json; without weights in it they start at random
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Texts: `text`, a row per line
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Folder for the trained model, and for checkpoints meanwhile
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Whether to go on from a checkpoint in the output folder
    #[arg(long, value_enum, default_value_t = Resume::Auto)]
    pub resume: Resume,
}

/// Trains on texts and writes the model as a Hugging Face folder.
pub fn run(paths: &PretrainPaths, config: &PretrainConfig, report: &mut Report) -> Result<Outcome> {
    let (device, dtype) = (config.optimisation.device, config.optimisation.dtype);
    let Some(environment) = Environment::start(device, dtype, report)? else {
        return Ok(Outcome::Stopped);
    };
    let tokenizer = Tokenizer::load(&paths.model)?;
    let texts = data::load_texts(&paths.data, &tokenizer, config.max_length, report)?.rows;
    let (kind, device) = (environment.kind, environment.device);
    let model = if Transformer::has_weights(&paths.model) {
        Transformer::load(&paths.model, kind, device)?.expect_language()?
    } else {
        say(report, LogLevel::Info, "the model has no weights yet: starting from random ones");
        Transformer::at_random(&paths.model, config.optimisation.seed, kind, device)?
    };
    let task = Task {
        kind: "pretrain",
        model,
        examples: &texts,
        held_out: &[],
        out: &paths.out,
        resume: paths.resume,
        tokenizer: None,
    };
    let config = SftConfig {
        learning_rate: config.learning_rate,
        max_length: config.max_length,
        eval_every: 0,
        optimisation: config.optimisation.clone(),
    };
    sft::train(task, &config, report)
}
