//! The clips of one split: which there are, what they are called, and where they lie.

use super::layout::{Finder, Folder, Place, Search};
use super::lists::{self, Classes, Line, key, labels, stem};
use super::{Benchmark, Settings};
use crate::datasets::claims::{Claim, Identity, settle};
use crate::datasets::class_text::{ClassText, class_text};
use crate::datasets::readers::passed_over::PassedOver;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A clip and its name in records.
pub(super) struct Clip {
    pub id: String,
    pub place: Place,
}

/// A class that has clips, or should have.
pub(super) struct Class {
    /// Class text.
    pub name: String,
    pub clips: Vec<Clip>,
}

pub(super) struct Index {
    /// In the order of the benchmark, with clips in the order of the list.
    pub classes: Vec<Class>,
    /// Checksums of the files that were read, by file name.
    pub sums: BTreeMap<String, String>,
    pub notes: Vec<String>,
    /// Files in the folders of the classes that are no clips; not looked for where lists name the clips.
    pub passed_over: PassedOver,
    /// Class and place in it of each clip.
    places: HashMap<String, (usize, usize)>,
}

impl Index {
    pub fn place(&self, clip: &str) -> Option<&Path> {
        let &(class, place) = self.places.get(clip)?;
        self.classes[class].clips[place].place.as_deref().ok()
    }
}

/// Clips of the classes by their places, before they have names for records: (path in the list, where it is).
type Found = BTreeMap<usize, Vec<(String, Place)>>;

pub(super) fn make(benchmark: &Benchmark, settings: &Settings, root: &Path, split: Split) -> Result<Index> {
    let mut finder = Finder::new(root, benchmark.youtube)?;
    let (mut sums, mut passed_over) = (BTreeMap::new(), PassedOver::default());
    let mut first = None;
    let found = match &settings.lists {
        Some(folder) => {
            let list = lists::read(folder, split, benchmark)?;
            sums.insert(list.file, list.sum);
            first = list.lines.first().map(|line| (line.class, line.path.clone()));
            look_up(benchmark, &mut finder, split, list.lines)?
        }
        None => from_folders(benchmark, &mut finder, split, &mut passed_over)?,
    };
    if !found.values().flatten().any(|(_, place)| place.is_ok()) {
        let what = match &settings.lists {
            Some(_) => format!("none of the {} clips in the list", found.values().flatten().count()),
            None => "no class folder with clips in it".to_owned(),
        };
        let (name, here) = (split.name(), finder.root().describe());
        let first = first.and_then(|(class, path)| found[&class].iter().find(|(other, _)| *other == path));
        let first = match first {
            Some((path, Err(why))) => format!("; the first is `{path}`: {why}"),
            _ => String::new(),
        };
        let what = format!("{what} of split {name} is under {}, which has {here}{first}", root.display());
        return Err(Error::failed(what).help(
            "a clip is a file CLIP.mp4 (or .webm, .avi, .mkv) or a folder CLIP with its frames; it lies in a folder of \
             its class, in such a folder below train, val or test, or with all others in one folder",
        ));
    }
    let mut notes = Vec::new();
    let all = benchmark.names(split).len();
    if found.len() < all {
        notes.push(format!("split {} has clips of {} of its {all} classes", split.name(), found.len()));
    }
    let names = class_names(benchmark, settings, split, &found, &mut sums, &mut notes)?;
    let class = |((place, clips), name)| Class { name, clips: named(benchmark.names(split)[place], clips) };
    let classes: Vec<Class> = found.into_iter().zip(names).map(class).collect();
    let mut places = HashMap::new();
    for (number, class) in classes.iter().enumerate() {
        places.extend(class.clips.iter().enumerate().map(|(place, clip)| (clip.id.clone(), (number, place))));
    }
    Ok(Index { classes, sums, notes, passed_over, places })
}

/// Names that a folder of the class may have: the class name, or its name in the lists.
fn keys(benchmark: &Benchmark, split: Split, place: usize) -> Vec<String> {
    let mut keys = vec![key(benchmark.names(split)[place]), format!("{}{place}", split.name())];
    keys.dedup();
    keys
}

fn look_up(benchmark: &Benchmark, finder: &mut Finder, split: Split, lines: Vec<Line>) -> Result<Found> {
    let keys: Vec<Vec<String>> = (0..benchmark.names(split).len()).map(|place| keys(benchmark, split, place)).collect();
    let mut search = Search::new(finder, split)?;
    let mut found = Found::new();
    for line in lines {
        let place = search.clip(line.class, &keys[line.class], line.parts())?;
        let place = match place {
            Some(place) => place,
            None => Err(search.missing(line.class, &keys[line.class], line.parts())?),
        };
        found.entry(line.class).or_default().push((line.path, place));
    }
    settle_places(&mut found);
    Ok(found)
}

/// Gives each file to the clip whose path in the list it has, or to the first; to the others it is missing.
fn settle_places(found: &mut Found) {
    let mut clips: Vec<&mut (String, Place)> = found.values_mut().flatten().collect();
    let claims: Vec<Claim> = (clips.iter().enumerate())
        .filter_map(|(row, (path, place))| {
            let place = place.as_ref().ok()?;
            let own = Path::new(stem(&place.to_string_lossy())).ends_with(stem(path));
            Some(Claim { row, file: Identity::of(place), part: None, path, own })
        })
        .collect();
    let settled = settle(&claims);
    let twice = settled.twice.into_iter().map(|(first, second)| (second, first));
    for (clip, owner) in settled.lost.into_iter().chain(twice) {
        let (path, of) = (&clips[clip].0, &clips[owner].0);
        let file = clips[clip].1.as_ref().map_or_else(String::clone, |place| place.display().to_string());
        clips[clip].1 = Err(format!("not found: for `{path}` there is only {file}, which is the clip `{of}`"));
    }
}

/// Every clip in the class folders: those below the folder of the split, or those of a benchmark that uses all of its
/// clips.
fn from_folders(
    benchmark: &Benchmark,
    finder: &mut Finder,
    split: Split,
    passed_over: &mut PassedOver,
) -> Result<Found> {
    let mut folders: BTreeMap<usize, Vec<Rc<Folder>>> = BTreeMap::new();
    let mut divided = false;
    for other in Split::ALL {
        divided |= !finder.split_folders(other)?.is_empty();
    }
    let names = benchmark.names(split);
    if divided {
        let classes = Classes::new(split, benchmark);
        for inside in finder.split_folders(split)? {
            for name in inside.folders() {
                let path = inside.path().join(name);
                let place = classes.find(name).map_err(|(reason, help)| {
                    let error = Error::failed(format!("{}: {reason}", path.display()));
                    error.help(help.unwrap_or_else(|| {
                        "without dataset.lists, the folders train, val and test hold the classes of the benchmark's \
                         own splits and no others"
                            .to_owned()
                    }))
                })?;
                folders.entry(place).or_default().extend(finder.folder(path)?);
            }
        }
    } else if benchmark.whole {
        for place in 0..names.len() {
            folders.insert(place, finder.class_folders(split, place, &keys(benchmark, split, place))?);
        }
    } else {
        let what = format!("{} is read with lists of its clips, and dataset.lists is not given", benchmark.name);
        return Err(Error::failed(what).help(benchmark.lists_help()));
    }
    let mut found = Found::new();
    for (place, name) in names.iter().enumerate() {
        let mut clips: BTreeMap<String, PathBuf> = BTreeMap::new();
        for folder in folders.get(&place).into_iter().flatten() {
            passed_over.add_files(&finder.below_root(folder), folder.others());
            for (clip, path) in folder.clips() {
                clips.entry(clip.to_owned()).or_insert(path);
            }
        }
        let mut clips: Vec<(String, Place)> = clips.into_iter().map(|(clip, path)| (clip, Ok(path))).collect();
        if clips.is_empty() {
            // One entry for the whole class, so that the option `missing` decides about a class that is not there.
            clips.push(("*".to_owned(), Err(format!("there is no folder of class `{name}` with clips in it"))));
        }
        found.insert(place, clips);
    }
    Ok(found)
}

/// Names for records: the class and the clip's own name, and where that is not enough, the path in the list.
pub(super) fn named(class: &str, clips: Vec<(String, Place)>) -> Vec<Clip> {
    let class = snake(class);
    let mut counts: HashMap<&str, usize> = HashMap::new();
    clips.iter().for_each(|(path, _)| *counts.entry(own_name(path)).or_default() += 1);
    let id = |path: &str| {
        let name = own_name(path);
        if counts[name] == 1 { format!("{class}/{name}") } else { format!("{class}/{}", stem(path)) }
    };
    let ids: Vec<String> = clips.iter().map(|(path, _)| id(path)).collect();
    ids.into_iter().zip(clips).map(|(id, (_, place))| Clip { id, place }).collect()
}

/// The clip's own name in the path of a list.
fn own_name(path: &str) -> &str {
    stem(path.rsplit_once('/').map_or(path, |(_, name)| name))
}

/// `Closing [something]` → `closing_something`.
pub(super) fn snake(class: &str) -> String {
    let text = class_text(class).to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// Class texts of the classes in `found`.
fn class_names(
    benchmark: &Benchmark,
    settings: &Settings,
    split: Split,
    found: &Found,
    sums: &mut BTreeMap<String, String>,
    notes: &mut Vec<String>,
) -> Result<Vec<String>> {
    let names = benchmark.names(split);
    let given = settings.class_names.iter().filter_map(|(name, text)| Some((benchmark.find(name)?, text)));
    let mut texts: HashMap<usize, String> =
        given.filter(|((of, _), _)| *of == split).map(|((_, place), text)| (place, text.clone())).collect();
    let nameless = |place: &usize| names[*place] == format!("{}{place}", split.name());
    let open: Vec<usize> =
        found.keys().copied().filter(|place| nameless(place) && !texts.contains_key(place)).collect();
    match &settings.labels {
        Some(path) if !open.is_empty() => {
            let clips = |place: &usize| found[place].iter().map(|(path, _)| own_name(path));
            let wanted: HashSet<&str> = open.iter().flat_map(clips).collect();
            let labels = labels(path, &wanted)?;
            for place in &open {
                texts.insert(*place, template(names[*place], clips(place), &labels.templates, settings.class_text)?);
            }
            sums.extend(labels.sums);
        }
        None if !open.is_empty() => notes.push(format!(
            "the class texts of split {} are placeholders such as `{}`: give dataset.labels or dataset.class_names \
             where prompts are read",
            split.name(),
            names[open[0]]
        )),
        _ => {}
    }
    Ok(found.keys().map(|place| texts.remove(place).unwrap_or_else(|| settings.class_text.of(names[*place]))).collect())
}

/// The class text that the templates of `clips` agree on.
fn template<'a>(
    class: &str,
    clips: impl Iterator<Item = &'a str>,
    templates: &HashMap<String, String>,
    style: ClassText,
) -> Result<String> {
    let mut agreed: Option<(&str, &String)> = None;
    for clip in clips {
        let Some(template) = templates.get(clip) else { continue };
        match agreed {
            Some((first, other)) if other != template => {
                return Err(Error::failed(format!(
                    "dataset.labels: clips of class `{class}` have two templates: {first} `{other}`, {clip} \
                     `{template}`"
                ))
                .help("give the class its text in dataset.class_names"));
            }
            _ => agreed = Some((clip, template)),
        }
    }
    agreed.map(|(_, template)| style.of(template)).ok_or_else(|| {
        Error::failed(format!("dataset.labels: no clip of class `{class}` has a template"))
            .help("give all label files, or the text of the class in dataset.class_names")
    })
}
