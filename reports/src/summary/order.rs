//! What the runs say of the orders that a study is expected to show.

use super::{Variant, compare};
use crate::statistics::{self, Interval};
use crate::table::LEVEL;
use maclip_framework::recipe::study::Order;

/// Two neighbours of an expected order.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Labels of the variant that is expected to be better, and of the other.
    pub better: String,
    pub worse: String,
    pub source: String,
    /// Why they cannot be compared, or what the comparison says.
    pub outcome: Result<Outcome, String>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// `better` less `worse`, paired by episode.
    pub difference: Interval,
    /// After Holm's correction for all pairs of the group.
    pub p_holm: f64,
    /// Seeds of which `better` has the higher mean, of all that both have.
    pub seeds: (usize, usize),
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// The other one is clearly better.
    Reversed,
    /// No clear difference.
    Open,
}

/// Every pair of neighbours of `orders` of which this group has at least one variant.
pub fn findings(orders: &[(String, Order)], variants: &[Variant]) -> Vec<Finding> {
    let mut found = Vec::new();
    for (recipe, order) in orders {
        // Of several versions of a variant, the newest.
        let named = |name: &String| {
            variants.iter().filter(|v| &v.name == recipe && &v.variant == name).max_by_key(|v| v.started)
        };
        for pair in order.best_first.windows(2) {
            let (better, worse) = (named(&pair[0]), named(&pair[1]));
            if better.is_none() && worse.is_none() {
                continue;
            }
            let label = |variant: Option<&Variant>, name: &String| variant.map_or(name.clone(), |v| v.label.clone());
            let compared = match (better, worse) {
                (Some(better), Some(worse)) if better.hash == worse.hash => Err("they are one run".to_owned()),
                (Some(better), Some(worse)) => compare(better, worse).map(|paired| (paired, seeds(better, worse))),
                _ => Err("no result on the same data, way and shot".to_owned()),
            };
            found.push((label(better, &pair[0]), label(worse, &pair[1]), order.source.clone(), compared));
        }
    }
    let p: Vec<f64> = found.iter().filter_map(|(.., compared)| Some(compared.as_ref().ok()?.0.p)).collect();
    let mut corrected = statistics::holm(&p).into_iter();
    let finding = |(better, worse, source, compared): (String, String, String, Result<_, String>)| {
        let outcome = compared.map(|(paired, seeds): (statistics::Paired, _)| {
            let p_holm = corrected.next().expect("a p-value of each comparison was corrected");
            let difference = paired.over_episodes;
            let verdict = match p_holm <= LEVEL {
                true if difference.mean > 0.0 => Verdict::Holds,
                true => Verdict::Reversed,
                false => Verdict::Open,
            };
            Outcome { difference, p_holm, seeds, verdict }
        });
        Finding { better, worse, source, outcome }
    };
    found.into_iter().map(finding).collect()
}

/// Of how many of the seeds that both have, the first has the higher mean.
fn seeds(better: &Variant, worse: &Variant) -> (usize, usize) {
    let values = |variant: &Variant| -> Vec<(u64, f64)> {
        let values = variant.result.iter().flat_map(|result| result.values.iter().copied());
        variant.seeds.iter().copied().zip(values).collect()
    };
    let other = values(worse);
    let pairs = values(better)
        .into_iter()
        .filter_map(|(seed, own)| other.iter().find(|(same, _)| *same == seed).map(|(_, other)| own > *other));
    let pairs: Vec<bool> = pairs.collect();
    (pairs.iter().filter(|higher| **higher).count(), pairs.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::study;
    use maclip_framework::files::write_json;

    #[test]
    fn neighbours_of_an_order_are_tested_and_corrected_together() {
        let folder = tempfile::tempdir().unwrap();
        study(folder.path());
        let order = |names: &[&str]| Order {
            best_first: names.iter().map(|name| (*name).to_owned()).collect(),
            source: "table 3".to_owned(),
        };
        let orders = [order(&["both", "adapters", "none"]), order(&["tpcm", "both"]), order(&["both", "absent"])];
        write_json(&folder.path().join("ablation").join(Order::FILE), &orders).unwrap();
        let group = summarise(&load(&[folder.path().to_owned()]).unwrap()).groups.remove(0);
        let pairs: Vec<_> = group.findings.iter().map(|f| (f.better.as_str(), f.worse.as_str())).collect();
        assert_eq!(pairs, [("both", "adapters"), ("adapters", "none"), ("tpcm", "both"), ("both", "absent")]);
        let outcome = |at: usize| group.findings[at].outcome.as_ref().unwrap();
        let verdicts: Vec<_> = (0..3).map(|at| outcome(at).verdict).collect();
        assert_eq!(verdicts, [Verdict::Holds, Verdict::Holds, Verdict::Reversed]);
        assert_eq!((outcome(0).seeds, outcome(2).seeds), ((3, 3), (0, 3)));
        assert!(outcome(2).difference.mean < 0.0);
        assert!(group.findings[3].outcome.as_ref().unwrap_err().contains("no result"));
    }
}
