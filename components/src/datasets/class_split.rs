//! Which class folder is in which split: named in the recipe or in a file, or drawn with a seed.
//!
//! Source: the class-disjoint splits of few-shot benchmarks, which are published as lists of classes.
//! Where there is no list, the classes are drawn.

use super::readers::entries::{Entries, found, natural};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{TEXT, read_regular, sha256};
use maclip_framework::random::Stream;
use maclip_framework::registry::Problems;
use maclip_framework::slots::dataset::Split;
use maclip_language::{Diagnostic, Diagnostics, Node, from_node, read_str, suggest};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Class folders of each split; no class may be in two of them.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClassSplits {
    /// Class folders to train on.
    pub train: Vec<String>,
    /// Class folders to validate on.
    pub val: Vec<String>,
    /// Class folders to test on.
    pub test: Vec<String>,
}

impl ClassSplits {
    fn of(&self, split: Split) -> &[String] {
        match split {
            Split::Train => &self.train,
            Split::Val => &self.val,
            Split::Test => &self.test,
        }
    }
}

/// Classes of each split drawn from the class folders.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassDraw {
    /// Seed of the draw: another seed gives other classes. It is not the recipe's seed, so that runs with several seeds
    /// share one split.
    #[serde(default)]
    pub seed: u64,
    /// Number of classes to train on.
    #[schemars(range(min = 1))]
    pub train: usize,
    /// Number of classes to validate on.
    #[schemars(range(min = 1))]
    pub val: usize,
    /// Number of classes to test on.
    #[schemars(range(min = 1))]
    pub test: usize,
}

/// The options that say which class is in which split. None of them is given where the root has a folder for each
/// split.
#[derive(Clone, Debug, Default)]
pub struct SplitOptions {
    pub splits: Option<ClassSplits>,
    pub split_file: Option<PathBuf>,
    pub draw: Option<ClassDraw>,
}

/// The class folders of each split, for [`Split::ALL`].
pub struct Assigned {
    /// In natural order.
    pub classes: [Vec<String>; 3],
    /// Where the classes are named, for messages.
    pub source: String,
    /// See [`maclip_framework::slots::dataset::Listing::notes`].
    pub notes: Vec<String>,
    /// See [`maclip_framework::slots::dataset::Listing::sums`].
    pub sums: [BTreeMap<String, String>; 3],
}

impl SplitOptions {
    /// Reports options that exclude each other, and classes that are named twice.
    pub fn validate(&self, problems: &mut Problems) {
        let given = [
            ("splits", self.splits.is_some()),
            ("split_file", self.split_file.is_some()),
            ("draw", self.draw.is_some()),
        ];
        let mut given = given.into_iter().filter_map(|(name, given)| given.then_some(name));
        if let Some(first) = given.next() {
            for other in given {
                problems.push(other, format!("and `{first}` both say the classes of each split; keep one of them"));
            }
        }
        if let Some(splits) = &self.splits
            && let Some((named, place)) = Lists::of_recipe(splits).repeated()
        {
            problems.push("splits", format!("names the class `{}` in {place}; {DISJOINT}", named.class));
        }
        let empty = self.split_file.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        problems.when(empty, "split_file", "is empty: give a file, or leave it out");
    }

    /// The classes of each split, out of `choices`; `None` where no option says them.
    pub fn assign(&self, choices: &Choices) -> Result<Option<Assigned>> {
        if let Some(splits) = &self.splits {
            return Lists::of_recipe(splits).assign(choices).map(Some);
        }
        if let Some(path) = &self.split_file {
            let lists = if path.is_dir() { Lists::of_folder(path) } else { Lists::of_file(path) };
            return lists?.assign(choices).map(Some);
        }
        self.draw.as_ref().map(|draw| draw.assign(choices)).transpose()
    }
}

/// The classes that a split can have, and how messages speak of them.
pub struct Choices<'a> {
    /// In natural order.
    pub names: &'a [String],
    /// Where they are.
    pub place: String,
    /// What is there.
    pub has: String,
    /// What one is called, such as `class folder`.
    pub noun: &'static str,
    /// Whether the folders of the splits are there, so that no option may say the classes.
    pub divided: bool,
}

impl<'a> Choices<'a> {
    /// The class folders among `top`, which is what the folder `root` holds.
    pub fn folders(root: &Path, top: &'a Entries) -> Self {
        let (place, has, divided) = (root.display().to_string(), found(top), has_split_folders(top));
        Self { names: &top.folders, place, has, noun: "class folder", divided }
    }
}

const DISJOINT: &str = "the splits of a few-shot benchmark share no class; name each class once";

/// Adds a help with the class folder that `class` was probably meant to be.
pub fn nearest<'a>(error: Error, class: &str, folders: impl IntoIterator<Item = &'a str>) -> Error {
    match suggest(class, folders) {
        Some(name) => error.help(format!("did you mean `{name}`?")),
        None => error,
    }
}

/// Whether the root has a folder for a split.
pub fn has_split_folders(top: &Entries) -> bool {
    Split::ALL.iter().any(|split| top.folders.iter().any(|name| name == split.name()))
}

impl ClassDraw {
    /// The same seed and folders give the same classes everywhere: names are in natural order, which depends on no
    /// locale.
    fn assign(&self, choices: &Choices) -> Result<Assigned> {
        let Choices { place, has, names, .. } = choices;
        if choices.divided {
            return Err(Error::failed(format!("dataset.draw is given, and {place} has split folders: {has}"))
                .help("leave out dataset.draw to read the split folders"));
        }
        let counts = [self.train, self.val, self.test];
        let sum = counts.iter().fold(0_usize, |sum, count| sum.saturating_add(*count));
        if sum > names.len() {
            let [train, val, test] = counts;
            return Err(Error::failed(format!(
                "dataset.draw asks for {sum} classes ({train} train, {val} val, {test} test), and {place} has {has}"
            ))
            .help("ask for fewer classes, or correct dataset.root"));
        }
        let drawn = Stream::new(self.seed, "class split").at(0).distinct(sum, names.len());
        let mut drawn = drawn.into_iter().map(|index| names[index].clone());
        let classes = counts.map(|count| natural_order(drawn.by_ref().take(count).collect()));
        let named = |split: Split| format!("{} {}", split.name(), classes[split as usize].join(", "));
        let note = format!("classes drawn with seed {}: {}", self.seed, Split::ALL.map(named).join("; "));
        Ok(Assigned { classes, source: "dataset.draw".to_owned(), notes: vec![note], sums: Default::default() })
    }
}

fn natural_order(mut names: Vec<String>) -> Vec<String> {
    names.sort_by(|a, b| natural(a, b));
    names
}

/// A class and where it is named.
struct Named {
    class: String,
    place: String,
}

/// Lists of classes as somebody wrote them.
struct Lists {
    source: String,
    /// For [`Split::ALL`].
    classes: [Vec<Named>; 3],
    sums: [BTreeMap<String, String>; 3],
}

impl Lists {
    fn of_recipe(splits: &ClassSplits) -> Self {
        let classes = Split::ALL.map(|split| {
            let place = format!("dataset.splits.{}", split.name());
            splits.of(split).iter().map(|class| Named { class: class.clone(), place: place.clone() }).collect()
        });
        Self { source: "dataset.splits".to_owned(), classes, sums: Default::default() }
    }

    /// A YAML or JSON file with the keys train, val and test.
    fn of_file(path: &Path) -> Result<Self> {
        let source = path.display().to_string();
        let (text, sum) = read(path)?;
        let tree = read_str(&source, &text).map_err(|error| placed(&source, error))?;
        let splits: ClassSplits = from_node(&tree, "").map_err(|error| placed(&source, error.into()))?;
        let classes = Split::ALL.map(|split| {
            let written = tree.at(split.name()).and_then(Node::as_list).unwrap_or_default();
            let named =
                |(class, node): (&String, &Node)| Named { class: class.clone(), place: node.origin.to_string() };
            splits.of(split).iter().zip(written).map(named).collect()
        });
        let sums = Split::ALL.map(|_| BTreeMap::from([sum.clone()]));
        Ok(Self { source, classes, sums })
    }

    /// A folder with train.txt, val.txt and test.txt.
    fn of_folder(folder: &Path) -> Result<Self> {
        let (mut classes, mut sums): ([Vec<Named>; 3], [BTreeMap<_, _>; 3]) = Default::default();
        for split in Split::ALL {
            let path = folder.join(format!("{}.txt", split.name()));
            let (text, sum) = read(&path)?;
            let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim).zip(1..);
            let named = |(class, line): (&str, usize)| Named {
                class: class.to_owned(),
                place: format!("{}:{line}", path.display()),
            };
            classes[split as usize] = lines.filter(|(class, _)| !class.is_empty()).map(named).collect();
            sums[split as usize].extend([sum]);
        }
        Ok(Self { source: folder.display().to_string(), classes, sums })
    }

    /// The first class that is named a second time, and its two splits.
    fn repeated(&self) -> Option<(&Named, String)> {
        let mut seen: HashMap<&str, Split> = HashMap::new();
        let named = Split::ALL.into_iter().zip(&self.classes);
        named.flat_map(|(split, classes)| classes.iter().map(move |named| (split, named))).find_map(|(split, named)| {
            let first = seen.insert(&named.class, split)?;
            let (first, split) = (first.name(), split.name());
            Some((named, if first == split { format!("{split} twice") } else { format!("{first} and {split}") }))
        })
    }

    fn assign(self, choices: &Choices) -> Result<Assigned> {
        if let Some((Named { class, place }, splits)) = self.repeated() {
            return Err(Error::failed(format!("{place}: the class `{class}` is in {splits}")).help(DISJOINT));
        }
        let known: HashSet<&String> = choices.names.iter().collect();
        if let Some(Named { class, place }) = self.classes.iter().flatten().find(|n| !known.contains(&n.class)) {
            let Choices { place: root, has, noun, names, divided } = choices;
            let error = Error::failed(format!("{place}: no {noun} `{class}` in {root}, which has {has}"));
            let error = nearest(error, class, names.iter().map(String::as_str));
            return Err(match divided {
                true => error.help("leave out the classes of each split to read the split folders"),
                false => error,
            });
        }
        let classes = self.classes.map(|split| natural_order(split.into_iter().map(|named| named.class).collect()));
        Ok(Assigned { classes, source: self.source, notes: Vec::new(), sums: self.sums })
    }
}

/// The text of a file, and its name with the SHA-256 of its bytes.
fn read(path: &Path) -> Result<(String, (String, String))> {
    let help = "dataset.split_file is a YAML or JSON file with the lists train, val and test, or a folder with train.txt, \
                val.txt and test.txt, one class folder a line";
    let bytes = read_regular(path, TEXT).map_err(|error| Error::io("read", path, error).help(help))?;
    let sum = sha256(&bytes);
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::failed(format!("cannot read {}: it is not UTF-8 text", path.display())).help(help))?;
    Ok((text, (name, sum)))
}

/// What is wrong with a split file, with its line: it is no recipe, so the recipe's place is added to it.
fn placed(source: &str, found: Diagnostics) -> Error {
    let Some(Diagnostic { message, origin, help, .. }) = found.into_iter().next() else {
        return Error::failed(format!("cannot read {source}"));
    };
    let place = origin.map_or_else(|| source.to_owned(), |origin| origin.to_string());
    let error = Error::failed(format!("{place}: {message}"));
    match help.first() {
        Some(help) => error.help(help),
        None => error,
    }
}
