//! Databases that live as long as a test: SQLite in a folder of the test's own, and PostgreSQL in a
//! throw-away cluster that all tests of the process share, one database each.

use super::{
    is_ci,
    leash::{Leash, signal},
};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbErr};
use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Makes two tests of one: `name::on_sqlite` and `name::on_postgresql`.
macro_rules! on_both_databases {
    ($(#[$attribute:meta])* async fn $name:ident($database:ident: TestDb) $body:block) => {
        mod $name {
            use super::*;

            async fn test($database: $crate::support::database::TestDb) $body

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_sqlite() {
                test($crate::support::database::TestDb::sqlite().await).await;
            }

            $(#[$attribute])*
            #[tokio::test(flavor = "multi_thread")]
            async fn on_postgresql() {
                if let Some(database) = $crate::support::database::TestDb::postgres().await {
                    test(database).await;
                }
            }
        }
    };
}
pub(crate) use on_both_databases;

/// An empty database.
pub(crate) struct TestDb {
    pub(crate) url: String,
    /// Of SQLite; and whatever else a server under test writes.
    pub(crate) folder: tempfile::TempDir,
    /// Its name on the cluster.
    name: Option<String>,
    /// Its own, which a test may kill.
    cluster: Option<Cluster>,
}

impl TestDb {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("attune.db").display());
        Self { url, folder, name: None, cluster: None }
    }

    /// None, and a line that says so, without PostgreSQL; on CI that is a failure.
    pub(crate) async fn postgres() -> Option<Self> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let cluster = match tokio::task::block_in_place(Cluster::shared) {
            Ok(cluster) => cluster,
            Err(reason) if is_ci() => panic!("PostgreSQL is needed on CI: {reason}"),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        cluster
            .execute(&format!("CREATE DATABASE {name}"))
            .await
            .expect("the cluster makes a database");
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { url: cluster.url(&name), folder, name: Some(name), cluster: None })
    }

    /// One in a cluster that no other test uses.
    pub(crate) fn postgres_alone() -> Option<Self> {
        let cluster = match tokio::task::block_in_place(Cluster::start) {
            Ok(cluster) => cluster,
            Err(reason) if is_ci() => panic!("PostgreSQL is needed on CI: {reason}"),
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return None;
            }
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        Some(Self { url: cluster.url("postgres"), folder, name: None, cluster: Some(cluster) })
    }

    /// Kills the server of a cluster of the test's own, which starts again; false without one.
    pub(crate) fn crash(&self) -> bool {
        let pid = self.cluster.as_ref().and_then(|cluster| {
            let file = std::fs::read_to_string(cluster.data.join("postmaster.pid")).ok()?;
            file.lines().next()?.trim().parse::<u32>().ok()
        });
        pid.is_some_and(|pid| signal("KILL", &pid.to_string()).is_some())
    }

    /// A database of another by another way to it.
    pub(crate) fn at(url: String) -> Self {
        Self {
            url,
            folder: tempfile::tempdir().expect("a temporary folder"),
            name: None,
            cluster: None,
        }
    }

    /// A connection of the test's own, to look behind the scenes.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(2).sqlx_logging(false);
        Database::connect(options).await.expect("the test's database opens")
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (Some(name), Ok(cluster)) = (&self.name, Cluster::shared()) else { return };
        let sql = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        let dropped = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(cluster.execute(&sql))
        });
        if let Err(error) = dropped {
            eprintln!("{name} stays until the cluster goes: {error}");
        }
    }
}

/// One PostgreSQL server in a temporary folder, listening on this machine alone.
struct Cluster {
    port: u16,
    data: PathBuf,
    _server: Leash,
}

impl Cluster {
    fn shared() -> Result<&'static Self, String> {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        CLUSTER.get_or_init(Self::start).as_ref().map_err(Clone::clone)
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    async fn execute(&self, sql: &str) -> Result<(), DbErr> {
        let mut options = ConnectOptions::new(self.url("postgres"));
        options.max_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await?;
        connection.execute_unprepared(sql).await?;
        connection.close().await
    }

    fn start() -> Result<Self, String> {
        let programs = programs().ok_or("no PostgreSQL: install the package postgresql")?;
        let folder = tempfile::Builder::new()
            .prefix("attune-postgres-")
            .tempdir()
            .map_err(|error| error.to_string())?;
        // The shell on the leash removes the folder, because statics are never dropped.
        let folder = folder.keep();
        let as_postgres = is_root();
        if as_postgres {
            run(Command::new("chown").arg("postgres").arg(&folder))?;
        }
        let data = folder.join("data");
        let initdb = programs.join("initdb");
        let settings =
            ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"];
        run(as_user(as_postgres, &initdb)
            .args(settings)
            .arg("--pgdata")
            .arg(&data)
            .current_dir(&folder))?;
        guard(&data.join("pg_hba.conf"))?;
        let port = free_port();
        let (server, log) = (programs.join("postgres"), folder.join("log"));
        let switch = if as_postgres {
            "setpriv --reuid=postgres --regid=postgres --clear-groups"
        } else {
            ""
        };
        // One that was killed starts again.
        let script = format!(
            "trap 'kill -INT $server; wait $server; rm -rf {3}; exit' TERM; while :; do \
             {switch} '{0}' -D '{1}' -h 127.0.0.1 -k '' -p {port} -F -c max_connections=200 >> '{2}' 2>&1 & \
             server=$!; wait $server; sleep 0.2; done",
            server.display(),
            data.display(),
            log.display(),
            folder.display()
        );
        let leash = Leash::start(Path::new("sh"), ["-c", script.as_str()], |command| {
            command.stdout(Stdio::null())
        });
        let started = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() || !is_ready(&data) {
            if started.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(format!("PostgreSQL does not start:\n{log}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { port, data, _server: leash })
    }
}

/// Everybody is trusted, but the role `guarded` has to give its password.
fn guard(rules: &Path) -> Result<(), String> {
    let trust = std::fs::read_to_string(rules).map_err(|error| error.to_string())?;
    let guarded = format!("host all guarded 127.0.0.1/32 scram-sha-256\n{trust}");
    std::fs::write(rules, guarded).map_err(|error| error.to_string())
}

/// The last line of `postmaster.pid` says when connections are accepted.
fn is_ready(data: &Path) -> bool {
    std::fs::read_to_string(data.join("postmaster.pid")).is_ok_and(|text| text.contains("ready"))
}

/// The newest installed PostgreSQL's programs: Debian's folder of versions, else what is on the path.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    let on_path = std::env::var_os("PATH")?;
    let folders = versions.into_iter().rev().map(|(_, folder)| folder);
    folders.chain(std::env::split_paths(&on_path)).find(|folder| folder.join("initdb").is_file())
}

/// PostgreSQL refuses to run as root; Debian's package comes with a user for it.
fn as_user(as_postgres: bool, program: &Path) -> Command {
    if !as_postgres {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) -> Result<(), String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_database_is_empty_and_its_own() {
    let (Some(one), Some(other)) = (TestDb::postgres().await, TestDb::postgres().await) else {
        return;
    };
    one.connect().await.execute_unprepared("CREATE TABLE mine (id integer)").await.unwrap();
    other.connect().await.execute_unprepared("CREATE TABLE mine (id integer)").await.unwrap();
}
