//! The forms of lists that are in use, and what tells them apart.

mod lines;
mod ssv2;
mod tables;
#[cfg(test)]
mod tests;

use maclip_framework::slots::dataset::Split;
use serde::{Deserialize, Serialize};
use std::path::Path;
use tables::Header;

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Found out from the list: an error where none or several of the others fit.
    #[default]
    Auto,
    /// As mmaction2 has it: `path label` or `folder frames label` in each line, with the label's number.
    Mmaction2,
    /// As Kinetics is published: a table with the columns label, youtube_id, time_start and time_end.
    Kinetics,
    /// As Something-Something V2 is published: a JSON array of objects with id and template.
    Ssv2,
    /// A table with a header that names the columns path and label, and perhaps split, start and end.
    Csv,
    /// `class/clip` in each line, as the lists of TRX and CMN have it.
    ClassClip,
    /// The list is a zip file with folders of frames, `…/train/CLASS/CLIP/00000001.jpg`, or with videos, as TRX has it.
    Zip,
    /// The list is the tar shards of WebDataset, such as `shards/{000..003}.tar`.
    Webdataset,
}

impl Format {
    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Auto => "auto",
            Format::Mmaction2 => "mmaction2",
            Format::Kinetics => "kinetics",
            Format::Ssv2 => "ssv2",
            Format::Csv => "csv",
            Format::ClassClip => "class_clip",
            Format::Zip => "zip",
            Format::Webdataset => "webdataset",
        }
    }

    /// The format of an archive that is its own list, by its name.
    pub fn of_archive(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_lowercase();
        match extension.as_str() {
            "zip" => Some(Format::Zip),
            "tar" => Some(Format::Webdataset),
            _ => None,
        }
    }
}

/// The part of a file that a clip is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// From the first to the last of these seconds.
    Seconds(f64, f64),
    /// From the first to before the last of these frames, counted from 0.
    Frames(usize, usize),
}

impl Span {
    /// Start and end, each in its own unit.
    pub fn bounds(self) -> (f64, f64) {
        match self {
            Span::Seconds(start, end) => (start, end),
            Span::Frames(start, end) => (start as f64, end as f64),
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Span::Seconds(start, end) => write!(f, "{start}s-{end}s"),
            Span::Frames(start, end) => write!(f, "{start}-{end}"),
        }
    }
}

/// A clip as a list names it.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Counted from 1.
    pub line: usize,
    /// The path or name of its file or folder.
    pub clip: String,
    /// Name or number of its class.
    pub label: String,
    /// What the list says of its split.
    pub split: Option<Split>,
    /// The part of the file.
    pub span: Option<Span>,
    /// What the list says of its frames.
    pub frames: Option<usize>,
    /// Where the path ends with a number that may be a first frame: the path without it, and the part of the frames.
    pub offset: Option<(String, Span)>,
}

impl Row {
    pub fn new(line: usize, clip: &str, label: &str) -> Self {
        let (clip, label) = (clip.to_owned(), label.to_owned());
        Self { line, clip, label, split: None, span: None, frames: None, offset: None }
    }
}

/// What is wrong in a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// A sentence without the place.
    pub reason: String,
}

impl Problem {
    fn new(line: usize, reason: impl Into<String>) -> Self {
        Self { line, reason: reason.into() }
    }
}

/// A list that was read.
#[derive(Debug)]
pub struct Parsed {
    /// What it is written in.
    pub format: Format,
    /// In the order of the list.
    pub rows: Vec<Row>,
    /// All that is wrong with it.
    pub problems: Vec<Problem>,
    /// Sentences on how it was read.
    pub notes: Vec<String>,
}

/// What stands between two columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::datasets::video_list) enum Between {
    /// Any number of blanks and tabs.
    Blanks,
    /// One such sign.
    Sign(char),
}

impl Between {
    fn words(self) -> String {
        match self {
            Between::Blanks => "blanks".to_owned(),
            Between::Sign('\t') => "tabs".to_owned(),
            Between::Sign(sign) => format!("`{sign}`"),
        }
    }

    /// From the option `delimiter`: one sign, where a blank stands for any number of blanks.
    ///
    /// # Errors
    /// Where it is not one sign.
    pub fn of(option: &str) -> std::result::Result<Self, String> {
        let mut signs = option.chars();
        match (signs.next(), signs.next()) {
            (Some(' '), None) => Ok(Between::Blanks),
            (Some(sign), None) if !sign.is_alphanumeric() => Ok(Between::Sign(sign)),
            _ => {
                Err(format!("is {option:?}, and one sign stands between two columns, such as \" \", \",\" or \"\\t\""))
            }
        }
    }
}

/// The lines of a text with their numbers, without those that are empty or begin with `#`.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// Reads the text of a list.
///
/// # Errors
/// Where no form fits, or several do: what was looked for and what was found.
pub(in crate::datasets::video_list) fn parse(
    text: &str,
    format: Format,
    between: Option<Between>,
) -> std::result::Result<Parsed, String> {
    let (format, between, why) = match format {
        Format::Auto => recognize(text, between)?,
        given => (given, between, None),
    };
    let mut parsed = match format {
        Format::Ssv2 => ssv2::parse(text)?,
        Format::Kinetics | Format::Csv => tables::parse(text, format, between)?,
        Format::Mmaction2 => lines::mmaction2(text, between.unwrap_or(Between::Blanks)),
        Format::ClassClip => lines::class_clip(text),
        Format::Auto | Format::Zip | Format::Webdataset => {
            return Err(format!("it is a text, and `format: {}` is an archive", format.name()));
        }
    };
    parsed.notes.extend(why);
    Ok(parsed)
}

type Recognized = (Format, Option<Between>, Option<String>);

/// Which form a list has, what stands between its columns, and why.
fn recognize(text: &str, between: Option<Between>) -> std::result::Result<Recognized, String> {
    let Some((number, first)) = lines(text).next() else { return Err("it names no clip: it has no line".to_owned()) };
    if first.starts_with(['[', '{']) {
        return Ok((Format::Ssv2, None, Some("read as `ssv2`: it is JSON".to_owned())));
    }
    let mut fits: Vec<(Format, Between, String)> = Vec::new();
    let signs = [Between::Sign(','), Between::Sign('\t'), Between::Sign(';')];
    for sign in signs.into_iter().filter(|sign| between.is_none_or(|given| given == *sign)) {
        let header = Header::of(first, sign);
        if header.is_kinetics() {
            let why = "its header has youtube_id, time_start and time_end";
            fits.push((Format::Kinetics, sign, why.to_owned()));
        }
        if header.is_csv() {
            let why = format!("its header names a path and a label between {}", sign.words());
            fits.push((Format::Csv, sign, why));
        }
    }
    // The first line of such a list ends with a number, so it is no header of a table.
    if fits.is_empty() {
        for way in between.map_or(vec![Between::Blanks, Between::Sign(',')], |given| vec![given]) {
            if lines::is_mmaction2(text, way) {
                fits.push((Format::Mmaction2, way, format!("each line ends with a number behind {}", way.words())));
            }
        }
    }
    match fits.as_slice() {
        [(format, way, why)] => Ok((*format, Some(*way), Some(format!("read as `{}`: {why}", format.name())))),
        [] => Err(format!(
            "no form of list fits: looked for JSON (`ssv2`), a header with youtube_id, time_start and time_end \
             (`kinetics`), a header with path and label (`csv`), and lines that end with the number of a class \
             (`mmaction2`); line {number} is {}. Say its form with `format`, or give the table a header",
            shown(first)
        )),
        several => {
            let each = several.iter().map(|(format, _, why)| format!("`{}` ({why})", format.name()));
            Err(format!(
                "{} forms of list fit: {}; say one with `format` and `delimiter`",
                several.len(),
                each.collect::<Vec<_>>().join(" and ")
            ))
        }
    }
}

/// A line for a message, cut where it is long.
fn shown(line: &str) -> String {
    const MOST: usize = 80;
    let cut: String = line.chars().take(MOST).collect();
    if cut.len() < line.len() { format!("{cut:?} …") } else { format!("{cut:?}") }
}

/// The split that a list calls so.
pub(in crate::datasets::video_list) fn split_of(word: &str) -> Option<Split> {
    match word.trim().to_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "val" | "valid" | "validate" | "validation" | "dev" => Some(Split::Val),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}
