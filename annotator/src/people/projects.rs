//! Projects: making, finding and changing them.

use crate::{
    people::{audit, members},
    web::{
        error::AppError,
        form::{FieldErrors, FormError},
    },
};
use entity::{
    account,
    ids::{AccountId, ProjectId},
    membership::{self, ProjectRole},
    project,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel,
    QueryFilter, QueryOrder, Select,
    sea_query::{Query, SelectStatement},
};
use serde_json::json;
use std::ops::RangeInclusive;
use storage::database::begin_write;

/// What a good answer is, to begin with; a manager rewrites it.
pub const FIRST_GUIDELINES: &str = include_str!("../../demo/guidelines.md");

/// How many people may be asked to judge one comparison.
const OVERLAPS: RangeInclusive<i32> = 1..=100;

/// A new project; a name that is taken is the database's unique error, unless by a deleted project,
/// which makes way.
pub async fn create(
    db: &impl ConnectionTrait,
    name: &str,
    guidelines: &str,
) -> Result<project::Model, DbErr> {
    if let Some(deleted) =
        named(name).filter(project::Column::DeletedAt.is_not_null()).one(db).await?
    {
        rename_deleted(db, deleted).await?;
    }
    let row = project::ActiveModel {
        id: Set(ProjectId::new()),
        name: Set(name.trim().to_owned()),
        guidelines: Set(guidelines.to_owned()),
        comparison_overlap: Set(1),
        created_at: Set(UnixMillis::now()),
        ..Default::default()
    };
    row.insert(db).await
}

pub async fn find_by_name(
    db: &impl ConnectionTrait,
    name: &str,
) -> Result<Option<project::Model>, DbErr> {
    named(name).filter(project::Column::DeletedAt.is_null()).one(db).await
}

fn named(name: &str) -> Select<project::Entity> {
    project::Entity::find().filter(project::Column::Name.eq(name.trim()))
}

async fn rename_deleted(db: &impl ConnectionTrait, deleted: project::Model) -> Result<(), DbErr> {
    let name = format!("{}-{}", deleted.name, deleted.id.short());
    let mut row = deleted.into_active_model();
    row.name = Set(name);
    row.update(db).await.map(drop)
}

/// The ids of the deleted projects, for a query to leave them out.
pub fn deleted() -> SelectStatement {
    Query::select()
        .column(project::Column::Id)
        .from(project::Entity)
        .and_where(project::Column::DeletedAt.is_not_null())
        .to_owned()
}

/// The projects that a person sees: all for an administrator, else those with a role in them.
pub async fn visible_to(
    db: &impl ConnectionTrait,
    account: &account::Model,
) -> Result<Vec<project::Model>, DbErr> {
    let mut query = project::Entity::find()
        .filter(project::Column::DeletedAt.is_null())
        .order_by_asc(project::Column::Name);
    if !account.is_admin {
        let mine = Query::select()
            .column(membership::Column::ProjectId)
            .from(membership::Entity)
            .and_where(membership::Column::AccountId.eq(account.id))
            .to_owned();
        query = query.filter(project::Column::Id.in_subquery(mine));
    }
    query.all(db).await
}

/// What somebody who makes a project may do in it: everything.
const FOUNDERS_ROLES: [ProjectRole; 3] =
    [ProjectRole::Manager, ProjectRole::Engineer, ProjectRole::Annotator];

/// Makes a project, as typed; whoever makes it may do everything in it.
pub async fn found(
    db: &DatabaseConnection,
    by: AccountId,
    name: &str,
    guidelines: &str,
) -> Result<project::Model, FormError> {
    if name.trim().is_empty() {
        return Err(FieldErrors::one("name", "project-name-missing").into());
    }
    let turn = begin_write(db).await?;
    if find_by_name(&turn, name).await?.is_some() {
        return Err(FieldErrors::one("name", "project-name-taken").into());
    }
    let project = create(&turn, name, guidelines).await?;
    for role in FOUNDERS_ROLES {
        members::give_role(&turn, by, project.id, role).await?;
    }
    audit::record(&turn, by, "project.create", project.id, json!({"name": name})).await?;
    turn.commit().await?;
    Ok(project)
}

/// Why a project was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ProjectChangeError {
    #[error("a comparison is judged by 1 to 100 people")]
    OverlapOutOfRange,
    #[error(transparent)]
    Database(#[from] DbErr),
}

impl From<ProjectChangeError> for AppError {
    fn from(error: ProjectChangeError) -> Self {
        match error {
            ProjectChangeError::OverlapOutOfRange => Self::bad_request("overlap-out-of-range"),
            ProjectChangeError::Database(error) => Self::Database(error),
        }
    }
}

/// Sets a project's guidelines, and how many people judge each new comparison.
pub async fn change(
    db: &DatabaseConnection,
    by: AccountId,
    project: project::Model,
    guidelines: String,
    overlap: i32,
) -> Result<(), ProjectChangeError> {
    if !OVERLAPS.contains(&overlap) {
        return Err(ProjectChangeError::OverlapOutOfRange);
    }
    let before = json!({"guidelines": project.guidelines, "overlap": project.comparison_overlap});
    let id = project.id;
    let mut row = project.into_active_model();
    row.guidelines = Set(guidelines);
    row.comparison_overlap = Set(overlap);
    let turn = begin_write(db).await?;
    row.update(&turn).await?;
    audit::record(&turn, by, "project.change", id, before).await?;
    Ok(turn.commit().await?)
}
