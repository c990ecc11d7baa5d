//! A linear head on frozen features, fitted to the support clips alone: ridge regression on one-hot labels.
//!
//! Its leave-one-out answers are exact and cost nothing (Allen's PRESS; Rifkin and Lippert, 2007): with C = K + λ·I for
//! the Gram matrix K of the features, the answer for clip i without clip i is y_i − [C⁻¹ y]_i / [C⁻¹]_ii.

use crate::error::{Error, Result};

/// A fitted head.
pub struct Head {
    /// Features of the support clips, unit vectors.
    clips: Vec<Vec<f64>>,
    /// `[S][W]`: weight of each support clip for each class.
    dual: Vec<Vec<f64>>,
    /// `[S][W]`: scores of each support clip without itself.
    left_out: Vec<Vec<f64>>,
}

/// λ that are tried; the features are unit vectors. The one with the smallest squared leave-one-out error is taken.
const RIDGES: [f64; 7] = [1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 10.0];
/// Scores of about 0 to 1 become probabilities by a softmax of so many times the score; the calibration does the rest.
const SCALE: f64 = 10.0;

impl Head {
    /// For S support clips with `features` and `labels` below `classes`.
    ///
    /// # Errors
    /// Where the features are not finite.
    pub fn fit(features: Vec<Vec<f64>>, labels: &[usize], classes: usize) -> Result<Self> {
        let clips: Vec<Vec<f64>> = features.into_iter().map(unit).collect();
        let gram: Vec<Vec<f64>> = clips.iter().map(|a| clips.iter().map(|b| product(a, b)).collect()).collect();
        let target = |row: usize, class: usize| f64::from(u8::from(labels[row] == class));
        let mut best: Option<(f64, Self)> = None;
        for ridge in RIDGES {
            let inverse = inverse(&gram, ridge)?;
            let dual: Vec<Vec<f64>> = inverse
                .iter()
                .map(|row| {
                    (0..classes).map(|class| (0..clips.len()).map(|at| row[at] * target(at, class)).sum()).collect()
                })
                .collect();
            let without = |row: usize, class: usize| target(row, class) - dual[row][class] / inverse[row][row];
            let left_out: Vec<Vec<f64>> =
                (0..clips.len()).map(|row| (0..classes).map(|class| without(row, class)).collect()).collect();
            let error: f64 = left_out
                .iter()
                .enumerate()
                .flat_map(|(row, scores)| {
                    scores.iter().enumerate().map(move |(class, score)| (score - target(row, class)).powi(2))
                })
                .sum();
            if best.as_ref().is_none_or(|(least, _)| error < *least) {
                best = Some((error, Self { clips: clips.clone(), dual, left_out }));
            }
        }
        best.map(|(_, head)| head)
            .ok_or_else(|| Error::failed("the features of the support clips are not finite numbers"))
    }

    /// Probability of each class for a clip with these features.
    pub fn probabilities(&self, features: Vec<f64>) -> Vec<f64> {
        let features = unit(features);
        let kernel: Vec<f64> = self.clips.iter().map(|clip| product(clip, &features)).collect();
        let classes = self.dual.first().map_or(0, Vec::len);
        let score = |class: usize| kernel.iter().zip(&self.dual).map(|(k, weights)| k * weights[class]).sum();
        softmax((0..classes).map(score).collect())
    }

    /// The same for support clip number `row`, without itself.
    pub fn left_out(&self, row: usize) -> Vec<f64> {
        softmax(self.left_out[row].clone())
    }
}

fn unit(values: Vec<f64>) -> Vec<f64> {
    let norm = values.iter().map(|value| value * value).sum::<f64>().sqrt().max(1e-12);
    values.into_iter().map(|value| value / norm).collect()
}

/// The product of two features with a constant 1 at their end, which stands for the intercept.
fn product(a: &[f64], b: &[f64]) -> f64 {
    1.0 + a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>()
}

fn softmax(scores: Vec<f64>) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = scores.iter().map(|score| (SCALE * (score - top)).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// (gram + ridge · I)⁻¹ by Cholesky's decomposition.
fn inverse(gram: &[Vec<f64>], ridge: f64) -> Result<Vec<Vec<f64>>> {
    let n = gram.len();
    let mut lower = vec![vec![0.0; n]; n];
    for row in 0..n {
        for column in 0..=row {
            let known: f64 = (0..column).map(|k| lower[row][k] * lower[column][k]).sum();
            let value = gram[row][column] + if row == column { ridge } else { 0.0 } - known;
            lower[row][column] = match row == column {
                true if value > 0.0 => value.sqrt(),
                true => return Err(Error::failed("the features of the support clips are not finite numbers")),
                false => value / lower[column][column],
            };
        }
    }
    let column = |unit: usize| {
        let mut solved = vec![0.0; n];
        for row in 0..n {
            let known: f64 = (0..row).map(|k| lower[row][k] * solved[k]).sum();
            solved[row] = (f64::from(u8::from(row == unit)) - known) / lower[row][row];
        }
        for row in (0..n).rev() {
            let known: f64 = (row + 1..n).map(|k| lower[k][row] * solved[k]).sum();
            solved[row] = (solved[row] - known) / lower[row][row];
        }
        solved
    };
    // The inverse is symmetric, so its columns are its rows.
    Ok((0..n).map(column).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    #[test]
    fn left_out_answers_are_those_of_a_head_that_never_saw_the_clip() {
        let mut rng = Stream::new(1, "head").at(0);
        let labels = [0, 0, 0, 1, 1, 1, 2, 2, 2];
        let features: Vec<Vec<f64>> = labels
            .iter()
            .map(|label| (0..5).map(|axis| if axis == *label { 1.5 } else { 0.0 } + rng.normal()).collect())
            .collect();
        let units: Vec<Vec<f64>> = features.iter().cloned().map(unit).collect();
        for ridge in RIDGES {
            let solve = |keep: &[usize]| -> Vec<Vec<f64>> {
                let gram: Vec<Vec<f64>> =
                    keep.iter().map(|&a| keep.iter().map(|&b| product(&units[a], &units[b])).collect()).collect();
                inverse(&gram, ridge).unwrap()
            };
            let whole = solve(&(0..9).collect::<Vec<_>>());
            for out in 0..9 {
                let keep: Vec<usize> = (0..9).filter(|&at| at != out).collect();
                let inverse = solve(&keep);
                for class in 0..3 {
                    let y = |at: usize| f64::from(u8::from(labels[at] == class));
                    let weights: Vec<f64> =
                        inverse.iter().map(|row| row.iter().zip(&keep).map(|(v, &at)| v * y(at)).sum()).collect();
                    let refitted: f64 =
                        weights.iter().zip(&keep).map(|(w, &at)| w * product(&units[at], &units[out])).sum();
                    let dual: f64 = whole[out].iter().enumerate().map(|(at, v)| v * y(at)).sum();
                    let quick = y(out) - dual / whole[out][out];
                    assert!((refitted - quick).abs() < 1e-8, "{ridge} {out} {class}: {refitted} {quick}");
                }
            }
        }
        let head = Head::fit(features.clone(), &labels, 3).unwrap();
        let right = (0..9).filter(|&at| {
            let found = head.probabilities(features[at].clone());
            super::super::calibration::largest(&found) == labels[at]
        });
        assert!(right.count() >= 8);
        assert!((head.left_out(0).iter().sum::<f64>() - 1.0).abs() < 1e-9);
        assert!(Head::fit(vec![vec![f64::NAN]; 3], &[0, 1, 2], 3).is_err());
    }
}
