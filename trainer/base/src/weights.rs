//! What the headers of safetensors files tell, without reading the weights.

use serde::Deserialize;
use std::{collections::BTreeMap, fs::File, io, io::Read, path::Path};

/// Longer headers are not read: safetensors' own limit.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// A tensor in the header of a safetensors file.
#[derive(Deserialize)]
struct TensorHeader {
    shape: Vec<u64>,
}

/// How many numbers the folder's safetensors files hold; 0 where there are none. Errors name the
/// file.
pub fn count_parameters(folder: &Path) -> io::Result<u64> {
    let mut total = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "safetensors") {
            total += parameters_in(&path).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display()))
            })?;
        }
    }
    Ok(total)
}

/// A safetensors file starts with the length of its header (64 bits, little-endian) and the header,
/// a JSON object of tensors by name, beside `__metadata__`.
fn parameters_in(path: &Path) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let mut length = [0; 8];
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER_BYTES {
        let problem = format!("the header would be {length} bytes long");
        return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
    }
    let mut header = vec![0; length as usize];
    file.read_exact(&mut header)?;
    let mut tensors: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&header)?;
    tensors.remove("__metadata__");
    let mut total = 0;
    for tensor in tensors.into_values() {
        total += serde_json::from_value::<TensorHeader>(tensor)?.shape.iter().product::<u64>();
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView, serialize_to_file};

    fn folder_with(header: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        std::fs::write(folder.path().join("model.safetensors"), file).unwrap();
        folder
    }

    #[test]
    fn parameters_are_counted_from_the_header_alone() {
        let folder = folder_with(
            r#"{"__metadata__":{"format":"pt"},
                "a":{"dtype":"F32","shape":[3,4],"data_offsets":[0,48]},
                "b":{"dtype":"F32","shape":[5],"data_offsets":[48,68]}}"#,
        );
        assert_eq!(count_parameters(folder.path()).unwrap(), 17);
    }

    #[test]
    fn parameters_are_counted_over_all_files_of_a_folder() {
        let disk = tempfile::tempdir().unwrap();
        let bytes = [0_u8; 4 * 6];
        for name in ["a", "b"] {
            let tensors = [(name, TensorView::new(Dtype::F32, vec![2, 3], &bytes).unwrap())];
            let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
            serialize_to_file(tensors, metadata, &disk.path().join(format!("{name}.safetensors")))
                .unwrap();
        }
        std::fs::write(disk.path().join("config.json"), "{}").unwrap();
        assert_eq!(count_parameters(disk.path()).unwrap(), 12);
    }

    #[test]
    fn a_file_that_is_no_safetensors_is_refused_before_it_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("model.safetensors"), [0xff; 64]).unwrap();
        let error = count_parameters(folder.path()).unwrap_err().to_string();
        assert!(error.contains("the header would be"), "{error}");
    }
}
