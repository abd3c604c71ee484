//! The tasks of a project, and how one comes to be: open, with a slot for everybody who is to answer
//! it, or answered already.

use entity::{
    ids::{ProjectId, PromptId, RunId, TaskId},
    task::{self, TaskKind},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{OnConflict, Query, SelectStatement},
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

/// The ids of a project's tasks of one kind.
pub fn of_kind(project: ProjectId, kind: TaskKind) -> SelectStatement {
    of_project(project).and_where(task::Column::Kind.eq(kind)).to_owned()
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
