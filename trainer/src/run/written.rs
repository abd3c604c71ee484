//! What a run says of the model that it has written.

use crate::model::{Transformer, weights::WEIGHTS};
use entity::{message, report::LogLevel};
use std::{fs, path::Path};
use tch::Kind;
use trainer_base::{adapters::ADAPTER_WEIGHTS, job::Report, progress::say};

/// Tells in which precision the weights in a folder are, and how large they are.
pub(crate) fn tell_written(folder: &Path, model: &Transformer, report: &mut Report) {
    let size = |name: &str| fs::metadata(folder.join(name)).map_or(0, |about| about.len());
    let n_bytes = size(WEIGHTS) + size(ADAPTER_WEIGHTS);
    let written = message!(
        "model-written",
        "the model is written in {dtype}: {megabytes} MB on the disk, and about as much in the memory of whoever loads it so",
        dtype = if model.saved_kind == Kind::BFloat16 { "bf16" } else { "f32" },
        megabytes = format!("{:.1}", n_bytes as f64 / 1e6)
    );
    say(report, LogLevel::Info, written);
}
