//! Clips as folders of JPEG or PNG frames, in natural order of the names.

use super::entries::{NOT_UTF8, PNG_EXTENSIONS, entries, found, has_extension, message};
use super::{ClipReader, FileRequest};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{self, Image, ImageHeader};
use maclip_framework::slots::dataset::{Opened, Timeline};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes read from the start of a frame. The header of a plain frame is far shorter.
const HEAD: usize = 16 << 10;
/// Bytes at the end of a frame in which its end marker must lie.
const TAIL: usize = 4 << 10;

/// Reads folders of frames.
#[derive(Default)]
pub struct ImageReader {
    /// A clip with fewer frames cannot be used.
    pub min_frames: usize,
    /// What was found; a run asks for the same clips again and again.
    known: Mutex<HashMap<PathBuf, Arc<Clip>>>,
}

/// A clip whose frames were looked at.
struct Clip {
    /// File names in natural order. Names only: paths of millions of frames would fill the memory.
    frames: Vec<Box<str>>,
    size: ImageHeader,
}

impl ImageReader {
    /// Looks at a clip without decoding it: names, headers and ends of its frames. The error is the reason why it
    /// cannot be used.
    fn inspect(&self, folder: &Path) -> std::result::Result<Clip, String> {
        let inside = entries(folder).map_err(|error| message(&error))?;
        if let Some(name) = inside.not_utf8.first() {
            return Err(format!("{name}: {NOT_UTF8}"));
        }
        let names = match (inside.jpegs.len(), inside.pngs.len()) {
            (0, 0) => return Err(format!("no JPEG or PNG frames: found {}", found(&inside))),
            (_, 0) => inside.jpegs,
            (0, _) => inside.pngs,
            (jpegs, pngs) => {
                return Err(format!("holds {jpegs} JPEG and {pngs} PNG files; a clip's frames must be of one kind"));
            }
        };
        if names.len() < self.min_frames {
            return Err(format!("{} frames, fewer than {}", names.len(), self.min_frames));
        }
        let mut size = None;
        for name in &names {
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
        Ok(Clip { frames: names.into_iter().map(String::into_boxed_str).collect(), size })
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
        let mut images: Vec<Image> = Vec::with_capacity(indices.len());
        for (position, &index) in indices.iter().enumerate() {
            // Samplers repeat frames of clips that are shorter than the sample.
            if let Some(earlier) = indices[..position].iter().position(|&other| other == index) {
                images.push(images[earlier].clone());
                continue;
            }
            let name = clip.frames.get(index).ok_or_else(|| super::no_frame(folder, timeline.frames, index))?;
            images.push((request.each)(decode_frame(&folder.join(&**name), clip.size)?)?);
        }
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

    fn files(&self, path: &Path) -> Result<Vec<PathBuf>> {
        Ok(self.clip(path)?.frames.iter().map(|name| path.join(&**name)).collect())
    }

    fn check(&self, path: &Path) -> std::result::Result<(), String> {
        let clip = self.inspect(path)?;
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), Arc::new(clip));
        Ok(())
    }
}

fn decode_frame(path: &Path, size: ImageHeader) -> Result<Image> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, error))?;
    let decoded = if is_png(path) { images::decode_png(&bytes) } else { images::decode_jpeg(&bytes) };
    let image =
        decoded.map_err(|error| Error::failed(format!("cannot decode {}: {}", path.display(), message(&error))))?;
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

fn is_png(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| has_extension(name, PNG_EXTENSIONS))
}

/// Checks the header and the end of a JPEG or PNG without reading what lies between: enough to find truncated files at
/// the cost of two short reads each.
pub(in crate::datasets) fn check_frame(path: &Path) -> Result<ImageHeader> {
    let png = is_png(path);
    let header = |head: &[u8]| if png { images::png_header(head) } else { images::jpeg_header(head) };
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
    let size_of_image = match header(&head) {
        // Metadata may push the header beyond the part that was read.
        Err(_) if size > HEAD as u64 => {
            file.read_to_end(&mut head).map_err(failed)?;
            header(&head)?
        }
        known => known?,
    };
    let tail = if head.len() as u64 >= size {
        head.split_off(head.len().saturating_sub(TAIL))
    } else {
        let mut tail = Vec::with_capacity(TAIL);
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL as u64))).map_err(failed)?;
        file.read_to_end(&mut tail).map_err(failed)?;
        tail
    };
    if png && !images::has_end_of_png(&tail) {
        return Err(Error::failed("the PNG is truncated: its end is missing"));
    }
    if !png && !images::has_end_of_image(&tail) {
        return Err(Error::failed("the JPEG is truncated: its end marker is missing"));
    }
    Ok(size_of_image)
}
