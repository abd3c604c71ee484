//! What a run would take, told without training (`--estimate`).

use super::row_use::tell_unreached_rows;
use entity::{message, report::LogLevel, row_use::RowUse, run_config::OptimiserSettings};
use serde_json::{Map, Value, json};
use trainer_base::{
    batches::RowBatches,
    job::{Report, VerbOutcome},
    memory::MemoryEstimate,
    progress::{RunProgress, say},
};

/// A run that is not begun.
#[derive(Debug)]
pub(crate) struct RunEstimate {
    /// "sft", "reward", …
    pub(crate) kind: &'static str,
    /// None where it cannot be told beforehand.
    pub(crate) memory: Option<MemoryEstimate>,
}

impl RunEstimate {
    /// Of a run over rows with so many tokens each; `places_of` are the rows of its file that one of them is.
    pub(crate) fn over_rows<I: IntoIterator<Item = usize>>(
        self,
        optimisation: &OptimiserSettings,
        tokens_of_rows: &[f64],
        (of_file, places_of): (RowUse, impl Fn(usize) -> I),
        report: &mut Report,
    ) -> VerbOutcome {
        let batches = RowBatches::new(tokens_of_rows.len(), optimisation);
        tell_unreached_rows(&batches, of_file, places_of, report);
        let (steps, tokens) = (batches.n_steps, batches.sum(|row| tokens_of_rows[row]) as u64);
        let epochs = batches.epochs_after(steps);
        let told = message!(
            "run-steps",
            "it will take {steps} steps and see {tokens} tokens in {epochs} passes over its rows",
            steps = steps,
            tokens = tokens,
            epochs = format!("{epochs:.2}")
        );
        say(report, LogLevel::Info, told);
        let planned = json!({
            "steps": steps,
            "tokens": tokens,
            "epochs": epochs,
        });
        self.outcome(planned, report)
    }

    /// Of a run that draws so many answers, of up to so many tokens.
    pub(crate) fn over_answers(
        self,
        steps: u64,
        episodes: u64,
        answer_length: usize,
        report: &mut Report,
    ) -> VerbOutcome {
        let tokens = episodes.saturating_mul(answer_length as u64);
        let told = message!(
            "run-episodes",
            "it will take {steps} steps and draw {episodes} answers, with up to {tokens} tokens in all",
            steps = steps,
            episodes = episodes,
            tokens = tokens
        );
        say(report, LogLevel::Info, told);
        let planned = json!({"steps": steps, "episodes": episodes, "most_answer_tokens": tokens});
        self.outcome(planned, report)
    }

    fn outcome(self, planned: Value, report: &mut Report) -> VerbOutcome {
        if self.memory.is_none() {
            let unknown = message!(
                "run-memory-unknown",
                "how much memory it takes is not known beforehand: that is told where the processor computes (--device cpu)"
            );
            say(report, LogLevel::Warning, unknown);
        }
        let untimed = message!(
            "run-time-untold",
            "nothing was trained or written; how long it takes is told after its first step"
        );
        say(report, LogLevel::Info, untimed);
        let mut last = Map::from_iter([("run".to_owned(), json!(self.kind))]);
        last.extend(planned.as_object().cloned().unwrap_or_default());
        if let Some(memory) = self.memory {
            last.insert("memory_gb".into(), json!(memory.total() as f64 / 1e9));
            last.insert("largest_batch_sequences".into(), json!(memory.n_sequences));
            last.insert("largest_batch_longest".into(), json!(memory.length));
        }
        VerbOutcome::Finished(RunProgress::new(0, 0.0).summary("estimate", 0, last))
    }
}
