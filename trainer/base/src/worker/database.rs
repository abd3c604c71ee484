//! Opens the database that the web app made.

use anyhow::{bail, ensure};
use sea_orm::DatabaseConnection;
use std::{fs, path::Path};
use storage::{
    database::{self, LockWait, MissingFile},
    database_problem::DatabaseProblem,
    schema::SchemaState,
};

/// Connections of a worker: it does one thing at a time.
const MAX_CONNECTIONS: u32 = 4;

/// File systems that several machines share: SQLite's locks do not hold on them.
const NETWORK_FILE_SYSTEMS: [&str; 11] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "ceph",
    "lustre",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
];

/// Connects, and refuses in a sentence what no run could come from.
pub async fn connect(url: &str) -> anyhow::Result<DatabaseConnection> {
    if let Some(file) = sqlite_file(url) {
        refuse_unusable_file(Path::new(&file))?;
    }
    let (db, state) =
        database::connect(url, MAX_CONNECTIONS, MissingFile::Refused, LockWait::Unbounded).await?;
    if state != SchemaState::Current {
        return Err(DatabaseProblem::older(url).into());
    }
    Ok(db)
}

/// The file of a SQLite URL.
fn sqlite_file(url: &str) -> Option<String> {
    storage::database::sqlite_file(url).filter(|path| !path.contains(":memory:"))
}

fn refuse_unusable_file(file: &Path) -> anyhow::Result<()> {
    ensure!(
        file.exists(),
        "there is no database at {}: a SQLite database serves workers on the web app's own machine only; \
         for a worker elsewhere give the web app a PostgreSQL database, and both its DATABASE_URL",
        file.display()
    );
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let file = fs::canonicalize(file)?;
    if let Some(kind) =
        file_system(&mounts, &file).filter(|kind| NETWORK_FILE_SYSTEMS.contains(kind))
    {
        bail!(
            "the SQLite database {} lies on a network file system ({kind}), where two machines would damage it: \
             for workers on other machines use PostgreSQL",
            file.display()
        );
    }
    Ok(())
}

/// The type of the file system that holds `file`, from the text of `/proc/mounts`.
fn file_system<'a>(mounts: &'a str, file: &Path) -> Option<&'a str> {
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        file.starts_with(point).then_some((point.len(), kind))
    });
    holding.max_by_key(|(length, _)| *length).map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_sqlite_url_is_found_and_a_postgres_url_has_none() {
        assert_eq!(
            sqlite_file("sqlite://data/attune.db?mode=rwc").as_deref(),
            Some("data/attune.db")
        );
        assert_eq!(sqlite_file("sqlite:///srv/attune.db").as_deref(), Some("/srv/attune.db"));
        assert_eq!(sqlite_file("sqlite::memory:"), None);
        assert_eq!(sqlite_file("postgres://localhost/attune"), None);
    }

    #[test]
    fn the_innermost_mount_decides_what_file_system_a_file_is_on() {
        let mounts =
            "/dev/sda1 / ext4 rw 0 0\nserver:/x /mnt nfs4 rw 0 0\ntmpfs /mnt/fast tmpfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/home/a.db")), Some("ext4"));
        assert_eq!(file_system(mounts, Path::new("/mnt/a.db")), Some("nfs4"));
        assert_eq!(file_system(mounts, Path::new("/mnt/fast/a.db")), Some("tmpfs"));
        assert_eq!(file_system(mounts, Path::new("/mnt2/a.db")), Some("ext4"));
    }

    #[tokio::test]
    async fn a_worker_without_the_database_file_says_what_to_do() {
        let error = connect("sqlite:///nowhere/attune.db").await.unwrap_err().to_string();
        assert!(error.contains("PostgreSQL"), "{error}");
    }

    #[tokio::test]
    async fn a_database_that_is_not_migrated_is_refused_in_a_sentence() {
        let disk = tempfile::tempdir().unwrap();
        let file = disk.path().join("empty.db");
        fs::write(&file, "").unwrap();
        let error = connect(&format!("sqlite://{}", file.display())).await.unwrap_err().to_string();
        assert!(error.contains("annotator migrate"), "{error}");
    }
}
