//! Where the time went.

use super::canvas::{self, Anchor, Canvas, Of, WIDTH};
use super::scale::{Scale, ticks};
use super::text::{Font, widest, wrap_all};
use super::{Drawn, Named};
use crate::format;
use crate::palette::Colour;
use std::collections::BTreeMap;

const ROW: f64 = 34.0;
/// With more variants than this, rows are as high as their names need.
const MANY: usize = 12;

/// Room for the names.
const NAMES: f64 = 170.0;
/// From the largest phase to the smallest: phases are no variants and have shades instead of their colours.
const SHADES: [f64; 6] = [0.9, 0.62, 0.4, 0.24, 0.13, 0.06];

/// Thread-seconds of each phase, one bar for each variant; phases beyond the five largest are one. `None` where nobody
/// measured.
pub fn draw(title: &str, variants: &[(Named, &BTreeMap<String, f64>)]) -> Option<Drawn> {
    let variants: Vec<_> = variants.iter().filter(|(_, phases)| phases.values().sum::<f64>() > 0.0).collect();
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for (phase, seconds) in variants.iter().flat_map(|(_, phases)| phases.iter()) {
        *totals.entry(phase).or_default() += seconds;
    }
    if variants.is_empty() {
        return None;
    }
    let mut phases: Vec<&str> = totals.keys().copied().collect();
    phases.sort_by(|a, b| totals[b].total_cmp(&totals[a]).then(a.cmp(b)));
    let rest = phases.split_off(phases.len().min(SHADES.len() - 1));
    let parts = |of: &BTreeMap<String, f64>| -> Vec<(String, f64)> {
        let part = |phase: &&str| of.get(*phase).copied().unwrap_or(0.0);
        let mut parts: Vec<(String, f64)> = phases.iter().map(|phase| ((*phase).to_owned(), part(phase))).collect();
        if !rest.is_empty() {
            parts.push(("other".to_owned(), rest.iter().map(part).sum()));
        }
        parts
    };
    let said = |(named, of): &(Named, &BTreeMap<String, f64>)| {
        let parts: Vec<String> =
            parts(of).iter().map(|(phase, seconds)| format!("{phase} {}", format::duration(*seconds))).collect();
        format!("{}: {}", named.label, parts.join(", "))
    };
    let alt = format!("{title}. {}.", variants.iter().map(|variant| said(variant)).collect::<Vec<_>>().join("; "));
    let names: Vec<String> = variants.iter().map(|(named, _)| named.label.to_owned()).collect();
    let font = if widest(&names, Font::TEXT) > NAMES { Font::SMALL } else { Font::TEXT };
    let names = wrap_all(&names, NAMES, font);
    let left = 16.0 + widest(names.iter().flatten(), font);
    let ends = variants.iter().map(|(_, of)| Font::TEXT.width(&format::duration(of.values().sum())));
    let right = WIDTH - 8.0 - ends.fold(0.0, f64::max);
    let most = variants.iter().map(|(_, of)| of.values().sum::<f64>()).fold(0.0, f64::max);
    // Minutes where seconds would be many.
    let (one, unit) = if most > 600.0 { (60.0, "thread-minutes a run") } else { (1.0, "thread-seconds a run") };
    let marks: Vec<f64> = ticks(0.0, most / one, 4);
    let x = Scale { low: 0.0, high: marks.last().copied().unwrap_or(1.0) * one, from: left, to: right };
    // The legend wraps where it would run out of the figure.
    let keys = parts(variants[0].1).into_iter().map(|(phase, _)| phase);
    let mut places: Vec<(String, (f64, f64))> = Vec::new();
    let (mut across, mut line) = (0.0, 42.0);
    for key in keys {
        let width = Font::TEXT.width(&key) + 34.0;
        if across + width > WIDTH && across > 0.0 {
            (across, line) = (0.0, line + 20.0);
        }
        places.push((key, (across, line)));
        across += width;
    }
    let top = line + 24.0;
    let lines = names.iter().map(Vec::len).max().unwrap_or(1);
    let row = if variants.len() > MANY { ROW.min(9.0 + 14.0 * lines as f64) } else { ROW };
    let bottom = top + row * variants.len() as f64;
    let svg = canvas::draw(bottom + 46.0, &alt, |canvas| {
        canvas.title(title);
        for (number, (key, (across, height))) in places.iter().enumerate() {
            let (corner, end) = ((*across, height - 6.0), (across + 12.0, height + 6.0));
            patch(canvas, corner, end, number);
            canvas.text(key, (across + 17.0, *height), Anchor::Start, Colour::INK);
        }
        for mark in &marks {
            let at = x.at(mark * one);
            canvas.line(&[(at, top), (at, bottom)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (at, bottom + 14.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text(unit, ((left + right) / 2.0, bottom + 34.0), Anchor::Middle, Colour::MUTED);
        for (number, (variant, name)) in variants.iter().zip(&names).enumerate() {
            let (above, below) = (top + row * (number as f64 + 0.18), top + row * (number as f64 + 0.82));
            let middle = (above + below) / 2.0;
            let mut from = 0.0;
            for (part, (_, seconds)) in parts(variant.1).into_iter().enumerate() {
                patch(canvas, (x.at(from), above), (x.at(from + seconds), below), part);
                from += seconds;
            }
            canvas.lines(name, (left - 10.0, middle), Anchor::End, font);
            canvas.text(&format::duration(from), (x.at(from) + 6.0, middle), Anchor::Start, Colour::INK);
            canvas.spot((0.0, above), (WIDTH, below), &Of::variant(variant.0.number), &said(variant));
        }
    });
    let mut data =
        vec![std::iter::once("variant".to_owned()).chain(places.into_iter().map(|(key, _)| key)).collect::<Vec<_>>()];
    data.extend(variants.iter().map(|(named, of)| {
        std::iter::once(named.label.to_owned())
            .chain(parts(of).into_iter().map(|(_, seconds)| format!("{seconds:.2}")))
            .collect()
    }));
    Some(Drawn { svg, data })
}

/// A piece of a bar with an edge, so that neighbours of the palest shades are told apart.
fn patch(canvas: &mut Canvas, from: (f64, f64), to: (f64, f64), shade: usize) {
    canvas.rect(from, to, Colour::SCALE, SHADES[shade]);
    let corners = [from, (to.0, from.1), to, (from.0, to.1), from];
    canvas.line(&corners, Colour::SCALE, 0.6);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_many_variants_are_as_high_as_their_names() {
        let spent = BTreeMap::from([("encode".to_owned(), 2.0)]);
        let height = |count: usize, label: &str| -> f64 {
            let named = |number| Named { label: label.to_owned(), number, swatch: 0 };
            let variants: Vec<_> = (0..count).map(|number| (named(number), &spent)).collect();
            let svg = draw("t", &variants).unwrap().svg;
            let sides = svg.split_once("viewBox=\"").and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
            sides.split(' ').next_back().unwrap().parse().unwrap()
        };
        let row = |count: usize, label: &str| (height(count, label) - height(count - 1, label)).round();
        assert_eq!((row(3, "a"), row(20, "a")), (34.0, 23.0));
        assert_eq!(row(20, "a name that does not fit into one line of the room for names"), 34.0);
    }
}
