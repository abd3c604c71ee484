//! How sound a reward model is: how often it agreed with people on the comparisons that were held out
//! of its run.

use entity::{
    ids::{ModelId, RunId},
    model,
    report::RunSummary,
    run,
};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait};
use std::collections::HashMap;
use storage::lookup::find_among;

/// Measured after the run's last step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeldOutAccuracy {
    pub accuracy: f64,
    /// The bounds of the 95 % interval.
    pub low: f64,
    pub high: f64,
    pub n_pairs: u64,
}

impl HeldOutAccuracy {
    /// Whether it may be no better than a coin.
    pub fn is_coin(&self) -> bool {
        self.low <= 0.5
    }

    fn of(run: &run::Model) -> Option<Self> {
        let summary: RunSummary = serde_json::from_value(run.summary.clone()?).ok()?;
        let number = |name: &str| summary.last.get(name)?.as_f64();
        Some(Self {
            accuracy: number("eval_accuracy")?,
            low: number("eval_accuracy_low")?,
            high: number("eval_accuracy_high")?,
            n_pairs: number("eval_pairs")? as u64,
        })
    }
}

/// What is known of these reward models; one without held-out comparisons is not among them.
pub async fn accuracies(
    db: &impl ConnectionTrait,
    models: &[model::Model],
) -> Result<HashMap<ModelId, HeldOutAccuracy>, DbErr> {
    let ids = models.iter().filter_map(|model| model.run_id);
    let runs = find_among(db, run::Entity::find(), run::Column::Id, ids).await?;
    let runs: HashMap<RunId, run::Model> = runs.into_iter().map(|run| (run.id, run)).collect();
    let of_model = |model: &model::Model| {
        let run = runs.get(&model.run_id?)?;
        Some((model.id, HeldOutAccuracy::of(run)?))
    };
    Ok(models.iter().filter_map(of_model).collect())
}

/// The sound ones first, then those that nobody has measured, and last those that may be coins.
pub fn sort_by_soundness(models: &mut [model::Model], known: &HashMap<ModelId, HeldOutAccuracy>) {
    models.sort_by_key(|model| match known.get(&model.id) {
        Some(accuracy) if !accuracy.is_coin() => 0,
        None => 1,
        Some(_) => 2,
    });
}
