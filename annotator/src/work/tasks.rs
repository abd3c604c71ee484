//! The tasks of a project, and how one comes to be: open, with a slot for everybody who is to answer
//! it, or answered already.

use entity::{
    assignment,
    ids::{ProjectId, PromptId, RunId, TaskId},
    judgement, project, prompt,
    task::{self, TaskKind},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect, RelationDef,
    sea_query::{Expr, ExprTrait, OnConflict, Order, Query, SelectStatement},
};
use std::collections::HashSet;
use storage::database::row_chunks;

/// The ids of a project's tasks, for a query to be about them.
pub fn of_project(project: ProjectId) -> SelectStatement {
    Query::select()
        .column(task::Column::Id)
        .from(task::Entity)
        .and_where(task::Column::ProjectId.eq(project))
        .to_owned()
}

/// The ids of a project's tasks of one kind that have a free slot and whose prompt is not withdrawn,
/// in the order in which they are given out.
///
/// The zero is a literal: for a bound value SQLite, and PostgreSQL with a statement that it keeps,
/// would not use the index `task_waiting` and look through all.
pub fn open_of_kind(project: ProjectId, kind: TaskKind) -> SelectStatement {
    let withdrawn = Query::select()
        .from(prompt::Entity)
        .and_where(
            Expr::col((prompt::Entity, prompt::Column::Id)).equals(of_task(task::Column::PromptId)),
        )
        .and_where(prompt::Column::WithdrawnAt.is_not_null())
        .to_owned();
    of_project(project)
        .and_where(task::Column::Kind.eq(kind))
        .and_where(Expr::col(of_task(task::Column::OpenSlots)).gt(Expr::Constant(0.into())))
        .and_where(none(withdrawn))
        .order_by(of_task(task::Column::CreatedAt), Order::Asc)
        .order_by(of_task(task::Column::Id), Order::Asc)
        .to_owned()
}

/// That there is no such row, asked for each task by itself. With an offset PostgreSQL makes no join
/// of it, for which it would read and sort all tasks before it gives the first.
pub fn none(rows: SelectStatement) -> Expr {
    Expr::exists(rows.to_owned().expr(Expr::value(1)).limit(1).offset(0).to_owned()).not()
}

/// A column of the task that a query is about, for its parts to name.
pub fn of_task(column: task::Column) -> (task::Entity, task::Column) {
    (task::Entity, column)
}

/// From an assignment to its task.
pub fn of_assignment() -> RelationDef {
    assignment::Entity::belongs_to(task::Entity)
        .from(assignment::Column::TaskId)
        .to(task::Column::Id)
        .into()
}

/// From a task to its project.
pub fn in_project() -> RelationDef {
    task::Entity::belongs_to(project::Entity)
        .from(task::Column::ProjectId)
        .to(project::Column::Id)
        .into()
}

/// From a task to its prompt.
pub fn of_prompt() -> RelationDef {
    task::Entity::belongs_to(prompt::Entity)
        .from(task::Column::PromptId)
        .to(prompt::Column::Id)
        .into()
}

/// From a judgement to its task.
pub fn of_judgement() -> RelationDef {
    judgement::Entity::belongs_to(task::Entity)
        .from(judgement::Column::TaskId)
        .to(task::Column::Id)
        .into()
}

/// Something that is to be asked.
pub struct NewTask {
    pub project: ProjectId,
    pub prompt: PromptId,
    pub kind: TaskKind,
    /// How many people must answer.
    pub overlap: i32,
    /// The sample run whose answers it is about.
    pub run: Option<RunId>,
    /// What it is made from: asking twice is asking once.
    pub origin: String,
}

impl NewTask {
    /// The row of a task that waits for answers: every slot is open.
    pub fn open(self) -> task::ActiveModel {
        let open_slots = self.overlap;
        self.row(open_slots)
    }

    fn row(self, open_slots: i32) -> task::ActiveModel {
        task::ActiveModel {
            id: Set(TaskId::new()),
            project_id: Set(self.project),
            prompt_id: Set(self.prompt),
            kind: Set(self.kind),
            overlap: Set(self.overlap),
            open_slots: Set(open_slots),
            run_id: Set(self.run),
            origin: Set(self.origin),
            created_at: Set(UnixMillis::now()),
        }
    }
}

/// Asks what was not asked before.
pub async fn ask(db: &impl ConnectionTrait, new: Vec<NewTask>) -> Result<(), DbErr> {
    insert(db, new.into_iter().map(NewTask::open).collect()).await
}

/// Stores tasks whose answers come with them, so that nobody is asked; none for those that are
/// there.
pub async fn store_answered(
    db: &impl ConnectionTrait,
    new: Vec<NewTask>,
) -> Result<Vec<Option<TaskId>>, DbErr> {
    let rows: Vec<_> = new.into_iter().map(|new| new.row(0)).collect();
    let ids: Vec<TaskId> = rows.iter().map(|row| row.id.clone().unwrap()).collect();
    insert(db, rows).await?;
    let mut stored: HashSet<TaskId> = HashSet::new();
    for chunk in ids.chunks(LOOKED_UP) {
        let found = task::Entity::find()
            .select_only()
            .column(task::Column::Id)
            .filter(task::Column::Id.is_in(chunk.iter().copied()));
        stored.extend(found.into_tuple::<TaskId>().all(db).await?);
    }
    Ok(ids.into_iter().map(|id| stored.contains(&id).then_some(id)).collect())
}

/// How many ids a statement asks for.
const LOOKED_UP: usize = 500;

/// In the order of their origins, so that two who ask the same wait for each other in turn.
async fn insert(db: &impl ConnectionTrait, mut rows: Vec<task::ActiveModel>) -> Result<(), DbErr> {
    rows.sort_by_cached_key(|row| row.origin.clone().unwrap());
    let known = OnConflict::columns([task::Column::ProjectId, task::Column::Origin])
        .do_nothing()
        .to_owned();
    for chunk in row_chunks(rows) {
        task::Entity::insert_many(chunk)
            .on_conflict(known.clone())
            .exec_without_returning(db)
            .await?;
    }
    Ok(())
}
