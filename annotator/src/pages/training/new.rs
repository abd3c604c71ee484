//! `/projects/{project}/runs/new/{kind}`: choosing what a run reads and how it works, and queueing
//! it.

use crate::{
    data::formats,
    pages::training::{deleted, facts::Facts, list::kind_of},
    training::{
        fields::{self, Control, Field},
        inputs::{Rows, chosen_model, chosen_rows, contents, offered, scoring, trainable},
        settings,
    },
    web::format,
};
use crate::{
    training::launch::{self, Launch},
    web::{
        access::{Access, Engineer},
        error::AppError,
        form::FieldErrors,
        page::{self, Page},
    },
};
use actix_session::Session;
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    dataset_version,
    ids::{ModelId, ProjectId, RunId},
    model,
    run::{self, RunKind},
    run_input::{self, InputSlot},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, EntityTrait, QueryFilter, QueryOrder,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::HashMap;
use storage::artifact_store::ArtifactStore;
use storage::database::begin_write;

#[derive(Template)]
#[template(path = "runs/new.html")]
struct NewRunPage {
    page: Page,
    access: Access,
    kind: RunKind,
    models: Vec<model::Model>,
    /// Only for PPO.
    reward_models: Vec<model::Model>,
    versions: Vec<dataset_version::Model>,
    /// Of the model that is chosen.
    facts: Option<Facts>,
    typed: HashMap<String, String>,
    errors: FieldErrors,
}

impl NewRunPage {
    async fn load(
        db: &DatabaseConnection,
        store: &ArtifactStore,
        page: Page,
        access: Access,
        kind: RunKind,
        typed: HashMap<String, String>,
        errors: FieldErrors,
    ) -> Result<Self, AppError> {
        let models = offered(db, access.project.id, trainable(kind)).await?;
        let reward_models = offered(db, access.project.id, scoring(kind)).await?;
        let versions = dataset_version::Entity::find()
            .filter(dataset_version::Column::ProjectId.eq(access.project.id))
            .filter(dataset_version::Column::Kind.eq(contents(kind, None).kind()))
            .order_by_desc(dataset_version::Column::CreatedAt)
            .all(db)
            .await?;
        let facts = Facts::load(db, store, &page, kind, &models, &reward_models, &typed).await?;
        Ok(Self { page, access, kind, models, reward_models, versions, facts, typed, errors })
    }

    /// What stands in a field: what was typed, else the default.
    fn value(&self, name: &str) -> String {
        match self.typed.get(name) {
            Some(text) => text.clone(),
            None => self.default(name),
        }
    }

    fn default(&self, name: &str) -> String {
        settings::defaults(self.kind).get(name).map(settings::shown).unwrap_or_default()
    }

    fn groups(&self) -> &'static [fields::Group] {
        fields::groups(self.kind)
    }

    /// Whether a folded group must be open: it holds a mistake or something that was changed.
    fn is_open(&self, group: &fields::Group) -> bool {
        let changed =
            |name: &str| self.typed.get(name).is_some_and(|text| *text != self.default(name));
        group.fields.iter().any(|field| self.errors.of(field.name).is_some() || changed(field.name))
    }

    fn is_chosen(&self, field: &str, value: &(impl ToString + ?Sized)) -> bool {
        self.typed.get(field).is_some_and(|chosen| *chosen == value.to_string())
    }

    fn input_mode(&self, field: &Field) -> &'static str {
        if field.control == Control::Whole { "numeric" } else { "decimal" }
    }

    fn is_number(&self, field: &Field) -> bool {
        field.control.choices().is_empty()
    }

    fn needs_reward_model(&self) -> bool {
        self.kind == RunKind::Ppo
    }

    fn is_sample(&self) -> bool {
        self.kind == RunKind::Sample
    }

    fn title(&self) -> &'static str {
        format::new_run(self.kind)
    }

    fn lead(&self) -> &'static str {
        format::lead(self.kind)
    }

    fn freezes(&self) -> &'static str {
        formats::of(contents(self.kind, None).kind()).words().freezes
    }

    fn model_kind(&self, model: &model::Model) -> &'static str {
        format::model_kind(model.kind)
    }

    fn version_line(&self, version: &dataset_version::Model) -> String {
        let counts = &version.counts;
        self.page
            .text("dataset-version-line")
            .arg("hash", &version.hash[..10.min(version.hash.len())])
            .arg("train", counts.train)
            .arg("eval", counts.eval)
            .arg("at", format::date_time(version.created_at))
            .to_string()
    }
}

#[derive(Deserialize)]
pub struct Prefill {
    /// A run whose form is shown again.
    from: Option<RunId>,
    /// A model to start from.
    model: Option<ModelId>,
}

pub async fn show(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    prefill: web::Query<Prefill>,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let kind = kind_of(&path.1)?;
    let mut typed = match prefill.from {
        Some(run) => as_typed(db.get_ref(), access.project.id, kind, run).await?,
        None => HashMap::new(),
    };
    typed.extend(prefill.model.map(|model| ("model".to_owned(), model.to_string())));
    let errors = deleted::explain(db.get_ref(), &typed).await?;
    page::html(&NewRunPage::load(db.get_ref(), &store, page, access, kind, typed, errors).await?)
}

/// The form of a run that was launched before. Its dataset version is chosen again, so that the
/// same form gives the same run.
async fn as_typed(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: RunKind,
    run: RunId,
) -> Result<HashMap<String, String>, AppError> {
    let run = run::Entity::find_by_id(run).one(db).await?;
    let run = run
        .filter(|run| run.project_id == project && run.kind == kind)
        .ok_or(AppError::NotFound)?;
    let mut typed: HashMap<String, String> = match &run.config {
        Value::Object(config) => {
            config.iter().map(|(name, value)| (name.clone(), settings::shown(value))).collect()
        }
        _ => HashMap::new(),
    };
    for input in
        run_input::Entity::find().filter(run_input::Column::RunId.eq(run.id)).all(db).await?
    {
        let name = match input.slot {
            InputSlot::Model => "model",
            InputSlot::Reward => "reward_model",
            InputSlot::Dataset => "dataset",
        };
        let id = input.model_id.map(|id| id.to_string());
        typed.extend(
            id.or(input.dataset_version_id.map(|id| id.to_string()))
                .map(|id| (name.to_owned(), id)),
        );
    }
    Ok(typed)
}

pub async fn launch(
    page: Page,
    Engineer(access): Engineer,
    path: web::Path<(ProjectId, String)>,
    form: web::Form<HashMap<String, String>>,
    session: Session,
    db: web::Data<DatabaseConnection>,
    store: web::Data<ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let kind = kind_of(&path.1)?;
    let typed = form.into_inner();
    match try_launch(db.get_ref(), &store, &access, kind, &typed).await? {
        Ok(run) => {
            page::notify(&session, "notice-run-queued", "")?;
            Ok(page::see_other(&access.url(&format!("/runs/{run}"))))
        }
        Err(errors) => page::invalid(
            &NewRunPage::load(db.get_ref(), &store, page, access, kind, typed, errors).await?,
        ),
    }
}

/// Checks everything, freezes the dataset version if none was chosen, and queues the run. The files
/// of the version are written first; its rows and the run's appear in one transaction.
async fn try_launch(
    db: &DatabaseConnection,
    store: &ArtifactStore,
    access: &Access,
    kind: RunKind,
    typed: &HashMap<String, String>,
) -> Result<Result<RunId, FieldErrors>, AppError> {
    let mut errors = FieldErrors::default();
    let project = access.project.id;
    let model = chosen_model(db, project, trainable(kind), typed.get("model")).await?;
    if model.is_none() {
        errors.add("model", "problem-choose-model");
    }
    let mut reward = None;
    if kind == RunKind::Ppo {
        reward = chosen_model(db, project, scoring(kind), typed.get("reward_model")).await?;
        if reward.is_none() {
            errors.add("reward_model", "problem-choose-reward-model");
        }
    }
    let rows = chosen_rows(db, store, project, kind, typed).await?;
    if let Err(problem) = &rows {
        errors.add("dataset", *problem);
    }
    let config = settings::parse(kind, typed);
    for (field, problem) in config.as_ref().err().into_iter().flatten() {
        errors.add(field, settings::explain(kind, field, problem));
    }
    let (Some(model), Ok(rows), Ok(config), true) = (model, rows, config, errors.is_empty()) else {
        return Ok(Err(errors));
    };
    let by = Some(access.account.id);
    let changes = begin_write(db).await?;
    let dataset = match rows {
        Rows::Version(id) => id,
        Rows::Frozen(frozen) => frozen.record(&changes, by).await?,
    };
    let run =
        launch::queue(&changes, &Launch { project, kind, config, model, reward, dataset, by })
            .await?;
    changes.commit().await?;
    Ok(Ok(run))
}
