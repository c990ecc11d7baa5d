//! How well each class is recognised, with and without the method.

use super::canvas::{self, Anchor, Canvas, Of, WIDTH};
use super::scale::{Scale, ticks};
use super::text::{Font, shorten_all, widest};
use super::{Drawn, Named};
use crate::format;
use crate::palette::{Colour, Shape};

/// One class.
pub struct Row {
    pub name: String,
    pub value: f64,
    /// The baseline's.
    pub other: Option<f64>,
}

const TOP: f64 = 70.0;
const ROW: f64 = 21.0;
const RIGHT: f64 = WIDTH - 50.0;
/// Room for the names of classes.
const NAMES: f64 = 300.0;

/// A dot for the variant, a ring for the baseline, sorted from the hardest class to the easiest. `None` for no classes.
pub fn draw(title: &str, unit: &str, variant: &Named, baseline: Option<&Named>, rows: &[Row]) -> Option<Drawn> {
    if rows.is_empty() {
        return None;
    }
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| a.value.total_cmp(&b.value).then(a.name.cmp(&b.name)));
    let said = |row: &&Row| match (row.other, baseline) {
        (Some(other), Some(baseline)) => {
            format!("{} {} ({} {})", row.name, format::percent(row.value), baseline.label, format::percent(other))
        }
        _ => format!("{} {}", row.name, format::percent(row.value)),
    };
    let alt =
        format!("{title}, in percent, from the hardest: {}.", sorted.iter().map(said).collect::<Vec<_>>().join("; "));
    let names: Vec<String> = sorted.iter().map(|row| row.name.clone()).collect();
    let font = if widest(&names, Font::TEXT) > 0.8 * NAMES { Font::SMALL } else { Font::TEXT };
    let names = shorten_all(&names, NAMES, font);
    let left = 14.0 + widest(&names, font);
    let bottom = TOP + ROW * sorted.len() as f64;
    // Narrow axes have fewer marks, so that their numbers keep apart.
    let marks = ticks(0.0, 100.0, if RIGHT - left < 220.0 { 2 } else { 5 });
    let x = Scale { low: 0.0, high: 1.0, from: left, to: RIGHT };
    let svg = canvas::draw(bottom + 46.0, &alt, |canvas| {
        canvas.title(title);
        legend(canvas, variant, baseline);
        for mark in &marks {
            let at = x.at(mark / 100.0);
            canvas.line(&[(at, TOP - 4.0), (at, bottom)], Colour::GRID, 1.0);
            canvas.text(&format::tick(*mark), (at, bottom + 14.0), Anchor::Middle, Colour::MUTED);
        }
        canvas.text(unit, ((left + RIGHT) / 2.0, bottom + 34.0), Anchor::Middle, Colour::MUTED);
        for (number, (row, name)) in sorted.iter().zip(&names).enumerate() {
            let height = TOP + ROW * (number as f64 + 0.5);
            canvas.styled(name, (left - 8.0, height), Anchor::End, Colour::INK, font);
            if let Some((other, baseline)) = row.other.zip(baseline) {
                canvas.line(&[(x.at(other), height), (x.at(row.value), height)], Colour::MUTED, 1.5);
                canvas.ring((x.at(other), height), 4.5, Colour::of(baseline.swatch));
            }
            canvas.point((x.at(row.value), height), 5.0, Colour::of(variant.swatch), Shape::of(variant.number));
            canvas.text(&format::percent(row.value), (WIDTH - 2.0, height), Anchor::End, Colour::INK);
            let (corner, end) = ((0.0, height - ROW / 2.0), (WIDTH, height + ROW / 2.0));
            canvas.spot(corner, end, &Of::class(&row.name), &said(row));
        }
    });
    let mut data = vec![vec!["class".to_owned(), variant.label.to_owned()]];
    data[0].extend(baseline.map(|baseline| baseline.label.to_owned()));
    data.extend(sorted.iter().map(|row| {
        let other = baseline.map(|_| row.other.map(format::percent).unwrap_or_default());
        [row.name.clone(), format::percent(row.value)].into_iter().chain(other).collect()
    }));
    Some(Drawn { svg, data })
}

fn legend(canvas: &mut Canvas, variant: &Named, baseline: Option<&Named>) {
    let names: Vec<String> = [Some(variant), baseline].into_iter().flatten().map(|v| v.label.to_owned()).collect();
    let names = shorten_all(&names, WIDTH / 2.0 - 30.0, Font::TEXT);
    canvas.point((6.0, 42.0), 5.0, Colour::of(variant.swatch), Shape::of(variant.number));
    canvas.text(&names[0], (17.0, 42.0), Anchor::Start, Colour::INK);
    if let Some(baseline) = baseline {
        let at = 42.0 + Font::TEXT.width(&names[0]);
        canvas.ring((at, 42.0), 4.5, Colour::of(baseline.swatch));
        canvas.text(&names[1], (at + 11.0, 42.0), Anchor::Start, Colour::INK);
    }
}
