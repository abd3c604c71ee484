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
    model_files,
    progress::{RunProgress, say},
    tokenizer::Tokenizer,
    weights::count_parameters,
};
use anyhow::{Result, bail, ensure};
use entity::{message, message::KeyedMessage, report::LogLevel};
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
    // 2. Whether it can be computed: known before anything large is fetched.
    let config = listing.file(CONFIG).with_message(|| {
        message!(
            "fetch-no-config",
            "{repository} has no config.json: it is not a model of transformers",
            repository = repository
        )
    })?;
    small_file(&target, &config, report)?;
    refuse_what_cannot_be_computed(repository, partial)?;
    let shards = match listing.file(INDEX) {
        Some(index) if listing.is_sharded() => listing
            .shards(&small_file(&target, &index, report)?)
            .with_message(|| cannot_be_fetched(repository))?,
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
    // 4. What arrived, looked at before anybody else does: here only this process can come to harm.
    refuse_what_cannot_be_read(repository, partial)?;
    fs::remove_file(partial.join(COMMIT))?;
    let megabytes = (progress.done() / 1e6).ceil() as u64;
    Ok((VerbOutcome::Finished(progress.summary("fetch", megabytes, Map::new())), description))
}

/// Fetches a file that is text, and reads it.
fn small_file(target: &DownloadTarget, file: &RemoteFile, report: &mut Report) -> Result<String> {
    // Whoever asked to stop is asked again at the first large file.
    let _ = download(target, file, report, &mut |_, _| ControlFlow::Continue(()))?;
    model_files::read_text(&target.folder.join(&file.name)).with_message(|| {
        message!(
            "fetch-no-text",
            "{file} of {repository} is not text",
            file = file.name.as_str(),
            repository = target.origin.name()
        )
    })
}

/// Throws the partial folder away where the model in it is none that this trainer computes.
fn refuse_what_cannot_be_computed(repository: &str, partial: &Path) -> Result<()> {
    let Err(error) = ModelConfig::read(partial) else { return Ok(()) };
    let _ = fs::remove_dir_all(partial);
    // Without the path of the partial folder, which means nothing to a person.
    bail!(message!(
        "fetch-not-computed",
        "{repository} cannot be trained here: {why}",
        repository = repository,
        why = root_message(&error)
    ))
}

/// Throws the partial folder away where the headers of the weights, the tokenizer or the chat template
/// are damaged.
fn refuse_what_cannot_be_read(repository: &str, partial: &Path) -> Result<()> {
    let count = count_parameters(partial).map_err(anyhow::Error::from);
    let Err(error) = count.and_then(|_| Tokenizer::load(partial)) else { return Ok(()) };
    let _ = fs::remove_dir_all(partial);
    bail!(message!(
        "fetch-not-readable",
        "{repository} cannot be used: {why}",
        repository = repository,
        why = root_message(&error)
    ))
}

fn cannot_be_fetched(repository: &str) -> KeyedMessage {
    message!("fetch-bad-index", "{repository} cannot be fetched", repository = repository)
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
