//! One `trainer serve`: started, waited for, and ended when it is dropped.

use crate::models::{
    live::{ModelUnavailable, lock},
    trainer_program::find_trainer,
};
use entity::{message, message::KeyedMessage, report::RunReport};
use rand::distr::{Alphanumeric, SampleString};
use serde::Deserialize;
use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
};
use trainer_base::child_environment::{self, ChildPurpose};

/// Lines of a process that are kept, for the case that they are its last.
const KEPT_LINES: usize = 8;

/// The first line of `trainer serve` on standard output.
#[derive(Deserialize)]
struct Listening {
    listening: String,
}

type Said = Arc<Mutex<VecDeque<String>>>;

pub(super) struct Server {
    url: String,
    key: String,
    said: Said,
    child: Mutex<Child>,
    /// The process ends when this closes, even if this program is killed.
    _stdin: Option<ChildStdin>,
    /// Open, so that the process may write to it.
    _stdout: Option<Lines<BufReader<ChildStdout>>>,
}

impl Server {
    /// Comes back when the model is loaded.
    pub(super) async fn start(
        trainer: Option<PathBuf>,
        folder: PathBuf,
        name: String,
    ) -> Result<Self, ModelUnavailable> {
        let trainer = find_trainer(trainer.as_deref()).map_err(ModelUnavailable::Failed)?;
        let key = Alphanumeric.sample_string(&mut rand::rng(), 32);
        let mut child = command(&trainer, &folder, &name, &key)
            .spawn()
            .map_err(|error| ModelUnavailable::Failed(not_started(&trainer, &error)))?;
        tracing::info!(model = name, pid = child.id(), "loading a model to talk to");
        let said = Said::default();
        let listener =
            child.stderr.take().map(|stderr| tokio::spawn(listen(stderr, Arc::clone(&said))));
        let mut stdout = child.stdout.take().map(|stdout| BufReader::new(stdout).lines());
        let line = match &mut stdout {
            Some(lines) => lines.next_line().await.ok().flatten(),
            None => None,
        };
        let line = line.unwrap_or_default();
        let Ok(Listening { listening }) = serde_json::from_str(&line) else {
            if let Some(listener) = listener {
                let _ = listener.await; // to the last word
            }
            let why = match serde_json::from_str(&line) {
                Ok(RunReport::Failed { message }) => message,
                _ => last_words(&said),
            };
            return Err(ModelUnavailable::Failed(why));
        };
        let url = format!("{listening}/v1/chat/completions");
        let _stdin = child.stdin.take();
        Ok(Self { url, key, said, child: Mutex::new(child), _stdin, _stdout: stdout })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn has_ended(&self) -> bool {
        !matches!(lock(&self.child).try_wait(), Ok(None))
    }

    pub(super) fn last_words(&self) -> KeyedMessage {
        last_words(&self.said)
    }
}

fn not_started(trainer: &Path, error: &io::Error) -> KeyedMessage {
    let (path, why) = (trainer.display(), KeyedMessage::from(error));
    message!("at-path", "{path}: {why}", path = path, why = why)
}

/// The key goes by the environment, because command lines are open to everybody.
fn command(trainer: &Path, folder: &Path, name: &str, key: &str) -> Command {
    let mut command = Command::new(trainer);
    command
        .args(["serve", "--listen", "127.0.0.1:0", "--exit-with-stdin", "--name", name, "--model"])
        .arg(folder)
        .env_clear()
        .envs(child_environment::inherited(ChildPurpose::Computing))
        .env("ATTUNE_SERVE_KEY", key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Logs what the process says, and keeps the end of it.
async fn listen(stderr: ChildStderr, said: Said) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        tracing::info!(line, "a live model says");
        let mut said = lock(&said);
        if said.len() == KEPT_LINES {
            said.pop_front();
        }
        said.push_back(line);
    }
}

/// Its error, else all that is known of what it said.
fn last_words(said: &Said) -> KeyedMessage {
    let said = lock(said);
    let error = said.iter().rev().find_map(|line| line.strip_prefix("error: "));
    match error {
        Some(error) => KeyedMessage::technical(error),
        None if said.is_empty() => message!(
            "live-no-word",
            "the model's process ended without a word; the memory may not suffice"
        ),
        None => {
            let lines: Vec<&str> = said.iter().map(String::as_str).collect();
            KeyedMessage::technical(lines.join("\n"))
        }
    }
}
