//! `trainer merge`: adapters and their base as one whole model.

use crate::{
    model::{self, Transformer, padding},
    run::{checkpoint::refuse_finished, journal::refuse_as_output, written::tell_written},
};
use anyhow::Result;
use entity::message;
use serde_json::Map;
use tch::{Device, Kind};
use trainer_base::{
    adapters::AdapterConfig,
    errors::WithMessage,
    job::{Report, VerbOutcome},
    model_config::ModelPurpose,
    progress::RunProgress,
    settings::MergePaths,
};

/// Writes the model that the adapters make of their base.
pub fn run(paths: &MergePaths, report: &mut Report) -> Result<VerbOutcome> {
    let MergePaths { model: folder, out, overwrite, save_dtype } = paths;
    let adapters = AdapterConfig::read(folder)?.with_message(|| {
        message!(
            "merge-no-adapters",
            "{folder} holds no adapters: it is a whole model, or none",
            folder = folder.display()
        )
    })?;
    refuse_as_output(out, folder, message!("the-model", "model"))?;
    refuse_as_output(out, &adapters.base_folder(folder)?, message!("the-base", "base"))?;
    if !overwrite {
        refuse_finished(out)?;
    }
    let mut merged = Transformer::load_frozen(folder, Kind::Float, Device::Cpu)?;
    merged.save_in(*save_dtype);
    let mut progress = RunProgress::new(1, 1.0);
    match merged.config.purpose {
        ModelPurpose::Language => model::save(&merged, out, &Map::new())?,
        ModelPurpose::Score => padding::save_with_padding(&merged, out)?,
    }
    tell_written(out, &merged, report);
    let _ = progress.advance(1, 1.0, 0, report);
    Ok(VerbOutcome::Finished(progress.summary("merge", 1, Map::new())))
}
