//! Tables with a header: the lists of Kinetics, and plain CSV.
//!
//! Source: the lists of Kinetics (`label,youtube_id,time_start,time_end,split`, older ones with `is_cc`), whose clips
//! the usual programs store as `ID_000010_000020.mp4`.

use super::{Between, Format, Parsed, Problem, Row, Span, lines, shown, split_of};
use csv::{Position, ReaderBuilder, StringRecord, Trim};

/// Names of the columns of a plain table, by what they hold. The first that is there counts.
const PATH: &[&str] = &["path", "video_path", "file", "filename", "file_name", "video", "clip", "folder"];
const LABEL: &[&str] = &["label", "class", "class_name", "action", "category"];
const SPLIT: &[&str] = &["split", "subset", "set"];
/// Of a part in seconds.
const START: &[&str] =
    &["start", "time_start", "start_time", "t_start", "start_sec", "start_seconds", "start_s", "start_time_s", "begin"];
const END: &[&str] = &["end", "time_end", "end_time", "t_end", "end_sec", "end_seconds", "end_s", "end_time_s"];
/// Of a part in frames.
const START_FRAME: &[&str] = &["start_frame", "frame_start"];
const END_FRAME: &[&str] = &["end_frame", "frame_end"];
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
        words(&self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn words(names: &[&str]) -> String {
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
}

/// Whether a column of this name says where a part of a file begins or ends.
fn is_bound(name: &str) -> bool {
    let has = |part: &str| name.contains(part);
    let timed = ["time", "frame", "sec"].into_iter().any(has);
    let mut words = name.split(|c: char| !c.is_alphanumeric());
    ["start", "begin", "onset"].into_iter().any(has)
        || (timed && ["end", "stop", "first", "last"].into_iter().any(has))
        || words.any(|word| ["end", "ends", "stop", "offset", "from", "until"].contains(&word))
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
    let (above, first) = lines(text).next().map_or((0, &text[..0]), |(number, line)| (number - 1, line));
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
    let columns = columns(&header, format, above + 1, first)?;
    // Lines before the header are empty or say nothing. The header is a part of the text.
    let table = &text[first.as_ptr() as usize - text.as_ptr() as usize..];
    let mut reader = ReaderBuilder::new()
        .delimiter(byte)
        .has_headers(true)
        .flexible(true)
        .trim(Trim::All)
        .comment(Some(b'#'))
        .from_reader(table.as_bytes());
    let (mut rows, mut problems) = (Vec::new(), Vec::new());
    for record in reader.records() {
        match record {
            Ok(record) => {
                let line = above + record.position().map_or(0, |position| line_at(table, position));
                match row(&record, line, &columns, header.names.len()) {
                    Ok(row) => rows.push(row),
                    Err(reason) => problems.push(Problem::new(line, reason)),
                }
            }
            Err(error) => {
                let line = above + error.position().map_or(0, |position| line_at(table, position));
                problems.push(Problem::new(line, error.to_string()));
            }
        }
    }
    let mut notes = Vec::new();
    if format == Format::Kinetics && columns.split.is_some() {
        notes.push("the column split is that of Kinetics itself, and says nothing about the splits here".to_owned());
    }
    let unread = columns.unread(&header);
    if !unread.is_empty() {
        notes.push(format!("columns that are not read: {}", words(&unread)));
    }
    Ok(Parsed { format, rows, problems, notes })
}

/// The line of a record, of which the reader says where it began to look for it: before lines that hold none.
fn line_at(table: &str, position: &Position) -> usize {
    let rest = usize::try_from(position.byte()).ok().and_then(|byte| table.get(byte..)).unwrap_or_default();
    let none = |line: &&str| line.is_empty() || line.starts_with('#');
    position.line() as usize + rest.lines().take_while(none).count()
}

impl Columns {
    /// Names of columns that hold nothing that is read.
    fn unread<'h>(&self, header: &'h Header) -> Vec<&'h str> {
        let pair = |pair: Option<(usize, usize)>| pair.into_iter().flat_map(|(start, end)| [start, end]);
        let mut read = vec![self.label];
        read.extend(self.split);
        match self.clip {
            Clip::YouTube { id, start, end } => read.extend([id, start, end]),
            Clip::Path { path, seconds, frames } => {
                read.extend([path].into_iter().chain(pair(seconds)).chain(pair(frames)))
            }
        }
        let names = header.names.iter().enumerate().filter(|(at, name)| !read.contains(at) && !name.is_empty());
        names.map(|(_, name)| name.as_str()).collect()
    }
}

/// Where the columns are that the header in line `number` names.
///
/// # Errors
/// Where some are missing, or one would say what part of a file a clip is and is not read.
fn columns(header: &Header, format: Format, number: usize, first: &str) -> std::result::Result<Columns, String> {
    let found = named(header, format, number, first)?;
    match found.unread(header).into_iter().find(|name| is_bound(name)) {
        Some(name) => Err(format!(
            "line {number}: the column `{name}` seems to say where a clip begins or ends, and is not read: call both \
             columns start and end (seconds) or start_frame and end_frame, or take it out"
        )),
        None => Ok(found),
    }
}

fn named(header: &Header, format: Format, number: usize, first: &str) -> std::result::Result<Columns, String> {
    let missing = |what: &str| {
        let (columns, line) = (header.words(), shown(first));
        format!("line {number} is no header with {what}: found the columns {columns}; the line is {line}")
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
    let both = |start: &[&str], end: &[&str]| match (header.column(start), header.column(end)) {
        (Some(start), Some(end)) => Ok(Some((start, end))),
        (None, None) => Ok(None),
        (Some(at), None) => Err(format!("the header has {} and no {}", header.names[at], end[0])),
        (None, Some(at)) => Err(format!("the header has {} and no {}", header.names[at], start[0])),
    };
    let path = one(PATH, &format!("a path (one of {})", PATH.join(", ")))?;
    let label = label.ok_or_else(|| missing(&format!("a label (one of {})", LABEL.join(", "))))?;
    let (seconds, frames) = (both(START, END)?, both(START_FRAME, END_FRAME)?);
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
