//! The small files of a model folder, up to a length: a folder may come from anywhere, and a file in
//! it may be anything.

use entity::message;
use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Bytes that a file of this name may have, several times what the largest known models have; none
/// for weights, which are never read whole.
pub fn most_bytes(name: &str) -> Option<u64> {
    match name {
        "config.json" | "generation_config.json" => Some(4 << 20),
        "tokenizer.json" | "tokenizer.model" | "model.safetensors.index.json" => Some(64 << 20),
        name if name.ends_with(".jinja") => Some(1 << 20),
        name if name.ends_with(".safetensors") => None,
        _ => Some(16 << 20),
    }
}

/// Reads a file that is no longer than [`most_bytes`]; one that is longer is an error of kind
/// `FileTooLarge`, and nothing is kept of it.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let most = most_bytes(&name).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_long(&name, most));
    }
    Ok(bytes)
}

/// [`read`] of a text.
pub fn read_text(path: &Path) -> io::Result<String> {
    String::from_utf8(read(path)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// An error where a file is too long to be read by whoever reads it whole.
pub fn check_length(path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    match most_bytes(&name) {
        Some(most) if path.metadata()?.len() > most => Err(too_long(&name, most)),
        _ => Ok(()),
    }
}

fn too_long(name: &str, most: u64) -> io::Error {
    let why = message!(
        "model-file-too-long",
        "{name} is longer than {most} MB, which no model needs: it is damaged, or meant to do harm; take the model from elsewhere",
        name = name,
        most = most >> 20
    );
    io::Error::new(io::ErrorKind::FileTooLarge, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_the_length_that_its_name_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat_template.jinja");
        std::fs::write(&path, vec![b'a'; 1 << 20]).unwrap();
        assert_eq!(read_text(&path).unwrap().len(), 1 << 20);
        assert!(check_length(&path).is_ok());
        // As large as a file can be made without filling the disk.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        let error = read(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert!(error.to_string().contains("longer than 1 MB"), "{error}");
        assert!(check_length(&path).is_err());
    }
}
