//! Lines against steps, shots or ways.

use super::canvas::{self, Anchor, Colour, WIDTH, shorten, text_width};
use super::labels::spread;
use super::scale::{Scale, ticks};
use super::{Drawn, Line};
use crate::format;
use maclip_framework::error::Result;

const HEIGHT: f64 = 360.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 48.0;

/// A line for each variant against `along` (`step`, `shots`), named at its end, with its band. `percent` shows shares in percent.
/// `None` where there is nothing to draw.
pub fn draw(title: &str, unit: &str, along: &str, lines: &[Line], percent: bool) -> Result<Option<Drawn>> {
    let lines: Vec<&Line> = lines.iter().filter(|line| !line.points.is_empty()).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    if points().next().is_none() {
        return Ok(None);
    }
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
    let names: Vec<String> = lines.iter().map(|line| shorten(&line.label, 120.0)).collect();
    let right = WIDTH - 24.0 - names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let steps = points().map(|at| at.x).fold(1.0, f64::max);
    // Averaged steps end just below the last one: a round number close above is the end that is meant.
    let step_marks: Vec<f64> = ticks(0.0, steps, 4).into_iter().filter(|step| *step <= steps * 1.02).collect();
    let steps = step_marks.last().map_or(steps, |last| steps.max(*last));
    let x = Scale { low: 0.0, high: steps, from: LEFT, to: right };

    let svg = canvas::draw(HEIGHT, &alt, |canvas| {
        canvas.title(title)?;
        canvas.text(unit, (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED)?;
        for mark in &marks {
            let height = y.at(mark / factor);
            canvas.line(&[(LEFT, height), (right, height)], Colour::GRID, 1.0)?;
            canvas.text(&format::tick(*mark), (LEFT - 8.0, height), Anchor::End, Colour::MUTED)?;
        }
        canvas.line(&[(LEFT, BOTTOM), (right, BOTTOM)], Colour::MUTED, 1.2)?;
        for step in &step_marks {
            let across = x.at(*step);
            canvas.line(&[(across, BOTTOM), (across, BOTTOM + 5.0)], Colour::MUTED, 1.2)?;
            canvas.text(&format::tick(*step), (across, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED)?;
        }
        canvas.text(along, ((LEFT + right) / 2.0, HEIGHT - 16.0), Anchor::Middle, Colour::MUTED)?;
        for line in &lines {
            let colour = Colour::SERIES[line.colour];
            let high = line.points.iter().map(|at| (x.at(at.x), y.at(at.high)));
            let low = line.points.iter().rev().map(|at| (x.at(at.x), y.at(at.low)));
            if line.points.iter().any(|at| at.high > at.low) {
                canvas.area(&high.chain(low).collect::<Vec<_>>(), colour, 0.16)?;
            }
        }
        let ends: Vec<f64> = lines.iter().map(|line| y.at(line.points[line.points.len() - 1].mean)).collect();
        let heights = spread(&ends, 17.0, TOP, BOTTOM);
        for (position, line) in lines.iter().enumerate() {
            let colour = Colour::SERIES[line.colour];
            let path: Vec<_> = line.points.iter().map(|at| (x.at(at.x), y.at(at.mean))).collect();
            canvas.line(&path, colour, 2.2)?;
            // Validations are few: mark each, so that one check alone is still seen.
            if percent && path.len() <= 40 {
                path.iter().try_for_each(|point| canvas.dot(*point, 3.0, colour))?;
            }
            for (point, at) in path.iter().zip(&line.points) {
                let text = format!("{}: {} at {along} {}", line.label, number(at.mean), format::tick(at.x.round()));
                canvas.spot((point.0 - 5.0, point.1 - 7.0), (point.0 + 5.0, point.1 + 7.0), &text);
            }
            let end = path[path.len() - 1];
            canvas.line(&[(end.0 + 4.0, end.1), (right + 14.0, heights[position])], colour, 1.2)?;
            canvas.text(&names[position], (right + 18.0, heights[position]), Anchor::Start, Colour::INK)?;
        }
        Ok(())
    })?;
    let mut data = vec![["variant", along, "mean", "low", "high"].map(str::to_owned).to_vec()];
    data.extend(lines.iter().flat_map(|line| {
        line.points.iter().map(|at| {
            let x = format::tick((at.x * 10.0).round() / 10.0);
            vec![line.label.clone(), x, number(at.mean), number(at.low), number(at.high)]
        })
    }));
    Ok(Some(Drawn { svg, data }))
}
