//! The one clock that all who use a database share: one machine may have its own set wrongly, and
//! would take runs that others hold.

use sea_orm::{
    ConnectionTrait, DbBackend,
    sea_query::{Expr, SimpleExpr},
};

/// Now, in milliseconds since 1970, as the database says.
pub fn database_now(db: &impl ConnectionTrait) -> SimpleExpr {
    Expr::cust(match db.get_database_backend() {
        DbBackend::Postgres => "(extract(epoch from clock_timestamp()) * 1000)::bigint",
        _ => "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    })
}
