//! Why a database cannot be used: one line that says where, what, and what to do, in the same words
//! from both programs. None of them holds a password.

use crate::schema::{self, SchemaState};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbErr, RuntimeErr, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
    sqlx::{self, ConnectOptions, Connection, postgres::PgConnectOptions},
};
use std::{path::Path, time::Duration};

/// How long PostgreSQL may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseProblem {
    #[error(
        "the database's address begins with neither sqlite:// nor postgres://: correct DATABASE_URL"
    )]
    UnknownKind,
    #[error(
        "the database's address is not like postgres://user:password@host:5432/name ({reason}): correct DATABASE_URL"
    )]
    Malformed { reason: String },
    #[error("no PostgreSQL answers at {server} ({reason}): start it, or correct DATABASE_URL")]
    Unreachable { server: String, reason: String },
    #[error(
        "PostgreSQL at {server} does not let {user} in: correct user and password in DATABASE_URL"
    )]
    Refused { server: String, user: String },
    #[error(
        "PostgreSQL at {server} has no database {name}: make it (createdb {name}), or correct DATABASE_URL"
    )]
    NoSuchDatabase { server: String, name: String },
    #[error(
        "a SQLite database in memory keeps nothing, and no other program sees it: \
         name a file (sqlite:///path/attune.db?mode=rwc) with DATABASE_URL, or a folder with the web app's --data-dir"
    )]
    InMemory,
    #[error(
        "{place} is not a SQLite database: move it away, or name another with DATABASE_URL or the web app's --data-dir"
    )]
    NotSqlite { place: String },
    #[error(
        "the SQLite database {place} cannot be opened: its folder is missing, or this user may not write there; \
         mend that, or name another with DATABASE_URL or the web app's --data-dir"
    )]
    CannotOpen { place: String },
    #[error(
        "the SQLite database {place} cannot be written to: make the file and its folder writable for this user, \
         or name another with DATABASE_URL or the web app's --data-dir"
    )]
    ReadOnly { place: String },
    #[error(
        "the database {place} was set up by a newer version of Attune (this one does not know {steps}): \
         start that version, or name another database with DATABASE_URL"
    )]
    Newer { place: String, steps: String },
    #[error(
        "the database {place} is not set up for this version: run `annotator migrate` or start `annotator serve` first"
    )]
    Older { place: String },
    #[error("the database {place} cannot be used: {reason}; check DATABASE_URL")]
    Other { place: String, reason: String },
}

/// Knocks once, so that a mistake is answered now: a pool would go on trying for half a minute.
pub async fn probe(url: &str) -> Result<(), DatabaseProblem> {
    if url.starts_with("sqlite:") {
        return if is_in_memory(url) { Err(DatabaseProblem::InMemory) } else { Ok(()) };
    }
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(DatabaseProblem::UnknownKind);
    }
    let options: PgConnectOptions = url
        .parse()
        .map_err(|error: sqlx::Error| DatabaseProblem::Malformed { reason: error.to_string() })?;
    match tokio::time::timeout(PATIENCE, options.connect()).await {
        Ok(Ok(connection)) => {
            // It has served; how it ends is of no interest.
            let _ = connection.close().await;
            Ok(())
        }
        Ok(Err(error)) => Err(explain(url, &error)),
        Err(_) => Err(DatabaseProblem::Unreachable {
            server: place(url),
            reason: format!("no answer in {} s", PATIENCE.as_secs()),
        }),
    }
}

/// Looks whether an open database can be written to and is not newer than this program.
pub async fn check(url: &str, db: &DatabaseConnection) -> Result<SchemaState, DatabaseProblem> {
    let problem = |error: DbErr| DatabaseProblem::of(url, &error);
    if url.starts_with("sqlite:") {
        try_to_write(db).await.map_err(problem)?;
    }
    match schema::state(db).await.map_err(problem)? {
        SchemaState::Newer(steps) => {
            Err(DatabaseProblem::Newer { place: place(url), steps: steps.join(", ") })
        }
        state => Ok(state),
    }
}

/// Writes what is there already and takes it back. `BEGIN IMMEDIATE` alone tells nothing: SQLite
/// quietly begins a reading transaction where it may not write.
async fn try_to_write(sqlite: &DatabaseConnection) -> Result<(), DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let attempt = sqlite.begin_with_options(options).await?;
    attempt.execute_unprepared("PRAGMA user_version = 0").await?;
    attempt.rollback().await
}

impl DatabaseProblem {
    /// What an error means for whoever gave the address.
    pub fn of(url: &str, error: &DbErr) -> Self {
        match error {
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => explain(url, error),
            error => Self::Other { place: place(url), reason: error.to_string() },
        }
    }

    /// A database whose schema this program would have to change and may not.
    pub fn older(url: &str) -> Self {
        Self::Older { place: place(url) }
    }
}

fn explain(url: &str, error: &sqlx::Error) -> DatabaseProblem {
    let place = place(url);
    let code = match error {
        sqlx::Error::Io(error) => {
            let reason = error.to_string();
            return DatabaseProblem::Unreachable { server: place, reason };
        }
        sqlx::Error::Database(error) => error.code().unwrap_or_default().into_owned(),
        _ => String::new(),
    };
    // SQLite's codes carry details in their upper bits.
    match (code.as_str(), code.parse::<u32>().map(|code| code & 0xff)) {
        ("28P01" | "28000", _) => DatabaseProblem::Refused { user: user(url), server: place },
        ("3D000", _) => DatabaseProblem::NoSuchDatabase { name: name(url), server: place },
        ("57P03", _) => DatabaseProblem::Unreachable { server: place, reason: error.to_string() },
        (_, Ok(8)) if url.starts_with("sqlite:") => DatabaseProblem::ReadOnly { place },
        (_, Ok(14)) if url.starts_with("sqlite:") => DatabaseProblem::CannotOpen { place },
        (_, Ok(26)) if url.starts_with("sqlite:") => DatabaseProblem::NotSqlite { place },
        _ => DatabaseProblem::Other { place, reason: error.to_string() },
    }
}

/// The file of a SQLite address.
pub fn sqlite_file(url: &str) -> Option<String> {
    let path = url.strip_prefix("sqlite:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    let path = path.split('?').next().unwrap_or(path);
    Some(percent_decode_str(path).decode_utf8_lossy().into_owned())
}

/// Whether nothing of it would be left, not even for a connection that comes later: in memory, or in
/// a nameless file, which each connection has for itself.
fn is_in_memory(url: &str) -> bool {
    let parameters = url.split_once('?').map_or("", |(_, parameters)| parameters);
    sqlite_file(url).is_some_and(|file| file.is_empty() || file.contains(":memory:"))
        || parameters.split('&').any(|parameter| parameter == "mode=memory")
}

/// The address of a SQLite file, made if it is missing. Where a relative path begins, an address has
/// the name of a server, which takes no space and no colon.
pub fn sqlite_url(file: &Path) -> String {
    const OWN_MEANING: AsciiSet = CONTROLS.add(b'%').add(b'?').add(b'#');
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string();
    format!("sqlite://{}?mode=rwc", utf8_percent_encode(&file, &OWN_MEANING))
}

/// The file, or host and port: what may be said of an address.
fn place(url: &str) -> String {
    if let Some(file) = sqlite_file(url) {
        return file;
    }
    of_postgres(url, |options| format!("{}:{}", options.get_host(), options.get_port()))
}

fn user(url: &str) -> String {
    of_postgres(url, |options| options.get_username().to_owned())
}

fn name(url: &str) -> String {
    of_postgres(url, |options| options.get_database().unwrap_or(options.get_username()).to_owned())
}

fn of_postgres(url: &str, say: impl FnOnce(PgConnectOptions) -> String) -> String {
    url.parse().map_or_else(|_| "of DATABASE_URL".to_owned(), say)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_an_address_holds_no_password() {
        let url = "postgres://anna:secret@db.example:6432/attune?sslmode=disable";
        assert_eq!(
            (place(url), user(url), name(url)),
            ("db.example:6432".into(), "anna".into(), "attune".into())
        );
        assert_eq!(place("sqlite:///srv/attune.db?mode=rwc"), "/srv/attune.db");
        assert_eq!(place("postgres://anna:secret@host:port/x"), "of DATABASE_URL");
    }

    #[tokio::test]
    async fn a_file_is_found_by_its_address_whatever_it_is_called() {
        let here = tempfile::tempdir_in(".").unwrap();
        let here = Path::new(here.path().file_name().unwrap());
        for name in ["my data", "Данные проекта", "a:b", "x^y|z", "team[1]", "50 % #?"]
        {
            let folder = here.join(name);
            std::fs::create_dir(&folder).unwrap();
            for file in [folder.join("a.db"), std::path::absolute(folder.join("b.db")).unwrap()] {
                let url = sqlite_url(&file);
                let missing = crate::database::MissingFile::AsTheUrlSays;
                let locks = crate::database::LockWait::Bounded;
                let (db, _) = crate::database::connect(&url, 1, missing, locks).await.unwrap();
                crate::database::close(db).await.unwrap();
                assert!(file.is_file(), "{}", file.display());
            }
        }
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused_without_being_repeated() {
        let problem = probe("mysql://anna:secret@host/attune").await.unwrap_err();
        assert_eq!(problem, DatabaseProblem::UnknownKind);
        let problem = probe("postgres://anna:secret@host:port/attune").await.unwrap_err();
        assert!(!problem.to_string().contains("secret"), "{problem}");
        assert!(problem.to_string().contains("port"), "{problem}");
    }
}
