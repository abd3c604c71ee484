//! What tells a run from others: its settings, and hashes of its inputs.

use crate::model::{adapter_folder::AdapterFolder, weights::weight_files};
use anyhow::Result;
use entity::run_config::{RunConfig, changeable};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{fs::File, os::unix::fs::FileExt, path::Path};
use trainer_base::model_files;

/// The inputs that a run is measured on. A run that goes on is measured on the same, or its numbers could
/// not be held against those before.
pub(crate) const EVAL_DATA: &str = "eval_data";
pub(crate) const EVAL_PROMPTS: &str = "eval_prompts";

/// Two runs with the same are the same run, and one goes on from the other's checkpoint.
#[derive(Clone, Debug)]
pub(crate) struct RunIdentity {
    /// As it is written into checkpoints.
    value: Value,
    /// The settings' defaults, for a checkpoint that is older than one of them.
    defaults: Map<String, Value>,
}

impl RunIdentity {
    /// Of a run of this kind with these settings on inputs that are told by their hashes.
    pub(crate) fn new<C: RunConfig, const N: usize>(
        kind: &str,
        config: &C,
        inputs: [(&str, String); N],
    ) -> Self {
        let mut value = json!({"kind": kind, "config": config.identity()});
        for (name, hash) in inputs {
            value[name] = hash.into();
        }
        Self { value, defaults: C::default().identity() }
    }

    pub(crate) fn value(&self) -> &Value {
        &self.value
    }

    /// What a checkpoint says of itself, with the settings that it does not know at their defaults:
    /// a run is still the same when the program has learnt of another setting meanwhile, or that one
    /// changes no weight. One that is older than that it tells what is held out goes on with whatever is.
    pub(crate) fn completed(&self, mut saved: Value) -> Value {
        for name in [EVAL_DATA, EVAL_PROMPTS] {
            if let (None, Some(own)) = (saved.get(name), self.value.get(name)) {
                saved[name] = own.clone();
            }
        }
        if let Some(config) = saved.get_mut("config").and_then(Value::as_object_mut) {
            changeable(config).iter().for_each(|name| drop(config.shift_remove(*name)));
            for (name, default) in &self.defaults {
                config.entry(name.clone()).or_insert_with(|| default.clone());
            }
        }
        saved
    }
}

/// Of token ids, sequence by sequence.
pub(crate) fn hash_of_sequences<'a>(sequences: impl Iterator<Item = &'a [i64]>) -> String {
    let mut hash = Sha256::new();
    for ids in sequences {
        hash.update((ids.len() as u64).to_le_bytes());
        for id in ids {
            hash.update(id.to_le_bytes());
        }
    }
    hex::encode(hash.finalize())
}

/// Of a model folder: its config, and samples from all over its weights, since these may be many
/// gigabytes.
pub(crate) fn hash_of_model(folder: &Path) -> Result<String> {
    const SAMPLES: u64 = 64;
    const BYTES: usize = 1 << 16;
    let mut hash = Sha256::new();
    let mut files = Vec::new();
    let whole = match AdapterFolder::open(folder)? {
        None => folder.to_path_buf(),
        Some(adapters) => {
            files.extend(adapters.files());
            adapters.base
        }
    };
    hash.update(model_files::read(&whole.join("config.json"))?);
    files.extend(weight_files(&whole).unwrap_or_default());
    let mut buffer = vec![0; BYTES];
    for path in files {
        let file = File::open(&path)?;
        let length = file.metadata()?.len();
        hash.update(length.to_le_bytes());
        for sample in 0..SAMPLES {
            let n = file.read_at(&mut buffer, length / SAMPLES * sample)?;
            hash.update(&buffer[..n]);
        }
    }
    Ok(hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entity::run_config::SftConfig;

    #[test]
    fn a_checkpoint_that_is_older_than_a_setting_has_it_at_its_default() {
        let identity = |config: &SftConfig| RunIdentity::new("sft", config, [("data", "d".into())]);
        let own = identity(&SftConfig::default());
        let mut older = own.value().clone();
        older["config"].as_object_mut().unwrap().shift_remove("weight_decay");
        assert_ne!(&older, own.value());
        assert_eq!(&own.completed(older.clone()), own.value());
        let mut other = SftConfig::default();
        other.optimisation.weight_decay = 0.1;
        let other = identity(&other);
        assert_ne!(&other.completed(older), other.value(), "the setting is another");
    }

    #[test]
    fn a_run_goes_on_with_other_settings_where_they_change_no_weight() {
        let own = RunIdentity::new("sft", &SftConfig { eval_every: 5, ..SftConfig::default() }, []);
        // As programs wrote it that took the setting for a part of the run.
        let mut saved = own.value().clone();
        saved["config"]["eval_every"] = json!(0);
        assert_eq!(&own.completed(saved), own.value());
    }

    #[test]
    fn a_run_is_measured_on_the_rows_that_it_began_with_where_its_checkpoint_tells_them() {
        let of = |held_out: &str| {
            RunIdentity::new("sft", &SftConfig::default(), [(EVAL_DATA, held_out.into())])
        };
        let (own, other) = (of("a"), of("b"));
        assert_ne!(&own.completed(other.value().clone()), own.value());
        let mut older = other.value().clone();
        older.as_object_mut().unwrap().shift_remove(EVAL_DATA);
        assert_eq!(&own.completed(older), own.value());
    }

    #[test]
    fn where_a_sequence_ends_is_part_of_its_hash() {
        let hash = |rows: &[&[i64]]| hash_of_sequences(rows.iter().copied());
        assert_eq!(hash(&[&[1, 2], &[3]]), hash(&[&[1, 2], &[3]]));
        assert_ne!(hash(&[&[1, 2], &[3]]), hash(&[&[1], &[2, 3]]));
    }
}
