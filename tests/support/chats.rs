//! Files of the tiny world's chats, and models that learnt from them at the shell.

use super::{
    dice::Dice,
    tiny_base,
    trainer::{trainer, write_lines},
    world::{Subject, taste},
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A folder of files, named by what is in them.
pub(crate) struct Chats {
    folder: tempfile::TempDir,
    subjects: Vec<Subject>,
}

impl Chats {
    /// About `n` questions.
    pub(crate) fn new(seed: u64, n: usize) -> Self {
        let subjects = Subject::all(seed).into_iter().take(n).collect();
        Self { folder: tempfile::tempdir().expect("a temporary folder"), subjects }
    }

    /// The path of a file or folder in it.
    pub(crate) fn path(&self, name: &str) -> String {
        text(&self.folder.path().join(name)).to_owned()
    }

    /// One question a row.
    pub(crate) fn prompts(&self) -> String {
        self.file("prompts.jsonl", |subject, _| json!({"prompt": subject.prompt()}))
    }

    /// A question and somebody's answer a row.
    pub(crate) fn demonstrations(&self) -> String {
        self.file("demonstrations.jsonl", |subject, dice| {
            json!({"prompt": subject.prompt(), "completion": said(&subject.answer(dice))})
        })
    }

    /// A question, the answer that suits the taste better, and the other, a row.
    pub(crate) fn preferences(&self) -> String {
        self.preferences_by("preferences.jsonl", taste)
    }

    /// The same by what somebody thinks an answer is worth.
    pub(crate) fn preferences_by(&self, name: &str, worth: impl Fn(&str) -> f64) -> String {
        self.file(name, |subject, dice| {
            let (one, other) = (subject.answer(dice), subject.answer(dice));
            let (chosen, rejected) =
                if worth(&one) >= worth(&other) { (one, other) } else { (other, one) };
            json!({"prompt": subject.prompt(), "chosen": said(&chosen), "rejected": said(&rejected)})
        })
    }

    /// A model that answers questions: the tiny base after two passes over the demonstrations.
    pub(crate) fn sft(&self) -> String {
        let (data, out) = (self.demonstrations(), self.path("sft"));
        let paths = ["sft", "--model", &base(), "--data", &data, "--out", &out];
        run(&paths, "--learning-rate 0.002 --epochs 2 --max-length 128 --save-every 0");
        out
    }

    /// A reward model made of the answering one by a pass over the preferences.
    pub(crate) fn reward(&self, sft: &str) -> String {
        let (data, out) = (self.preferences(), self.path("reward"));
        let paths = ["reward", "--model", sft, "--data", &data, "--out", &out];
        run(&paths, "--learning-rate 0.001 --epochs 1 --max-length 128 --save-every 0");
        out
    }

    fn file(&self, name: &str, row: impl Fn(Subject, &mut Dice) -> Value) -> String {
        let path = self.path(name);
        let mut dice = Dice::new(self.subjects.len() as u64);
        write_lines(Path::new(&path), self.subjects.iter().map(|subject| row(*subject, &mut dice)));
        path
    }
}

/// Runs `trainer` with a verb, paths and, as one text, settings.
pub(crate) fn run(paths: &[&str], settings: &str) -> Value {
    trainer(paths.iter().copied().chain(settings.split_whitespace()))
}

/// The tiny base's folder.
pub(crate) fn base() -> String {
    let folder: PathBuf = tiny_base();
    text(&folder).to_owned()
}

/// An answer as a list of messages.
pub(crate) fn said(answer: &str) -> Value {
    json!([{"role": "assistant", "content": answer}])
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
