//! Ranks of several variants over several tables, and by how much mean ranks must differ.
//!
//! Source: Demšar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 7 (2006): Friedman's test in
//! the form of Iman and Davenport, and Nemenyi's critical difference.

use statrs::distribution::{Continuous, ContinuousCDF, FisherSnedecor, Normal};

/// Mean ranks of k variants over N blocks, each of which measured all of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranks {
    /// Mean rank of each variant, in the order given; 1 is the best.
    pub mean: Vec<f64>,
    /// N.
    pub blocks: usize,
    /// Mean ranks that differ by less are not told apart, at the level of 0.05 (Nemenyi).
    pub critical_difference: f64,
    /// Of no difference among any of them (Iman and Davenport).
    pub p: f64,
}

/// The ranks of `blocks`, each with one value for each variant; the larger the better. Equal values share their ranks.
/// `None` for fewer than two blocks or fewer than two variants.
///
/// # Panics
/// Where the blocks have different numbers of values.
pub fn ranks(blocks: &[Vec<f64>]) -> Option<Ranks> {
    let (n, k) = (blocks.len(), blocks.first()?.len());
    if n < 2 || k < 2 {
        return None;
    }
    let mut sums = vec![0.0; k];
    for block in blocks {
        assert_eq!(block.len(), k, "every block has a value of every variant");
        for (sum, rank) in sums.iter_mut().zip(ranked(block)) {
            *sum += rank;
        }
    }
    let mean: Vec<f64> = sums.iter().map(|sum| sum / n as f64).collect();
    let (n_blocks, k_variants) = (n as f64, k as f64);
    let squares: f64 = mean.iter().map(|rank| rank * rank).sum();
    let middle = k_variants * (k_variants + 1.0).powi(2) / 4.0;
    let friedman = 12.0 * n_blocks / (k_variants * (k_variants + 1.0)) * (squares - middle);
    let most = n_blocks * (k_variants - 1.0);
    let p = match most - friedman {
        // All blocks agree.
        rest if rest < 1e-9 => 0.0,
        rest => {
            let f = (n_blocks - 1.0) * friedman.max(0.0) / rest;
            let of = FisherSnedecor::new(k_variants - 1.0, (k_variants - 1.0) * (n_blocks - 1.0));
            1.0 - of.expect("degrees of freedom are positive").cdf(f)
        }
    };
    let critical_difference =
        studentized_range(k) / 2f64.sqrt() * (k_variants * (k_variants + 1.0) / (6.0 * n_blocks)).sqrt();
    Some(Ranks { mean, blocks: n, critical_difference, p })
}

/// The rank of each value from 1 for the largest; equal values have the mean of their ranks.
fn ranked(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let larger = values.iter().filter(|other| *other > value).count() as f64;
        let equal = values.iter().filter(|other| *other == value).count() as f64;
        larger + (equal + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

/// Groups of neighbours in the order of `mean` ranks whose ranks differ by less than the critical difference, each from
/// its first to its last position among the sorted ranks. Groups within others are left out, and so are single
/// variants.
pub fn cliques(sorted: &[f64], critical_difference: f64) -> Vec<(usize, usize)> {
    let mut groups: Vec<(usize, usize)> = Vec::new();
    for from in 0..sorted.len() {
        let to = sorted.iter().rposition(|rank| rank - sorted[from] < critical_difference).unwrap_or(from);
        if to > from && groups.last().is_none_or(|&(_, last)| to > last) {
            groups.push((from, to));
        }
    }
    groups
}

/// The 95 % quantile of the range of k standard normal values: the studentized range with infinite degrees of freedom.
fn studentized_range(k: usize) -> f64 {
    let normal = Normal::new(0.0, 1.0).expect("the deviation is positive");
    // P(range ≤ q) = k ∫ φ(z) (Φ(z) − Φ(z − q))^(k − 1) dz, by Simpson's rule.
    let below = |q: f64| {
        let step = 2.0 * FAR / PARTS as f64;
        let value = |part: usize| {
            let z = part as f64 * step - FAR;
            let weight = if part == 0 || part == PARTS { 1.0 } else { 2.0 + 2.0 * (part % 2) as f64 };
            weight * normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - q)).powi(k as i32 - 1)
        };
        k as f64 * (0..=PARTS).map(value).sum::<f64>() * step / 3.0
    };
    let (mut low, mut high) = (0.0, 2.0 * FAR);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if below(middle) < 0.95 { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

/// How far from 0 normal values are looked at.
const FAR: f64 = 8.0;
/// Parts of the integral; even.
const PARTS: usize = 800;

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 5a of Demšar: critical values q / √2 at 0.05 for 2 to 10 variants.
    #[test]
    fn critical_values_are_the_published_ones() {
        let published = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164];
        for (k, published) in (2..).zip(published) {
            let own = studentized_range(k) / 2f64.sqrt();
            assert!((own - published).abs() < 1e-3, "{k}: {own} is not {published}");
        }
    }

    /// Section 3.2.2 of Demšar: four variants on 14 data sets with the mean ranks 3.143, 2.000, 2.893 and 1.964. The
    /// paper has a critical difference of 2.569 √(4 · 5 / (6 · 14)) = 1.25, χ² = 9.28, F = 3.69 with 3 and 39 degrees
    /// of freedom.
    #[test]
    fn the_example_of_the_paper() {
        // Table 6 of the paper: areas under the curve of C4.5 with four ways of its settings.
        let table = [
            [0.763, 0.768, 0.771, 0.798],
            [0.599, 0.591, 0.590, 0.569],
            [0.954, 0.971, 0.968, 0.967],
            [0.628, 0.661, 0.654, 0.657],
            [0.882, 0.888, 0.886, 0.898],
            [0.936, 0.931, 0.916, 0.931],
            [0.661, 0.668, 0.609, 0.685],
            [0.583, 0.583, 0.563, 0.625],
            [0.775, 0.838, 0.866, 0.875],
            [1.000, 1.000, 1.000, 1.000],
            [0.940, 0.962, 0.965, 0.962],
            [0.619, 0.666, 0.614, 0.669],
            [0.972, 0.981, 0.9751, 0.975],
            [0.957, 0.978, 0.946, 0.970],
        ];
        let found = ranks(&table.map(Vec::from)).unwrap();
        for (own, published) in found.mean.iter().zip([3.143, 2.000, 2.893, 1.964]) {
            assert!((own - published).abs() < 6e-4, "{:?}", found.mean);
        }
        assert!((found.critical_difference - 1.25).abs() < 5e-3, "{found:?}");
        // F(3, 39) is 2.85 at 0.05 and 4.33 at 0.01.
        assert!(found.p > 0.01 && found.p < 0.05, "{found:?}");
    }

    #[test]
    fn equal_values_share_ranks_and_few_blocks_have_none() {
        assert_eq!(ranked(&[0.5, 0.9, 0.5, 0.1]), [2.5, 1.0, 2.5, 4.0]);
        assert_eq!(ranks(&[vec![0.1, 0.2]]), None);
        assert_eq!(ranks(&[vec![0.1], vec![0.2]]), None);
        let agreed = ranks(&[vec![0.3, 0.2, 0.1], vec![0.9, 0.5, 0.4]]).unwrap();
        assert_eq!((agreed.mean, agreed.p), (vec![1.0, 2.0, 3.0], 0.0));
    }

    #[test]
    fn groups_are_as_long_as_they_can_be() {
        assert_eq!(cliques(&[1.0, 1.5, 2.4, 4.0, 4.2], 1.0), [(0, 1), (1, 2), (3, 4)]);
        assert_eq!(cliques(&[1.0, 1.2, 1.4], 1.0), [(0, 2)]);
        assert_eq!(cliques(&[1.0, 3.0], 1.0), []);
    }
}
