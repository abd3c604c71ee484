//! What a project's page counts of its work. A small project is counted whenever somebody looks. The
//! numbers of a large one take a while, so they are counted beside the requests, now and then, and
//! the page shows the last.

use super::{ANSWERED, BoundedCount};
use crate::work::{kinds, tasks};
use entity::{
    assignment,
    ids::ProjectId,
    judgement, prompt,
    task::{self, TaskKind},
};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, JoinType, PaginatorTrait,
    QueryFilter, QuerySelect, sea_query::Order,
};
use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::sync::OnceCell;

/// A project with more tasks is a large one.
const LARGE: u64 = 10_000;

/// How old the numbers of a large project may be before they are counted anew.
const FRESH: Duration = Duration::from_secs(30);

/// Numbers, with the Fluent keys of what they count.
pub type ProjectFigures = Vec<(&'static str, u64)>;

/// What is known of a large project. Whoever comes while it is counted for the first time waits.
#[derive(Default)]
struct Known {
    figures: OnceCell<()>,
    last: Mutex<Option<(ProjectFigures, Instant)>>,
    is_counting: tokio::sync::Mutex<()>,
}

static LARGE_PROJECTS: LazyLock<Mutex<HashMap<ProjectId, Arc<Known>>>> =
    LazyLock::new(Mutex::default);

/// What a project's page counts of its work: prompts, and what was said and is open of every kind.
pub async fn figures(db: &DatabaseConnection, project: ProjectId) -> Result<ProjectFigures, DbErr> {
    // In the order of an index, so that no other project's tasks are looked at.
    let all = tasks::of_project(project).order_by(task::Column::Origin, Order::Asc).to_owned();
    let n_tasks = BoundedCount::of(db, all, LARGE).await?;
    if !n_tasks.is_more {
        return count(db, project).await;
    }
    let known = {
        let mut projects = LARGE_PROJECTS.lock().unwrap_or_else(PoisonError::into_inner);
        projects.entry(project).or_default().clone()
    };
    known.figures.get_or_try_init(async || known.count(db, project).await).await?;
    let (figures, at) = known.last().unwrap_or_else(|| (Vec::new(), Instant::now()));
    if at.elapsed() > FRESH {
        let db = db.clone();
        tokio::spawn(async move {
            // Somebody is at it already.
            let Ok(_alone) = known.is_counting.try_lock() else { return };
            if let Err(error) = known.count(&db, project).await {
                tracing::warn!(%error, "a project could not be counted");
            }
        });
    }
    Ok(figures)
}

impl Known {
    fn last(&self) -> Option<(ProjectFigures, Instant)> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn count(&self, db: &DatabaseConnection, project: ProjectId) -> Result<(), DbErr> {
        let figures = count(db, project).await?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((figures, Instant::now()));
        Ok(())
    }
}

async fn count(db: &impl ConnectionTrait, project: ProjectId) -> Result<ProjectFigures, DbErr> {
    let prompts = prompt::Entity::find().filter(prompt::Column::ProjectId.eq(project));
    let mut figures = vec![("project-n-prompts", prompts.count(db).await?)];
    for kind in kinds::all() {
        figures.push((kind.words().n_answers, n_answers(db, project, kind.kind()).await?));
        if let Some(words) = kind.words().n_open {
            figures.push((words, n_open(db, project, kind.kind()).await?));
        }
    }
    Ok(figures)
}

/// Tasks of a kind that still want somebody, whoever that is.
async fn n_open(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: TaskKind,
) -> Result<u64, DbErr> {
    let open = tasks::open_of_kind(project, kind);
    Ok(BoundedCount::of(db, open, i64::MAX as u64 - 1).await?.n)
}

/// How many answers of a kind there are: given here (skips do not count) or brought in.
async fn n_answers(
    db: &impl ConnectionTrait,
    project: ProjectId,
    kind: TaskKind,
) -> Result<u64, DbErr> {
    let given = assignment::Entity::find()
        .join(JoinType::InnerJoin, tasks::of_assignment())
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
        .filter(assignment::Column::State.is_in(ANSWERED));
    let brought_in = judgement::Entity::find()
        .join(JoinType::InnerJoin, tasks::of_judgement())
        .filter(task::Column::ProjectId.eq(project))
        .filter(task::Column::Kind.eq(kind))
        .filter(judgement::Column::AssignmentId.is_null());
    Ok(given.count(db).await? + brought_in.count(db).await?)
}
