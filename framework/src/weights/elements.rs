//! Element types of checkpoint files, their conversion to f32, strided views, and transposition.

use crate::weights::HostTensor;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use rayon::prelude::*;

/// Values that one task converts.
const BLOCK: usize = 1 << 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    Bool,
}

impl Element {
    pub fn name(self) -> &'static str {
        match self {
            Element::F64 => "F64",
            Element::F32 => "F32",
            Element::F16 => "F16",
            Element::BF16 => "BF16",
            Element::I64 => "I64",
            Element::I32 => "I32",
            Element::I16 => "I16",
            Element::I8 => "I8",
            Element::U64 => "U64",
            Element::U32 => "U32",
            Element::U16 => "U16",
            Element::U8 => "U8",
            Element::Bool => "BOOL",
        }
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 | Element::U64 => 8,
            Element::F32 | Element::I32 | Element::U32 => 4,
            Element::F16 | Element::BF16 | Element::I16 | Element::U16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
        }
    }

    /// Little-endian `data` as f32 values; integers are rounded to the nearest f32. `None` where there is not enough
    /// memory.
    pub fn to_f32(self, data: &[u8]) -> Option<Vec<f32>> {
        let count = data.len() / self.size();
        let mut values = Vec::new();
        values.try_reserve_exact(count).ok()?;
        values.resize(count, 0.0);
        values
            .par_chunks_mut(BLOCK)
            .zip(data.par_chunks(BLOCK * self.size()))
            .for_each(|(values, data)| self.convert(values, data));
        Some(values)
    }

    fn convert(self, values: &mut [f32], data: &[u8]) {
        match self {
            Element::F64 => each(values, data, |bytes| f64::from_le_bytes(bytes) as f32),
            Element::F32 => each(values, data, f32::from_le_bytes),
            Element::F16 => halves(values, data),
            Element::BF16 => each(values, data, |bytes| bf16::from_le_bytes(bytes).to_f32()),
            Element::I64 => each(values, data, |bytes| i64::from_le_bytes(bytes) as f32),
            Element::I32 => each(values, data, |bytes| i32::from_le_bytes(bytes) as f32),
            Element::I16 => each(values, data, |bytes| f32::from(i16::from_le_bytes(bytes))),
            Element::I8 => each(values, data, |bytes| f32::from(i8::from_le_bytes(bytes))),
            Element::U64 => each(values, data, |bytes| u64::from_le_bytes(bytes) as f32),
            Element::U32 => each(values, data, |bytes| u32::from_le_bytes(bytes) as f32),
            Element::U16 => each(values, data, |bytes| f32::from(u16::from_le_bytes(bytes))),
            Element::U8 => each(values, data, |[byte]: [u8; 1]| f32::from(byte)),
            Element::Bool => each(values, data, |[byte]: [u8; 1]| if byte == 0 { 0.0 } else { 1.0 }),
        }
    }
}

fn each<const N: usize>(values: &mut [f32], data: &[u8], read: impl Fn([u8; N]) -> f32) {
    for (value, bytes) in values.iter_mut().zip(data.as_chunks::<N>().0) {
        *value = read(*bytes);
    }
}

/// f16 in runs, which the CPU converts several at a time.
fn halves(values: &mut [f32], data: &[u8]) {
    const RUN: usize = 1024;
    let mut run = [f16::ZERO; RUN];
    for (values, data) in values.chunks_mut(RUN).zip(data.chunks(2 * RUN)) {
        let run = &mut run[..values.len()];
        for (half, bytes) in run.iter_mut().zip(data.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        run.convert_to_f32_slice(values);
    }
}

/// A tensor's place in a storage, all in elements. The lists have equal length.
#[derive(Debug)]
pub(super) struct View {
    pub element: Element,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl View {
    /// Number of elements; `None` where it overflows.
    pub fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size))
    }

    /// One more than the position of the last element in the storage; `None` where it overflows.
    fn end(&self) -> Option<usize> {
        let axes = self.shape.iter().zip(&self.strides);
        let last = axes
            .filter(|(size, _)| **size > 1)
            .try_fold(self.offset, |at, (size, stride)| at.checked_add((size - 1).checked_mul(*stride)?));
        last?.checked_add(1)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().filter(|(size, _)| **size != 1).all(|(size, stride)| {
            let fits = *stride == expected;
            expected *= size;
            fits
        })
    }

    /// The tensor in row-major order; `None` where it reaches beyond `storage`.
    pub fn read(self, storage: &[u8]) -> Option<HostTensor> {
        let size = self.element.size();
        let count = self.count()?;
        let values = if count == 0 {
            Vec::new()
        } else if self.end()?.checked_mul(size)? > storage.len() {
            return None;
        } else if self.is_contiguous() {
            self.element.to_f32(storage.get(self.offset * size..)?.get(..count * size)?)?
        } else {
            self.element.to_f32(&self.gather(storage, count))?
        };
        Some(HostTensor { shape: self.shape, values })
    }

    /// The bytes of the `count` elements in row-major order. All of them lie in `storage`.
    fn gather(&self, storage: &[u8], count: usize) -> Vec<u8> {
        let size = self.element.size();
        // Axes of length 1 never move, whatever their stride.
        let axes: Vec<(usize, usize)> = std::iter::zip(&self.shape, &self.strides)
            .filter(|(length, _)| **length != 1)
            .map(|(length, stride)| (*length, *stride))
            .collect();
        let mut index = vec![0; axes.len()];
        let mut bytes = Vec::with_capacity(count * size);
        let mut at = self.offset;
        for _ in 0..count {
            bytes.extend_from_slice(&storage[at * size..][..size]);
            for (index, (length, stride)) in index.iter_mut().zip(&axes).rev() {
                *index += 1;
                at += stride;
                if *index < *length {
                    break;
                }
                at -= stride * length;
                *index = 0;
            }
        }
        bytes
    }
}

/// The transposed matrix: `[rows, columns]` → `[columns, rows]`. Returns tensors of other ranks, and tensors whose
/// number of values does not fit their shape, as they are.
pub fn transpose(tensor: HostTensor) -> HostTensor {
    const TILE: usize = 32;
    let [rows, columns] = tensor.shape[..] else { return tensor };
    if tensor.values.is_empty() || rows.checked_mul(columns) != Some(tensor.values.len()) {
        return match tensor.values.is_empty() {
            true => HostTensor { shape: vec![columns, rows], values: tensor.values },
            false => tensor,
        };
    }
    let source = &tensor.values;
    let mut values = vec![0.0; source.len()];
    let band = |(number, band): (usize, &mut [f32])| {
        let first = number * TILE;
        for tile in (0..rows).step_by(TILE) {
            for (column, line) in band.chunks_exact_mut(rows).enumerate() {
                for (row, value) in line.iter_mut().enumerate().skip(tile).take(TILE) {
                    *value = source[row * columns + first + column];
                }
            }
        }
    };
    if source.len() < BLOCK {
        values.chunks_mut(TILE * rows).enumerate().for_each(band);
    } else {
        values.par_chunks_mut(TILE * rows).enumerate().for_each(band);
    }
    HostTensor { shape: vec![columns, rows], values }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(element: Element, offset: usize, shape: &[usize], strides: &[usize]) -> View {
        View { element, offset, shape: shape.to_vec(), strides: strides.to_vec() }
    }

    #[test]
    fn every_type_becomes_f32() {
        let read = |element: Element, bytes: &[u8]| element.to_f32(bytes).unwrap();
        assert_eq!(read(Element::F64, &1.5f64.to_le_bytes()), [1.5]);
        assert_eq!(read(Element::F32, &[1.5f32.to_le_bytes(), (-2f32).to_le_bytes()].concat()), [1.5, -2.0]);
        assert_eq!(read(Element::BF16, &bf16::from_f32(-3.0).to_le_bytes()), [-3.0]);
        assert_eq!(read(Element::I64, &(-7i64).to_le_bytes()), [-7.0]);
        assert_eq!(read(Element::U64, &7u64.to_le_bytes()), [7.0]);
        assert_eq!(read(Element::I32, &(-7i32).to_le_bytes()), [-7.0]);
        assert_eq!(read(Element::U32, &u32::MAX.to_le_bytes()), [4_294_967_296.0]);
        assert_eq!(read(Element::I16, &(-7i16).to_le_bytes()), [-7.0]);
        assert_eq!(read(Element::U16, &65535u16.to_le_bytes()), [65535.0]);
        assert_eq!(read(Element::I8, &[0xff]), [-1.0]);
        assert_eq!(read(Element::U8, &[0xff]), [255.0]);
        assert_eq!(read(Element::Bool, &[0, 1, 2]), [0.0, 1.0, 1.0]);
        // Every half, over more than one run and with a rest.
        let bits: Vec<u16> = (0..=u16::MAX).chain(0..100).collect();
        let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        for (value, bits) in read(Element::F16, &bytes).iter().zip(bits) {
            let expected = f16::from_bits(bits).to_f32();
            assert!(*value == expected || value.is_nan() && expected.is_nan());
        }
    }

    #[test]
    fn views_are_read_in_row_major_order_and_within_their_storage() {
        let storage: Vec<u8> = (0..12).collect();
        let read = |offset, shape: &[usize], strides: &[usize]| {
            view(Element::U8, offset, shape, strides).read(&storage).map(|tensor| tensor.values)
        };
        assert_eq!(read(2, &[2, 3], &[3, 1]).unwrap(), [2., 3., 4., 5., 6., 7.]);
        assert_eq!(read(0, &[3, 4], &[1, 3]).unwrap(), [0., 3., 6., 9., 1., 4., 7., 10., 2., 5., 8., 11.]);
        assert_eq!(read(1, &[2, 1, 3], &[0, usize::MAX, 2]).unwrap(), [1., 3., 5., 1., 3., 5.]);
        assert_eq!(read(11, &[], &[]).unwrap(), [11.]);
        assert_eq!(read(usize::MAX, &[0, 4], &[4, 1]).unwrap(), [0.; 0]);
        assert_eq!(read(12, &[], &[]), None);
        assert_eq!(read(0, &[13], &[1]), None);
        assert_eq!(read(0, &[2], &[12]), None);
        assert_eq!(read(1, &[2], &[usize::MAX]), None);
        assert_eq!(read(0, &[usize::MAX, 3], &[1, 0]), None);
        assert_eq!(view(Element::F64, 1, &[1], &[1]).read(&storage), None);
    }

    #[test]
    fn matrices_are_transposed_and_others_left_alone() {
        for (rows, columns) in [(1, 1), (1, 7), (33, 65), (300, 1000), (1000, 300), (0, 3)] {
            let values: Vec<f32> = (0..rows * columns).map(|value| value as f32).collect();
            let tensor = HostTensor { shape: vec![rows, columns], values: values.clone() };
            let turned = transpose(tensor.clone());
            assert_eq!(turned.shape, [columns, rows]);
            for (at, value) in turned.values.iter().enumerate() {
                assert_eq!(*value, values[(at % rows) * columns + at / rows]);
            }
            assert_eq!(transpose(turned), tensor);
        }
        for shape in [vec![6], vec![1, 2, 3], vec![4, 5]] {
            let tensor = HostTensor { shape, values: vec![1.0; 6] };
            assert_eq!(transpose(tensor.clone()), tensor);
        }
    }
}
