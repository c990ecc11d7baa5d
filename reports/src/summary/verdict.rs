//! What a result is worth: whether it is above chance, and whether the model says the same thing to everything.

use super::{Measure, Variant};
use crate::format;

/// A model that gives this share of an episode's queries the same answer has collapsed. Random answers to one query of
/// each of five classes reach 0.44.
const COLLAPSED: f64 = 0.8;

/// A result against guessing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chance {
    /// The interval over episodes lies above it.
    Above,
    /// Guessing gives this share, and the interval does not lie above it.
    NotAbove(f64),
}

/// `None` without a result, and where there are no classes to guess from.
pub fn chance(variant: &Variant, measure: Option<&Measure>) -> Option<Chance> {
    let way = measure.filter(|measure| measure.way > 0)?.way;
    let interval = variant.result.as_ref()?.over_episodes;
    let guessed = 1.0 / way as f64;
    Some(if interval.mean - interval.half_width > guessed { Chance::Above } else { Chance::NotAbove(guessed) })
}

impl Variant {
    /// The share of an episode's queries that get the same answer, where that is nearly all.
    pub fn collapsed(&self) -> Option<f64> {
        self.result.as_ref()?.same_answer.filter(|share| *share >= COLLAPSED)
    }
}

/// A line for each variant that is not above chance or has collapsed.
pub fn warnings(variants: &[Variant], measure: Option<&Measure>) -> Vec<String> {
    let line = |variant: &Variant| {
        let mut faults = Vec::new();
        if let Some(Chance::NotAbove(guessed)) = chance(variant, measure) {
            faults.push(format!("is not above chance ({} %)", format::percent(guessed)));
        }
        if let Some(share) = variant.collapsed() {
            faults.push(format!("predicts one class for {:.0} % of an episode's queries", 100.0 * share));
        }
        (!faults.is_empty()).then(|| format!("{} {}", variant.label, faults.join(" and ")))
    };
    variants.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;
    use maclip_framework::runs::records::EpisodeRecord;

    #[test]
    fn chance_and_collapse_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let variants = vec![("guesses".into(), 0.2, 5), ("sees".into(), 0.7, 6)];
        Study { variants, ..Study::default() }.write(folder.path(), 1);
        let group = summarise(&load(&[folder.path().to_owned()]).unwrap()).groups.remove(0);
        let of = |label: &str| group.variants.iter().find(|variant| variant.label == label).unwrap();
        assert_eq!(chance(of("guesses"), group.measure.as_ref()), Some(Chance::NotAbove(0.2)));
        assert_eq!(chance(of("sees"), group.measure.as_ref()), Some(Chance::Above));
        assert!(
            group.warnings.iter().any(|line| line == "guesses is not above chance (20.0 %)"),
            "{:?}",
            group.warnings
        );
        assert_eq!(of("guesses").collapsed(), None);
        // Every answer the same.
        let run = of("sees").path.clone();
        let text = std::fs::read_to_string(run.join("episodes.jsonl")).unwrap();
        let same = text.lines().map(|line| {
            let mut record: EpisodeRecord = serde_json::from_str(line).unwrap();
            record.predictions.fill(2);
            record.correct = record.labels.iter().filter(|label| **label == 2).count();
            serde_json::to_string(&record).unwrap() + "\n"
        });
        std::fs::write(run.join("episodes.jsonl"), same.collect::<String>()).unwrap();
        let episodes = crate::episodes::Episodes::read(&run.join("episodes.jsonl")).unwrap().unwrap();
        assert_eq!(episodes.same_answer(), Some(1.0));
    }
}
