//! The difference of a variant to another on the same episodes.

use super::Variant;
use crate::format;
use crate::statistics::{self, Paired};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The difference to the group's baseline.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    IsBaseline,
    Paired(Compared),
    /// Why there is none.
    Unknown(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    pub paired: Paired,
    /// The p-value after Holm's correction for all comparisons of the table.
    pub p_holm: f64,
}

/// Compares all variants with the baseline of the group, where there is one.
pub fn to_baseline(variants: &mut [Variant], warnings: &mut Vec<String>) {
    let Some(position) = baseline(variants, warnings) else { return };
    let baseline = variants[position].clone();
    let found: Vec<Result<Paired, String>> = variants.par_iter().map(|variant| compare(variant, &baseline)).collect();
    // A run under several names is one comparison.
    let mut p: BTreeMap<&str, f64> = BTreeMap::new();
    for (variant, found) in variants.iter().zip(&found).filter(|(variant, _)| variant.hash != baseline.hash) {
        p.extend(found.as_ref().ok().map(|paired| (variant.hash.as_str(), paired.p)));
    }
    let corrected = statistics::holm(&p.values().copied().collect::<Vec<_>>());
    let corrected: BTreeMap<String, f64> = p.into_keys().map(str::to_owned).zip(corrected).collect();
    for (at, (variant, found)) in variants.iter_mut().zip(found).enumerate() {
        variant.difference = match found {
            _ if at == position => Difference::IsBaseline,
            Ok(_) if variant.hash == baseline.hash => Difference::Unknown("the same run as the baseline".into()),
            Ok(paired) => {
                let p_holm = corrected.get(&variant.hash).copied().unwrap_or(paired.p);
                Difference::Paired(Compared { paired, p_holm })
            }
            Err(reason) => Difference::Unknown(reason),
        };
    }
}

/// The variant the others are compared with: the one that the study names; else the one called `baseline`, else `none`,
/// also as a part of a name (`none-1shot`), else the one with the fewest trainable parameters. A lone variant has
/// nothing to be compared with.
fn baseline(variants: &[Variant], warnings: &mut Vec<String>) -> Option<usize> {
    let with_result = || variants.iter().enumerate().filter(|(_, variant)| variant.result.is_some());
    if variants.iter().any(|variant| variant.is_baseline.is_some()) && with_result().count() > 1 {
        let named: Vec<_> = with_result().filter(|(_, variant)| variant.is_baseline == Some(true)).collect();
        if let [(_, first), _, ..] = named.as_slice() {
            warnings.push(format!(
                "`study.baseline` names {} variants of this table: {} is taken",
                named.len(),
                first.label
            ));
        } else if named.is_empty() {
            warnings.push("no Δ: the variant that `study.baseline` names has no result here".to_owned());
        }
        return named.first().map(|(position, _)| *position);
    }
    let named = |name: &str| {
        let exact = with_result().find(|(_, variant)| variant.variant == name);
        exact.or_else(|| with_result().find(|(_, variant)| has_part(variant, name)))
    };
    let smallest = || with_result().min_by_key(|(_, variant)| variant.trainable.unwrap_or(usize::MAX));
    (with_result().count() > 1)
        .then(|| BASELINES.iter().find_map(|name| named(name)).or_else(smallest).map(|(position, _)| position))
        .flatten()
}

/// Names of baselines, the first before the second.
const BASELINES: [&str; 2] = ["baseline", "none"];

fn has_part(variant: &Variant, name: &str) -> bool {
    variant.variant.split(['-', '+']).any(|part| part == name)
}

/// Whether a variant is the baseline by its study, or by its name where that names none, whatever its result.
pub fn called_baseline(variant: &Variant) -> bool {
    variant.is_baseline.unwrap_or_else(|| BASELINES.iter().any(|name| has_part(variant, name)))
}

/// Of each variant the p-value of no difference to the best, after Holm's correction for all of them; `None` of the
/// best itself and of what cannot be compared with it.
pub fn to_best(variants: &mut [Variant]) {
    let mean = |variant: &Variant| variant.mean().unwrap_or(f64::MIN);
    let Some(best) =
        variants.iter().filter(|variant| variant.result.is_some()).max_by(|a, b| mean(a).total_cmp(&mean(b)))
    else {
        return;
    };
    let other = |variant: &Variant| variant.hash != best.hash;
    let p: Vec<Option<f64>> = variants
        .par_iter()
        .map(|variant| if other(variant) { compare(best, variant).ok().map(|paired| paired.p) } else { None })
        .collect();
    let mut corrected = statistics::holm(&p.iter().copied().flatten().collect::<Vec<_>>()).into_iter();
    for (variant, p) in variants.iter_mut().zip(p) {
        variant.p_to_best = p.and_then(|_| corrected.next());
    }
}

/// `variant` less `baseline`.
///
/// # Errors
/// Why they cannot be compared.
pub fn compare(variant: &Variant, baseline: &Variant) -> Result<Paired, String> {
    let (Some(own), Some(other)) = (&variant.result, &baseline.result) else {
        return Err("no result yet".into());
    };
    let hashes: BTreeSet<&String> = own.hashes.iter().chain(&other.hashes).collect();
    if hashes.len() > 1 {
        let hashes: Vec<_> = hashes.into_iter().map(|hash| format::short_hash(hash)).collect();
        return Err(format!("tested on other episodes ({})", hashes.join(", ")));
    }
    match (&own.right, &other.right) {
        (Some(own), Some(other)) => statistics::paired(own, other),
        _ => Err("a run has no record of its episodes".into()),
    }
}
