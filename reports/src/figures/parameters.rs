//! What accuracy costs in trainable parameters.

use super::Point;
use super::canvas::{self, Anchor, Colour, TEXT, WIDTH, shorten, text_width};
use super::labels::{Frame, beside};
use super::scale::{Scale, decades, ticks};
use crate::format;
use maclip_framework::error::Result;

const HEIGHT: f64 = 380.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 14.0;
/// Room for the variants without trainable parameters, left of the logarithmic axis.
const ZERO: f64 = 64.0;

/// Points over a logarithmic axis; those without trainable parameters stand at a marked 0 left of it. Gives the SVG and
/// its alternative text; `None` where no point has its parameters counted.
pub fn draw(title: &str, unit: &str, points: &[Point]) -> Result<Option<(String, String)>> {
    let points: Vec<(&Point, usize)> =
        points.iter().filter_map(|point| point.trainable.map(|at| (point, at))).collect();
    if points.is_empty() {
        return Ok(None);
    }
    let said = |(point, trainable): &(&Point, usize)| {
        let value = format::percent_interval(point.value.mean, point.value.half_width);
        format!("{} {value} with {}", point.label, format::count(*trainable))
    };
    let alt = format!("{title}, in percent: {}.", points.iter().map(said).collect::<Vec<_>>().join("; "));

    let edge = |side: f64| points.iter().map(move |(point, _)| point.value.mean + side * point.value.half_width);
    let (low, high) = (edge(-1.0).fold(1.0, f64::min).max(0.0), edge(1.0).fold(0.0, f64::max).min(1.0));
    let marks = ticks(low * 100.0, high * 100.0, 5);
    let (first, last) = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(100.0));
    let y = Scale { low: first / 100.0, high: last / 100.0, from: BOTTOM, to: TOP };

    let zero = points.iter().any(|(_, trainable)| *trainable == 0);
    let start = if zero { LEFT + ZERO } else { LEFT };
    let exponents =
        || points.iter().filter(|(_, trainable)| *trainable > 0).map(|(_, trainable)| (*trainable as f64).log10());
    let counted = exponents().next().is_some();
    let (least, most) = (exponents().fold(f64::MAX, f64::min), exponents().fold(0.0, f64::max));
    // At least a decade, so that equal counts do not look far apart.
    let pad = ((1.0 - (most - least)) / 2.0).max(0.12 * (most - least)).max(0.15);
    let (least, most) = if counted { (least - pad, most + pad) } else { (0.0, 1.0) };
    let x = Scale { low: least, high: most, from: start, to: RIGHT };
    let at = |trainable: usize| if trainable == 0 { LEFT + ZERO * 0.4 } else { x.at((trainable as f64).log10()) };

    let svg = canvas::draw(HEIGHT, &alt, |canvas| {
        canvas.title(title)?;
        canvas.text(unit, (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED)?;
        for mark in &marks {
            let height = y.at(mark / 100.0);
            canvas.line(&[(LEFT, height), (RIGHT, height)], Colour::GRID, 1.0)?;
            canvas.text(&format::tick(*mark), (LEFT - 8.0, height), Anchor::End, Colour::MUTED)?;
        }
        axis(canvas, zero, counted, start, &x)?;
        let places: Vec<(f64, f64)> =
            points.iter().map(|(point, trainable)| (at(*trainable), y.at(point.value.mean))).collect();
        let mut taken = Vec::new();
        for ((point, _), (across, height)) in points.iter().zip(&places) {
            let colour = Colour::SERIES[point.colour];
            let top = y.at((point.value.mean + point.value.half_width).min(1.0));
            let bottom = y.at((point.value.mean - point.value.half_width).max(0.0));
            canvas.line(&[(*across, top), (*across, bottom)], colour, 2.0)?;
            for end in [top, bottom] {
                canvas.line(&[(across - 5.0, end), (across + 5.0, end)], colour, 2.0)?;
            }
            canvas.dot((*across, *height), 5.5, colour)?;
            taken.push(Frame {
                left: across - 7.0,
                top: top.min(height - 7.0),
                right: across + 7.0,
                bottom: bottom.max(height + 7.0),
            });
        }
        let names: Vec<String> = points.iter().map(|(point, _)| shorten(&point.label, 150.0)).collect();
        let widths: Vec<f64> = names.iter().map(|name| text_width(name)).collect();
        let within = Frame { left: LEFT, top: TOP - 8.0, right: WIDTH, bottom: BOTTOM };
        for (name, frame) in names.iter().zip(beside(&places, &widths, TEXT + 3.0, &taken, within)) {
            canvas.text(name, (frame.left, (frame.top + frame.bottom) / 2.0), Anchor::Start, Colour::INK)?;
        }
        Ok(())
    })?;
    Ok(Some((svg, alt)))
}

/// The horizontal axis: 0, a break, the decades.
fn axis(canvas: &canvas::Canvas, zero: bool, counted: bool, start: f64, x: &Scale) -> Result<()> {
    if zero {
        canvas.line(&[(LEFT, BOTTOM), (start - 8.0, BOTTOM)], Colour::MUTED, 1.2)?;
        canvas.text("0", (LEFT + ZERO * 0.4, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED)?;
        for slash in [start - 8.0, start - 2.0] {
            canvas.line(&[(slash - 2.5, BOTTOM + 6.0), (slash + 2.5, BOTTOM - 6.0)], Colour::MUTED, 1.2)?;
        }
    }
    if counted {
        canvas.line(&[(if zero { start - 2.0 } else { start }, BOTTOM), (RIGHT, BOTTOM)], Colour::MUTED, 1.2)?;
        for tick in decades(x.low, x.high) {
            let across = x.at(tick.log10());
            canvas.line(&[(across, BOTTOM), (across, BOTTOM + 5.0)], Colour::MUTED, 1.2)?;
            canvas.text(&format::round_count(tick), (across, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED)?;
        }
    }
    let middle = (LEFT + RIGHT) / 2.0;
    canvas.text("trainable parameters (log scale)", (middle, HEIGHT - 16.0), Anchor::Middle, Colour::MUTED)
}
