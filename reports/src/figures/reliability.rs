//! How sure answers are against how often they are right.

use super::canvas::{self, Anchor, Of};
use super::scale::{Scale, ticks};
use crate::format;
use crate::palette::Colour;
use maclip_framework::engine::classify::calibration::Bin;

const SIDE: f64 = 300.0;
const TOP: f64 = 62.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = TOP + SIDE;

/// A dot for each range of probabilities; larger ones stand for more clips. `None` where there is none.
pub fn draw(bins: &[Bin]) -> Option<String> {
    let most = bins.iter().map(|bin| bin.clips).max()?;
    let said = |bin: &Bin| {
        let (sure, right) = (format::percent(bin.probability), format::percent(bin.accuracy));
        format!("{}: {sure} % sure, {right} % right", format::plural(bin.clips, "clip"))
    };
    let alt = format!("Reliability. {}.", bins.iter().map(said).collect::<Vec<_>>().join("; "));
    let x = Scale { low: 0.0, high: 1.0, from: LEFT, to: LEFT + SIDE };
    let y = Scale { low: 0.0, high: 1.0, from: BOTTOM, to: TOP };
    let svg = canvas::draw(BOTTOM + 52.0, &alt, |canvas| {
        canvas.title("Reliability");
        canvas.text("right, %", (0.0, TOP - 22.0), Anchor::Start, Colour::MUTED);
        for mark in ticks(0.0, 100.0, 5) {
            let share = mark / 100.0;
            canvas.line(&[(LEFT, y.at(share)), (LEFT + SIDE, y.at(share))], Colour::GRID, 1.0);
            canvas.text(&format::tick(mark), (LEFT - 8.0, y.at(share)), Anchor::End, Colour::MUTED);
            canvas.text(&format::tick(mark), (x.at(share), BOTTOM + 18.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text("sure, %", (LEFT + SIDE / 2.0, BOTTOM + 40.0), Anchor::Middle, Colour::MUTED);
        canvas.dashes(&[(x.at(0.0), y.at(0.0)), (x.at(1.0), y.at(1.0))], Colour::MUTED, 1.2);
        for bin in bins {
            let radius = 4.0 + 8.0 * (bin.clips as f64 / most as f64).sqrt();
            let at = (x.at(bin.probability), y.at(bin.accuracy));
            canvas.dot(at, radius, Colour::SERIES[0]);
            let (corner, end) = ((at.0 - radius, at.1 - radius), (at.0 + radius, at.1 + radius));
            canvas.spot(corner, end, &Of::default(), &said(bin));
        }
    });
    Some(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_range_is_said() {
        let bins =
            [Bin { probability: 0.3, accuracy: 0.25, clips: 4 }, Bin { probability: 0.9, accuracy: 1.0, clips: 1 }];
        let svg = draw(&bins).unwrap();
        assert!(svg.contains("4 clips: 30.0 % sure, 25.0 % right; 1 clip: 90.0 % sure, 100.0 % right"));
        assert!(draw(&[]).is_none());
    }
}
