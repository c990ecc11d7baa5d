//! Lines against steps, shots or ways.

use super::canvas::{self, Anchor, Of, WIDTH};
use super::labels::spread;
use super::scale::{Scale, ticks};
use super::text::{Font, shorten_all, widest};
use super::{Drawn, Line};
use crate::format;
use crate::palette::Colour;

const HEIGHT: f64 = 360.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 48.0;
/// Room for the names.
const NAMES: f64 = 150.0;
/// From the end of the axes to a name.
const GAP: f64 = 34.0;

/// A line for each variant against `along` (`step`, `shots`), named beside the axes, with its band. `percent` shows shares in
/// percent. `None` where there is nothing to draw.
pub fn draw(title: &str, unit: &str, along: &str, lines: &[Line], percent: bool) -> Option<Drawn> {
    let lines: Vec<&Line> = lines.iter().filter(|line| !line.points.is_empty()).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    points().next()?;
    let factor = if percent { 100.0 } else { 1.0 };
    let number = |value: f64| if percent { format::percent(value) } else { format::loss(value) };
    let said = |line: &&Line| {
        let (first, last) = (line.points[0], line.points[line.points.len() - 1]);
        format!(
            "{} from {} to {} at {along} {}",
            line.label,
            number(first.mean),
            number(last.mean),
            format::whole(last.x.round() as u64)
        )
    };
    let alt = format!("{title} against {along}: {}.", lines.iter().map(said).collect::<Vec<_>>().join("; "));

    let low = points().map(|at| at.low).fold(f64::MAX, f64::min);
    let high = points().map(|at| at.high).fold(f64::MIN, f64::max);
    let marks = ticks(low * factor, high * factor, 5);
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    let y = Scale { low: first / factor, high: last / factor, from: BOTTOM, to: TOP };
    let names: Vec<String> = lines.iter().map(|line| line.label.clone()).collect();
    let font = if widest(&names, Font::TEXT) > NAMES { Font::SMALL } else { Font::TEXT };
    let names = shorten_all(&names, NAMES, font);
    let right = WIDTH - GAP - widest(&names, font);
    let steps = points().map(|at| at.x).fold(1.0, f64::max);
    // Averaged steps end just below the last one: a round number close above is the end that is meant.
    let step_marks: Vec<f64> = ticks(0.0, steps, 4).into_iter().filter(|step| *step <= steps * 1.02).collect();
    let steps = step_marks.last().map_or(steps, |last| steps.max(*last));
    let x = Scale { low: 0.0, high: steps, from: LEFT, to: right };

    let svg = canvas::draw(HEIGHT, &alt, |canvas| {
        canvas.title(title);
        canvas.text(unit, (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED);
        for mark in &marks {
            let height = y.at(mark / factor);
            canvas.line(&[(LEFT, height), (right, height)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (LEFT - 8.0, height), Anchor::End, Colour::MUTED);
        }
        canvas.line(&[(LEFT, BOTTOM), (right, BOTTOM)], Colour::MUTED, 1.2);
        for step in &step_marks {
            let across = x.at(*step);
            canvas.line(&[(across, BOTTOM), (across, BOTTOM + 5.0)], Colour::MUTED, 1.2);
            canvas.text(&format::tick(*step), (across, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text(along, ((LEFT + right) / 2.0, HEIGHT - 16.0), Anchor::Middle, Colour::MUTED);
        for line in &lines {
            let colour = Colour::of(line.swatch);
            let high = line.points.iter().map(|at| (x.at(at.x), y.at(at.high)));
            let low = line.points.iter().rev().map(|at| (x.at(at.x), y.at(at.low)));
            if line.points.iter().any(|at| at.high > at.low) {
                canvas.area(&high.chain(low).collect::<Vec<_>>(), colour, 0.16);
            }
        }
        let ends: Vec<f64> = lines.iter().map(|line| y.at(line.points[line.points.len() - 1].mean)).collect();
        let heights = spread(&ends, 17.0, TOP, BOTTOM);
        for (position, line) in lines.iter().enumerate() {
            let colour = Colour::of(line.swatch);
            let path: Vec<_> = line.points.iter().map(|at| (x.at(at.x), y.at(at.mean))).collect();
            canvas.line(&path, colour, 2.2);
            // Validations are few: mark each, so that one check alone is still seen.
            if (percent && path.len() <= 40) || path.len() == 1 {
                path.iter().for_each(|point| canvas.dot(*point, 3.0, colour));
            }
            for (point, at) in path.iter().zip(&line.points) {
                let text = format!("{}: {} at {along} {}", line.label, number(at.mean), format::tick(at.x.round()));
                let (corner, end) = ((point.0 - 5.0, point.1 - 7.0), (point.0 + 5.0, point.1 + 7.0));
                canvas.spot(corner, end, &Of::variant(line.number), &text);
            }
            // The name has a piece of the line's colour, and is tied to the end of the line with dots.
            let (end, height) = (path[path.len() - 1], heights[position]);
            canvas.leader((end.0 + 5.0, end.1), (right + GAP - 20.0, height));
            canvas.line(&[(right + GAP - 18.0, height), (right + GAP - 6.0, height)], colour, 3.0);
            canvas.styled(&names[position], (right + GAP, height), Anchor::Start, Colour::INK, font);
            let (corner, end) = ((right + GAP - 18.0, height - 8.0), (WIDTH, height + 8.0));
            canvas.spot(corner, end, &Of::variant(line.number), &said(line));
        }
    });
    let mut data = vec![["variant", along, "mean", "low", "high"].map(str::to_owned).to_vec()];
    data.extend(lines.iter().flat_map(|line| {
        line.points.iter().map(|at| {
            let x = format::tick((at.x * 10.0).round() / 10.0);
            vec![line.label.clone(), x, number(at.mean), number(at.low), number(at.high)]
        })
    }));
    Some(Drawn { svg, data })
}
