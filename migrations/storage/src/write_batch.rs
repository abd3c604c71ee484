//! Several statements that write, sent at once: every statement is a trip, on SQLite to the
//! connection's thread, on PostgreSQL to the server.

use sea_orm::{
    ConnectionTrait, DbBackend, DbErr, FromQueryResult, Statement, Value,
    sea_query::{
        CommonTableExpression, DeleteStatement, Expr, ExprTrait, Func, InsertStatement, Query,
        SubQueryStatement, UpdateStatement, Values, WithClause, WithQuery,
    },
};

/// Statements that change rows, none of them one that another changes: PostgreSQL runs them in any
/// order, and none sees what the others did.
#[derive(Default)]
pub struct WriteBatch(Vec<WriteStatement>);

/// A statement that changes rows.
pub enum WriteStatement {
    Insert(InsertStatement),
    Update(UpdateStatement),
    Delete(DeleteStatement),
}

/// Between two statements of a batch on SQLite.
pub const BETWEEN: &str = ";\n";

#[derive(FromQueryResult)]
struct Changed {
    n_rows: i64,
}

impl WriteBatch {
    pub fn push(&mut self, statement: impl Into<WriteStatement>) {
        self.0.push(statement.into());
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends them; returns how many rows they changed together.
    pub async fn execute(self, turn: &impl ConnectionTrait) -> Result<u64, DbErr> {
        let backend = turn.get_database_backend();
        if self.is_empty() {
            Ok(0)
        } else if backend == DbBackend::Postgres {
            let together = backend.build(&self.into_one());
            let changed = Changed::find_by_statement(together).one(turn).await?;
            Ok(changed.map_or(0, |changed| changed.n_rows.unsigned_abs()))
        } else {
            Ok(turn.execute_raw(self.into_sequence(backend)).await?.rows_affected())
        }
    }

    /// `WITH w0 AS (…), w1 AS (…) SELECT` of how many rows each changed.
    fn into_one(self) -> WithQuery {
        let mut with = WithClause::new();
        let mut n_rows = Expr::value(0_i64);
        for (n, statement) in self.0.into_iter().enumerate() {
            let name = format!("w{n}");
            let count =
                Query::select().expr(Func::count(Expr::cust("*"))).from(name.clone()).to_owned();
            n_rows = n_rows.add(Expr::SubQuery(None, Box::new(count.into())));
            let changed = statement.returning_its_rows();
            with.cte(CommonTableExpression::new().table_name(name).query(changed).to_owned());
        }
        with.query(Query::select().expr_as(n_rows, "n_rows").to_owned())
    }

    fn into_sequence(self, backend: DbBackend) -> Statement {
        let (mut all, mut values) = (Vec::new(), Vec::<Value>::new());
        for statement in &self.0 {
            let built = statement.build(backend);
            all.push(built.sql);
            values.extend(built.values.into_iter().flatten());
        }
        let sql = all.join(BETWEEN);
        Statement { sql, values: Some(Values(values)), db_backend: backend }
    }
}

impl WriteStatement {
    fn build(&self, backend: DbBackend) -> Statement {
        match self {
            Self::Insert(insert) => backend.build(insert),
            Self::Update(update) => backend.build(update),
            Self::Delete(delete) => backend.build(delete),
        }
    }

    fn returning_its_rows(self) -> SubQueryStatement {
        let one = || Query::returning().expr(Expr::cust("1"));
        match self {
            Self::Insert(mut insert) => insert.returning(one()).to_owned().into(),
            Self::Update(mut update) => update.returning(one()).to_owned().into(),
            Self::Delete(mut delete) => delete.returning(one()).to_owned().into(),
        }
    }
}

impl From<InsertStatement> for WriteStatement {
    fn from(insert: InsertStatement) -> Self {
        Self::Insert(insert)
    }
}

impl From<UpdateStatement> for WriteStatement {
    fn from(update: UpdateStatement) -> Self {
        Self::Update(update)
    }
}

impl From<DeleteStatement> for WriteStatement {
    fn from(delete: DeleteStatement) -> Self {
        Self::Delete(delete)
    }
}
