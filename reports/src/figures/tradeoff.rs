//! What accuracy costs: in trainable parameters, time or memory.

use super::canvas::{self, Anchor, Canvas, Of, WIDTH};
use super::labels::{Frame, beside};
use super::scale::{Scale, ticks};
use super::text::{Font, shorten_all};
use super::{Drawn, Point};
use crate::format;
use crate::palette::{Colour, Shape};

const HEIGHT: f64 = 380.0;
const TOP: f64 = 62.0;
const BOTTOM: f64 = HEIGHT - 58.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 14.0;
/// Room for the variants without trainable parameters, left of the logarithmic axis.
const ZERO: f64 = 64.0;

/// The cost on the horizontal axis.
pub struct Price {
    /// Name with its unit, below the axis.
    pub name: &'static str,
    /// The same in one word.
    pub short: &'static str,
    pub of: fn(&Point) -> Option<f64>,
    /// A price in a sentence.
    pub said: fn(f64) -> String,
    /// A round price on the axis.
    pub round: fn(f64) -> String,
    /// Round prices between two, which are given as exponents of ten.
    pub ticks: fn(f64, f64) -> Vec<f64>,
}

/// Of more points than this, some are named: those that no other beats, and then those with room right beside them.
const NAMED: usize = 16;
const NAMED_OF_MANY: usize = 8;
/// How far from its point a name may be, see [`beside`].
const RINGS: u32 = 6;
/// Pixels of a name.
const NAME: f64 = 190.0;

/// Whether the points are joined by a line.
pub fn has_line(points: &[Point], price: &Price) -> bool {
    let points: Vec<(&Point, f64)> = points.iter().filter_map(|point| Some((point, (price.of)(point)?))).collect();
    front(&points).len() > 1
}

/// Points over a logarithmic axis, with a line along those that no other beats in both; what costs nothing is at a
/// marked 0 left of it. `None` where no point has a price.
pub fn draw(title: &str, unit: &str, points: &[Point], price: &Price) -> Option<Drawn> {
    let points: Vec<(&Point, f64)> =
        points.iter().filter_map(|point| (price.of)(point).map(|at| (point, at))).collect();
    if points.is_empty() {
        return None;
    }
    let said = |(point, paid): &(&Point, f64)| {
        let value = format::percent_interval(point.value.mean, point.value.half_width);
        format!("{} {value} with {}", point.label, (price.said)(*paid))
    };
    let alt = format!("{title}, in percent: {}.", points.iter().map(said).collect::<Vec<_>>().join("; "));

    let edge = |side: f64| points.iter().map(move |(point, _)| point.value.mean + side * point.value.half_width);
    let (low, high) = (edge(-1.0).fold(1.0, f64::min).max(0.0), edge(1.0).fold(0.0, f64::max).min(1.0));
    let marks = ticks(low * 100.0, high * 100.0, 5);
    let (first, last) = (marks.first().copied().unwrap_or(0.0), marks.last().copied().unwrap_or(100.0));
    let y = Scale { low: first / 100.0, high: last / 100.0, from: BOTTOM, to: TOP };

    let zero = points.iter().any(|(_, paid)| *paid <= 0.0);
    let start = if zero { LEFT + ZERO } else { LEFT };
    let exponents = || points.iter().filter(|(_, paid)| *paid > 0.0).map(|(_, paid)| paid.log10());
    let counted = exponents().next().is_some();
    let (least, most) = (exponents().fold(f64::MAX, f64::min), exponents().fold(f64::MIN, f64::max));
    // At least a decade, so that equal counts do not look far apart.
    let pad = ((1.0 - (most - least)) / 2.0).max(0.12 * (most - least)).max(0.15);
    let (least, most) = if counted { (least - pad, most + pad) } else { (0.0, 1.0) };
    let x = Scale { low: least, high: most, from: start, to: RIGHT };
    let at = |paid: f64| if paid <= 0.0 { LEFT + ZERO * 0.4 } else { x.at(paid.log10()) };
    let front = front(&points);

    let svg = canvas::draw(HEIGHT, &alt, |canvas| {
        canvas.title(title);
        canvas.text(unit, (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED);
        for mark in &marks {
            let height = y.at(mark / 100.0);
            canvas.line(&[(LEFT, height), (RIGHT, height)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (LEFT - 8.0, height), Anchor::End, Colour::MUTED);
        }
        axis(canvas, zero, counted, start, &x, price);
        let places: Vec<(f64, f64)> = points.iter().map(|(point, paid)| (at(*paid), y.at(point.value.mean))).collect();
        let mut taken = Vec::new();
        for pair in front.windows(2) {
            let (from, to) = (places[pair[0]], places[pair[1]]);
            canvas.dashes(&[from, (to.0, from.1), to], Colour::MUTED, 1.5);
            taken.push(Frame { left: from.0, top: from.1 - 2.0, right: to.0, bottom: from.1 + 2.0 });
            taken.push(Frame { left: to.0 - 2.0, top: to.1, right: to.0 + 2.0, bottom: from.1 });
        }
        for ((point, paid), (across, height)) in points.iter().zip(&places) {
            let colour = Colour::of(point.swatch);
            let top = y.at((point.value.mean + point.value.half_width).min(1.0));
            let bottom = y.at((point.value.mean - point.value.half_width).max(0.0));
            canvas.line(&[(*across, top), (*across, bottom)], colour, 2.0);
            for end in [top, bottom] {
                canvas.line(&[(across - 5.0, end), (across + 5.0, end)], colour, 2.0);
            }
            canvas.point((*across, *height), 5.5, colour, Shape::of(point.number));
            let (corner, end) = ((across - 9.0, height - 9.0), (across + 9.0, height + 9.0));
            canvas.spot(corner, end, &Of::variant(point.number), &said(&(*point, *paid)));
            taken.push(Frame {
                left: across - 7.0,
                top: top.min(height - 7.0),
                right: across + 7.0,
                bottom: bottom.max(height + 7.0),
            });
        }
        let all: Vec<usize> = (0..points.len()).collect();
        let (first, others) =
            if points.len() <= NAMED { (all, Vec::new()) } else { named_of_many(&front, points.len()) };
        for (named, rings, font) in [(first, RINGS, Font::TEXT), (others, 2, Font::SMALL)] {
            let names: Vec<String> = named.iter().map(|at| points[*at].0.label.clone()).collect();
            let names = shorten_all(&names, NAME, font);
            let widths: Vec<f64> = names.iter().map(|name| font.width(name)).collect();
            let places: Vec<(f64, f64)> = named.iter().map(|at| places[*at]).collect();
            let within = Frame { left: LEFT, top: TOP - 8.0, right: WIDTH, bottom: BOTTOM };
            let frames = beside(&places, &widths, font.size + 3.0, &taken, within, rings);
            // Without room beside its point a name is left to the table.
            for ((name, place), frame) in names.iter().zip(&places).zip(frames) {
                let Some(frame) = frame else { continue };
                if let Some((from, to)) = frame.tie(*place) {
                    canvas.leader(from, to);
                }
                let middle = (frame.top + frame.bottom) / 2.0;
                canvas.styled(name, (frame.left, middle), Anchor::Start, Colour::INK, font);
                taken.push(frame);
            }
        }
    });
    let mut data = vec![["variant", price.name, unit, "half width", "on the Pareto line"].map(str::to_owned).to_vec()];
    data.extend(points.iter().enumerate().map(|(at, (point, paid))| {
        let (mean, half) = (format::percent(point.value.mean), format::percent(point.value.half_width));
        let best = if front.contains(&at) { "yes" } else { "no" };
        vec![point.label.clone(), (price.said)(*paid), mean, half, best.to_owned()]
    }));
    Some(Drawn { svg, data })
}

/// Positions of the points that no other beats in price and value, by rising price.
fn front(points: &[(&Point, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let value = |at: &usize| points[*at].0.value.mean;
    order.sort_by(|a, b| points[*a].1.total_cmp(&points[*b].1).then(value(b).total_cmp(&value(a))));
    let mut best = f64::MIN;
    order.retain(|at| {
        value(at) > best && {
            best = value(at);
            true
        }
    });
    order
}

/// The points that are named first, and those that are where there is room right beside them.
fn named_of_many(front: &[usize], count: usize) -> (Vec<usize>, Vec<usize>) {
    let first = some(front);
    let others = (0..count).filter(|at| !first.contains(at)).collect();
    (first, others)
}

/// At most [`NAMED_OF_MANY`] of the positions, evenly chosen, with the first and the last.
fn some(front: &[usize]) -> Vec<usize> {
    let last = front.len().saturating_sub(1);
    let places = 0..front.len().min(NAMED_OF_MANY);
    let mut chosen: Vec<usize> =
        places.map(|place| front[place * last / (NAMED_OF_MANY - 1).min(last.max(1))]).collect();
    chosen.dedup();
    chosen
}

/// The horizontal axis: 0, a break, the decades.
fn axis(canvas: &mut Canvas, zero: bool, counted: bool, start: f64, x: &Scale, price: &Price) {
    if zero {
        canvas.line(&[(LEFT, BOTTOM), (start - 8.0, BOTTOM)], Colour::MUTED, 1.2);
        canvas.text("0", (LEFT + ZERO * 0.4, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED);
        for slash in [start - 8.0, start - 2.0] {
            canvas.line(&[(slash - 2.5, BOTTOM + 6.0), (slash + 2.5, BOTTOM - 6.0)], Colour::MUTED, 1.2);
        }
    }
    if counted {
        canvas.line(&[(if zero { start - 2.0 } else { start }, BOTTOM), (RIGHT, BOTTOM)], Colour::MUTED, 1.2);
        for tick in (price.ticks)(x.low, x.high) {
            let (across, text) = (x.at(tick.log10()), (price.round)(tick));
            canvas.line(&[(across, BOTTOM), (across, BOTTOM + 5.0)], Colour::MUTED, 1.2);
            let middle = across.min(WIDTH - Font::TEXT.width(&text) / 2.0);
            canvas.text(&text, (middle, BOTTOM + 15.0), Anchor::Middle, Colour::MUTED);
        }
    }
    let middle = (LEFT + RIGHT) / 2.0;
    canvas.text(&format!("{} (log scale)", price.name), (middle, HEIGHT - 16.0), Anchor::Middle, Colour::MUTED);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Interval;

    /// Cheap and bad, dear and bad, middling, dear and good, as dear and worse.
    #[test]
    fn the_pareto_line_has_what_no_other_beats() {
        let point = |mean: f64| Point {
            label: String::new(),
            value: Interval { mean, half_width: 0.0 },
            difference: None,
            seeds: Vec::new(),
            trainable: None,
            train_seconds: None,
            peak_memory: None,
            test_flops: None,
            number: 0,
            swatch: 0,
            baseline: false,
        };
        let points = [point(0.3), point(0.25), point(0.5), point(0.7), point(0.6)];
        let prices = [0.0, 10.0, 5.0, 20.0, 20.0];
        let paid: Vec<(&Point, f64)> = points.iter().zip(prices).collect();
        assert_eq!(front(&paid), [0, 2, 3]);
        assert_eq!(some(&[0, 2, 3]), [0, 2, 3]);
        let many: Vec<usize> = (0..40).collect();
        assert_eq!(some(&many), [0, 5, 11, 16, 22, 27, 33, 39]);
        assert!(some(&[]).is_empty());
    }
}
