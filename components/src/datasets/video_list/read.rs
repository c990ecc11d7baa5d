//! Reads lists: what their lines say, with the names of classes in place of numbers.

use super::ListOptions;
use super::formats::{Between, Format, Parsed, Problem, Row, parse};
use super::index::Wanted;
use super::labels::Labels;
use crate::datasets::archives::{Archives, Kind, stem};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::slots::dataset::Split;
use maclip_language::first_of;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Problems that a message names; the others are counted.
const NAMED: usize = 10;

/// A list that was read, with the names of its classes in place of numbers.
pub(super) struct List {
    pub path: PathBuf,
    pub format: Format,
    pub rows: Vec<Row>,
    /// Clips of an archive that have no class.
    pub unlabelled: Vec<String>,
    pub notes: Vec<String>,
    pub sum: (String, String),
    pub archives: Option<Arc<Archives>>,
}

/// Everything that is wrong with the lists.
#[derive(Default)]
pub(super) struct Problems(pub Vec<String>);

impl Problems {
    pub fn add(&mut self, path: &Path, problem: Problem) {
        self.0.push(format!("{}:{}: {}", path.display(), problem.line, problem.reason));
    }

    pub fn done(self, help: &str) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(Error::failed(first_of(self.0.iter(), NAMED, "\n  ")).help(help)),
        }
    }
}

pub(super) const HELP: &str = "correct these lines; `maclip describe dataset/video_list` shows the forms of lists";

/// A path without empty parts and parts `.`.
pub(super) fn tidy(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    format!("{}{}", if path.starts_with('/') { "/" } else { "" }, parts.join("/"))
}

/// A clip's name in records: its path in the list without the extension of a video, and the part of the file.
pub(super) fn id_of(row: &Row, root: Option<&PathBuf>) -> String {
    let path = tidy(&row.clip);
    let root = root.and_then(|root| root.to_str()).map(|root| root.trim_end_matches('/'));
    let below = root.and_then(|root| path.strip_prefix(root)?.strip_prefix('/'));
    let path = stem(below.unwrap_or(&path));
    row.span.map_or_else(|| path.to_owned(), |span| format!("{path}#{span}"))
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads one list.
///
/// # Errors
/// Where it cannot be read as a whole; what is wrong with single lines is added to `problems`.
pub(super) fn read(
    options: &ListOptions,
    wanted: &Wanted,
    labels: Option<&Labels>,
    problems: &mut Problems,
) -> Result<List> {
    let path = options.file.clone();
    let archive = Format::of_archive(&path);
    let mut list = match (options.format, archive) {
        (Format::Auto, Some(format)) => {
            let why = format!("read as `{}`: the name of {} ends so", format.name(), file_name(&path));
            archived(path, format, Some(why), wanted)?
        }
        (format @ (Format::Zip | Format::Webdataset), _) => archived(path, format, None, wanted)?,
        (format, _) => {
            let place = |what: String| Error::failed(format!("{}: {what}", path.display())).help(HELP);
            let bytes = read_regular(&path, TEXT).map_err(|error| Error::io("read", &path, error).help(HELP))?;
            let sum = (file_name(&path), sha256(&bytes));
            let text = String::from_utf8(bytes).map_err(|error| {
                let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                Error::failed(format!("{}:{line}: it is not UTF-8 text", path.display())).help(HELP)
            })?;
            let text = text.trim_start_matches('\u{feff}');
            let between = options.delimiter.as_deref().and_then(|option| Between::of(option).ok());
            let Parsed { format, rows, problems: wrong, notes } = parse(text, format, between).map_err(place)?;
            if rows.is_empty() && wrong.is_empty() {
                return Err(Error::failed(format!("{} names no clip", path.display())).help(HELP));
            }
            wrong.into_iter().for_each(|problem| problems.add(&path, problem));
            let notes = notes.into_iter().map(|note| format!("{}: {note}", sum.0)).collect();
            List { path, format, rows, unlabelled: Vec::new(), notes, sum, archives: None }
        }
    };
    name_classes(&mut list, labels, problems);
    find_twice(&list, problems);
    Ok(list)
}

/// The clips of an archive that is its own list.
fn archived(path: PathBuf, format: Format, why: Option<String>, wanted: &Wanted) -> Result<List> {
    if let Some(root) = wanted.root {
        let what = format!("the clips are in {}, and dataset.root names {} too", path.display(), root.display());
        return Err(Error::failed(what).help("leave out dataset.root"));
    }
    let kind = if format == Format::Zip { Kind::Folders } else { Kind::Samples };
    if Kind::of(&path) != Some(kind) {
        let ends = if format == Format::Zip { ".zip" } else { ".tar" };
        let what = format!("{}: `format: {}` reads files whose names end in {ends}", path.display(), format.name());
        return Err(Error::failed(what).help(HELP));
    }
    let archives = Archives::open(&path, wanted.content)?;
    let (mut rows, mut unlabelled) = (Vec::new(), Vec::new());
    for (number, clip) in archives.clips().keys().enumerate() {
        let folders: Vec<&str> = clip.split('/').collect();
        let label = match kind {
            Kind::Samples => archives.samples().get(clip).map(|sample| sample.label.as_str()),
            Kind::Folders => folders.len().checked_sub(2).map(|at| folders[at]),
        };
        let Some(label) = label else {
            unlabelled.push(clip.clone());
            continue;
        };
        let above = folders.len().checked_sub(3).map(|at| folders[at]);
        let split = above.and_then(super::formats::split_of).filter(|_| kind == Kind::Folders);
        rows.push(Row { split, ..Row::new(number + 1, clip, label) });
    }
    let mut notes: Vec<String> = archives.notes.clone();
    notes.extend(why);
    if rows.is_empty() {
        let looked = match kind {
            Kind::Folders => "looked for CLASS/CLIP/00000001.jpg and CLASS/CLIP.mp4",
            Kind::Samples => "looked for KEY.mp4, KEY.jpg or KEY.npy with KEY.cls, KEY.json or KEY.txt",
        };
        let what = format!("{} has no clip with a class: {looked}, and found {}", path.display(), archives.describe());
        return Err(Error::failed(what).help(HELP));
    }
    let sum = (file_name(&path), archives.sum());
    Ok(List { path, format, rows, unlabelled, notes, sum, archives: Some(Arc::new(archives)) })
}

/// Puts the names of the file of labels in place of what the list has.
fn name_classes(list: &mut List, labels: Option<&Labels>, problems: &mut Problems) {
    let Some(labels) = labels else {
        name_by_folders(list);
        if list.rows.iter().all(|row| row.label.bytes().all(|byte| byte.is_ascii_digit())) {
            list.notes.push(format!(
                "the classes of {} are numbers: give dataset.labels or dataset.class_names where prompts are read",
                file_name(&list.path)
            ));
        }
        return;
    };
    list.notes.push(labels.note.clone());
    let reading = match labels.reading(&list.rows.iter().map(|row| row.label.as_str()).collect()) {
        Ok(reading) => reading,
        Err(reason) => {
            let line = list.rows.first().map_or(1, |row| row.line);
            return problems.add(&list.path, Problem { line, reason });
        }
    };
    for row in &mut list.rows {
        match labels.name(&row.label, reading) {
            Ok(name) => row.label = name.to_owned(),
            Err(reason) => problems.add(&list.path, Problem { line: row.line, reason }),
        }
    }
}

/// Lists of CLIP-FSAR number the classes of a split, as in `test0//train_256/blasting_sand/x.mp4`. Where the clips of
/// each number are in a folder of their own, the class is called as that.
fn name_by_folders(list: &mut List) {
    let numbered = |label: &str| {
        let letters = label.trim_end_matches(|c: char| c.is_ascii_digit());
        letters.len() < label.len() && super::formats::split_of(letters).is_some()
    };
    let mut folders: HashMap<&str, &str> = HashMap::new();
    for row in &list.rows {
        let folder = row.clip.rsplit('/').nth(1).filter(|folder| *folder != row.label && numbered(&row.label));
        let Some(folder) = folder.filter(|_| list.format == Format::ClassClip) else { return };
        if *folders.entry(&row.label).or_insert(folder) != folder {
            return;
        }
    }
    if folders.values().collect::<BTreeSet<_>>().len() < folders.len() {
        return;
    }
    let names: HashMap<String, String> =
        folders.into_iter().map(|(label, folder)| (label.to_owned(), folder.to_owned())).collect();
    for row in &mut list.rows {
        if let Some(name) = names.get(&row.label) {
            row.label.clone_from(name);
        }
    }
    if let Some((label, name)) = names.iter().min() {
        list.notes.push(format!(
            "the classes of {} are called as the folders of their clips: `{label}` is `{name}`",
            file_name(&list.path)
        ));
    }
}

/// Reports clips that a list names twice.
fn find_twice(list: &List, problems: &mut Problems) {
    let mut seen: HashMap<(String, Option<Split>), &Row> = HashMap::with_capacity(list.rows.len());
    for row in &list.rows {
        let id = id_of(row, None);
        match seen.get(&(id.clone(), row.split)) {
            Some(other) => {
                let class = match other.label == row.label {
                    true => String::new(),
                    false => format!(" as a clip of `{}`, and here of `{}`", other.label, row.label),
                };
                let reason = format!("`{}` is in line {} too{class}", row.clip, other.line);
                problems.add(&list.path, Problem { line: row.line, reason });
            }
            None => _ = seen.insert((id, row.split), row),
        }
    }
}
