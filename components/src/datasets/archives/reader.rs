//! Clips of archives, turned into frames.

use super::{Archive, Archives, At, Entry, LARGEST, Packed};
use crate::datasets::readers::images::{check_frame_in, decode, is_png};
use crate::datasets::readers::passed_over::{PassedOver, extension};
use crate::datasets::readers::video::{VideoReader, check_in};
use crate::datasets::readers::{ClipReader, FileRequest, Readers, each_once, no_frame};
use maclip_framework::error::{Error, Result};
use maclip_framework::images::{Image, ImageHeader};
use maclip_framework::slots::dataset::{Choose, Opened, Take, Timeline};
use rayon::prelude::*;
use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Videos that are copied at once.
const AT_ONCE: usize = 16;
/// The largest video that is copied, in bytes.
const LARGEST_VIDEO: u64 = 16 << 30;

/// Reads the clips of archives as other readers read those on the disk.
pub struct ArchiveReader<'a> {
    /// Where the clips are.
    pub archives: &'a Archives,
    /// How frames are chosen by name, and what decodes videos.
    pub readers: &'a Readers,
}

/// A clip to read, as [`FileRequest`] has one of the disk.
#[derive(Clone, Copy)]
pub struct PackedRequest<'a> {
    /// Its name in messages.
    pub id: &'a str,
    /// The clip.
    pub clip: &'a Packed,
    /// Chooses frames.
    pub choose: &'a Choose<'a>,
    /// What is done to each frame.
    pub each: &'a (dyn Fn(Image) -> Result<Image> + Sync),
}

impl ArchiveReader<'_> {
    /// Looks at a clip without decoding it: the headers and ends of its frames, or the header of its video. That of a
    /// compressed video is looked at only with `whole`, because all of it has to be copied.
    ///
    /// # Errors
    /// The reason why it cannot be used.
    pub fn check(&self, clip: &Packed, whole: bool) -> std::result::Result<PassedOver, String> {
        let mut passed_over = PassedOver::default();
        match clip {
            Packed::Frames(entries) => {
                let frames = self.frames(entries, &mut passed_over)?;
                let header = |at: usize| self.header(frames[at]);
                self.readers.images.one_size(frames.iter().map(|entry| &*entry.name), header)?;
            }
            Packed::Video(entry) => {
                let name = Path::new(&*entry.name);
                if let Some(mut window) = self.archives.window(entry).map_err(|error| error.reason())? {
                    let length = window.length;
                    check_in(&mut window, length, name)?;
                } else if whole {
                    let copy = self.copy(entry).map_err(|error| error.reason())?;
                    let shown = |why: String| why.replace(&copy.path().display().to_string(), &entry.name);
                    self.readers.check(copy.path()).map_err(shown)?;
                }
            }
            Packed::Array(entry) => {
                if self.archives.part(entry).is_ok_and(|part| part.range.is_some_and(|range| range.is_empty())) {
                    return Err("the file is empty".to_owned());
                }
            }
        }
        Ok(passed_over)
    }

    /// The frames of a clip by the rules for folders, in natural order.
    fn frames<'e>(
        &self,
        entries: &'e [Entry],
        passed_over: &mut PassedOver,
    ) -> std::result::Result<Vec<&'e Entry>, String> {
        let names = |png: bool| {
            let of = entries.iter().filter(move |entry| is_png(Path::new(&*entry.name)) == png);
            of.map(|entry| entry.name.to_string()).collect()
        };
        let chosen = self.readers.images.chosen(names(false), names(true), passed_over)?;
        // Both are in one order, so each name is found behind the one before it.
        let mut rest = entries.iter();
        let find =
            |name: &String| rest.find(|entry| *entry.name == **name).ok_or_else(|| format!("{name} is not there"));
        chosen.iter().map(find).collect()
    }

    fn header(&self, entry: &Entry) -> Result<ImageHeader> {
        let png = is_png(Path::new(&*entry.name));
        match self.archives.window(entry)? {
            Some(mut window) if window.length <= LARGEST => {
                let length = window.length;
                check_frame_in(&mut window, length, png)
            }
            _ => {
                let bytes = self.archives.bytes(entry)?;
                check_frame_in(&mut Cursor::new(&bytes), bytes.len() as u64, png)
            }
        }
    }

    /// Length and frame rate of a clip.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn timeline(&self, id: &str, clip: &Packed) -> Result<Timeline> {
        match clip {
            Packed::Frames(entries) => {
                let frames = self.frames(entries, &mut PassedOver::default());
                frames
                    .map(|frames| Timeline::of(frames.len()))
                    .map_err(|why| Error::failed(format!("clip {id}: {why}")))
            }
            Packed::Video(entry) => self.copied(id, entry, |video, path| video.timeline(path)),
            Packed::Array(_) => Err(no_pictures(id)),
        }
    }

    /// Reads several clips, as [`ClipReader::read`] does.
    pub fn read(&self, requests: &[PackedRequest]) -> Vec<Result<Opened>> {
        let parts = requests.chunks(AT_ONCE).map(|part| self.read_part(part));
        parts.collect::<Vec<_>>().into_iter().flatten().collect()
    }

    fn read_part(&self, requests: &[PackedRequest]) -> Vec<Result<Opened>> {
        let copies: Vec<Option<Result<NamedTempFile>>> = requests
            .par_iter()
            .map(|request| match request.clip {
                Packed::Video(entry) => Some(self.copy(entry)),
                _ => None,
            })
            .collect();
        let video = self.readers.video.fresh();
        let (mut places, mut files) = (Vec::new(), Vec::new());
        for (at, (request, copy)) in requests.iter().zip(&copies).enumerate() {
            if let Some(Ok(copy)) = copy {
                places.push(at);
                files.push(FileRequest { path: copy.path(), choose: request.choose, each: request.each });
            }
        }
        let mut decoded: Vec<Option<Result<Opened>>> = requests.iter().map(|_| None).collect();
        for ((&at, outcome), file) in places.iter().zip(video.read(&files)).zip(&files) {
            decoded[at] = Some(outcome.map_err(|error| named(error, file.path, requests[at].id)));
        }
        type Parts<'r> = ((&'r PackedRequest<'r>, Option<Result<NamedTempFile>>), Option<Result<Opened>>);
        let one = |((request, copy), decoded): Parts| match (copy, decoded) {
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)), decoded) => decoded.unwrap_or_else(|| Err(no_pictures(request.id))),
            (None, _) => self.read_frames(request),
        };
        requests.par_iter().zip(copies).zip(decoded).map(one).collect()
    }

    fn read_frames(&self, request: &PackedRequest) -> Result<Opened> {
        let failed = |why: String| Error::failed(format!("clip {}: {why}", request.id));
        let Packed::Frames(entries) = request.clip else { return Err(no_pictures(request.id)) };
        let frames = self.frames(entries, &mut PassedOver::default()).map_err(failed)?;
        let timeline = Timeline::of(frames.len());
        let indices = (request.choose)(&timeline)?;
        let images = each_once(&indices, |index| {
            let entry = frames.get(index).ok_or_else(|| no_frame(Path::new(request.id), timeline.frames, index))?;
            let bytes = self.archives.bytes(entry).map_err(|error| failed(error.reason()))?;
            let image = decode(&bytes, is_png(Path::new(&*entry.name)));
            let image = image.map_err(|error| failed(format!("cannot decode {}: {}", entry.name, error.reason())))?;
            (request.each)(image)
        })?;
        Opened::new(timeline, indices, images).map_err(|error| failed(error.reason()))
    }

    /// All frames of a clip, as [`ClipReader::stream`] gives them.
    ///
    /// # Errors
    /// Where the clip cannot be read, and the error of `take`.
    pub fn stream(&self, id: &str, clip: &Packed, take: &mut Take) -> Result<Timeline> {
        if let Packed::Video(entry) = clip {
            return self.copied(id, entry, |video, path| video.stream(path, take));
        }
        let timeline = self.timeline(id, clip)?;
        for index in 0..timeline.frames {
            let opened = self.read_frames(&PackedRequest { id, clip, choose: &|_| Ok(vec![index]), each: &Ok })?;
            opened.frames.into_images().try_for_each(|image| take(&timeline, index, image))?;
        }
        Ok(timeline)
    }

    /// A file with the bytes of an entry, as long as it is held.
    fn copy(&self, entry: &Entry) -> Result<NamedTempFile> {
        let folder = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("maclip-clip-").suffix(&extension(&entry.name)).tempfile_in(&folder);
        let mut file = made.map_err(|error| {
            Error::io("make a file in", &folder, error).help("name a folder with free room in the variable TMPDIR")
        })?;
        self.archives.copy(entry, LARGEST_VIDEO, &mut file)?;
        Ok(file)
    }

    fn copied<T>(&self, id: &str, entry: &Entry, work: impl FnOnce(&VideoReader, &Path) -> Result<T>) -> Result<T> {
        let copy = self.copy(entry)?;
        work(&self.readers.video.fresh(), copy.path()).map_err(|error| named(error, copy.path(), id))
    }
}

/// An error of a copy, with the name of the clip in place of that of the copy.
fn named(error: Error, copy: &Path, id: &str) -> Error {
    match error {
        Error::Failed { message, help, place } => {
            Error::Failed { message: message.replace(&copy.display().to_string(), id), help, place }
        }
        other => other,
    }
}

fn no_pictures(id: &str) -> Error {
    Error::failed(format!("clip {id} is an array of features, and has no frames"))
        .help("say `dataset.clips: features` with `backbone: {type: precomputed, width: WIDTH}`")
}

/// The bytes of an entry that is not compressed, in its archive.
pub(super) struct Window<'a> {
    file: &'a File,
    start: u64,
    length: u64,
    position: u64,
}

impl Archives {
    /// The bytes of an entry where they lie; `None` where they are compressed.
    pub(super) fn window(&self, entry: &Entry) -> Result<Option<Window<'_>>> {
        if matches!(entry.at, At::Zip { deflated: true, .. }) {
            return Ok(None);
        }
        let Some(range) = self.part(entry)?.range else { return Ok(None) };
        let file = match &self.open[entry.archive as usize] {
            Archive::Zip(file) => file.file(),
            Archive::Tar(file) => file.file(),
        };
        let length = range.end.saturating_sub(range.start);
        Ok(Some(Window { file, start: range.start, length, position: 0 }))
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let part = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..part], self.start + self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for Window<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = to.ok_or_else(|| std::io::Error::other("a seek before the first byte"))?;
        Ok(self.position)
    }
}
