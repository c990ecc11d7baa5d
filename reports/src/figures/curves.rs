//! How training went, against steps.

use super::Line;
use super::canvas::{self, Anchor, Colour, WIDTH, shorten, text_width};
use super::labels::spread;
use super::scale::{Scale, ticks};
use crate::format;
use maclip_framework::error::Result;

const HEIGHT: f64 = 360.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 48.0;

/// A line for each variant, named at its end, with a band where there is an interval. `percent` shows shares in percent.
/// Gives the SVG and its alternative text; `None` where there is nothing to draw.
pub fn draw(title: &str, unit: &str, lines: &[Line], percent: bool) -> Result<Option<(String, String)>> {
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
            "{} from {} to {} at step {}",
            line.label,
            number(first.1),
            number(last.1),
            format::whole(last.0.round() as u64)
        )
    };
    let alt = format!("{title} against step: {}.", lines.iter().map(said).collect::<Vec<_>>().join("; "));

    let low = points().map(|(_, value, half)| value - half).fold(f64::MAX, f64::min);
    let high = points().map(|(_, value, half)| value + half).fold(f64::MIN, f64::max);
    let marks = ticks(low * factor, high * factor, 5);
    let (first, last) = (marks[0], marks[marks.len() - 1]);
    let y = Scale { low: first / factor, high: last / factor, from: BOTTOM, to: TOP };
    let names: Vec<String> = lines.iter().map(|line| shorten(&line.label, 120.0)).collect();
    let right = WIDTH - 24.0 - names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let steps = points().map(|(step, _, _)| *step).fold(1.0, f64::max);
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
        canvas.text("step", ((LEFT + right) / 2.0, HEIGHT - 16.0), Anchor::Middle, Colour::MUTED)?;
        for line in &lines {
            let colour = Colour::SERIES[line.colour];
            let edge =
                |side: f64| line.points.iter().map(move |(step, value, half)| (x.at(*step), y.at(value + side * half)));
            if line.points.iter().any(|(_, _, half)| *half > 0.0) {
                let band: Vec<_> = edge(1.0).chain(edge(-1.0).rev()).collect();
                canvas.area(&band, colour, 0.16)?;
            }
        }
        let ends: Vec<f64> = lines.iter().map(|line| y.at(line.points[line.points.len() - 1].1)).collect();
        let heights = spread(&ends, 17.0, TOP, BOTTOM);
        for (position, line) in lines.iter().enumerate() {
            let colour = Colour::SERIES[line.colour];
            let path: Vec<_> = line.points.iter().map(|(step, value, _)| (x.at(*step), y.at(*value))).collect();
            canvas.line(&path, colour, 2.2)?;
            // Validations are few: mark each, so that one check alone is still seen.
            if percent && path.len() <= 40 {
                path.iter().try_for_each(|point| canvas.dot(*point, 3.0, colour))?;
            }
            let end = path[path.len() - 1];
            canvas.line(&[(end.0 + 4.0, end.1), (right + 14.0, heights[position])], colour, 1.2)?;
            canvas.text(&names[position], (right + 18.0, heights[position]), Anchor::Start, Colour::INK)?;
        }
        Ok(())
    })?;
    Ok(Some((svg, alt)))
}
