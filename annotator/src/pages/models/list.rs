//! `/projects/{project}/models`: the models a project can use, each with where it came from.

use crate::training::kinds;
use crate::{
    data::lineage,
    keeping::deletion::models::may_delete,
    models::{facts, files::files_of},
    people::accounts,
    web::{
        access::{Access, Engineer},
        error::AppError,
        of::Of,
        page::{self, Page},
    },
};
use crate::{pages::training::facts::ChosenFacts, web::format};
use actix_web::{HttpResponse, web};
use askama::Template;
use entity::{
    artifact, dataset_version,
    ids::{ModelId, ProjectId, RunId},
    model, run,
    run_input::{self, InputSlot},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter,
    QueryOrder,
};
use std::collections::HashMap;

/// A model with everything that is said of it.
struct Entry {
    model: model::Model,
    parent: Option<model::Model>,
    /// The run that made it, and what that read.
    run: Option<run::Model>,
    dataset: Option<dataset_version::Model>,
    /// What scored its answers while it learnt.
    reward: Option<model::Model>,
    n_bytes: i64,
}

impl Entry {
    fn kind(&self) -> &'static str {
        format::model_kind(self.model.kind)
    }

    fn parameters(&self) -> String {
        format::parameters(self.model.n_parameters)
    }

    fn size(&self) -> String {
        format::bytes(self.n_bytes)
    }

    fn is_deleted(&self) -> bool {
        self.model.deleted_at.is_some()
    }

    fn is_reward(&self) -> bool {
        self.model.kind == model::ModelKind::Reward
    }
}

/// The project's own models and the bases.
fn of_project(project: ProjectId) -> Condition {
    Condition::any()
        .add(model::Column::ProjectId.eq(project))
        .add(model::Column::ProjectId.is_null())
}

/// Adds to models what is said of them, with one question per table. A run of another project,
/// which fetched a base, is not this project's to know.
async fn described(
    db: &impl ConnectionTrait,
    project: ProjectId,
    models: Vec<model::Model>,
) -> Result<Vec<Entry>, DbErr> {
    let run_ids: Vec<RunId> = models.iter().filter_map(|model| model.run_id).collect();
    let runs = run::Entity::find()
        .filter(run::Column::Id.is_in(run_ids.clone()))
        .filter(run::Column::ProjectId.eq(project))
        .all(db)
        .await?;
    let runs: HashMap<RunId, _> = runs.into_iter().map(|run| (run.id, run)).collect();
    let inputs = run_input::Entity::find()
        .filter(run_input::Column::RunId.is_in(run_ids))
        .filter(run_input::Column::Slot.is_in([InputSlot::Dataset, InputSlot::Reward]))
        .all(db)
        .await?;
    let rewards = inputs.iter().filter_map(|input| input.model_id);
    let named = models.iter().filter_map(|model| model.parent_id).chain(rewards);
    let named = model::Entity::find().filter(model::Column::Id.is_in(named)).all(db).await?;
    let named: HashMap<ModelId, _> = named.into_iter().map(|model| (model.id, model)).collect();
    let versions = dataset_version::Entity::find()
        .filter(
            dataset_version::Column::Id
                .is_in(inputs.iter().filter_map(|input| input.dataset_version_id)),
        )
        .all(db)
        .await?;
    let input_of =
        |run, slot| inputs.iter().find(|input| input.run_id == run && input.slot == slot);
    let read_by = |run: RunId| {
        let input = input_of(run, InputSlot::Dataset)?;
        versions.iter().find(|version| Some(version.id) == input.dataset_version_id).cloned()
    };
    let scored_by = |run: RunId| named.get(&input_of(run, InputSlot::Reward)?.model_id?).cloned();
    let artifacts = artifact::Entity::find()
        .filter(artifact::Column::Hash.is_in(models.iter().map(|model| &model.artifact_hash)))
        .all(db)
        .await?;
    let sizes: HashMap<String, i64> =
        artifacts.into_iter().map(|artifact| (artifact.hash, artifact.n_bytes)).collect();
    let describe = |model: model::Model| Entry {
        parent: model.parent_id.and_then(|id| named.get(&id).cloned()),
        run: model.run_id.and_then(|id| runs.get(&id).cloned()),
        dataset: model.run_id.and_then(read_by),
        reward: model.run_id.and_then(scored_by),
        n_bytes: sizes.get(&model.artifact_hash).copied().unwrap_or(0),
        model,
    };
    Ok(models.into_iter().map(describe).collect())
}

#[derive(Template)]
#[template(path = "models/list.html")]
struct ModelsPage {
    page: Page,
    access: Access,
    /// Bases, and the project's own.
    models: Vec<Entry>,
    deleted: Vec<Entry>,
}

impl ModelsPage {
    /// Whether another model of the list has the same weights.
    fn is_shared(&self, entry: &Entry) -> bool {
        let same = |other: &&Entry| other.model.artifact_hash == entry.model.artifact_hash;
        self.models.iter().filter(same).count() > 1
    }

    /// What the project's own models take, weights that several have counted once.
    fn total(&self) -> String {
        let own = self.models.iter().filter(|entry| entry.model.project_id.is_some());
        let sizes: HashMap<&str, i64> =
            own.map(|entry| (entry.model.artifact_hash.as_str(), entry.n_bytes)).collect();
        format::bytes(sizes.values().sum())
    }
}

pub async fn list(
    page: Page,
    Engineer(access): Engineer,
    db: web::Data<DatabaseConnection>,
) -> Result<HttpResponse, AppError> {
    let models = model::Entity::find()
        .filter(of_project(access.project.id))
        .order_by_desc(model::Column::CreatedAt)
        .all(db.get_ref())
        .await?;
    let models = described(db.get_ref(), access.project.id, models).await?;
    let (deleted, models) = models.into_iter().partition(Entry::is_deleted);
    page::html(&ModelsPage { page, access, models, deleted })
}

#[derive(Template)]
#[template(path = "models/show.html")]
struct ModelPage {
    page: Page,
    access: Access,
    entry: Entry,
    children: Vec<model::Model>,
    readers: Vec<run::Model>,
    files: Vec<(String, String)>,
    /// None once its files are gone.
    facts: Option<ChosenFacts>,
    /// Who deleted it, by name; none when it went with its project.
    deleted_by: Option<String>,
}

impl ModelPage {
    /// When it was deleted and by whom.
    fn deletion(&self) -> Option<String> {
        let at = format::date_time(self.entry.model.deleted_at?);
        let text = match &self.deleted_by {
            Some(by) => self.page.text("model-deleted-by").arg("by", by),
            None => self.page.text("model-deleted-by-service"),
        };
        Some(text.arg("at", at).to_string())
    }

    /// An engineer's own, or, for an administrator, a base.
    fn can_be_deleted(&self) -> bool {
        may_delete(&self.access.account, &self.entry.model) && !self.entry.is_deleted()
    }
}

pub async fn show(
    page: Page,
    Of(Engineer(access), model): Of<Engineer, model::Model>,
    db: web::Data<DatabaseConnection>,
    store: web::Data<storage::artifact_store::ArtifactStore>,
) -> Result<HttpResponse, AppError> {
    let children = model::Entity::find()
        .filter(of_project(access.project.id))
        .filter(model::Column::ParentId.eq(model.id))
        .order_by_desc(model::Column::CreatedAt)
        .all(db.get_ref())
        .await?;
    let readers = lineage::readers(db.get_ref(), access.project.id, model.id).await?;
    let files = match model.deleted_at {
        None => files_of(&store.path(&model.artifact_hash))?,
        Some(_) => Vec::new(),
    };
    let files =
        files.into_iter().map(|file| (file.name, format::bytes(file.n_bytes as i64))).collect();
    let deleted_by = accounts::name(db.get_ref(), model.deleted_by).await?;
    let mut entries = described(db.get_ref(), access.project.id, vec![model]).await?;
    let entry = entries.pop().ok_or(AppError::NotFound)?;
    let facts = match entry.is_deleted() {
        true => None,
        false => {
            let known = facts::of(db.get_ref(), &store, &entry.model).await?;
            Some(ChosenFacts::of(&page, &entry.model, &known, entry.n_bytes))
        }
    };
    page::html(&ModelPage { page, access, entry, children, readers, files, facts, deleted_by })
}
