//! Shapes in motion: an embedded video benchmark, rendered on demand, that needs no download.
//!
//! It stands in for three kinds of few-shot action benchmark. The variant `motion` is like SSv2: few kinds of object,
//! many motions, and most motions come with their time reversal as another class, so looks cannot tell classes apart.
//! The variant `appearance` is like Kinetics: many kinds of object, most of them at a place of their own, few motions.
//! The variant `figures` is like HMDB51: people who do something. Half of the test classes are new combinations of a
//! thing and a verb, and half have verbs that training has not seen.
//!
//! Here belongs all that makes these clips, from the classes to the pixels. Not here: anything that is read from files.

mod backdrop;
mod captions;
mod classes;
mod colour;
mod content;
mod course;
mod figures;
mod hands;
mod motion;
mod noise;
mod objects;
mod outline;
mod palette;
mod pattern;
mod played;
mod raster;
mod scene;
mod scenery;
mod still;
#[cfg(test)]
mod tests;

use maclip_framework::error::{Error, Result};
use maclip_framework::random::Stream;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, SplitSize};
use maclip_framework::slots::dataset::{
    CaptionedImage, CaptionedImages, Class, Dataset, Frames, Listing, Question, Split,
};
use scene::Scene;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// What the classes differ in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// Things that move, 5 kinds of them: time matters.
    #[default]
    Motion,
    /// 25 kinds of object and their places: looks matter.
    Appearance,
    /// People in action: poses and time matter.
    Figures,
}

impl Variant {
    fn name(self) -> &'static str {
        match self {
            Variant::Motion => "motion",
            Variant::Appearance => "appearance",
            Variant::Figures => "figures",
        }
    }
}

/// Share of the clips of a class that are taken at the place of the class, if it has one.
const AT_ITS_PLACE: f64 = 0.9;
/// Another number wherever a change of this code changes pixels, so that results on other pixels are not taken for
/// these. A test holds it to the pixels of some clips.
const PIXELS: u64 = 0x7271_d671_2906_4b6c;

/// Settings of the embedded benchmark of moving shapes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ShapesInMotionConfig {
    /// What the classes differ in: `motion` (like SSv2), `appearance` (like Kinetics) or `figures` (like HMDB51).
    pub variant: Variant,
    /// Number of clips of each class; at least 2.
    #[schemars(range(min = 2, max = 100_000))]
    pub clips_per_class: usize,
    /// Seed of all clips and captioned images; the classes and their splits do not depend on it.
    pub seed: u64,
    /// Number of frames of each clip; at least 2.
    #[schemars(range(min = 2, max = 10_000))]
    pub frames: usize,
    /// Height and width of a frame in pixels; 16 to 512.
    #[schemars(range(min = 16, max = 512))]
    pub size: usize,
}

impl Default for ShapesInMotionConfig {
    fn default() -> Self {
        Self { variant: Variant::Motion, clips_per_class: 60, seed: 0, frames: 16, size: 64 }
    }
}

register!(dyn Dataset, ShapesInMotionConfig, name: "shapes_in_motion",
    summary: "rendered clips of things, hands and people in motion; needs no download",
    paper: None, stability: Stable, usage: "{variant: motion}");

impl Component for ShapesInMotionConfig {
    type Slot = dyn Dataset;

    fn describe(&self, facts: &mut Facts) {
        let classes = classes::classes(self.variant);
        let size = |split| SplitSize {
            classes: classes.iter().filter(|class| class.split == split).count(),
            clips: self.clips_per_class,
        };
        facts.splits = Some(Split::ALL.map(size));
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(ShapesInMotion::new(self)))
    }
}

/// The benchmark: classes in a fixed order; clips are a pure function of (seed, class, index).
#[derive(Debug)]
pub struct ShapesInMotion {
    config: ShapesInMotionConfig,
    classes: Vec<classes::Class>,
    /// From the class part of a clip id to the place in `classes`.
    by_slug: HashMap<String, usize>,
}

impl ShapesInMotion {
    pub fn new(config: ShapesInMotionConfig) -> Self {
        let classes = classes::classes(config.variant);
        let by_slug = classes.iter().enumerate().map(|(i, class)| (class.slug.clone(), i)).collect();
        Self { config, classes, by_slug }
    }

    /// The class and index that a clip id names; only the spelling of `clip_id` is taken.
    fn find(&self, clip: &str) -> Result<(&classes::Class, u64)> {
        let found = clip.rsplit_once('/').and_then(|(slug, digits)| {
            let class = &self.classes[*self.by_slug.get(slug)?];
            let index: usize = digits.parse().ok()?;
            (index < self.config.clips_per_class && clip_id(class, index) == clip).then_some((class, index as u64))
        });
        found.ok_or_else(|| Error::failed(format!("dataset shapes in motion has no clip '{clip}'")))
    }

    /// The random stream of the captioned images of a split.
    fn captions_of(&self, split: Split) -> Stream {
        Stream::new(self.config.seed, &format!("shapes-in-motion/captions/{}", split.name()))
    }

    fn scene(&self, class: &classes::Class, index: u64) -> Scene {
        let mut rng = Stream::new(self.config.seed, &format!("shapes-in-motion/{}", class.slug)).at(index);
        let place = class.place.filter(|_| rng.chance(AT_ITS_PLACE));
        Scene::draw(class.content, place, &mut rng)
    }
}

fn clip_id(class: &classes::Class, index: usize) -> String {
    format!("{}/{index:03}", class.slug)
}

impl Dataset for ShapesInMotion {
    fn list(&self, split: Split) -> Result<Listing> {
        let classes = self.classes.iter().filter(|class| class.split == split);
        let with_clips = classes.map(|class| Class {
            name: class.name.clone(),
            clips: (0..self.config.clips_per_class).map(|index| clip_id(class, index)).collect(),
        });
        let sums = BTreeMap::from([("pixels".to_owned(), format!("{PIXELS:016x}"))]);
        Ok(Listing { classes: with_clips.collect(), sums, ..Listing::default() })
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        self.find(clip).map(|_| self.config.frames)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let (class, index) = self.find(clip)?;
        let count = self.config.frames;
        if let Some(beyond) = indices.iter().find(|&&frame| frame >= count) {
            return Err(Error::failed(format!("clip '{clip}' has {count} frames, but frame {beyond} was asked for")));
        }
        let size = self.config.size;
        Ok(Frames { height: size, width: size, images: self.scene(class, index).frames(size, count, indices) })
    }

    fn captions(&self) -> Option<&dyn CaptionedImages> {
        Some(self)
    }
}

impl CaptionedImages for ShapesInMotion {
    fn captioned(&self, split: Split, index: u64) -> Result<CaptionedImage> {
        Ok(captions::captioned(self.config.size, &self.captions_of(split), index))
    }

    fn words(&self) -> Vec<String> {
        captions::words()
    }

    fn questions(&self, split: Split, index: u64) -> Result<Vec<Question>> {
        Ok(captions::questions(&self.captions_of(split), index))
    }
}
