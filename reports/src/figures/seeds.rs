//! Every seed of every variant: one small panel for each variant.

use super::canvas::{self, Anchor, Of, WIDTH};
use super::scale::{Scale, ticks};
use super::text::{Font, shorten_all};
use super::{Drawn, Named};
use crate::format;
use crate::palette::{Colour, Shape};

/// The seeds of one variant, in order.
#[derive(Clone)]
pub struct Panel {
    pub named: Named,
    pub seeds: Vec<Seed>,
}

#[derive(Clone)]
pub struct Seed {
    pub seed: u64,
    /// Result of the test.
    pub result: f64,
    /// Step and result of each validation.
    pub validation: Vec<(f64, f64)>,
}

const COLUMNS: usize = 3;
const LEFT: f64 = 30.0;
const GAP: f64 = 14.0;
const HEIGHT: f64 = 104.0;
/// Above and below the axes of a panel.
const HEAD: f64 = 24.0;
const FOOT: f64 = 24.0;
const TOP: f64 = 54.0;
/// Room for the results of the test, right of the curves.
const TESTS: f64 = 16.0;

/// A thin line for each seed's validations and, right of them, a dot for its test; all panels have the same axes.
/// `None` where no variant has two seeds.
pub fn draw(title: &str, unit: &str, panels: &[Panel]) -> Option<Drawn> {
    if panels.iter().all(|panel| panel.seeds.len() < 2) {
        return None;
    }
    let seeds = || panels.iter().flat_map(|panel| &panel.seeds);
    let values = || seeds().flat_map(|seed| seed.validation.iter().map(|(_, y)| *y).chain([seed.result]));
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let marks = ticks(low * 100.0, high * 100.0, 3);
    let steps = seeds().flat_map(|seed| &seed.validation).map(|(step, _)| *step).fold(1.0, f64::max);
    let said = |panel: &Panel| {
        let results = panel.seeds.iter().map(|seed| format!("seed {} {}", seed.seed, format::percent(seed.result)));
        format!("{}: {}", panel.named.label, results.collect::<Vec<_>>().join(", "))
    };
    let alt = format!("{title}, in percent. {}.", panels.iter().map(said).collect::<Vec<_>>().join("; "));
    let width = (WIDTH - LEFT + GAP) / COLUMNS as f64 - GAP;
    let names: Vec<String> = panels.iter().map(|panel| panel.named.label.to_owned()).collect();
    let names = shorten_all(&names, width - 14.0, Font::SMALL);
    let bottom = TOP + (HEAD + HEIGHT + FOOT) * panels.len().div_ceil(COLUMNS) as f64;
    let curves = seeds().any(|seed| !seed.validation.is_empty());
    let svg = canvas::draw(bottom, &alt, |canvas| {
        canvas.title(title);
        canvas.small(unit, (0.0, 38.0), Anchor::Start, Colour::MUTED);
        for (number, (panel, name)) in panels.iter().zip(&names).enumerate() {
            let (colour, shape) = (Colour::of(panel.named.swatch), Shape::of(panel.named.number));
            let left = LEFT + (width + GAP) * (number % COLUMNS) as f64;
            let top = TOP + (HEAD + HEIGHT + FOOT) * (number / COLUMNS) as f64 + HEAD;
            let right = left + width - TESTS;
            let y = Scale { low: marks[0] / 100.0, high: marks[marks.len() - 1] / 100.0, from: top + HEIGHT, to: top };
            let x = Scale { low: 0.0, high: steps, from: left, to: right };
            canvas.point((left + 5.0, top - 12.0), 4.0, colour, shape);
            canvas.small(name, (left + 14.0, top - 12.0), Anchor::Start, Colour::INK);
            for mark in &marks {
                let height = y.at(mark / 100.0);
                canvas.line(&[(left, height), (left + width, height)], Colour::GRID, 1.0);
                if number.is_multiple_of(COLUMNS) {
                    canvas.small(&format::tick(*mark), (left - 5.0, height), Anchor::End, Colour::MUTED);
                }
            }
            let foot = if curves { "steps" } else { "" };
            canvas.small(foot, (left, top + HEIGHT + 11.0), Anchor::Start, Colour::MUTED);
            canvas.small("test", (left + width, top + HEIGHT + 11.0), Anchor::End, Colour::MUTED);
            for seed in &panel.seeds {
                let path: Vec<(f64, f64)> =
                    seed.validation.iter().map(|(step, value)| (x.at(*step), y.at(*value))).collect();
                match path.as_slice() {
                    [] => {}
                    [only] => canvas.point(*only, 2.0, colour, shape),
                    path => canvas.line(path, colour, 1.2),
                }
                let at = (left + width - TESTS / 2.0, y.at(seed.result));
                canvas.point(at, 2.8, colour, shape);
                let text =
                    format!("{}, seed {}: {} in the test", panel.named.label, seed.seed, format::percent(seed.result));
                let (corner, end) = ((at.0 - 7.0, at.1 - 5.0), (at.0 + 7.0, at.1 + 5.0));
                canvas.spot(corner, end, &Of::variant(panel.named.number), &text);
            }
        }
    });
    let mut data = vec![["variant", "seed", "test", "last validation"].map(str::to_owned).to_vec()];
    data.extend(panels.iter().flat_map(|panel| {
        panel.seeds.iter().map(|seed| {
            let last = seed.validation.last().map(|(_, value)| format::percent(*value)).unwrap_or_default();
            vec![panel.named.label.to_owned(), seed.seed.to_string(), format::percent(seed.result), last]
        })
    }));
    Some(Drawn { svg, data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_is_drawn_and_one_seed_makes_no_figure() {
        let seed = |seed, result| Seed { seed, result, validation: vec![(10.0, 0.3), (20.0, result)] };
        let named = Named { label: "a".into(), number: 0, swatch: 1 };
        let mut panels = [Panel { named, seeds: vec![seed(1, 0.4), seed(2, 0.5)] }];
        let drawn = draw("t", "accuracy (%)", &panels).unwrap();
        assert!(drawn.svg.contains("a: seed 1 40.0, seed 2 50.0"), "{}", drawn.svg);
        assert_eq!(drawn.data.len(), 3);
        panels[0].seeds.pop();
        assert!(draw("t", "accuracy (%)", &panels).is_none());
    }
}
