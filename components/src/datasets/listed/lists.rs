//! The published lists of clips, in every form that is in use.
//!
//! A line names a class and a clip: `class name/clip`, `test18/195025` with the id of the class, or
//! `test0//videos/fencing/x.avi`, where the path from the root follows. Blank lines and lines that begin with `#` say
//! nothing.

use super::Benchmark;
use crate::datasets::readers;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::slots::dataset::Split;
use maclip_language::suggest;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Place of the class in its split.
    pub class: usize,
    /// Path of the clip as the list has it, with `/`, without the class at its beginning.
    pub path: String,
}

impl Line {
    /// Folder and name of the clip.
    pub fn parts(&self) -> (&str, &str) {
        self.path.rsplit_once('/').unwrap_or(("", &self.path))
    }
}

/// A list that was read.
#[derive(Debug)]
pub(super) struct List {
    pub lines: Vec<Line>,
    pub file: String,
    /// SHA-256 of its bytes.
    pub sum: String,
}

/// `path` without the extension of a video.
pub(super) fn stem(path: &str) -> &str {
    if readers::is_video(path) { path.rsplit_once('.').map_or(path, |(stem, _)| stem) } else { path }
}

/// Letters and digits of a name in lower case: what names are compared by.
pub(super) fn key(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Reads the list of `split` in `folder`.
pub(super) fn read(folder: &Path, split: Split, benchmark: &Benchmark) -> Result<List> {
    let file = find(folder, split, benchmark)?;
    let path = folder.join(&file);
    let bytes = read_regular(&path, TEXT).map_err(|error| Error::io("read", &path, error))?;
    let lines = parse(&bytes, split, benchmark).map_err(|wrong| wrong.at(&path))?;
    if lines.is_empty() {
        return Err(Error::failed(format!("the list {} names no clip", path.display())));
    }
    Ok(List { lines, file, sum: sha256(&bytes) })
}

/// Whether a file of this name is published as the list of `split`.
fn is_list(name: &str, split: Split) -> bool {
    let Some(rest) = name.strip_prefix(split.name()) else { return false };
    let two_digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    matches!(rest, ".list" | ".txt" | "list.txt" | "_few_shot.txt")
        || rest.strip_prefix("list").and_then(|rest| rest.strip_suffix(".txt")).is_some_and(two_digits)
}

fn find(folder: &Path, split: Split, benchmark: &Benchmark) -> Result<String> {
    let failed = |error| Error::io("read the folder of dataset.lists,", folder, error);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        files.extend(name.to_str().filter(|name| is_list(name, split)).map(str::to_owned));
    }
    files.retain(|name| !folder.join(name).is_dir());
    files.sort();
    let name = split.name();
    match files.as_slice() {
        [one] => Ok(one.clone()),
        [] => {
            Err(Error::failed(format!("no list of split {name} in {}", folder.display())).help(benchmark.lists_help()))
        }
        many => {
            Err(Error::failed(format!("{} has several lists of split {name}: {}", folder.display(), many.join(", ")))
                .help("published lists differ in their clips; keep one of them in the folder of dataset.lists"))
        }
    }
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub line: usize,
    pub reason: String,
    pub help: Option<String>,
}

impl Wrong {
    fn at(self, path: &Path) -> Error {
        let error = Error::failed(format!("{}:{}: {}", path.display(), self.line, self.reason));
        match self.help {
            Some(help) => error.help(help),
            None => error,
        }
    }
}

pub(super) fn parse(bytes: &[u8], split: Split, benchmark: &Benchmark) -> std::result::Result<Vec<Line>, Wrong> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let classes = Classes::new(split, benchmark);
    let mut lines: Vec<Line> = Vec::new();
    // Borrowed from the bytes: lists are long. The value is the number of the line.
    let mut seen: HashMap<(usize, &str), usize> = HashMap::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let wrong = |(reason, help): (String, Option<String>)| Wrong { line: index + 1, reason, help };
        let text = str::from_utf8(line).map_err(|_| wrong(("the line is not UTF-8".to_owned(), None)))?.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (token, path) = split_line(text).map_err(|reason| wrong((reason, None)))?;
        let class = classes.find(token).map_err(wrong)?;
        if let Some(first) = seen.insert((class, stem(path)), index + 1) {
            return Err(wrong((format!("`{path}` is a clip of `{token}` already in line {first}"), None)));
        }
        lines.push(Line { class, path: path.to_owned() });
    }
    Ok(lines)
}

/// Class and path of a line.
fn split_line(text: &str) -> std::result::Result<(&str, &str), String> {
    let (token, rest) =
        text.split_once('/').ok_or_else(|| format!("`{text}` is without a slash; a line is `class/clip`"))?;
    // The two slashes of CLIP-FSAR.
    let path = rest.strip_prefix('/').unwrap_or(rest);
    if text.split(['/', '\\']).any(|part| part == "..") {
        return Err(format!("`{text}` leads out of the root"));
    }
    if token.is_empty() || path.starts_with(['/', '\\']) || Path::new(path).is_absolute() {
        return Err(format!("`{text}` leads out of the root: its path is absolute"));
    }
    match path.split('/').any(|part| part.trim().is_empty() || part == ".") {
        true => Err(format!("`{text}` names no clip, or has an empty part in its path")),
        false => Ok((token, path)),
    }
}

/// The classes of a split by their names in lists and folders.
pub(super) struct Classes<'a> {
    split: Split,
    benchmark: &'a Benchmark,
    places: HashMap<String, usize>,
}

impl<'a> Classes<'a> {
    pub fn new(split: Split, benchmark: &'a Benchmark) -> Self {
        let names = benchmark.names(split).iter().enumerate();
        Self { split, benchmark, places: names.map(|(place, name)| (key(name), place)).collect() }
    }

    /// The place of the class that `token` names: by its name, or as `train8` by its id. The error is the reason and a
    /// help.
    pub fn find(&self, token: &str) -> std::result::Result<usize, (String, Option<String>)> {
        let (key, classes) = (key(token), self.benchmark.names(self.split));
        if let Some(&place) = self.places.get(&key) {
            return Ok(place);
        }
        let name = self.split.name();
        if let Some(id) = class_id(&key, self.split) {
            let reason = || {
                let last = classes.len() - 1;
                format!(
                    "the class id of `{token}` is out of range: split {name} of {} has 0 to {last}",
                    self.benchmark.name
                )
            };
            return id.filter(|&id| id < classes.len()).ok_or_else(|| (reason(), None));
        }
        let reason = format!("split {name} of {} has no class `{token}`", self.benchmark.name);
        let other =
            self.benchmark.find(token).map(|(split, _)| format!("`{token}` is a class of split {}", split.name()));
        let near = || suggest(token, classes.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        Err((reason, other.or_else(near)))
    }
}

/// The id in a token such as `train8`, as [`key`] leaves it; `Some(None)` where no class can have it.
fn class_id(key: &str, split: Split) -> Option<Option<usize>> {
    let digits = key.strip_prefix(split.name())?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())
}

impl Benchmark {
    /// Split and place of the class that `name` names.
    pub fn find(&self, name: &str) -> Option<(Split, usize)> {
        let wanted = key(name);
        Split::ALL.into_iter().find_map(|split| {
            let classes = self.names(split);
            let id = class_id(&wanted, split).flatten().filter(|&id| id < classes.len());
            let named = || classes.iter().position(|class| key(class) == wanted);
            id.or_else(named).map(|place| (split, place))
        })
    }
}

/// The templates of clips in the label files of Something-Something V2, and the checksums of those files.
pub(super) struct Labels {
    pub templates: HashMap<String, String>,
    pub sums: Vec<(String, String)>,
}

/// An entry of a label file; the entries of the test set have no template.
#[derive(serde::Deserialize)]
struct Label {
    id: String,
    template: Option<String>,
}

/// The templates of the clips in `wanted`. `path` is a label file or the folder of label files.
pub(super) fn labels(path: &Path, wanted: &HashSet<&str>) -> Result<Labels> {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let failed = |error| Error::io("read the folder of dataset.labels,", path, error);
        let entries = fs::read_dir(path).map_err(failed)?.collect::<std::io::Result<Vec<_>>>().map_err(failed)?;
        files = entries.iter().map(|entry| entry.path()).filter(|path| is_label_file(path)).collect();
        files.sort();
        if files.is_empty() {
            return Err(Error::failed(format!("dataset.labels: no label file in {}", path.display()))
                .help("label files end with `train.json` and `validation.json`, as Something-Something V2 has them"));
        }
    }
    let mut labels = Labels { templates: HashMap::new(), sums: Vec::new() };
    for file in &files {
        let bytes = read_regular(file, TEXT).map_err(|error| Error::io("read", file, error))?;
        let entries: Vec<Label> = serde_json::from_slice(&bytes).map_err(|error| {
            Error::failed(format!("dataset.labels: {}:{}: {error}", file.display(), error.line()))
                .help("a label file is a JSON array of {\"id\": …, \"template\": …}")
        })?;
        let known = entries.into_iter().filter(|label| wanted.contains(label.id.as_str()));
        labels.templates.extend(known.filter_map(|label| Some((label.id, label.template?))));
        labels.sums.push((file_name(file), sha256(&bytes)));
    }
    Ok(labels)
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_label_file(path: &Path) -> bool {
    let name = file_name(path);
    name.ends_with("train.json") || name.ends_with("validation.json")
}
