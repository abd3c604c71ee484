//! What tells a run from others: hashes of its inputs.

use crate::model::weights::weight_files;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::{fs::File, os::unix::fs::FileExt, path::Path};

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
    hash.update(std::fs::read(folder.join("config.json"))?);
    let mut buffer = vec![0; BYTES];
    for path in weight_files(folder).unwrap_or_default() {
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

    #[test]
    fn where_a_sequence_ends_is_part_of_its_hash() {
        let hash = |rows: &[&[i64]]| hash_of_sequences(rows.iter().copied());
        assert_eq!(hash(&[&[1, 2], &[3]]), hash(&[&[1, 2], &[3]]));
        assert_ne!(hash(&[&[1, 2], &[3]]), hash(&[&[1], &[2, 3]]));
    }
}
