//! Dataset `frame_folder`: clips as folders of JPEG frames.
//!
//! Two layouts are read: `<root>/<split>/<class>/<clip>/*.jpg`, with the split folders `train`, `val` and `test`, and
//! `<root>/<class>/<clip>/*.jpg` with the classes of each split in the recipe.

mod files;
#[cfg(test)]
mod tests;

use files::{NOT_UTF8, check_frame, class_text, entries, found, message, natural};
use maclip_framework::error::{Error, Result};
use maclip_framework::images;
use maclip_framework::recipe::suggest;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::dataset::{Class, Dataset, Frames, Listing, Split};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Settings of the dataset `frame_folder`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FrameFolderConfig {
    /// The folder that holds the frames: `<root>/<split>/<class>/<clip>/*.jpg`, or `<root>/<class>/<clip>/*.jpg` where
    /// `splits` is given. Required.
    pub root: Option<PathBuf>,
    /// The class folders of each split. Leave out where the root has the folders train, val and test.
    pub splits: Option<ClassSplits>,
    /// Class folder -> class text for prompts. A folder not named here gets its own name with underscores as spaces,
    /// CamelCase split and brackets removed.
    pub class_names: BTreeMap<String, String>,
    /// A clip with fewer frames than this is short and handled as `broken` says.
    pub min_frames: usize,
    /// What to do about clips that are short, truncated or otherwise unusable.
    pub broken: BrokenPolicy,
}

impl Default for FrameFolderConfig {
    fn default() -> Self {
        Self { root: None, splits: None, class_names: BTreeMap::new(), min_frames: 8, broken: BrokenPolicy::default() }
    }
}

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

/// What happens to clips that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BrokenPolicy {
    /// Leave them out; each is named with its reason and counted.
    #[default]
    Skip,
    /// Stop with an error that names the first of them.
    Fail,
}

register!(dyn Dataset, FrameFolderConfig, name: "frame_folder",
    summary: "clips as folders of JPEG frames, split by folder or in the recipe",
    paper: Some("layout of tobyperrett/few-shot-action-recognition"), stability: Stable,
    example: "{root: data/my_frames}");

impl Component for FrameFolderConfig {
    type Slot = dyn Dataset;

    fn inputs(&self, problems: &mut Problems) {
        problems.when(
            self.root.as_ref().is_none_or(|root| root.as_os_str().is_empty()),
            "root",
            "is missing: say where the frames are, with `--set dataset.root=FOLDER` or in the recipe",
        );
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(FrameFolder::new(self)?))
    }
}

/// Clips as folders of JPEG frames.
///
/// Nothing is read before the first question is asked, so a recipe can be checked where the data is not.
pub struct FrameFolder {
    root: PathBuf,
    config: FrameFolderConfig,
    cache: Mutex<Cache>,
}

/// What was found on disk; a run asks for the same clips again and again.
#[derive(Default)]
struct Cache {
    layout: Option<Arc<Layout>>,
    listings: HashMap<Split, Listing>,
    clips: HashMap<String, Arc<Clip>>,
}

/// The class folders of every split.
struct Layout {
    /// For each split of [`Split::ALL`].
    classes: [Vec<ClassFolder>; 3],
    /// Folders whose names cannot be used, with the reason.
    unusable: [Vec<(String, String)>; 3],
}

struct ClassFolder {
    /// Relative to the root, with `/`.
    path: String,
    /// Class text.
    name: String,
}

/// A clip whose frames were looked at.
struct Clip {
    /// File names in natural order. Names only: paths of millions of frames would fill the memory.
    frames: Vec<Box<str>>,
    width: usize,
    height: usize,
}

impl FrameFolder {
    /// Checks the settings; the folder itself is first read when the dataset is asked for something.
    pub fn new(config: FrameFolderConfig) -> Result<Self> {
        let root = config.root.clone().filter(|root| !root.as_os_str().is_empty()).ok_or_else(|| {
            Error::failed("the dataset frame_folder has no root folder")
                .help("give the folder with the frames: --set dataset.root=…")
        })?;
        if config.min_frames == 0 {
            return Err(Error::failed("dataset.min_frames is 0").help("a clip needs at least one frame"));
        }
        if let Some(splits) = &config.splits {
            let mut seen: HashMap<&str, Split> = HashMap::new();
            for split in Split::ALL {
                for class in splits.of(split) {
                    if let Some(first) = seen.insert(class, split) {
                        let both = format!("{} and {}", first.name(), split.name());
                        let place = if first == split { format!("twice in {}", split.name()) } else { both };
                        return Err(Error::failed(format!("dataset.splits: the class `{class}` is in {place}"))
                            .help("the splits of a few-shot benchmark share no class; name each class once"));
                    }
                }
            }
        }
        if let Some((folder, _)) = config.class_names.iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(Error::failed(format!("dataset.class_names: the text of `{folder}` is empty")));
        }
        Ok(Self { root, config, cache: Mutex::default() })
    }

    /// The cache holds only finished entries, so it is sound even after a panic elsewhere.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn layout(&self) -> Result<Arc<Layout>> {
        if let Some(layout) = &self.cache().layout {
            return Ok(layout.clone());
        }
        let layout = Arc::new(self.find_layout()?);
        self.cache().layout = Some(layout.clone());
        Ok(layout)
    }

    fn find_layout(&self) -> Result<Layout> {
        let root = &self.root;
        if !root.is_dir() {
            let what = if root.exists() { "is not a folder" } else { "does not exist" };
            return Err(Error::failed(format!("the dataset's root {} {what}", root.display()))
                .help("give the folder with the frames: --set dataset.root=…"));
        }
        let top = entries(root)?;
        let mut folders: [Vec<(String, String)>; 3] = Default::default();
        let mut unusable: [Vec<(String, String)>; 3] = Default::default();
        let has_split_folders = Split::ALL.iter().any(|split| top.folders.iter().any(|name| name == split.name()));
        if let Some(splits) = &self.config.splits {
            for (i, split) in Split::ALL.into_iter().enumerate() {
                for class in splits.of(split) {
                    if !top.folders.contains(class) {
                        let error = Error::failed(format!(
                            "dataset.splits.{}: no class folder `{class}` in {}, which has {}",
                            split.name(),
                            root.display(),
                            found(&top)
                        ));
                        return Err(match suggest(class, top.folders.iter().map(String::as_str)) {
                            Some(name) => error.help(format!("did you mean `{name}`?")),
                            None if has_split_folders => {
                                error.help("leave out dataset.splits to read the split folders")
                            }
                            None => error,
                        });
                    }
                    folders[i].push((class.clone(), class.clone()));
                }
                folders[i].sort_by(|a, b| natural(&a.0, &b.0));
            }
        } else if has_split_folders {
            for (i, split) in Split::ALL.into_iter().enumerate() {
                if top.folders.iter().any(|name| name == split.name()) {
                    let inside = entries(&root.join(split.name()))?;
                    let id = |class: &String| format!("{}/{class}", split.name());
                    folders[i] = inside.folders.iter().map(|class| (id(class), class.clone())).collect();
                    unusable[i] = inside.not_utf8.iter().map(|name| (id(name), NOT_UTF8.to_string())).collect();
                }
            }
        } else {
            return Err(Error::failed(format!(
                "found no clips in {}: looked for the split folders train, val and test, and found {}",
                root.display(),
                found(&top)
            ))
            .help("where the class folders lie in the root itself, name the classes of each split in dataset.splits"));
        }
        self.check_classes(&folders)?;
        let text = |class: &String| self.config.class_names.get(class).cloned().unwrap_or_else(|| class_text(class));
        let classes = folders.map(|split| {
            split.into_iter().map(|(path, class)| ClassFolder { path, name: text(&class) }).collect::<Vec<_>>()
        });
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for class in classes.iter().flatten() {
            if let Some(other) = seen.insert(&class.name, &class.path) {
                let (path, name) = (&class.path, &class.name);
                return Err(Error::failed(format!("the class folders {other} and {path} have the same text `{name}`"))
                    .help("tell them apart with dataset.class_names"));
            }
        }
        Ok(Layout { classes, unusable })
    }

    /// One class in two splits would leak training classes into the test; a class text for a folder that is not there
    /// would be ignored without a word.
    fn check_classes(&self, folders: &[Vec<(String, String)>; 3]) -> Result<()> {
        let mut seen: HashMap<&str, &str> = HashMap::new();
        for (path, class) in folders.iter().flatten() {
            if let Some(other) = seen.insert(class, path) {
                return Err(Error::failed(format!("one class is in two splits: {other} and {path}"))
                    .help("the splits of a few-shot benchmark share no class; remove one of the folders"));
            }
        }
        let Some(folder) = self.config.class_names.keys().find(|folder| !seen.contains_key(folder.as_str())) else {
            return Ok(());
        };
        let names: Vec<String> = seen.keys().map(|name| name.to_string()).collect();
        let error = Error::failed(format!("dataset.class_names: there is no class folder `{folder}`"));
        Err(match suggest(folder, names.iter().map(String::as_str)) {
            Some(name) => error.help(format!("did you mean `{name}`?")),
            None => error,
        })
    }

    fn scan(&self, split: Split) -> Result<Listing> {
        let layout = self.layout()?;
        // `Split::ALL` is in the order of the discriminants.
        let classes = &layout.classes[split as usize];
        let mut skipped = layout.unusable[split as usize].clone();
        if classes.is_empty() {
            return Err(match &self.config.splits {
                Some(_) => Error::failed(format!("dataset.splits names no class for {}", split.name())),
                None => Error::failed(format!(
                    "found no class for {}: looked for folders in {}",
                    split.name(),
                    self.root.join(split.name()).display()
                )),
            });
        }
        let mut clips: Vec<(usize, String)> = Vec::new();
        for (index, class) in classes.iter().enumerate() {
            let inside = entries(&self.root.join(&class.path))?;
            if inside.folders.is_empty() {
                skipped.push((class.path.clone(), format!("class left out: no clip folder, only {}", found(&inside))));
            }
            clips.extend(inside.folders.iter().map(|clip| (index, format!("{}/{clip}", class.path))));
            skipped.extend(inside.not_utf8.iter().map(|clip| (format!("{}/{clip}", class.path), NOT_UTF8.to_string())));
        }
        let checked: Vec<_> = clips.par_iter().map(|(_, id)| self.inspect(id)).collect();

        let mut listed: Vec<Class> =
            classes.iter().map(|class| Class { name: class.name.clone(), clips: Vec::new() }).collect();
        let mut broken = vec![0_usize; classes.len()];
        let mut good = Vec::new();
        for ((class, id), clip) in clips.into_iter().zip(checked) {
            match clip {
                Ok(clip) => {
                    listed[class].clips.push(id.clone());
                    good.push((id, Arc::new(clip)));
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

        let total = skipped.len();
        let named: Vec<String> = skipped.iter().take(5).map(|(clip, why)| format!("\n  {clip}: {why}")).collect();
        let named = named.concat() + if total > 5 { "\n  …" } else { "" };
        if self.config.broken == BrokenPolicy::Fail && total > 0 {
            return Err(Error::failed(format!("{total} unusable in {}:{named}", split.name()))
                .help("repair or remove them, or leave them out with --set dataset.broken=skip"));
        }
        if listed.is_empty() {
            return Err(Error::failed(format!("no clip of {} can be used; {total} left out:{named}", split.name())));
        }
        self.cache().clips.extend(good);
        Ok(Listing { classes: listed, skipped })
    }

    /// Looks at a clip without decoding it: names, headers and ends of its frames. The error is the reason to skip it.
    fn inspect(&self, id: &str) -> std::result::Result<Clip, String> {
        let folder = self.root.join(id);
        let inside = entries(&folder).map_err(|error| message(&error))?;
        if let Some(name) = inside.not_utf8.first() {
            return Err(format!("{name}: {NOT_UTF8}"));
        }
        if inside.jpegs.is_empty() {
            let hint = if inside.pngs > 0 { "; convert the frames to JPEG" } else { "" };
            return Err(format!("no JPEG in {id}: found {}{hint}", found(&inside)));
        }
        if inside.jpegs.len() < self.config.min_frames {
            return Err(format!("{} frames, fewer than {}", inside.jpegs.len(), self.config.min_frames));
        }
        let mut size = None;
        for name in &inside.jpegs {
            let header = check_frame(&folder.join(name)).map_err(|error| format!("{name}: {}", message(&error)))?;
            let first = *size.get_or_insert(header);
            if first != header {
                return Err(format!(
                    "{name} is {}x{}, the frames before it {}x{}",
                    header.width, header.height, first.width, first.height
                ));
            }
        }
        let Some(size) = size else { return Err("no frame".to_string()) };
        let frames = inside.jpegs.into_iter().map(String::into_boxed_str).collect();
        Ok(Clip { frames, width: size.width, height: size.height })
    }

    fn clip(&self, id: &str) -> Result<Arc<Clip>> {
        if let Some(clip) = self.cache().clips.get(id) {
            return Ok(clip.clone());
        }
        // A caller may know the clip from an earlier run. Only identifiers as `list` gives them: anything else could
        // lead out of the root.
        let layout = self.layout()?;
        let class = id.rsplit_once('/').filter(|(_, clip)| !clip.is_empty() && !clip.starts_with('.'));
        let known = class.is_some_and(|(class, _)| layout.classes.iter().flatten().any(|folder| folder.path == class));
        if !known || !self.root.join(id).is_dir() {
            return Err(Error::failed(format!("no clip `{id}` in {}", self.root.display())));
        }
        let clip = self.inspect(id).map_err(|reason| Error::failed(format!("clip {id}: {reason}")))?;
        let clip = Arc::new(clip);
        self.cache().clips.insert(id.to_string(), clip.clone());
        Ok(clip)
    }
}

impl Dataset for FrameFolder {
    fn list(&self, split: Split) -> Result<Listing> {
        if let Some(listing) = self.cache().listings.get(&split) {
            return Ok(listing.clone());
        }
        // Not under the lock: a scan takes long, and clips of other splits may be opened meanwhile.
        let listing = self.scan(split)?;
        self.cache().listings.insert(split, listing.clone());
        Ok(listing)
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        Ok(self.clip(clip)?.frames.len())
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let found = self.clip(clip)?;
        let folder = self.root.join(clip);
        let mut images: Vec<Vec<u8>> = Vec::with_capacity(indices.len());
        for (position, &index) in indices.iter().enumerate() {
            // Samplers repeat frames of clips that are shorter than the sample.
            if let Some(earlier) = indices[..position].iter().position(|&other| other == index) {
                images.push(images[earlier].clone());
                continue;
            }
            let name = found.frames.get(index).ok_or_else(|| {
                Error::failed(format!("clip {clip} has {} frames; there is no frame {index}", found.frames.len()))
            })?;
            let path = folder.join(&**name);
            let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
            let image = images::decode_jpeg(&bytes)
                .map_err(|error| Error::failed(format!("cannot decode {}: {}", path.display(), message(&error))))?;
            if (image.width, image.height) != (found.width, found.height) {
                return Err(Error::failed(format!(
                    "{} is {}x{}, but was {}x{} when the clip was listed",
                    path.display(),
                    image.width,
                    image.height,
                    found.width,
                    found.height
                )));
            }
            images.push(image.pixels);
        }
        Ok(Frames { height: found.height, width: found.width, images })
    }
}
