//! Smaller layers made of larger ones: the principal components of a weight, interpolated vectors, and blocks of these.
//!
//! Source: the start of TS-FSAR's side network (yaozhang0417/TS-FSAR@1a91053, `trainers/model.py`, `LSN.PCA`).

use burn::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::HostTensor;
use std::collections::BTreeMap;

/// How often the decomposition may look for one more singular value.
const SWEEPS: usize = 60;

/// A weight of a smaller layer: W `[m, n]`, outputs first, → `[rows, columns]`. It holds the first rows of W in its
/// first `columns` principal components; where the result is wider than high, the first columns of Wᵀ in those of its.
/// The largest value of each component is positive.
///
/// # Errors
/// Where W has not as many components, or not as many rows.
pub fn reduced(weight: &HostTensor, rows: usize, columns: usize) -> Result<HostTensor> {
    let [m, n] = weight.shape[..] else {
        return Err(Error::failed("only a matrix has principal components"));
    };
    if rows >= columns {
        let scores = scores(&weight.values, [m, n], [rows, columns])?;
        return Ok(HostTensor { shape: vec![rows, columns], values: scores });
    }
    let turned = transposed(&weight.values, [m, n]);
    let scores = scores(&turned, [n, m], [columns, rows])?;
    Ok(HostTensor { shape: vec![rows, columns], values: transposed(&scores, [columns, rows]) })
}

/// `[m, n]` → `[n, m]`, row after row.
pub fn transposed(values: &[f32], [m, n]: [usize; 2]) -> Vec<f32> {
    (0..n).flat_map(|column| (0..m).map(move |row| values[row * n + column])).collect()
}

/// The first `rows` rows of X `[m, n]` in its first `count` principal components: `[rows, count]`.
fn scores(x: &[f32], [m, n]: [usize; 2], [rows, count]: [usize; 2]) -> Result<Vec<f32>> {
    if count > m.min(n) || rows > m {
        return Err(Error::failed(format!(
            "a matrix of {m} × {n} has no {rows} rows in {count} principal components: the smaller layer is too large"
        )));
    }
    let device = Device::flex();
    let x = Tensor::<2>::from_data(TensorData::new(x.to_vec(), [m, n]), &device);
    let centred = x.clone() - x.mean_dim(0);
    // The components of X are the singular vectors of XᵀX, which is small where X is high.
    let (components, ..) = svd::<2, 1>(centred.clone().transpose().matmul(centred.clone()), SWEEPS);
    let scores = centred.matmul(components.narrow(1, 0, count));
    let values: Vec<f32> = scores.into_data().iter::<f32>().collect();
    let sign = |column: usize| {
        let of = (0..m).map(|row| values[row * count + column]);
        of.fold(0.0f32, |largest, value| if value.abs() > largest.abs() { value } else { largest }).signum()
    };
    let signs: Vec<f32> = (0..count).map(sign).collect();
    Ok(values[..rows * count].iter().enumerate().map(|(at, value)| value * signs[at % count]).collect())
}

/// `values` at `count` places, by cubic convolution as PyTorch's `interpolate` with `bicubic` does it along one axis.
pub fn resampled(values: &[f32], count: usize) -> Vec<f32> {
    const A: f64 = -0.75;
    let near = |x: f64| ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = |x: f64| ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A;
    let last = values.len() as i64 - 1;
    let step = values.len() as f64 / count as f64;
    let at = |place: usize| {
        let from = (place as f64 + 0.5) * step - 0.5;
        let (whole, part) = (from.floor(), from - from.floor());
        let weights = [far(part + 1.0), near(part), near(1.0 - part), far(2.0 - part)];
        let tap = |offset: i64| f64::from(values[(whole as i64 + offset).clamp(0, last) as usize]);
        weights.iter().zip(-1..).map(|(weight, offset)| weight * tap(offset)).sum::<f64>() as f32
    };
    (0..count).map(at).collect()
}

/// The weights of a block of CLIP's image tower, in PyTorch's layout, for blocks of TS-FSAR's side network.
pub struct ClipBlock<'a> {
    /// All weights of the tower, by OpenAI's names.
    pub tensors: &'a BTreeMap<String, HostTensor>,
    /// What their names begin with.
    pub within: String,
}

impl ClipBlock<'_> {
    fn tensor(&self, name: &str) -> Result<&HostTensor> {
        self.tensors.get(&format!("{}{name}", self.within)).ok_or_else(|| {
            Error::failed(format!("the backbone has no {}{name} that the side network could start from", self.within))
                .help("choose `backbone: {type: clip_vit}`, or `prototype.init: random`")
        })
    }

    /// Queries, keys and values, one after the other: weights `[D, D]` and biases `[D]`.
    fn projections(&self) -> Result<Vec<[HostTensor; 2]>> {
        let thirds = |name: &str| -> Result<Vec<HostTensor>> {
            let HostTensor { shape, values } = self.tensor(name)?;
            let shape: Vec<usize> = std::iter::once(shape[0] / 3).chain(shape[1..].iter().copied()).collect();
            let third = |values: &[f32]| HostTensor { shape: shape.clone(), values: values.to_vec() };
            Ok(values.chunks(values.len() / 3).map(third).collect())
        };
        Ok(thirds("attn.in_proj_weight")?.into_iter().zip(thirds("attn.in_proj_bias")?).map(|(w, b)| [w, b]).collect())
    }

    /// An attention of the width `w`, by the names of [`Attention`](crate::layers::Attention) below `path`.
    ///
    /// # Errors
    /// Where the tower has no such tensors, or is narrower.
    pub fn attention(&self, path: &str, w: usize) -> Result<Vec<(String, HostTensor)>> {
        // `[w, 3 w]`: the outputs of the three stand beside one another.
        let mut joined = vec![0.0; 3 * w * w];
        let mut bias = Vec::new();
        for (part, [weight, own]) in self.projections()?.iter().enumerate() {
            let small = reduced(weight, w, w)?;
            for (at, value) in small.values.iter().enumerate() {
                let (output, input) = (at / w, at % w);
                joined[input * 3 * w + part * w + output] = *value;
            }
            bias.extend(resampled(&own.values, w));
        }
        let projection = [
            (format!("{path}.in_proj.weight"), HostTensor { shape: vec![w, 3 * w], values: joined }),
            (format!("{path}.in_proj.bias"), HostTensor { shape: vec![3 * w], values: bias }),
        ];
        Ok(projection.into_iter().chain(self.linear("attn.out_proj", &format!("{path}.out_proj"), w, w)?).collect())
    }

    /// A linear map from `inputs` to `outputs` values, at `path`.
    fn linear(&self, name: &str, path: &str, inputs: usize, outputs: usize) -> Result<[(String, HostTensor); 2]> {
        let small = reduced(self.tensor(&format!("{name}.weight"))?, outputs, inputs)?;
        let weight = HostTensor { shape: vec![inputs, outputs], values: transposed(&small.values, [outputs, inputs]) };
        Ok([(format!("{path}.weight"), weight), self.vector(&format!("{name}.bias"), format!("{path}.bias"), outputs)?])
    }

    fn vector(&self, name: &str, path: String, count: usize) -> Result<(String, HostTensor)> {
        Ok((path, HostTensor { shape: vec![count], values: resampled(&self.tensor(name)?.values, count) }))
    }

    /// The side block at `path`, of the width `w` and the hidden width `hidden`.
    ///
    /// # Errors
    /// As [`ClipBlock::attention`].
    pub fn side_block(&self, path: &str, w: usize, hidden: usize) -> Result<Vec<(String, HostTensor)>> {
        let mut found = self.attention(&format!("{path}.attention"), w)?;
        for (theirs, ours) in [("ln_1", "norm_1"), ("ln_2", "norm_2")] {
            for (kind, own) in [("weight", "gamma"), ("bias", "beta")] {
                found.push(self.vector(&format!("{theirs}.{kind}"), format!("{path}.{ours}.{own}"), w)?);
            }
        }
        found.extend(self.linear("mlp.c_fc", &format!("{path}.fc1"), w, hidden)?);
        found.extend(self.linear("mlp.c_proj", &format!("{path}.fc2"), hidden, w)?);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(own: &[f32], wanted: &[f32]) {
        assert_eq!(own.len(), wanted.len());
        let far = own.iter().zip(wanted).any(|(own, wanted)| (own - wanted).abs() > 1e-4);
        assert!(!far, "{own:?} is not {wanted:?}");
    }

    /// Computed with NumPy's singular value decomposition.
    #[test]
    fn rows_are_read_in_principal_components() {
        let values = vec![1.0, 2.0, 0.0, 3.0, 1.0, 1.0, 0.0, -1.0, 2.0, 2.0, 2.0, -3.0, 4.0, 0.0, 1.0];
        let weight = HostTensor { shape: vec![5, 3], values };
        let high = reduced(&weight, 3, 2).unwrap();
        close(&high.values, &[0.651366, -1.061655, -0.431615, 1.094821, -2.730939, -1.658515]);
        let wide = reduced(&weight, 2, 3).unwrap();
        close(&wide.values, &[-2.292796, -1.671908, 3.964704, -2.203224, 2.445915, -0.242691]);
        assert!(reduced(&weight, 4, 4).unwrap_err().to_string().contains("too large"));
    }

    /// Computed with PyTorch.
    #[test]
    fn vectors_are_interpolated_as_pytorch_does() {
        close(&resampled(&[1.0, 4.0, 2.0, 8.0, 5.0, 7.0], 4), &[1.75, 1.925781, 7.882813, 6.441406]);
        close(&resampled(&[1.0, 4.0, 2.0], 3), &[1.0, 4.0, 2.0]);
    }
}
