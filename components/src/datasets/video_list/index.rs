//! From lists to the clips of each split: which rows count, which classes they have, and where each clip is.

use super::ListOptions;
use super::find::{Found, Place, Roots};
use super::formats::{Problem, Row, Span};
use super::labels::Labels;
use super::read::{HELP, List, Problems, file_name, id_of, read};
use crate::datasets::archives::Content;
use crate::datasets::claims::{Claim, Identity, Settled, settle};
use crate::datasets::class_split::{Assigned, Choices, SplitOptions};
use crate::datasets::readers::entries::natural;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

/// What the lists are made of.
pub(super) struct Wanted<'a> {
    pub root: Option<&'a PathBuf>,
    /// For [`Split::ALL`].
    pub lists: [Option<&'a ListOptions>; 3],
    pub all: Option<&'a ListOptions>,
    pub labels: Option<&'a PathBuf>,
    pub classes: &'a SplitOptions,
    pub content: Content,
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
    /// Clips of an archive that have no class.
    pub unlabelled: Vec<String>,
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
    let mut roots = Roots::new(wanted.root, wanted.content)?;
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

/// Looks for the clips of a split. An error where none of them is there, or several rows have one file.
fn find_clips(
    list: &List,
    split: Split,
    rows: Vec<(String, Vec<&Row>)>,
    roots: &mut Roots,
    root: Option<&PathBuf>,
) -> Result<SplitIndex> {
    let mut made = SplitIndex { notes: list.notes.clone(), ..SplitIndex::default() };
    made.sums.extend([list.sum.clone()]);
    made.notes.extend_from_slice(roots.notes());
    made.unlabelled.clone_from(&list.unlabelled);
    let mut search = roots.search(list, split)?;
    let (mut of_rows, mut problems) = (Vec::new(), Problems::default());
    for (number, (name, rows)) in rows.into_iter().enumerate() {
        let mut clips = Vec::with_capacity(rows.len());
        for row in rows {
            let mut place = search.find(&row.clip, number, &name)?;
            let mut row = row.clone();
            // Only where there is no clip of that name is the number behind it a first frame.
            if let (Err(_), Some((path, span))) = (&place, row.offset.take()) {
                let part = search.find(&path, number, &name)?;
                if part.is_ok() {
                    (place, row.clip, row.span) = (part, path, Some(span));
                }
            }
            if let (Ok(place), Some(count)) = (&place, row.frames)
                && place.is_video()
            {
                let reason = format!(
                    "`{}` is a video, and `{count}` stands before its label: a number of frames belongs to a folder \
                     of frames, and several labels of a clip are not read",
                    row.clip
                );
                problems.add(&list.path, Problem { line: row.line, reason });
            }
            let place = place.map_err(|why| format!("{}:{}: {why}", file_name(&list.path), row.line));
            clips.push(Clip { id: id_of(&row, root), span: row.span, frames: row.frames, place });
            of_rows.push(row);
        }
        made.classes.push(Class { clips, name });
    }
    problems.done(HELP)?;
    settle_places(list, split, &of_rows, &mut made)?;
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

/// Gives each file to the row whose path it is. A clip at another path is counted, and one that is left without a file
/// is missing. An error where several rows have the same right to a file.
fn settle_places(list: &List, split: Split, rows: &[Row], made: &mut SplitIndex) -> Result<()> {
    let mut clips: Vec<&mut Clip> = made.classes.iter_mut().flat_map(|class| &mut class.clips).collect();
    let claims: Vec<Claim> = (clips.iter().enumerate())
        .filter_map(|(row, clip)| {
            let (place, path) = (clip.place.as_ref().ok()?, rows[row].clip.as_str());
            let (file, part) = (place.identity(), clip.span.map(|span| span.to_string()));
            Some(Claim { row, file, part, path, own: place.is_at(path) })
        })
        .collect();
    let Settled { lost, twice } = settle(&claims);
    let mut problems = Problems::default();
    let shown = |clip: &Clip| clip.place.as_ref().map_or_else(String::clone, Place::to_string);
    // By their lines: rows are in the order of their classes.
    let ordered = |(a, b): (usize, usize)| if rows[a].line <= rows[b].line { (a, b) } else { (b, a) };
    let mut twice: Vec<(usize, usize)> = twice.into_iter().map(ordered).collect();
    twice.sort_by_key(|(_, second)| rows[*second].line);
    for (first, second) in twice {
        let (one, other) = (&rows[first], &rows[second]);
        let names =
            if one.clip == other.clip { String::new() } else { format!(" (`{}` and `{}`)", one.clip, other.clip) };
        let label = match one.label == other.label {
            true => String::new(),
            false => format!(", as clips of `{}` and of `{}`", one.label, other.label),
        };
        let (from, to, place) = (one.line, other.line, shown(clips[second]));
        let reason = format!("lines {from} and {to} are both `{place}`{names}{label}");
        problems.add(&list.path, Problem { line: to, reason });
    }
    problems.done(
        "a clip is one file of its own: take one of both lines out, or put the file that is meant at the path of its \
         line; parts of a file are said with start and end in a table",
    )?;
    for (row, owner) in lost {
        let (place, at) = (shown(clips[row]), format!("{}:{}", file_name(&list.path), rows[row].line));
        let (clip, line) = (&rows[row].clip, rows[owner].line);
        clips[row].place =
            Err(format!("{at}: not found: `{clip}` is not there, and `{place}` is the clip of line {line}"));
    }
    let (file, name) = (file_name(&list.path), split.name());
    let mut elsewhere = claims.iter().filter(|claim| !claim.own && clips[claim.row].place.is_ok());
    if let Some(claim) = elsewhere.next() {
        let (many, line, place) = (1 + elsewhere.count(), rows[claim.row].line, shown(clips[claim.row]));
        let first = format!("{file}:{line}: `{}` is `{place}`", claim.path);
        made.notes.push(format!("{many} clips of split {name} lie elsewhere than at the path of the list: {first}"));
    }
    let common = overlaps(&claims, rows);
    if let Some(&(first, second)) = common.first() {
        let (many, first, second) = (common.len(), rows[first].line, rows[second].line);
        made.notes.push(format!(
            "{many} clips of split {name} have frames in common with another part of their file: the first are those \
             of lines {first} and {second} of {file}"
        ));
    }
    Ok(())
}

/// Rows whose part of a file begins before the end of another row's part.
fn overlaps(claims: &[Claim], rows: &[Row]) -> Vec<(usize, usize)> {
    let mut of_file: HashMap<&Identity, Vec<(f64, f64, usize)>> = HashMap::new();
    for claim in claims {
        let (start, end) = rows[claim.row].span.map_or((0.0, f64::INFINITY), Span::bounds);
        of_file.entry(&claim.file).or_default().push((start, end, claim.row));
    }
    let mut found = Vec::new();
    for mut parts in of_file.into_values().filter(|parts| parts.len() > 1) {
        parts.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.2.cmp(&b.2)));
        let mut longest = parts[0];
        for part in &parts[1..] {
            if part.0 < longest.1 {
                found.push((longest.2, part.2));
            }
            if part.1 > longest.1 {
                longest = *part;
            }
        }
    }
    found.sort_unstable_by_key(|(first, second)| (*second, *first));
    found
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
    let outside = list.rows.iter().filter(|row| row.split.is_none());
    if let Some(first) = outside.clone().next().filter(|_| divided && wanted.is_none()) {
        let (many, path) = (outside.count(), list.path.display());
        let what = format!(
            "{many} clips of {path} are in none of the splits that others are in: the first is `{}`",
            first.clip
        );
        return Err(Error::failed(what).help(
            "put them below train, val or test, take them out, or name the classes of each split in dataset.splits",
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
