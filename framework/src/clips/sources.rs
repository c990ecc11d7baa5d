//! The four components that make frames of clips, and the list of clips that a run opens.

use crate::error::{Error, Result};
use crate::images::{Image, clip_resize_crop};
use crate::random::Stream;
use crate::recipe::Recipe;
use crate::registry::BuildContext;
use crate::slots::augment::Augment;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::{Dataset, ReadyFeatures, Request, Timeline};
use crate::slots::frames::FrameSampler;
use crate::slots::resize::Resize;
use burn::tensor::Device;

/// The four components that make frames of clips, in the order in which they work.
pub struct Clips {
    /// Lists the clips and decodes their frames.
    pub dataset: Box<dyn Dataset>,
    /// Picks T frames of each clip.
    pub frames: Box<dyn FrameSampler>,
    /// Makes each decoded frame smaller, always in the same way.
    pub resize: Box<dyn Resize>,
    /// Changes the frames of training clips at random, and those of other clips always in the same way.
    pub augment: Box<dyn Augment>,
}

impl Clips {
    /// Builds the components that `recipe` chooses in the slots `dataset`, `frames`, `resize` and `augment`.
    ///
    /// # Errors
    /// Where one of the four cannot be built, for example because the folder of the dataset is missing.
    pub fn build(recipe: &Recipe, build: &BuildContext) -> Result<Self> {
        Ok(Self {
            dataset: recipe.build(build)?,
            frames: recipe.build(build)?,
            resize: recipe.build(build)?,
            augment: recipe.build(build)?,
        })
    }

    /// The ready features of the clips; `None` where they are pixels.
    ///
    /// # Errors
    /// Where a backbone of these sizes takes the other of the two.
    pub(crate) fn ready(&self, geometry: &Geometry) -> Result<Option<&dyn ReadyFeatures>> {
        match (self.dataset.features(), geometry.passes_features()) {
            (None, true) => {
                Err(Error::failed("the backbone passes on ready features, and the clips are videos or frames")
                    .help("choose a backbone that reads pixels, such as `backbone: {type: clip_vit}`"))
            }
            (Some(_), false) => Err(Error::failed("the clips are ready features, and the backbone reads pixels")
                .help("say `backbone: {type: precomputed, width: WIDTH}`, which passes them on")),
            (ready, _) => Ok(ready),
        }
    }

    /// A decoded frame in the form in which it is kept: after all steps that are the same whenever the clip is opened.
    ///
    /// `resize` is always such a step. Without augmentation, so are the backbone's own resize and centre crop: then the
    /// result is `image_size` × `image_size`, the size of the backbone's images in pixels. With augmentation they must
    /// wait, because the augmentation comes before them.
    ///
    /// # Errors
    /// Where the frame cannot be resized.
    pub(crate) fn keep(&self, image: Image, image_size: usize) -> Result<Image> {
        let image = self.resize.apply(image)?;
        match self.augment.identity() {
            true => clip_resize_crop(&image, image_size),
            false => Ok(image),
        }
    }

    /// Which frames of a clip must be kept, so that it need not be decoded again.
    ///
    /// `drawn` says whether the sampler gets random numbers for this clip, as it does in training. A sampler that uses
    /// them picks other frames every time, so all frames are kept. Otherwise only the frames that it always picks.
    pub fn part(&self, drawn: bool) -> Part {
        if drawn && !self.frames.fixed() { Part::All } else { Part::Picked }
    }

    /// Opens frames of `clip` and drops them, to check that the clip can be read.
    ///
    /// # Errors
    /// Where the clip cannot be decoded, its frames cannot be sampled (it is too short, for example) or not resized.
    pub fn look(&self, clip: &str) -> Result<()> {
        let draw = Stream::new(0, "look");
        let choose = |timeline: &Timeline| self.frames.sample(timeline, Some(&mut draw.at(0)));
        if let Some(ready) = self.dataset.features() {
            return ready.features(clip, &choose).map(drop);
        }
        let each = |image| self.resize.apply(image);
        self.dataset.read(&[Request { clip, choose: &choose, each: &each }]).remove(0).map(drop)
    }
}

/// Which frames of a clip are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Every frame: for samplers that pick at random.
    All,
    /// Only the frames that the sampler picks without random numbers.
    Picked,
}

/// The clips that a run opens, and the frames that it needs of each.
pub struct Needs {
    /// The components that open the clips.
    pub clips: Clips,
    /// The size of the images that the backbone takes, and how their pixels are normalised.
    pub geometry: Geometry,
    /// A device for [`ClipLoader::device`](crate::clips::loader::ClipLoader::device). Decoding does not use it.
    pub device: Device,
    /// Clip ids, each with the frames that are needed of it.
    pub wants: Vec<(String, Part)>,
    /// Sentences for the user: what was left out of the lists, and why.
    pub notes: Vec<String>,
    /// Clips that cannot be used although none may be left out: (clip id, reason). A run with them is refused.
    pub broken: Vec<(String, String)>,
}
