//! A smoothed loss for the progress line: the losses of single steps vary too much to be read there.

/// Factor on the weight of a step for each step after it. So about the last 20 steps count.
const KEPT: f64 = 0.95;

/// Exponentially weighted mean of all values so far. The first values are not drawn towards zero, by the bias
/// correction of Adam (arXiv 1412.6980, section 3).
#[derive(Clone, Copy, Debug, Default)]
pub struct Smoothed {
    sum: f64,
    weight: f64,
}

impl Smoothed {
    /// Adds `value` and returns the mean.
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
