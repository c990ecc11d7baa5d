//! Clips on disk, turned into frames: folders of images and video files, behind one trait, and what picks the reader of
//! a path.
//!
//! Not here: which classes, splits and clips there are, which is what a dataset says.

pub(super) mod entries;
mod ffmpeg;
mod guarded;
pub mod images;
#[cfg(feature = "libav")]
mod libav;
mod messages;
mod mp4;
pub mod passed_over;
#[cfg(test)]
mod tests;
pub mod video;

#[cfg(feature = "libav")]
pub use libav::serve_if_asked;

use entries::{JPEG_EXTENSIONS, PNG_EXTENSIONS, has_extension};
use images::ImageReader;
use maclip_framework::error::{Error, Result};
use maclip_framework::images::Image;
use maclip_framework::registry::Problems;
use maclip_framework::slots::dataset::{FilePart, Opened, Request, Take, Timeline};
use passed_over::PassedOver;
use std::path::{Path, PathBuf};
use video::{Decoder, VideoReader};

/// Name and version of what turns files into pixels, as [`maclip_framework::slots::dataset::Dataset::decoder`] reports
/// it. The version changes whenever the pixels do.
pub const DECODER: &str = "ffmpeg-rgb24/2 zune/2";

/// Extensions of files that count as videos, in lower case.
pub const VIDEO_EXTENSIONS: &[&str] =
    &["3gp", "avi", "flv", "gif", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "ogv", "ts", "webm", "wmv"];

/// Whether a file of this name counts as a video, by its extension in any case.
pub fn is_video(name: &str) -> bool {
    has_extension(name, VIDEO_EXTENSIONS)
}

/// Whether a file of this name counts as a frame, by its extension in any case.
pub fn is_image(name: &str) -> bool {
    has_extension(name, JPEG_EXTENSIONS) || has_extension(name, PNG_EXTENSIONS)
}

/// A clip to read: a [`Request`] with the path of the clip instead of its name.
#[derive(Clone, Copy)]
pub struct FileRequest<'a> {
    /// The folder of frames, or the video file.
    pub path: &'a Path,
    /// Chooses frames by their index, once the number of frames is known.
    pub choose: &'a (dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync),
    /// What is done to each frame, such as resizing.
    pub each: &'a (dyn Fn(Image) -> Result<Image> + Sync),
}

/// Turns clips of one kind into frames.
pub trait ClipReader: Send + Sync {
    /// The exact number of frames, and their rate.
    ///
    /// # Errors
    /// Where the clip is not there, is damaged or has no frames.
    fn timeline(&self, path: &Path) -> Result<Timeline>;

    /// Reads several clips. Each has a result of its own, in the order of the requests: frames, or why this clip cannot
    /// be read.
    fn read(&self, requests: &[FileRequest]) -> Vec<Result<Opened>>;

    /// All frames of a clip, as [`maclip_framework::slots::dataset::Dataset::stream`] gives them.
    ///
    /// # Errors
    /// Where the clip cannot be read, and the error of `take`.
    fn stream(&self, path: &Path, take: &mut Take) -> Result<Timeline>;

    /// The files whose bytes decide the pixels, in a fixed order.
    ///
    /// # Errors
    /// Where the clip is not there or cannot be listed.
    fn files(&self, path: &Path) -> Result<Vec<PathBuf>>;

    /// Looks whether clips of this kind can be read at all.
    ///
    /// # Errors
    /// Where a program that reads them is missing or does not run.
    fn ready(&self) -> Result<()> {
        Ok(())
    }

    /// Looks at a clip without decoding it. Gives what lies in the clip's folder and is none of its frames.
    ///
    /// # Errors
    /// The reason why the clip cannot be used, as a text without the clip's name.
    fn check(&self, path: &Path) -> std::result::Result<PassedOver, String>;
}

/// All readers; a folder goes to the one for images, a file to the one for videos.
#[derive(Default)]
pub struct Readers {
    /// Reads folders of frames.
    pub images: ImageReader,
    /// Reads video files.
    pub video: VideoReader,
}

impl Readers {
    /// Readers whose videos `decoder` decodes.
    pub fn with(decoder: Decoder) -> Self {
        let mut readers = Self::default();
        readers.video.decoder = decoder;
        readers
    }

    /// See [`maclip_framework::registry::Component::required_inputs`]: whether this build has the option `decoder`.
    pub fn required_inputs(&self, problems: &mut Problems) {
        if let Err(why) = self.video.decoder.available() {
            problems.push("decoder", why);
        }
    }

    fn reader(&self, path: &Path) -> &dyn ClipReader {
        if path.is_dir() { &self.images } else { &self.video }
    }

    /// [`ClipReader::timeline`] of a folder or a file.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn timeline(&self, path: &Path) -> Result<Timeline> {
        self.reader(path).timeline(path)
    }

    /// [`ClipReader::ready`] for a folder or a file.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn ready(&self, path: &Path) -> Result<()> {
        self.reader(path).ready()
    }

    /// [`ClipReader::stream`] of a folder or a file.
    ///
    /// # Errors
    /// Those of the reader, and the error of `take`.
    pub fn stream(&self, path: &Path, take: &mut Take) -> Result<Timeline> {
        self.reader(path).stream(path, take)
    }

    /// [`ClipReader::files`] of a folder or a file.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn files(&self, path: &Path) -> Result<Vec<PathBuf>> {
        self.reader(path).files(path)
    }

    /// [`ClipReader::check`] of a folder or a file.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn check(&self, path: &Path) -> std::result::Result<PassedOver, String> {
        self.reader(path).check(path)
    }

    /// [`maclip_framework::slots::dataset::Dataset::read`] for clips that `locate` finds.
    pub fn read(&self, requests: &[Request], locate: impl Fn(&str) -> Result<PathBuf>) -> Vec<Result<Opened>> {
        let paths: Vec<Result<PathBuf>> = requests.iter().map(|request| locate(request.clip)).collect();
        let there = requests.iter().zip(&paths).filter_map(|(request, path)| {
            let path = path.as_ref().ok()?;
            Some(FileRequest { path, choose: request.choose, each: request.each })
        });
        let mut read = self.read_files(&there.collect::<Vec<_>>()).into_iter();
        let missing = || Error::failed("a clip was not read");
        let outcome = |path: Result<PathBuf>| path.and_then(|_| read.next().unwrap_or_else(|| Err(missing())));
        paths.into_iter().map(outcome).collect()
    }

    /// [`ClipReader::read`] of folders and files.
    pub fn read_files(&self, requests: &[FileRequest]) -> Vec<Result<Opened>> {
        let mut outcomes: Vec<Option<Result<Opened>>> = requests.iter().map(|_| None).collect();
        let (folders, files): (Vec<usize>, Vec<usize>) =
            (0..requests.len()).partition(|&at| requests[at].path.is_dir());
        for (reader, places) in [(&self.images as &dyn ClipReader, &folders), (&self.video, &files)] {
            let group: Vec<FileRequest> = places.iter().map(|&at| requests[at]).collect();
            places.iter().zip(reader.read(&group)).for_each(|(&at, outcome)| outcomes[at] = Some(outcome));
        }
        let outcome = |(outcome, request): (Option<Result<Opened>>, &FileRequest)| {
            outcome.unwrap_or_else(|| Err(Error::failed(format!("clip {} was not read", request.path.display()))))
        };
        outcomes.into_iter().zip(requests).map(outcome).collect()
    }

    /// [`ClipReader::ready`] for video files.
    ///
    /// # Errors
    /// Where a program that reads them is missing or does not run.
    pub fn ready_for_videos(&self) -> Result<()> {
        self.video.ready()
    }
}

/// Files as [`maclip_framework::slots::dataset::Dataset::files`] gives them.
///
/// # Errors
/// Those of `files`.
pub fn parts(files: Result<Vec<PathBuf>>) -> Result<Vec<FilePart>> {
    files.map(|files| files.into_iter().map(FilePart::from).collect())
}

/// The frames `indices`, each read once: samplers repeat frames of clips that are shorter than the sample.
pub(in crate::datasets) fn each_once(
    indices: &[usize],
    mut read: impl FnMut(usize) -> Result<Image>,
) -> Result<Vec<Image>> {
    let mut images: Vec<Image> = Vec::with_capacity(indices.len());
    for (position, &index) in indices.iter().enumerate() {
        let image = match indices[..position].iter().position(|&other| other == index) {
            Some(earlier) => images[earlier].clone(),
            None => read(index)?,
        };
        images.push(image);
    }
    Ok(images)
}

/// The error for a frame beyond the end of a clip.
pub(in crate::datasets) fn no_frame(path: &Path, frames: usize, index: usize) -> Error {
    Error::failed(format!("clip {} has {frames} frames; there is no frame {index}", path.display()))
}
