//! Which model a run keeps, and when it ends for want of a better one; transformers'
//! `load_best_model_at_end` and `EarlyStoppingCallback`.

use clap::Args;
use serde::{Deserialize, Serialize};

/// What is made of the loss on held-out rows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Args)]
#[serde(default)] // runs that are older than these settings go on
pub struct BestSettings {
    /// Keep the model of the step whose held-out loss was lowest, and not that of the last step
    #[arg(
        long,
        alias = "load-best-model-at-end",
        action = clap::ArgAction::Set,
        default_value_t = false,
        value_name = "true|false"
    )]
    pub keep_best: bool,
    /// End once so many measurements in a row have found no lower held-out loss, and keep the best model; 0 goes on to the end
    #[arg(long, alias = "early-stopping-patience", default_value_t = 0)]
    pub early_stop_patience: usize,
}

impl BestSettings {
    /// Whether the best model is kept.
    pub fn is_on(&self) -> bool {
        self.keep_best || self.early_stop_patience > 0
    }
}
