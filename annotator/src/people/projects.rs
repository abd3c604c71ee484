//! Projects and who works on them.

use crate::{data::prompts, web::access::Access};
use entity::{
    account, assignment,
    ids::{AccountId, MembershipId, ProjectId},
    judgement,
    membership::{self, ProjectRole},
    project, task,
    time::UnixMillis,
};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, Select,
    sea_query::{ExprTrait, OnConflict, Query, SelectStatement},
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

/// How much of a kind waits for a person, and how much they have done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub demonstrate: u64,
    pub compare: u64,
    pub done: u64,
}

impl Waiting {
    /// Counts for somebody who may annotate; for the others nothing waits.
    pub async fn of(
        db: &impl ConnectionTrait,
        account: AccountId,
        project: ProjectId,
    ) -> Result<Self, DbErr> {
        let done = assignment::Entity::find()
            .inner_join_task(project)
            .filter(assignment::Column::AccountId.eq(account))
            .filter(assignment::Column::State.is_in([
                assignment::AssignmentState::Submitted,
                assignment::AssignmentState::Extra,
            ]))
            .count(db)
            .await?;
        Ok(Self {
            demonstrate: open_tasks(db, account, project, task::TaskKind::Demonstrate).await?,
            compare: open_tasks(db, account, project, task::TaskKind::Compare).await?,
            done,
        })
    }

    pub fn total(&self) -> u64 {
        self.demonstrate + self.compare
    }
}

trait InProject {
    fn inner_join_task(self, project: ProjectId) -> Self;
}

impl InProject for sea_orm::Select<assignment::Entity> {
    fn inner_join_task(self, project: ProjectId) -> Self {
        let tasks = Query::select()
            .column(task::Column::Id)
            .from(task::Entity)
            .and_where(task::Column::ProjectId.eq(project))
            .to_owned();
        self.filter(assignment::Column::TaskId.in_subquery(tasks))
    }
}

/// Tasks that this person could be given now: with a free slot or already leased to them.
async fn open_tasks(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<u64, DbErr> {
    let mine = |states: &[assignment::AssignmentState]| {
        Query::select()
            .column(assignment::Column::TaskId)
            .from(assignment::Entity)
            .and_where(assignment::Column::AccountId.eq(account))
            .and_where(assignment::Column::State.is_in(states.iter().copied()))
            .to_owned()
    };
    use assignment::AssignmentState::{Extra, Leased, Skipped, Submitted};
    // A lease that ran out may be taken up again, so `Expired` is not dealt with.
    let dealt_with = mine(&[Leased, Submitted, Extra, Skipped]);
    let free = task::Column::OpenSlots
        .gt(0)
        .and(task::Column::Id.not_in_subquery(dealt_with))
        .and(task::Column::PromptId.not_in_subquery(prompts::withdrawn(project)));
    task::Entity::find()
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
        .filter(free.or(task::Column::Id.in_subquery(mine(&[Leased]))))
        .count(db)
        .await
}

/// How many answers of a kind there are: given here (skips do not count) or brought in.
pub async fn n_answers(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: task::TaskKind,
) -> Result<u64, DbErr> {
    let tasks = Query::select()
        .column(task::Column::Id)
        .from(task::Entity)
        .and_where(task::Column::ProjectId.eq(project))
        .and_where(task::Column::Kind.eq(kind))
        .to_owned();
    let given =
        assignment::Entity::find()
            .filter(assignment::Column::TaskId.in_subquery(tasks.clone()))
            .filter(assignment::Column::State.is_in([
                assignment::AssignmentState::Submitted,
                assignment::AssignmentState::Extra,
            ]));
    let brought_in = judgement::Entity::find()
        .filter(judgement::Column::TaskId.in_subquery(tasks))
        .filter(judgement::Column::AssignmentId.is_null());
    Ok(given.count(db).await? + brought_in.count(db).await?)
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
