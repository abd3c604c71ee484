//! Projects and who works on them.

use crate::web::access::Access;
use entity::{
    account,
    ids::{AccountId, MembershipId, ProjectId},
    membership::{self, ProjectRole},
    project,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{OnConflict, Query, SelectStatement},
};

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

/// Gives a role; giving it twice is giving it once.
pub async fn give_role(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    role: ProjectRole,
) -> Result<(), DbErr> {
    let row = membership::ActiveModel {
        id: Set(MembershipId::new()),
        account_id: Set(account),
        project_id: Set(project),
        role: Set(role),
        created_at: Set(UnixMillis::now()),
    };
    let unique =
        [membership::Column::AccountId, membership::Column::ProjectId, membership::Column::Role];
    membership::Entity::insert(row)
        .on_conflict(OnConflict::columns(unique).do_nothing().to_owned())
        .exec_without_returning(db)
        .await?;
    Ok(())
}

/// Takes a role away.
pub async fn take_role(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    role: ProjectRole,
) -> Result<(), DbErr> {
    membership::Entity::delete_many()
        .filter(membership::Column::AccountId.eq(account))
        .filter(membership::Column::ProjectId.eq(project))
        .filter(membership::Column::Role.eq(role))
        .exec(db)
        .await?;
    Ok(())
}

/// The Fluent key of a role's name.
pub fn role_key(role: ProjectRole) -> &'static str {
    match role {
        ProjectRole::Annotator => "role-annotator",
        ProjectRole::Reviewer => "role-reviewer",
        ProjectRole::Manager => "role-manager",
        ProjectRole::Engineer => "role-engineer",
    }
}

/// One person of a project with their roles.
pub struct Person {
    pub account: account::Model,
    pub roles: Vec<ProjectRole>,
}

/// Everybody with a role, by name.
pub async fn people(db: &impl ConnectionTrait, access: &Access) -> Result<Vec<Person>, DbErr> {
    let rows = membership::Entity::find()
        .filter(membership::Column::ProjectId.eq(access.project.id))
        .order_by_asc(membership::Column::CreatedAt)
        .all(db)
        .await?;
    let accounts = account::Entity::find()
        .filter(account::Column::Id.is_in(rows.iter().map(|row| row.account_id)))
        .order_by_asc(account::Column::DisplayName)
        .limit(10_000)
        .all(db)
        .await?;
    let roles_of =
        |id| rows.iter().filter(|row| row.account_id == id).map(|row| row.role).collect();
    Ok(accounts
        .into_iter()
        .map(|account| Person { roles: roles_of(account.id), account })
        .collect())
}
