//! Lines against steps, shots or ways.

use super::canvas::{self, Anchor, Of, WIDTH};
use super::labels::spread;
use super::scale::{Scale, decades, ticks};
use super::text::{Font, shorten_all, widest};
use super::{Drawn, Line};
use crate::format;
use crate::palette::{Colour, Shape};

/// Height of the axes, where the names beside them need no more.
const AXES: f64 = 240.0;
const TOP: f64 = 62.0;
/// Below the axes.
const FOOT: f64 = 58.0;
/// From one name to the next.
const NAME: f64 = 17.0;
const LEFT: f64 = 48.0;
/// Room for the names.
const NAMES: f64 = 150.0;
/// From the end of the axes to a name.
const GAP: f64 = 34.0;
/// The most lines whose names are tied to them.
const TIED: usize = 12;

/// What lines are drawn against.
#[derive(Clone, Copy, Debug)]
pub enum Along<'a> {
    /// Steps of the training, from 0.
    Steps,
    /// Values of this name, each of which was tested: `shots`.
    Values(&'a str),
}

impl<'a> Along<'a> {
    fn name(self) -> &'a str {
        match self {
            Along::Steps => "step",
            Along::Values(name) => name,
        }
    }
}

/// A line for each variant, named beside the axes, with its band. `percent` shows shares in percent. `None` where no
/// variant has two points.
pub fn draw(title: &str, unit: &str, against: Along, lines: &[Line], percent: bool) -> Option<Drawn> {
    let along = against.name();
    let lines: Vec<&Line> = lines.iter().filter(|line| !line.points.is_empty()).collect();
    let points = || lines.iter().flat_map(|line| &line.points);
    lines.iter().find(|line| line.points.len() > 1)?;
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
    let bottom = TOP + AXES.max(NAME * (lines.len() - 1) as f64);
    let logarithmic = !percent && far_apart(&lines);
    let (marks, ends) = if logarithmic {
        let ends = (low.log10(), high.log10());
        (decades(ends.0, ends.1), ends)
    } else {
        let marks = ticks(low * factor, high * factor, 5);
        let ends = (marks[0] / factor, marks[marks.len() - 1] / factor);
        (marks, ends)
    };
    let y = Scale { low: ends.0, high: ends.1, from: bottom, to: TOP };
    let height = |value: f64| y.at(if logarithmic { value.log10() } else { value });
    let unit = if logarithmic { format!("{unit} (log scale)") } else { unit.to_owned() };
    let names: Vec<String> = lines.iter().map(|line| line.label.clone()).collect();
    let font = if widest(&names, Font::TEXT) > NAMES { Font::SMALL } else { Font::TEXT };
    let names = shorten_all(&names, NAMES, font);
    let right = WIDTH - GAP - widest(&names, font);
    let (x, step_marks) = across(against, points().map(|at| at.x), right);

    let svg = canvas::draw(bottom + FOOT, &alt, |canvas| {
        canvas.title(title);
        canvas.text(&unit, (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED);
        for mark in &marks {
            let at = height(mark / factor);
            canvas.line(&[(LEFT, at), (right, at)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (LEFT - 8.0, at), Anchor::End, Colour::MUTED);
        }
        canvas.line(&[(LEFT, bottom), (right, bottom)], Colour::MUTED, 1.2);
        for step in &step_marks {
            let across = x.at(*step);
            canvas.line(&[(across, bottom), (across, bottom + 5.0)], Colour::MUTED, 1.2);
            canvas.text(&format::tick(*step), (across, bottom + 15.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text(along, ((LEFT + right) / 2.0, bottom + FOOT - 16.0), Anchor::Middle, Colour::MUTED);
        for line in &lines {
            let colour = Colour::of(line.swatch);
            let high = line.points.iter().map(|at| (x.at(at.x), height(at.high)));
            let low = line.points.iter().rev().map(|at| (x.at(at.x), height(at.low)));
            if line.points.iter().any(|at| at.high > at.low) {
                canvas.area(&high.chain(low).collect::<Vec<_>>(), colour, 0.16);
            }
        }
        let ends: Vec<f64> = lines.iter().map(|line| height(line.points[line.points.len() - 1].mean)).collect();
        let names_at = spread(&ends, NAME, TOP, bottom);
        for (position, line) in lines.iter().enumerate() {
            let (colour, shape) = (Colour::of(line.swatch), Shape::of(line.number));
            let path: Vec<_> = line.points.iter().map(|at| (x.at(at.x), height(at.mean))).collect();
            canvas.curve(&path, colour, 2.2, shape);
            // Validations are few: mark each, so that one check alone is still seen.
            if (percent && path.len() <= 40) || path.len() == 1 {
                path.iter().for_each(|point| canvas.point(*point, 3.0, colour, shape));
            }
            for (point, at) in path.iter().zip(&line.points) {
                let text = format!("{}: {} at {along} {}", line.label, number(at.mean), format::tick(at.x.round()));
                let (corner, end) = ((point.0 - 5.0, point.1 - 7.0), (point.0 + 5.0, point.1 + 7.0));
                canvas.spot(corner, end, &Of::variant(line.number), &text);
            }
            // The name has a piece of the line, and is tied to its end with dots where these do not become a band.
            let (end, height) = (path[path.len() - 1], names_at[position]);
            if lines.len() <= TIED {
                canvas.leader((end.0 + 5.0, end.1), (right + GAP - 20.0, height));
            }
            let key = [(right + GAP - 20.0, height), (right + GAP - 4.0, height)];
            canvas.curve(&key, colour, 3.0, shape);
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

/// The horizontal axis up to `right`, and its marks.
fn across(against: Along, values: impl Iterator<Item = f64>, right: f64) -> (Scale, Vec<f64>) {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    let most = values.last().copied().unwrap_or(1.0).max(1.0);
    let to = |high: f64| Scale { low: 0.0, high, from: LEFT, to: right };
    match against {
        Along::Steps => {
            // Averaged steps end just below the last one: a round number close above is the end that is meant.
            let marks: Vec<f64> = ticks(0.0, most, 4).into_iter().filter(|step| *step <= most * 1.02).collect();
            (to(marks.last().map_or(most, |last| most.max(*last))), marks)
        }
        Along::Values(_) => {
            let x = to(most);
            let mut marks: Vec<f64> = Vec::new();
            for value in values.into_iter().rev() {
                let room = |other: &f64| x.at(*other) - x.at(value) > 6.0 + Font::TEXT.width(&format::tick(*other));
                if marks.last().is_none_or(room) {
                    marks.push(value);
                }
            }
            (x, marks)
        }
    }
}

/// Whether lines end so far apart that one axis in even steps shows most of them as one: losses of different
/// objectives.
fn far_apart(lines: &[&Line]) -> bool {
    const TIMES: f64 = 20.0;
    let ends = || lines.iter().map(|line| line.points[line.points.len() - 1].mean);
    let above_zero = lines.iter().flat_map(|line| &line.points).all(|at| at.low > 0.0);
    above_zero && ends().fold(f64::MIN, f64::max) >= TIMES * ends().fold(f64::MAX, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::curve::At;
    use crate::statistics::Interval;

    fn line(label: &str, means: [f64; 2]) -> Line {
        let at = |(step, mean)| At::interval(step as f64, Interval { mean, half_width: 0.0 });
        let points = means.into_iter().enumerate().map(at).collect();
        Line { label: label.to_owned(), points, number: 0, swatch: 0 }
    }

    #[test]
    fn losses_of_different_sizes_have_a_logarithmic_axis() {
        let drawn = |lines: &[Line]| draw("Loss", "loss", Along::Steps, lines, false).unwrap().svg;
        let alike = [line("a", [90.0, 0.5]), line("b", [1.6, 0.4])];
        assert!(!drawn(&alike).contains("log scale"), "they end alike");
        assert!(drawn(&[line("a", [90.0, 30.0]), line("b", [1.6, 0.4])]).contains("loss (log scale)"));
        assert!(
            !drawn(&[line("a", [90.0, 30.0]), line("b", [1.6, 0.0])]).contains("log scale"),
            "0 has no place there"
        );
    }

    #[test]
    fn there_is_room_for_every_name() {
        let lines: Vec<Line> = (0..40).map(|number| line(&format!("name {number}"), [1.0, 0.9])).collect();
        let svg = draw("Loss", "loss", Along::Steps, &lines, false).unwrap().svg;
        let names = svg.lines().filter(|line| line.contains("<text") && line.contains(">name "));
        let at = |line: &str| line.split(" y=\"").nth(1)?.split('"').next()?.parse().ok();
        let mut heights: Vec<f64> = names.filter_map(at).collect();
        heights.sort_by(f64::total_cmp);
        assert_eq!(heights.len(), 40);
        assert!(heights.windows(2).all(|pair| pair[1] - pair[0] >= NAME - 0.5), "{heights:?}");
        // So many lines that dots to all names would be a band.
        let leaders =
            |lines: &[Line]| draw("Loss", "loss", Along::Steps, lines, false).unwrap().svg.matches("leader").count();
        assert_eq!((leaders(&lines), leaders(&lines[..TIED])), (0, TIED));
    }

    #[test]
    fn every_value_that_was_tested_has_a_mark() {
        let at = |shot: f64| At::interval(shot, Interval { mean: 0.5, half_width: 0.1 });
        let marks = |shots: &[f64]| across(Along::Values("shots"), shots.iter().map(|shot| at(*shot).x), 400.0).1;
        assert_eq!(marks(&[1.0, 5.0]), [5.0, 1.0]);
        assert_eq!(marks(&[1.0, 2.0, 100.0]), [100.0, 2.0], "numbers do not touch");
    }
}
