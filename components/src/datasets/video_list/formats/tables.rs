//! Tables with a header: the lists of Kinetics, and plain CSV.
//!
//! Source: the lists of Kinetics (`label,youtube_id,time_start,time_end,split`, older ones with `is_cc`), whose clips
//! the usual programs store as `ID_000010_000020.mp4`.

use super::{Between, Format, Parsed, Problem, Row, Span, shown, split_of};
use csv::{ReaderBuilder, StringRecord, Trim};

/// Names of the columns of a plain table, by what they hold. The first that is there counts.
const PATH: &[&str] = &["path", "video_path", "file", "filename", "file_name", "video", "clip", "folder"];
const LABEL: &[&str] = &["label", "class", "class_name", "action", "category"];
const SPLIT: &[&str] = &["split", "subset", "set"];
/// The most columns that a message names.
const NAMED: usize = 12;

/// The columns of a table by their names in lower case.
pub(super) struct Header {
    names: Vec<String>,
}

impl Header {
    pub fn of(line: &str, between: Between) -> Self {
        let Between::Sign(sign) = between else { return Self { names: Vec::new() } };
        let name = |cell: &str| cell.trim().trim_matches('"').trim().to_lowercase();
        Self { names: line.split(sign).map(name).collect() }
    }

    fn column(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| self.names.iter().position(|column| column == name))
    }

    pub fn is_kinetics(&self) -> bool {
        ["youtube_id", "time_start", "time_end"].iter().all(|name| self.column(&[name]).is_some())
    }

    pub fn is_csv(&self) -> bool {
        self.column(PATH).is_some() && self.column(LABEL).is_some()
    }

    /// The names for a message.
    fn words(&self) -> String {
        let more = if self.names.len() > NAMED { ", …" } else { "" };
        format!("{}{more}", self.names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
    }
}

/// Where the columns of a table are.
struct Columns {
    label: usize,
    split: Option<usize>,
    clip: Clip,
}

enum Clip {
    Path { path: usize, seconds: Option<(usize, usize)>, frames: Option<(usize, usize)> },
    YouTube { id: usize, start: usize, end: usize },
}

pub(super) fn parse(text: &str, format: Format, between: Option<Between>) -> std::result::Result<Parsed, String> {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let signs = [',', '\t', ';'].map(Between::Sign);
    let usual = || signs.into_iter().max_by_key(|sign| Header::of(first, *sign).names.len()).unwrap_or(signs[0]);
    let sign = between.unwrap_or_else(usual);
    let Between::Sign(delimiter) = sign else {
        return Err(
            "columns of a table stand between commas, tabs or semicolons, not blanks: change `delimiter`".to_owned()
        );
    };
    let byte = u8::try_from(delimiter).map_err(|_| format!("`delimiter: {delimiter}` is not ASCII"))?;
    let header = Header::of(first, sign);
    let columns = columns(&header, format, first)?;
    let mut reader = ReaderBuilder::new()
        .delimiter(byte)
        .has_headers(true)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = record.position().map_or(0, |position| position.line() as usize);
                match row(&record, line, &columns, header.names.len()) {
                    Ok(row) => rows.push(row),
                    Err(reason) => problems.push(Problem::new(line, reason)),
                }
            }
            Err(error) => {
                let line = error.position().map_or(0, |position| position.line() as usize);
                problems.push(Problem::new(line, error.to_string()));
            }
        }
    }
    let mut notes = Vec::new();
    if format == Format::Kinetics && columns.split.is_some() {
        notes.push("the column split is that of Kinetics itself, and says nothing about the splits here".to_owned());
    }
    Ok(Parsed { format, rows, problems, notes })
}

fn columns(header: &Header, format: Format, first: &str) -> std::result::Result<Columns, String> {
    let missing = |what: &str| {
        format!("line 1 is no header with {what}: found the columns {}; the line is {}", header.words(), shown(first))
    };
    let one = |names: &[&str], what: &str| header.column(names).ok_or_else(|| missing(what));
    let label = header.column(LABEL);
    let split = header.column(SPLIT);
    if format == Format::Kinetics {
        let clip = Clip::YouTube {
            id: one(&["youtube_id"], "youtube_id")?,
            start: one(&["time_start"], "time_start")?,
            end: one(&["time_end"], "time_end")?,
        };
        let label = label.ok_or_else(|| {
            format!("{}; a list without labels, as that of a test set, names no classes", missing("label"))
        })?;
        return Ok(Columns { label, split, clip });
    }
    let both = |start: &str, end: &str| match (header.column(&[start]), header.column(&[end])) {
        (Some(start), Some(end)) => Ok(Some((start, end))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(format!("the header has {start} and no {end}")),
        (None, Some(_)) => Err(format!("the header has {end} and no {start}")),
    };
    let path = one(PATH, &format!("a path (one of {})", PATH.join(", ")))?;
    let label = label.ok_or_else(|| missing(&format!("a label (one of {})", LABEL.join(", "))))?;
    let (seconds, frames) = (both("start", "end")?, both("start_frame", "end_frame")?);
    if seconds.is_some() && frames.is_some() {
        return Err(
            "the header has start and end in seconds, and start_frame and end_frame too; keep two of them".to_owned()
        );
    }
    Ok(Columns { label, split, clip: Clip::Path { path, seconds, frames } })
}

fn row(record: &StringRecord, line: usize, columns: &Columns, all: usize) -> std::result::Result<Row, String> {
    if record.len() != all {
        return Err(format!("it has {} columns, and the header has {all}", record.len()));
    }
    let cell = |at: usize| record.get(at).unwrap_or_default();
    let label = cell(columns.label);
    if label.is_empty() {
        return Err("the label is empty".to_owned());
    }
    let seconds = |at: usize, what: &str| {
        let value = cell(at).parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
        value.ok_or_else(|| format!("{what} is `{}`, and a time is a number of seconds", cell(at)))
    };
    let frame = |at: usize, what: &str| {
        cell(at).parse::<usize>().map_err(|_| format!("{what} is `{}`, and a frame is a number from 0", cell(at)))
    };
    let in_order = |sound: bool, start: &str, end: &str| match sound {
        true => Ok(()),
        false => Err(format!("it ends at {end}, which is not behind its start at {start}")),
    };
    match columns.clip {
        Clip::YouTube { id, start, end } => {
            let (from, to) = (seconds(start, "time_start")?, seconds(end, "time_end")?);
            if cell(id).is_empty() {
                return Err("youtube_id is empty".to_owned());
            }
            in_order(from < to, cell(start), cell(end))?;
            Ok(Row::new(line, &format!("{}_{:06}_{:06}", cell(id), from.round(), to.round()), label))
        }
        Clip::Path { path, seconds: times, frames } => {
            if cell(path).is_empty() {
                return Err("the path is empty".to_owned());
            }
            let mut row = Row::new(line, cell(path), label);
            // Both empty: the whole file.
            let given = |pair: (usize, usize)| !(cell(pair.0).is_empty() && cell(pair.1).is_empty());
            if let Some((start, end)) = times.filter(|pair| given(*pair)) {
                let (from, to) = (seconds(start, "start")?, seconds(end, "end")?);
                in_order(from < to, cell(start), cell(end))?;
                row.span = Some(Span::Seconds(from, to));
            }
            if let Some((start, end)) = frames.filter(|pair| given(*pair)) {
                let (from, to) = (frame(start, "start_frame")?, frame(end, "end_frame")?);
                in_order(from < to, cell(start), cell(end))?;
                row.span = Some(Span::Frames(from, to));
            }
            if let Some(at) = columns.split {
                let word = cell(at);
                let split =
                    split_of(word).ok_or_else(|| format!("the split is `{word}`, and none of train, val and test"))?;
                row.split = Some(split);
            }
            Ok(row)
        }
    }
}
