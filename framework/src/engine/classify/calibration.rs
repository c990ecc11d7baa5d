//! What the support clips say about the answers: how often they are right, how sure they are, and what is none of the
//! classes.
//!
//! Every support clip is taken out once and asked like a new clip. Here belong the numbers that follow from these
//! answers. Not here: how the answers are computed.

use serde::Serialize;
use std::collections::BTreeMap;

/// A support clip that was asked while it was no part of its class.
#[derive(Clone, Debug)]
pub struct LeftOut {
    /// The clip's class.
    pub label: usize,
    /// Probability of each class.
    pub probabilities: Vec<f64>,
    /// Distance to each class; its own is without it.
    pub distances: Vec<f64>,
    /// How well the nearest class fits where its whole class was taken out, so that the clip is of none of the classes;
    /// larger is better. `None` where that leaves one class only.
    pub fit_without_class: Option<f64>,
}

impl LeftOut {
    /// How well the nearest of the classes fits for which `counts` holds; larger is better.
    fn fit(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let counted = self.distances.iter().enumerate().filter(|(class, _)| counts(*class));
        -counted.map(|(_, distance)| *distance).fold(f64::INFINITY, f64::min)
    }

    /// The class with the largest probability; of equal ones the first.
    pub fn prediction(&self) -> usize {
        largest(&self.probabilities)
    }

    fn right(&self) -> bool {
        self.prediction() == self.label
    }
}

/// Position of the largest value; of equal ones the first.
pub fn largest(values: &[f64]) -> usize {
    (0..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

/// A share of so many clips with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// 0 to 1.
    pub share: f64,
    /// Bounds of the 95 % interval (Wilson, JASA 1927), which holds for few clips and for shares of 0 and 1 too.
    pub interval: [f64; 2],
    /// Number of clips.
    pub clips: usize,
}

impl Share {
    /// `count` of `all`; `None` where there are none.
    pub fn of(count: usize, all: usize) -> Option<Self> {
        const Z: f64 = 1.959964;
        if all == 0 {
            return None;
        }
        let (n, p) = (all as f64, count as f64 / all as f64);
        let middle = (p + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
        let half = Z / (1.0 + Z * Z / n) * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Some(Self { share: p, interval: [(middle - half).max(0.0), (middle + half).min(1.0)], clips: all })
    }

    /// The larger distance from the share to a bound.
    pub fn ci95(&self) -> f64 {
        (self.interval[1] - self.share).max(self.share - self.interval[0])
    }
}

/// Answers of one range of probabilities.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Mean probability of the predicted class.
    pub probability: f64,
    /// Share of the answers that are right.
    pub accuracy: f64,
    /// Number of answers.
    pub clips: usize,
}

/// Ranges of probabilities in a [`Calibration::bins`].
const BINS: usize = 5;
/// Temperatures that are tried.
const TEMPERATURES: [f64; 2] = [0.02, 1000.0];

/// What follows from the left-out clips.
#[derive(Clone, Debug, Serialize)]
pub struct Calibration {
    /// Probabilities are raised to the power 1 / temperature and brought to the sum 1 (Guo et al., ICML 2017).
    pub temperature: f64,
    /// Share of the left-out clips that were recognised. `None` where every class has one clip.
    pub accuracy: Option<Share>,
    /// The accuracy of guessing: one of all classes, or always the one with the most left-out clips.
    pub chance: f64,
    /// Reliability after the calibration, without empty ranges.
    pub bins: Vec<Bin>,
    /// Mean difference of probability and accuracy over the ranges, weighted by their clips: before and after.
    pub calibration_error: Option<[f64; 2]>,
    /// What is none of the classes.
    pub unknown: Option<Threshold>,
}

/// A clip whose fit is below the threshold is none of the classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// The smallest fit that is accepted.
    pub fit: f64,
    /// Expected share of new clips of the classes that it refuses wrongly: (k + 1) / (n + 1) where it is the fit of the
    /// k + 1st of n left-out clips from below (Vovk et al., 2005: conformal prediction).
    pub known_refused: f64,
    /// Share of the clips that are refused rightly where their class was taken out, of the support and of what the
    /// threshold follows from. `None` with fewer than three classes.
    pub unknown_refused: Option<Share>,
}

impl Calibration {
    /// From the left-out clips of `classes` classes. The threshold refuses the share `refuse` of new clips; with 0
    /// there is none, and nothing is refused.
    pub fn of(left_out: &[LeftOut], classes: usize, refuse: f64) -> Self {
        let temperature = temperature(left_out);
        let after: Vec<Vec<f64>> = left_out.iter().map(|clip| tempered(&clip.probabilities, temperature)).collect();
        let before = || left_out.iter().map(|clip| clip.probabilities.as_slice());
        let bins = bins(left_out, after.iter().map(Vec::as_slice));
        let right = left_out.iter().filter(|clip| clip.right()).count();
        let errors = (!left_out.is_empty()).then(|| [error(&self::bins(left_out, before())), error(&bins)]);
        Self {
            temperature,
            accuracy: Share::of(right, left_out.len()),
            chance: chance(left_out, classes),
            bins,
            calibration_error: errors,
            unknown: if refuse > 0.0 { threshold(left_out, refuse) } else { None },
        }
    }

    /// Whether the left-out clips show that the classes can be told apart: the interval of the accuracy is above
    /// chance. `None` where nothing was left out.
    pub fn above_chance(&self) -> Option<bool> {
        self.accuracy.map(|accuracy| accuracy.interval[0] > self.chance)
    }

    /// Whether all left-out clips together could show it, if all were right.
    pub fn enough(&self) -> bool {
        let all = self.accuracy.and_then(|accuracy| Share::of(accuracy.clips, accuracy.clips));
        all.is_some_and(|all| all.interval[0] > self.chance)
    }

    /// Calibrated probabilities.
    pub fn calibrated(&self, probabilities: &[f64]) -> Vec<f64> {
        tempered(probabilities, self.temperature)
    }

    /// Whether a clip with this fit is none of the classes.
    pub fn refuses(&self, fit: f64) -> bool {
        self.unknown.as_ref().is_some_and(|threshold| fit < threshold.fit)
    }
}

fn chance(left_out: &[LeftOut], classes: usize) -> f64 {
    let of_class = |class: usize| left_out.iter().filter(|clip| clip.label == class).count();
    let most = (0..classes).map(of_class).max().unwrap_or(0) as f64 / left_out.len().max(1) as f64;
    most.max(1.0 / classes.max(1) as f64)
}

/// Probabilities to the power 1 / temperature, with the sum 1.
fn tempered(probabilities: &[f64], temperature: f64) -> Vec<f64> {
    let logits: Vec<f64> = probabilities.iter().map(|p| p.max(1e-30).ln() / temperature).collect();
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - top).exp()).collect();
    let sum: f64 = powers.iter().sum();
    powers.into_iter().map(|power| power / sum).collect()
}

/// The temperature with the highest likelihood of the left-out clips' classes. As Platt (1999) does, n clips count as
/// n + 1 of which one has an even chance of every class, so that few clips that are all right do not make answers
/// certain. 1 where nothing was left out.
fn temperature(left_out: &[LeftOut]) -> f64 {
    if left_out.is_empty() {
        return 1.0;
    }
    let even = 1.0 / (left_out.len() as f64 + 1.0);
    let loss = |log: f64| -> f64 {
        let of_clip = |clip: &LeftOut| -> f64 {
            let logs: Vec<f64> =
                tempered(&clip.probabilities, log.exp()).iter().map(|p| p.max(f64::MIN_POSITIVE).ln()).collect();
            let mean = logs.iter().sum::<f64>() / logs.len() as f64;
            -(1.0 - even) * logs[clip.label] - even * mean
        };
        left_out.iter().map(of_clip).sum()
    };
    // The loss has one minimum, since it is convex in 1 / temperature: golden section.
    let [mut low, mut high] = TEMPERATURES.map(f64::ln);
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    while high - low > 1e-4 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a) <= loss(b) { high = b } else { low = a }
    }
    ((low + high) / 2.0).exp()
}

fn bins<'a>(left_out: &[LeftOut], probabilities: impl Iterator<Item = &'a [f64]>) -> Vec<Bin> {
    let mut sums = [(0.0, 0, 0); BINS];
    for (clip, probabilities) in left_out.iter().zip(probabilities) {
        let predicted = clip.prediction();
        let at = ((probabilities[predicted] * BINS as f64) as usize).min(BINS - 1);
        let (sum, right, count) = &mut sums[at];
        *sum += probabilities[predicted];
        *right += usize::from(predicted == clip.label);
        *count += 1;
    }
    let filled = sums.into_iter().filter(|(_, _, clips)| *clips > 0);
    filled
        .map(|(sum, right, clips)| Bin {
            probability: sum / clips as f64,
            accuracy: right as f64 / clips as f64,
            clips,
        })
        .collect()
}

fn error(bins: &[Bin]) -> f64 {
    let clips: usize = bins.iter().map(|bin| bin.clips).sum();
    let off = |bin: &Bin| (bin.probability - bin.accuracy).abs() * bin.clips as f64;
    bins.iter().map(off).sum::<f64>() / clips as f64
}

/// The threshold of the left-out clips, and what it does to clips of a class that is none of these.
fn threshold(left_out: &[LeftOut], refuse: f64) -> Option<Threshold> {
    let (fit, known_refused) = largest_threshold(left_out.iter().map(|clip| clip.fit(|_| true)), refuse)?;
    // A class that is asked as a stranger has no part in its own threshold, as a real stranger has none.
    let mut thresholds: BTreeMap<usize, Option<f64>> = BTreeMap::new();
    for class in left_out.iter().map(|clip| clip.label) {
        thresholds.entry(class).or_insert_with(|| {
            let others = left_out.iter().filter(|other| other.label != class);
            largest_threshold(others.map(|other| other.fit(|known| known != class)), refuse).map(|(fit, _)| fit)
        });
    }
    let strangers = left_out.iter().filter_map(|clip| clip.fit_without_class.zip(thresholds[&clip.label]));
    let refused: Vec<bool> = strangers.map(|(fit, threshold)| fit < threshold).collect();
    let unknown_refused = Share::of(refused.iter().filter(|refused| **refused).count(), refused.len());
    Some(Threshold { fit, known_refused, unknown_refused })
}

/// The largest threshold that is expected to refuse at most the share `refuse` of new clips, where those of left-out
/// clips are `fits`, and the share that it refuses; with few left-out clips the smallest threshold that there is.
fn largest_threshold(fits: impl Iterator<Item = f64>, refuse: f64) -> Option<(f64, f64)> {
    let mut fits: Vec<f64> = fits.collect();
    fits.sort_by(f64::total_cmp);
    let places = fits.len() as f64 + 1.0;
    let below = ((refuse * places + 1e-9) as usize).saturating_sub(1);
    fits.get(below).map(|fit| (*fit, (below as f64 + 1.0) / places))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clip(label: usize, probabilities: &[f64], fit: f64, without: f64) -> LeftOut {
        let distances = (0..probabilities.len()).map(|class| if class == label { -fit } else { -without }).collect();
        LeftOut { label, probabilities: probabilities.to_vec(), distances, fit_without_class: Some(without) }
    }

    #[test]
    fn shares_have_wilsons_interval() {
        // Wilson's interval of 8 of 10 and of 10 of 10, as in tables.
        let near = |found: Option<Share>, low: f64, high: f64| {
            let [a, b] = found.unwrap().interval;
            assert!((a - low).abs() < 1e-4 && (b - high).abs() < 1e-4, "{a} {b}");
        };
        near(Share::of(8, 10), 0.4902, 0.9433);
        near(Share::of(10, 10), 0.7225, 1.0);
        assert!(Share::of(0, 0).is_none());
        assert!((Share::of(10, 10).unwrap().ci95() - 0.2775).abs() < 1e-4);
    }

    #[test]
    fn overconfident_answers_are_made_less_sure() {
        // Sure of everything, and right half of the time.
        let clips: Vec<LeftOut> = (0..40).map(|i| clip(i % 2, &[0.99, 0.01], 1.0, 0.0)).collect();
        let found = Calibration::of(&clips, 2, 0.05);
        let [sure, _] = found.calibrated(&[0.99, 0.01])[..] else { panic!() };
        assert!((0.5..0.52).contains(&sure), "{sure}");
        let [before, after] = found.calibration_error.unwrap();
        assert!((before - 0.49).abs() < 1e-9 && after < 0.02, "{before} {after}");
        assert_eq!(found.above_chance(), Some(false));
    }

    #[test]
    fn answers_that_are_all_right_become_surer_and_not_certain() {
        let clips: Vec<LeftOut> = (0..9).map(|i| clip(i % 3, &probabilities(i % 3), 1.0, 0.0)).collect();
        fn probabilities(label: usize) -> [f64; 3] {
            let mut all = [0.3; 3];
            all[label] = 0.4;
            all
        }
        let found = Calibration::of(&clips, 3, 0.05);
        let sure = found.calibrated(&probabilities(0))[0];
        // Nine clips count as ten of which one has an even chance: 0.9 + 0.1 / 3.
        assert!((sure - (0.9 + 0.1 / 3.0)).abs() < 1e-3, "{sure}");
        assert_eq!(found.above_chance(), Some(true));
    }

    #[test]
    fn the_threshold_refuses_no_more_than_allowed() {
        let clips: Vec<LeftOut> = (0..20).map(|i| clip(i % 2, &[0.6, 0.4], i as f64, i as f64 - 10.0)).collect();
        // 2 of 21 places are 0.095; 3 would be 0.143.
        let found = threshold(&clips, 0.1).unwrap();
        assert_eq!((found.fit, found.known_refused), (1.0, 2.0 / 21.0));
        // Without the class, clips of the first have fits of −10, −8, … 8, and the others' threshold is 1: 6 are below.
        // Those of the second have −9, −7, … 9, and the others' threshold is 0: 5 are below.
        assert_eq!(found.unknown_refused.unwrap().share, 0.55);
        // Fewer than 20 places: the smallest fit is the least that can be refused.
        assert_eq!(threshold(&clips[..9], 0.05).unwrap().known_refused, 0.1);
        assert_eq!(threshold(&clips, 0.99).unwrap().fit, 19.0);
        assert!(threshold(&[], 0.1).is_none());
        let calibration = Calibration::of(&clips, 2, 0.1);
        assert!(calibration.refuses(0.9) && !calibration.refuses(1.0));
        assert_eq!(calibration.chance, 0.5);
        // One class has no others to have a threshold from; then nothing is known of strangers.
        assert!(threshold(&[clips[0].clone(), clips[2].clone()], 0.1).unwrap().unknown_refused.is_none());
        assert!(!Calibration::of(&clips, 2, 0.0).refuses(f64::NEG_INFINITY));
    }

    #[test]
    fn without_left_out_clips_nothing_changes() {
        let found = Calibration::of(&[], 3, 0.05);
        assert_eq!((found.temperature, found.accuracy, found.above_chance()), (1.0, None, None));
        assert!(!found.refuses(f64::NEG_INFINITY));
        let same = found.calibrated(&[0.5, 0.25, 0.25]);
        assert!(same.iter().zip([0.5, 0.25, 0.25]).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
