//! Figures that span groups: the same variant with other shots and ways, the same metric on other data.

use super::curves::{self, Along};
use super::text::{common, common_all};
use super::{Album, Figure, Line, heat, ranks};
use crate::curve::At;
use crate::format;
use crate::palette::Colour;
use crate::statistics::{self, Interval};
use crate::summary::{ARROW, Data, Group, Measure, Summary, Variant};
use std::collections::{BTreeMap, BTreeSet};

/// A variant with a result, and the group that it belongs to.
struct Tested<'a> {
    group: &'a Group,
    measure: &'a Measure,
    variant: &'a Variant,
    value: Interval,
}

pub fn draw(summary: &Summary) -> Vec<Figure> {
    let all: Vec<Tested> = summary
        .groups
        .iter()
        .flat_map(|group| {
            let measure = group.measure.as_ref().filter(|measure| measure.way > 0);
            group.variants.iter().filter_map(move |variant| {
                let value = variant.result.as_ref()?.over_episodes;
                Some(Tested { group, measure: measure?, variant, value })
            })
        })
        .collect();
    let mut album = Album::default();
    ranks::draw(&mut album, summary);
    along(&mut album, &all, "shots", "shot", |measure| measure.shot, |measure| measure.way);
    along(&mut album, &all, "ways", "way", |measure| measure.way, |measure| measure.shot);
    metrics(&mut album, &all);
    album.figures
}

/// Tested variants by their kind.
type Kinds<'a> = BTreeMap<String, Vec<&'a Tested<'a>>>;

/// One line for each kind of variant that was tested with several shots (or ways), a figure for each data and number of
/// the other.
fn along(
    album: &mut Album,
    all: &[Tested],
    id: &str,
    one: &str,
    x: fn(&Measure) -> usize,
    fixed: fn(&Measure) -> usize,
) {
    let mut figures: BTreeMap<(Option<&String>, &Data, usize, &str), Kinds> = BTreeMap::new();
    for tested in all {
        let Tested { group, measure, variant, .. } = tested;
        let key = (group.study.as_ref(), &group.data, fixed(measure), measure.metric.as_str());
        figures.entry(key).or_default().entry(variant.kind()).or_default().push(tested);
    }
    for ((study, data, fixed, metric), kinds) in figures {
        let over = over_episodes(kinds.values().flatten().copied());
        let several = |variants: &Vec<&Tested>| {
            let xs: BTreeSet<usize> = variants.iter().map(|tested| x(tested.measure)).collect();
            // Two results at one place are of variants that differ in something that is not shown here.
            xs.len() > 1 && xs.len() == variants.len()
        };
        // The same run under two names is one point.
        let once = |mut variants: Vec<_>| {
            let mut seen = BTreeSet::new();
            variants.retain(|tested: &&Tested| seen.insert(&tested.variant.hash));
            variants
        };
        let mut lines: Vec<Line> =
            kinds.into_values().map(once).filter(several).map(|variants| line(variants, x)).collect();
        lines.sort_by(|a, b| a.label.cmp(&b.label));
        let setting = if one == "shot" { format!("{fixed}-way") } else { format!("{fixed}-shot") };
        let data = format::words(&data.label);
        let title = titled(study, &format!("{} against {id} on {data}, {setting}", format::words(metric)));
        let caption = format!("Bands: {over}.");
        let unit = format!("{} (%)", format::words(metric));
        let drawn = curves::draw(&title, &unit, Along::Values(id), &lines, true);
        album.add_numbered(id, &title, caption, drawn);
    }
}

/// A title, behind the study where there are several.
fn titled(study: Option<&String>, title: &str) -> String {
    study.map_or_else(|| format::capitalized(title), |study| format!("{study}: {title}"))
}

/// What the intervals of these are about.
fn over_episodes<'a>(tested: impl Iterator<Item = &'a Tested<'a>>) -> &'static str {
    statistics::over_episodes_of(tested.map(|tested| &tested.variant.settings))
}

fn line(mut variants: Vec<&Tested>, x: fn(&Measure) -> usize) -> Line {
    variants.sort_by_key(|tested| x(tested.measure));
    let points = variants.iter().map(|tested| At::interval(x(tested.measure) as f64, tested.value)).collect();
    let label = common(&variants.iter().map(|tested| name(tested)).collect::<Vec<_>>());
    let (number, swatch) = variants.first().map_or((0, 0), |first| (first.variant.number, first.variant.swatch));
    Line { label, points, number, swatch }
}

/// What was tested on several datasets against these, where there are several alignment metrics.
fn metrics(album: &mut Album, all: &[Tested]) {
    let mut figures: BTreeMap<(Option<&String>, &Measure), Vec<&Tested>> = BTreeMap::new();
    for tested in all {
        figures.entry((tested.group.study.as_ref(), tested.measure)).or_default().push(tested);
    }
    for ((study, measure), variants) in figures {
        let metrics: BTreeSet<String> = variants.iter().map(|tested| slot(tested, "alignment")).collect();
        let columns: BTreeSet<String> = variants.iter().map(|tested| tested.group.data.label.clone()).collect();
        let columns: Vec<String> = columns.into_iter().collect();
        if metrics.len() < 2 || columns.len() < 2 {
            continue;
        }
        let Rows { are, names, of } = rows(&variants);
        // Where several variants share a cell, it shows the best of them.
        let here = |row: usize, data: &String| -> Vec<Interval> {
            let here = variants.iter().zip(&of).filter(|(tested, of)| **of == row && tested.group.data.label == *data);
            here.map(|(tested, _)| tested.value).collect()
        };
        let cell = |row: usize, data: &String| here(row, data).into_iter().max_by(|a, b| a.mean.total_cmp(&b.mean));
        let crowded = (0..names.len()).any(|row| columns.iter().any(|data| here(row, data).len() > 1));
        let values = |of: fn(Interval) -> f64| {
            let row = |row: usize| columns.iter().map(|data| cell(row, data).map(of)).collect();
            (0..names.len()).map(row).collect::<Vec<Vec<_>>>()
        };
        let setting = format!("{}-way {}-shot", measure.way, measure.shot);
        let title = titled(study, &format!("{} by {are} and dataset, {setting}", format::words(&measure.metric)));
        let grid = heat::Grid {
            title: &title,
            rows_are: if are == "metric" { "alignment metric" } else { are },
            columns_are: "dataset",
            shares: values(|interval| interval.mean),
            half_widths: values(|interval| interval.half_width),
            rows: names,
            columns: short(&columns).iter().map(|label| format::words(label)).collect(),
            colour: Colour::SCALE,
        };
        let best = if crowded { " Where several variants share a cell, it holds the best." } else { "" };
        let caption = format!("±: {}.{best}", over_episodes(variants.iter().copied()));
        album.add_numbered("metrics", &title, caption, heat::draw(&grid));
    }
}

/// What a variant is called across tables.
fn name(tested: &Tested) -> String {
    format::without_setting(&tested.variant.label, tested.measure.way, tested.measure.shot).to_owned()
}

fn slot(tested: &Tested, slot: &str) -> String {
    tested.variant.components.get(slot).cloned().unwrap_or_else(|| "none".to_owned())
}

/// The rows of a grid with datasets as columns.
struct Rows {
    /// What they are: `metric`, `variant`.
    are: &'static str,
    names: Vec<String>,
    /// The row of each variant.
    of: Vec<usize>,
}

/// A row for each metric with each rest of a method. Where methods have more in them than this, so that several share a
/// cell, a row for each variant, if variants are the same ones on several datasets.
fn rows(variants: &[&Tested]) -> Rows {
    let slots = ["backbone", "adapter", "prototype"];
    let values = |name: &&str| variants.iter().map(|tested| slot(tested, name)).collect::<BTreeSet<_>>().len();
    let differing: Vec<&str> = slots.into_iter().filter(|name| values(name) > 1).collect();
    let metric = |tested: &&Tested| {
        let rest = differing.iter().map(|name| slot(tested, name));
        std::iter::once(slot(tested, "alignment")).chain(rest).collect::<Vec<_>>().join(", ")
    };
    let cells = |row: &dyn Fn(&&Tested) -> String| {
        variants.iter().map(|tested| (row(tested), &tested.group.data)).collect::<BTreeSet<_>>().len()
    };
    let numbers: BTreeSet<usize> = variants.iter().map(|tested| tested.variant.number).collect();
    let number = |tested: &&Tested| tested.variant.number.to_string();
    if cells(&metric) < variants.len() && numbers.len() < cells(&number) {
        let mut rows: Vec<usize> = Vec::new();
        let mut names: Vec<Vec<String>> = Vec::new();
        for tested in variants {
            match rows.iter().position(|row| *row == tested.variant.number) {
                Some(row) => names[row].push(name(tested)),
                None => {
                    rows.push(tested.variant.number);
                    names.push(vec![name(tested)]);
                }
            }
        }
        let names = common_all(&names);
        let row = |tested: &&Tested| rows.iter().position(|row| *row == tested.variant.number);
        return Rows { are: "variant", names, of: variants.iter().filter_map(row).collect() };
    }
    let names: BTreeSet<String> = variants.iter().map(metric).collect();
    let names: Vec<String> = names.into_iter().collect();
    let row = |tested: &&Tested| names.iter().position(|name| *name == metric(tested));
    let of = variants.iter().filter_map(row).collect();
    Rows { are: "metric", names, of }
}

/// Labels of datasets without the component, where it is the same in all: `appearance`, `motion → appearance`.
fn short(labels: &[String]) -> Vec<String> {
    let component = |label: &str| label.split_once(" (").map(|(component, _)| component.to_owned());
    let parts = || labels.iter().flat_map(|label| label.split(ARROW));
    let Some(shared) = parts().next().and_then(component) else { return labels.to_vec() };
    if !parts().all(|part| component(part).as_ref() == Some(&shared) && part.ends_with(')')) {
        return labels.to_vec();
    }
    let options = |part: &str| part[shared.len() + 2..part.len() - 1].to_owned();
    labels.iter().map(|label| label.split(ARROW).map(options).collect::<Vec<_>>().join(ARROW)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::load;
    use crate::summary::summarise;
    use crate::testing::Study;

    #[test]
    fn labels_lose_what_they_share() {
        let labels = |all: &[&str]| all.iter().map(|label| (*label).to_owned()).collect::<Vec<String>>();
        assert_eq!(short(&labels(&["shapes (a)", "shapes (b)"])), ["a", "b"]);
        assert_eq!(short(&labels(&["shapes (a)", "hmdb51"])), ["shapes (a)", "hmdb51"]);
        assert_eq!(short(&labels(&["shapes (a)", "shapes (a) → shapes (b)"])), ["a", "a → b"]);
        assert_eq!(short(&labels(&["shapes (a)", "shapes (a) → hmdb51"])), ["shapes (a)", "shapes (a) → hmdb51"]);
    }

    #[test]
    fn variants_with_several_shots_are_lines_against_them() {
        let folder = tempfile::tempdir().unwrap();
        for shot in [1, 5] {
            let name = |variant: &str| format!("{variant}-{shot}shot");
            let variants = vec![(name("one"), 0.4 + 0.02 * shot as f64, 7), (name("two"), 0.5 + 0.02 * shot as f64, 9)];
            Study { variants, shot, folder: format!("{shot}"), ..Study::default() }.write(folder.path(), 1);
        }
        let figures = draw(&summarise(&load(&[folder.path().to_owned()]).unwrap()));
        assert_eq!(figures.iter().map(|figure| figure.id.as_str()).collect::<Vec<_>>(), ["shots-1"]);
        let lines: Vec<&str> = figures[0].data[1..].iter().map(|line| line[0].as_str()).collect();
        assert_eq!(lines, ["one", "one", "two", "two"]);
        assert_eq!(figures[0].data[2][1], "5");
        // What tells it from the same figure of another table is in its title.
        assert_eq!(figures[0].title, "Accuracy against shots on hmdb51, 5-way");
        assert!(figures[0].caption.starts_with("Bands: 95 % interval over episodes given these videos"));
        assert!(
            figures[0].svg.contains(">1</text>") && !figures[0].svg.contains(">2</text>"),
            "marks at what was tested"
        );
    }
}
