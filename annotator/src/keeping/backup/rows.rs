//! Rows as JSON lines, and back: a value has one form, whichever database it came from.

use super::{
    manifest::TableFile,
    tables::{ColumnKind, TableColumn, TableShape, quoted},
};
use anyhow::{Context, bail, ensure};
use futures_util::TryStreamExt;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Statement, StreamTrait,
    Value as SqlValue,
};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};
use storage::storable::storable;
use uuid::Uuid;

/// Rows of one statement, and their bytes as JSON, at the most.
const MAX_ROWS: usize = 500;
const MAX_BYTES: usize = 4 << 20;

/// Values that one statement binds at the most on either database.
const MAX_VALUES: usize = 30_000;

/// Before the digits of bytes that are no id.
const HEX: &str = "\\x";

/// Writes a table's rows as lines, ordered by their key; one at a time is in memory.
pub(super) async fn dump(
    db: &DatabaseTransaction,
    table: &TableShape,
    folder: &Path,
) -> anyhow::Result<TableFile> {
    let mut file = BufWriter::new(File::create(folder.join(format!("{}.jsonl", table.name)))?);
    let (mut digest, mut n_rows) = (Sha256::new(), 0);
    let backend = ConnectionTrait::get_database_backend(db);
    let sql = Statement::from_string(backend, select(backend, table));
    let mut rows = StreamTrait::stream_raw(db, sql).await?;
    while let Some(row) = rows.try_next().await? {
        let mut line = serde_json::to_vec(&to_json(table, &row)?)?;
        line.push(b'\n');
        digest.update(&line);
        file.write_all(&line)?;
        n_rows += 1;
    }
    file.flush()?;
    Ok(TableFile { rows: n_rows, sha256: hex::encode(digest.finalize()) })
}

fn select(backend: DbBackend, table: &TableShape) -> String {
    let is_postgres = backend == DbBackend::Postgres;
    let column = |column: &TableColumn| {
        let name = quoted(&column.name);
        match column.kind {
            ColumnKind::Json if is_postgres => format!("{name}::text AS {name}"),
            ColumnKind::Integer if is_postgres => format!("{name}::bigint AS {name}"),
            ColumnKind::Real if is_postgres => format!("{name}::double precision AS {name}"),
            _ => name,
        }
    };
    let key = |column: &TableColumn| {
        let name = format!("{}.{}", quoted(&table.name), quoted(&column.name));
        let is_text = is_postgres && column.kind == ColumnKind::Text;
        if is_text { format!("{name} COLLATE \"C\"") } else { name }
    };
    let columns: Vec<_> = table.columns.iter().map(column).collect();
    let keys: Vec<_> = table.columns.iter().filter(|column| column.is_key).map(key).collect();
    let order =
        if keys.is_empty() { String::new() } else { format!(" ORDER BY {}", keys.join(", ")) };
    format!("SELECT {} FROM {}{order}", columns.join(", "), quoted(&table.name))
}

fn to_json(table: &TableShape, row: &QueryResult) -> Result<Value, DbErr> {
    let mut fields = Map::new();
    for column in &table.columns {
        let name = column.name.as_str();
        let value = match column.kind {
            ColumnKind::Id => row.try_get::<Option<Uuid>>("", name)?.map(|id| json!(id)),
            ColumnKind::Bytes => row.try_get::<Option<Vec<u8>>>("", name)?.map(of_bytes),
            ColumnKind::Text | ColumnKind::Json => {
                row.try_get::<Option<String>>("", name)?.map(Value::from)
            }
            ColumnKind::Integer => row.try_get::<Option<i64>>("", name)?.map(Value::from),
            ColumnKind::Boolean => row.try_get::<Option<bool>>("", name)?.map(Value::from),
            ColumnKind::Real => row.try_get::<Option<f64>>("", name)?.map(of_real),
        };
        fields.insert(name.to_owned(), value.unwrap_or(Value::Null));
    }
    Ok(Value::Object(fields))
}

fn of_bytes(bytes: Vec<u8>) -> Value {
    match Uuid::from_slice(&bytes) {
        Ok(id) => json!(id),
        Err(_) => json!(format!("{HEX}{}", hex::encode(bytes))),
    }
}

/// JSON has no infinity; it stands as a text.
fn of_real(number: f64) -> Value {
    if number.is_finite() { json!(number) } else { json!(number.to_string()) }
}

/// Puts the rows of a file into an empty table; how many there were.
pub async fn load(
    db: &DatabaseTransaction,
    table: &TableShape,
    file: &Path,
) -> anyhow::Result<u64> {
    let mut lines = BufReader::new(File::open(file)?);
    let max_rows = MAX_ROWS.min(MAX_VALUES / table.columns.len().max(1));
    let (mut n_rows, mut n_bytes, mut line) = (0, 0, String::new());
    let mut values = Vec::new();
    loop {
        line.clear();
        let n_read = lines.read_line(&mut line)?;
        let n_waiting = values.len() / table.columns.len().max(1);
        if n_waiting > 0 && (n_read == 0 || n_waiting == max_rows || n_bytes > MAX_BYTES) {
            insert(db, table, std::mem::take(&mut values)).await?;
            n_bytes = 0;
        }
        if n_read == 0 {
            return Ok(n_rows);
        }
        let row: Map<String, Value> = serde_json::from_str(&line)?;
        let known = row.keys().all(|name| table.columns.iter().any(|column| column.name == *name));
        ensure!(known, "{} has columns that the table has not", file.display());
        for column in &table.columns {
            values.push(to_sql(column, row.get(&column.name).unwrap_or(&Value::Null))?);
        }
        (n_rows, n_bytes) = (n_rows + 1, n_bytes + n_read);
    }
}

async fn insert(
    db: &DatabaseTransaction,
    table: &TableShape,
    values: Vec<SqlValue>,
) -> Result<(), DbErr> {
    let backend = ConnectionTrait::get_database_backend(db);
    let (n_columns, mut place) = (table.columns.len(), 0);
    let mut rows = Vec::new();
    for _ in 0..values.len() / n_columns {
        let holder = |column: &TableColumn| {
            place += 1;
            match (backend, column.kind) {
                (DbBackend::Postgres, ColumnKind::Json) => format!("${place}::jsonb"),
                (DbBackend::Postgres, _) => format!("${place}"),
                _ => "?".to_owned(),
            }
        };
        rows.push(format!("({})", table.columns.iter().map(holder).collect::<Vec<_>>().join(", ")));
    }
    let names: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
    let sql = format!(
        "INSERT INTO {} ({}) VALUES {}",
        quoted(&table.name),
        names.join(", "),
        rows.join(", ")
    );
    db.execute_raw(Statement::from_sql_and_values(backend, sql, values)).await.map(drop)
}

fn to_sql(column: &TableColumn, value: &Value) -> anyhow::Result<SqlValue> {
    let wrong = || format!("the column {} cannot hold {value}", column.name);
    Ok(match (column.kind, value) {
        (ColumnKind::Id, Value::Null) => SqlValue::Uuid(None),
        (ColumnKind::Id, Value::String(id)) => {
            SqlValue::Uuid(Some(id.parse().with_context(wrong)?))
        }
        (ColumnKind::Bytes, Value::Null) => SqlValue::Bytes(None),
        (ColumnKind::Bytes, Value::String(text)) => SqlValue::Bytes(Some(to_bytes(text)?)),
        (ColumnKind::Text | ColumnKind::Json, Value::Null) => SqlValue::String(None),
        (ColumnKind::Text | ColumnKind::Json, Value::String(text)) => {
            SqlValue::String(Some(storable(text.as_str())))
        }
        (ColumnKind::Integer, Value::Null) => SqlValue::BigInt(None),
        (ColumnKind::Integer, Value::Number(number)) => {
            SqlValue::BigInt(Some(number.as_i64().with_context(wrong)?))
        }
        (ColumnKind::Boolean, Value::Null) => SqlValue::Bool(None),
        (ColumnKind::Boolean, Value::Bool(is)) => SqlValue::Bool(Some(*is)),
        (ColumnKind::Real, Value::Null) => SqlValue::Double(None),
        (ColumnKind::Real, Value::Number(number)) => SqlValue::Double(number.as_f64()),
        (ColumnKind::Real, Value::String(text)) => {
            SqlValue::Double(Some(text.parse().with_context(wrong)?))
        }
        _ => bail!(wrong()),
    })
}

fn to_bytes(text: &str) -> anyhow::Result<Vec<u8>> {
    match text.strip_prefix(HEX) {
        Some(digits) => Ok(hex::decode(digits)?),
        None => Ok(text.parse::<Uuid>()?.as_bytes().to_vec()),
    }
}
