//! Means, intervals and differences. Every interval says what varied; shares are from 0 to 1. Not here: which runs are
//! compared (`summary`).
//!
//! | interval | what varies | how |
//! |---|---|---|
//! | [`over_episodes`] | the draw of test episodes, given these videos and these trained models | 1.96 · s / √n |
//! | [`over_clusters`] | the classes and videos that the episodes are drawn from | cluster bootstrap, Student's t |
//! | [`over_seeds`] | training, by its seed | Student's t over the seeds' results |
//! | [`paired`] | as over episodes, of the difference of two variants on the same episodes | 1.96 · s / √n |

mod clusters;
#[cfg(test)]
mod coverage;
mod holm;
mod paired;
mod ranks;
mod sign_flip;

pub use clusters::over_clusters;
pub use holm::holm;
pub use paired::{Paired, paired};
pub use ranks::{Ranks, cliques, ranks};
pub use sign_flip::sign_flip;

use crate::settings::Settings;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// What an interval over episodes is about where each is drawn from all videos. Lafargue et al. (arXiv 2409.02850) call
/// it closed, and open where no two episodes share a video.
pub const OVER_EPISODES: &str = "95 % interval over episodes given these videos (closed)";

/// The same where no two episodes share a video.
pub const OVER_OTHER_VIDEOS: &str =
    "95 % interval over episodes that share no video, for these and other videos of these classes (open)";

/// The same where some tests are of one kind and some of the other.
pub const OVER_EITHER: &str = "95 % interval over episodes: closed, given these videos, or open, for other videos of \
                               these classes too";

/// What limits a table of both.
pub const MIXED: &str = "some tests draw episodes with replacement and some without: intervals of the second kind also speak of \
                         other videos, so they are wider, and the two do not compare";

/// What the intervals of tests with these settings are about.
pub fn over_episodes_of<'a>(tests: impl Iterator<Item = &'a Settings>) -> &'static str {
    let mut kinds = [false; 2];
    tests.for_each(|test| {
        kinds[usize::from(test.get("task.test.sampling") == Some("without_replacement"))] = true;
    });
    match kinds {
        [_, false] => OVER_EPISODES,
        [false, true] => OVER_OTHER_VIDEOS,
        [true, true] => OVER_EITHER,
    }
}

/// The same where the test is a retrieval and has no episodes.
pub const OVER_QUERIES: &str = "95 % interval over queries given these videos";

/// What an interval over clusters is about.
pub const OVER_CLUSTERS: &str = "95 % cluster bootstrap over classes and videos";

/// What an interval over seeds is about.
pub const OVER_SEEDS: &str = "95 % interval over seeds (Student’s t)";

/// How the episode intervals of several seeds become one.
pub const POOLING: &str = "with several seeds, the mean of the runs' half widths, an upper bound whatever the \
                           correlation between runs that share episodes";

/// Which test a p-value comes from.
pub const SIGN_FLIP: &str = "two-sided, exact sign-flip permutation of the paired episodes";

/// How several p-values are corrected.
pub const HOLM: &str = "Holm’s correction within the table";

/// A mean and the half width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    pub mean: f64,
    pub half_width: f64,
}

/// The mean over the runs of a variant with the interval over episodes given these videos (and, as always, given the
/// trained models).
///
/// All seeds are tested on the same episodes, so their errors go together and the half width must not shrink with
/// √seeds. By Minkowski's inequality the standard deviation of a mean is at most the mean of the standard deviations,
/// whatever the correlation: the half width is therefore the mean of the runs' half widths, exact for one seed and for
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

/// Mean, or `None` for nothing.
pub fn mean(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let (sum, number) = values.into_iter().fold((0.0, 0usize), |(sum, number), value| (sum + value, number + 1));
    (number > 0).then(|| sum / number as f64)
}

/// Mean and sample standard deviation; `None` for fewer than two values.
pub fn moments(values: &[f64]) -> Option<(f64, f64)> {
    let mean = mean(values.iter().copied()).filter(|_| values.len() > 1)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((mean, (squares / (values.len() - 1) as f64).sqrt()))
}

/// The 97.5 % quantile of Student's t for `df` ≥ 1 degrees of freedom.
pub fn t_quantile(df: usize) -> f64 {
    let distribution =
        StudentsT::new(0.0, 1.0, df.max(1) as f64).expect("the scale and the degrees of freedom are positive");
    distribution.inverse_cdf(0.975)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-9, "{left} is not {right}");
    }

    #[test]
    fn an_interval_says_whether_it_speaks_of_other_videos() {
        let of = |sampling: &str| {
            let text = format!("task: {{type: few_shot, test: {{sampling: {sampling}}}}}\n");
            Settings::read(&text).unwrap()
        };
        let (closed, open) = (of("with_replacement"), of("without_replacement"));
        let said = |tests: &[&Settings]| over_episodes_of(tests.iter().copied());
        // Older runs have no such key.
        assert_eq!(said(&[&closed, &Settings::default()]), OVER_EPISODES);
        assert_eq!((said(&[&open]), said(&[&open, &closed])), (OVER_OTHER_VIDEOS, OVER_EITHER));
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

    /// By hand: mean 0.63, deviations −0.03, −0.01, 0.04, s² = 0.0026/2 = 0.0013, t(2) = 4.302653.
    #[test]
    fn the_spread_over_seeds_is_students() {
        let spread = over_seeds(&[0.60, 0.62, 0.67]).unwrap();
        close(spread.mean, 0.63);
        assert!((spread.half_width - 4.302653 * (0.0013f64 / 3.0).sqrt()).abs() < 1e-6);
    }

    /// Student's own data (Biometrika 1908; R's `sleep`): extra hours of sleep of ten patients under one drug against
    /// the other. R's `t.test(paired = TRUE)` gives a mean of 1.58 and an interval from 0.7001142 to 2.4598858.
    #[test]
    fn students_sleep_has_its_published_interval() {
        let interval = over_seeds(&[1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]).unwrap();
        close(interval.mean, 1.58);
        assert!((interval.half_width - (2.4598858 - 0.7001142) / 2.0).abs() < 1e-6, "{interval:?}");
    }

    /// Printed tables of Student's t.
    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (df, quantile) in [(1, 12.706), (2, 4.303), (9, 2.262), (30, 2.042), (120, 1.980)] {
            assert!((t_quantile(df) - quantile).abs() < 6e-4, "{df}: {}", t_quantile(df));
        }
    }
}
