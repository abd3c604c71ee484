//! `/projects/{project}/runs/{run}`: how far a run is, what it says, what it read and made.
//!
//! Sections marked `data-live` in the template are exchanged by `runs.js` for those of a fresh copy
//! of this page whenever the run says something new; without JavaScript, reloading does the same.

use super::{
    curves::{self, Chart, Reported},
    fields, find, settings, words,
};
use crate::{
    access::{Access, Engineer},
    error::AppError,
    page::{self, Page},
};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    account, dataset_version,
    ids::ProjectId,
    model,
    report::{Environment, Event, FinishReason, Level},
    run::{self, Status},
    run_event, run_input, task,
};
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
};
use serde_json::Value;

/// Log lines that the page shows: the newest.
const LOG_LINES: usize = 300;

#[derive(Template)]
#[template(path = "runs/show.html")]
struct RunPage {
    page: Page,
    access: Access,
    run: run::Model,
    by: Option<String>,
    inputs: Vec<Input>,
    output: Option<model::Model>,
    n_tasks: u64,
    said: Said,
    charts: Vec<Chart>,
}

/// What a run reads, in its place.
enum Input {
    Model { title: &'static str, model: model::Model },
    Dataset(dataset_version::Model),
}

/// What a run has said so far, sorted out.
#[derive(Default)]
struct Said {
    last_sequence: i64,
    metrics: Vec<Reported>,
    samples: Vec<Sampled>,
    log: Vec<LogLine>,
}

struct LogLine {
    at: String,
    level: &'static str,
    message: String,
}

/// The first answer to a prompt beside the newest.
struct Sampled {
    prompt: String,
    first: Answer,
    newest: Option<Answer>,
}

struct Answer {
    step: u64,
    text: String,
    is_cut_off: bool,
    score: Option<String>,
}

impl Said {
    fn of(events: Vec<run_event::Model>) -> Self {
        let mut said = Self::default();
        for row in events {
            said.last_sequence = row.sequence;
            match serde_json::from_value(row.event) {
                Ok(Event::Metrics { metrics }) => {
                    said.metrics.push(Reported { sequence: row.sequence, metrics });
                }
                Ok(Event::Sample { step, prompt, completion, finish_reason, score }) => {
                    let (is_cut_off, score) =
                        (finish_reason == FinishReason::Length, score.map(curves::short));
                    said.sample(prompt, Answer { step, text: completion, is_cut_off, score });
                }
                Ok(Event::Log { level, message }) => {
                    let level = match level {
                        Level::Info => "info",
                        Level::Warning => "warning",
                        Level::Error => "error",
                    };
                    said.log.push(LogLine { at: words::clock(row.created_at), level, message });
                }
                Ok(Event::Started { .. } | Event::Progress { .. }) | Err(_) => {}
            }
        }
        let too_many = said.log.len().saturating_sub(LOG_LINES);
        said.log.drain(..too_many);
        said
    }

    fn sample(&mut self, prompt: String, answer: Answer) {
        match self.samples.iter_mut().find(|sampled| sampled.prompt == prompt) {
            Some(sampled) => sampled.newest = Some(answer),
            None => self.samples.push(Sampled { prompt, first: answer, newest: None }),
        }
    }
}

impl RunPage {
    fn percent(&self) -> String {
        format!("{:.0}", self.run.progress * 100.0)
    }

    fn speed(&self) -> Option<String> {
        self.run.tokens_per_second.map(curves::short)
    }

    fn time_left(&self) -> Option<String> {
        let left = self.run.seconds_left.filter(|_| self.run.status == Status::Running)?;
        Some(words::duration(&self.page, left))
    }

    /// From the first claim to the end, or to now.
    fn time_taken(&self) -> Option<String> {
        let started = self.run.started_at?;
        let until = self.run.finished_at.unwrap_or_else(entity::time::UnixMillis::now);
        Some(words::duration(&self.page, (until.0 - started.0) as f64 / 1000.0))
    }

    fn can_be_cancelled(&self) -> bool {
        !self.run.status.is_final() && !self.run.cancel_requested
    }

    fn is_live(&self) -> bool {
        !self.run.status.is_final()
    }

    /// Every setting by its label; whether it differs from the default.
    fn settings(&self) -> Vec<(&'static str, String, bool)> {
        let defaults = settings::defaults(self.run.kind);
        let config = self.run.config.as_object();
        let setting = |field: &fields::Field| {
            let value = config?.get(field.name)?;
            Some((field.label, settings::shown(value), defaults.get(field.name) != Some(value)))
        };
        fields::all(self.run.kind).filter_map(setting).collect()
    }

    fn changed_settings(&self) -> Vec<(&'static str, String, bool)> {
        self.settings().into_iter().filter(|(_, _, changed)| *changed).collect()
    }

    fn latest_metrics(&self) -> Vec<(String, String)> {
        curves::latest(&self.said.metrics)
    }

    /// What the worker computed on, in one line.
    fn machine(&self) -> Option<String> {
        let environment: Environment =
            serde_json::from_value(self.run.environment.clone()?).ok()?;
        Some(format!(
            "{} · {} · {} · libtorch {} · attune {}",
            environment.device,
            environment.processor,
            environment.dtype,
            environment.libtorch,
            environment.attune
        ))
    }

    fn summary(&self) -> Vec<(String, String)> {
        let Some(Value::Object(summary)) = &self.run.summary else { return Vec::new() };
        let number =
            |(name, value): (&String, &Value)| Some((name.clone(), curves::short(value.as_f64()?)));
        summary.iter().filter_map(number).collect()
    }
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    // The run before its events: a run that is over says nothing more, so what is shown as over is
    // shown whole.
    let run = find(db.get_ref(), &access, &path.1).await?;
    let db = db.get_ref();
    let events = run_event::Entity::find()
        .filter(run_event::Column::RunId.eq(run.id))
        .order_by_asc(run_event::Column::Sequence)
        .all(db)
        .await?;
    let said = Said::of(events);
    let charts = curves::draw(run.kind, &said.metrics)?;
    let n_tasks = task::Entity::find().filter(task::Column::RunId.eq(run.id)).count(db).await?;
    let by = match run.created_by {
        Some(id) => {
            account::Entity::find_by_id(id).one(db).await?.map(|account| account.display_name)
        }
        None => None,
    };
    let output = match run.output_model_id {
        Some(id) => model::Entity::find_by_id(id).one(db).await?,
        None => None,
    };
    let inputs = inputs_of(db, &run).await?;
    page::html(&RunPage { page, access, run, by, inputs, output, n_tasks, said, charts })
}

async fn inputs_of(db: &DatabaseConnection, run: &run::Model) -> Result<Vec<Input>, DbErr> {
    let mut inputs = Vec::new();
    for input in
        run_input::Entity::find().filter(run_input::Column::RunId.eq(run.id)).all(db).await?
    {
        if let Some(id) = input.model_id {
            let title = if input.slot == run_input::Slot::Reward {
                "run-input-reward"
            } else {
                "run-input-model"
            };
            inputs.extend(
                model::Entity::find_by_id(id)
                    .one(db)
                    .await?
                    .map(|model| Input::Model { title, model }),
            );
        }
        if let Some(id) = input.dataset_version_id {
            inputs
                .extend(dataset_version::Entity::find_by_id(id).one(db).await?.map(Input::Dataset));
        }
    }
    Ok(inputs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::{ids::RunId, time::UnixMillis};
    use serde_json::json;

    fn said(events: &[Value]) -> Said {
        let row = |(at, event): (usize, &Value)| run_event::Model {
            run_id: RunId::new(),
            sequence: at as i64 + 1,
            attempt: 1,
            event: event.clone(),
            created_at: UnixMillis(0),
        };
        Said::of(events.iter().enumerate().map(row).collect())
    }

    #[test]
    fn the_first_answer_to_a_prompt_stands_beside_the_newest() {
        let sample = |step: u64, text: &str| json!({"event": "sample", "step": step, "prompt": "p", "completion": text, "finish_reason": "stop", "score": null});
        let said = said(&[sample(0, "first"), sample(5, "second"), sample(10, "third")]);
        let [sampled] = &said.samples[..] else { panic!("one prompt is one row") };
        assert_eq!(sampled.first.text, "first");
        assert_eq!(
            sampled.newest.as_ref().map(|answer| (answer.step, answer.text.as_str())),
            Some((10, "third"))
        );
    }

    #[test]
    fn an_event_of_a_newer_trainer_is_passed_over_but_counted() {
        let said = said(&[
            json!({"event": "metrics", "metrics": {"step": 1}}),
            json!({"event": "from_the_future"}),
        ]);
        assert_eq!((said.metrics.len(), said.last_sequence), (1, 2));
    }
}
