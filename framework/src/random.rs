//! Counter-based random numbers: every draw is a pure function of (seed, stream name, index).
//!
//! Nothing has to be restored when a run is resumed, and the order in which workers ask does not matter.
//! The generator is ChaCha8 (`rand_chacha`). The conversions to numbers are written here, so that a new release of a
//! library cannot change a published number.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A family of generators with a name, one generator for each index.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u8; 32],
}

impl Stream {
    /// The stream `name` of `seed`. Streams with different names are independent.
    pub fn new(seed: u64, name: &str) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        hash.update(seed.to_le_bytes());
        hash.update(name.as_bytes());
        Self { key: hash.finalize().into() }
    }

    /// The generator of `index`, always at its first draw.
    pub fn at(&self, index: u64) -> Rng {
        let mut rng = ChaCha8Rng::from_seed(self.key);
        rng.set_stream(index);
        Rng(rng)
    }
}

/// One generator: a sequence of draws for one purpose.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in [0, 1), a multiple of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in [low, high).
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// Uniform in 0..n.
    ///
    /// # Panics
    /// Where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        assert!(n > 0, "cannot draw from an empty range");
        // Lemire's multiply-shift; the bias is below n / 2^64.
        ((self.bits() as u128 * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller's method, the cosine).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// One element of `items`.
    ///
    /// # Panics
    /// Where `items` is empty.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// `k` different numbers of 0..n in random order.
    ///
    /// # Panics
    /// Where `k` is above `n`.
    pub fn distinct(&mut self, k: usize, n: usize) -> Vec<usize> {
        assert!(k <= n, "cannot draw {k} distinct numbers out of {n}");
        let mut pool: Vec<usize> = (0..n).collect();
        for i in 0..k {
            let j = i + self.below(n - i);
            pool.swap(i, j);
        }
        pool.truncate(k);
        pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_seed_name_and_index_alone() {
        let a: Vec<u64> = (0..4).map(|i| Stream::new(1, "episodes").at(i).bits()).collect();
        let stream = Stream::new(1, "episodes");
        let b: Vec<u64> = (0..4).rev().map(|i| stream.at(i).bits()).collect();
        assert_eq!(a, b.into_iter().rev().collect::<Vec<_>>());
        let others = [Stream::new(2, "episodes").at(0).bits(), Stream::new(1, "frames").at(0).bits(), a[1]];
        assert!(others.iter().all(|&x| x != a[0]));
    }

    #[test]
    fn distinct_is_a_uniform_partial_shuffle() {
        let stream = Stream::new(3, "test");
        let mut counts = [0usize; 5];
        for i in 0..5000 {
            let drawn = stream.at(i).distinct(2, 5);
            assert_ne!(drawn[0], drawn[1]);
            drawn.iter().for_each(|&d| counts[d] += 1);
        }
        // 2000 expected, standard deviation about 35.
        assert!(counts.iter().all(|&c| (1860..2140).contains(&c)), "{counts:?}");
    }

    #[test]
    fn normal_has_unit_variance() {
        let mut rng = Stream::new(5, "normal").at(0);
        let draws: Vec<f64> = (0..20_000).map(|_| rng.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
