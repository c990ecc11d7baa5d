//! The components that clips come from, and what a run needs of them.

use crate::error::Result;
use crate::images::{Image, clip_resize_crop};
use crate::random::Stream;
use crate::recipe::Recipe;
use crate::registry::BuildContext;
use crate::slots::augment::Augment;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::{Dataset, Request, Timeline};
use crate::slots::frames::FrameSampler;
use crate::slots::resize::Resize;
use burn::tensor::Device;

/// The components that clips come from.
pub struct Clips {
    pub dataset: Box<dyn Dataset>,
    pub frames: Box<dyn FrameSampler>,
    pub resize: Box<dyn Resize>,
    pub augment: Box<dyn Augment>,
}

impl Clips {
    pub fn build(recipe: &Recipe, build: &BuildContext) -> Result<Self> {
        Ok(Self {
            dataset: recipe.build(build)?,
            frames: recipe.build(build)?,
            resize: recipe.build(build)?,
            augment: recipe.build(build)?,
        })
    }

    /// What all views have in common of a frame: the most that can be done to it once for all. `image_size` is the backbone's.
    pub fn keep(&self, image: Image, image_size: usize) -> Result<Image> {
        let image = self.resize.apply(image)?;
        match self.augment.identity() {
            true => clip_resize_crop(&image, image_size),
            false => Ok(image),
        }
    }

    /// What is kept of a clip, by whether its frames are drawn.
    pub fn part(&self, drawn: bool) -> Part {
        if drawn && !self.frames.fixed() { Part::All } else { Part::Picked }
    }

    /// Opens frames of `clip` to see that it can be done.
    pub fn look(&self, clip: &str) -> Result<()> {
        let draw = Stream::new(0, "look");
        let choose = |timeline: &Timeline| self.frames.sample(timeline, Some(&mut draw.at(0)));
        let each = |image| self.resize.apply(image);
        self.dataset.read(&[Request { clip, choose: &choose, each: &each }]).remove(0).map(drop)
    }
}

/// What is kept of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Every frame, for samplers that draw.
    All,
    /// The frames that the sampler picks where it draws nothing.
    Picked,
}

/// The clips that a run opens, and what of each.
pub struct Needs {
    pub clips: Clips,
    pub geometry: Geometry,
    /// Any that can compute.
    pub device: Device,
    pub wants: Vec<(String, Part)>,
    /// What was left out of the lists, in sentences.
    pub notes: Vec<String>,
}
