//! The folders of checkpoints by their names: `checkpoint-N` is complete, `.checkpoint-N.unfinished`
//! is being written, or was when its writer died.

use crate::errors::WithMessage;
use anyhow::Result;
use entity::message;
use std::{fs, io::ErrorKind, path::Path};

/// The name of the checkpoint after `step` steps.
pub fn name(step: u64) -> String {
    format!("checkpoint-{step}")
}

/// Its name until it is complete.
pub fn unfinished_name(step: u64) -> String {
    format!(".checkpoint-{step}.unfinished")
}

/// The best model so far of a run that keeps it; it goes with the checkpoints.
pub const BEST: &str = ".checkpoint-best";

/// Whether a folder of this name is a checkpoint that is not complete, or what belongs to checkpoints.
pub fn is_unfinished(name: &str) -> bool {
    name.starts_with(".checkpoint-")
}

/// After how many steps the checkpoint of this name is, if it is one.
pub fn step_of(name: &str) -> Option<u64> {
    name.strip_prefix("checkpoint-")?.parse().ok()
}

/// Removes the checkpoints in an output folder, complete or not.
pub fn remove_all_in(out: &Path) -> Result<()> {
    for entry in fs::read_dir(out)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if step_of(&name).is_some() || is_unfinished(&name) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Removes a checkpoint; one that is not there is removed already.
pub fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error).with_message(|| {
            message!("cannot-remove", "cannot remove {path}", path = folder.display())
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_known_by_its_name_whether_complete_or_not() {
        assert_eq!(step_of(&name(12)), Some(12));
        assert_eq!(step_of(&unfinished_name(12)), None);
        assert!(is_unfinished(&unfinished_name(12)) && !is_unfinished(&name(12)));
        assert_eq!(step_of("checkpoint-best"), None);
    }
}
