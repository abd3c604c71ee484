//! Where a base's files come from: the hub, or a folder of this machine.

use super::{
    client::{HubClient, HubProblem, OpenedFile},
    files::{FileListing, RemoteFile},
};
use crate::errors::{WithMessage, cannot_read};
use anyhow::Result;
use entity::message::KeyedMessage;
use entity::run_config::{FetchConfig, FetchSource};
use std::{
    fs::File,
    io::{Seek, SeekFrom},
    path::{Path, PathBuf},
};
use storage::folder_files::file_kind;

/// The hub, or a folder.
pub(super) enum BaseOrigin<'a> {
    Hub { hub: HubClient, repository: &'a str, revision: &'a str },
    Folder(&'a Path),
}

impl<'a> BaseOrigin<'a> {
    /// For what was named as a base.
    pub(super) fn new(source: FetchSource<'a>, config: &'a FetchConfig) -> Result<Self> {
        Ok(match source {
            FetchSource::Hub(repository) => Self::Hub {
                hub: HubClient::from_environment()?,
                repository,
                revision: &config.revision,
            },
            FetchSource::Folder(folder) => Self::Folder(folder),
        })
    }

    /// In a sentence.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Hub { repository, .. } => (*repository).to_owned(),
            Self::Folder(folder) => folder.display().to_string(),
        }
    }

    pub(super) fn listing(&self) -> Result<FileListing> {
        match self {
            Self::Hub { hub, repository, revision } => hub.listing(repository, revision),
            Self::Folder(folder) => FileListing::of_folder(folder),
        }
    }

    /// What the listing is of: what arrived of another state is thrown away.
    pub(super) fn commit<'l>(&'l self, listing: &'l FileListing) -> &'l str {
        match self {
            Self::Hub { revision, .. } => listing.commit(revision),
            Self::Folder(_) => listing.commit(""),
        }
    }

    /// Its name with what a person may want to note of its state.
    pub(super) fn description(&self, commit: &str) -> String {
        match self {
            Self::Hub { repository, .. } => format!("{repository} ({commit})"),
            Self::Folder(_) => self.name(),
        }
    }

    /// A file's bytes from `start` on, or from the beginning.
    pub(super) fn open(
        &self,
        commit: &str,
        name: &str,
        start: u64,
    ) -> Result<OpenedFile, HubProblem> {
        match self {
            Self::Hub { hub, repository, .. } => hub.open(repository, commit, name, start),
            Self::Folder(folder) => open_file(folder, name, start).map_err(HubProblem::Final),
        }
    }

    /// Where the machine has the file already, and it need not be fetched.
    pub(super) fn cached(&self, file: &RemoteFile) -> Option<PathBuf> {
        match self {
            Self::Hub { hub, repository, .. } => hub.cached(repository, file),
            Self::Folder(_) => None,
        }
    }

    /// Why a file that broke off again and again is given up.
    pub(super) fn unreachable(&self, why: &KeyedMessage) -> KeyedMessage {
        match self {
            Self::Hub { hub, .. } => hub.unreachable(why),
            Self::Folder(folder) => cannot_read(folder).because(why.clone()),
        }
    }
}

fn open_file(folder: &Path, name: &str, start: u64) -> Result<OpenedFile> {
    let path = &folder.join(name);
    let read = || -> std::io::Result<OpenedFile> {
        file_kind(folder, path)?;
        let mut file = File::open(path)?;
        let size = Some(file.metadata()?.len());
        file.seek(SeekFrom::Start(start))?;
        Ok(OpenedFile { start, reader: Box::new(file), size, sha256: None })
    };
    read().with_message(|| cannot_read(path))
}
