//! Positional embeddings for another image size than the checkpoint's; only where a recipe asks for it.
//!
//! Source: open_clip's `resize_pos_embed`: bicubic (a = −0.5, as with antialiasing in PyTorch), half-pixel centres,
//! antialiased when shrinking; the class token's row stays.

use maclip_framework::error::{Error, Result};
use maclip_framework::weights::HostTensor;

/// Embeddings `[1 + from², D]` → `[1 + to², D]`.
///
/// # Errors
/// Where the embeddings are not those of a square grid and a class token.
pub fn resize(embedding: HostTensor, to: usize) -> Result<HostTensor> {
    let &[rows, d] = embedding.shape.as_slice() else {
        return Err(Error::failed(format!("positional embeddings have shape {:?}, not two axes", embedding.shape)));
    };
    let from = rows.saturating_sub(1).isqrt();
    if from * from + 1 != rows {
        return Err(Error::failed(format!("{rows} positional embeddings are no square grid and a class token")));
    }
    let weights = filter(from, to);
    let grid = |row: usize, column: usize, channel: usize| embedding.values[(1 + row * from + column) * d + channel];
    // Columns, then rows.
    let mut wide = vec![0.0f64; from * to * d];
    for row in 0..from {
        for (column, taps) in weights.iter().enumerate() {
            for channel in 0..d {
                wide[(row * to + column) * d + channel] =
                    taps.iter().map(|&(source, w)| w * f64::from(grid(row, source, channel))).sum();
            }
        }
    }
    let mut values = embedding.values[..d].to_vec();
    for taps in &weights {
        for column in 0..to {
            for channel in 0..d {
                let value: f64 = taps.iter().map(|&(source, w)| w * wide[(source * to + column) * d + channel]).sum();
                values.push(value as f32);
            }
        }
    }
    Ok(HostTensor { shape: vec![1 + to * to, d], values })
}

/// For each of `to` outputs the inputs it reads and their weights, which sum to 1.
fn filter(from: usize, to: usize) -> Vec<Vec<(usize, f64)>> {
    let scale = from as f64 / to as f64;
    let stretch = scale.max(1.0);
    let cubic = |x: f64| {
        let (a, x) = (-0.5, x.abs());
        if x < 1.0 {
            ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
        } else if x < 2.0 {
            (((x - 5.0) * x + 8.0) * x - 4.0) * a
        } else {
            0.0
        }
    };
    (0..to)
        .map(|output| {
            let centre = (output as f64 + 0.5) * scale;
            let taps: Vec<(usize, f64)> = (0..from)
                .map(|source| (source, cubic((source as f64 + 0.5 - centre) / stretch)))
                .filter(|(_, weight)| *weight != 0.0)
                .collect();
            let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
            taps.into_iter().map(|(source, weight)| (source, weight / sum)).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn resized_positions_agree_with_open_clip() {
        let mut fixture = fixtures::open("positions");
        let from = fixture.take("from");
        for (name, to) in [("to_12", 12), ("to_4", 4)] {
            let want = fixture.take(name);
            let got = resize(from.clone(), to).unwrap();
            assert_eq!(got.shape, want.shape);
            fixtures::close(fixtures::tensor::<2>(&got), &want, 1e-5);
        }
        assert!(resize(HostTensor { shape: vec![7, 1], values: vec![0.0; 7] }, 2).is_err());
    }
}
