//! Figures as SVG, and the same as PNG. Each comes with a caption, an alternative text and its data.
//!
//! Here belongs one file for each kind of figure. Not here: the numbers that they show (`summary`, `statistics`) and
//! where they appear on the page (`page`).

pub mod alignment;
mod bars;
mod canvas;
mod classes;
mod curves;
mod heat;
mod labels;
mod map;
pub mod occlusion;
mod of_group;
mod overview;
mod phases;
mod png;
mod ranks;
pub mod reliability;
mod scale;
mod seeds;
mod svg;
mod text;
mod tradeoff;

pub use canvas::Picture;
pub use png::png;

use crate::curve::At;
use crate::format;
use crate::statistics::Interval;
use crate::summary::{Summary, Variant};
use maclip_framework::runs::embedding::Embedding;

/// A figure ready to be shown: inline in the page, or as a file of its own.
#[derive(Clone, Debug)]
pub struct Figure {
    /// Unique within a report, safe in a file name.
    pub id: String,
    pub title: String,
    pub caption: String,
    /// The drawing, with a description for those who do not see it.
    pub svg: String,
    /// What was drawn, a header line first.
    pub data: Vec<Vec<String>>,
    /// What it shows of something that the figures before and after it show in other ways.
    pub way: Option<Way>,
}

/// One of several ways in which figures in one place show the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    pub among: &'static Ways,
    /// In a word.
    pub name: &'static str,
}

/// What a switch between several figures is for.
#[derive(Debug, PartialEq, Eq)]
pub struct Ways {
    /// What stands before the names.
    pub word: &'static str,
    /// The switch for those who do not see it.
    pub about: &'static str,
}

impl Figure {
    /// The SVG for a page, whose style sheet colours it.
    pub fn inline(&self) -> String {
        inline(&self.svg)
    }

    /// What was drawn, as CSV.
    pub fn csv(&self) -> Vec<u8> {
        let line = |cells: &Vec<String>| cells.iter().map(|cell| format::with_hyphen(cell)).collect();
        crate::table::csv_lines(&self.data.iter().map(line).collect::<Vec<_>>())
    }
}

/// An SVG without its style sheet.
pub fn inline(svg: &str) -> String {
    canvas::without_style(svg)
}

/// The result of a drawing function.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// With a description for those who do not see it.
    pub svg: String,
    pub data: Vec<Vec<String>>,
}

/// A variant by its name, its number in the report and its colour.
#[derive(Clone, Debug)]
pub struct Named {
    pub label: String,
    pub number: usize,
    pub swatch: usize,
}

impl Named {
    pub fn of(variant: &Variant) -> Self {
        Self { label: variant.label.clone(), number: variant.number, swatch: variant.swatch }
    }
}

/// The result and the costs of one variant.
#[derive(Clone, Debug)]
pub struct Point {
    pub label: String,
    /// See [`Named`].
    pub number: usize,
    pub swatch: usize,
    pub baseline: bool,
    pub value: Interval,
    /// Δ to the baseline, as tables write it.
    pub difference: Option<String>,
    /// Value of each seed; shown where there are several.
    pub seeds: Vec<f64>,
    pub trainable: Option<usize>,
    pub train_seconds: Option<f64>,
    pub peak_memory: Option<u64>,
    pub test_flops: Option<f64>,
}

/// One variant's curve.
#[derive(Clone, Debug)]
pub struct Line {
    pub label: String,
    pub points: Vec<At>,
    /// See [`Named`].
    pub number: usize,
    pub swatch: usize,
}

/// All figures of a report; one without anything to show is left out.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Those that span groups: shots, ways, metrics against datasets.
    pub overview: Vec<Figure>,
    /// Those of each group, in the order of the groups.
    pub groups: Vec<Vec<Figure>>,
}

impl Figures {
    /// `maps` has the map of each group, where there is one, and whose it is.
    pub fn of(summary: &Summary, maps: &[Option<(String, Embedding)>]) -> Self {
        use rayon::prelude::*;
        let several = summary.groups.len() > 1;
        let of = |(number, group)| {
            let prefix = if several { format!("{}-", number + 1) } else { String::new() };
            of_group::draw(&prefix, group, maps.get(number).and_then(Option::as_ref))
        };
        let groups = summary.groups.par_iter().enumerate().map(of).collect();
        Self { overview: overview::draw(summary), groups }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.overview.iter().chain(self.groups.iter().flatten())
    }
}

/// Collects the figures.
#[derive(Default)]
struct Album {
    prefix: String,
    figures: Vec<Figure>,
}

impl Album {
    fn add(&mut self, id: &str, title: &str, caption: String, drawn: Option<Drawn>) {
        if let Some(Drawn { svg, data }) = drawn {
            let id = format!("{}{id}", self.prefix);
            self.figures.push(Figure { id, title: title.to_owned(), caption, svg, data, way: None });
        }
    }

    /// Adds a figure that is one of several ways to show the same.
    fn add_way(&mut self, id: &str, way: Way, title: &str, caption: String, drawn: Option<Drawn>) {
        let known = self.figures.len();
        self.add(id, title, caption, drawn);
        self.figures[known..].iter_mut().for_each(|figure| figure.way = Some(way));
    }

    /// Adds a figure as the next of its kind: `shots-1`, `shots-2`, ….
    fn add_numbered(&mut self, kind: &str, title: &str, caption: String, drawn: Option<Drawn>) {
        let known = self.figures.iter().filter(|figure| figure.id.starts_with(&format!("{kind}-"))).count();
        self.add(&format!("{kind}-{}", known + 1), title, caption, drawn);
    }
}
