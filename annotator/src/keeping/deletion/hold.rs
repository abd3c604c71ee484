//! Keeping what a run is about to read from being deleted.

use crate::web::{error::AppError, message::Message};
use entity::{
    artifact, dataset_version,
    ids::{DatasetVersionId, ModelId, ProjectId},
    model, project,
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockType, Query},
};
use storage::database::WriteError;

/// Why a run cannot be queued: something of it was deleted.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    #[error("the project was deleted")]
    Project,
    #[error("the model {0} was deleted")]
    Model(String),
    #[error("texts of the dataset version were erased")]
    Rows,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl WriteError for HoldError {
    fn of_database(&self) -> Option<&DbErr> {
        match self {
            Self::Database(error) => Some(error),
            Self::Project | Self::Model(_) | Self::Rows => None,
        }
    }
}

impl From<HoldError> for AppError {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::Database(error) => Self::Database(error),
            HoldError::Project => Self::conflict("deleted-project"),
            HoldError::Rows => Self::conflict("dataset-version-erased"),
            HoldError::Model(name) => {
                Self::conflict(Message::new("deleted-model").with("name", name))
            }
        }
    }
}

/// Makes sure that a run's project and models are there until this transaction ends: a deletion
/// waits for it, or has come before it and is found. (SQLite lets one writer in at a time.)
pub async fn hold(
    turn: &impl ConnectionTrait,
    project: ProjectId,
    models: impl IntoIterator<Item = ModelId>,
) -> Result<(), HoldError> {
    let project = project::Entity::find_by_id(project).lock(LockType::Share).one(turn).await?;
    if project.is_none_or(|project| project.deleted_at.is_some()) {
        return Err(HoldError::Project);
    }
    let models = model::Entity::find()
        .filter(model::Column::Id.is_in(models))
        .order_by_asc(model::Column::Id)
        .lock(LockType::Share)
        .all(turn)
        .await?;
    match models.into_iter().find(|model| model.deleted_at.is_some()) {
        Some(deleted) => Err(HoldError::Model(deleted.name)),
        None => Ok(()),
    }
}

/// Makes sure likewise that nothing is erased of the rows that a run is about to read.
pub async fn hold_rows(
    turn: &impl ConnectionTrait,
    versions: impl IntoIterator<Item = DatasetVersionId>,
) -> Result<(), HoldError> {
    let hashes = Query::select()
        .column(dataset_version::Column::Hash)
        .from(dataset_version::Entity)
        .and_where(dataset_version::Column::Id.is_in(versions))
        .to_owned();
    let read = artifact::Entity::find()
        .filter(artifact::Column::Hash.in_subquery(hashes))
        .lock(LockType::Share)
        .all(turn)
        .await?;
    let is_erased = read.iter().any(|artifact| artifact.erased_at.is_some());
    if is_erased { Err(HoldError::Rows) } else { Ok(()) }
}
