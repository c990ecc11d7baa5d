//! Ready features in files: NumPy's `.npy`, and safetensors with one array or with an array for each clip.
//!
//! Source: the NPY format, versions 1 to 3 (`numpy.lib.format`), and the safetensors format. An array is
//! `[frames, width]` of f16, f32 or f64 (bf16 too in safetensors), little endian, one frame after the other.

use half::{bf16, f16};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::open_regular;
use regex::Regex;
use safetensors::tensor::{Dtype, TensorInfo};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// The largest array, in bytes.
const LARGEST: u64 = 512 << 20;
/// The longest header of an NPY file.
const NPY_HEADER: usize = 1 << 16;
/// The longest header of a safetensors file, which is the limit of the format.
const HEADER: u64 = 100_000_000;
/// Names that a message shows.
const SHOWN: usize = 4;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F16,
    Bf16,
    F32,
    F64,
}

impl Element {
    fn bytes(self) -> u64 {
        match self {
            Element::F16 | Element::Bf16 => 2,
            Element::F32 => 4,
            Element::F64 => 8,
        }
    }
}

/// An array of features: its sizes, and where its values are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    /// Number of its rows.
    pub frames: usize,
    /// Values of a row.
    pub width: usize,
    element: Element,
    /// Bytes of the values in the file.
    pub range: Range<u64>,
}

/// What is wrong with an array, as a text without the name of the file.
type Checked<T> = std::result::Result<T, String>;

impl Array {
    fn new(shape: &[usize], element: Element, start: u64) -> Checked<Self> {
        let &[frames, width] = shape else {
            return Err(format!("its array has the shape {shape:?}, and features have [frames, width]"));
        };
        if frames == 0 || width == 0 {
            return Err(format!("its array of shape {shape:?} is empty"));
        }
        let bytes = (frames as u64).checked_mul(width as u64).and_then(|count| count.checked_mul(element.bytes()));
        let bytes = bytes.filter(|bytes| *bytes <= LARGEST);
        let bytes = bytes.ok_or_else(|| format!("its array of shape {shape:?} is larger than {LARGEST} bytes"))?;
        Ok(Self { frames, width, element, range: start..start + bytes })
    }

    /// The array of an NPY file of `size` bytes, of which only the header is read.
    ///
    /// # Errors
    /// Where it is no such file, or holds other values or another order.
    pub fn npy(source: &mut impl Read, size: u64) -> Checked<Self> {
        static FIELDS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
            [r"'descr'\s*:\s*'([^']*)'", r"'fortran_order'\s*:\s*(True|False)", r"'shape'\s*:\s*\(([^)]*)\)"]
                .map(|field| Regex::new(field).expect("the patterns are constant and valid"))
        });
        let mut start = [0; 8];
        let cut = |_| "it is cut: its header is not whole".to_owned();
        source.read_exact(&mut start).map_err(|_| "it is no NPY file".to_owned())?;
        if !start.starts_with(b"\x93NUMPY") {
            return Err("it is no NPY file: it does not begin with \\x93NUMPY".to_owned());
        }
        let (length, before) = match start[6] {
            1 => {
                let mut two = [0; 2];
                source.read_exact(&mut two).map_err(cut)?;
                (usize::from(u16::from_le_bytes(two)), 10)
            }
            2 | 3 => {
                let mut four = [0; 4];
                source.read_exact(&mut four).map_err(cut)?;
                (u32::from_le_bytes(four) as usize, 12)
            }
            version => return Err(format!("it has version {version} of the NPY format; 1 to 3 are read")),
        };
        if length > NPY_HEADER {
            return Err(format!("its header has {length} bytes, and that of an array has fewer than {NPY_HEADER}"));
        }
        let mut header = vec![0; length];
        source.read_exact(&mut header).map_err(cut)?;
        let header = String::from_utf8_lossy(&header);
        let [kind, order, shape] =
            FIELDS.each_ref().map(|field| field.captures(&header).map(|found| found[1].to_owned()));
        let (Some(kind), Some(order), Some(shape)) = (kind, order, shape) else {
            return Err(format!("its header does not say kind, order and shape of one array: {}", header.trim()));
        };
        let element = match kind.as_str() {
            "<f2" => Element::F16,
            "<f4" => Element::F32,
            "<f8" => Element::F64,
            _ if kind.starts_with('>') => {
                return Err(format!("its values are big endian (`{kind}`): save it with `array.astype('<f4')`"));
            }
            _ => return Err(format!("its values are of kind `{kind}`; read are <f2, <f4 and <f8")),
        };
        if order == "True" {
            let how = "save it with `numpy.ascontiguousarray(array)`";
            return Err(format!("it is in Fortran order, one column after the other: {how}"));
        }
        let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty()).map(str::parse);
        let sizes: Vec<usize> =
            sizes.collect::<std::result::Result<_, _>>().map_err(|_| format!("its shape ({shape}) is none"))?;
        let array = Self::new(&sizes, element, before + length as u64)?;
        match array.range.end.cmp(&size) {
            std::cmp::Ordering::Equal => Ok(array),
            std::cmp::Ordering::Greater => Err(format!("it is cut: it has {size} of {} bytes", array.range.end)),
            std::cmp::Ordering::Less => Err(format!("it has {} bytes behind its array", size - array.range.end)),
        }
    }

    /// The only array of a safetensors file.
    ///
    /// # Errors
    /// Where it is no such file, or has none or several.
    pub fn only(source: &mut impl Read, size: u64) -> Checked<Self> {
        let arrays = arrays(source, size)?;
        let names: Vec<&str> = arrays.keys().take(SHOWN).map(String::as_str).collect();
        match arrays.len() {
            1 => arrays.into_values().next().unwrap_or_else(|| Err("it holds no array".to_owned())),
            0 => Err("it holds no array".to_owned()),
            many => Err(format!(
                "it holds {many} arrays ({}{}), and a clip is one: name the file in dataset.root, and the arrays \
                 in the lists",
                names.join(", "),
                if many > SHOWN { ", …" } else { "" }
            )),
        }
    }

    /// The array of a file, by its extension.
    ///
    /// # Errors
    /// As [`Array::npy`] and [`Array::only`].
    pub fn of(name: &str, source: &mut impl Read, size: u64) -> Checked<Self> {
        if name.to_lowercase().ends_with(".npy") { Self::npy(source, size) } else { Self::only(source, size) }
    }

    /// The rows `indices` of the array whose values are `bytes`.
    ///
    /// # Errors
    /// Where there is no such row, or a value is no finite number.
    pub fn rows(&self, bytes: &[u8], indices: &[usize]) -> Checked<Vec<f32>> {
        let row = self.width * self.element.bytes() as usize;
        let mut values = Vec::with_capacity(indices.len() * self.width);
        for &index in indices {
            let at = index.checked_mul(row).filter(|_| index < self.frames);
            let bytes = at.and_then(|at| bytes.get(at..at + row));
            let bytes = bytes.ok_or_else(|| format!("it has {} frames; there is no frame {index}", self.frames))?;
            let from = values.len();
            match self.element {
                Element::F16 => values.extend(bytes.as_chunks().0.iter().map(|two| f16::from_le_bytes(*two).to_f32())),
                Element::Bf16 => {
                    values.extend(bytes.as_chunks().0.iter().map(|two| bf16::from_le_bytes(*two).to_f32()))
                }
                Element::F32 => values.extend(bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four))),
                Element::F64 => {
                    values.extend(bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32))
                }
            }
            if let Some(at) = values[from..].iter().position(|value| !value.is_finite()) {
                return Err(format!("value {at} of frame {index} is no finite number"));
            }
        }
        Ok(values)
    }
}

/// The arrays of a safetensors file of `size` bytes by name, of which only the header is read.
fn arrays(source: &mut impl Read, size: u64) -> Checked<BTreeMap<String, Checked<Array>>> {
    let mut start = [0; 8];
    source.read_exact(&mut start).map_err(|_| "it is no safetensors file".to_owned())?;
    let length = u64::from_le_bytes(start);
    if length > HEADER || length.saturating_add(8) > size {
        return Err("it is no safetensors file, or it is cut".to_owned());
    }
    let mut header = Vec::new();
    source.take(length).read_to_end(&mut header).map_err(|error| error.to_string())?;
    let header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&header).map_err(|error| format!("its header is damaged: {error}"))?;
    let first = length + 8;
    let array = |about: serde_json::Value| {
        let info: TensorInfo =
            serde_json::from_value(about).map_err(|error| format!("its header is damaged: {error}"))?;
        let element = match info.dtype {
            Dtype::F16 => Element::F16,
            Dtype::BF16 => Element::Bf16,
            Dtype::F32 => Element::F32,
            Dtype::F64 => Element::F64,
            other => return Err(format!("its values are of kind {other:?}; read are F16, BF16, F32 and F64")),
        };
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        if to > size - first || from > to {
            return Err("it is cut".to_owned());
        }
        let array = Array::new(&info.shape, element, first + from)?;
        let fits = array.range.end == first + to;
        if fits { Ok(array) } else { Err("its shape does not fit its bytes".to_owned()) }
    };
    let of_arrays = header.into_iter().filter(|(name, _)| name != "__metadata__");
    Ok(of_arrays.map(|(name, about)| (name, array(about))).collect())
}

/// A safetensors file with an array for each clip.
pub struct ArrayFile {
    /// The file.
    pub path: PathBuf,
    file: File,
    arrays: BTreeMap<String, Checked<Array>>,
}

impl ArrayFile {
    /// Reads the header.
    ///
    /// # Errors
    /// Where it is no safetensors file.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("read", path, error);
        let file = open_regular(path).map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let arrays = arrays(&mut &file, size).map_err(|why| Error::failed(format!("{}: {why}", path.display())))?;
        Ok(Self { path: path.to_path_buf(), file, arrays })
    }

    /// The array of this name, or what is wrong with it; `None` where there is none.
    pub fn array(&self, name: &str) -> Option<Checked<&Array>> {
        self.arrays.get(name).map(|array| array.as_ref().map_err(Clone::clone))
    }

    /// What is there, for messages.
    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.arrays.keys().take(SHOWN).map(String::as_str).collect();
        let more = if self.arrays.len() > SHOWN { ", …" } else { "" };
        format!("{} arrays ({}{more})", self.arrays.len(), names.join(", "))
    }
}

/// The bytes `range` of an open file.
fn part(file: &File, range: &Range<u64>) -> Checked<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| "it is too large".to_owned())?];
    file.read_exact_at(&mut bytes, range.start).map_err(|error| error.to_string())?;
    Ok(bytes)
}

impl ArrayFile {
    /// The values of an array of this file, as bytes.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn bytes(&self, array: &Array) -> Checked<Vec<u8>> {
        part(&self.file, &array.range)
    }
}

/// The array of a file of its own, and the open file.
///
/// # Errors
/// As [`Array::of`].
pub fn open(path: &Path) -> Checked<(Array, File)> {
    let file = open_regular(path).map_err(|error| error.to_string())?;
    let size = file.metadata().map_err(|error| error.to_string())?.len();
    let array = Array::of(&path.to_string_lossy(), &mut &file, size)?;
    Ok((array, file))
}

/// The values of the array of a file of its own, as bytes.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Checked<(Array, Vec<u8>)> {
    let (array, file) = open(path)?;
    let bytes = part(&file, &array.range)?;
    Ok((array, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(version: u8, header: &str, values: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY".to_vec();
        bytes.extend([version, 0]);
        match version {
            1 => bytes.extend((header.len() as u16).to_le_bytes()),
            _ => bytes.extend((header.len() as u32).to_le_bytes()),
        }
        bytes.extend(header.as_bytes());
        bytes.extend(values);
        bytes
    }

    fn opened(bytes: &[u8]) -> Checked<(Array, Vec<f32>)> {
        let array = Array::npy(&mut &*bytes, bytes.len() as u64)?;
        let values = array.rows(&bytes[array.range.start as usize..], &[1, 0])?;
        Ok((array, values))
    }

    #[test]
    fn arrays_npy_of_each_version_and_kind_are_read() {
        let f16s: Vec<u8> = [1.0, 2.0, 3.0, -4.0].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let f32s: Vec<u8> = [1.0_f32, 2.0, 3.0, -4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let f64s: Vec<u8> = [1.0_f64, 2.0, 3.0, -4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        for (version, kind, values) in [(1, "<f2", &f16s), (1, "<f4", &f32s), (2, "<f8", &f64s), (3, "<f4", &f32s)] {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2, 2), }}   \n");
            let (array, rows) = opened(&npy(version, &header, values)).unwrap();
            assert_eq!((array.frames, array.width), (2, 2), "{kind}");
            assert_eq!(rows, [3.0, -4.0, 1.0, 2.0], "{kind}");
        }
    }

    #[test]
    fn arrays_that_are_no_features_say_why() {
        let header = |kind: &str, order: &str, shape: &str| {
            format!("{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}")
        };
        let values = [0; 16];
        let good = header("<f4", "False", "(2, 2)");
        for (bytes, words) in [
            (npy(1, &header("<f4", "True", "(2, 2)"), &values), "Fortran order"),
            (npy(1, &header(">f4", "False", "(2, 2)"), &values), "big endian"),
            (npy(1, &header("<i4", "False", "(2, 2)"), &values), "of kind `<i4`"),
            (npy(1, &header("<f4", "False", "(4,)"), &values), "shape [4]"),
            (npy(1, &header("<f4", "False", "(1, 2, 2)"), &values), "shape [1, 2, 2]"),
            (npy(1, &header("<f4", "False", "(0, 2)"), &[]), "is empty"),
            (npy(1, &header("<f4", "False", "(999999999999, 999999999999)"), &[]), "is larger than"),
            (npy(1, &header("<f4", "False", "(2, x)"), &values), "its shape (2, x) is none"),
            (npy(1, &good, &values[..15]), "it is cut: it has"),
            (npy(1, &good, &[0; 17]), "1 bytes behind"),
            (npy(4, &good, &values), "version 4"),
            (npy(2, &good, &values)[..40].to_vec(), "its header is not whole"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "its header has 4294967295 bytes"),
            (npy(1, "{'descr': [('a', '<f4')]}", &values), "does not say kind, order and shape"),
            (b"PK\x03\x04 and so on".to_vec(), "does not begin with"),
        ] {
            let why = opened(&bytes).unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
        let nan: Vec<u8> = [1.0_f32, 2.0, 3.0, f32::NAN].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert!(opened(&npy(1, &good, &nan)).unwrap_err().contains("value 1 of frame 1 is no finite number"));
        let array = Array::npy(&mut &*npy(1, &good, &values), 16 + 10 + good.len() as u64).unwrap();
        assert!(array.rows(&values, &[2]).unwrap_err().contains("there is no frame 2"));
    }

    #[test]
    fn arrays_of_safetensors_are_one_or_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("all.safetensors");
        let values: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = |shape: &[usize]| safetensors::tensor::TensorView::new(Dtype::F32, shape.to_vec(), &values).unwrap();
        let write = |views: Vec<(&str, safetensors::tensor::TensorView)>| {
            std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
        };
        write(vec![("features", view(&[2, 2]))]);
        let (array, bytes) = read(&path).unwrap();
        assert_eq!(array.rows(&bytes, &[1]).unwrap(), [3.0, 4.0]);
        write(vec![("a/b", view(&[1, 4])), ("flat", view(&[4]))]);
        assert!(read(&path).unwrap_err().contains("it holds 2 arrays (a/b, flat)"));
        let file = ArrayFile::open(&path).unwrap();
        let array = file.array("a/b").unwrap().unwrap();
        assert_eq!(array.rows(&file.bytes(array).unwrap(), &[0]).unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert!(file.array("flat").unwrap().unwrap_err().contains("shape [4]") && file.array("c").is_none());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        let cut = ArrayFile::open(&path).unwrap();
        assert!(["a/b", "flat"].iter().any(|name| cut.array(name).unwrap().is_err_and(|why| why.contains("cut"))));
        std::fs::write(&path, [255; 20]).unwrap();
        assert!(ArrayFile::open(&path).err().unwrap().to_string().contains("no safetensors file"));
    }
}
