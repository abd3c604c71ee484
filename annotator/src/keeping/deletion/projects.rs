//! Deleting a project: from then on nobody sees it, for thirty days it can be restored with
//! everything, and then its models and datasets leave the disk. What people wrote stays.

use crate::keeping::deletion::needs;
use crate::web::{
    error::AppError,
    form::{FieldErrors, FormError},
    typed::one_line,
};
use crate::{
    data::dataset,
    people::{
        accounts,
        audit::{self, AuditAction, AuditSubject},
        person_name::PersonName,
    },
    training::stop,
    work::tasks,
};
use entity::{
    assignment, draft,
    ids::{AccountId, ProjectId},
    judgement, membership, model, project, prompt,
    run::{self, RunStatus},
    time::UnixMillis,
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, Query, SelectStatement},
};
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use storage::database::write;

/// For how long a deleted project can be restored.
pub const RESTORABLE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What hangs on a project.
pub struct ProjectDeletionImpact {
    pub n_people: u64,
    pub n_prompts: u64,
    /// Written answers, comparisons and skips; one that was revised counts once.
    pub n_judgements: u64,
    /// Tasks that somebody is at.
    pub n_leased: u64,
    /// Answers that were begun and not sent.
    pub n_drafts: u64,
    pub n_versions: u64,
    pub n_runs: u64,
    /// Those that wait or work.
    pub n_live_runs: u64,
    pub n_models: u64,
    /// What only this project needs on the disk, in bytes.
    pub n_bytes: i64,
}

impl ProjectDeletionImpact {
    pub async fn of(db: &impl ConnectionTrait, id: ProjectId) -> Result<Self, DbErr> {
        let prompts = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(id));
        let judgements = judgement::Entity::find()
            .filter(judgement::Column::TaskId.in_subquery(tasks::of_project(id)))
            .filter(judgement::Column::Revision.eq(1));
        let leased = assignment::Entity::find()
            .filter(assignment::Column::TaskId.in_subquery(tasks::of_project(id)))
            .filter(assignment::Column::State.eq(assignment::AssignmentState::Leased));
        let drafts = draft::Entity::find()
            .filter(draft::Column::AssignmentId.in_subquery(assignments_of(id)));
        let versions = dataset::versions_of(id);
        let runs = run::Entity::find().filter(run::Column::ProjectId.eq(id));
        let live_runs = runs.clone().filter(run::Column::Status.is_not_in(RunStatus::FINAL));
        let models = model::Entity::find()
            .filter(model::Column::ProjectId.eq(id))
            .filter(model::Column::DeletedAt.is_null());
        Ok(Self {
            n_people: n_people(db, id).await?,
            n_prompts: prompts.count(db).await?,
            n_judgements: judgements.count(db).await?,
            n_leased: leased.count(db).await?,
            n_drafts: drafts.count(db).await?,
            n_versions: versions.count(db).await?,
            n_runs: runs.count(db).await?,
            n_live_runs: live_runs.count(db).await?,
            n_models: models.count(db).await?,
            n_bytes: only_needed_by(db, id).await?,
        })
    }
}

/// Everybody with a role, whichever and however many.
async fn n_people(db: &impl ConnectionTrait, id: ProjectId) -> Result<u64, DbErr> {
    let accounts: Vec<AccountId> = membership::Entity::find()
        .select_only()
        .column(membership::Column::AccountId)
        .distinct()
        .filter(membership::Column::ProjectId.eq(id))
        .into_tuple()
        .all(db)
        .await?;
    Ok(accounts.len() as u64)
}

fn assignments_of(project: ProjectId) -> SelectStatement {
    Query::select()
        .column(assignment::Column::Id)
        .from(assignment::Entity)
        .and_where(assignment::Column::TaskId.in_subquery(tasks::of_project(project)))
        .to_owned()
}

/// The bytes of the artifacts that nobody else needs.
async fn only_needed_by(db: &impl ConnectionTrait, id: ProjectId) -> Result<i64, DbErr> {
    let (needs, sizes) = (needs::all(db).await?, needs::sizes(db).await?);
    let (mine, others): (Vec<_>, Vec<_>) =
        needs.into_iter().partition(|need| need.project == Some(id));
    let others: HashSet<_> = others.into_iter().map(|need| need.hash).collect();
    let mine: HashSet<_> = mine.into_iter().map(|need| need.hash).collect();
    Ok(mine.difference(&others).filter_map(|hash| sizes.get(hash)).sum())
}

/// Hides a project from everybody and stops its runs. False when it was deleted before.
pub async fn delete(
    db: &DatabaseConnection,
    project: &project::Model,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        // The mark comes first, as for a model: no run is queued after it.
        let marked = project::Entity::update_many()
            .col_expr(project::Column::DeletedAt, Expr::value(UnixMillis::now()))
            .col_expr(project::Column::DeletedBy, Expr::value(by))
            .filter(project::Column::Id.eq(project.id))
            .filter(project::Column::DeletedAt.is_null())
            .exec(&*turn)
            .await?;
        if marked.rows_affected == 0 {
            return Ok(false);
        }
        let of_project = Condition::all().add(run::Column::ProjectId.eq(project.id));
        let n_stopped = stop::ask_to_stop(&*turn, of_project).await?;
        let details = json!({"name": project.name, "stopped_runs": n_stopped});
        let subject = AuditSubject::project(project.id);
        audit::record(&*turn, by, AuditAction::ProjectDelete, subject, details).await?;
        Ok(true)
    })
    .await
}

/// Deletes a project for somebody who typed its name, and so means this one. False when it was
/// deleted before.
pub async fn delete_by_name(
    db: &DatabaseConnection,
    project: &project::Model,
    typed: &str,
    by: AccountId,
) -> Result<bool, FormError> {
    if one_line(typed) != one_line(&project.name) {
        return Err(FieldErrors::one("name", "project-delete-other-name").into());
    }
    Ok(delete(db, project, by).await?)
}

/// Why a project does not come back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error("its files are gone for good")]
    FilesGone,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<RestoreError> for AppError {
    fn from(error: RestoreError) -> Self {
        match error {
            RestoreError::FilesGone => Self::conflict("project-purged"),
            RestoreError::Database(error) => Self::Database(error),
        }
    }
}

/// Like [`restore`], for somebody who is told why it cannot be.
pub async fn bring_back(
    db: &DatabaseConnection,
    project: &project::Model,
    by: AccountId,
) -> Result<bool, RestoreError> {
    if project.purged_at.is_some() {
        return Err(RestoreError::FilesGone);
    }
    Ok(restore(db, project, by).await?)
}

/// Brings a deleted project back as it was; its runs stay stopped, and can be continued. False when
/// it is not deleted, or for good.
pub async fn restore(
    db: &DatabaseConnection,
    project: &project::Model,
    by: AccountId,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let restored = project::Entity::update_many()
            .col_expr(project::Column::DeletedAt, Expr::value(None::<UnixMillis>))
            .col_expr(project::Column::DeletedBy, Expr::value(None::<AccountId>))
            .filter(project::Column::Id.eq(project.id))
            .filter(project::Column::DeletedAt.is_not_null())
            .filter(project::Column::PurgedAt.is_null())
            .exec(&*turn)
            .await?;
        if restored.rows_affected == 0 {
            return Ok(false);
        }
        let details = json!({"name": project.name});
        let subject = AuditSubject::project(project.id);
        audit::record(&*turn, by, AuditAction::ProjectRestore, subject, details).await?;
        Ok(true)
    })
    .await
}

/// A project that can be restored.
pub struct RestorableProject {
    pub project: project::Model,
    pub by: Option<PersonName>,
    pub deleted_at: UnixMillis,
    /// When its files go.
    pub until: UnixMillis,
}

/// The projects that can be restored, the last deleted first.
pub async fn restorable(db: &impl ConnectionTrait) -> Result<Vec<RestorableProject>, DbErr> {
    let projects = project::Entity::find()
        .filter(project::Column::DeletedAt.is_not_null())
        .filter(project::Column::PurgedAt.is_null())
        .order_by_desc(project::Column::DeletedAt)
        .all(db)
        .await?;
    let by = projects.iter().filter_map(|project| project.deleted_by);
    let names = accounts::names(db, by).await?;
    let told = |project: project::Model| {
        let deleted_at = project.deleted_at?;
        let by = project.deleted_by.and_then(|id| names.get(&id).cloned());
        Some(RestorableProject { project, by, deleted_at, until: deleted_at.plus(RESTORABLE) })
    };
    Ok(projects.into_iter().filter_map(told).collect())
}

/// Gives up the files of the projects that were deleted [`RESTORABLE`] before `now`: nothing needs
/// them from then on.
pub async fn purge_lapsed(db: &DatabaseConnection, now: UnixMillis) -> Result<(), DbErr> {
    for RestorableProject { project, until, .. } in restorable(db).await? {
        if until <= now && purge(db, &project, now).await? {
            tracing::info!(project = %project.id, "a deleted project's time is over");
        }
    }
    Ok(())
}

/// False when it was restored meanwhile.
async fn purge(
    db: &DatabaseConnection,
    project: &project::Model,
    now: UnixMillis,
) -> Result<bool, DbErr> {
    write(db, |turn| async move {
        let purged = project::Entity::update_many()
            .col_expr(project::Column::PurgedAt, Expr::value(now))
            .filter(project::Column::Id.eq(project.id))
            .filter(project::Column::DeletedAt.eq(project.deleted_at))
            .filter(project::Column::PurgedAt.is_null())
            .exec(&*turn)
            .await?;
        if purged.rows_affected == 0 {
            return Ok(false);
        }
        model::Entity::update_many()
            .col_expr(model::Column::DeletedAt, Expr::value(now))
            .filter(model::Column::ProjectId.eq(project.id))
            .filter(model::Column::DeletedAt.is_null())
            .exec(&*turn)
            .await?;
        let (subject, details) = (AuditSubject::project(project.id), json!({"name": project.name}));
        audit::record(&*turn, None, AuditAction::ProjectPurge, subject, details).await?;
        Ok(true)
    })
    .await
}
