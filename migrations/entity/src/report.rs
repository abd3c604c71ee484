//! What a training process says while it works: one JSON line on stdout per event when it is
//! started with `--report json`, stored as [`crate::run_event`] rows by the worker. The last line is
//! always the [`RunSummary`].

use crate::{message::KeyedMessage, row_use::RowUse};
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunReport {
    /// Said once, before the first step.
    Started { environment: RunEnvironment },
    /// What the run works with of a file; said again when it turns out to be less.
    Rows { rows: RowUse },
    /// About how much memory it will take, in MB of 10⁶ bytes; said before its models are read.
    Forecast { memory_mb: u64 },
    /// The line that also goes to `--metrics`: `step`, `loss`, … under TRL's names.
    Metrics { metrics: Map<String, Value> },
    /// How far it is. `fraction` is 0 to 1; speed and time left are none until they are known.
    Progress {
        step: u64,
        n_steps: u64,
        fraction: f64,
        tokens_per_second: Option<f64>,
        /// Of what fetches; its steps are megabytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bytes_per_second: Option<f64>,
        seconds_left: Option<f64>,
    },
    /// What the model answers now, for a person to read.
    Sample {
        step: u64,
        prompt: String,
        completion: String,
        finish_reason: FinishReason,
        score: Option<f64>,
    },
    /// A sentence for a person: rows dropped, a checkpoint resumed from, …
    Log {
        level: LogLevel,
        #[serde(flatten)]
        message: KeyedMessage,
    },
    /// Why nothing came of it: said last, instead of the summary.
    Failed {
        #[serde(flatten)]
        message: KeyedMessage,
    },
}

/// Why an answer ended where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, Serialize, Deserialize)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// A stop token was drawn.
    Stop,
    /// The answer has as many tokens as it may have.
    Length,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Info,
    Warning,
    Error,
}

/// What a run's numbers depend on besides its inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnvironment {
    pub attune: String,
    pub libtorch: String,
    pub device: String,
    pub processor: String,
    pub threads: u32,
    pub dtype: String,
    /// Whether libtorch computed with deterministic algorithms, as it always did before this was
    /// recorded.
    #[serde(default = "always")]
    pub deterministic: bool,
}

fn always() -> bool {
    true
}

/// The last line on stdout of every training command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// "sft", "reward", …
    pub kind: String,
    /// Optimiser steps (PPO, GRPO, RLOO: rollout batches; sample: prompts; fetch: megabytes).
    pub steps: u64,
    /// Every token of the sequences trained on, no padding (PPO, GRPO, RLOO and sample: response tokens).
    pub tokens: u64,
    /// Wall time without loading and tokenising.
    pub seconds: f64,
    pub tokens_per_second: f64,
    pub peak_rss_mb: u64,
    /// What was expected of that before the run began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_mb: Option<u64>,
    /// What was used of each file of rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowUse>,
    /// The last value of each metric that matters.
    #[serde(rename = "final")]
    pub last: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn environments_that_do_not_say_so_were_deterministic() {
        let mut stored = json!({
            "attune": "0.1.0", "libtorch": "2.11.0", "device": "cuda", "processor": "x",
            "threads": 2, "dtype": "bf16"
        });
        let read =
            |stored: &Value| serde_json::from_value::<RunEnvironment>(stored.clone()).unwrap();
        assert!(read(&stored).deterministic);
        stored["deterministic"] = json!(false);
        assert!(!read(&stored).deterministic);
    }
}
