//! Safetensors files on the host: read with every name, shape and size checked first, written atomically.

use crate::error::{Error, Result};
use crate::parameters::HostTensor;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

/// Element type of written files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    F32,
    F16,
}

/// Tensors and metadata of a safetensors buffer, converted to f32. `name` is used in messages.
pub fn parse(name: &str, bytes: &[u8]) -> Result<(BTreeMap<String, HostTensor>, BTreeMap<String, String>)> {
    let bad = |error: &dyn std::fmt::Display| {
        Error::failed(format!("{name} is not a whole safetensors file: {error}"))
            .help("copy or download the file again, and compare its size and checksum")
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| bad(&error))?;
    let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect();
    let file = SafeTensors::deserialize(bytes).map_err(|error| bad(&error))?;
    let mut tensors = BTreeMap::new();
    for (tensor_name, view) in file.tensors() {
        let values = to_f32(view.dtype(), view.data()).ok_or_else(|| {
            Error::failed(format!("{name}: tensor {tensor_name} has the unsupported type {:?}", view.dtype()))
        })?;
        tensors.insert(tensor_name, HostTensor { shape: view.shape().to_vec(), values });
    }
    Ok((tensors, metadata))
}

fn to_f32(dtype: Dtype, data: &[u8]) -> Option<Vec<f32>> {
    let pairs = || data.chunks_exact(2).map(|b| [b[0], b[1]]);
    Some(match dtype {
        Dtype::F32 => data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        Dtype::F16 => pairs().map(|b| f16::from_le_bytes(b).to_f32()).collect(),
        Dtype::BF16 => pairs().map(|b| bf16::from_le_bytes(b).to_f32()).collect(),
        _ => return None,
    })
}

/// The tensors as a safetensors buffer; equal input gives equal bytes.
pub fn serialize(
    tensors: &BTreeMap<String, HostTensor>,
    metadata: &BTreeMap<String, String>,
    precision: Precision,
) -> Result<Vec<u8>> {
    let dtype = if precision == Precision::F32 { Dtype::F32 } else { Dtype::F16 };
    let buffers: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let bytes = match precision {
                Precision::F32 => tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect(),
                Precision::F16 => tensor.values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
            };
            (name.clone(), tensor.shape.clone(), bytes)
        })
        .collect();
    let views = buffers
        .iter()
        .map(|(name, shape, bytes)| TensorView::new(dtype, shape.clone(), bytes).map(|view| (name.as_str(), view)))
        .collect::<std::result::Result<Vec<_>, _>>()
        .map_err(|error| Error::failed(format!("weights cannot be written: {error}")))?;
    // A map with more than one key would be written in random order, so all metadata goes under one.
    let text = serde_json::to_string(metadata).unwrap_or_default();
    let metadata = HashMap::from([("maclip".to_owned(), text)]);
    safetensors::serialize(views, Some(metadata))
        .map_err(|error| Error::failed(format!("weights cannot be written: {error}")))
}

/// The metadata that [`serialize`] wrote; empty for files of others.
pub fn own_metadata(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    metadata.get("maclip").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Writes `bytes` to a temporary name beside `path`, syncs and renames: `path` is always the old or the new file.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().map_err(|error| {
        // The temporary file is useless whatever happened to it.
        let _ = std::fs::remove_file(&temporary);
        Error::io("write", path, error)
    })
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BTreeMap<String, HostTensor> {
        BTreeMap::from([
            ("a".to_owned(), HostTensor { shape: vec![2, 2], values: vec![1.0, -2.5, 0.0, 3.25] }),
            ("b".to_owned(), HostTensor { shape: vec![1], values: vec![7.0] }),
        ])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let about = BTreeMap::from([("x".to_owned(), "1".to_owned()), ("y".to_owned(), "2".to_owned())]);
        for precision in [Precision::F32, Precision::F16] {
            let bytes = serialize(&sample(), &about, precision).unwrap();
            assert_eq!(bytes, serialize(&sample(), &about, precision).unwrap());
            let (tensors, metadata) = parse("test", &bytes).unwrap();
            assert_eq!(tensors, sample());
            assert_eq!(own_metadata(&metadata), about);
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let bytes = serialize(&sample(), &BTreeMap::new(), Precision::F32).unwrap();
        for cut in [0, 4, 20, bytes.len() - 1] {
            assert!(parse("cut.safetensors", &bytes[..cut]).unwrap_err().to_string().contains("cut.safetensors"));
        }
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse("huge", &huge).is_err());
    }
}
