//! A copy of the database before a step of the schema changes it: beside the artifacts, the newest
//! few are kept. Of SQLite it is a database file, which an older version of Attune opens as it is;
//! of PostgreSQL a backup of the rows.

use super::{private_folder, tables};
use anyhow::{Context, bail};
use entity::time::UnixMillis;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement, Value as SqlValue,
};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Copies that are kept.
const KEPT: usize = 3;

/// What stands for a step of the schema that has no name.
pub const UNNAMED_STEP: &str = "migration";

/// Copies the database into the folder unless nothing is in it yet; `step` is the first that is to
/// be taken. The error says how to go on without a copy.
pub async fn keep_copy(db: &DatabaseConnection, folder: &Path, step: &str) -> anyhow::Result<()> {
    if !has_people(db).await? {
        return Ok(());
    }
    let copied = copy(db, folder, step).await;
    let copy = copied.context(
        "cannot copy the database before its schema changes; make room or mend that, \
         or go on without a copy with --no-migration-copy",
    )?;
    tracing::info!(copy = %copy.display(), "copied the database before its schema changes");
    if let Err(error) = remove_old(folder) {
        tracing::warn!(%error, "cannot remove older copies of the database");
    }
    Ok(())
}

async fn has_people(db: &impl ConnectionTrait) -> anyhow::Result<bool> {
    if !tables::all(db).await?.iter().any(|table| table.name == "account") {
        return Ok(false);
    }
    Ok(number(db, "SELECT count(*) AS n FROM account").await? > 0)
}

async fn number(db: &impl ConnectionTrait, sql: &str) -> Result<i64, DbErr> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    row.map_or(Ok(0), |row| row.try_get("", "n"))
}

async fn copy(db: &DatabaseConnection, folder: &Path, step: &str) -> anyhow::Result<PathBuf> {
    private_folder(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    refuse_full_disk(db, folder).await?;
    let name = format!("before-{step}-{}", UnixMillis::now().0);
    if db.get_database_backend() == DbBackend::Postgres {
        let target = folder.join(name);
        super::write(db, None, &target).await?;
        return Ok(target);
    }
    let target = folder.join(format!("{name}.db"));
    let path = target.to_str().context("the folder's name is not plain text")?;
    let values = [SqlValue::from(path)];
    db.execute_raw(Statement::from_sql_and_values(DbBackend::Sqlite, "VACUUM INTO ?", values))
        .await?;
    fs::set_permissions(&target, fs::Permissions::from_mode(0o600))?;
    fs::File::open(&target)?.sync_all()?;
    Ok(target)
}

/// The copy is about as large as the database.
async fn refuse_full_disk(db: &impl ConnectionTrait, folder: &Path) -> anyhow::Result<()> {
    let sql = match db.get_database_backend() {
        DbBackend::Postgres => "SELECT pg_database_size(current_database()) AS n",
        _ => "SELECT page_count * page_size AS n FROM pragma_page_count(), pragma_page_size()",
    };
    let size = number(db, sql).await? as u64;
    let disk = rustix::fs::statvfs(folder)?;
    let free = disk.f_bavail * disk.f_frsize;
    if free < size {
        let megabytes = |n_bytes: u64| n_bytes.div_ceil(1 << 20);
        bail!(
            "{} MB are free at {}, and the database has {} MB",
            megabytes(free),
            folder.display(),
            megabytes(size)
        );
    }
    Ok(())
}

fn remove_old(folder: &Path) -> io::Result<()> {
    let copies = copies(folder)?;
    let n_old = copies.len().saturating_sub(KEPT);
    copies[..n_old].iter().try_for_each(|copy| remove(copy))
}

/// Removes every copy that was made here, and nothing else: people keep backups of their own beside
/// them.
pub fn remove_all(folder: &Path) -> io::Result<()> {
    copies(folder)?.iter().try_for_each(|copy| remove(copy))
}

/// The copies in a folder, which may be missing, the oldest first.
fn copies(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut copies = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(at) = copied_at(name) {
            copies.push((at, path));
        }
    }
    copies.sort();
    Ok(copies.into_iter().map(|(_, path)| path).collect())
}

/// When a copy of this name was made, in milliseconds; none of a name that somebody thought of,
/// such as `before-upgrade-2026-11-27`.
fn copied_at(name: &str) -> Option<i64> {
    let (step, at) = name.strip_prefix("before-")?.rsplit_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = step.strip_prefix('m').and_then(|step| step.split_once('_'));
    let is_step = step == UNNAMED_STEP || numbered.is_some_and(|(number, _)| is_number(number));
    (is_step && is_number(at)).then(|| at.parse().ok())?
}

fn remove(copy: &Path) -> io::Result<()> {
    if copy.is_dir() { fs::remove_dir_all(copy) } else { fs::remove_file(copy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_copies_stay_and_nothing_else_is_touched() {
        let disk = tempfile::tempdir().unwrap();
        for at in [5, 40, 100, 20] {
            fs::write(disk.path().join(format!("before-m0013_x-{at}.db")), "").unwrap();
        }
        fs::create_dir(disk.path().join("before-m0013_x-300")).unwrap();
        let own = ["before-upgrade-2026-11-27", "before-v2-1.db", "mine.db"];
        for name in own {
            fs::write(disk.path().join(name), "").unwrap();
        }
        let left = || {
            let entries = fs::read_dir(disk.path()).unwrap();
            let mut left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            left.sort();
            left
        };
        remove_old(disk.path()).unwrap();
        let kept = ["before-m0013_x-100.db", "before-m0013_x-300", "before-m0013_x-40.db"];
        assert_eq!(left(), [&kept[..], &own[..]].concat());
        fs::create_dir(disk.path().join("before-m0014_y-500.partial")).unwrap();
        remove_all(disk.path()).unwrap();
        assert_eq!(left(), own);
        remove_all(&disk.path().join("nowhere")).unwrap();
    }
}
