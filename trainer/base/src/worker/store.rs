//! What a run says and how it ends, written only as long as this worker's attempt is the newest.

use super::{RunEnding, command::RunInputs, output::KeptOutput};
use crate::settings::{RunOutput, run_command};
use entity::{
    artifact,
    ids::ModelId,
    message, model,
    report::{LogLevel, RunReport, RunSummary},
    run::{self, RunStatus},
    run_config::FetchConfig,
    run_event,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, ExprTrait,
    QueryFilter, QuerySelect, RuntimeErr, UpdateMany,
    sea_query::{Expr, OnConflict},
    sqlx,
};
use std::time::Duration;
use storage::base_model::{self, NewBase, RegisteredBase};
use storage::database::{is_conflict, write};
use storage::storable::{storable, storable_json};

/// Seconds between tries to write how a run ended: a database may be away for a moment.
const PATIENCE: [u64; 4] = [1, 2, 4, 8];

/// The run's row, while this attempt is the newest one and has not ended.
pub(super) fn held_here(run: &run::Model) -> Condition {
    Condition::all()
        .add(run::Column::Id.eq(run.id))
        .add(run::Column::Attempt.eq(run.attempt))
        .add(run::Column::Status.is_in([RunStatus::Claimed, RunStatus::Running]))
}

/// Appends events under the run's next sequence numbers and moves its progress.
///
/// False, and nothing is written, when the run is not this worker's any more. The row is updated
/// first: that takes its lock, so that sequence numbers have no gap and no double.
///
/// An event that the database refuses holds up no other: in its place stands that it was refused.
pub(super) async fn append(
    db: &DatabaseConnection,
    run: &run::Model,
    events: &[RunReport],
) -> Result<bool, DbErr> {
    match append_all(db, run, events).await {
        Err(error) if is_refusal(&error) => append_each(db, run, events).await,
        done => done,
    }
}

/// Whether the database answered that it does not take this, as it will not later either.
fn is_refusal(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) =
        error
    else {
        return false;
    };
    matches!(inner.as_ref(), sqlx::Error::Database(_) | sqlx::Error::Encode(_))
        && !is_conflict(error)
}

async fn append_each(
    db: &DatabaseConnection,
    run: &run::Model,
    events: &[RunReport],
) -> Result<bool, DbErr> {
    for event in events {
        let written = match append_all(db, run, std::slice::from_ref(event)).await {
            Err(error) if is_refusal(&error) => {
                tracing::error!(run = %run.id, %error, "the database refuses an event");
                let message = message!(
                    "run-event-refused",
                    "The database refused one line of this run's report; the worker's log says why."
                );
                let refused = RunReport::Log { level: LogLevel::Warning, message };
                append_all(db, run, &[refused]).await
            }
            written => written,
        };
        if !written? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn append_all(
    db: &DatabaseConnection,
    run: &run::Model,
    events: &[RunReport],
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        if progress(run, events).filter(held_here(run)).exec(&*turn).await?.rows_affected == 0 {
            return Ok(false);
        }
        insert_events(&*turn, run, events).await?;
        Ok(true)
    })
    .await
}

/// The update of the run's own columns that a batch of events asks for.
fn progress(run: &run::Model, events: &[RunReport]) -> UpdateMany<run::Entity> {
    let mut update = run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::val(RunStatus::Running))
        .col_expr(run::Column::Worker, Expr::val(run.worker.clone()));
    for event in events {
        update = match event {
            RunReport::Started { environment } => {
                update.col_expr(run::Column::Environment, Expr::val(json(environment)))
            }
            RunReport::Progress {
                step,
                n_steps,
                fraction,
                tokens_per_second,
                seconds_left,
                ..
            } => update
                .col_expr(run::Column::Step, Expr::val(*step as i64))
                .col_expr(run::Column::NSteps, Expr::val(*n_steps as i64))
                .col_expr(run::Column::Progress, Expr::val(*fraction))
                .col_expr(run::Column::TokensPerSecond, Expr::val(*tokens_per_second))
                .col_expr(run::Column::SecondsLeft, Expr::val(*seconds_left)),
            _ => update,
        };
    }
    update
}

async fn insert_events(
    db: &impl ConnectionTrait,
    run: &run::Model,
    events: &[RunReport],
) -> Result<(), DbErr> {
    if events.is_empty() {
        return Ok(());
    }
    let last: Option<i64> = run_event::Entity::find()
        .select_only()
        .column_as(run_event::Column::Sequence.max(), "last")
        .filter(run_event::Column::RunId.eq(run.id))
        .into_tuple::<Option<i64>>()
        .one(db)
        .await?
        .flatten();
    let first = last.unwrap_or(0) + 1;
    let rows = events.iter().zip(first..).map(|(event, sequence)| run_event::ActiveModel {
        run_id: Set(run.id),
        sequence: Set(sequence),
        attempt: Set(run.attempt),
        event: Set(json(event)),
        created_at: Set(UnixMillis::now()),
    });
    run_event::Entity::insert_many(rows).exec_without_returning(db).await?;
    Ok(())
}

/// Registers what the run made and ends it, in one transaction. False as in [`append`].
pub(super) async fn succeed(
    db: &DatabaseConnection,
    run: &run::Model,
    inputs: &RunInputs,
    summary: &RunSummary,
    made: &KeptOutput,
) -> Result<bool, DbErr> {
    for patience in PATIENCE {
        match try_succeed(db, run, inputs, summary, made).await {
            Err(error) => {
                tracing::warn!(run = %run.id, "cannot write that it is done, trying again: {error}");
            }
            written => return written,
        }
        tokio::time::sleep(Duration::from_secs(patience)).await;
    }
    try_succeed(db, run, inputs, summary, made).await
}

async fn try_succeed(
    db: &DatabaseConnection,
    run: &run::Model,
    inputs: &RunInputs,
    summary: &RunSummary,
    made: &KeptOutput,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let now = UnixMillis::now();
        let ended = ending(RunStatus::Succeeded, now)
            .col_expr(run::Column::Progress, Expr::val(1.0))
            .col_expr(run::Column::Summary, Expr::val(json(summary)))
            .col_expr(run::Column::OutputHash, Expr::val(made.stored.hash.clone()))
            .filter(held_here(run))
            .exec(&*turn)
            .await?;
        if ended.rows_affected == 0 {
            return Ok(false);
        }
        artifact::Entity::insert(artifact::ActiveModel {
            hash: Set(made.stored.hash.clone()),
            n_bytes: Set(made.stored.n_bytes as i64),
            created_at: Set(now),
            erased_at: Set(None),
        })
        .on_conflict(OnConflict::column(artifact::Column::Hash).do_nothing().to_owned())
        .exec_without_returning(&*turn)
        .await?;
        if let Some(model) = register(&*turn, run, inputs, made).await? {
            let made = run::ActiveModel {
                id: Set(run.id),
                output_model_id: Set(Some(model)),
                ..<run::ActiveModel as Default>::default()
            };
            made.update(&*turn).await?;
        }
        Ok(true)
    })
    .await
}

/// Makes a model of the run's output; none of answers.
async fn register(
    db: &impl ConnectionTrait,
    run: &run::Model,
    inputs: &RunInputs,
    made: &KeptOutput,
) -> Result<Option<ModelId>, DbErr> {
    let (kind, word) = match run_command(run.kind).output {
        RunOutput::File(_) => return Ok(None),
        RunOutput::Base => return register_base(db, run, made).await.map(Some),
        RunOutput::Model { kind, word } => (kind, word),
    };
    let id = ModelId::new();
    let row = model::ActiveModel {
        id: Set(id),
        project_id: Set(Some(run.project_id)),
        name: Set(free_name(db, word, run).await?),
        kind: Set(kind),
        parent_id: Set(inputs.parent),
        run_id: Set(Some(run.id)),
        artifact_hash: Set(made.stored.hash.clone()),
        n_parameters: Set(made.n_parameters),
        created_at: Set(UnixMillis::now()),
        ..Default::default()
    };
    row.insert(db).await?;
    Ok(Some(id))
}

/// The word with the run's short number, or with the whole one where another has that name.
async fn free_name(
    db: &impl ConnectionTrait,
    word: &str,
    run: &run::Model,
) -> Result<String, DbErr> {
    let name = format!("{word}-{}", run.id.short());
    let is_taken = model::Entity::find().filter(model::Column::Name.eq(&name)).one(db).await?;
    Ok(if is_taken.is_some() { format!("{word}-{}", run.id) } else { name })
}

/// What was fetched, as a base of every project. What is registered already is not registered twice,
/// and the run says so.
async fn register_base(
    db: &impl ConnectionTrait,
    run: &run::Model,
    made: &KeptOutput,
) -> Result<ModelId, DbErr> {
    let config: FetchConfig = serde_json::from_value(run.config.clone()).unwrap_or_default();
    let base = NewBase {
        name: config.model_name(),
        stored: &made.stored,
        n_parameters: made.n_parameters,
        run: Some(run.id),
    };
    let registered = base_model::register(db, base).await?;
    let message = match &registered {
        RegisteredBase::New(_) => None,
        RegisteredBase::Known(model) => Some(message!(
            "run-base-known",
            "A base with the same content is registered already, as {name}; it is not registered twice.",
            name = model.name.as_str()
        )),
        RegisteredBase::Restored(model) => Some(message!(
            "run-base-restored",
            "It is the base {name}, which was deleted and is there again.",
            name = model.name.as_str()
        )),
    };
    if let Some(message) = message {
        insert_events(db, run, &[RunReport::Log { level: LogLevel::Info, message }]).await?;
    }
    Ok(registered.id())
}

/// Writes how an attempt ended, where [`succeed`] has not. False when the run is another worker's.
pub(super) async fn end(
    db: &DatabaseConnection,
    run: &run::Model,
    ended: &RunEnding,
) -> Result<bool, DbErr> {
    let now = UnixMillis::now();
    let (update, events) = match ended {
        RunEnding::Succeeded => return Ok(true),
        RunEnding::Fenced => return Ok(false),
        RunEnding::Failed(reason) => (
            ending(RunStatus::Failed, now)
                .col_expr(run::Column::Error, Expr::val(storable(reason.text.as_str())))
                .col_expr(run::Column::ErrorMessage, Expr::val(json(reason))),
            Some(RunReport::Log { level: LogLevel::Error, message: reason.clone() }),
        ),
        RunEnding::Cancelled => (ending(RunStatus::Cancelled, now), None),
        RunEnding::Interrupted(reason) => {
            (release(), Some(RunReport::Log { level: LogLevel::Warning, message: reason.clone() }))
        }
        RunEnding::Released => {
            let message = message!(
                "run-released",
                "The worker was stopped; the next one goes on where it was."
            );
            // Nothing that the run did wrong.
            let fruitless = Expr::col(run::Column::FruitlessAttempts).sub(1);
            (
                release().col_expr(run::Column::FruitlessAttempts, fruitless),
                Some(RunReport::Log { level: LogLevel::Info, message }),
            )
        }
    };
    for patience in PATIENCE {
        match write_end(db, run, update.clone(), events.as_slice()).await {
            // How it ended stands in its row, too.
            Err(error) if is_refusal(&error) && events.is_some() => {
                tracing::error!(run = %run.id, %error, "the database refuses its last event");
                return write_end(db, run, update, &[]).await;
            }
            Err(error) => {
                tracing::warn!(run = %run.id, "cannot write how it ended, trying again: {error}");
            }
            written => return written,
        }
        tokio::time::sleep(Duration::from_secs(patience)).await;
    }
    write_end(db, run, update, events.as_slice()).await
}

async fn write_end(
    db: &DatabaseConnection,
    run: &run::Model,
    update: UpdateMany<run::Entity>,
    events: &[RunReport],
) -> Result<bool, DbErr> {
    let update = &update;
    write(db, |turn| async move {
        if update.clone().filter(held_here(run)).exec(&*turn).await?.rows_affected == 0 {
            return Ok(false);
        }
        insert_events(&*turn, run, events).await?;
        Ok(true)
    })
    .await
}

fn ending(status: RunStatus, now: UnixMillis) -> UpdateMany<run::Entity> {
    run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::val(status))
        .col_expr(run::Column::FinishedAt, Expr::val(now))
        .col_expr(run::Column::LeaseExpiresAt, Expr::val(None::<UnixMillis>))
        .col_expr(run::Column::SecondsLeft, Expr::val(None::<f64>))
}

fn release() -> UpdateMany<run::Entity> {
    run::Entity::update_many()
        .col_expr(run::Column::Status, Expr::val(RunStatus::Interrupted))
        .col_expr(run::Column::Worker, Expr::val(None::<String>))
        .col_expr(run::Column::LeaseExpiresAt, Expr::val(None::<UnixMillis>))
        .col_expr(run::Column::SecondsLeft, Expr::val(None::<f64>))
}

fn json(value: &impl serde::Serialize) -> serde_json::Value {
    storable_json(serde_json::to_value(value).expect("events and summaries serialise"))
}
