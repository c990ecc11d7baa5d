//! Mean ranks over several tables, and which of them are told apart: the critical-difference diagram.

use super::canvas::{self, Anchor, Of, WIDTH};
use super::scale::Scale;
use super::text::{Font, common_all, shorten_all, widest};
use super::{Album, Drawn, Named};
use crate::format;
use crate::palette::{Colour, Shape};
use crate::statistics::{Ranks, cliques, ranks};
use crate::summary::{Group, Summary, Variant};
use std::collections::{BTreeMap, BTreeSet};

/// Height of a row.
const ROW: f64 = 24.0;
/// Above the first row: title, scale and the length of the critical difference.
const TOP: f64 = 86.0;
/// Most room for the names.
const NAMES: f64 = 210.0;
/// From one bar of variants that are not told apart to the next.
const BAR: f64 = 9.0;

/// Fewer variants have no interesting order.
const FEWEST: usize = 3;

/// A figure for each study with at least two tables that have three variants or more in common.
pub fn draw(album: &mut Album, summary: &Summary) {
    let mut studies: BTreeMap<(Option<&String>, &str), Vec<&Group>> = BTreeMap::new();
    for group in &summary.groups {
        if let Some(measure) = group.measure.as_ref().filter(|measure| measure.way > 0) {
            studies.entry((group.study.as_ref(), measure.metric.as_str())).or_default().push(group);
        }
    }
    for ((study, metric), groups) in studies {
        let Some((named, found, seeds)) = compared(&groups) else { continue };
        let left_out = match left_out(&groups, &named) {
            names if names.is_empty() => String::new(),
            names => format!(" Not ranked, because not in every table: {}.", format::listed(&names)),
        };
        // The name of a study is written as its recipe has it.
        let title = match study {
            Some(study) => format!("{study}: ranks over {} tables", groups.len()),
            None => format!("Ranks over {} tables", groups.len()),
        };
        let blocks = match seeds {
            1 => format!("{} tables", groups.len()),
            seeds => format!("{} tables with {seeds} seeds each", groups.len()),
        };
        let differ = match found.p < crate::table::LEVEL {
            true => "not all variants are alike",
            false => "no difference among the variants was shown",
        };
        let caption = format!(
            "Mean rank by {}, 1 is the best, over {blocks}. A line at the side joins variants whose mean ranks differ by less \
             than the critical difference of {:.2} (Nemenyi, 0.05), so they are not told apart. Friedman’s test (Iman and \
             Davenport): p {}, {differ}. Tables of one study share classes and videos, and seeds share tables, so the difference \
             is smaller than for as many independent data sets.{left_out}",
            format::words(metric),
            found.critical_difference,
            format::p_value(found.p),
        );
        album.add_numbered("ranks", &title, caption, Some(diagram(&title, &named, &found)));
    }
}

/// The variants that all of `groups` have, their ranks over tables and seeds, and the number of seeds; `None` where
/// there is nothing to rank.
fn compared(groups: &[&Group]) -> Option<(Vec<Named>, Ranks, usize)> {
    let tables: Vec<BTreeMap<usize, &Variant>> = groups.iter().map(|group| tested(group)).collect();
    let common: Vec<usize> = tables
        .first()?
        .keys()
        .copied()
        .filter(|number| tables.iter().all(|table| table.contains_key(number)))
        .collect();
    if tables.len() < 2 || common.len() < FEWEST {
        return None;
    }
    let values = |table: &BTreeMap<usize, &Variant>, number: &usize| {
        table[number].result.as_ref().map_or_else(Vec::new, |outcome| outcome.values.clone())
    };
    let counts = tables.iter().flat_map(|table| common.iter().map(|number| values(table, number).len()));
    let seeds = counts.clone().min().filter(|fewest| counts.clone().all(|count| count == *fewest)).unwrap_or(1);
    let mut blocks: Vec<Vec<f64>> = Vec::new();
    for table in &tables {
        for seed in 0..seeds {
            let value = |number: &usize| match seeds {
                1 => table[number].mean().unwrap_or_default(),
                _ => values(table, number)[seed],
            };
            blocks.push(common.iter().map(value).collect());
        }
    }
    let found = ranks(&blocks)?;
    let of = |number: &usize| groups.iter().zip(&tables).map(|(group, table)| label(group, table[number])).collect();
    let labels = common_all(&common.iter().map(of).collect::<Vec<Vec<String>>>());
    let named = common.iter().zip(labels).map(|(number, label)| Named { label, ..Named::of(tables[0][number]) });
    Some((named.collect(), found, seeds))
}

/// What tables call the variants with a result that are not among the ranked.
fn left_out(groups: &[&Group], ranked: &[Named]) -> Vec<String> {
    let ranked: BTreeSet<usize> = ranked.iter().map(|named| named.number).collect();
    let tables = groups.iter().map(|group| (group, tested(group)));
    let all = tables.flat_map(|(group, table)| table.into_values().map(move |variant| (group, variant)));
    let others = all.filter(|(_, variant)| !ranked.contains(&variant.number));
    others.map(|(group, variant)| label(group, variant)).collect::<BTreeSet<String>>().into_iter().collect()
}

/// What a table calls a variant, without its way and shots.
fn label(group: &Group, variant: &Variant) -> String {
    let short =
        group.measure.as_ref().map(|measure| format::without_setting(&variant.label, measure.way, measure.shot));
    short.unwrap_or(&variant.label).to_owned()
}

/// The variants of a table that have a result, by their numbers.
fn tested(group: &Group) -> BTreeMap<usize, &Variant> {
    let tested = group.variants.iter().filter(|variant| variant.result.is_some());
    tested.map(|variant| (variant.number, variant)).collect()
}

fn diagram(title: &str, named: &[Named], found: &Ranks) -> Drawn {
    let mut order: Vec<usize> = (0..named.len()).collect();
    order.sort_by(|a, b| found.mean[*a].total_cmp(&found.mean[*b]));
    let sorted: Vec<f64> = order.iter().map(|at| found.mean[*at]).collect();
    let groups = cliques(&sorted, found.critical_difference);
    let names: Vec<String> = order.iter().map(|at| named[*at].label.clone()).collect();
    let labels = shorten_all(&names, NAMES, Font::TEXT);
    let left = 22.0 + widest(&labels, Font::TEXT);
    let right = WIDTH - 56.0 - BAR * groups.len() as f64;
    let x = Scale { low: 1.0, high: named.len() as f64, from: left, to: right };
    let bottom = TOP + ROW * named.len() as f64;
    let said: Vec<String> = names.iter().zip(&sorted).map(|(name, rank)| format!("{name} {rank:.2}")).collect();
    let alt = format!("{title}: {}. Critical difference {:.2}.", said.join("; "), found.critical_difference);
    let svg = canvas::draw(bottom + 16.0, &alt, |canvas| {
        canvas.title(title);
        let step = (named.len() as f64 / 8.0).ceil().max(1.0) as usize;
        for rank in (1..=named.len()).step_by(step) {
            let at = x.at(rank as f64);
            canvas.line(&[(at, TOP - 8.0), (at, bottom)], Colour::GRID, 1.0);
            canvas.text(&rank.to_string(), (at, TOP - 18.0), Anchor::Middle, Colour::MUTED);
        }
        let length = (x.at(1.0 + found.critical_difference) - x.at(1.0)).min(right - left);
        let (from, to, height) = (x.at(1.0), x.at(1.0) + length, TOP - 40.0);
        canvas.line(&[(from, height), (to, height)], Colour::INK, 1.5);
        for edge in [from, to] {
            canvas.line(&[(edge, height - 4.0), (edge, height + 4.0)], Colour::INK, 1.5);
        }
        let text = format!("critical difference {:.2}", found.critical_difference);
        canvas.small(&text, (from, height - 12.0), Anchor::Start, Colour::MUTED);
        for (row, ((at, rank), label)) in order.iter().zip(&sorted).zip(&labels).enumerate() {
            let middle = TOP + ROW * (row as f64 + 0.5);
            canvas.text(label, (left - 12.0, middle), Anchor::End, Colour::INK);
            canvas.point((x.at(*rank), middle), 4.5, Colour::of(named[*at].swatch), Shape::of(named[*at].number));
            canvas.text(&format!("{rank:.2}"), (right + 44.0, middle), Anchor::End, Colour::INK);
            let spot = ((0.0, middle - ROW / 2.0), (right + 46.0, middle + ROW / 2.0));
            canvas.spot(
                spot.0,
                spot.1,
                &Of::variant(named[*at].number),
                &format!("{}: mean rank {rank:.2}", names[row]),
            );
        }
        for (number, (first, last)) in groups.iter().enumerate() {
            let at = right + 54.0 + BAR * number as f64;
            let height = |row: usize| TOP + ROW * (row as f64 + 0.5);
            canvas.line(&[(at, height(*first) - 6.0), (at, height(*last) + 6.0)], Colour::INK, 3.0);
        }
    });
    let mut data = vec![["variant", "mean rank"].map(str::to_owned).to_vec()];
    data.extend(names.iter().zip(&sorted).map(|(name, rank)| vec![name.clone(), format!("{rank:.4}")]));
    Drawn { svg, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;

    #[test]
    fn variants_of_several_tables_have_ranks() {
        let folder = tempfile::tempdir().unwrap();
        for shot in [1, 5] {
            let data = if shot == 1 { "kinetics" } else { "ssv2" };
            let variant = |name: &str, value: f64, width| {
                (format!("{data}-{name}-{shot}shot"), value + 0.02 * shot as f64, width)
            };
            let mut variants = vec![variant("one", 0.4, 7), variant("two", 0.5, 8), variant("three", 0.3, 9)];
            variants.extend((shot == 5).then(|| variant("four", 0.9, 10)));
            Study { variants, shot, folder: format!("{shot}"), ..Study::default() }.write(folder.path(), 2);
        }
        let mut album = Album::default();
        draw(&mut album, &summarise(&load(&[folder.path().to_owned()]).unwrap()));
        assert_eq!(album.figures.len(), 1);
        let rows: Vec<(&str, &str)> =
            album.figures[0].data[1..].iter().map(|line| (line[0].as_str(), line[1].as_str())).collect();
        assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), ["1.0000", "2.0000", "3.0000"]);
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), ["two", "one", "three"]);
        let caption = &album.figures[0].caption;
        assert!(caption.contains("2 tables with 2 seeds each"), "{caption}");
        assert!(caption.ends_with("Not ranked, because not in every table: ssv2-four."), "{caption}");
    }
}
