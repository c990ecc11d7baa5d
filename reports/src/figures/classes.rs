//! How well each class is recognised, with and without the method.

use super::Drawn;
use super::canvas::{self, Anchor, Colour, WIDTH, shorten, text_width};
use super::scale::{Scale, ticks};
use crate::format;
use maclip_framework::error::Result;

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

/// A dot for the variant, a ring for the baseline, sorted from the hardest class to the easiest. `None` for no classes.
pub fn draw(title: &str, unit: &str, variant: &str, baseline: Option<&str>, rows: &[Row]) -> Result<Option<Drawn>> {
    if rows.is_empty() {
        return Ok(None);
    }
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| a.value.total_cmp(&b.value).then(a.name.cmp(&b.name)));
    let said = |row: &&Row| match (row.other, baseline) {
        (Some(other), Some(baseline)) => {
            format!("{} {} ({baseline} {})", row.name, format::percent(row.value), format::percent(other))
        }
        _ => format!("{} {}", row.name, format::percent(row.value)),
    };
    let alt =
        format!("{title}, in percent, from the hardest: {}.", sorted.iter().map(said).collect::<Vec<_>>().join("; "));
    let names: Vec<String> = sorted.iter().map(|row| shorten(&row.name, 210.0)).collect();
    let left = 14.0 + names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let bottom = TOP + ROW * sorted.len() as f64;
    let marks = ticks(0.0, 100.0, 5);
    let x = Scale { low: 0.0, high: 1.0, from: left, to: RIGHT };
    let svg = canvas::draw(bottom + 46.0, &alt, |canvas| {
        canvas.title(title)?;
        canvas.dot((6.0, 42.0), 5.0, Colour::SERIES[1])?;
        let own = shorten(variant, 200.0);
        canvas.text(&own, (17.0, 42.0), Anchor::Start, Colour::INK)?;
        if let Some(baseline) = baseline {
            let at = 42.0 + text_width(&own);
            canvas.ring((at, 42.0), 4.5, Colour::SERIES[0])?;
            canvas.text(&shorten(baseline, 200.0), (at + 11.0, 42.0), Anchor::Start, Colour::INK)?;
        }
        for mark in &marks {
            let at = x.at(mark / 100.0);
            canvas.line(&[(at, TOP - 4.0), (at, bottom)], Colour::GRID, 1.0)?;
            canvas.text(&format::tick(*mark), (at, bottom + 14.0), Anchor::Middle, Colour::MUTED)?;
        }
        canvas.text(unit, ((left + RIGHT) / 2.0, bottom + 34.0), Anchor::Middle, Colour::MUTED)?;
        for (number, (row, name)) in sorted.iter().zip(&names).enumerate() {
            let height = TOP + ROW * (number as f64 + 0.5);
            canvas.text(name, (left - 8.0, height), Anchor::End, Colour::INK)?;
            if let Some(other) = row.other {
                canvas.line(&[(x.at(other), height), (x.at(row.value), height)], Colour::MUTED, 1.5)?;
                canvas.ring((x.at(other), height), 4.5, Colour::SERIES[0])?;
            }
            canvas.dot((x.at(row.value), height), 5.0, Colour::SERIES[1])?;
            canvas.text(&format::percent(row.value), (WIDTH - 2.0, height), Anchor::End, Colour::INK)?;
            canvas.spot((0.0, height - ROW / 2.0), (WIDTH, height + ROW / 2.0), &said(row));
        }
        Ok(())
    })?;
    let mut data = vec![vec!["class".to_owned(), variant.to_owned()]];
    data[0].extend(baseline.map(str::to_owned));
    data.extend(sorted.iter().map(|row| {
        let other = baseline.map(|_| row.other.map(format::percent).unwrap_or_default());
        [row.name.clone(), format::percent(row.value)].into_iter().chain(other).collect()
    }));
    Ok(Some(Drawn { svg, data }))
}
