//! Which files of a repository, or of a folder, make a model folder.

use crate::{
    chat_template::{NAMED_TEMPLATES, named_files},
    errors::{WithMessage, cannot_read},
    model_files,
};
use anyhow::{Result, bail, ensure};
use entity::{message, message::KeyedMessage};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fs, io, path::Path, time::UNIX_EPOCH};

pub(super) const CONFIG: &str = "config.json";
pub(super) const INDEX: &str = "model.safetensors.index.json";
const TOKENIZER: &str = "tokenizer.json";
const WEIGHTS: &str = "model.safetensors";

/// Besides config.json, tokenizer.json and the weights; and every LICENSE and NOTICE.
const OPTIONAL: [&str; 7] = [
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
    "README.md",
];

/// Chat templates besides the default one that are fetched at most.
const MOST_TEMPLATES: usize = 32;

/// Whether this is a template that lies where transformers looks for it, under a name that is one
/// everywhere.
fn is_named_template(file: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    file.strip_prefix(NAMED_TEMPLATES)
        .and_then(|rest| rest.strip_prefix('/')?.strip_suffix(".jinja"))
        .is_some_and(|name| !name.is_empty() && !name.starts_with('.') && name.bytes().all(plain))
}

/// What the hub says of a repository at one commit (`/api/models/ORG/NAME/revision/…?blobs=true`).
#[derive(Debug, Deserialize)]
pub(super) struct FileListing {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<ListedFile>,
}

#[derive(Debug, Deserialize)]
struct ListedFile {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<LargeFile>,
}

#[derive(Debug, Deserialize)]
struct LargeFile {
    sha256: Option<String>,
    size: Option<u64>,
}

/// A file to fetch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RemoteFile {
    /// It lies at the root, but for named chat templates.
    pub name: String,
    /// Bytes, where the hub says it beforehand.
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

/// A SHA-256 in small letters; none where it is something else: it becomes the name of a file.
pub(super) fn sha256(text: &str) -> Option<String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hash.then(|| text.to_ascii_lowercase())
}

impl RemoteFile {
    /// Bytes of it that are in `folder`, whole or in part.
    pub(super) fn arrived(&self, folder: &Path) -> u64 {
        [self.name.clone(), self.part_name()]
            .iter()
            .find_map(|name| fs::metadata(folder.join(name)).ok())
            .map_or(0, |file| file.len())
    }

    /// What a file of this name may have; weights may have what was told of them.
    pub(super) fn most_bytes(&self) -> Option<u64> {
        model_files::most_bytes(&self.name)
    }

    /// What it is called until it is whole.
    pub(super) fn part_name(&self) -> String {
        format!("{}.part", self.name)
    }
}

impl FileListing {
    /// What is in a folder of this machine. Sizes and times stand for the commit.
    pub(super) fn of_folder(folder: &Path) -> Result<Self> {
        ensure!(
            folder.is_dir(),
            message!(
                "fetch-no-folder",
                "there is no folder {folder} on this machine: check how it is spelt, and whether this user may read it",
                folder = folder.display()
            )
        );
        let read = || -> io::Result<Self> {
            let (mut siblings, mut state) = (Vec::new(), Vec::new());
            let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
            for path in entries.chain(named_files(folder).into_iter().map(Ok)) {
                let path = path?;
                let Ok(file) = fs::metadata(&path) else { continue };
                // Links out of the folder are refused when the file is opened.
                let name = path.strip_prefix(folder).ok().and_then(Path::to_str);
                let name = name.unwrap_or_default().to_owned();
                let since = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                state.push(format!("{name} {} {}", file.len(), since.as_nanos()));
                if file.is_file() {
                    siblings.push(ListedFile {
                        rfilename: name,
                        size: Some(file.len()),
                        lfs: None,
                    });
                }
            }
            state.sort();
            let sha = hex::encode(Sha256::digest(state.join("\n")));
            Ok(Self { sha: Some(sha), siblings })
        };
        read().with_message(|| cannot_read(folder))
    }

    /// The commit, so that all files are of one; the revision where the server does not tell.
    pub(super) fn commit<'a>(&'a self, revision: &'a str) -> &'a str {
        let is_hash = |sha: &&str| sha.chars().all(|letter| letter.is_ascii_hexdigit());
        self.sha.as_deref().filter(is_hash).unwrap_or(revision)
    }

    pub(super) fn file(&self, name: &str) -> Option<RemoteFile> {
        let found = self.siblings.iter().find(|sibling| sibling.rfilename == name)?;
        let lfs = found.lfs.as_ref();
        Some(RemoteFile {
            name: name.to_owned(),
            size: lfs.and_then(|lfs| lfs.size).or(found.size),
            sha256: lfs.and_then(|lfs| sha256(lfs.sha256.as_deref()?)),
        })
    }

    /// Whether the weights are only there in shards.
    pub(super) fn is_sharded(&self) -> bool {
        self.file(WEIGHTS).is_none()
    }

    /// Everything but config, index and shards. A repository without what a model needs is refused.
    pub(super) fn model_files(&self, repository: &str) -> Result<Vec<RemoteFile>> {
        let tokenizer = self.file(TOKENIZER).with_message(|| {
            message!(
                "fetch-no-tokenizer",
                "{repository} has no tokenizer.json, which transformers' `save_pretrained` of a fast tokenizer writes; take one that has it",
                repository = repository
            )
        })?;
        let weights = self.file(WEIGHTS);
        if weights.is_none() && self.file(INDEX).is_none() {
            bail!(self.no_weights(repository));
        }
        let is_legal = |name: &str| {
            let upper = name.to_uppercase();
            !name.contains('/') && (upper.starts_with("LICENSE") || upper.starts_with("NOTICE"))
        };
        let legal =
            self.siblings.iter().map(|s| s.rfilename.as_str()).filter(|name| is_legal(name));
        let named = self.siblings.iter().map(|s| s.rfilename.as_str());
        let named = named.filter(|name| is_named_template(name)).take(MOST_TEMPLATES);
        let others = OPTIONAL.into_iter().chain(legal).chain(named);
        let others = others.filter_map(|name| self.file(name));
        Ok(std::iter::once(tokenizer).chain(others).chain(weights).collect())
    }

    /// Why a repository without safetensors is refused.
    fn no_weights(&self, repository: &str) -> KeyedMessage {
        let has = |ending: &str| self.siblings.iter().any(|s| s.rfilename.ends_with(ending));
        if has(".gguf") {
            message!(
                "fetch-is-gguf",
                "{repository} has GGUF files, which are for llama.cpp; take the repository of the original model",
                repository = repository
            )
        } else if has(".bin") {
            message!(
                "fetch-is-pickle",
                "{repository} has its weights only as PyTorch pickles, which can run code when they are read; take a repository or --revision with safetensors",
                repository = repository
            )
        } else {
            message!(
                "fetch-no-weights",
                "{repository} has no model.safetensors",
                repository = repository
            )
        }
    }

    /// The files that the text of an index names.
    pub(super) fn shards(&self, index: &str) -> Result<Vec<RemoteFile>> {
        let index: Value = serde_json::from_str(index)
            .with_message(|| message!("fetch-index", "{index}", index = INDEX))?;
        let map = index["weight_map"]
            .as_object()
            .with_message(|| message!("fetch-no-map", "no map in {index}", index = INDEX))?;
        let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
        ensure!(
            !names.is_empty(),
            message!("fetch-empty-index", "{index} names no file", index = INDEX)
        );
        let shard = |name: &str| {
            ensure!(
                name.ends_with(".safetensors") && !name.contains('/') && !name.starts_with('.'),
                message!(
                    "fetch-bad-shard",
                    "{index} names {name}, which is not a file of weights beside it",
                    index = INDEX,
                    name = format!("{name:?}")
                )
            );
            self.file(name).with_message(|| {
                message!(
                    "fetch-no-shard",
                    "{index} names {name}, which the repository does not have",
                    index = INDEX,
                    name = name
                )
            })
        };
        names.into_iter().map(shard).collect()
    }
}
