//! Where the time went.

use super::Drawn;
use super::canvas::{self, Anchor, Colour, WIDTH, shorten, text_width};
use super::scale::{Scale, ticks};
use crate::format;
use maclip_framework::error::Result;
use std::collections::BTreeMap;

const ROW: f64 = 34.0;
const RIGHT: f64 = WIDTH - 80.0;

/// Thread-seconds of each phase, one bar for each variant; phases beyond the six largest are one. `None` where nobody measured.
pub fn draw(title: &str, variants: &[(String, &BTreeMap<String, f64>)]) -> Result<Option<Drawn>> {
    let variants: Vec<_> = variants.iter().filter(|(_, phases)| phases.values().sum::<f64>() > 0.0).collect();
    let mut totals: BTreeMap<&str, f64> = BTreeMap::new();
    for (phase, seconds) in variants.iter().flat_map(|(_, phases)| phases.iter()) {
        *totals.entry(phase).or_default() += seconds;
    }
    if variants.is_empty() {
        return Ok(None);
    }
    let mut phases: Vec<&str> = totals.keys().copied().collect();
    phases.sort_by(|a, b| totals[b].total_cmp(&totals[a]).then(a.cmp(b)));
    let rest = phases.split_off(phases.len().min(Colour::SERIES.len() - 1));
    let parts = |of: &BTreeMap<String, f64>| -> Vec<(String, f64)> {
        let part = |phase: &&str| of.get(*phase).copied().unwrap_or(0.0);
        let mut parts: Vec<(String, f64)> = phases.iter().map(|phase| ((*phase).to_owned(), part(phase))).collect();
        if !rest.is_empty() {
            parts.push(("other".to_owned(), rest.iter().map(part).sum()));
        }
        parts
    };
    let said = |(label, of): &(String, &BTreeMap<String, f64>)| {
        let parts: Vec<String> =
            parts(of).iter().map(|(phase, seconds)| format!("{phase} {}", format::duration(*seconds))).collect();
        format!("{label}: {}", parts.join(", "))
    };
    let alt = format!("{title}. {}.", variants.iter().map(|variant| said(variant)).collect::<Vec<_>>().join("; "));
    let names: Vec<String> = variants.iter().map(|(label, _)| shorten(label, 150.0)).collect();
    let left = 16.0 + names.iter().map(|name| text_width(name)).fold(0.0, f64::max);
    let most = variants.iter().map(|(_, of)| of.values().sum::<f64>()).fold(0.0, f64::max);
    // Minutes where seconds would be many.
    let (one, unit) = if most > 600.0 { (60.0, "thread-minutes a run") } else { (1.0, "thread-seconds a run") };
    let marks: Vec<f64> = ticks(0.0, most / one, 4);
    let x = Scale { low: 0.0, high: marks.last().copied().unwrap_or(1.0) * one, from: left, to: RIGHT };
    // The legend wraps where it would run out of the figure.
    let keys = parts(variants[0].1).into_iter().map(|(phase, _)| phase);
    let mut places: Vec<(String, (f64, f64))> = Vec::new();
    let (mut across, mut line) = (0.0, 42.0);
    for key in keys {
        let width = text_width(&key) + 34.0;
        if across + width > WIDTH && across > 0.0 {
            (across, line) = (0.0, line + 20.0);
        }
        places.push((key, (across, line)));
        across += width;
    }
    let top = line + 24.0;
    let bottom = top + ROW * variants.len() as f64;
    let svg = canvas::draw(bottom + 46.0, &alt, |canvas| {
        canvas.title(title)?;
        for (number, (key, (across, height))) in places.iter().enumerate() {
            canvas.rect((*across, height - 6.0), (across + 12.0, height + 6.0), Colour::SERIES[number], 0.9)?;
            canvas.text(key, (across + 17.0, *height), Anchor::Start, Colour::INK)?;
        }
        for mark in &marks {
            let at = x.at(mark * one);
            canvas.line(&[(at, top), (at, bottom)], Colour::GRID, 1.0)?;
            canvas.text(&format::tick(*mark), (at, bottom + 14.0), Anchor::Middle, Colour::MUTED)?;
        }
        canvas.text(unit, ((left + RIGHT) / 2.0, bottom + 34.0), Anchor::Middle, Colour::MUTED)?;
        for (number, (variant, name)) in variants.iter().zip(&names).enumerate() {
            let (above, below) = (top + ROW * number as f64 + 6.0, top + ROW * (number + 1) as f64 - 6.0);
            let middle = (above + below) / 2.0;
            let mut from = 0.0;
            for (part, (_, seconds)) in parts(variant.1).into_iter().enumerate() {
                canvas.rect((x.at(from), above), (x.at(from + seconds), below), Colour::SERIES[part], 0.9)?;
                from += seconds;
            }
            canvas.text(name, (left - 10.0, middle), Anchor::End, Colour::INK)?;
            canvas.text(&format::duration(from), (x.at(from) + 6.0, middle), Anchor::Start, Colour::INK)?;
            canvas.spot((0.0, above), (WIDTH, below), &said(variant));
        }
        Ok(())
    })?;
    let mut data =
        vec![std::iter::once("variant".to_owned()).chain(places.into_iter().map(|(key, _)| key)).collect::<Vec<_>>()];
    data.extend(variants.iter().map(|(label, of)| {
        std::iter::once(label.clone())
            .chain(parts(of).into_iter().map(|(_, seconds)| format!("{seconds:.2}")))
            .collect()
    }));
    Ok(Some(Drawn { svg, data }))
}
