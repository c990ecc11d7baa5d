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
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
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
    /// What a reader of the result must know.
    pub notes: Vec<String>,
}

impl Archives {
    /// Opens the archives that `pattern` names, such as `clips.zip` or `shards/{000..003}.tar`, and lists their clips.
    ///
    /// # Errors
    /// Where one is missing, is no archive or is cut; all of them are named at once.
    pub fn open(pattern: &Path) -> Result<Self> {
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
            Kind::Folders => all.group_folders(entries),
            Kind::Samples => all.group_samples(entries)?,
        }
        for path in all.clips.keys() {
            all.by_name.entry(last(path).to_lowercase()).or_default().push(path.clone());
        }
        Ok(all)
    }

    /// Makes clips of folders of frames, and of single files.
    fn group_folders(&mut self, entries: Vec<(String, u32, At)>) {
        let mut frames: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for (path, archive, at) in entries {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
            let entry = Entry { archive, name: name.into(), at };
            if name.starts_with('.') {
                continue;
            }
            if is_image(name) {
                frames.entry(folder.to_owned()).or_default().push(entry);
            } else if is_video(name) {
                self.clips.insert(stem(&path).to_owned(), Packed::Video(entry));
            } else if is_array(name) {
                self.clips.insert(stem(&path).to_owned(), Packed::Array(entry));
            }
        }
        for (folder, mut entries) in frames {
            entries.sort_by(|a, b| natural(&a.name, &b.name));
            self.clips.insert(folder, Packed::Frames(entries));
        }
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

    /// SHA-256 (hex) over the names and places of all entries, their checksums where the archive has some, and the
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
            true => "no clip".to_owned(),
            false => format!("{} clips ({}{more})", self.clips.len(), names.join(", ")),
        }
    }

    /// The path of the clip that a list calls `name`, of a class with this name and in this split: at that path, or
    /// with that path at its end. Of several, one in the folder of the split or the class.
    ///
    /// # Errors
    /// Where there is none, or several; the reason is a text without the name of the list.
    pub fn find(&self, name: &str, class: &str, split: &str) -> std::result::Result<&str, String> {
        let wanted = stem(name.trim_start_matches("./").trim_end_matches('/'));
        if let Some((path, _)) = self.clips.get_key_value(wanted) {
            return Ok(path);
        }
        let none = || {
            format!(
                "not found: looked for an entry that ends in `{wanted}` in {}, which has {}",
                self.label(),
                self.describe()
            )
        };
        let same = self.by_name.get(&last(wanted).to_lowercase()).ok_or_else(none)?;
        let ends = |path: &&String| {
            path.len() == wanted.len() || path.as_bytes().get(path.len().wrapping_sub(wanted.len() + 1)) == Some(&b'/')
        };
        let mut found: Vec<&String> =
            same.iter().filter(|path| path.to_lowercase().ends_with(&wanted.to_lowercase())).filter(ends).collect();
        if found.is_empty() {
            return Err(none());
        }
        for folder in [split, class] {
            let has = |path: &&String| path.split('/').any(|part| part.eq_ignore_ascii_case(folder));
            if found.len() > 1 && found.iter().any(has) {
                found.retain(has);
            }
        }
        match found.as_slice() {
            [one] => Ok(one),
            many => Err(format!("`{wanted}` may be {} or {}: write more of its path", many[0], many[1])),
        }
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
    let named: String = problems.iter().take(NAMED).map(|problem| format!("\n  {problem}")).collect();
    let more = problems.len().saturating_sub(NAMED);
    if more > 0 { format!("{named}\n  and {more} more") } else { named }
}
