//! The tasks of a project, and how one comes to be: open, with a slot for everybody who is to answer
//! it, or answered already.

use entity::{
    ids::{ProjectId, PromptId, RunId, TaskId},
    task::{self, TaskKind},
    time::UnixMillis,
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{OnConflict, Query, SelectStatement},
};

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

/// Asks, unless this was asked before.
pub async fn ask(db: &impl ConnectionTrait, new: NewTask) -> Result<(), DbErr> {
    let known = OnConflict::columns([task::Column::ProjectId, task::Column::Origin])
        .do_nothing()
        .to_owned();
    task::Entity::insert(new.open()).on_conflict(known).exec_without_returning(db).await?;
    Ok(())
}

/// Stores a task whose answer comes with it, so that nobody is asked; none when it is there.
pub async fn store_answered(
    db: &impl ConnectionTrait,
    new: NewTask,
) -> Result<Option<TaskId>, DbErr> {
    let known = task::Entity::find()
        .filter(task::Column::ProjectId.eq(new.project))
        .filter(task::Column::Origin.eq(&new.origin))
        .one(db)
        .await?;
    if known.is_some() {
        return Ok(None);
    }
    let row = new.row(0);
    let id = row.id.clone().unwrap();
    task::Entity::insert(row).exec_without_returning(db).await?;
    Ok(Some(id))
}
