//! Slot `dataset`: lists clips (class, split) and opens one as 8-bit frames.

use crate::error::Result;
use serde::{Deserialize, Serialize};

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
    /// Clips that were left out under the dataset's policy: (clip, reason).
    pub skipped: Vec<(String, String)>,
}

/// Frames of one clip: T images of `height` × `width`, RGB interleaved, 8 bit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    pub height: usize,
    pub width: usize,
    /// One buffer of `height * width * 3` bytes for each frame.
    pub images: Vec<Vec<u8>>,
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

    /// Captioned images, where the dataset can make them.
    fn captions(&self) -> Option<&dyn CaptionedImages> {
        None
    }
}
