//! A loss that a person can follow: the losses of single episodes jump too much.

/// How much of a step's weight is left one step later. About the last 20 steps count.
const KEPT: f64 = 0.95;

/// Exponentially weighted mean of what was seen so far, without the pull to zero of its first values (the bias correction of
/// Adam, arXiv 1412.6980, section 3).
#[derive(Clone, Copy, Debug, Default)]
pub struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    /// The mean with `value` in it.
    pub fn with(&mut self, value: f64) -> f64 {
        self.sum = KEPT * self.sum + (1.0 - KEPT) * value;
        self.weight = KEPT * self.weight + (1.0 - KEPT);
        self.sum / self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_is_its_own_mean_and_later_ones_weigh_more() {
        let mut mean = Smoothed::default();
        assert!((mean.with(2.0) - 2.0).abs() < 1e-12);
        // By hand: (0.95 · 2 + 4) / (0.95 + 1).
        assert!((mean.with(4.0) - 5.9 / 1.95).abs() < 1e-12);
        let last = (0..400).map(|_| mean.with(1.0)).last().unwrap();
        assert!((last - 1.0).abs() < 1e-6);
    }
}
