//! A folder of class folders of clips, whatever a clip is: what the datasets `frame_folder` and `video_folder` share.
//!
//! Two layouts are read: `<root>/<split>/<class>/<clip>`, with the split folders `train`, `val` and `test`, and
//! `<root>/<class>/<clip>` with the classes of each split given by the recipe, by a file or by a draw. Not here: how a
//! clip is decoded (`readers`).

mod layout;
#[cfg(test)]
mod split_tests;
#[cfg(test)]
pub(super) mod tests;

use super::class_split::SplitOptions;
use super::policy::Policy;
use super::readers::entries::{Entries, NOT_UTF8, entries, found};
use super::readers::passed_over::PassedOver;
use super::readers::{DECODER, Readers, is_video, parts};
use layout::Layout;
use maclip_framework::error::{Error, Result};
use maclip_framework::registry::Problems;
use maclip_framework::slots::dataset::{Class, Dataset, FilePart, Frames, Listing, Opened, Request, Split, Timeline};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a clip is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClipKind {
    /// A folder of frames.
    Folder,
    /// A video file.
    Video,
}

impl ClipKind {
    fn content(self) -> &'static str {
        match self {
            ClipKind::Folder => "frames",
            ClipKind::Video => "videos",
        }
    }

    /// What a class folder without clips lacks.
    fn none(self) -> &'static str {
        match self {
            ClipKind::Folder => "no clip folder",
            ClipKind::Video => "no video",
        }
    }

    /// The clips of a class folder: those that can be named, and the names of those that cannot.
    fn of(self, inside: Entries) -> (Vec<String>, Vec<String>) {
        match self {
            ClipKind::Folder => (inside.folders, inside.not_utf8),
            ClipKind::Video => (inside.videos, inside.not_utf8.into_iter().filter(|name| is_video(name)).collect()),
        }
    }

    /// What lies in the class folder `folder` (its path below the root) beside its clips.
    fn beside(self, root: &Path, folder: &str, inside: &Entries) -> PassedOver {
        let mut passed_over = PassedOver::default();
        passed_over.add_files(folder, &inside.others);
        passed_over.add_files(folder, inside.jpegs.iter().chain(&inside.pngs));
        match self {
            ClipKind::Folder => passed_over.add_files(folder, &inside.videos),
            ClipKind::Video => {
                for name in &inside.folders {
                    let nested = format!("{folder}/{name}");
                    match videos_below(&root.join(&nested), DEEPEST) {
                        0 => passed_over.add("folders", 1, || nested),
                        videos => passed_over.add("videos in folders inside it", videos, || nested),
                    }
                }
            }
        }
        passed_over
    }

    fn is_at(self, path: &Path) -> bool {
        match self {
            ClipKind::Folder => path.is_dir(),
            ClipKind::Video => path.is_file() && path.to_str().is_some_and(is_video),
        }
    }
}

/// The options that both datasets have, with what reads a clip.
pub struct FolderOptions {
    pub clips: ClipKind,
    pub root: Option<PathBuf>,
    pub split: SplitOptions,
    pub class_names: BTreeMap<String, String>,
    pub broken: Policy,
    /// Whether splits may have classes and clips in common.
    pub allow_shared: bool,
    pub readers: Readers,
}

impl FolderOptions {
    /// See [`maclip_framework::registry::Component::validate`].
    pub fn validate(&self, problems: &mut Problems) {
        self.split.validate(problems);
        if let Some((folder, _)) = self.class_names.iter().find(|(_, text)| text.trim().is_empty()) {
            problems
                .push("class_names", format!("gives `{folder}` an empty text; leave it out to use the folder's name"));
        }
    }

    /// See [`maclip_framework::registry::Component::required_inputs`].
    pub fn required_inputs(&self, problems: &mut Problems) {
        let what = self.clips.content();
        problems.when(
            self.root().is_none(),
            "root",
            format!("is missing: say where the {what} are, with `--set dataset.root=FOLDER` or in the recipe"),
        );
        self.readers.required_inputs(problems);
    }

    fn root(&self) -> Option<&PathBuf> {
        self.root.as_ref().filter(|root| !root.as_os_str().is_empty())
    }
}

/// Clips in class folders.
///
/// Files are read when something is asked for the first time, so a recipe can be checked on a machine without the data.
pub struct Folder {
    root: PathBuf,
    options: FolderOptions,
    cache: Mutex<Cache>,
}

/// What was found on disk; a run asks for the same clips again and again.
#[derive(Default)]
struct Cache {
    layout: Option<Arc<Layout>>,
    listings: HashMap<Split, Listing>,
    /// Clips that were looked at and can be used.
    sound: HashSet<String>,
}

/// Clips that cannot be used that are named in an error; the rest is counted.
const NAMED: usize = 5;
/// How deep folders are searched for videos that nobody reads, only to count them.
const DEEPEST: usize = 3;

/// Number of videos in a folder and in the folders inside it. What cannot be read has none.
fn videos_below(folder: &Path, deep: usize) -> usize {
    let Ok(inside) = entries(folder) else { return 0 };
    let below = |name: &String| if deep > 0 { videos_below(&folder.join(name), deep - 1) } else { 0 };
    inside.videos.len() + inside.folders.iter().map(below).sum::<usize>()
}

impl Folder {
    /// An error where no root is given. The folder itself is not read yet.
    pub fn new(options: FolderOptions) -> Result<Self> {
        let root = options
            .root()
            .cloned()
            .ok_or_else(|| Error::failed("the dataset has no root folder").help(options.clips.ask_for_root()))?;
        Ok(Self { root, options, cache: Mutex::default() })
    }

    /// The cache holds only finished entries, so it is sound even after a panic elsewhere.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layout(&self) -> Result<Arc<Layout>> {
        if let Some(layout) = &self.cache().layout {
            return Ok(layout.clone());
        }
        let layout = Arc::new(Layout::find(&self.root, &self.options)?);
        self.cache().layout = Some(layout.clone());
        Ok(layout)
    }

    fn scan(&self, split: Split) -> Result<Listing> {
        let (layout, kind) = (self.layout()?, self.options.clips);
        let classes = layout.classes(&self.root, split)?;
        let mut skipped = layout.unusable[split as usize].clone();
        let mut passed_over = layout.passed_over[split as usize].clone();
        let mut clips: Vec<(usize, String)> = Vec::new();
        for (index, class) in classes.iter().enumerate() {
            let inside = entries(&self.root.join(&class.path))?;
            let found = found(&inside);
            passed_over.add_all("", &kind.beside(&self.root, &class.path, &inside));
            let (named, not_utf8) = kind.of(inside);
            if named.is_empty() && not_utf8.is_empty() {
                skipped.push((class.path.clone(), format!("class left out: {}, only {found}", kind.none())));
            }
            clips.extend(named.iter().map(|clip| (index, format!("{}/{clip}", class.path))));
            skipped.extend(not_utf8.iter().map(|clip| (format!("{}/{clip}", class.path), NOT_UTF8.to_string())));
        }
        let checked: Vec<_> = clips.par_iter().map(|(_, id)| self.check(id)).collect();

        let mut listed: Vec<Class> =
            classes.iter().map(|class| Class { name: class.name.clone(), clips: Vec::new() }).collect();
        let mut broken = vec![0_usize; classes.len()];
        for ((class, id), checked) in clips.into_iter().zip(checked) {
            match checked {
                Ok(inside) => {
                    passed_over.add_all(&id, &inside);
                    listed[class].clips.push(id);
                }
                Err(reason) => {
                    broken[class] += 1;
                    skipped.push((id, reason));
                }
            }
        }
        for (i, class) in classes.iter().enumerate() {
            if listed[i].clips.is_empty() && broken[i] > 0 {
                let reason = format!("class left out: none of its {} clips can be used", broken[i]);
                skipped.push((class.path.clone(), reason));
            }
        }
        listed.retain(|class| !class.clips.is_empty());

        if listed.is_empty() {
            let named: Vec<String> =
                skipped.iter().take(NAMED).map(|(clip, why)| format!("\n  {clip}: {why}")).collect();
            let more = if skipped.len() > NAMED { "\n  …" } else { "" };
            let (name, count, named) = (split.name(), skipped.len(), named.concat());
            return Err(Error::failed(format!("no clip of {name} can be used; {count} left out:{named}{more}"))
                .help(kind.layouts()));
        }
        self.cache().sound.extend(listed.iter().flat_map(|class| class.clips.iter().cloned()));
        Ok(Listing {
            classes: listed,
            skipped,
            strict: self.options.broken == Policy::Fail,
            sums: layout.sums[split as usize].clone(),
            notes: layout.notes.clone(),
            passed_over: passed_over.sentence(split).into_iter().collect(),
        })
    }

    /// Looks at a clip without decoding it. The error is the reason why it cannot be used, and names the clip
    /// as a listing does, so that no folder of this machine gets into a result.
    fn check(&self, id: &str) -> std::result::Result<PassedOver, String> {
        let path = self.root.join(id);
        self.options.readers.check(&path).map_err(|reason| reason.replace(&path.display().to_string(), id))
    }

    /// The place of a clip that can be used.
    fn locate(&self, id: &str) -> Result<PathBuf> {
        let path = self.root.join(id);
        if self.cache().sound.contains(id) {
            return Ok(path);
        }
        // A caller may know the clip from an earlier run. Only identifiers as `list` gives them.
        if !self.layout()?.may_hold(id) || !self.options.clips.is_at(&path) {
            return Err(Error::failed(format!("no clip `{id}` in {}", self.root.display())));
        }
        self.check(id).map_err(|reason| Error::failed(format!("clip {id}: {reason}")))?;
        self.cache().sound.insert(id.to_string());
        Ok(path)
    }
}

impl Dataset for Folder {
    fn list(&self, split: Split) -> Result<Listing> {
        if let Some(listing) = self.cache().listings.get(&split) {
            return Ok(listing.clone());
        }
        // Not under the lock: a scan takes long, and clips of other splits may be opened meanwhile.
        let listing = self.scan(split)?;
        self.cache().listings.insert(split, listing.clone());
        Ok(listing)
    }

    fn ready(&self, clip: &str) -> Result<()> {
        self.options.readers.ready(&self.locate(clip)?)
    }

    fn skips_broken(&self) -> bool {
        self.options.broken == Policy::Skip
    }

    fn allows_shared(&self) -> bool {
        self.options.allow_shared
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        Ok(self.options.readers.timeline(&self.locate(clip)?)?.frames)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let choose = |timeline: &Timeline| match indices.iter().find(|&&index| index >= timeline.frames) {
            Some(index) => {
                Err(Error::failed(format!("clip {clip} has {} frames; there is no frame {index}", timeline.frames)))
            }
            None => Ok(indices.to_vec()),
        };
        self.read(&[Request { clip, choose: &choose, each: &Ok }]).remove(0).map(|opened| opened.frames)
    }

    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        self.options.readers.read(requests, |clip| self.locate(clip))
    }

    fn files(&self, clip: &str) -> Result<Vec<FilePart>> {
        parts(self.options.readers.files(&self.locate(clip)?))
    }

    fn decoder(&self, _: &str) -> &'static str {
        DECODER
    }
}
