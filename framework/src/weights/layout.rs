//! How the matrices of a module lie in a checkpoint of PyTorch.

use super::{HostTensor, transpose};
use serde::{Deserialize, Serialize};

/// The layout of a tensor in a file of PyTorch's, beside that of the module's parameter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// The same.
    #[default]
    Same,
    /// `[out, in]` in the file and `[in, out]` here: linear layers.
    Transposed,
    /// `[D, 3, P, P]` in the file and `[3 P P, D]` here: a convolution whose stride is its size, on three colours.
    Patches,
    /// `[C, 1, kt, kh, kw]` in the file and `[kt kh kw, C]` here: a depth-wise convolution over time, height and width.
    Taps([usize; 3]),
}

impl Layout {
    /// A parameter as it lies in the file.
    pub fn written(self, tensor: HostTensor) -> HostTensor {
        match (self, tensor.shape.as_slice()) {
            (Layout::Same, _) => tensor,
            (Layout::Patches, &[inputs, outputs]) => {
                let side = (inputs / 3).isqrt();
                HostTensor { shape: vec![outputs, 3, side, side], ..transpose(tensor) }
            }
            (Layout::Taps([t, h, w]), &[_, channels]) => {
                HostTensor { shape: vec![channels, 1, t, h, w], ..transpose(tensor) }
            }
            _ => transpose(tensor),
        }
    }

    /// A tensor of the file as the parameter lies. One of an unexpected shape keeps it, so that it is told as such.
    pub fn read(self, tensor: HostTensor) -> HostTensor {
        match (self, tensor.shape.as_slice()) {
            (Layout::Same, _) => tensor,
            (Layout::Patches | Layout::Taps(_), &[outputs, ref rest @ ..]) if rest.len() > 1 => {
                // Sizes of a file may be any numbers.
                let inputs = rest.iter().fold(1usize, |all, &size| all.saturating_mul(size));
                transpose(HostTensor { shape: vec![outputs, inputs], values: tensor.values })
            }
            _ => transpose(tensor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layout_goes_there_and_back() {
        let tensor = |shape: &[usize]| {
            let values = (0..shape.iter().product::<usize>()).map(|value| value as f32).collect();
            HostTensor { shape: shape.to_vec(), values }
        };
        for (layout, here, there) in [
            (Layout::Same, &[2, 3][..], &[2, 3][..]),
            (Layout::Transposed, &[2, 3], &[3, 2]),
            (Layout::Patches, &[12, 5], &[5, 3, 2, 2]),
            (Layout::Taps([3, 1, 2]), &[6, 4], &[4, 1, 3, 1, 2]),
        ] {
            let written = layout.written(tensor(here));
            assert_eq!(written.shape, there);
            assert_eq!(layout.read(written), tensor(here), "{layout:?}");
        }
        // Output 1 of the first colour's second row, first column: value 2 · 5 + 1 of the matrix.
        assert_eq!(Layout::Patches.written(tensor(&[12, 5])).values[12 + 2], 11.0);
    }
}
