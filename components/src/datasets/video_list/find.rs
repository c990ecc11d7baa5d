//! Where the clips of a list are: below a folder, inside an archive, or arrays of features.

use super::formats::Format;
use super::read::{List, tidy};
use crate::datasets::archives::{Archives, Content, Kind, Packed, stem};
use crate::datasets::arrays::ArrayFile;
use crate::datasets::claims::Identity;
use crate::datasets::class_text::folded;
use crate::datasets::listed::layout::{Finder, Search};
use crate::datasets::readers::entries::{entries, found};
use crate::datasets::readers::is_video;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place of a clip.
#[derive(Clone)]
pub(super) enum Place {
    /// A video, a folder of frames or an array of features.
    Disk(PathBuf),
    /// In an archive, by its path there.
    Packed(Arc<Archives>, String),
    /// An array of a file of several, by its name.
    Array(Arc<ArrayFile>, String),
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Place::Disk(one), Place::Disk(other)) => one == other,
            (Place::Packed(one, name), Place::Packed(other, of_other)) => Arc::ptr_eq(one, other) && name == of_other,
            (Place::Array(one, name), Place::Array(other, of_other)) => Arc::ptr_eq(one, other) && name == of_other,
            _ => false,
        }
    }
}

impl Place {
    /// Equal for places that are the same file or entry.
    pub fn identity(&self) -> Identity {
        match self {
            Place::Disk(path) => Identity::of(path),
            Place::Packed(_, name) | Place::Array(_, name) => Identity::Path(name.into()),
        }
    }

    /// Whether it lies at this path of a list: whatever the extension, and below whatever folder.
    pub fn is_at(&self, path: &str) -> bool {
        let own = match self {
            Place::Disk(own) => own.to_string_lossy(),
            Place::Packed(_, name) | Place::Array(_, name) => name.into(),
        };
        Path::new(stem(&own)).ends_with(stem(&tidy(path)))
    }

    /// Whether it is a video, which has no frames in a folder.
    pub fn is_video(&self) -> bool {
        match self {
            Place::Disk(path) => path.to_str().is_some_and(is_video) && path.is_file(),
            Place::Packed(archives, name) => matches!(archives.clips().get(name), Some(Packed::Video(_))),
            Place::Array(..) => false,
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Disk(path) => path.display().fmt(f),
            Place::Packed(_, name) | Place::Array(_, name) => name.fmt(f),
        }
    }
}

/// A place, or why there is none.
pub(super) type Found = std::result::Result<Place, String>;

/// Where the clips of all lists are.
pub(super) struct Roots {
    /// The folder of the clips; the folder of each list where it is not given.
    folder: Option<PathBuf>,
    archives: Option<Arc<Archives>>,
    arrays: Option<Arc<ArrayFile>>,
    content: Content,
}

impl Roots {
    /// From the option `root`.
    pub fn new(root: Option<&PathBuf>, content: Content) -> Result<Self> {
        let mut roots = Self { folder: None, archives: None, arrays: None, content };
        let Some(root) = root else { return Ok(roots) };
        let arrays = content == Content::Features
            && root.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("safetensors"));
        if arrays {
            roots.arrays = Some(Arc::new(ArrayFile::open(root)?));
        } else if Kind::of(root).is_some() && !root.is_dir() {
            roots.archives = Some(Arc::new(Archives::open(root, content)?));
        } else {
            if !root.is_dir() {
                let what = if root.exists() { "is not a folder" } else { "does not exist" };
                return Err(Error::failed(format!("the dataset's root {} {what}", root.display()))
                    .help("give the folder of the clips, a zip file or tar shards: --set dataset.root=FOLDER"));
            }
            roots.folder = Some(root.clone());
        }
        Ok(roots)
    }

    fn folder_of(&self, list: &Path) -> PathBuf {
        let own = || list.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.folder.clone().unwrap_or_else(|| own().to_path_buf())
    }

    /// What looks for the clips of `split` that `list` names; it may itself be the archive that they are in.
    pub fn search(&mut self, list: &List, split: Split) -> Result<Looker> {
        let folder = self.folder_of(&list.path);
        let way = match (list.archives.as_ref().or(self.archives.as_ref()), &self.arrays) {
            (Some(archives), _) => Way::Packed(archives.clone()),
            (None, Some(arrays)) => Way::Arrays(arrays.clone()),
            (None, None) if self.content == Content::Features => Way::Files(folder),
            (None, None) => Way::Disk(Box::new(Finder::new(&folder, list.format == Format::Kinetics)?)),
        };
        let classes = list.rows.iter().map(|row| (folded(&row.label), row.label.clone())).collect();
        Ok(Looker { way, split, classes })
    }

    /// What a reader of the result must know of the archives that hold the clips.
    pub fn notes(&self) -> &[String] {
        self.archives.as_ref().map_or(&[], |archives| &archives.notes)
    }

    /// What is where the clips of a list are looked for.
    pub fn describe(&self, list: &Path) -> String {
        match (&self.archives, &self.arrays) {
            (Some(archives), _) => format!("{} has {}", archives.label(), archives.describe()),
            (None, Some(arrays)) => format!("{} has {}", arrays.path.display(), arrays.describe()),
            (None, None) => {
                let folder = self.folder_of(list);
                let inside = entries(&folder).map_or_else(|error| error.reason(), |inside| found(&inside));
                format!("{} has {inside}", folder.display())
            }
        }
    }
}

enum Way {
    Disk(Box<Finder>),
    /// Arrays of features, a file for each clip.
    Files(PathBuf),
    Packed(Arc<Archives>),
    Arrays(Arc<ArrayFile>),
}

/// Looks for the clips of one list and split.
pub(super) struct Looker {
    way: Way,
    split: Split,
    /// All classes of the list, by letters and digits.
    classes: HashMap<String, String>,
}

impl Looker {
    /// The clip that a list calls `name`, whose class is number `number` and called `class`.
    ///
    /// # Errors
    /// Where a folder cannot be read. That there is no such clip is the reason inside.
    pub fn find(&mut self, name: &str, number: usize, class: &str) -> Result<Found> {
        let name = &*tidy(name);
        match &mut self.way {
            Way::Disk(finder) => on_disk(finder, self.split, name, number, class),
            Way::Files(folder) => Ok(array_file(folder, self.split, name, class)),
            Way::Packed(archives) => Ok(archives.find(name, class, self.split.name()).and_then(|path| {
                match of_another(&self.classes, path, name, class) {
                    Some(other) => Err(format!(
                        "not found: there is no `{name}` of class `{class}`, but {path} in the folder of class `{other}`"
                    )),
                    None => Ok(Place::Packed(archives.clone(), path.to_owned())),
                }
            })),
            Way::Arrays(file) => {
                let names = [name, stem(name), stem(name).rsplit('/').next().unwrap_or_default()];
                let there = names.into_iter().find(|name| file.array(name).is_some());
                Ok(there.map(|name| Place::Array(file.clone(), name.to_owned())).ok_or_else(|| {
                    format!("not found: looked for the array `{}`, and the file has {}", stem(name), file.describe())
                }))
            }
        }
    }
}

/// The other class in whose folder the entry `path` of an archive is that a list calls `name`; the folders that the
/// list itself names say nothing.
fn of_another<'a>(classes: &'a HashMap<String, String>, path: &str, name: &str, class: &str) -> Option<&'a str> {
    let named = name.split('/').count();
    let above: Vec<String> = path.rsplit('/').skip(named).map(folded).collect();
    // Where classes are numbers, their folders have other names, or numbers for other reasons.
    if class.bytes().all(|byte| byte.is_ascii_digit()) || above.contains(&folded(class)) {
        return None;
    }
    above.iter().find_map(|folder| classes.get(folder)).map(String::as_str)
}

fn on_disk(finder: &mut Finder, split: Split, name: &str, number: usize, class: &str) -> Result<Found> {
    let keys = [folded(class)];
    let parts = name.rsplit_once('/').unwrap_or(("", name));
    let mut search = Search::new(finder, split)?;
    let place = match search.clip(number, &keys, parts)? {
        Some(place) => place,
        None => Err(search.missing(number, &keys, parts)?),
    };
    Ok(place.map(Place::Disk))
}

/// A file with an array: at the path of the list or beside its name, with the extension of an array in place of that of
/// a video.
fn array_file(root: &Path, split: Split, name: &str, class: &str) -> Found {
    let (stem, last) = (stem(name), stem(name).rsplit('/').next().unwrap_or_default());
    let places = [
        name.to_owned(),
        stem.to_owned(),
        format!("{class}/{last}"),
        format!("{}/{class}/{last}", split.name()),
        last.to_owned(),
    ];
    let mut tried = Vec::new();
    for place in places {
        for extension in ["", ".npy", ".safetensors"] {
            let path = root.join(format!("{place}{extension}"));
            if crate::datasets::archives::is_array(&path.to_string_lossy()) {
                if path.is_file() {
                    return Ok(Place::Disk(path));
                }
                tried.push(format!("{place}{extension}"));
            }
        }
    }
    tried.dedup();
    let inside = entries(root).map_or_else(|error| error.reason(), |inside| found(&inside));
    Err(format!("not found: looked for {} below {}, which has {inside}", tried.join(", "), root.display()))
}
