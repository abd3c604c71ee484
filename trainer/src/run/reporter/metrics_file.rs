//! The `--metrics` file: one JSON line per step, whole after every line.

use anyhow::Result;
use entity::{message, message::KeyedMessage};
use serde_json::{Map, Value};
use std::{
    fs::{self, File, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};
use trainer_base::errors::WithMessage;

/// Appends to what an interrupted run wrote, from the step at which this run goes on.
pub(super) struct MetricsFile {
    path: PathBuf,
    file: File,
    is_continued: bool,
}

impl MetricsFile {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let cannot = || unwritten(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_message(cannot)?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).open(path);
        Ok(Self { path: path.to_path_buf(), file: file.with_message(cannot)?, is_continued: false })
    }

    /// A line for an optimiser step. What was measured before the first is no step's, and left out.
    pub(super) fn write(&mut self, metrics: &Map<String, Value>) -> Result<()> {
        if step(metrics) == Some(0) {
            return Ok(());
        }
        let mut line = serde_json::to_vec(metrics)?;
        line.push(b'\n');
        self.write_line(&line, metrics).with_message(|| unwritten(&self.path))
    }

    fn write_line(&mut self, line: &[u8], metrics: &Map<String, Value>) -> Result<()> {
        if !self.is_continued {
            // The first step that is told is the one at which the run goes on: steps from there on
            // are done again, and a fresh run starts the file anew.
            let kept = kept_bytes(&fs::read(&self.path)?, step(metrics));
            self.file.set_len(kept as u64)?;
            self.file.seek(SeekFrom::End(0))?;
            self.is_continued = true;
        }
        Ok(self.file.write_all(line)?)
    }
}

fn unwritten(path: &Path) -> KeyedMessage {
    message!("metrics-unwritten", "cannot write the metrics file {path}", path = path.display())
}

/// How much of a metrics file stands before `step`: whole lines of earlier steps.
fn kept_bytes(text: &[u8], step: Option<u64>) -> usize {
    let is_earlier = |line: &[u8]| {
        let metrics = serde_json::from_slice::<Map<String, Value>>(line).unwrap_or_default();
        line.ends_with(b"\n") && self::step(&metrics) < step && self::step(&metrics).is_some()
    };
    text.split_inclusive(|&byte| byte == b'\n')
        .take_while(|line| is_earlier(line))
        .map(<[u8]>::len)
        .sum()
}

fn step(metrics: &Map<String, Value>) -> Option<u64> {
    metrics.get("step")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn metrics(step: u64, loss: f64) -> Map<String, Value> {
        json!({"step": step, "loss": loss}).as_object().expect("an object").clone()
    }

    #[test]
    fn a_resumed_run_replaces_the_lines_of_the_steps_that_it_does_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/metrics.jsonl");
        let mut first = MetricsFile::open(&path).unwrap();
        for step in 1..=3 {
            first.write(&metrics(step, 0.5)).unwrap();
        }
        fs::write(&path, [fs::read(&path).unwrap(), b"{\"step\": 4, \"lo".to_vec()].concat())
            .unwrap();

        let mut resumed = MetricsFile::open(&path).unwrap();
        for step in 3..=4 {
            resumed.write(&metrics(step, 0.25)).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        let losses: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| (line["step"].as_u64().unwrap(), line["loss"].as_f64().unwrap()))
            .collect();
        assert_eq!(losses, [(1, 0.5), (2, 0.5), (3, 0.25), (4, 0.25)]);
    }

    #[test]
    fn a_run_from_the_start_starts_the_file_anew() {
        let text = b"{\"step\":1}\n{\"step\":2}\n";
        assert_eq!(kept_bytes(text, Some(1)), 0);
        assert_eq!(kept_bytes(text, Some(2)), 11);
        assert_eq!(kept_bytes(text, Some(9)), text.len());
        assert_eq!(kept_bytes(b"{\"step\":1}\nnot JSON\n{\"step\":2}\n", Some(9)), 11);
    }
}
