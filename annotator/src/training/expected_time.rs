//! How long a run is going to take, by the pace of one that was like it. Where there was none, nobody
//! knows before the first step.

use super::{
    kinds::RunDefinition,
    row_counter::KnownRows,
    row_lengths::CountedRows,
    run_work::{RunRows, passes},
};
use entity::{
    ids::ModelId,
    model,
    report::RunSummary,
    row_use::{LeftOutReason, RowUse},
    run::{self, RunStatus},
    run_input,
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::Value;

/// Runs that are looked through for one like it: the newest.
const LOOKED_AT: u64 = 50;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedTime {
    pub seconds: f64,
    /// When the run ended whose pace it is.
    pub like: UnixMillis,
}

/// Of rows of which a part was counted.
pub fn rows_of(known: &KnownRows) -> RunRows {
    let all = |n: u64, counted: &CountedRows| {
        let per_row = n as f64 / counted.n_read.max(1) as f64;
        (counted.lengths.len() as f64 * per_row, counted.n_tokens() as f64 * per_row)
    };
    let (train, train_tokens) = all(known.n_train, &known.train);
    let (eval, eval_tokens) = all(known.n_eval, &known.eval);
    RunRows { train, train_tokens, eval, eval_tokens }
}

/// Of a run that is over. Held-out rows are taken to be as long as the others.
fn rows_of_summary(summary: &RunSummary, config: &Value) -> Option<RunRows> {
    let n = |rows: &RowUse| rows.used + rows.n_left_out_for(LeftOutReason::NotReached);
    let train = n(summary.rows.first()?) as f64;
    let is_cut_short = config.get("max_steps").and_then(Value::as_u64) > Some(0);
    if is_cut_short && config.get("packing") == Some(&Value::Bool(true)) {
        // How many passes it made is not known: a step has as many rows as fit.
        return None;
    }
    let eval = summary.rows.get(1).map_or(0, n) as f64;
    let passes = passes(config, train).unwrap_or(1.0);
    let train_tokens = summary.tokens as f64 / passes;
    Some(RunRows { train, train_tokens, eval, eval_tokens: train_tokens * eval / train.max(1.0) })
}

/// By the pace of the newest run of the same kind that succeeded with models of the same sizes, in the
/// order of the form, on the same kind of device.
pub async fn expected(
    db: &impl ConnectionTrait,
    definition: &RunDefinition,
    config: &Value,
    models: &[&model::Model],
    rows: &RunRows,
) -> Result<Option<ExpectedTime>, DbErr> {
    let Some(work) = (definition.work)(config, rows) else { return Ok(None) };
    let runs = run::Entity::find()
        .filter(run::Column::Kind.eq(definition.kind))
        .filter(run::Column::Status.eq(RunStatus::Succeeded))
        .filter(run::Column::FinishedAt.is_not_null())
        .filter(run::Column::Summary.is_not_null())
        .order_by_desc(run::Column::FinishedAt)
        .limit(LOOKED_AT)
        .all(db)
        .await?;
    let alike: Vec<_> = runs.iter().filter(|run| has_pace(definition, config, run)).collect();
    if alike.is_empty() {
        return Ok(None);
    }
    let read = run_input::Entity::find()
        .filter(run_input::Column::RunId.is_in(alike.iter().map(|run| run.id)))
        .filter(run_input::Column::ModelId.is_not_null())
        .all(db)
        .await?;
    let their_models = model::Entity::find()
        .filter(model::Column::Id.is_in(read.iter().filter_map(|input| input.model_id)))
        .all(db)
        .await?;
    let n_parameters = |id: Option<ModelId>| {
        let model = their_models.iter().find(|model| Some(model.id) == id);
        model.map(|model| model.n_parameters)
    };
    let is_of_size = |run: &&&run::Model| {
        definition.models.iter().zip(models).all(|(field, model)| {
            read.iter().any(|input| {
                input.run_id == run.id
                    && input.slot == field.slot
                    && n_parameters(input.model_id) == Some(model.n_parameters)
            })
        })
    };
    let expected = |run: &&run::Model| {
        let summary: RunSummary = serde_json::from_value(run.summary.clone()?).ok()?;
        let done = (definition.work)(&run.config, &rows_of_summary(&summary, &run.config)?)?;
        let seconds = summary.seconds * work / done;
        let is_known = summary.tokens > 0 && done > 0.0 && seconds.is_finite() && seconds > 0.0;
        is_known.then_some(ExpectedTime { seconds, like: run.finished_at? })
    };
    Ok(alike.iter().filter(is_of_size).find_map(expected))
}

/// Whether a run had the settings that decide the pace. Older runs lack what came later.
fn has_pace(definition: &RunDefinition, config: &Value, run: &run::Model) -> bool {
    let defaults = definition.kind.settings().defaults();
    let setting = |config: &Value, name: &str| {
        config.get(name).or_else(|| defaults.get(name)).cloned().unwrap_or_default()
    };
    definition.pace.iter().all(|name| setting(config, name) == setting(&run.config, name))
}
