//! The sign-flip permutation test of paired differences (Fisher, The Design of Experiments, 1935, §21), exact for any
//! number of pairs.

use statrs::function::gamma::ln_gamma;
use std::collections::BTreeMap;

/// Probabilities below this are left out: far below any p-value that is printed.
const NEGLIGIBLE: f64 = 1e-25;

/// Two-sided p-value of `differences`: the share of all assignments of signs whose sum is at least as far from 0 as the
/// sum observed. 1 where every difference is 0.
///
/// Differences are whole numbers (of right answers, brought to a common denominator), so the sum moves on a grid and
/// all 2ⁿ assignments can be counted: those of equal size together are a binomial count, and the sums of the sizes are
/// convolved.
pub fn sign_flip(differences: &[i64]) -> f64 {
    let unit = differences.iter().fold(0, |a, b| gcd(a, b.unsigned_abs()));
    if unit == 0 {
        return 1.0;
    }
    let observed = differences.iter().sum::<i64>().unsigned_abs() / unit;
    let mut sizes: BTreeMap<u64, usize> = BTreeMap::new();
    for difference in differences.iter().filter(|difference| **difference != 0) {
        *sizes.entry(difference.unsigned_abs() / unit).or_default() += 1;
    }
    let mut sums = Sums { first: 0, probabilities: vec![1.0] };
    for (size, count) in sizes {
        sums = sums.with(size as i64, count);
    }
    sums.beyond(observed as i64).min(1.0)
}

/// Distribution of a sum: the probability of `first`, `first + 1`, …
struct Sums {
    first: i64,
    probabilities: Vec<f64>,
}

impl Sums {
    /// With `count` more terms ±`size`.
    fn with(&self, size: i64, count: usize) -> Self {
        let (low, terms) = binomial_half(count);
        let step = 2 * size as usize;
        let mut probabilities = vec![0.0; self.probabilities.len() + step * (terms.len() - 1)];
        for (number, term) in terms.iter().enumerate() {
            let window = &mut probabilities[number * step..number * step + self.probabilities.len()];
            window.iter_mut().zip(&self.probabilities).for_each(|(sum, before)| *sum += term * before);
        }
        let first = self.first + size * (2 * low as i64 - count as i64);
        let start = probabilities.iter().position(|p| *p > NEGLIGIBLE).unwrap_or(0);
        let end = probabilities.iter().rposition(|p| *p > NEGLIGIBLE).map_or(probabilities.len(), |last| last + 1);
        Self { first: first + start as i64, probabilities: probabilities[start..end].to_vec() }
    }

    /// Probability of a sum of at least `distance` or at most −`distance`.
    fn beyond(&self, distance: i64) -> f64 {
        let sums = (self.first..).zip(&self.probabilities);
        sums.filter(|(sum, _)| sum.abs() >= distance).map(|(_, probability)| probability).sum()
    }
}

/// Probabilities of the number of heads in `count` tosses, from the first that is not negligible, and that first.
fn binomial_half(count: usize) -> (usize, Vec<f64>) {
    let n = count as f64;
    let probability = |k: usize| {
        let k = k as f64;
        (ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) - n * std::f64::consts::LN_2).exp()
    };
    let all: Vec<f64> = (0..=count).map(probability).collect();
    let low = all.iter().position(|p| *p > NEGLIGIBLE).unwrap_or(0);
    let high = all.iter().rposition(|p| *p > NEGLIGIBLE).unwrap_or(count);
    (low, all[low..=high].to_vec())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Darwin's 15 pairs of maize, cross- against self-fertilised, in eighths of an inch. Fisher (1935, §21) counts 863
    /// of 32,768 assignments on one side.
    #[test]
    fn darwins_maize_has_fishers_count() {
        let differences = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48];
        let p = sign_flip(&differences);
        assert!((p - 2.0 * 863.0 / 32_768.0).abs() < 1e-9, "{p}");
    }

    /// By hand: of the eight signs of 1, 1, 2 the sums are 4, 2, 2, 0, 0, −2, −2, −4.
    #[test]
    fn three_pairs_by_hand() {
        assert!((sign_flip(&[1, 1, 2]) - 2.0 / 8.0).abs() < 1e-12);
        assert!((sign_flip(&[1, -1, 2]) - 6.0 / 8.0).abs() < 1e-12);
        assert!((sign_flip(&[10, 10, 20, 0]) - 2.0 / 8.0).abs() < 1e-12);
        assert_eq!(sign_flip(&[0, 0]), 1.0);
        assert_eq!(sign_flip(&[]), 1.0);
    }

    /// With many pairs the sum is normal: 10,000 ones of which 5,100 are positive are 2 standard deviations away, and a
    /// two-sided normal with half a step of continuity gives 0.0466.
    #[test]
    fn many_pairs_approach_the_normal_distribution() {
        let differences: Vec<i64> = (0..10_000).map(|i| if i < 5_100 { 1 } else { -1 }).collect();
        let p = sign_flip(&differences);
        assert!((p - 0.0466).abs() < 2e-4, "{p}");
    }
}
