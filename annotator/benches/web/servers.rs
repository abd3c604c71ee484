//! The servers that are measured: `annotator serve`, and a PostgreSQL of its own.

use anyhow::{Context, bail};
use sea_orm::{ConnectOptions, Database};
use std::{
    fs::File,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Cargo's target folder.
pub(crate) fn target() -> anyhow::Result<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_annotator"));
    Ok(program.ancestors().nth(2).context("target/PROFILE/annotator")?.to_owned())
}

/// `annotator serve` without a worker.
pub(crate) struct WebServer {
    child: Child,
    pub(crate) url: String,
}

impl WebServer {
    pub(crate) async fn start(folder: &Path, database: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_annotator"))
            .args(["serve", "--listen", "127.0.0.1:0", "--worker", "none", "--data-dir"])
            .arg(folder)
            .env("DATABASE_URL", database)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?)
            .spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        while let Some(Ok(line)) = lines.next() {
            if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://")) {
                let url = url.trim_end_matches('/').to_owned();
                std::thread::spawn(move || lines.for_each(drop));
                return Ok(Self { child, url });
            }
        }
        bail!("the server does not start: {}", std::fs::read_to_string(folder.join("log"))?)
    }

    /// Its processor time so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // Behind the name in brackets, which may hold anything, come the fields from the third on.
        let fields: Vec<&str> =
            stat.rsplit(')').next().context("fields")?.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        // Linux tells programs of a hundredth of a second, whatever it counts in itself.
        Ok(Duration::from_millis(ticks * 10))
    }

    /// The most memory that it ever held, in megabytes.
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("VmHWM")?;
        Ok(line.split_whitespace().nth(1).context("kilobytes")?.parse::<u64>()? / 1024)
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        // What it had to say is in the database.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A PostgreSQL as it is installed, whose commits reach the disk.
pub(crate) struct Cluster {
    server: Child,
    port: u16,
}

impl Cluster {
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir(folder)?;
        let programs = programs().context("no PostgreSQL: install the package postgresql")?;
        if is_root() {
            // Somebody else must reach it, too.
            for above in folder.ancestors().skip(1).take(1) {
                run(Command::new("chmod").arg("711").arg(above))?;
            }
            run(Command::new("chown").arg("postgres").arg(folder))?;
        }
        let data = folder.join("data");
        let settings = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale"];
        run(as_postgres(&programs.join("initdb"))
            .args(settings)
            .arg("--pgdata")
            .arg(&data)
            .current_dir("/"))?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let server = as_postgres(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-k", "", "-p", &port.to_string()])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.parent().context("a folder")?.join("postgres.log"))?)
            .spawn()?;
        let cluster = Self { server, port };
        cluster.wait().await?;
        Ok(cluster)
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    async fn wait(&self) -> anyhow::Result<()> {
        let started = Instant::now();
        loop {
            let mut options = ConnectOptions::new(self.url());
            options.sqlx_logging(false).acquire_timeout(Duration::from_secs(1));
            match Database::connect(options).await {
                Ok(db) => return Ok(db.close().await?),
                Err(error) if started.elapsed() > Duration::from_secs(60) => bail!(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // SIGQUIT: at once; nobody wants its data. `setpriv` has become the server itself.
        let _ = Command::new("kill").arg("-QUIT").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
    }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = versions.map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    let on_path = std::env::var_os("PATH")?;
    let folders = folders.into_iter().rev().chain(std::env::split_paths(&on_path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file())
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
