//! One bar for each variant.

use super::canvas::{self, Anchor, Of, WIDTH};
use super::scale::{Scale, ticks};
use super::text::{Font, widest, wrap_all};
use super::{Drawn, Point};
use crate::format;
use crate::palette::Colour;

/// Space below the bars for the axis.
const AXIS: f64 = 52.0;
const TOP: f64 = 58.0;
/// Room for the names.
const NAMES: f64 = 170.0;

/// Bars with intervals, the difference to the baseline, the seeds as dots and, where there are classes to guess from,
/// the line of chance; `None` for no points. `unit` is the axis label, such as `accuracy (%)`.
pub fn draw(title: &str, unit: &str, points: &[Point], chance: Option<f64>) -> Option<Drawn> {
    if points.is_empty() {
        return None;
    }
    let value = |point: &Point| format::percent_interval(point.value.mean, point.value.half_width);
    let said = |point: &Point| match &point.difference {
        Some(difference) => format!("{} {} (Δ {difference})", point.label, value(point)),
        None => format!("{} {}", point.label, value(point)),
    };
    let alt = format!("{title}, in percent: {}.", points.iter().map(said).collect::<Vec<_>>().join("; "));
    let names: Vec<String> = points.iter().map(|point| point.label.clone()).collect();
    let font = if widest(&names, Font::TEXT) > NAMES { Font::SMALL } else { Font::TEXT };
    let labels = wrap_all(&names, NAMES, font);
    let left = 16.0 + widest(labels.iter().flatten(), font);
    let under = |point: &Point| match &point.difference {
        Some(difference) => format!("Δ {difference}"),
        None if point.baseline => "baseline".to_owned(),
        None => String::new(),
    };
    let values = points.iter().map(|point| Font::BOLD.width(&value(point)).max(Font::SMALL.width(&under(point))));
    let right = WIDTH - 18.0 - values.fold(0.0, f64::max);
    // Few bars fill the height of the other figures; many make the figure taller.
    let row = ((380.0 - TOP - AXIS) / points.len() as f64).clamp(38.0, 66.0);
    let bottom = TOP + row * points.len() as f64;
    let reach =
        |point: &Point| point.seeds.iter().fold(point.value.mean + point.value.half_width, |far, seed| far.max(*seed));
    let high = points.iter().map(reach).chain(chance).fold(0.0, f64::max).min(1.0);
    let marks = ticks(0.0, high * 100.0, 5);
    let end = marks.last().copied().unwrap_or(100.0);
    let x = Scale { low: 0.0, high: end / 100.0, from: left, to: right };

    let svg = canvas::draw(bottom + AXIS, &alt, |canvas| {
        canvas.title(title);
        for mark in &marks {
            let at = x.at(mark / 100.0);
            canvas.line(&[(at, TOP), (at, bottom)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (at, bottom + 14.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text(unit, ((left + right) / 2.0, bottom + 38.0), Anchor::Middle, Colour::MUTED);
        for (number, (point, label)) in points.iter().zip(&labels).enumerate() {
            let middle = TOP + row * (number as f64 + 0.5);
            let colour = Colour::of(point.swatch);
            let (low, high) = (point.value.mean - point.value.half_width, point.value.mean + point.value.half_width);
            let (start, stop) = (x.at(0.0), x.at(point.value.mean));
            let (above, below) = (middle - 13.0, middle + 13.0);
            // The seeds stand below the whisker, not on it.
            let several = point.seeds.len() > 1;
            let whisker = if several { middle - 4.0 } else { middle };
            canvas.rect((start, above), (stop, below), colour, 0.28);
            canvas.line(&[(stop, above), (stop, below)], colour, 2.5);
            canvas.line(&[(x.at(low), whisker), (x.at(high), whisker)], colour, 2.0);
            for edge in [low, high] {
                canvas.line(&[(x.at(edge), whisker - 4.0), (x.at(edge), whisker + 4.0)], colour, 2.0);
            }
            if several {
                point.seeds.iter().for_each(|seed| canvas.dot((x.at(*seed), middle + 7.0), 2.2, Colour::INK));
            }
            canvas.lines(label, (left - 10.0, middle), Anchor::End, font);
            let text = under(point);
            let up = if text.is_empty() { 0.0 } else { 9.0 };
            canvas.bold(&value(point), (WIDTH - 2.0, middle - up), Anchor::End);
            if !text.is_empty() {
                canvas.small(&text, (WIDTH - 2.0, middle + 9.0), Anchor::End, Colour::MUTED);
            }
            canvas.spot((0.0, above - 4.0), (WIDTH, below + 4.0), &Of::variant(point.number), &said(point));
        }
        if let Some(chance) = chance {
            let at = x.at(chance);
            canvas.dashes(&[(at, TOP - 4.0), (at, bottom)], Colour::MUTED, 1.5);
            let text = format!("chance {}", format::percent(chance));
            canvas.text(&text, (at, TOP - 14.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.line(&[(left, TOP), (left, bottom)], Colour::MUTED, 1.2);
    });
    let mut data = vec![["variant", unit, "half width", "Δ baseline"].map(str::to_owned).to_vec()];
    data.extend(points.iter().map(|point| {
        let (mean, half) = (format::percent(point.value.mean), format::percent(point.value.half_width));
        vec![point.label.clone(), mean, half, point.difference.clone().unwrap_or_default()]
    }));
    Some(Drawn { svg, data })
}
