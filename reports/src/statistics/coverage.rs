//! How often each interval holds the truth, where the truth is known: simulated studies with fixed seeds.

use super::*;
use crate::testing::{World, drawn_from};
use maclip_framework::random::{Rng, Stream};

/// Share of `studies` simulated ones that hold the truth.
fn coverage(studies: u64, study: impl Fn(Rng) -> bool) -> f64 {
    let stream = Stream::new(7, "coverage");
    (0..studies).filter(|index| study(stream.at(*index))).count() as f64 / studies as f64
}

fn holds(interval: Interval, truth: f64) -> bool {
    (interval.mean - truth).abs() <= interval.half_width
}

/// A standard normal number (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.unit()).ln()).sqrt() * (std::f64::consts::TAU * rng.unit()).cos()
}

/// Mean accuracy of each episode with 1.96·s/√n.
fn of_episodes(values: &[f64], queries: usize) -> Interval {
    let episodes: Vec<f64> = values.chunks(queries).map(|values| mean(values.iter().copied()).unwrap()).collect();
    let (mean, deviation) = moments(&episodes).unwrap();
    Interval { mean, half_width: 1.96 * deviation / (episodes.len() as f64).sqrt() }
}

/// Binomial standard error of 600 studies at 95 %: 0.9 points; three of them are allowed.
#[test]
fn over_episodes_holds_the_mean_given_these_videos() {
    let world = World::new(12, 10, Stream::new(1, "world").at(0));
    let held = coverage(600, |rng| {
        let (list, values) = drawn_from(&world, 300, rng);
        holds(of_episodes(&values, list.queries), world.mean())
    });
    assert!((0.923..=0.977).contains(&held), "{held}");
}

/// The truth is the mean over all classes and videos that could have been; an interval over episodes misses it mostly.
#[test]
fn over_clusters_holds_the_mean_over_other_classes_and_videos() {
    for classes in [7, 10, 24] {
        let study = |rng: Rng| {
            let world = World::new(classes, 20, rng.clone());
            drawn_from(&world, 1000, Stream::new(rng.clone().bits(), "episodes").at(0))
        };
        let held = coverage(300, |rng| {
            let (list, values) = study(rng);
            holds(over_clusters(&list, &values).unwrap(), World::TRUTH)
        });
        // Wider than needed by what episodes add on their own.
        assert!(held >= 0.93, "{classes} classes: {held}");
        let narrow = coverage(300, |rng| {
            let (list, values) = study(rng);
            holds(of_episodes(&values, list.queries), World::TRUTH)
        });
        assert!(narrow < 0.7, "{classes} classes: {narrow}");
    }
}

/// Binomial standard error of 4,000 studies at 95 %: 0.34 points.
#[test]
fn over_seeds_holds_the_mean_over_seeds() {
    for seeds in [2, 3, 5] {
        let held = coverage(4000, |mut rng| {
            let values: Vec<f64> = (0..seeds).map(|_| 0.6 + 0.02 * normal(&mut rng)).collect();
            holds(over_seeds(&values).unwrap(), 0.6)
        });
        assert!((0.939..=0.961).contains(&held), "{seeds} seeds: {held}");
    }
}

/// Two variants on the same episodes: the truth is their difference given these videos. The p-value of two equal ones
/// is below 5 % in at most 5 % of the studies.
#[test]
fn paired_holds_the_difference_and_p_its_level() {
    let world = World::new(12, 10, Stream::new(3, "world").at(0));
    let held = coverage(600, |mut rng| {
        let (list, values) = drawn_from(&world, 300, rng.clone());
        // The second variant turns one answer of ten: right ones are lost at the same rate as wrong ones are won.
        let other: Vec<f64> = values.iter().map(|value| if rng.unit() < 0.1 { 1.0 - value } else { *value }).collect();
        let difference: Vec<f64> = other.iter().zip(&values).map(|(other, own)| other - own).collect();
        holds(of_episodes(&difference, list.queries), 0.1 * (1.0 - 2.0 * world.mean()))
    });
    assert!((0.923..=0.977).contains(&held), "{held}");
    let rejected = coverage(2000, |mut rng| {
        let differences: Vec<i64> = (0..60).map(|_| rng.below(5) as i64 - 2).collect();
        sign_flip(&differences) <= 0.05
    });
    assert!((0.03..=0.065).contains(&rejected), "{rejected}");
}
