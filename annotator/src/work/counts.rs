//! How much there is to do in a project, and how much has been done. Pages that everybody opens count
//! only so far (see [`BoundedCount`]), or what one person has done.

mod figures;

pub use figures::{ProjectFigures, figures};

use crate::{
    web::i18n::FluentArgument,
    work::{
        assignment,
        kinds::{self, TaskDefinition},
        tasks,
    },
};
use entity::{
    assignment::AssignmentState,
    ids::{AccountId, ProjectId},
    task::{self, TaskKind},
};
use fluent_bundle::FluentValue;
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, PaginatorTrait,
    QueryFilter, QuerySelect,
    sea_query::{Alias, Asterisk, Expr, Func, Query, SelectStatement},
};
use std::fmt;

/// States of assignments that were answered.
const ANSWERED: [AssignmentState; 2] = [AssignmentState::Submitted, AssignmentState::Extra];

/// What waits for a person in a project, and how much they have done.
#[derive(Default)]
pub struct WaitingTasks {
    /// Every kind, with how many of it wait.
    pub kinds: Vec<(&'static dyn TaskDefinition, BoundedCount)>,
    pub done: u64,
}

impl WaitingTasks {
    /// Counts for somebody who may annotate; for the others nothing waits.
    pub async fn of(
        db: &impl ConnectionTrait,
        account: AccountId,
        project: ProjectId,
    ) -> Result<Self, DbErr> {
        let done = entity::assignment::Entity::find()
            .join(JoinType::InnerJoin, tasks::of_assignment())
            .filter(entity::assignment::Column::AccountId.eq(account))
            .filter(entity::assignment::Column::State.is_in(ANSWERED))
            .filter(task::Column::ProjectId.eq(project))
            .count(db)
            .await?;
        let mut waiting = Self { kinds: Vec::new(), done };
        for kind in kinds::all() {
            let n = waiting_for(db, account, project, kind.kind()).await?;
            waiting.kinds.push((kind, n));
        }
        Ok(waiting)
    }

    pub fn total(&self) -> BoundedCount {
        let n = self.kinds.iter().map(|(_, count)| count.n).sum();
        BoundedCount { n, is_more: self.kinds.iter().any(|(_, count)| count.is_more) }
    }
}

/// How many a page counts to: a person is told how much waits, and not after how long a search.
const MANY: u64 = 1000;

/// A count that ends at [`MANY`]: `1000+`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoundedCount {
    n: u64,
    is_more: bool,
}

impl BoundedCount {
    /// How many rows a query has, which are counted no further than `bound`.
    async fn of(
        db: &impl ConnectionTrait,
        mut rows: SelectStatement,
        bound: u64,
    ) -> Result<Self, DbErr> {
        #[derive(FromQueryResult)]
        struct Row {
            n: i64,
        }
        rows.limit(bound + 1);
        let count = Query::select()
            .expr_as(Func::count(Expr::col(Asterisk)), Alias::new("n"))
            .from_subquery(rows, Alias::new("counted"))
            .to_owned();
        let row = Row::find_by_statement(db.get_database_backend().build(&count)).one(db).await?;
        let n = row.map_or(0, |row| row.n.unsigned_abs());
        Ok(Self { n: n.min(bound), is_more: n > bound })
    }

    pub fn is_zero(&self) -> bool {
        self.n == 0
    }
}

impl fmt::Display for BoundedCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.n, if self.is_more { "+" } else { "" })
    }
}

impl FluentArgument for BoundedCount {
    /// A number with its plural, or a text, which takes the plural of many.
    fn to_fluent(&self) -> FluentValue<'static> {
        if self.is_more { FluentValue::from(self.to_string()) } else { FluentValue::from(self.n) }
    }
}

/// Tasks that this person could be given now: with a free slot or already leased to them.
async fn waiting_for(
    db: &impl ConnectionTrait,
    account: AccountId,
    project: ProjectId,
    kind: TaskKind,
) -> Result<BoundedCount, DbErr> {
    let free = BoundedCount::of(db, assignment::candidates(account, (project, kind)), MANY).await?;
    let held = assignment::held(db, account, (project, kind)).await?;
    Ok(BoundedCount { n: free.n + u64::from(held.is_some()), ..free })
}
