//! From lists to the clips of each split: which rows count, which classes they have, and where each clip is.

use super::ListOptions;
use super::find::{Found, Place, Roots};
use super::formats::{Between, Format, Parsed, Problem, Row, Span, parse};
use super::labels::Labels;
use crate::datasets::archives::{Archives, Kind, Packed, stem};
use crate::datasets::class_split::{Assigned, Choices, SplitOptions};
use crate::datasets::readers::entries::natural;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Problems that a message names; the others are counted.
const NAMED: usize = 10;

/// What the lists are made of.
pub(super) struct Wanted<'a> {
    pub root: Option<&'a PathBuf>,
    /// For [`Split::ALL`].
    pub lists: [Option<&'a ListOptions>; 3],
    pub all: Option<&'a ListOptions>,
    pub labels: Option<&'a PathBuf>,
    pub classes: &'a SplitOptions,
    /// Whether clips are arrays of features.
    pub features: bool,
}

/// A clip of a split.
pub(super) struct Clip {
    /// Its name in records.
    pub id: String,
    pub span: Option<Span>,
    /// What the list says of its frames.
    pub frames: Option<usize>,
    /// Where it is, or why it was not found.
    pub place: Found,
}

/// A class of a split.
pub(super) struct Class {
    /// As the list or the file of labels calls it.
    pub name: String,
    pub clips: Vec<Clip>,
}

/// The clips of one split.
#[derive(Default)]
pub(super) struct SplitIndex {
    /// In natural order of their names.
    pub classes: Vec<Class>,
    pub sums: BTreeMap<String, String>,
    pub notes: Vec<String>,
}

/// The clips of all splits.
pub(super) struct Index {
    /// For [`Split::ALL`]; or why there are none, which matters only where somebody asks for the split.
    splits: [Result<SplitIndex>; 3],
    /// Class and clip in it, by split and id.
    places: HashMap<String, (usize, usize, usize)>,
}

impl Index {
    /// The clip of this name.
    pub fn clip(&self, id: &str) -> Option<&Clip> {
        let &(split, class, clip) = self.places.get(id)?;
        self.splits[split].as_ref().ok().map(|split| &split.classes[class].clips[clip])
    }

    /// The clips of `split`.
    ///
    /// # Errors
    /// Where it has no list, no class or no clip that is there.
    pub fn split(&self, split: Split) -> Result<&SplitIndex> {
        self.splits[split as usize].as_ref().map_err(|error| match error {
            Error::Failed { message, place, help } => {
                Error::Failed { message: message.clone(), place: place.clone(), help: help.clone() }
            }
            other => Error::failed(other.to_string()),
        })
    }
}

/// A list that was read, with the names of its classes in place of numbers.
struct List {
    path: PathBuf,
    format: Format,
    rows: Vec<Row>,
    notes: Vec<String>,
    sum: (String, String),
    archives: Option<Arc<Archives>>,
}

/// Everything that is wrong with the lists.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, path: &Path, problem: Problem) {
        self.0.push(format!("{}:{}: {}", path.display(), problem.line, problem.reason));
    }

    fn done(self, help: &str) -> Result<()> {
        let Some(first) = self.0.first() else { return Ok(()) };
        let named: String = self.0.iter().skip(1).take(NAMED - 1).map(|problem| format!("\n  {problem}")).collect();
        let more = self.0.len().saturating_sub(NAMED);
        let more = if more > 0 { format!("\n  and {more} more") } else { String::new() };
        Err(Error::failed(format!("{first}{named}{more}")).help(help))
    }
}

const HELP: &str = "correct these lines; `maclip describe dataset/video_list` shows the forms of lists";

/// Reads all lists and finds their clips.
pub(super) fn make(wanted: &Wanted) -> Result<Index> {
    let labels = wanted.labels.map(|path| Labels::read(path)).transpose()?;
    let mut problems = Problems::default();
    // One file may be the list of several splits.
    let mut lists: Vec<List> = Vec::new();
    let mut of_split: [Option<(usize, bool)>; 3] = [None; 3];
    let mut known: Vec<&ListOptions> = Vec::new();
    for split in Split::ALL {
        let own = wanted.lists[split as usize];
        let Some(options) = own.or(wanted.all) else { continue };
        let at = match known.iter().position(|other| *other == options) {
            Some(at) => at,
            None => {
                known.push(options);
                lists.push(read(options, wanted, labels.as_ref(), &mut problems)?);
                lists.len() - 1
            }
        };
        of_split[split as usize] = Some((at, own.is_some()));
    }
    problems.done(HELP)?;
    let assigned = assign(wanted, &lists, &of_split)?;
    let mut roots = Roots::new(wanted.root, wanted.features)?;
    let mut problems = Problems::default();
    let mut splits = Split::ALL.map(|split| {
        let (at, own) = of_split[split as usize].ok_or_else(|| no_list(split))?;
        let rows = rows_of(&lists[at], split, own, assigned.as_ref(), &mut problems)?;
        let mut made = find_clips(&lists[at], split, rows, &mut roots, wanted.root)?;
        made.sums.extend(labels.as_ref().map(|labels| labels.sum.clone()));
        if let Some(assigned) = &assigned {
            made.notes.extend(assigned.notes.iter().cloned());
            made.sums.extend(assigned.sums[split as usize].clone());
        }
        Ok(made)
    });
    problems.done("name classes as the lists do, or give each split its own list")?;
    tell_apart(&mut splits);
    let mut places = HashMap::new();
    for (split, made) in splits.iter().enumerate() {
        for (class, of) in made.iter().flat_map(|made| made.classes.iter().enumerate()) {
            for (clip, about) in of.clips.iter().enumerate() {
                // Of a clip that is in two splits, which the options must allow, one place counts.
                places.entry(about.id.clone()).or_insert((split, class, clip));
            }
        }
    }
    Ok(Index { splits, places })
}

fn no_list(split: Split) -> Error {
    let name = split.name();
    Error::failed(format!("there is no list of split {name}: dataset.{name} is not given, and dataset.all neither"))
        .help(format!("say --set dataset.{name}.file=LIST"))
}

/// Looks for the clips of a split. An error where none of them is there.
fn find_clips(
    list: &List,
    split: Split,
    rows: Vec<(String, Vec<&Row>)>,
    roots: &mut Roots,
    root: Option<&PathBuf>,
) -> Result<SplitIndex> {
    let mut made = SplitIndex { notes: list.notes.clone(), ..SplitIndex::default() };
    made.sums.extend([list.sum.clone()]);
    let mut search = roots.search(&list.path, list.format == Format::Kinetics, list.archives.as_ref(), split)?;
    for (number, (name, rows)) in rows.into_iter().enumerate() {
        let clip = |row: &&Row| -> Result<Clip> {
            let place = search.find(row, number, &name)?;
            let place = place.map_err(|why| format!("{}:{}: {why}", file_name(&list.path), row.line));
            Ok(Clip { id: id_of(row, root), span: row.span, frames: row.frames, place })
        };
        made.classes.push(Class { clips: rows.iter().map(clip).collect::<Result<_>>()?, name });
    }
    let clips = || made.classes.iter().flat_map(|class| &class.clips);
    if clips().any(|clip| clip.place.is_ok()) {
        return Ok(made);
    }
    let (count, first) = (clips().count(), clips().find_map(|clip| clip.place.as_ref().err()));
    let (name, path, first) = (split.name(), list.path.display(), first.map_or("", String::as_str));
    let what = format!("none of the {count} clips of split {name} in {path} is there; the first: {first}");
    let has = roots.describe(&list.path);
    Err(Error::failed(what).help(format!("{has}; say where the clips are with --set dataset.root=FOLDER")))
}

/// Lists in several folders may call several clips by one name. Those of later splits then get the name of their split.
fn tell_apart(splits: &mut [Result<SplitIndex>; 3]) {
    let mut known: HashMap<String, Place> = HashMap::new();
    for split in Split::ALL {
        let classes = splits[split as usize].iter_mut().flat_map(|made| &mut made.classes);
        for clip in classes.flat_map(|class| &mut class.clips) {
            let Ok(place) = &clip.place else { continue };
            if known.get(&clip.id).is_some_and(|other| other != place) {
                clip.id = format!("{}/{}", split.name(), clip.id);
            }
            known.entry(clip.id.clone()).or_insert_with(|| place.clone());
        }
    }
}

/// A clip's name in records: its path in the list without the extension of a video, and the part of the file.
fn id_of(row: &Row, root: Option<&PathBuf>) -> String {
    let path = row.clip.trim_start_matches("./").trim_end_matches('/');
    let root = root.and_then(|root| root.to_str()).map(|root| root.trim_end_matches('/'));
    let below = root.and_then(|root| path.strip_prefix(root)?.strip_prefix('/'));
    let path = stem(below.unwrap_or(path));
    row.span.map_or_else(|| path.to_owned(), |span| format!("{path}#{span}"))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Reads one list.
fn read(options: &ListOptions, wanted: &Wanted, labels: Option<&Labels>, problems: &mut Problems) -> Result<List> {
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
            List { path, format, rows, notes, sum, archives: None }
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
    let archives = Archives::open(&path)?;
    let mut rows = Vec::new();
    let (mut unlabelled, mut first) = (0, None);
    for (number, (clip, packed)) in archives.clips().iter().enumerate() {
        if matches!(packed, Packed::Array(_)) != wanted.features {
            unlabelled += 1;
            first.get_or_insert_with(|| format!("{clip} is of another kind than `dataset.clips` says"));
            continue;
        }
        let mut row =
            Row { line: number + 1, clip: clip.clone(), label: String::new(), split: None, span: None, frames: None };
        let folders: Vec<&str> = clip.split('/').collect();
        let label = match kind {
            Kind::Samples => archives.samples().get(clip).map(|sample| sample.label.clone()),
            Kind::Folders => folders.len().checked_sub(2).map(|at| folders[at].to_owned()),
        };
        match label {
            Some(label) => {
                row.label = label;
                let above = folders.len().checked_sub(3).map(|at| folders[at]);
                row.split = above.and_then(super::formats::split_of).filter(|_| kind == Kind::Folders);
                rows.push(row);
            }
            None => {
                unlabelled += 1;
                first.get_or_insert_with(|| format!("{clip} has no class"));
            }
        }
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
    if let Some(first) = first {
        notes.push(format!("{unlabelled} clips of {} are left out: {first}", file_name(&path)));
    }
    let sum = (file_name(&path), archives.sum());
    Ok(List { path, format, rows, notes, sum, archives: Some(Arc::new(archives)) })
}

/// Puts the names of the file of labels in place of what the list has.
fn name_classes(list: &mut List, labels: Option<&Labels>, problems: &mut Problems) {
    if let Some(labels) = labels {
        for row in &mut list.rows {
            match labels.name(&row.label) {
                Ok(name) => row.label = name.to_owned(),
                Err(reason) => problems.add(&list.path, Problem { line: row.line, reason }),
            }
        }
    } else if list.rows.iter().all(|row| row.label.bytes().all(|byte| byte.is_ascii_digit())) {
        list.notes.push(format!(
            "the classes of {} are numbers: give dataset.labels or dataset.class_names where prompts are read",
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

/// The classes of each split, where an option says them.
fn assign(wanted: &Wanted, lists: &[List], of_split: &[Option<(usize, bool)>; 3]) -> Result<Option<Assigned>> {
    let classes_of = |list: &List| list.rows.iter().map(|row| row.label.clone()).collect::<BTreeSet<String>>();
    let used: BTreeSet<usize> = of_split.iter().flatten().map(|(at, _)| *at).collect();
    let each: Vec<BTreeSet<String>> = used.iter().map(|&at| classes_of(&lists[at])).collect();
    // A draw must not give a split a class that its list does not have.
    let both = |a: BTreeSet<String>, b: &BTreeSet<String>| match wanted.classes.draw.is_some() {
        true => a.intersection(b).cloned().collect(),
        false => a.union(b).cloned().collect(),
    };
    let Some((first, rest)) = each.split_first() else { return Ok(None) };
    let names: BTreeSet<String> = rest.iter().fold(first.clone(), both);
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_by(|a, b| natural(a, b));
    let files: Vec<String> = used.iter().map(|&at| lists[at].path.display().to_string()).collect();
    const SHOWN: usize = 6;
    let few: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    let has = format!("{} classes ({}{more})", names.len(), few.join(", "));
    let choices = Choices { names: &names, place: files.join(" and "), has, noun: "class", divided: false };
    wanted.classes.assign(&choices)
}

/// The rows of a split by class, in natural order of the classes.
fn rows_of<'l>(
    list: &'l List,
    split: Split,
    own: bool,
    assigned: Option<&Assigned>,
    problems: &mut Problems,
) -> Result<Vec<(String, Vec<&'l Row>)>> {
    let divided = list.rows.iter().any(|row| row.split.is_some());
    let mut classes: HashMap<&str, Vec<&Row>> = HashMap::new();
    let wanted: Option<HashSet<&str>> =
        assigned.map(|assigned| assigned.classes[split as usize].iter().map(String::as_str).collect());
    for row in &list.rows {
        let counts = match &wanted {
            Some(wanted) => wanted.contains(row.label.as_str()),
            None => !divided || row.split == Some(split),
        };
        if counts {
            classes.entry(&row.label).or_default().push(row);
        }
    }
    let name = split.name();
    if wanted.is_none() && !divided && !own {
        let what = format!("{} does not say which clip is in which split", list.path.display());
        return Err(Error::failed(what).help(
            "name the classes of each split in dataset.splits or dataset.split_file, draw them with dataset.draw, \
             add a column `split`, or give dataset.train, dataset.val and dataset.test lists of their own",
        ));
    }
    if wanted.as_ref().is_some_and(HashSet::is_empty) {
        let source = assigned.map_or("", |assigned| &assigned.source);
        return Err(Error::failed(format!("{source} names no class of split {name}")));
    }
    for class in wanted.iter().flatten().filter(|class| !classes.contains_key(*class)) {
        let path = list.path.display();
        problems.0.push(format!("{path} has no clip of class `{class}`, which is a class of split {name}"));
    }
    if classes.is_empty() {
        let what = format!("{} has no clip of split {name}", list.path.display());
        let found: BTreeSet<&str> = list.rows.iter().filter_map(|row| row.split.map(Split::name)).collect();
        let found: Vec<&str> = found.into_iter().collect();
        let found = if found.is_empty() { "no split".to_owned() } else { found.join(", ") };
        return Err(Error::failed(format!("{what}: its splits are {found}")).help(HELP));
    }
    let mut classes: Vec<(String, Vec<&Row>)> =
        classes.into_iter().map(|(name, rows)| (name.to_owned(), rows)).collect();
    classes.sort_by(|(a, _), (b, _)| natural(a, b));
    Ok(classes)
}

/// Where clips are, for the dataset.
pub(super) fn place(clip: &Clip) -> Result<&Place> {
    clip.place.as_ref().map_err(|why| Error::failed(format!("clip {}: {why}", clip.id)))
}
