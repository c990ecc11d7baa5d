//! Slot `dataset`: lists the clips of each class and split, and opens a clip as 8-bit frames.

use crate::error::Result;
use crate::images::Image;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

/// The three parts of a few-shot benchmark. They have no class in common, unless the dataset says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Classes for the training.
    Train,
    /// Classes for the choice of the checkpoint.
    Val,
    /// Classes for the result.
    Test,
}

impl Split {
    /// In the order of their use.
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

    /// `train`, `val` or `test`, as recipes and records write it.
    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Val => "val",
            Split::Test => "test",
        }
    }
}

/// One class of a split and its clips.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// The class text, as a person would say it; prompts make sentences of it.
    pub name: String,
    /// Identifiers of the clips, unique in the dataset, in a fixed order.
    pub clips: Vec<String>,
}

/// The classes and clips of one split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// In a fixed order.
    pub classes: Vec<Class>,
    /// Clips that the list names and that cannot be used: (clip, reason).
    pub skipped: Vec<(String, String)>,
    /// Whether `skipped` clips stop the run. Otherwise they are left out.
    pub strict: bool,
    /// SHA-256 (hex) of the files from which the split was read, by their names.
    pub sums: BTreeMap<String, String>,
    /// What a reader of the result must know, such as an unofficial list. Goes into the manifest.
    pub notes: Vec<String>,
    /// Sentences about files that lie among the clips and are none. They are told, and go into the manifest.
    #[serde(default)]
    pub passed_over: Vec<String>,
}

/// Length and frame rate of a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeline {
    /// Number of frames, at least 1.
    pub frames: usize,
    /// Mean number of frames per second; `None` where the clip has no frame rate, such as a folder of images.
    pub fps: Option<f64>,
}

impl Timeline {
    /// A clip of this number of frames, without a frame rate.
    pub fn of(frames: usize) -> Self {
        Self { frames, fps: None }
    }
}

/// Frames of one clip: T images of `height` × `width` pixels, RGB interleaved, 8 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    /// In pixels, of every frame.
    pub height: usize,
    /// In pixels, of every frame.
    pub width: usize,
    /// One buffer of `height * width * 3` bytes for each frame, in the order of time.
    pub images: Vec<Vec<u8>>,
}

impl Frames {
    /// From single images.
    ///
    /// # Errors
    /// Where they have different sizes.
    pub fn new(images: Vec<Image>) -> Result<Self> {
        let (width, height) = images.first().map_or((0, 0), |image| (image.width, image.height));
        if let Some(other) = images.iter().find(|image| (image.width, image.height) != (width, height)) {
            return Err(crate::error::Error::failed(format!(
                "the clip has frames of {width}x{height} and of {}x{}",
                other.width, other.height
            )));
        }
        Ok(Self { height, width, images: images.into_iter().map(|image| image.pixels).collect() })
    }

    /// The images one by one.
    pub fn into_images(self) -> impl Iterator<Item = Image> {
        let (width, height) = (self.width, self.height);
        self.images.into_iter().map(move |pixels| Image { width, height, pixels })
    }
}

/// A clip to read, for [`Dataset::read`].
pub struct Request<'a> {
    /// Its identifier.
    pub clip: &'a str,
    /// Chooses frames; each index must be below the number of frames. It is called again if decoding shows another
    /// number of frames than the file's header, so it must return the same for the same timeline.
    pub choose: &'a (dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync),
    /// Applied to each frame as soon as it is decoded, such as a resize. The frame of full size is dropped then, which
    /// saves memory.
    pub each: &'a (dyn Fn(Image) -> Result<Image> + Sync),
}

/// The result of a [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    /// Length and frame rate, as the decoder found them.
    pub timeline: Timeline,
    /// The indices that the request chose.
    pub indices: Vec<usize>,
    /// Those frames, in the order of `indices`.
    pub frames: Frames,
}

impl Opened {
    /// From the images of the chosen frames.
    ///
    /// # Errors
    /// Where the images have different sizes.
    pub fn new(timeline: Timeline, indices: Vec<usize>, images: Vec<Image>) -> Result<Self> {
        Ok(Self { timeline, indices, frames: Frames::new(images)? })
    }
}

/// Bytes that decide what a clip holds: a file, or a part of one, such as an entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// The file.
    pub path: PathBuf,
    /// The bytes from the first to before the last of these numbers; `None` for the whole file.
    pub range: Option<Range<u64>>,
    /// What is taken of that which these bytes hold, such as the seconds of a video; empty where it is all. Two clips
    /// with the same bytes are one clip only where this is the same too.
    pub section: String,
}

impl From<PathBuf> for FilePart {
    /// The whole file.
    fn from(path: PathBuf) -> Self {
        Self { path, range: None, section: String::new() }
    }
}

/// Ready features of a clip: T rows of `width` values.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// Values of a frame.
    pub width: usize,
    /// `T * width` values, frame by frame.
    pub values: Vec<f32>,
}

/// Features that somebody computed before, for datasets whose clips are such features and no pictures.
pub trait ReadyFeatures: Send + Sync {
    /// The features of the frames that `choose` chooses of a clip, in that order.
    ///
    /// # Errors
    /// Where the clip is not there, cannot be read or holds values that are no finite numbers; and the error
    /// of `choose`.
    fn features(&self, clip: &str, choose: &Choose) -> Result<Features>;
}

/// Chooses frames of a clip once its length is known. Each index must be below the number of frames.
pub type Choose<'a> = dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync + 'a;

/// Takes the frames of a clip as they are decoded, for [`Dataset::stream`].
pub type Take<'a> = dyn FnMut(&Timeline, usize, Image) -> Result<()> + Send + 'a;

/// One image with a sentence that describes it.
#[derive(Clone, Debug)]
pub struct CaptionedImage {
    /// In pixels.
    pub height: usize,
    /// In pixels.
    pub width: usize,
    /// `height * width * 3` bytes, RGB interleaved.
    pub pixels: Vec<u8>,
    /// The sentence.
    pub caption: String,
}

/// A question on a captioned image: sentences of which one is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the sentences differ in, such as `verb`.
    pub about: &'static str,
    /// The right sentence, then the wrong ones.
    pub answers: Vec<String>,
}

/// Any number of single images with captions, for contrastive pre-training.
pub trait CaptionedImages: Send + Sync {
    /// Image `index` of `split`. It depends on the dataset's seed, the split and the index, and on nothing else.
    ///
    /// # Errors
    /// Where the image cannot be made or read.
    fn captioned(&self, split: Split, index: u64) -> Result<CaptionedImage>;
    /// All words that captions can have, sorted: the vocabulary of a text tower that is trained on them.
    fn words(&self) -> Vec<String>;

    /// Questions on image `index` of `split`, for the zero-shot accuracy by kind of word. By default there are none.
    ///
    /// # Errors
    /// Where the image cannot be made or read.
    fn questions(&self, _split: Split, _index: u64) -> Result<Vec<Question>> {
        Ok(Vec::new())
    }
}

/// Lists clips and opens them.
///
/// # Contract
/// - Everything is a function of the options and the files: the same classes, clips and frames every time, in the same
///   order. No random numbers are drawn, except from a seed among the options.
/// - The identifiers of clips are unique in the dataset, over all splits. Unless [`Dataset::allows_shared`] holds, the
///   splits have no class in common, and no clip.
/// - [`Dataset::read`], [`Dataset::open`] and [`Dataset::frame_count`] agree, and may be called from several threads at
///   once.
/// - A clip that cannot be read is an error of this clip, which names the clip or its file. It has no influence on
///   other clips.
/// - The clip store relies on [`Dataset::files`] and [`Dataset::decoder`]: while both stay the same, so do the pixels.
/// - `Component::describe` sets the facts `splits` and `directed` of `Facts` as far as the options alone decide them,
///   and `gives_features` where [`Dataset::features`] is given; `Component::required_inputs` reports an option that
///   only a run needs and that is not given, such as a folder.
pub trait Dataset: Send + Sync {
    /// Classes and clips of `split`, after the checks that the options ask for.
    ///
    /// # Errors
    /// Where a folder or list is missing or damaged.
    fn list(&self, split: Split) -> Result<Listing>;

    /// Number of frames in the clip's file or folder. Frame samplers choose among 0..count.
    ///
    /// # Errors
    /// Where the clip is not there or cannot be read.
    fn frame_count(&self, clip: &str) -> Result<usize>;

    /// The frames `indices` of a clip, in that order. Each index is below [`Dataset::frame_count`].
    ///
    /// # Errors
    /// Where the clip cannot be decoded, has no such frame, or has frames of different sizes.
    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames>;

    /// Several clips at once: a result for each request, in the order of the requests.
    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        let read = |request: &Request| {
            let timeline = Timeline::of(self.frame_count(request.clip)?);
            let indices = (request.choose)(&timeline)?;
            let images = self.open(request.clip, &indices)?.into_images().map(request.each).collect::<Result<_>>()?;
            Opened::new(timeline, indices, images)
        };
        requests.par_iter().map(read).collect()
    }

    /// All frames of a clip, one after the other: `take` gets the timeline, the number of a frame and its image.
    /// However long the clip is, no more than a few frames are held. The timeline that is returned has the number of
    /// frames that came; the one that `take` gets may be a guess of the file's header.
    ///
    /// # Errors
    /// Where the clip cannot be decoded, and the error of `take`.
    fn stream(&self, clip: &str, take: &mut Take) -> Result<Timeline> {
        const AT_ONCE: usize = 32;
        let timeline = Timeline::of(self.frame_count(clip)?);
        for start in (0..timeline.frames).step_by(AT_ONCE) {
            let indices: Vec<usize> = (start..timeline.frames.min(start + AT_ONCE)).collect();
            for (&index, image) in indices.iter().zip(self.open(clip, &indices)?.into_images()) {
                take(&timeline, index, image)?;
            }
        }
        Ok(timeline)
    }

    /// The files, or parts of files, that decide the pixels of a clip, in a fixed order; empty where clips are made by
    /// code. The clip store identifies a clip by them.
    ///
    /// # Errors
    /// Where the clip is not there.
    fn files(&self, _clip: &str) -> Result<Vec<FilePart>> {
        Ok(Vec::new())
    }

    /// Name and version of the code that turns the files of a clip into pixels. Change it whenever the pixels change:
    /// stored frames are then decoded again.
    fn decoder(&self, _clip: &str) -> &'static str {
        "none"
    }

    /// Checks that whatever is needed to open `clip` is there, such as a program. Called before many clips are read.
    ///
    /// # Errors
    /// Where it is not there. This is not an error of the clip, so the clip is not left out as a broken one.
    fn ready(&self, _clip: &str) -> Result<()> {
        Ok(())
    }

    /// Whether clips that cannot be decoded are left out; otherwise they stop the run. For clips that are already
    /// broken in the list, see [`Listing::strict`].
    fn skips_broken(&self) -> bool {
        false
    }

    /// Whether splits may have classes and clips in common. Otherwise that is an error.
    fn allows_shared(&self) -> bool {
        false
    }

    /// Ready features, where the clips are features in place of frames. Then [`Dataset::open`] is an error, and the
    /// backbone must be one that passes features on.
    fn features(&self) -> Option<&dyn ReadyFeatures> {
        None
    }

    /// Captioned images, where the dataset can make them.
    fn captions(&self) -> Option<&dyn CaptionedImages> {
        None
    }
}
