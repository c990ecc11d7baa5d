//! Figures as SVG strings, drawn with plotters. Each takes plain numbers and comes with a caption and an alternative text.

pub mod bars;
mod canvas;
pub mod curves;
mod labels;
pub mod parameters;
mod scale;

use crate::format;
use crate::statistics::Interval;
use crate::summary::{Difference, Group, Summary};
use canvas::Colour;
use maclip_framework::error::Result;

/// A figure ready to be shown: inline in the page, or as a file of its own.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Unique within a report, safe in a file name.
    pub id: String,
    pub title: String,
    pub caption: String,
    /// What the figure shows, for those who do not see it.
    pub alt: String,
    pub svg: String,
}

impl Figure {
    pub fn file_name(&self) -> String {
        format!("{}.svg", self.id)
    }
}

/// One variant's value, as the figures need it.
#[derive(Clone, Debug)]
pub struct Point {
    pub label: String,
    pub value: Interval,
    /// Value of each seed; shown where there are several.
    pub seeds: Vec<f64>,
    pub trainable: Option<usize>,
    pub colour: usize,
}

/// One variant's curve.
#[derive(Clone, Debug)]
pub struct Line {
    pub label: String,
    /// Step, value and half width (0 without an interval).
    pub points: Vec<(f64, f64, f64)>,
    pub colour: usize,
}

/// The figures of each group, in the order of the groups; a figure without anything to show is left out.
pub fn all(summary: &Summary) -> Result<Vec<Vec<Figure>>> {
    summary.groups.iter().enumerate().map(|(number, group)| of_group(number, group, summary.groups.len() > 1)).collect()
}

fn of_group(number: usize, group: &Group, several: bool) -> Result<Vec<Figure>> {
    let metric = group.measure.as_ref().map_or_else(|| "accuracy".into(), |measure| format::words(&measure.metric));
    let Metric { capital, unit } = Metric::new(&metric);
    let over = group.interval();
    let points = points(group);
    let mut figures = Vec::new();
    let mut add = |id: &str, title: String, caption: String, drawn: Option<(String, String)>| {
        let prefix = if several { format!("{}-", number + 1) } else { String::new() };
        if let Some((svg, alt)) = drawn {
            figures.push(Figure { id: format!("{prefix}{id}"), title, caption, alt, svg });
        }
    };
    let chance = group.measure.as_ref().filter(|measure| measure.way > 0).map(|measure| 1.0 / measure.way as f64);
    let title = format!("{capital} of each variant");
    let dots = if points.iter().any(|point| point.seeds.len() > 1) { "; dots are single seeds" } else { "" };
    let line = if chance.is_some() { "; the dashed line is chance" } else { "" };
    // A single result compares with chance at most.
    let drawn = if points.len() > 1 || chance.is_some() { bars::draw(&title, &unit, &points, chance)? } else { None };
    let caption = format!("Bars are means, whiskers the {over}{dots}{line}.");
    add("bars", title, caption, drawn);

    let title = format!("{capital} against trainable parameters");
    let caption = format!(
        "Higher is better, further left is cheaper. Whiskers are the {over}. A variant that trains nothing \
         stands at 0, left of the logarithmic axis."
    );
    // A single point compares nothing.
    let drawn = if points.len() > 1 { parameters::draw(&title, &unit, &points)? } else { None };
    add("parameters", title, caption, drawn);

    let title = "Training loss".to_owned();
    let caption = format!(
        "Mean over the seeds within {} equal spans of steps, which smooths the noise of single steps.",
        crate::curve::BINS
    );
    add("loss", title.clone(), caption, curves::draw(&title, "loss", &lines(group, true), false)?);

    let title = format!("Validation {metric}");
    let caption = format!("Mean over the seeds; the band is the {over}.");
    add("validation", title.clone(), caption, curves::draw(&title, &unit, &lines(group, false), true)?);
    Ok(figures)
}

struct Metric {
    capital: String,
    unit: String,
}

impl Metric {
    fn new(name: &str) -> Self {
        let mut letters = name.chars();
        let capital = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        Self { capital, unit: format!("{name} (%)") }
    }
}

fn points(group: &Group) -> Vec<Point> {
    let of = |(position, variant): (usize, &crate::summary::Variant)| {
        variant.result.as_ref().map(|result| Point {
            label: variant.label.clone(),
            value: result.over_episodes,
            seeds: result.values.clone(),
            trainable: variant.trainable,
            colour: colour(group, position),
        })
    };
    group.variants.iter().enumerate().filter_map(of).collect()
}

fn lines(group: &Group, loss: bool) -> Vec<Line> {
    let of = |(position, variant): (usize, &crate::summary::Variant)| {
        let points: Vec<_> = if loss {
            variant.curve.loss.iter().map(|(step, loss)| (*step, *loss, 0.0)).collect()
        } else {
            variant.curve.validation.iter().map(|(step, at)| (*step, at.mean, at.half_width)).collect()
        };
        (!points.is_empty()).then(|| Line { label: variant.label.clone(), points, colour: colour(group, position) })
    };
    group.variants.iter().enumerate().filter_map(of).collect()
}

/// Position in the palette, the same in all figures of a group: the baseline is black, the others have colours.
fn colour(group: &Group, position: usize) -> usize {
    let baseline = group.variants.iter().any(|variant| variant.difference == Difference::IsBaseline);
    let colours = Colour::SERIES.len() - 1;
    if baseline && position == 0 { 0 } else { 1 + (position - usize::from(baseline)) % colours }
}

/// Position of a variant's colour in the palette, for the swatch beside its name.
pub fn swatch(group: &Group, position: usize) -> usize {
    colour(group, position)
}

/// The palette in its light and its dark colours, as CSS values.
pub fn palette() -> Vec<(String, String)> {
    Colour::SERIES.iter().map(|colour| (colour.hex(), colour.dark())).collect()
}
