//! A model folder from a repository of the Hugging Face hub, or from a folder of this machine.

use super::{
    download::{DownloadTarget, download},
    files::{CONFIG, INDEX, RemoteFile},
    make_folder,
    origin::BaseOrigin,
};
use crate::{
    errors::{WithMessage, cannot_write, root_message},
    job::{Report, VerbOutcome},
    model_config::ModelConfig,
    progress::{RunProgress, say},
};
use anyhow::{Result, bail, ensure};
use entity::{message, report::LogLevel};
use serde_json::Map;
use std::{fs, ops::ControlFlow, path::Path};

/// Which commit a partial folder is of.
const COMMIT: &str = ".commit";

/// Fills `partial` with what a model folder needs; what it is, for a person.
pub(super) fn fetch(
    origin: &BaseOrigin,
    partial: &Path,
    report: &mut Report,
) -> Result<(VerbOutcome, String)> {
    // 1. What there is.
    let repository = &*origin.name();
    let listing = origin.listing()?;
    let files = listing.model_files(repository)?;
    let commit = origin.commit(&listing);
    let description = origin.description(commit);
    begin(partial, commit)?;
    let target = DownloadTarget { origin, commit, folder: partial };
    let mut get_small = |file: &RemoteFile| -> Result<String> {
        // Whoever asked to stop is asked again at the first large file.
        let _ = download(&target, file, report, &mut |_, _| ControlFlow::Continue(()))?;
        fs::read_to_string(partial.join(&file.name)).with_message(|| {
            message!(
                "fetch-no-text",
                "{file} of {repository} is not text",
                file = file.name.as_str(),
                repository = repository
            )
        })
    };

    // 2. Whether it can be computed: known before anything large is fetched.
    let config = listing.file(CONFIG).with_message(|| {
        message!(
            "fetch-no-config",
            "{repository} has no config.json: it is not a model of transformers",
            repository = repository
        )
    })?;
    get_small(&config)?;
    if let Err(error) = ModelConfig::read(partial) {
        let _ = fs::remove_dir_all(partial);
        // Not where it lies: that is no place for a person to look.
        bail!(message!(
            "fetch-not-computed",
            "{repository} cannot be trained here: {why}",
            repository = repository,
            why = root_message(&error)
        ));
    }
    let shards = match listing.file(INDEX) {
        Some(index) if listing.is_sharded() => {
            listing.shards(&get_small(&index)?).with_message(|| {
                message!(
                    "fetch-bad-index",
                    "{repository} cannot be fetched",
                    repository = repository
                )
            })?
        }
        _ => Vec::new(),
    };

    // 3. Everything, the weights last.
    let files: Vec<RemoteFile> = files.into_iter().chain(shards).collect();
    ensure_room(&files, partial)?;
    let planned: u64 = files.iter().filter_map(|file| file.size).sum();
    let mut progress = RunProgress::of_bytes(planned);
    let arrived: u64 = files.iter().map(|file| file.arrived(partial)).sum();
    if arrived > 0 {
        progress.resume(arrived as f64, 0, 0.0);
        let megabytes = format!("{:.1}", arrived as f64 / 1e6);
        let going_on =
            message!("fetch-goes-on", "going on from {megabytes} MB", megabytes = megabytes);
        say(report, LogLevel::Info, going_on);
    }
    for file in &files {
        let flow =
            download(&target, file, report, &mut |bytes, report| progress.arrive(bytes, report))?;
        if flow.is_break() || progress.arrive(0, report).is_break() {
            return Ok((VerbOutcome::Stopped, description));
        }
    }
    fs::remove_file(partial.join(COMMIT))?;
    let megabytes = (progress.done() / 1e6).ceil() as u64;
    Ok((VerbOutcome::Finished(progress.summary("fetch", megabytes, Map::new())), description))
}

/// Opens the partial folder; what it has of another commit is thrown away.
fn begin(partial: &Path, commit: &str) -> Result<()> {
    let marker = partial.join(COMMIT);
    if fs::read_to_string(&marker).ok().as_deref() != Some(commit) {
        let _ = fs::remove_dir_all(partial);
        make_folder(partial)?;
        fs::write(&marker, commit).with_message(|| cannot_write(&marker))?;
    }
    Ok(())
}

/// Bytes of the disk that are left to others: the database may be on it.
const RESERVE: u64 = 1 << 30;

/// An error where the disk has no room for what is missing.
fn ensure_room(files: &[RemoteFile], partial: &Path) -> Result<()> {
    let missing: u64 =
        files.iter().map(|f| f.size.unwrap_or(0).saturating_sub(f.arrived(partial))).sum();
    let disk = rustix::fs::statvfs(partial)
        .with_message(|| message!("fetch-disk-unknown", "cannot tell how full the disk is"))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    ensure!(
        missing.saturating_add(RESERVE) <= free,
        message!(
            "fetch-disk-too-full",
            "the disk is too full: {missing} GB are to be fetched into {folder}, {free} GB are free; make room and start again, or give --out on another disk",
            missing = format!("{:.1}", missing as f64 / 1e9),
            folder = partial.display(),
            free = format!("{:.1}", free as f64 / 1e9)
        )
    );
    Ok(())
}
