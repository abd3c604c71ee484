//! A base model's folder from the Hugging Face hub, or from a folder of this machine: which files it
//! needs, and each of them whole or not there. What was interrupted goes on where it was.

mod client;
mod download;
mod files;
mod origin;
mod repository;

use crate::{
    errors::{WithMessage, cannot_make},
    job::{Report, VerbOutcome},
};
use anyhow::Result;
use entity::run_config::{FetchConfig, FetchSource};
use origin::BaseOrigin;
use std::{fs, path::Path};

/// Fills `partial` with what a model folder needs of `source`; the text says for a person what it is.
pub fn fetch(
    source: FetchSource,
    config: &FetchConfig,
    partial: &Path,
    report: &mut Report,
) -> Result<(VerbOutcome, String)> {
    repository::fetch(&BaseOrigin::new(source, config)?, partial, report)
}

/// Makes a folder, and those that it lies in.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_message(|| cannot_make(folder))
}
