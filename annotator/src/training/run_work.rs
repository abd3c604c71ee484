//! How much work a run is on its rows, in units that are about proportional to time.

use entity::run_config::{OptimiserSettings, RolloutConfig};
use serde_json::Value;
use trainer_base::{
    batches::RowBatches,
    evaluation::{EVALUATION_COST, EvaluationSchedule, MEASURING_COST, MOST_MEASURED, MOST_SCORED},
};

/// What a run works on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RunRows {
    /// Rows to learn from, and tokens of one pass over them.
    pub train: f64,
    pub train_tokens: f64,
    pub eval: f64,
    pub eval_tokens: f64,
}

/// Passes over so many rows.
pub fn passes(config: &Value, n_rows: f64) -> Option<f64> {
    let settings: OptimiserSettings = serde_json::from_value(config.clone()).ok()?;
    let batches = batches(&settings, n_rows)?;
    Some(batches.epochs_after(batches.n_steps))
}

fn batches(settings: &OptimiserSettings, n_rows: f64) -> Option<RowBatches> {
    let n_rows = n_rows.round() as usize;
    (n_rows > 0).then(|| RowBatches::new(n_rows, settings))
}

fn n_evaluations(config: &Value, n_steps: u64) -> Option<f64> {
    let every = config.get("eval_every")?.as_u64()? as usize;
    Some(EvaluationSchedule::new(every, n_steps).n_evaluations() as f64)
}

/// The work of SFT, reward models and DPO in tokens trained on: what a step costs and what is done once
/// before the first, both per token.
pub fn supervised(config: &Value, rows: &RunRows, step: f64, before: f64) -> Option<f64> {
    let settings: OptimiserSettings = serde_json::from_value(config.clone()).ok()?;
    let batches = batches(&settings, rows.train)?;
    let n_evaluations = n_evaluations(config, batches.n_steps)?;
    Some(
        batches.epochs_after(batches.n_steps) * rows.train_tokens * step
            + n_evaluations * rows.eval_tokens * EVALUATION_COST
            + before * (rows.train_tokens + rows.eval_tokens),
    )
}

/// The work of telling how the scores of a reward model are spread, in tokens trained on.
pub fn scored_at_the_end(rows: &RunRows) -> f64 {
    let (n, tokens) = if rows.eval > 0.0 {
        (rows.eval, rows.eval_tokens)
    } else {
        (rows.train, rows.train_tokens)
    };
    tokens * (MOST_SCORED as f64 / n.max(1.0)).min(1.0) * EVALUATION_COST
}

/// The work of a method that learns from answers of its own, in passes over an answer.
pub fn rollouts<C: RolloutConfig>(config: &Value, rows: &RunRows) -> Option<f64> {
    let of_kind: C = serde_json::from_value(config.clone()).ok()?;
    let settings = of_kind.rollouts();
    let batches = batches(&settings.optimisation, rows.train)?;
    let is_asked = settings.episodes > 0 && settings.optimisation.max_steps == 0;
    let passes = batches.epochs_after(batches.n_steps);
    let answers = if is_asked {
        settings.episodes as f64
    } else {
        passes * rows.train * settings.n_answers as f64
    };
    let rollout = settings.n_prompts().max(1) as f64 * settings.n_answers as f64;
    let n_steps = (answers / rollout).ceil() as u64;
    let measured = rows.eval.min(MOST_MEASURED as f64) * n_evaluations(config, n_steps)?;
    Some(answers * settings.passes as f64 + measured * MEASURING_COST)
}

/// The work of sampling in answers.
pub fn answers(config: &Value, rows: &RunRows) -> Option<f64> {
    Some(rows.train * config.get("n")?.as_u64()? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::{GrpoConfig, PpoConfig, RunKind};
    use serde_json::json;

    fn config(kind: RunKind, typed: Value) -> Value {
        Value::Object(kind.settings().checked(typed.as_object().unwrap()).unwrap())
    }

    #[test]
    fn work_counts_passes_and_what_is_measured_besides() {
        let rows = RunRows { train: 80.0, train_tokens: 8000.0, eval: 8.0, eval_tokens: 900.0 };
        let typed = json!({"batch_size": 8, "epochs": 2.0, "eval_every": 1000});
        let sft = config(RunKind::Sft, typed.clone());
        assert_eq!(supervised(&sft, &rows, 1.0, 0.0), Some(16_000.0 + 2.0 * 300.0));
        let some = config(RunKind::Sft, json!({"batch_size": 8, "max_steps": 5}));
        let unmeasured = RunRows { eval: 0.0, eval_tokens: 0.0, ..rows };
        assert_eq!(supervised(&some, &unmeasured, 1.0, 0.0), Some(4000.0));
        assert_eq!(supervised(&sft, &RunRows::default(), 1.0, 0.0), None);
        assert_eq!(scored_at_the_end(&rows), 300.0);
        let many = RunRows { train: 5120.0, ..unmeasured };
        assert!((scored_at_the_end(&many) - 800.0 / 3.0).abs() < 1e-9);

        let asked = json!({"batch_size": 8, "episodes": 40, "ppo_epochs": 4, "eval_every": 1000});
        let ppo = config(RunKind::Ppo, asked);
        assert_eq!(rollouts::<PpoConfig>(&ppo, &rows), Some(160.0 + 8.0));
        let asked = json!({"batch_size": 8, "max_steps": 5, "num_generations": 3, "num_iterations": 2, "eval_every": 1000});
        let grpo = config(RunKind::Grpo, asked);
        assert_eq!(rollouts::<GrpoConfig>(&grpo, &rows), Some(240.0 + 8.0));
        assert_eq!(answers(&config(RunKind::Sample, json!({"n": 3})), &rows), Some(240.0));
    }
}
