//! Where clips lie below the root. Every usual layout is found without an option, and nothing has to be renamed.
//!
//! Clips are folders of images or video files, and lie
//! * under the path of the list, also with the extension of another video format;
//! * in `<split>/<class>/`, in `<class>/`, or side by side;
//! * all of these in the root or in its folders `videos`, `frames` and `rawframes`; for Kinetics also in
//!   `train_256`, `train` and the like, whatever the split: its clips were drawn from both.
//!
//! Each folder is listed once and names are looked up in what was found, so the cost is linear in the number of clips.
//! Nothing is walked recursively: loops of links cannot trap the search.

use super::lists::{key, stem};
use crate::datasets::readers;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::Split;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Folders below the root that hold everything.
const BASES: &[&str] = &["videos", "frames", "rawframes"];
/// Folders of Kinetics.
const KINETICS: &[&str] = &["train_256", "val_256", "test_256", "train", "val", "test"];

/// A clip: a folder of images or a video.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    /// Folders come first: decoded frames are preferred to the video beside them.
    is_video: bool,
    name: String,
}

/// What may be clips in a folder.
pub(in crate::datasets) struct Folder {
    path: PathBuf,
    entries: Vec<Entry>,
    /// Names of files that are no clips, without hidden ones.
    others: Vec<String>,
    /// Entries by name without extension, in lower case.
    stems: HashMap<String, Vec<usize>>,
    /// Entries by YouTube id; for Kinetics.
    ids: HashMap<String, Vec<usize>>,
    /// Folders by [`key`].
    folders: HashMap<String, Vec<usize>>,
}

impl Folder {
    /// `None` where there is no such folder.
    fn read(path: &Path, youtube: bool) -> Result<Option<Self>> {
        let listing = match fs::read_dir(path) {
            Ok(listing) => listing,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(Error::io("read the folder", path, error)),
        };
        let (mut entries, mut others) = (Vec::new(), Vec::new());
        for entry in listing {
            let entry = entry.map_err(|error| Error::io("read the folder", path, error))?;
            // A name that is not UTF-8 is in no list.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = match entry.file_type() {
                Ok(kind) if kind.is_symlink() => fs::metadata(entry.path()).map(|to| to.file_type()),
                kind => kind,
            };
            // A link that leads nowhere is no clip.
            let Ok(kind) = kind else { continue };
            let is_video = kind.is_file() && readers::is_video(&name);
            match is_video || kind.is_dir() {
                _ if name.starts_with('.') => {}
                true => entries.push(Entry { is_video, name }),
                false => others.push(name),
            }
        }
        entries.sort();
        others.sort();
        let mut folder = Self {
            path: path.to_path_buf(),
            entries: Vec::new(),
            others,
            stems: HashMap::with_capacity(entries.len()),
            ids: HashMap::new(),
            folders: HashMap::new(),
        };
        for (place, entry) in entries.iter().enumerate() {
            folder.stems.entry(entry.stem().to_lowercase()).or_default().push(place);
            if let Some((id, _)) = youtube_id(entry.stem()).filter(|_| youtube) {
                folder.ids.entry(id.to_owned()).or_default().push(place);
            }
            if !entry.is_video {
                folder.folders.entry(key(&entry.name)).or_default().push(place);
            }
        }
        folder.entries = entries;
        Ok(Some(folder))
    }

    /// The clip that a list calls `name`: of that very name, of that name without regard to case, or of that YouTube
    /// id.
    fn clip(&self, name: &str) -> Option<Place> {
        let wanted = stem(name);
        let entries = |places: &Vec<usize>| places.iter().map(|&place| &self.entries[place]).collect::<Vec<_>>();
        // A folder of frames may be called as a video is.
        let same = self.stems.get(&wanted.to_lowercase()).or_else(|| self.stems.get(&name.to_lowercase()));
        if let Some(same) = same.map(entries) {
            let exact = same.iter().find(|entry| entry.name == name);
            let found = exact.or_else(|| same.iter().find(|entry| entry.stem() == wanted)).or(same.first())?;
            return Some(Ok(self.path.join(&found.name)));
        }
        let (id, span) = youtube_id(wanted)?;
        let part = |entry: &&Entry| {
            let other = youtube_id(entry.stem()).and_then(|(_, span)| span);
            span.is_none() || other.is_none() || span == other
        };
        let mut same: Vec<&Entry> = entries(self.ids.get(id)?).into_iter().filter(part).collect();
        // One clip as a folder and as a video is still one.
        same.sort_by_key(|entry| entry.stem());
        same.dedup_by(|a, b| a.stem() == b.stem());
        match same.as_slice() {
            [] => None,
            [one] => Some(Ok(self.path.join(&one.name))),
            [one, other, ..] => {
                Some(Err(format!("`{wanted}` may be {} or {}; rename the one that is meant", one.name, other.name)))
            }
        }
    }

    /// The folders inside that `keys` name.
    fn named(&self, keys: &[String]) -> impl Iterator<Item = PathBuf> {
        keys.iter()
            .filter_map(|key| self.folders.get(key))
            .flatten()
            .map(|&place| self.path.join(&self.entries[place].name))
    }

    /// Names of the clips inside without extension, in order, and where they are.
    pub fn clips(&self) -> BTreeMap<&str, PathBuf> {
        // Backwards, so that the first of several with one name stays.
        self.entries.iter().rev().map(|entry| (entry.stem(), self.path.join(&entry.name))).collect()
    }

    /// Names of the folders inside.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|entry| !entry.is_video).map(|entry| entry.name.as_str())
    }

    /// Names of the files inside that are no clips.
    pub fn others(&self) -> &[String] {
        &self.others
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is here, for a message.
    pub fn describe(&self) -> String {
        const NAMED: usize = 6;
        let names: Vec<&str> = self.entries.iter().take(NAMED).map(|entry| entry.name.as_str()).collect();
        let more = if self.entries.len() > NAMED { ", …" } else { "" };
        match names.is_empty() {
            true => "no folder and no video".to_owned(),
            false => format!("{} folders and videos ({}{more})", self.entries.len(), names.join(", ")),
        }
    }
}

impl Entry {
    fn stem(&self) -> &str {
        if self.is_video { stem(&self.name) } else { &self.name }
    }
}

/// What stands between the name of a clip and a number behind it.
const APART: [char; 4] = [' ', ',', ';', '\t'];

/// What a line of a list has behind the name of its clip, such as the label in `clip.avi 7` or `clip.avi,7`; quotation
/// marks too.
fn written_beside(name: &str) -> Option<&str> {
    if name.ends_with('"') {
        return Some("\"");
    }
    let mut clip = name;
    // As many numbers as there are, such as that of the frames and the label.
    loop {
        let before = clip.trim_end_matches(|c: char| c.is_ascii_digit());
        if before.len() == clip.len() || !before.ends_with(APART) {
            break;
        }
        clip = before.trim_end_matches(APART);
    }
    (clip.len() < name.len()).then(|| &name[clip.len()..])
}

/// Where a clip is, or why it was not found.
pub(in crate::datasets) type Place = std::result::Result<PathBuf, String>;

/// The id of a video and, where they follow, begin and end in seconds: `ID`, `ID_86_96`, `ID_000086_000096`.
fn youtube_id(stem: &str) -> Option<(&str, Option<(u32, u32)>)> {
    const LENGTH: usize = 11;
    let (id, rest) = stem.split_at_checked(LENGTH)?;
    if rest.is_empty() {
        return Some((id, None));
    }
    let (begin, end) = rest.strip_prefix('_')?.split_once('_')?;
    Some((id, Some((begin.parse().ok()?, end.parse().ok()?))))
}

/// Looks for clips below a root.
pub(in crate::datasets) struct Finder {
    root: Rc<Folder>,
    youtube: bool,
    /// By path; `None` where there is nothing.
    read: HashMap<PathBuf, Option<Rc<Folder>>>,
    /// Folders that lists name, by what they are called there.
    named: HashMap<String, Vec<Rc<Folder>>>,
    /// Folders of a class, by its keys.
    classes: HashMap<(Split, usize), Vec<Rc<Folder>>>,
}

impl Finder {
    pub fn new(root: &Path, youtube: bool) -> Result<Self> {
        let help = "give the folder of videos or frames: --set dataset.root=FOLDER";
        let found = Folder::read(root, youtube)?.ok_or_else(|| {
            let what = if root.exists() { "is not a folder" } else { "does not exist" };
            Error::failed(format!("the dataset's root {} {what}", root.display())).help(help)
        })?;
        let root = Rc::new(found);
        Ok(Self { root, youtube, read: HashMap::new(), named: HashMap::new(), classes: HashMap::new() })
    }

    pub fn root(&self) -> &Folder {
        &self.root
    }

    /// The path of a folder below the root, for messages.
    pub fn below_root(&self, folder: &Folder) -> String {
        folder.path.strip_prefix(&self.root.path).unwrap_or(&folder.path).display().to_string()
    }

    pub fn folder(&mut self, path: PathBuf) -> Result<Option<Rc<Folder>>> {
        if let Some(known) = self.read.get(&path) {
            return Ok(known.clone());
        }
        let folder = Folder::read(&path, self.youtube)?.map(Rc::new);
        self.read.insert(path, folder.clone());
        Ok(folder)
    }

    /// The folders `names` of `folder` that exist.
    fn inside(&mut self, folder: &Folder, names: &[&str]) -> Result<Vec<Rc<Folder>>> {
        let here: Vec<&str> = names.iter().copied().filter(|name| folder.folders.contains_key(&key(name))).collect();
        let mut found = Vec::new();
        for name in here {
            found.extend(self.folder(folder.path.join(name))?);
        }
        Ok(found)
    }

    fn bases(&mut self) -> Result<Vec<Rc<Folder>>> {
        let root = self.root.clone();
        let inside = self.inside(&root, BASES)?;
        Ok([root].into_iter().chain(inside).collect())
    }

    /// The folders of `split`, wherever they are.
    pub fn split_folders(&mut self, split: Split) -> Result<Vec<Rc<Folder>>> {
        let mut found = Vec::new();
        for base in self.bases()? {
            found.extend(self.inside(&base, &[split.name()])?);
        }
        Ok(found)
    }

    /// Folders that hold class folders or clips, with those of `split` first.
    fn tops(&mut self, split: Split) -> Result<Vec<Rc<Folder>>> {
        let mut found = self.split_folders(split)?;
        for base in self.bases()? {
            let inside = if self.youtube { self.inside(&base, KINETICS)? } else { Vec::new() };
            found.push(base);
            found.extend(inside);
        }
        Ok(found)
    }

    /// The folders of class `place` of `split`, which `keys` name.
    pub fn class_folders(&mut self, split: Split, place: usize, keys: &[String]) -> Result<Vec<Rc<Folder>>> {
        if let Some(known) = self.classes.get(&(split, place)) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        for top in self.tops(split)? {
            for path in top.named(keys) {
                found.extend(self.folder(path)?);
            }
        }
        self.classes.insert((split, place), found.clone());
        Ok(found)
    }

    /// The folders that a list calls `parent`.
    fn named(&mut self, parent: &str) -> Result<Vec<Rc<Folder>>> {
        if let Some(known) = self.named.get(parent) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        for base in self.bases()? {
            found.extend(self.folder(base.path.join(parent))?);
        }
        self.named.insert(parent.to_owned(), found.clone());
        Ok(found)
    }
}

/// Looks for the clips of one split.
pub(in crate::datasets) struct Search<'a> {
    finder: &'a mut Finder,
    split: Split,
    tops: Vec<Rc<Folder>>,
}

impl<'a> Search<'a> {
    pub fn new(finder: &'a mut Finder, split: Split) -> Result<Self> {
        let tops = finder.tops(split)?;
        Ok(Self { finder, split, tops })
    }

    /// The clip `name` of class `place`, which `keys` name; the list has it in the folder `parent`.
    pub fn clip(&mut self, place: usize, keys: &[String], (parent, name): (&str, &str)) -> Result<Option<Place>> {
        if !parent.is_empty()
            && let Some(found) = self.finder.named(parent)?.iter().find_map(|folder| folder.clip(name))
        {
            return Ok(Some(found));
        }
        let classes = self.finder.class_folders(self.split, place, keys)?;
        Ok(classes.iter().chain(&self.tops).find_map(|folder| folder.clip(name)))
    }

    /// Why there is no such clip: what was looked for, and where. The arguments are those of [`Search::clip`].
    pub fn missing(&mut self, place: usize, keys: &[String], (parent, name): (&str, &str)) -> Result<String> {
        const NAMED: usize = 3;
        let named = if parent.is_empty() { Vec::new() } else { self.finder.named(parent)? };
        let classes = self.finder.class_folders(self.split, place, keys)?;
        let all: Vec<&Rc<Folder>> = named.iter().chain(&classes).chain(&self.tops).collect();
        let mut places: Vec<String> = Vec::new();
        for folder in &all {
            let place = self.finder.below_root(folder);
            let place = if place.is_empty() { "the root".to_owned() } else { format!("`{place}`") };
            if !places.contains(&place) {
                places.push(place);
            }
        }
        let more = if places.len() > NAMED { " and other folders" } else { "" };
        places.truncate(NAMED);
        let wanted = stem(name);
        let remark = written_beside(name).map_or_else(String::new, |beside| {
            format!("; a line of a list is the path of a clip and nothing else, so take `{beside}` out of it")
        });
        Ok(format!(
            "not found: looked for a video or a folder of frames called `{wanted}` in {}{more}, below the root{remark}",
            places.join(", ")
        ))
    }
}
