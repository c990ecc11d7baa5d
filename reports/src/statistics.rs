//! Means, intervals and differences. Every interval says what varied; shares are from 0 to 1.

use std::collections::BTreeMap;

/// What an interval over episodes is about.
pub const OVER_EPISODES: &str = "95 % interval over episodes given these videos";

/// The same where the test is a retrieval and has no episodes.
pub const OVER_QUERIES: &str = "95 % interval over queries given these videos";

/// How the episode intervals of several seeds become one.
pub const POOLING: &str = "with several seeds, the mean of the runs' half widths, an upper bound whatever the \
                           correlation between runs that share episodes";

/// A mean and the half width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub mean: f64,
    pub half_width: f64,
}

/// The mean over the runs of a variant with the interval over episodes given these videos (and, as always, given the
/// trained models).
///
/// All seeds are tested on the same episodes, so their errors go together and the half width must not shrink with √seeds.
/// By Minkowski's inequality the standard deviation of a mean is at most the mean of the standard deviations, whatever
/// the correlation: the half width is therefore the mean of the runs' half widths, exact for one seed and for
/// perfectly correlated seeds, conservative otherwise. `None` for no runs.
pub fn over_episodes(runs: &[Interval]) -> Option<Interval> {
    Some(Interval {
        mean: mean(runs.iter().map(|run| run.mean))?,
        half_width: mean(runs.iter().map(|run| run.half_width))?,
    })
}

/// The mean over seeds with Student's 95 % interval t·s/√n; `None` for fewer than two seeds.
pub fn over_seeds(values: &[f64]) -> Option<Interval> {
    let (mean, deviation) = moments(values)?;
    Some(Interval { mean, half_width: t_quantile(values.len() - 1) * deviation / (values.len() as f64).sqrt() })
}

/// The mean difference to a baseline over the episodes both were tested on, with its 95 % interval 1.96·s/√n over
/// episodes given these videos and these trained models.
///
/// Each side is a list of runs (seeds); each run is its accuracy by episode id. An episode's accuracy is first averaged
/// over the seeds of its side, so that pairing removes the difficulty of the episode. Runs must hold the same episodes:
/// `None` otherwise, or with fewer than two episodes.
pub fn paired(variant: &[&BTreeMap<u64, f64>], baseline: &[&BTreeMap<u64, f64>]) -> Option<Interval> {
    let first = *variant.first()?;
    let same = |run: &&BTreeMap<u64, f64>| run.len() == first.len() && run.keys().eq(first.keys());
    if baseline.is_empty() || !variant.iter().chain(baseline).all(same) {
        return None;
    }
    let at = |side: &[&BTreeMap<u64, f64>], id| side.iter().map(|run| run[id]).sum::<f64>() / side.len() as f64;
    let differences: Vec<f64> = first.keys().map(|id| at(variant, id) - at(baseline, id)).collect();
    let (mean, deviation) = moments(&differences)?;
    Some(Interval { mean, half_width: 1.96 * deviation / (differences.len() as f64).sqrt() })
}

/// Mean, or `None` for nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, number) = values.into_iter().fold((0.0, 0usize), |(sum, number), value| (sum + value, number + 1));
    (number > 0).then(|| sum / number as f64)
}

/// Mean and sample standard deviation; `None` for fewer than two values.
fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let mean = mean(values.iter().copied()).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (values.len() - 1) as f64).sqrt()))
}

/// The 97.5 % quantile of Student's t for `df` ≥ 1 degrees of freedom; beyond the table, that of df = 30, which is
/// a little too wide.
fn t_quantile(df: usize) -> f64 {
    const TABLE: [f64; 30] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
        2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
    ];
    TABLE[df.clamp(1, TABLE.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn one_seed_keeps_its_own_interval_and_has_no_spread() {
        let run = Interval { mean: 0.634, half_width: 0.003 };
        assert_eq!(over_episodes(&[run]), Some(run));
        assert_eq!(over_seeds(&[0.634]), None);
        assert_eq!(over_episodes(&[]), None);
    }

    #[test]
    fn several_seeds_average_means_and_half_widths() {
        let runs = [0.60, 0.62, 0.67].map(|mean| Interval { mean, half_width: mean / 100.0 });
        let pooled = over_episodes(&runs).unwrap();
        close(pooled.mean, 0.63);
        close(pooled.half_width, 0.0063);
    }

    /// By hand: mean 0.63, deviations −0.03, −0.01, 0.04, s² = 0.0026/2 = 0.0013, t(2) = 4.303.
    #[test]
    fn the_spread_over_seeds_is_students() {
        let spread = over_seeds(&[0.60, 0.62, 0.67]).unwrap();
        close(spread.mean, 0.63);
        close(spread.half_width, 4.303 * (0.0013f64 / 3.0).sqrt());
    }

    /// By hand: differences 0.2, 0.4, 0.0, 0.2; mean 0.2; s² = 0.08/3; half width 1.96·√(0.08/3/4).
    #[test]
    fn differences_are_paired_by_episode() {
        let variant: BTreeMap<u64, f64> = [(0, 0.6), (1, 1.0), (2, 0.2), (3, 0.4)].into();
        let baseline: BTreeMap<u64, f64> = [(0, 0.4), (1, 0.6), (2, 0.2), (3, 0.2)].into();
        let difference = paired(&[&variant], &[&baseline]).unwrap();
        close(difference.mean, 0.2);
        close(difference.half_width, 1.96 * (0.08f64 / 12.0).sqrt());
        // Two seeds that err in opposite directions on an episode average out before the difference.
        let high: BTreeMap<u64, f64> = variant.iter().map(|(id, value)| (*id, value + 0.1)).collect();
        let low: BTreeMap<u64, f64> = variant.iter().map(|(id, value)| (*id, value - 0.1)).collect();
        close(paired(&[&high, &low], &[&baseline]).unwrap().half_width, difference.half_width);
    }

    #[test]
    fn other_episodes_have_no_difference() {
        let one: BTreeMap<u64, f64> = [(0, 0.6), (1, 1.0)].into();
        let other: BTreeMap<u64, f64> = [(0, 0.6), (2, 1.0)].into();
        assert_eq!(paired(&[&one], &[&other]), None);
        assert_eq!(paired(&[&one], &[]), None);
    }

    #[test]
    fn quantiles_end_with_the_table() {
        assert_eq!(t_quantile(1), 12.706);
        assert_eq!(t_quantile(30), 2.042);
        assert_eq!(t_quantile(500), 2.042);
    }
}
