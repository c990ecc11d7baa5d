//! Safetensors files: reading, after every name, shape, size and offset was checked, and writing.

use super::elements::Element;
use super::{DAMAGED, Format, Loaded, Taken};
use crate::error::{Error, Result};
use crate::weights::HostTensor;
use half::{bf16, f16};
use rayon::prelude::*;
use safetensors::tensor::{Dtype, Metadata, TensorInfo, TensorView};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// Most bytes of a header that is read: a large model has about 100 kB.
const MAX_HEADER: usize = 64 << 20;

/// Element type of the values in a written file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 32 bits: the values as they are.
    F32,
    /// 16 bits, IEEE half precision: 11 significant bits, up to 65,504.
    F16,
    /// 16 bits, bfloat16: 8 significant bits, the range of f32.
    BF16,
}

/// Tensors by name, converted to f32, and metadata of a safetensors file with the content `bytes`. `name` is used in
/// messages.
///
/// # Errors
/// Where the file is damaged or cut, a name comes twice, or a tensor has an element type that is not supported.
pub fn parse(name: &str, bytes: &[u8]) -> Result<(BTreeMap<String, HostTensor>, BTreeMap<String, String>)> {
    let loaded = load(name, bytes)?;
    Ok((loaded.tensors.into_iter().map(|(name, _, tensor)| (name, tensor)).collect(), loaded.metadata))
}

/// The length of the header, when `bytes` look like the start of a safetensors file.
pub(super) fn header_length(bytes: &[u8]) -> Option<u64> {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length))?;
    (bytes.get(8) == Some(&b'{')).then_some(length)
}

pub(super) fn load(name: &str, bytes: &[u8]) -> Result<Loaded> {
    let bad = |what: &dyn fmt::Display| {
        Error::failed(format!("{name} is not a whole safetensors file: {what}")).help(DAMAGED)
    };
    let length = header_length(bytes).ok_or_else(|| bad(&"it has no header"))?;
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_HEADER);
    let length = length.ok_or_else(|| bad(&"its header claims more than 64 MiB"))?;
    let (header, data) = bytes[8..].split_at_checked(length).ok_or_else(|| bad(&"its header is cut"))?;
    let header: Header = serde_json::from_slice(header).map_err(|error| bad(&error))?;

    let mut tensors: Vec<(String, TensorInfo)> = header.tensors.into_iter().collect();
    // Checked before `Metadata::new`, which adds the offsets and could overflow.
    if let Some((tensor, _)) = tensors.iter().find(|(_, info)| info.data_offsets.1 > data.len()) {
        return Err(bad(&format!("tensor {tensor} ends after the end of the file")));
    }
    tensors.sort_by_key(|(_, info)| info.data_offsets);
    let layout = Metadata::new(None, tensors.clone()).map_err(|error| bad(&error))?;
    if layout.data_len() != data.len() {
        return Err(bad(&format!("{} bytes follow the last tensor", data.len() - layout.data_len())));
    }

    let read = |(tensor, info): (String, TensorInfo)| {
        let element = element(info.dtype).ok_or_else(|| {
            Error::failed(format!("{name}: tensor {tensor} has the unsupported type {:?}", info.dtype))
                .help("convert it to F32, F16 or BF16 first")
        })?;
        let (start, end) = info.data_offsets;
        let values = element
            .to_f32(data.get(start..end).unwrap_or_default())
            .ok_or_else(|| Error::failed(format!("{name}: there is no memory for the values of tensor {tensor}")))?;
        Ok((tensor, element.name(), HostTensor { shape: info.shape, values }))
    };
    let tensors = tensors.into_par_iter().map(read).collect::<Result<Vec<_>>>()?;
    Ok(Loaded { format: Format::Safetensors, tensors, metadata: header.metadata, taken: Taken::default() })
}

/// The JSON header, in which no name may come twice.
#[derive(Default)]
struct Header {
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of tensors")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
                let mut header = Header::default();
                let mut seen = false;
                while let Some(name) = map.next_key::<String>()? {
                    let twice = if name == "__metadata__" {
                        header.metadata = map.next_value::<Option<_>>()?.unwrap_or_default();
                        std::mem::replace(&mut seen, true)
                    } else {
                        let info = map.next_value()?;
                        header.tensors.insert(name.clone(), info).is_some()
                    };
                    if twice {
                        return Err(A::Error::custom(format!("{name} is there twice")));
                    }
                }
                Ok(header)
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

fn element(dtype: Dtype) -> Option<Element> {
    Some(match dtype {
        Dtype::F64 => Element::F64,
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::BF16,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U64 => Element::U64,
        Dtype::U32 => Element::U32,
        Dtype::U16 => Element::U16,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        _ => return None,
    })
}

/// The first finite value above f16's range, with its tensor.
fn overflow(tensors: &BTreeMap<String, HostTensor>) -> Option<(&str, f32)> {
    tensors.iter().find_map(|(name, tensor)| {
        let value = tensor.values.iter().find(|value| value.is_finite() && value.abs() >= 65520.0)?;
        Some((name.as_str(), *value))
    })
}

/// The content of a safetensors file with these tensors and metadata. The same input gives the same bytes.
///
/// # Errors
/// Where a value is too large for f16, or a tensor does not have as many values as its shape says.
pub fn serialize(
    tensors: &BTreeMap<String, HostTensor>,
    metadata: &BTreeMap<String, String>,
    precision: ElementType,
) -> Result<Vec<u8>> {
    if precision == ElementType::F16
        && let Some((name, value)) = overflow(tensors)
    {
        return Err(
            Error::failed(format!("{name} has the value {value:e}, which f16 cannot hold")).help("choose bf16 or f32")
        );
    }
    let dtype = match precision {
        ElementType::F32 => Dtype::F32,
        ElementType::F16 => Dtype::F16,
        ElementType::BF16 => Dtype::BF16,
    };
    let buffers: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let values = tensor.values.iter();
            let bytes = match precision {
                ElementType::F32 => values.flat_map(|value| value.to_le_bytes()).collect(),
                ElementType::F16 => values.flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
                ElementType::BF16 => values.flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
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

/// The metadata that [`serialize`] wrote, out of the metadata of a file. Empty for files of other programs.
pub fn own_metadata(metadata: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    metadata.get("maclip").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
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

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    fn message(header: &str, data: &[u8]) -> String {
        parse("odd.safetensors", &file(header, data)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let about = BTreeMap::from([("x".to_owned(), "1".to_owned()), ("y".to_owned(), "2".to_owned())]);
        for precision in [ElementType::F32, ElementType::F16, ElementType::BF16] {
            let bytes = serialize(&sample(), &about, precision).unwrap();
            assert_eq!(bytes, serialize(&sample(), &about, precision).unwrap());
            let (tensors, metadata) = parse("test", &bytes).unwrap();
            assert_eq!(tensors, sample());
            assert_eq!(own_metadata(&metadata), about);
        }
    }

    #[test]
    fn damaged_files_are_errors() {
        let bytes = serialize(&sample(), &BTreeMap::new(), ElementType::F32).unwrap();
        for cut in [0, 4, 20, bytes.len() - 1] {
            assert!(parse("cut.safetensors", &bytes[..cut]).unwrap_err().to_string().contains("cut.safetensors"));
        }
        let mut huge = bytes.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(parse("huge", &huge).is_err());
        huge[..8].copy_from_slice(&(65u64 << 20).to_le_bytes());
        assert!(parse("huge", &huge).unwrap_err().to_string().contains("64 MiB"));
    }

    #[test]
    fn flipped_and_cut_files_never_panic() {
        let about = BTreeMap::from([("x".to_owned(), "1".to_owned())]);
        let mut bytes = serialize(&sample(), &about, ElementType::F16).unwrap();
        for cut in 0..bytes.len() {
            assert!(parse("cut", &bytes[..cut]).is_err());
        }
        for at in 0..bytes.len() {
            let old = bytes[at];
            for new in [old ^ 1, old ^ 0x80, !old, 0, b'9', b'"', b'}'] {
                bytes[at] = new;
                let _ = parse("flipped", &bytes);
            }
            bytes[at] = old;
        }
    }

    #[test]
    fn integers_are_read_and_keep_their_type() {
        let header = r#"{"ids":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]},
            "mask":{"dtype":"BOOL","shape":[2],"data_offsets":[16,18]},
            "none":{"dtype":"F32","shape":[0,3],"data_offsets":[18,18]}}"#;
        let data = [&5i64.to_le_bytes()[..], &(-1i64).to_le_bytes(), &[1, 0]].concat();
        let loaded = load("test", &file(header, &data)).unwrap();
        let found: Vec<_> = loaded.tensors.iter().map(|(name, dtype, tensor)| (&name[..], *dtype, tensor)).collect();
        assert_eq!(found[0], ("ids", "I64", &HostTensor { shape: vec![1, 2], values: vec![5.0, -1.0] }));
        assert_eq!(found[1], ("mask", "BOOL", &HostTensor { shape: vec![2], values: vec![1.0, 0.0] }));
        assert_eq!(found[2], ("none", "F32", &HostTensor { shape: vec![0, 3], values: vec![] }));
    }

    #[test]
    fn hostile_headers_are_errors() {
        let entry = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
            format!(r#""{name}":{{"dtype":"{dtype}","shape":[{shape}],"data_offsets":[{start},{end}]}}"#)
        };
        let header = |entries: &[String]| format!("{{{}}}", entries.join(","));
        let a = entry("a", "F32", "2", 0, 8);
        assert!(message(&header(&[a.clone(), a.clone()]), &[0; 8]).contains("a is there twice"));
        assert!(message(r#"{"__metadata__":{},"__metadata__":{}}"#, &[]).contains("twice"));
        let overlapping = header(&[a.clone(), entry("b", "F32", "2", 4, 12)]);
        assert!(message(&overlapping, &[0; 12]).contains("odd.safetensors"));
        let gap = header(&[a.clone(), entry("b", "F32", "1", 12, 16)]);
        assert!(message(&gap, &[0; 16]).contains("odd.safetensors"));
        assert!(message(&header(std::slice::from_ref(&a)), &[0; 12]).contains("4 bytes follow"));
        assert!(message(&header(&[a]), &[0; 7]).contains("tensor a ends after"));
        assert!(message(&header(&[entry("a", "F32", "3", 0, 8)]), &[0; 8]).contains("odd.safetensors"));
        assert!(message(&header(&[entry("a", "F32", "4611686018427387904,4", 0, 8)]), &[0; 8]).contains("odd"));
        assert!(message(&header(&[entry("a", "F8_E4M3", "8", 0, 8)]), &[0; 8]).contains("unsupported type F8_E4M3"));
        // Offsets that add up to more than a number holds.
        let step = (1u64 << 61) - 1;
        let tensors: Vec<String> =
            (0..8).map(|n| entry(&n.to_string(), "U8", &step.to_string(), n * step, (n + 1) * step)).collect();
        assert!(message(&header(&tensors), &[0; 8]).contains("ends after"));
        message(&format!("{{\"a\":{{\"b\":{}", "[".repeat(100_000)), &[]);
        for odd in
            ["{", "{}x", "[]", r#"{"a":1}"#, r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}"#, "{\u{0}"]
        {
            message(odd, &[]);
        }
        assert!(parse("empty", &file("{}", &[])).unwrap().0.is_empty());
    }
}
