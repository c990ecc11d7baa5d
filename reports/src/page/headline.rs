//! What a group found, in one sentence that claims no more than the numbers do.

use crate::format;
use crate::summary::{Chance, Difference, Group, Outcome, Variant, chance};
use crate::table::LEVEL;
use serde::Serialize;

/// A part of the sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "snake_case")]
pub enum Piece {
    Text(String),
    /// The name of a variant.
    Name(String),
    Number(String),
}

/// The finding, and what it rests on.
#[derive(Debug, Serialize)]
pub struct Headline {
    pieces: Vec<Piece>,
    detail: String,
}

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn name(variant: &Variant) -> Piece {
    Piece::Name(variant.label.clone())
}

/// `None` where no run has a result.
pub fn of(group: &Group) -> Option<Headline> {
    let best = group.best()?;
    let result = best.result.as_ref()?;
    let mut pieces = reached(group, best, result);
    if let Some(share) = best.collapsed() {
        pieces.push(text(", and predicts one class for "));
        pieces.push(Piece::Number(format!("{:.0} %", 100.0 * share)));
        pieces.push(text(" of an episode’s queries"));
    }
    let alike = alike(group, best);
    if let Some((second, p)) = alike.first() {
        pieces.push(text(", not distinguishable from "));
        pieces.push(name(second));
        let others = match alike.len() - 1 {
            0 => String::new(),
            1 => " and from one more".to_owned(),
            more => format!(" and from {more} more"),
        };
        pieces.push(Piece::Text(format!("{others} (p\u{a0}=\u{a0}{})", format::p_value(*p))));
    }
    pieces.extend(against(group, best, &alike).into_iter().flatten());
    pieces.push(text("."));
    let seeds = format::plural(result.values.len(), "seed");
    let each = if result.values.len() > 1 { " each" } else { "" };
    let tests = format::whole(result.episodes);
    let detail = format!("{seeds}, {tests} test {}{each}; ± is the {}", group.unit(), group.interval());
    Some(Headline { pieces, detail })
}

fn reached(group: &Group, best: &Variant, result: &Outcome) -> Vec<Piece> {
    let metric = format::words(group.metric());
    let interval = result.over_episodes;
    let value = Piece::Number(format!("{} %", format::percent_interval(interval.mean, interval.half_width)));
    let several = group.variants.iter().filter(|variant| variant.result.is_some()).count() > 1;
    match chance(best, group.measure.as_ref()) {
        Some(Chance::NotAbove(guessed)) => {
            let guessed = format!(" {metric}, and guessing gives {}\u{a0}%", format::percent(guessed));
            match several {
                true => vec![
                    text("No variant is above chance: the best, "),
                    name(best),
                    text(", has "),
                    value,
                    Piece::Text(guessed),
                ],
                false => vec![name(best), text(" is not above chance: it has "), value, Piece::Text(guessed)],
            }
        }
        _ => vec![name(best), text(" reaches "), value, Piece::Text(format!(" {metric}"))],
    }
}

/// Variants that are not distinguishable from the best, the best of them first, with their p-values.
fn alike<'a>(group: &'a Group, best: &Variant) -> Vec<(&'a Variant, f64)> {
    let like = group.variants.iter().filter(|variant| variant.like_best() && variant.hash != best.hash);
    let mut like: Vec<(&Variant, f64)> = like.filter_map(|variant| Some((variant, variant.p_to_best?))).collect();
    like.sort_by(|a, b| b.0.mean().unwrap_or(0.0).total_cmp(&a.0.mean().unwrap_or(0.0)));
    like
}

/// The difference to the baseline, where it is not told already.
fn against(group: &Group, best: &Variant, alike: &[(&Variant, f64)]) -> Option<Vec<Piece>> {
    let baseline = group.baseline()?;
    if let Difference::IsBaseline = best.difference {
        // Of results that are not above chance enough is said.
        let guessed = matches!(chance(best, group.measure.as_ref()), Some(Chance::NotAbove(_)));
        return (!guessed).then(|| vec![text("; it is the baseline, and no other variant is better")]);
    }
    if alike.iter().any(|(variant, _)| variant.label == baseline.label) {
        return None;
    }
    let Difference::Paired(compared) = best.difference else { return None };
    let interval = compared.paired.over_episodes;
    let points = Piece::Number(format::points_interval(interval.mean, interval.half_width));
    Some(match compared.p_holm <= LEVEL {
        true => vec![text(", "), points, text(" points against "), name(baseline)],
        false => vec![text(", not clearly different from "), name(baseline), text(" ("), points, text(" points)")],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;

    fn sentence(variants: &[(&str, f64, usize)]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let variants = variants.iter().map(|(name, accuracy, size)| ((*name).to_owned(), *accuracy, *size)).collect();
        Study { variants, ..Study::default() }.write(folder.path(), 1);
        let group = summarise(&load(&[folder.path().to_owned()]).unwrap()).groups.remove(0);
        let pieces = of(&group).unwrap().pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) | Piece::Name(text) | Piece::Number(text) => text,
        });
        pieces.collect()
    }

    #[test]
    fn a_clear_winner_is_told_with_its_difference() {
        let told = sentence(&[("none", 0.4, 0), ("good", 0.8, 9)]);
        assert!(told.starts_with("good reaches ") && told.contains(" points against none."), "{told}");
    }

    #[test]
    fn chance_is_no_success() {
        let alone = sentence(&[("guess", 0.2, 9)]);
        assert!(
            alone.starts_with("guess is not above chance: it has ") && alone.contains("guessing gives 20.0\u{a0}%."),
            "{alone}"
        );
        let all = sentence(&[("guess", 0.2, 9), ("worse", 0.18, 9)]);
        assert!(all.starts_with("No variant is above chance: the best, "), "{all}");
    }

    #[test]
    fn equals_are_told_apart_from_nobody() {
        let told = sentence(&[("none", 0.3, 0), ("one", 0.7, 8), ("two", 0.7005, 9)]);
        assert!(told.contains(", not distinguishable from ") && told.contains("(p\u{a0}=\u{a0}0."), "{told}");
        let baseline = sentence(&[("none", 0.8, 0), ("worse", 0.5, 8)]);
        assert!(baseline.ends_with("; it is the baseline, and no other variant is better."), "{baseline}");
    }
}
