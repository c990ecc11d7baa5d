//! Smaller layers made of larger ones: the principal components of a weight, and interpolated vectors.
//!
//! Source: the start of TS-FSAR's side network (yaozhang0417/TS-FSAR@1a91053, `trainers/model.py`, `LSN.PCA`).

use burn::linalg::svd;
use burn::tensor::{Device, Tensor, TensorData};
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::HostTensor;

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
