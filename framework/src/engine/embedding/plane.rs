//! From features to points of a plane: principal components, and t-SNE.

use crate::error::{Error, Result};

/// The first two principal components of `rows`, each of `width` values, and their shares of the variance.
///
/// The components are eigenvectors of the covariance, computed in f64 by Jacobi's rotations (Golub and Van Loan, Matrix
/// Computations, algorithm 8.5.2). The largest coordinate along each is positive, so that a map has one form.
pub fn principal(rows: &[Vec<f32>]) -> (Vec<[f32; 2]>, [f64; 2]) {
    let (count, width) = (rows.len(), rows.first().map_or(0, Vec::len));
    let mean: Vec<f64> =
        (0..width).map(|at| rows.iter().map(|row| f64::from(row[at])).sum::<f64>() / count as f64).collect();
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(value, mean)| f64::from(*value) - mean).collect()).collect();
    // The inner products of the rows have the same eigenvalues as the covariance, and their eigenvectors are the
    // coordinates but for a factor: whichever matrix is smaller is decomposed.
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let columns: Vec<Vec<f64>> = match width < count {
        true => (0..width).map(|at| centred.iter().map(|row| row[at]).collect()).collect(),
        false => centred.clone(),
    };
    let (values, vectors) = eigen(columns.iter().map(|a| columns.iter().map(|b| dot(a, b)).collect()).collect());
    let total: f64 = values.iter().map(|value| value.max(0.0)).sum();
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*b].total_cmp(&values[*a]));
    let mut points = vec![[0.0; 2]; count];
    let mut shares = [0.0; 2];
    for (axis, at) in order.into_iter().take(2).enumerate() {
        let (value, vector) = (values[at].max(0.0), &vectors[at]);
        let mut along: Vec<f64> = match width < count {
            true => centred.iter().map(|row| dot(row, vector)).collect(),
            false => vector.iter().map(|part| part * value.sqrt()).collect(),
        };
        let largest = along.iter().copied().fold(0.0, |most: f64, one| if one.abs() > most.abs() { one } else { most });
        along.iter_mut().for_each(|one| *one *= largest.signum());
        points.iter_mut().zip(along).for_each(|(point, one)| point[axis] = one as f32);
        shares[axis] = if total > 0.0 { value / total } else { 0.0 };
    }
    (points, shares)
}

/// Eigenvalues of a symmetric matrix, and the eigenvector of each.
fn eigen(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    /// Sweeps over all pairs; ten are enough for any matrix of practice.
    const SWEEPS: usize = 30;
    let n = a.len();
    let mut vectors: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    let size: f64 = a.iter().flatten().map(|value| value * value).sum();
    for _ in 0..SWEEPS {
        let off: f64 = (0..n).map(|i| a[i][..i].iter().map(|value| value * value).sum::<f64>()).sum();
        if off <= 1e-24 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q] == 0.0 {
                    continue;
                }
                let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let tangent = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let cosine = 1.0 / tangent.hypot(1.0);
                let turn = (cosine, tangent * cosine);
                rotate(&mut a, p, q, turn);
                for row in &mut a {
                    (row[p], row[q]) = turned(row[p], row[q], turn);
                }
                rotate(&mut vectors, p, q, turn);
            }
        }
    }
    ((0..n).map(|at| a[at][at]).collect(), vectors)
}

/// Turns the rows p < q against each other.
fn rotate(rows: &mut [Vec<f64>], p: usize, q: usize, turn: (f64, f64)) {
    let (before, behind) = rows.split_at_mut(q);
    for (a, b) in before[p].iter_mut().zip(&mut behind[0]) {
        (*a, *b) = turned(*a, *b, turn);
    }
}

fn turned(a: f64, b: f64, (cosine, sine): (f64, f64)) -> (f64, f64) {
    (cosine * a - sine * b, sine * a + cosine * b)
}

/// Fewer rows have no neighbourhoods to keep.
const FEWEST: usize = 10;
/// van der Maaten and Hinton, JMLR 9 (2008): 5 to 50; less for few rows.
const PERPLEXITY: f32 = 30.0;
const EPOCHS: usize = 1000;

/// `rows` in a plane by t-SNE, exact, begun at their principal components `start` (Kobak and Berens, Nature
/// Communications 10, 5416: this keeps what there is of a global order, and needs no random numbers). Empty where there
/// are fewer than ten.
///
/// # Errors
/// Where the system gives no thread.
pub fn tsne(rows: &[Vec<f32>], start: &[[f32; 2]]) -> Result<Vec<[f32; 2]>> {
    if rows.len() < FEWEST {
        return Ok(Vec::new());
    }
    // A standard deviation of 1e-4 along the first axis.
    let spread = (start.iter().map(|point| point[0] * point[0]).sum::<f32>() / start.len() as f32).sqrt().max(1e-12);
    let start: Vec<f32> = start.iter().flatten().map(|value| value / spread * 1e-4).collect();
    let distance = |a: &&[f32], b: &&[f32]| a.iter().zip(*b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
    let samples: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    let fit = || {
        bhtsne::tSNE::<f32, &[f32], 2>::new(&samples)
            .perplexity(PERPLEXITY.min((rows.len() - 1) as f32 / 3.0))
            .epochs(EPOCHS)
            .initial_embedding(start)
            .exact(distance)
            .embedding()
    };
    // In one thread the sums have one order, so that the same run has the same map.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
    let pool = pool.map_err(|error| Error::failed(format!("t-SNE has no thread to run in: {error}")))?;
    Ok(pool.install(fit).as_chunks::<2>().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_of_points_that_were_computed_by_hand() {
        // An ellipse: ±3 along (0.6, 0.8, 0), ±1 along (0.8, −0.6, 0), off the origin. Variances 18 and 2 of 20.
        let at = |a: f32, b: f32| vec![5.0 + 0.6 * a + 0.8 * b, 1.0 + 0.8 * a - 0.6 * b, -2.0];
        let high = [at(3.0, 0.0), at(-3.0, 0.0), at(0.0, 1.0), at(0.0, -1.0)];
        let (points, shares) = principal(&high);
        let wanted = [[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]];
        for (point, wanted) in points.iter().zip(wanted) {
            // Of two coordinates that are equally large, either may be the positive one.
            assert!((point[0].abs() - f32::abs(wanted[0])).abs() < 1e-5, "{points:?}");
            assert!((point[1].abs() - f32::abs(wanted[1])).abs() < 1e-5, "{points:?}");
        }
        assert!((shares[0] - 0.9).abs() < 1e-6 && (shares[1] - 0.1).abs() < 1e-6, "{shares:?}");
        // More values than rows: the same points, by the other matrix.
        let wide: Vec<Vec<f32>> = high.iter().map(|row| [row.clone(), vec![7.0; 4]].concat()).collect();
        let (again, same) = principal(&wide);
        let close = |(a, b): (&[f32; 2], &[f32; 2])| a.iter().zip(b).all(|(a, b)| (a.abs() - b.abs()).abs() < 1e-5);
        assert!(again.iter().zip(&points).all(close), "{again:?}");
        assert!((same[0] - shares[0]).abs() < 1e-6);
    }

    #[test]
    fn equal_rows_and_single_ones_have_a_place() {
        assert_eq!(principal(&vec![vec![1.0, 2.0]; 3]), (vec![[0.0; 2]; 3], [0.0; 2]));
        assert_eq!(principal(&[vec![1.0, 2.0]]).0, [[0.0; 2]]);
        assert_eq!(principal(&[]).0, Vec::<[f32; 2]>::new());
    }

    /// Rows of three groups, far from each other in eight dimensions.
    fn groups() -> Vec<Vec<f32>> {
        let mut rng = crate::random::Stream::new(1, "groups").at(0);
        let row = |at: usize| (0..8).map(move |axis| if axis == at / 10 { 10.0 } else { 0.0 });
        (0..30).map(|at| row(at).map(|value| value + rng.unit() as f32).collect()).collect()
    }

    #[test]
    fn neighbours_stay_together_and_the_same_rows_have_the_same_map() {
        let rows = groups();
        let start = principal(&rows).0;
        let points = tsne(&rows, &start).unwrap();
        assert_eq!(points, tsne(&rows, &start).unwrap());
        let distance = |a: usize, b: usize| (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]);
        for at in 0..30 {
            let others = (0..30).filter(|other| *other != at);
            let nearest = others.min_by(|a, b| distance(at, *a).total_cmp(&distance(at, *b))).unwrap();
            assert_eq!(nearest / 10, at / 10, "{points:?}");
        }
        assert_eq!(tsne(&rows[..9], &start[..9]).unwrap(), Vec::<[f32; 2]>::new());
    }
}
