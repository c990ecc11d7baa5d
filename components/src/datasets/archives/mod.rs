//! Clips inside archives: zip files with folders of frames or videos, as TRX publishes its data, and the tar shards of
//! WebDataset.
//!
//! An archive is indexed once, by the names and places of its entries, and each entry is read where it lies. Nothing is
//! unpacked. Only a video is copied for the time in which it is decoded, because FFmpeg seeks in it. Sizes in an
//! archive are believed only as far as bytes come.

mod braces;
mod reader;
mod samples;
mod tar_file;
#[cfg(test)]
mod tests;
mod zip_file;

pub use braces::expand;
pub use reader::{ArchiveReader, PackedRequest};
pub use samples::Sample;

use super::readers::entries::{has_extension, natural};
use super::readers::{is_image, is_video};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::sha256;
use maclip_framework::slots::dataset::FilePart;
use maclip_language::first_of;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// The largest entry that is held in memory, in bytes: a frame, a label or an array of features.
const LARGEST: u64 = 512 << 20;
/// Problems of an archive that a message names; the others are counted.
const NAMED: usize = 10;

/// An entry of an archive.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Number of the archive.
    archive: u32,
    /// Its name without the folder.
    pub name: Box<str>,
    at: At,
}

/// Where the bytes of an entry are.
#[derive(Clone, Copy, Debug)]
enum At {
    /// As they are: the first byte and their number.
    Tar { start: u64, size: u64 },
    /// Perhaps compressed, behind a header of their own.
    Zip { way: rawzip::ZipArchiveEntryWayfinder, crc: u32, deflated: bool },
}

/// What an entry or several make: a clip.
#[derive(Clone, Debug)]
pub enum Packed {
    /// JPEG or PNG files, in natural order.
    Frames(Vec<Entry>),
    /// A video file.
    Video(Entry),
    /// A file with an array of features.
    Array(Entry),
}

/// How the entries of an archive make clips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder of frames is a clip, and so is a video: zip files.
    Folders,
    /// Entries whose names are the same up to the first dot are one clip with its label: the shards of WebDataset.
    Samples,
}

impl Kind {
    /// What a file of this name is; `None` where it is no archive.
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.to_str()?;
        if has_extension(name, &["tar"]) {
            Some(Kind::Samples)
        } else {
            has_extension(name, &["zip", "npz"]).then_some(Kind::Folders)
        }
    }
}

/// What a clip is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// A video or frames.
    #[default]
    Pixels,
    /// An array `[frames, width]` of features, in `.npy` or safetensors. The backbone is then `precomputed`.
    Features,
}

impl Content {
    /// As recipes write it.
    fn name(self) -> &'static str {
        if self == Content::Features { "features" } else { "pixels" }
    }

    /// What is passed over.
    fn other(self) -> &'static str {
        if self == Content::Features { "videos and pictures" } else { "arrays of features" }
    }

    /// Whether a file of this name is a clip or a part of one; `None` where it is nothing of that kind.
    fn has(self, name: &str) -> Option<bool> {
        let known = is_image(name) || is_video(name) || is_array(name);
        known.then(|| is_array(name) == (self == Content::Features))
    }
}

/// One archive that is open.
enum Archive {
    Zip(zip_file::ZipFile),
    Tar(tar_file::TarFile),
}

/// An archive, what it lists, and what to know about it.
type Opened = (Archive, Vec<Listed>, Vec<String>);

/// A name and an entry as an archive lists them.
struct Listed {
    path: String,
    at: At,
}

/// The clips of one zip file, or of the shards that a brace pattern names.
pub struct Archives {
    paths: Vec<PathBuf>,
    open: Vec<Archive>,
    /// By their path in the archive: the folder of the frames, the video without its extension, the key of the sample.
    clips: BTreeMap<String, Packed>,
    /// Labels of samples, by the same names.
    samples: BTreeMap<String, Sample>,
    /// Names of clips by the last part of their path, in lower case.
    by_name: HashMap<String, Vec<String>>,
    /// Entries of the other are passed over.
    content: Content,
    /// Entries that would be clips of the other content.
    others: usize,
    /// What a reader of the result must know.
    pub notes: Vec<String>,
}

impl Archives {
    /// Opens the archives that `pattern` names, such as `clips.zip` or `shards/{000..003}.tar`, and lists their clips.
    ///
    /// # Errors
    /// Where one is missing, is no archive or is cut, and where a clip is there twice; all that is wrong is named at
    /// once.
    pub fn open(pattern: &Path, content: Content) -> Result<Self> {
        let kind = Kind::of(pattern).ok_or_else(|| {
            Error::failed(format!("{} is no archive that is read", pattern.display()))
                .help("a zip file, or tar files without compression, such as shards/{000..003}.tar")
        })?;
        let paths = expand(pattern)?;
        let opened: Vec<Result<Opened>> = paths
            .par_iter()
            .map(|path| match kind {
                Kind::Folders => {
                    zip_file::ZipFile::open(path).map(|(file, listed)| (Archive::Zip(file), listed, vec![]))
                }
                Kind::Samples => {
                    tar_file::TarFile::open(path).map(|(file, listed, notes)| (Archive::Tar(file), listed, notes))
                }
            })
            .collect();
        let problems: Vec<String> =
            opened.iter().filter_map(|opened| opened.as_ref().err().map(Error::reason)).collect();
        if !problems.is_empty() {
            let what = format!("{} of {} archives cannot be read", problems.len(), paths.len());
            return Err(Error::failed(format!("{what}:{}", several(&problems)))
                .help("look at the files, and fetch again what was cut on its way"));
        }
        let mut all = Self {
            paths,
            open: Vec::new(),
            clips: BTreeMap::new(),
            samples: BTreeMap::new(),
            by_name: HashMap::new(),
            content,
            others: 0,
            notes: Vec::new(),
        };
        let mut entries = Vec::new();
        for (number, (archive, listed, notes)) in opened.into_iter().flatten().enumerate() {
            all.open.push(archive);
            all.notes.extend(notes);
            let number = u32::try_from(number).map_err(|_| Error::failed("there are too many archives"))?;
            entries.extend(listed.into_iter().map(|Listed { path, at }| (path, number, at)));
        }
        match kind {
            Kind::Folders => all.group_folders(entries)?,
            Kind::Samples => all.group_samples(entries)?,
        }
        if all.others > 0 {
            let (many, what, said) = (all.others, content.other(), content.name());
            all.notes.push(format!("{many} {what} of {} are passed over: dataset.clips is {said}", all.label()));
        }
        for path in all.clips.keys() {
            all.by_name.entry(last(path).to_lowercase()).or_default().push(path.clone());
        }
        Ok(all)
    }

    /// Makes clips of folders of frames, and of single files.
    fn group_folders(&mut self, entries: Vec<(String, u32, At)>) -> Result<()> {
        let mut frames: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        let mut files: BTreeMap<String, (String, Entry)> = BTreeMap::new();
        let mut problems = Vec::new();
        let paths = &self.paths;
        let place = |number: u32| paths[number as usize].display();
        for (path, archive, at) in entries {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let entry = Entry { archive, name: name.into(), at };
            match self.content.has(name) {
                _ if name.starts_with('.') => {}
                None => {}
                Some(false) => self.others += 1,
                Some(true) if is_image(name) => frames.entry(folder.to_owned()).or_default().push(entry),
                Some(true) => match files.get(stem(&path)) {
                    Some((other, first)) if *other == path => {
                        problems.push(format!("{path} is in {} and in {}", place(first.archive), place(archive)));
                    }
                    Some((other, first)) => problems.push(format!(
                        "{other} in {} and {path} in {} differ only in their extension",
                        place(first.archive),
                        place(archive)
                    )),
                    None => _ = files.insert(stem(&path).to_owned(), (path.clone(), entry)),
                },
            }
        }
        // Pictures at the top and beside videos, such as previews, are no frames of a clip.
        let above: HashSet<&str> =
            files.keys().map(|path| path.rsplit_once('/').map_or("", |(folder, _)| folder)).chain([""]).collect();
        let pictures: usize =
            frames.extract_if(.., |folder, _| above.contains(&**folder)).map(|(_, all)| all.len()).sum();
        for (folder, entries) in &frames {
            if let Some(other) = entries.iter().find(|entry| entry.archive != entries[0].archive) {
                let (first, other) = (place(entries[0].archive), place(other.archive));
                problems.push(format!("{folder} has frames in {first} and in {other}"));
            }
        }
        if !problems.is_empty() {
            let what = format!("{} clips are there twice", problems.len());
            return Err(Error::failed(format!("{what}:{}", several(&problems)))
                .help("a clip is one entry or one folder of one archive: take one of both out, or call it otherwise"));
        }
        for (path, (_, entry)) in files {
            let array = self.content == Content::Features;
            self.clips.insert(path, if array { Packed::Array(entry) } else { Packed::Video(entry) });
        }
        let mut beside = 0;
        for (folder, mut entries) in frames {
            entries.sort_by(|a, b| natural(&a.name, &b.name));
            beside += usize::from(self.clips.insert(folder, Packed::Frames(entries)).is_some());
        }
        if pictures > 0 {
            let place = self.label();
            self.notes.push(format!("{pictures} pictures of {place} are in no folder of a clip, and are passed over"));
        }
        if beside > 0 {
            self.notes.push(format!("{beside} videos are passed over: the frames of the same clip lie beside them"));
        }
        Ok(())
    }

    /// What the archives are called, for messages.
    pub fn label(&self) -> String {
        match self.paths.as_slice() {
            [one] => one.display().to_string(),
            many => format!("{} and {} more archives", many[0].display(), many.len() - 1),
        }
    }

    /// Clips by their paths.
    pub fn clips(&self) -> &BTreeMap<String, Packed> {
        &self.clips
    }

    /// Labels of samples by their keys; none where clips are folders.
    pub fn samples(&self) -> &BTreeMap<String, Sample> {
        &self.samples
    }

    /// SHA-256 (hex) over the names and sizes of all entries, their checksums where the archive has some, and the
    /// labels: it changes whenever the list of clips does. The bytes of the clips have checksums of their own.
    pub fn sum(&self) -> String {
        let mut text = String::new();
        for (path, clip) in &self.clips {
            let entries = clip.entries().iter().map(|entry| match entry.at {
                At::Tar { size, .. } => format!("{} {size}", entry.name),
                At::Zip { way, crc, .. } => format!("{} {} {crc}", entry.name, way.uncompressed_size_hint()),
            });
            let label = self.samples.get(path).map(|sample| &sample.label);
            text += &format!("{path:?} {:?} {label:?}\n", entries.collect::<Vec<_>>());
        }
        sha256(text.as_bytes())
    }

    /// What is there, for messages.
    pub fn describe(&self) -> String {
        const SHOWN: usize = 4;
        let names: Vec<&str> = self.clips.keys().take(SHOWN).map(String::as_str).collect();
        let more = if self.clips.len() > SHOWN { ", …" } else { "" };
        match names.is_empty() {
            true if self.others > 0 => {
                let (what, said) = (self.content.other(), self.content.name());
                format!("no clip but {} {what}, and dataset.clips is {said}", self.others)
            }
            true => "no clip".to_owned(),
            false => format!("{} clips ({}{more})", self.clips.len(), names.join(", ")),
        }
    }

    /// The path of the clip that a list calls `name`, of a class with this name and in this split: at that path, or
    /// with that path at its end. Of several, one in that very case, and one in the folder of the split or the class.
    ///
    /// # Errors
    /// Where there is none, or several; the reason is a text without the name of the list.
    pub fn find(&self, name: &str, class: &str, split: &str) -> std::result::Result<&str, String> {
        // A folder of frames may be called as a video is.
        for wanted in [name, stem(name)] {
            if let Some((path, _)) = self.clips.get_key_value(wanted) {
                return Ok(path);
            }
            let mut found = self.ending_in(wanted);
            let exact = |path: &&str| path.ends_with(wanted);
            if found.iter().any(exact) {
                found.retain(exact);
            }
            for folder in [split, class] {
                let has = |path: &&str| path.split('/').any(|part| part.eq_ignore_ascii_case(folder));
                if found.len() > 1 && found.iter().any(has) {
                    found.retain(has);
                }
            }
            match found.as_slice() {
                [] => {}
                [one] => return Ok(one),
                many => return Err(format!("`{wanted}` may be {} or {}: write more of its path", many[0], many[1])),
            }
        }
        let (wanted, label) = (stem(name), self.label());
        Err(format!("not found: looked for an entry that ends in `{wanted}` in {label}, which has {}", self.describe()))
    }

    /// Clips whose paths end with all parts of `wanted`, in any case.
    fn ending_in(&self, wanted: &str) -> Vec<&str> {
        let low = wanted.to_lowercase();
        let ends = |path: &&str| {
            let path = path.to_lowercase();
            path.strip_suffix(&low).is_some_and(|before| before.is_empty() || before.ends_with('/'))
        };
        self.by_name.get(last(&low)).into_iter().flatten().map(String::as_str).filter(ends).collect()
    }

    /// The bytes of a small entry, compared with its checksum where it has one.
    ///
    /// # Errors
    /// Where it cannot be read, is damaged or is too large.
    pub fn bytes(&self, entry: &Entry) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(entry, LARGEST, &mut bytes)?;
        Ok(bytes)
    }

    /// Writes the bytes of an entry, of which there may be at most `limit`.
    fn copy(&self, entry: &Entry, limit: u64, to: &mut impl std::io::Write) -> Result<()> {
        let path = &self.paths[entry.archive as usize];
        let copied = match &self.open[entry.archive as usize] {
            Archive::Zip(file) => file.copy(entry.at, limit, to),
            Archive::Tar(file) => file.copy(entry.at, limit, to),
        };
        copied.map_err(|error| Error::failed(format!("cannot read {} in {}: {error}", entry.name, path.display())))
    }

    /// The bytes of an entry in its file, as [`maclip_framework::slots::dataset::Dataset::files`] names them.
    ///
    /// # Errors
    /// Where the header of the entry cannot be read.
    pub fn part(&self, entry: &Entry) -> Result<FilePart> {
        let path = &self.paths[entry.archive as usize];
        let range = match &self.open[entry.archive as usize] {
            Archive::Zip(file) => file.range(entry.at),
            Archive::Tar(file) => file.range(entry.at),
        };
        let range = range.map_err(|error| Error::io("read", path, error))?;
        Ok(FilePart { path: path.clone(), range: Some(range), section: String::new() })
    }

    /// The parts of files that a clip is made of.
    ///
    /// # Errors
    /// As [`Archives::part`].
    pub fn parts(&self, clip: &Packed) -> Result<Vec<FilePart>> {
        clip.entries().iter().map(|entry| self.part(entry)).collect()
    }
}

impl Packed {
    /// The entries that it is made of.
    pub fn entries(&self) -> &[Entry] {
        match self {
            Packed::Frames(entries) => entries,
            Packed::Video(entry) | Packed::Array(entry) => std::slice::from_ref(entry),
        }
    }
}

/// Whether a file of this name holds an array of features.
pub fn is_array(name: &str) -> bool {
    has_extension(name, &["npy", "safetensors"])
}

/// A path without the extension of a video or an array.
pub fn stem(path: &str) -> &str {
    if is_video(path) || is_array(path) { path.rsplit_once('.').map_or(path, |(stem, _)| stem) } else { path }
}

/// The last part of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Problems, one a line; the first are named and the others counted.
fn several(problems: &[String]) -> String {
    format!("\n  {}", first_of(problems.iter(), NAMED, "\n  "))
}
