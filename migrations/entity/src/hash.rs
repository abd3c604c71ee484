//! SHA-256 in lower-case hexadecimal: the name of every text, dataset version and artifact.

use sha2::{Digest, Sha256};

pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes))
}
