//! Slot `dataset`: lists clips (class, split) and opens one as 8-bit frames.

use crate::error::Result;
use crate::images::Image;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The three class-disjoint parts of a few-shot benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Classes that weights are trained on.
    Train,
    /// Classes that the checkpoint is chosen on.
    Val,
    /// Classes of the result.
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Val, Split::Test];

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
    /// The class text as a person would say it; prompts are made of it.
    pub name: String,
    /// Identifiers of the clips, unique in the dataset, in a fixed order.
    pub clips: Vec<String>,
}

/// What a dataset found out about one split.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub classes: Vec<Class>,
    /// Clips that cannot be used: (clip, reason).
    pub skipped: Vec<(String, String)>,
    /// Whether the dataset's policy is to stop where clips cannot be used, in place of leaving them out.
    pub strict: bool,
    /// SHA-256 (hex) of the files that the split was read from, by their names.
    pub sums: BTreeMap<String, String>,
    /// Things a reader of the result has to know.
    pub notes: Vec<String>,
}

/// What is known of a clip beside its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timeline {
    /// Number of frames, at least 1.
    pub frames: usize,
    /// Mean frames per second, where the clip says.
    pub fps: Option<f64>,
}

impl Timeline {
    /// A clip without a clock.
    pub fn of(frames: usize) -> Self {
        Self { frames, fps: None }
    }
}

/// Frames of one clip: T images of `height` × `width`, RGB interleaved, 8 bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    pub height: usize,
    pub width: usize,
    /// One buffer of `height * width * 3` bytes for each frame.
    pub images: Vec<Vec<u8>>,
}

impl Frames {
    /// Single images, which must be of one size.
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

/// A clip to read.
pub struct Request<'a> {
    pub clip: &'a str,
    /// Picks frames, each below the number that the clip has. May be asked again where decoding shows that the number was another
    /// one, so it must be a pure function.
    pub choose: &'a (dyn Fn(&Timeline) -> Result<Vec<usize>> + Sync),
    /// What is made of each frame as soon as it is there; frames of full size are held no longer than that.
    pub each: &'a (dyn Fn(Image) -> Result<Image> + Sync),
}

/// What a [`Request`] came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub timeline: Timeline,
    /// The frames that were picked.
    pub indices: Vec<usize>,
    /// Those frames, in the order of `indices`.
    pub frames: Frames,
}

impl Opened {
    /// From single images of one size.
    pub fn new(timeline: Timeline, indices: Vec<usize>, images: Vec<Image>) -> Result<Self> {
        Ok(Self { timeline, indices, frames: Frames::new(images)? })
    }
}

/// One image with a sentence that says what is to be seen.
#[derive(Clone, Debug)]
pub struct CaptionedImage {
    pub height: usize,
    pub width: usize,
    /// `height * width * 3` bytes, RGB interleaved.
    pub pixels: Vec<u8>,
    pub caption: String,
}

/// An endless supply of captioned single images, for contrastive pre-training.
pub trait CaptionedImages: Send + Sync {
    /// Image `index` of the part `split`; a pure function of (seed of the dataset, split, index).
    fn captioned(&self, split: Split, index: u64) -> Result<CaptionedImage>;
    /// All words that captions can hold, sorted; the vocabulary of a text tower.
    fn words(&self) -> Vec<String>;
}

pub trait Dataset: Send + Sync {
    /// Classes and clips of `split`. Does the checks that the dataset's policy asks for.
    fn list(&self, split: Split) -> Result<Listing>;

    /// Number of frames that the clip has on its own; frame samplers choose among 0..count.
    fn frame_count(&self, clip: &str) -> Result<usize>;

    /// The frames `indices` (each below `frame_count`) of a clip, in that order.
    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames>;

    /// Several clips at once, each with its own outcome, in the order of the requests.
    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        let read = |request: &Request| {
            let timeline = Timeline::of(self.frame_count(request.clip)?);
            let indices = (request.choose)(&timeline)?;
            let images = self.open(request.clip, &indices)?.into_images().map(request.each).collect::<Result<_>>()?;
            Opened::new(timeline, indices, images)
        };
        requests.par_iter().map(read).collect()
    }

    /// The files whose bytes decide what a clip looks like, in a fixed order; empty where clips are made by code. The clip store
    /// knows a clip by them.
    fn files(&self, _clip: &str) -> Result<Vec<PathBuf>> {
        Ok(Vec::new())
    }

    /// Name and version of what turns those files into pixels. A change of it makes stored frames be read anew.
    fn decoder(&self) -> &'static str {
        "none"
    }

    /// An error where what opens `clip` is not there, such as a program: that is no fault of the clip. Asked before many are read.
    fn ready(&self, _clip: &str) -> Result<()> {
        Ok(())
    }

    /// Whether clips that cannot be decoded are left out, in place of stopping the run. [`Listing::strict`] is about those that the
    /// list itself finds.
    fn skips_broken(&self) -> bool {
        false
    }

    /// Captioned images, where the dataset can make them.
    fn captions(&self) -> Option<&dyn CaptionedImages> {
        None
    }
}
