//! Dataset `frame_folder`: clips as folders of JPEG frames.
//!
//! Two layouts are read: `<root>/<split>/<class>/<clip>/*.jpg`, with the split folders `train`, `val` and `test`, and
//! `<root>/<class>/<clip>/*.jpg` with the classes of each split in the recipe.

use maclip_framework::error::{Error, Result};
use maclip_framework::images;
use maclip_framework::recipe::suggest;
use maclip_framework::register;
use maclip_framework::registry::{Component, Problems};
use maclip_framework::run::BuildContext;
use maclip_framework::slots::dataset::{Class, Dataset, Frames, Listing, Split};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
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

/// Entries of a folder in natural order.
#[derive(Default)]
struct Entries {
    folders: Vec<String>,
    jpegs: Vec<String>,
    /// PNG files, which are not read but worth a hint.
    pngs: usize,
    /// Other files.
    others: usize,
    /// Names that are not UTF-8, written as well as it goes.
    not_utf8: Vec<String>,
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

const NOT_UTF8: &str = "the name is not UTF-8";

/// The text of an error without the prefix that it gets when it is shown on its own.
fn message(error: &Error) -> String {
    match error {
        Error::Failed { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// What a folder holds, for messages.
fn found(inside: &Entries) -> String {
    let folders = match inside.folders.as_slice() {
        [] => String::new(),
        few if few.len() <= 6 => format!("{} folders ({})", few.len(), few.join(", ")),
        many => format!("{} folders ({}, …)", many.len(), many[..6].join(", ")),
    };
    let count = |n: usize, what: &str| if n == 0 { String::new() } else { format!("{n} {what}") };
    let (jpegs, pngs) = (count(inside.jpegs.len(), "JPEG files"), count(inside.pngs, "PNG files"));
    let parts = [folders, jpegs, pngs, count(inside.others, "other files")];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "nothing".to_string() } else { parts.join(", ") }
}

/// Folders and files in `folder`, without hidden ones. Links are followed one step; nothing is walked recursively, so
/// a loop of links cannot trap the reader.
fn entries(folder: &Path) -> Result<Entries> {
    let failed = |error| Error::io("read the folder", folder, error);
    let mut all = Entries::default();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Some(name) = name.to_str() else {
            all.not_utf8.push(name.to_string_lossy().into_owned());
            continue;
        };
        let kind = entry.file_type().map_err(failed)?;
        let is_dir =
            if kind.is_symlink() { fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()) } else { kind.is_dir() };
        if is_dir {
            all.folders.push(name.to_string());
        } else if has_extension(name, &["jpg", "jpeg"]) {
            all.jpegs.push(name.to_string());
        } else if has_extension(name, &["png"]) {
            all.pngs += 1;
        } else {
            all.others += 1;
        }
    }
    all.folders.sort_by(|a, b| natural(a, b));
    all.jpegs.sort_by(|a, b| natural(a, b));
    all.not_utf8.sort();
    Ok(all)
}

fn has_extension(name: &str, wanted: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

/// Bytes read from the start of a frame. The header of a plain frame is far shorter.
const HEAD: usize = 16 << 10;
/// Bytes at the end of a frame in which its end marker must lie.
const TAIL: usize = 4 << 10;

/// Checks the header and the end of a JPEG without reading what lies between: enough to find truncated files at
/// the cost of two short reads each.
fn check_frame(path: &Path) -> Result<images::JpegHeader> {
    let failed = |error| Error::io("read", path, error);
    // Opening a pipe would wait forever.
    let size = fs::metadata(path).map_err(failed)?;
    if !size.is_file() {
        return Err(Error::failed("not a regular file"));
    }
    let size = size.len();
    if size == 0 {
        return Err(Error::failed("the file is empty"));
    }
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let header = match images::jpeg_header(&head) {
        // Metadata may push the header beyond the part that was read.
        Err(_) if size > HEAD as u64 => {
            file.read_to_end(&mut head).map_err(failed)?;
            images::jpeg_header(&head)?
        }
        header => header?,
    };
    let tail = if head.len() as u64 >= size {
        head.split_off(head.len().saturating_sub(TAIL))
    } else {
        let mut tail = Vec::with_capacity(TAIL);
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL as u64))).map_err(failed)?;
        file.read_to_end(&mut tail).map_err(failed)?;
        tail
    };
    if !images::has_end_of_image(&tail) {
        return Err(Error::failed("the JPEG is truncated: its end marker is missing"));
    }
    Ok(header)
}

/// Order of names in which runs of digits count as numbers, so that `img2` comes before `img10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (take_number(&mut left), take_number(&mut right));
            // Without leading zeros, the longer number is the larger one; no number is too long for that.
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            let order = x.cmp(y);
            (left, right) = (&left[1..], &right[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    // `1` and `01` are the same number, but two names.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Splits the digits off the front of `text` and returns them without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    *text = rest;
    let zeros = number.iter().position(|&byte| byte != b'0').unwrap_or(number.len());
    &number[zeros..]
}

/// A class folder's name as a person would say it.
fn class_text(folder: &str) -> String {
    let letters: Vec<char> = folder.chars().filter(|c| !"[](){}<>".contains(*c)).collect();
    let mut text = String::new();
    for (i, &c) in letters.iter().enumerate() {
        let after_lower = i > 0 && letters[i - 1].is_lowercase();
        let before_lower =
            i > 0 && letters[i - 1].is_uppercase() && letters.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            text.push(' ');
        }
        text.push(if c == '_' { ' ' } else { c });
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() { folder.to_string() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jpeg_encoder::{ColorType, Encoder};
    use std::time::Instant;

    /// A frame of one grey value, which tells frames apart after decoding.
    fn frame(value: u8, width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let pixels = vec![value; (width * height * 3) as usize];
        Encoder::new(&mut bytes, 95).encode(&pixels, width as u16, height as u16, ColorType::Rgb).unwrap();
        bytes
    }

    fn write(root: &Path, path: &str, bytes: &[u8]) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn clip(root: &Path, path: &str, frames: usize) {
        (1..=frames).for_each(|i| write(root, &format!("{path}/{i}.jpg"), &frame(10 * i as u8, 24, 16)));
    }

    fn config(root: &Path, rest: &str) -> FrameFolderConfig {
        let mut config: FrameFolderConfig = serde_json::from_str(rest).unwrap();
        config.root = Some(root.to_path_buf());
        config
    }

    fn dataset(root: &Path, rest: &str) -> FrameFolder {
        FrameFolder::new(config(root, rest)).unwrap()
    }

    /// Message and help of what `list` refuses.
    fn refusal(root: &Path, rest: &str, split: Split) -> String {
        FrameFolder::new(config(root, rest)).and_then(|data| data.list(split)).unwrap_err().to_string()
    }

    #[test]
    fn frame_folder_reads_split_folders_in_natural_order() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        clip(root, "train/class10/a", 12);
        clip(root, "train/class2/clip10", 8);
        clip(root, "train/class2/clip9", 8);
        clip(root, "test/Pour_Water/x", 8);
        write(root, "train/class2/.hidden/1.jpg", b"");
        write(root, "train/class2/clip9/.thumb.jpg", b"");
        write(root, "train/class2/notes.txt", b"");
        let data = dataset(root, r#"{"class_names": {"class10": "Pulling something"}}"#);
        let train = data.list(Split::Train).unwrap();
        let class = |name: &str, clips: &[&str]| Class {
            name: name.to_string(),
            clips: clips.iter().map(|clip| clip.to_string()).collect(),
        };
        let ids = ["train/class2/clip9", "train/class2/clip10"];
        assert_eq!(train.classes, [class("class2", &ids), class("Pulling something", &["train/class10/a"])]);
        assert_eq!(train.skipped, []);
        assert_eq!(data.list(Split::Train).unwrap(), train);
        assert_eq!(data.list(Split::Test).unwrap().classes, [class("Pour Water", &["test/Pour_Water/x"])]);
        assert!(refusal(root, "{}", Split::Val).contains("found no class for val"));

        // 10.jpg is the tenth frame, not the second; a repeated frame is given twice.
        assert_eq!(data.frame_count("train/class10/a").unwrap(), 12);
        let frames = data.open("train/class10/a", &[9, 1, 9]).unwrap();
        assert_eq!((frames.height, frames.width), (16, 24));
        let values: Vec<u8> = frames.images.iter().map(|image| image[100]).collect();
        assert!(values.iter().zip([100, 20, 100]).all(|(got, want): (&u8, u8)| got.abs_diff(want) <= 1), "{values:?}");
        assert!(data.open("train/class10/a", &[12]).is_err());
        for id in ["train/class10/none", "train/../train/class10/a", "/", "", "train/class10/", "train/class10"] {
            assert!(data.frame_count(id).is_err(), "{id}");
        }
        // A clip is found without a listing too.
        assert_eq!(dataset(root, "{}").frame_count("test/Pour_Water/x").unwrap(), 8);
    }

    #[test]
    fn frame_folder_reads_a_class_split() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for class in ["catch", "clap", "shoot_ball", "unused"] {
            clip(root, &format!("{class}/v1"), 8);
        }
        let splits = r#"{"splits": {"train": ["clap", "catch"], "test": ["shoot_ball"]}}"#;
        let data = dataset(root, splits);
        let train = data.list(Split::Train).unwrap();
        let names: Vec<&str> = train.classes.iter().map(|class| class.name.as_str()).collect();
        assert_eq!(names, ["catch", "clap"]);
        assert_eq!(train.classes[0].clips, ["catch/v1"]);
        assert_eq!(data.list(Split::Test).unwrap().classes[0].name, "shoot ball");
        assert!(refusal(root, splits, Split::Val).contains("names no class for val"));

        let unknown = refusal(root, r#"{"splits": {"train": ["clab"], "test": ["catch"]}}"#, Split::Test);
        assert!(unknown.contains("`clab`") && unknown.contains("did you mean `clap`?"), "{unknown}");
        let twice = refusal(root, r#"{"splits": {"train": ["clap"], "test": ["clap"]}}"#, Split::Test);
        assert!(twice.contains("train and test"), "{twice}");
        let text = refusal(root, r#"{"splits": {"train": ["clap"]}, "class_names": {"klap": "x"}}"#, Split::Train);
        assert!(text.contains("`klap`") && text.contains("`clap`"), "{text}");
        let none = refusal(root, "{}", Split::Train);
        assert!(none.contains("train, val and test") && none.contains("4 folders (catch, "), "{none}");
    }

    #[test]
    fn frame_folder_names_and_counts_unusable_clips() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        clip(root, "train/a/good", 8);
        clip(root, "train/a/short", 7);
        clip(root, "train/a/cut", 8);
        let bytes = frame(40, 24, 16);
        write(root, "train/a/cut/5.jpg", &bytes[..bytes.len() - 8]);
        clip(root, "train/a/cut_header", 8);
        write(root, "train/a/cut_header/5.jpg", &bytes[..80]);
        clip(root, "train/a/zero", 8);
        write(root, "train/a/zero/8.jpg", b"");
        clip(root, "train/a/sizes", 8);
        write(root, "train/a/sizes/3.jpg", &frame(40, 16, 16));
        write(root, "train/a/png/1.png", b"\x89PNG");
        fs::create_dir(root.join("train/a/empty")).unwrap();
        fs::create_dir(root.join("train/b")).unwrap();
        let listing = dataset(root, "{}").list(Split::Train).unwrap();
        assert_eq!(listing.classes.len(), 1);
        assert_eq!(listing.classes[0].clips, ["train/a/good"]);
        let reasons: HashMap<&str, &str> = listing.skipped.iter().map(|(c, r)| (c.as_str(), r.as_str())).collect();
        let expected = [
            ("train/a/short", "7 frames, fewer than 8"),
            ("train/a/cut", "5.jpg: the JPEG is truncated"),
            ("train/a/cut_header", "5.jpg: not a readable JPEG"),
            ("train/a/zero", "8.jpg: the file is empty"),
            ("train/a/sizes", "3.jpg is 16x16, the frames before it 24x16"),
            ("train/a/png", "no JPEG in train/a/png: found 1 PNG files; convert"),
            ("train/a/empty", "no JPEG in train/a/empty: found nothing"),
            ("train/b", "class left out"),
        ];
        assert_eq!(reasons.len(), expected.len(), "{reasons:?}");
        for (clip, reason) in expected {
            assert!(reasons.get(clip).is_some_and(|got| got.starts_with(reason)), "{clip}: {reasons:?}");
        }
        let fewer = dataset(root, r#"{"min_frames": 7}"#).list(Split::Train).unwrap();
        assert_eq!(fewer.classes[0].clips, ["train/a/good", "train/a/short"]);

        let failed = refusal(root, r#"{"broken": "fail"}"#, Split::Train);
        assert!(failed.contains("8 unusable in train") && failed.contains("train/b: class left out"), "{failed}");
        let opened = dataset(root, "{}").open("train/a/cut", &[0]).unwrap_err().to_string();
        assert!(opened.contains("train/a/cut") && opened.contains("5.jpg"), "{opened}");
    }

    #[test]
    fn frame_folder_open_names_a_frame_damaged_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        clip(root, "train/a/x", 8);
        // Header and end are intact, so only decoding can tell.
        let mut bytes = Vec::new();
        let pixels: Vec<u8> = (0..24 * 16 * 3_u32).map(|i| (i.wrapping_mul(2654435761) >> 24) as u8).collect();
        Encoder::new(&mut bytes, 95).encode(&pixels, 24, 16, ColorType::Rgb).unwrap();
        let middle = bytes.len() - 400;
        bytes[middle..middle + 4].copy_from_slice(&[0xff, 0xc0, 0xff, 0xc0]);
        write(root, "train/a/x/4.jpg", &bytes);
        let data = dataset(root, "{}");
        assert_eq!(data.list(Split::Train).unwrap().skipped, []);
        assert!(data.open("train/a/x", &[0, 7]).is_ok());
        let error = data.open("train/a/x", &[0, 3]).unwrap_err().to_string();
        assert!(error.contains("4.jpg"), "{error}");
    }

    #[test]
    fn frame_folder_refuses_bad_settings_and_roots() {
        let missing = FrameFolder::new(FrameFolderConfig::default()).err().unwrap().to_string();
        assert!(missing.contains("--set dataset.root=…"), "{missing}");
        assert!(serde_json::from_str::<FrameFolderConfig>(r#"{"rot": "x"}"#).is_err());
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert!(refusal(&root.join("nowhere"), "{}", Split::Train).contains("does not exist"));
        assert!(refusal(root, "{}", Split::Train).contains("found nothing"));
        assert!(refusal(root, r#"{"min_frames": 0}"#, Split::Train).contains("min_frames"));
        clip(root, "train/a", 8);
        let flat = refusal(root, "{}", Split::Train);
        assert!(flat.contains("train/a: class left out: no clip folder, only 8 JPEG files"), "{flat}");
        clip(root, "train/one/x", 8);
        clip(root, "test/one/x", 8);
        assert!(refusal(root, "{}", Split::Train).contains("one class is in two splits"));
        fs::rename(root.join("test/one"), root.join("test/_one")).unwrap();
        assert!(refusal(root, "{}", Split::Train).contains("same text `one`"));
    }

    #[cfg(unix)]
    #[test]
    fn frame_folder_survives_links_and_odd_names() {
        use std::ffi::OsStr;
        use std::os::unix::{ffi::OsStrExt, fs::symlink};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        clip(root, "train/a/x", 8);
        fs::rename(root.join("train/a/x/1.jpg"), root.join("train/a/x/1.JPEG")).unwrap();
        symlink(root.join("train"), root.join("train/a/loop")).unwrap();
        symlink(root.join("train/a/self"), root.join("train/a/self")).unwrap();
        symlink(root.join("train/a/x"), root.join("train/a/y")).unwrap();
        clip(root, "train/a/dangling", 8);
        symlink(root.join("gone.jpg"), root.join("train/a/dangling/9.jpg")).unwrap();
        fs::create_dir(root.join("train/a").join(OsStr::from_bytes(b"bad\xff"))).unwrap();
        let listing = dataset(root, "{}").list(Split::Train).unwrap();
        assert_eq!(listing.classes[0].clips, ["train/a/x", "train/a/y"]);
        let clips: Vec<&str> = listing.skipped.iter().map(|(clip, _)| clip.as_str()).collect();
        assert_eq!(clips, ["train/a/bad\u{fffd}", "train/a/dangling", "train/a/loop"], "{:?}", listing.skipped);
    }

    #[test]
    fn frame_folder_natural_order_and_class_texts() {
        let mut names = ["10", "b", "2", "a10c", "a9", "a10b", "02", "a", "99999999999999999999999", "1e3"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1e3", "02", "2", "10", "99999999999999999999999", "a", "a9", "a10b", "a10c", "b"]);
        for (folder, text) in [
            ("shoot_ball", "shoot ball"),
            ("ApplyEyeMakeup", "Apply Eye Makeup"),
            ("HTMLPage", "HTML Page"),
            ("Bending [something] until it breaks", "Bending something until it breaks"),
            ("shooting goal (soccer)", "shooting goal soccer"),
            ("val0", "val0"),
            ("__", "__"),
        ] {
            assert_eq!(class_text(folder), text);
        }
    }

    #[test]
    fn frame_folder_opens_from_many_threads() {
        let dir = tempfile::tempdir().unwrap();
        clip(dir.path(), "train/a/x", 8);
        let data = dataset(dir.path(), "{}");
        let all: Vec<Frames> = (0..16).into_par_iter().map(|_| data.open("train/a/x", &[0, 4, 7]).unwrap()).collect();
        assert!(all.iter().all(|frames| *frames == all[0]));
    }

    #[test]
    fn frame_folder_reads_real_clips() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ssv2_frames");
        if !root.is_dir() {
            eprintln!("skipped: no folder {}", root.display());
            return;
        }
        let text = r#"{"class_names": {"test0": "Approaching something with your camera"}}"#;
        let data = dataset(&root, text);
        for split in Split::ALL {
            let start = Instant::now();
            let listing = data.list(split).unwrap();
            eprintln!("list {}: {:?}", split.name(), start.elapsed());
            assert_eq!(listing.skipped, []);
            assert_eq!(listing.classes.iter().map(|class| class.clips.len()).collect::<Vec<_>>(), [10; 5]);
            for id in listing.classes.iter().flat_map(|class| &class.clips) {
                assert_eq!(data.frame_count(id).unwrap(), 8);
                let frames = data.open(id, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap();
                assert_eq!((frames.height, frames.width, frames.images.len()), (256, 256, 8));
            }
        }
        let test = data.list(Split::Test).unwrap();
        assert_eq!(test.classes[0].name, "Approaching something with your camera");
        assert_eq!(test.classes[1].name, "test1");

        let clips = &test.classes[0].clips;
        let start = Instant::now();
        let opened: Vec<Frames> = clips.iter().map(|id| data.open(id, &[0, 1, 2, 3, 4, 5, 6, 7]).unwrap()).collect();
        let per_clip = |start: Instant| start.elapsed().as_secs_f64() * 1e3 / clips.len() as f64;
        eprintln!("open 8 frames: {:.2} ms", per_clip(start));
        for size in [64, 224] {
            let start = Instant::now();
            for image in opened.iter().flat_map(|frames| &frames.images) {
                images::resize_crop_rgb(image, 256, 256, size).unwrap();
            }
            eprintln!("resize 8 frames to {size}: {:.2} ms", per_clip(start));
        }
    }
}
