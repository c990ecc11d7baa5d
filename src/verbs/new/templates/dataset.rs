//! `__name__`: __summary__.
//!
//! Source: say where the videos are from and whose splits these are. This template needs no files: a class is an
//! ordered pair of colours, a clip fades from the first to the second under noise, so the order of time tells classes
//! apart. Classes are train, train, val, test in turn; few-shot learning wants splits that share no class.
//! `frame_folder` reads images of a folder.

use maclip_framework::error::{Error, Result};
use maclip_framework::random::Stream;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, SplitSize};
use maclip_framework::slots::dataset::{Class, Dataset, Frames, Listing, Split};
use serde::{Deserialize, Serialize};

/// Options of the data.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Clips of each class.
    #[schemars(range(min = 2, max = 10_000))]
    clips_per_class: usize,
    /// Standard deviation of the noise, in steps of 255.
    #[schemars(range(min = 0.0, max = 1000.0))]
    noise: f64,
    /// Seed of the noise; classes and splits do not depend on it.
    seed: u64,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { clips_per_class: 20, noise: 60.0, seed: 0 }
    }
}

register!(dyn Dataset, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{clips_per_class: 20}");

impl Component for __Name__ {
    type Slot = dyn Dataset;

    // Only for data whose sizes the options alone decide: the task is checked against them before anything is read.
    fn describe(&self, facts: &mut Facts) {
        let size = |split| SplitSize { classes: classes(split).count(), clips: self.clips_per_class };
        facts.splits = Some(Split::ALL.map(size));
    }

    // A folder or file that only a run needs is asked for in `required_inputs`, see `frame_folder`.
    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        Ok(Box::new(self))
    }
}

const COLOURS: [(&str, [f64; 3]); 8] = [
    ("red", [220.0, 20.0, 20.0]),
    ("green", [20.0, 160.0, 40.0]),
    ("blue", [30.0, 60.0, 220.0]),
    ("yellow", [240.0, 220.0, 40.0]),
    ("purple", [130.0, 40.0, 160.0]),
    ("cyan", [40.0, 220.0, 230.0]),
    ("white", [245.0, 245.0, 245.0]),
    ("black", [10.0, 10.0, 10.0]),
];
/// Frames of a clip, and height and width of a frame in pixels.
const FRAMES: usize = 16;
const SIZE: usize = 32;

/// A class: the positions of its two colours.
type Pair = (usize, usize);

fn pairs() -> impl Iterator<Item = Pair> {
    let all = (0..COLOURS.len()).flat_map(|from| (0..COLOURS.len()).map(move |to| (from, to)));
    all.filter(|(from, to)| from != to)
}

/// The classes of a split.
fn classes(split: Split) -> impl Iterator<Item = Pair> {
    let own = move |place: usize| [Split::Train, Split::Train, Split::Val, Split::Test][place % 4] == split;
    pairs().enumerate().filter(move |(place, _)| own(*place)).map(|(_, pair)| pair)
}

fn name((from, to): Pair) -> String {
    format!("{} to {}", COLOURS[from].0, COLOURS[to].0)
}

impl __Name__ {
    fn clip(pair: Pair, index: usize) -> String {
        format!("{}/{index}", name(pair))
    }

    /// The class that a clip's name says.
    fn find(&self, clip: &str) -> Result<Pair> {
        let index = clip.rsplit_once('/').and_then(|(_, index)| index.parse().ok());
        let index = index.filter(|&index| index < self.clips_per_class);
        let found = index.and_then(|index| pairs().find(|&pair| Self::clip(pair, index) == clip));
        found.ok_or_else(|| Error::failed(format!("dataset __name__ has no clip `{clip}`")))
    }
}

impl Dataset for __Name__ {
    fn list(&self, split: Split) -> Result<Listing> {
        let classes = classes(split).map(|pair| Class {
            name: name(pair),
            clips: (0..self.clips_per_class).map(|index| Self::clip(pair, index)).collect(),
        });
        Ok(Listing { classes: classes.collect(), ..Listing::default() })
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        self.find(clip).map(|_| FRAMES)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let (from, to) = self.find(clip)?;
        // One generator for each frame of each clip: what else was opened before changes nothing.
        let stream = Stream::new(self.seed, &format!("__name__/{clip}"));
        let image = |&frame: &usize| {
            let mut rng = stream.at(frame as u64);
            let share = frame as f64 / (FRAMES - 1) as f64;
            let value = |channel: usize| {
                let (from, to) = (COLOURS[from].1[channel], COLOURS[to].1[channel]);
                // A float beyond 0..255 is cut there by the conversion.
                (from + (to - from) * share + self.noise * rng.normal()).round() as u8
            };
            (0..SIZE * SIZE * 3).map(|at| at % 3).map(value).collect()
        };
        Ok(Frames { height: SIZE, width: SIZE, images: indices.iter().map(image).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_without_noise_is_the_hand_computed_one() {
        let data = __Name__ { noise: 0.0, ..Default::default() };
        let frames = data.open("red to blue/0", &[0, 3, 15]).unwrap();
        let first_pixels: Vec<&[u8]> = frames.images.iter().map(|image| &image[..3]).collect();
        // A fifth of the way from (220, 20, 20) to (30, 60, 220) is (182, 28, 60).
        assert_eq!(first_pixels, [[220, 20, 20], [182, 28, 60], [30, 60, 220]]);
        assert!(data.open("red to red/0", &[0]).is_err() && data.open("red to blue/20", &[0]).is_err());
    }

    #[test]
    fn splits_share_no_class_and_noise_is_repeated() {
        let data = __Name__::default();
        let mut facts = Facts::default();
        data.describe(&mut facts);
        let mut seen = std::collections::BTreeSet::new();
        for (split, size) in Split::ALL.into_iter().zip(facts.splits.unwrap()) {
            let classes = data.list(split).unwrap().classes;
            assert!(classes.len() >= 14 && classes.len() == size.classes);
            assert!(classes.iter().all(|class| class.clips.len() == size.clips));
            assert!(classes.into_iter().all(|class| seen.insert(class.name)));
        }
        let clip = "white to black/3";
        assert_eq!(data.open(clip, &[2, 5]).unwrap().images[1], data.open(clip, &[5]).unwrap().images[0]);
    }
}
