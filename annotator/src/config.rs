//! What is typed: the verbs and their flags. Every flag can be given as an `ATTUNE_…` variable
//! (the database as `DATABASE_URL`), and `--help` lists them all.

use crate::data::formats;
use clap::{Args, Parser, Subcommand, ValueEnum};
use entity::{dataset_version::DatasetKind, log_format::LogFormat};
use ipnet::IpNet;
use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    path::PathBuf,
    str::FromStr,
};
use storage::database::sqlite_url;

/// The web app in which people teach a language model.
#[derive(Debug, Parser)]
#[command(name = "annotator", version)]
pub struct Cli {
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve the web app; no step is needed before it.
    Serve(ServeConfig),
    /// Bring the database to this version's schema and stop.
    Migrate(StorageConfig),
    /// Create an account and print its one-time password, which lapses after a week, unless one
    /// comes on standard input.
    CreateUser(CreateUserConfig),
    /// Unlock an account and print a one-time password for it that lapses after a day: for an
    /// administrator whom nobody else can let in.
    ResetPassword(ResetPasswordConfig),
    /// Read prompts, demonstrations or preferences (JSON Lines, `.gz` too) into a project.
    Import(ImportConfig),
    /// Write a project's demonstrations or preferences as JSON Lines in TRL's formats.
    Export(ExportConfig),
    /// Copy the database and the artifacts into a folder, while the service runs.
    Backup(BackupConfig),
    /// Put a backup into an empty database, of either kind, and its artifacts into their folder.
    Restore(RestoreConfig),
    /// Remove texts, or who somebody was, for the law; without --yes it only says what would go.
    Erase(EraseConfig),
    /// Write everything that is kept of one person as JSON Lines.
    ExportPerson(ExportPersonConfig),
}

/// Where everything is kept.
#[derive(Clone, Debug, Args)]
pub struct StorageConfig {
    /// Folder of the embedded database and, unless told otherwise, of the artifacts.
    #[arg(long, env = "ATTUNE_DATA_DIR", default_value = "data")]
    pub data_dir: PathBuf,
    /// PostgreSQL (postgres://…) or a file of SQLite (sqlite://…) instead of DATA_DIR/attune.db. One
    /// in memory is refused: nothing would be kept.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Folder of models and datasets, addressed by hash [default: DATA_DIR/artifacts].
    #[arg(long = "artifacts", env = "ATTUNE_ARTIFACTS")]
    pub artifacts: Option<PathBuf>,
    /// Bring an older database to this version's schema without keeping a copy of it in
    /// ARTIFACTS/backups.
    #[arg(long, env = "ATTUNE_NO_MIGRATION_COPY")]
    pub no_migration_copy: bool,
}

impl StorageConfig {
    /// Everything in one folder, for tests.
    #[cfg(test)]
    pub fn in_folder(data_dir: &std::path::Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            database_url: None,
            artifacts: None,
            no_migration_copy: false,
        }
    }

    /// The database's address: as given, else the embedded one.
    pub fn url(&self) -> String {
        match &self.database_url {
            Some(url) => url.clone(),
            None => sqlite_url(&self.embedded()),
        }
    }

    /// The file of the embedded database.
    pub fn embedded(&self) -> PathBuf {
        self.data_dir.join("attune.db")
    }

    /// The artifact store's folder.
    pub fn artifacts_dir(&self) -> PathBuf {
        self.artifacts.clone().unwrap_or_else(|| self.data_dir.join("artifacts"))
    }
}

#[derive(Clone, Debug, Args)]
pub struct ServeConfig {
    /// Address to listen on, HOST:PORT; port 0 takes a free one.
    #[arg(long, env = "ATTUNE_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: ListenAddress,
    #[command(flatten)]
    pub storage: StorageConfig,
    /// Run a training worker beside the web app, or leave that to other machines.
    #[arg(long, env = "ATTUNE_WORKER", value_enum, default_value = "local")]
    pub worker: WorkerPlace,
    /// The trainer's executable [default: `trainer` beside this executable].
    #[arg(long, env = "ATTUNE_TRAINER")]
    pub trainer: Option<PathBuf>,
    /// A Hugging Face folder to offer as the base model.
    #[arg(long, env = "ATTUNE_BASE")]
    pub base: Option<PathBuf>,
    /// Models that may be loaded at once for people to talk to; 0 allows none.
    #[arg(long, env = "ATTUNE_LIVE_MODELS", default_value_t = 2, value_name = "N")]
    pub live_models: usize,
    /// Mark cookies Secure and tell browsers to use HTTPS only: say so when the app is reached over
    /// HTTPS. Over plain HTTP nobody can sign in then.
    #[arg(long, env = "ATTUNE_SECURE_COOKIES")]
    pub secure_cookies: bool,
    /// Proxies in front of the app whose X-Forwarded-For is believed: addresses or networks, with
    /// commas between them (10.0.0.0/8,fd00::/8). Attempts to sign in are limited per address, so
    /// behind a proxy that is not named here everybody counts as one.
    #[arg(
        long,
        env = "ATTUNE_TRUSTED_PROXIES",
        value_delimiter = ',',
        value_parser = network,
        value_name = "CIDR,…"
    )]
    pub trusted_proxies: Vec<IpNet>,
    /// Address on which Prometheus finds the numbers of this process, at /metrics: HOST:PORT, of a
    /// network that strangers do not reach [default: none].
    #[arg(long, env = "ATTUNE_METRICS_LISTEN", value_name = "HOST:PORT")]
    pub metrics_listen: Option<ListenAddress>,
    /// How log lines are written to standard error; RUST_LOG chooses which.
    #[arg(long, env = "ATTUNE_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}

/// An address as typed: a host, which may be a name, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// An IPv6 address stands in brackets.
    pub host: String,
    pub port: u16,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{typed} is not HOST:PORT, such as 127.0.0.1:8080, localhost:8080 or [::1]:8080"
            )
        };
        let (host, port) = typed.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let is_host = match bare {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains([':', '/', '[', ']', '@', ' ']),
        };
        if is_host { Ok(Self { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A network, or an address as the network of itself.
fn network(typed: &str) -> Result<IpNet, String> {
    let typed = typed.trim();
    let network = typed.parse().or_else(|_| typed.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| format!("{typed} is neither an address nor a network such as 10.0.0.0/8"))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkerPlace {
    Local,
    None,
}

#[derive(Clone, Debug, Args)]
pub struct CreateUserConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// What the person types at sign-in; stored in lower case.
    #[arg(long, env = "ATTUNE_LOGIN")]
    pub login: String,
    /// The name that others see.
    #[arg(long, env = "ATTUNE_NAME")]
    pub name: String,
    /// Administers the installation.
    #[arg(long, env = "ATTUNE_ADMIN")]
    pub admin: bool,
    /// Read the password from the first line of standard input.
    #[arg(long, env = "ATTUNE_PASSWORD_STDIN")]
    pub password_stdin: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ResetPasswordConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// What the person types at sign-in.
    #[arg(long, env = "ATTUNE_LOGIN")]
    pub login: String,
}

#[derive(Clone, Debug, Args)]
pub struct ImportConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The project's name; it is made if it is missing.
    #[arg(long, env = "ATTUNE_PROJECT")]
    pub project: String,
    /// Import the other rows when some cannot be read; otherwise such a file is refused whole.
    #[arg(long, env = "ATTUNE_LEAVE_OUT")]
    pub leave_out: bool,
    /// Rows of `prompt`, `messages`, `prompt` + `completion` or `prompt` + `chosen` + `rejected`.
    pub file: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct ExportConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The project's name.
    #[arg(long, env = "ATTUNE_PROJECT")]
    pub project: String,
    #[arg(long, env = "ATTUNE_FORMAT", value_parser = formats::export_parser())]
    pub format: DatasetKind,
    /// Where to write; `-` is standard output.
    #[arg(long, env = "ATTUNE_OUT")]
    pub out: PathBuf,
}

#[derive(Clone, Debug, Args)]
pub struct BackupConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The folder to write; it must not be there yet.
    #[arg(long, env = "ATTUNE_OUT")]
    pub out: PathBuf,
    /// Leave out models, dataset versions and answers.
    #[arg(long, env = "ATTUNE_ROWS_ONLY")]
    pub rows_only: bool,
}

#[derive(Clone, Debug, Args)]
pub struct RestoreConfig {
    /// Where to put it: a database without tables, and a folder of artifacts.
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The backup.
    pub folder: PathBuf,
    /// What was erased since the backup was taken, and is erased again: the file erasures.jsonl of
    /// the artifacts folder that was in use [default: that of the folder restored into, if any].
    #[arg(long, env = "ATTUNE_ERASURES")]
    pub erasures: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct EraseConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// The text of this SHA-256.
    #[arg(long, env = "ATTUNE_TEXT", group = "what", value_name = "SHA256")]
    pub text: Option<String>,
    /// Every text in which these words stand, within longer words too; large and small letters are
    /// the same.
    #[arg(long, env = "ATTUNE_CONTAINING", group = "what", value_name = "WORDS")]
    pub containing: Option<String>,
    /// Who the person of this login was.
    #[arg(long, env = "ATTUNE_PERSON", group = "what", value_name = "LOGIN")]
    pub person: Option<String>,
    /// With the person, the texts that they alone wrote.
    #[arg(long, env = "ATTUNE_WITH_TEXTS", requires = "person")]
    pub with_texts: bool,
    /// Take the words of the texts out of the guidelines of projects, too.
    #[arg(long, env = "ATTUNE_GUIDELINES", conflicts_with = "person")]
    pub guidelines: bool,
    /// Why, in 1000 characters at the most; it is kept.
    #[arg(long, env = "ATTUNE_REASON")]
    pub reason: String,
    /// Do it: it cannot be undone.
    #[arg(long, env = "ATTUNE_YES")]
    pub yes: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ExportPersonConfig {
    #[command(flatten)]
    pub storage: StorageConfig,
    /// Whose data.
    #[arg(long, env = "ATTUNE_LOGIN")]
    pub login: String,
    /// Where to write, in a file that is not there yet; `-` is standard output.
    #[arg(long, env = "ATTUNE_OUT")]
    pub out: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_listen_on_may_be_a_name() {
        for typed in ["127.0.0.1:8080", "localhost:8080", "[::1]:0", "0.0.0.0:80"] {
            assert_eq!(typed.parse::<ListenAddress>().unwrap().to_string(), typed);
        }
        for typed in ["8080", ":8080", "localhost", "::1:8080", "http://localhost:8080", "a:99999"]
        {
            let said = typed.parse::<ListenAddress>().unwrap_err();
            assert!(said.contains("HOST:PORT"), "{typed}: {said}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_or_a_network() {
        assert_eq!(network("10.0.0.0/8").unwrap().to_string(), "10.0.0.0/8");
        assert_eq!(network(" fd00::1").unwrap().to_string(), "fd00::1/128");
        assert!(network("proxy.example").is_err());
    }
}
