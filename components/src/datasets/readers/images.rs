//! Clips as folders of JPEG or PNG frames, in natural order of the names.
//!
//! The frames of a clip have one name pattern: the name without its extension, with `*` in the place of each number.
//! Where a folder holds several, such as `img_*` and `flow_x_*`, the frames of one are chosen by name.

use super::entries::{NOT_UTF8, PNG_EXTENSIONS, entries, found, has_extension, message};
use super::passed_over::PassedOver;
use super::{ClipReader, FileRequest};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{open_regular, read_regular};
use maclip_framework::images::{self, Image, ImageHeader};
use maclip_framework::slots::dataset::{Opened, Take, Timeline};
use rayon::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The largest file of one frame, in bytes.
const LARGEST: u64 = 512 << 20;
/// Bytes at the end of a frame in which its end marker must lie.
const TAIL: usize = 4 << 10;

/// Reads folders of frames.
#[derive(Default)]
pub struct ImageReader {
    /// A clip with fewer frames cannot be used.
    pub min_frames: usize,
    /// The name pattern of the frames, such as `img_*` or `img_`; `None` where a folder has only one.
    pub pattern: Option<String>,
    /// What was found; a run asks for the same clips again and again.
    known: Mutex<HashMap<PathBuf, Arc<Clip>>>,
}

/// A clip whose frames were looked at.
struct Clip {
    /// File names in natural order. Names only: paths of millions of frames would fill the memory.
    frames: Vec<Box<str>>,
    size: ImageHeader,
    passed_over: PassedOver,
}

/// The name of a frame without its extension, with `*` in the place of each number.
fn pattern_of(name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let mut pattern = String::with_capacity(stem.len());
    for letter in stem.chars() {
        match letter.is_ascii_digit() {
            true if pattern.ends_with('*') => {}
            true => pattern.push('*'),
            false => pattern.push(letter),
        }
    }
    pattern
}

impl ImageReader {
    /// Looks at a clip without decoding it: names, headers and ends of its frames. The error is the reason why it
    /// cannot be used.
    fn inspect(&self, folder: &Path) -> std::result::Result<Clip, String> {
        let inside = entries(folder).map_err(|error| message(&error))?;
        if let Some(name) = inside.not_utf8.first() {
            return Err(format!("{name}: {NOT_UTF8}"));
        }
        if inside.jpegs.is_empty() && inside.pngs.is_empty() {
            return Err(format!("no JPEG or PNG frames: found {}", found(&inside)));
        }
        let mut passed_over = PassedOver::default();
        passed_over.add_files("", inside.others.iter().chain(&inside.videos));
        passed_over.add("nested folders", inside.folders.len(), || inside.folders[0].clone());
        let names = self.chosen(inside.jpegs, inside.pngs, &mut passed_over)?;
        let size = self.one_size(names.iter().map(String::as_str), |at| check_frame(&folder.join(&names[at])))?;
        Ok(Clip { frames: names.into_iter().map(String::into_boxed_str).collect(), size, passed_over })
    }

    /// The names of a clip's frames, of those of all its JPEG and PNG files in natural order. The error is the reason
    /// why the clip cannot be used.
    pub(in crate::datasets) fn chosen(
        &self,
        jpegs: Vec<String>,
        pngs: Vec<String>,
        passed_over: &mut PassedOver,
    ) -> std::result::Result<Vec<String>, String> {
        let jpegs = self.of_pattern(jpegs, passed_over);
        let pngs = self.of_pattern(pngs, passed_over);
        let names = match (jpegs.len(), pngs.len()) {
            (0, 0) => {
                return Err(format!("no frame has the name pattern `{}`", self.pattern.as_deref().unwrap_or("*")));
            }
            (_, 0) => jpegs,
            (0, _) => pngs,
            (jpegs, pngs) => {
                return Err(format!("holds {jpegs} JPEG and {pngs} PNG files; a clip's frames must be of one kind"));
            }
        };
        let mut patterns: BTreeMap<String, usize> = BTreeMap::new();
        names.iter().for_each(|name| *patterns.entry(pattern_of(name)).or_default() += 1);
        if patterns.len() > 1 {
            const NAMED: usize = 5;
            let named: Vec<String> =
                patterns.iter().take(NAMED).map(|(pattern, frames)| format!("`{pattern}` ({frames})")).collect();
            let more = if patterns.len() > NAMED { ", …" } else { "" };
            return Err(format!(
                "holds frames of {} name patterns: {}{more}; a clip's frames have one, which `dataset.pattern` chooses",
                patterns.len(),
                named.join(", ")
            ));
        }
        if names.len() < self.min_frames {
            return Err(format!("{} frames, fewer than {}", names.len(), self.min_frames));
        }
        Ok(names)
    }

    /// The size of a clip's frames, which `header` gives by their place. The error is the reason why the clip cannot be
    /// used.
    pub(in crate::datasets) fn one_size<'n>(
        &self,
        names: impl Iterator<Item = &'n str>,
        header: impl Fn(usize) -> Result<ImageHeader>,
    ) -> std::result::Result<ImageHeader, String> {
        let mut size = None;
        for (at, name) in names.enumerate() {
            let header = header(at).map_err(|error| format!("{name}: {}", message(&error)))?;
            let first = *size.get_or_insert(header);
            if first != header {
                return Err(format!(
                    "{name} is {}x{}, the frames before it {}x{}",
                    header.width, header.height, first.width, first.height
                ));
            }
        }
        size.ok_or_else(|| "no frame".to_owned())
    }

    /// The frames of the pattern that was chosen; the others are passed over.
    fn of_pattern(&self, names: Vec<String>, passed_over: &mut PassedOver) -> Vec<String> {
        let Some(wanted) = &self.pattern else { return names };
        let is = |name: &String| {
            let pattern = pattern_of(name);
            pattern == *wanted || pattern.strip_suffix('*') == Some(wanted)
        };
        let (taken, others): (Vec<String>, Vec<String>) = names.into_iter().partition(is);
        passed_over.add("frames of other name patterns", others.len(), || others[0].clone());
        taken
    }

    fn clip(&self, folder: &Path) -> Result<Arc<Clip>> {
        // The map holds only finished entries, so it is sound even after a panic elsewhere.
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clip) = known().get(folder) {
            return Ok(clip.clone());
        }
        let clip = self.inspect(folder).map_err(|why| Error::failed(format!("clip {}: {why}", folder.display())))?;
        let clip = Arc::new(clip);
        known().insert(folder.to_path_buf(), clip.clone());
        Ok(clip)
    }

    fn read_one(&self, request: &FileRequest) -> Result<Opened> {
        let folder = request.path;
        let clip = self.clip(folder)?;
        let timeline = Timeline::of(clip.frames.len());
        let indices = (request.choose)(&timeline)?;
        let images = super::each_once(&indices, |index| {
            let name = clip.frames.get(index).ok_or_else(|| super::no_frame(folder, timeline.frames, index))?;
            (request.each)(decode_frame(&folder.join(&**name), clip.size)?)
        })?;
        Opened::new(timeline, indices, images)
    }
}

impl ClipReader for ImageReader {
    fn timeline(&self, path: &Path) -> Result<Timeline> {
        Ok(Timeline::of(self.clip(path)?.frames.len()))
    }

    fn read(&self, requests: &[FileRequest]) -> Vec<Result<Opened>> {
        requests.par_iter().map(|request| self.read_one(request)).collect()
    }

    fn stream(&self, path: &Path, take: &mut Take) -> Result<Timeline> {
        let timeline = self.timeline(path)?;
        for index in 0..timeline.frames {
            let request = FileRequest { path, choose: &|_| Ok(vec![index]), each: &Ok };
            let opened = self.read_one(&request)?;
            opened.frames.into_images().try_for_each(|image| take(&timeline, index, image))?;
        }
        Ok(timeline)
    }

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>> {
        Ok(self.clip(path)?.frames.iter().map(|name| path.join(&**name)).collect())
    }

    fn check(&self, path: &Path) -> std::result::Result<PassedOver, String> {
        let clip = self.inspect(path)?;
        let passed_over = clip.passed_over.clone();
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), Arc::new(clip));
        Ok(passed_over)
    }
}

fn decode_frame(path: &Path, size: ImageHeader) -> Result<Image> {
    let bytes = read_regular(path, LARGEST).map_err(|error| Error::io("read", path, error))?;
    let image = decode(&bytes, is_png(path))
        .map_err(|error| Error::failed(format!("cannot decode {}: {}", path.display(), message(&error))))?;
    if (image.width, image.height) != (size.width, size.height) {
        return Err(Error::failed(format!(
            "{} is {}x{}, but was {}x{} when the clip was listed",
            path.display(),
            image.width,
            image.height,
            size.width,
            size.height
        )));
    }
    Ok(image)
}

/// A JPEG or PNG as pixels.
pub(in crate::datasets) fn decode(bytes: &[u8], png: bool) -> Result<Image> {
    if png { images::decode_png(bytes) } else { images::decode_jpeg(bytes) }
}

pub(in crate::datasets) fn is_png(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| has_extension(name, PNG_EXTENSIONS))
}

/// Checks the header and the end of a JPEG or PNG without reading what lies between, metadata among it: enough to find
/// truncated files at the cost of a few short reads each.
pub(in crate::datasets) fn check_frame(path: &Path) -> Result<ImageHeader> {
    let failed = |error| Error::io("read", path, error);
    let mut file = open_regular(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    check_frame_in(&mut file, size, is_png(path))
}

/// [`check_frame`] of `size` bytes wherever they are.
pub(in crate::datasets) fn check_frame_in(file: &mut (impl Read + Seek), size: u64, png: bool) -> Result<ImageHeader> {
    let failed = |error: std::io::Error| Error::failed(format!("cannot be read: {error}"));
    if size == 0 {
        return Err(Error::failed("the file is empty"));
    }
    if size > LARGEST {
        return Err(Error::failed(format!("has {size} bytes; a frame has at most {LARGEST}")));
    }
    let mut start = BufReader::new(&mut *file);
    let size_of_image = if png { images::png_header(&mut start)? } else { images::jpeg_header(&mut start)? };
    let mut tail = Vec::with_capacity(TAIL);
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL as u64))).map_err(failed)?;
    file.take(TAIL as u64).read_to_end(&mut tail).map_err(failed)?;
    if png && !images::has_end_of_png(&tail) {
        return Err(Error::failed("the PNG is truncated: its end is missing"));
    }
    if !png && !images::has_end_of_image(&tail) {
        return Err(Error::failed("the JPEG is truncated: its end marker is missing"));
    }
    Ok(size_of_image)
}
