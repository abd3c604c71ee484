//! How much there is to do in a project, and how much has been done.

use crate::{
    data::prompts,
    work::{
        kinds::{self, TaskDefinition},
        tasks,
    },
};
use entity::{
    assignment::{self, AssignmentState},
    ids::{AccountId, ProjectId},
    judgement,
    task::{self, TaskKind},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter,
    sea_query::{ExprTrait, Query},
};

/// States of assignments that were answered.
const ANSWERED: [AssignmentState; 2] = [AssignmentState::Submitted, AssignmentState::Extra];

/// What waits for a person in a project, and how much they have done.
#[derive(Default)]
pub struct WaitingTasks {
    /// Every kind, with how many of it wait.
    pub kinds: Vec<(&'static dyn TaskDefinition, u64)>,
    pub done: u64,
}

impl WaitingTasks {
    /// Counts for somebody who may annotate; for the others nothing waits.
    pub async fn of(
        db: &impl ConnectionTrait,
        account: AccountId,
        project: ProjectId,
    ) -> Result<Self, DbErr> {
        let done = assignment::Entity::find()
            .filter(assignment::Column::TaskId.in_subquery(tasks::of_project(project)))
            .filter(assignment::Column::AccountId.eq(account))
            .filter(assignment::Column::State.is_in(ANSWERED))
            .count(db)
            .await?;
        let mut waiting = Self { kinds: Vec::new(), done };
        for kind in kinds::all() {
            let n = waiting_for(db, account, project, kind.kind()).await?;
            waiting.kinds.push((kind, n));
        }
        Ok(waiting)
    }

    pub fn total(&self) -> u64 {
        self.kinds.iter().map(|(_, n)| n).sum()
    }
}

/// What a project's page counts of its work: Fluent key and number.
pub async fn figures(
    db: &impl ConnectionTrait,
    project: ProjectId,
) -> Result<Vec<(&'static str, u64)>, DbErr> {
    let mut figures = Vec::new();
    for kind in kinds::all() {
        figures.push((kind.words().n_answers, n_answers(db, project, kind.kind()).await?));
        if let Some(words) = kind.words().n_open {
            figures.push((words, n_open(db, project, kind.kind()).await?));
        }
    }
    Ok(figures)
}

/// Tasks that this person could be given now: with a free slot or already leased to them.
async fn waiting_for(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    kind: TaskKind,
) -> Result<u64, DbErr> {
    let mine = |states: &[AssignmentState]| {
        Query::select()
            .column(assignment::Column::TaskId)
            .from(assignment::Entity)
            .and_where(assignment::Column::AccountId.eq(account))
            .and_where(assignment::Column::State.is_in(states.iter().copied()))
            .to_owned()
    };
    use AssignmentState::{Extra, Leased, Skipped, Submitted};
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

/// Tasks of a kind that still want somebody, whoever that is.
async fn n_open(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: TaskKind,
) -> Result<u64, DbErr> {
    task::Entity::find()
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
        .filter(task::Column::OpenSlots.gt(0))
        .filter(task::Column::PromptId.not_in_subquery(prompts::withdrawn(project)))
        .count(db)
        .await
}

/// How many answers of a kind there are: given here (skips do not count) or brought in.
async fn n_answers(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: TaskKind,
) -> Result<u64, DbErr> {
    let given = assignment::Entity::find()
        .filter(assignment::Column::TaskId.in_subquery(tasks::of_kind(project, kind)))
        .filter(assignment::Column::State.is_in(ANSWERED));
    let brought_in = judgement::Entity::find()
        .filter(judgement::Column::TaskId.in_subquery(tasks::of_kind(project, kind)))
        .filter(judgement::Column::AssignmentId.is_null());
    Ok(given.count(db).await? + brought_in.count(db).await?)
}
