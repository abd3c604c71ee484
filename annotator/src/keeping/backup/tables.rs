//! The tables of a database, as it describes them itself.

use anyhow::bail;
use sea_orm::{ConnectionTrait, DbBackend, Statement};

/// A table with its columns in their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    pub name: String,
    pub columns: Vec<TableColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableColumn {
    pub name: String,
    pub kind: ColumnKind,
    /// Of the primary key.
    pub is_key: bool,
}

/// What a column holds. The two databases differ in what they call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// PostgreSQL's uuid.
    Id,
    /// SQLite's blob, which most often is an id.
    Bytes,
    Text,
    /// PostgreSQL's jsonb; SQLite keeps it as text.
    Json,
    Integer,
    Boolean,
    Real,
}

impl ColumnKind {
    fn of(declared: &str) -> Option<Self> {
        Some(match declared.to_lowercase().as_str() {
            "uuid" => Self::Id,
            "blob" | "bytea" => Self::Bytes,
            "text" | "varchar" | "character varying" => Self::Text,
            "json" | "jsonb" => Self::Json,
            "integer" | "bigint" | "smallint" => Self::Integer,
            "boolean" => Self::Boolean,
            "real" | "double precision" => Self::Real,
            _ => return None,
        })
    }
}

const OF_SQLITE: &str =
    "SELECT t.name AS in_table, c.name AS name, c.type AS declared, c.pk AS place
FROM sqlite_master t JOIN pragma_table_info(t.name) c
WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY t.name, c.cid";

const OF_POSTGRES: &str = "SELECT t.relname::text AS in_table, c.attname::text AS name,
regexp_replace(format_type(c.atttypid, c.atttypmod), '\\(.*\\)', '') AS declared,
COALESCE(array_position(k.conkey, c.attnum), 0)::bigint AS place
FROM pg_class t JOIN pg_attribute c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped
LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p'
WHERE t.relkind = 'r' AND t.relnamespace = current_schema()::regnamespace
ORDER BY t.relname, c.attnum";

/// Every table, by name.
pub async fn all(db: &impl ConnectionTrait) -> anyhow::Result<Vec<TableShape>> {
    let backend = db.get_database_backend();
    let sql = if backend == DbBackend::Postgres { OF_POSTGRES } else { OF_SQLITE };
    let mut tables: Vec<TableShape> = Vec::new();
    for row in db.query_all_raw(Statement::from_string(backend, sql)).await? {
        let (table, name): (String, String) =
            (row.try_get("", "in_table")?, row.try_get("", "name")?);
        let declared: String = row.try_get("", "declared")?;
        let Some(kind) = ColumnKind::of(&declared) else {
            bail!("the column {table}.{name} is of a type that backups do not know: {declared}");
        };
        let is_key = row.try_get::<i64>("", "place")? > 0;
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(TableShape { name: table, columns: Vec::new() });
        }
        tables.last_mut().expect("just pushed").columns.push(TableColumn { name, kind, is_key });
    }
    Ok(tables)
}

/// A name of a table or column in a statement; none of ours holds a quote.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
