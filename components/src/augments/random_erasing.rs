//! `random_erasing`: a random rectangle of the clip is painted over, the same in all frames.
//!
//! Source: Random Erasing (Zhong et al., AAAI 2020), with the ranges of torchvision's `RandomErasing`, which draws the
//! logarithm of the aspect ratio uniformly and gives up after ten rectangles that do not fit. CLIP-FSAR's code (Wang et
//! al., IJCV 2023) has it for query clips, after normalisation, and its released settings turn it off; here pixels of 8
//! bit are painted.

use maclip_framework::error::Result;
use maclip_framework::images::CLIP_MEAN;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// How many rectangles are drawn before the clip is left as it is.
const ATTEMPTS: usize = 10;

/// Options of erasing.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RandomErasing {
    /// Probability of erasing in a clip.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: f64,
    /// Smallest area of the rectangle, as a part of the frame's.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    min_area: f64,
    /// Largest area of the rectangle, as a part of the frame's.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    max_area: f64,
    /// Smallest height of the rectangle, as a multiple of its width.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
    min_aspect: f64,
    /// Largest height of the rectangle, as a multiple of its width.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
    max_aspect: f64,
    /// What the rectangle is painted with.
    fill: Fill,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Fill {
    /// The mean colour that CLIP subtracts, so that the network sees about 0.
    Mean,
    /// Random values, the same in all frames; best in the paper.
    Noise,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { probability: 0.25, min_area: 0.02, max_area: 0.33, min_aspect: 0.3, max_aspect: 3.3, fill: Fill::Noise }
    }
}

register!(dyn Augment, RandomErasing, name: "random_erasing",
    summary: "a random rectangle is painted over, the same in all frames",
    paper: Some("Random Erasing, AAAI 2020"), stability: Stable, usage: "{probability: 0.25, fill: mean}");

impl Component for RandomErasing {
    type Slot = dyn Augment;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.min_area > self.max_area, "min_area", "must not be above `max_area`");
        problems.when(self.min_aspect > self.max_aspect, "min_aspect", "must not be above `max_aspect`");
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

/// A part of a frame, in pixels.
struct Rectangle {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl RandomErasing {
    /// A rectangle smaller than the frame in both directions, if one of the attempts is.
    fn rectangle(&self, (width, height): (usize, usize), rng: &mut Rng) -> Option<Rectangle> {
        (0..ATTEMPTS).find_map(|_| {
            let area = rng.range(self.min_area, self.max_area) * (width * height) as f64;
            let aspect = rng.range(self.min_aspect.ln(), self.max_aspect.ln()).exp();
            let (high, wide) = ((area * aspect).sqrt().round() as usize, (area / aspect).sqrt().round() as usize);
            (high < height && wide < width).then(|| Rectangle {
                top: rng.below(height - high + 1),
                left: rng.below(width - wide + 1),
                width: wide,
                height: high,
            })
        })
    }

    /// Rows of the rectangle's pixels, one after the other.
    fn paint(&self, rectangle: &Rectangle, rng: &mut Rng) -> Vec<u8> {
        let pixels = rectangle.width * rectangle.height;
        match self.fill {
            Fill::Mean => CLIP_MEAN.map(|value| (value * 255.0).round() as u8).repeat(pixels),
            Fill::Noise => (0..pixels * 3).map(|_| rng.below(256) as u8).collect(),
        }
    }
}

impl Augment for RandomErasing {
    fn identity(&self) -> bool {
        self.probability == 0.0
    }

    fn apply(&self, mut frames: Frames, rng: Option<&mut Rng>) -> Frames {
        let Some(rng) = rng else { return frames };
        if !rng.chance(self.probability) {
            return frames;
        }
        let Some(rectangle) = self.rectangle((frames.width, frames.height), rng) else { return frames };
        let paint = self.paint(&rectangle, rng);
        let Rectangle { left, top, width, height } = rectangle;
        for image in &mut frames.images {
            for row in 0..height {
                let start = ((top + row) * frames.width + left) * 3;
                image[start..start + width * 3].copy_from_slice(&paint[row * width * 3..(row + 1) * width * 3]);
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use maclip_framework::random::Stream;

    fn white(width: usize, height: usize) -> Frames {
        Frames { height, width, images: vec![vec![255; width * height * 3]; 2] }
    }

    /// Columns and rows of the pixels that are no longer white.
    fn painted(frames: &Frames) -> Vec<(usize, usize)> {
        let pixels = frames.images[0].chunks(3).enumerate();
        let changed = pixels.filter(|(_, pixel)| *pixel != [255; 3]);
        changed.map(|(at, _)| (at % frames.width, at / frames.width)).collect()
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<RandomErasing>(Traits { also: &["", "probability: 0"], ..Traits::default() });
    }

    #[test]
    fn one_rectangle_of_the_asked_size_is_painted_in_all_frames() {
        let erasing = RandomErasing { probability: 1.0, fill: Fill::Mean, ..Default::default() };
        let stream = Stream::new(1, "erase");
        for clip in 0..300 {
            let out = erasing.apply(white(40, 30), Some(&mut stream.at(clip)));
            assert_eq!(out.images[0], out.images[1]);
            let at = painted(&out);
            let (columns, rows): (Vec<usize>, Vec<usize>) = at.iter().copied().unzip();
            let side = |of: &[usize]| of.iter().max().unwrap() - of.iter().min().unwrap() + 1;
            let (width, height) = (side(&columns), side(&rows));
            assert_eq!(at.len(), width * height, "a whole rectangle");
            // Sides are rounded to whole pixels, so half a pixel of each may be missing or too much.
            let (wide, high) = (width as f64, height as f64);
            assert!((wide - 0.5) * (high - 0.5) < 0.33 * 1200.0 && (wide + 0.5) * (high + 0.5) > 0.02 * 1200.0);
            assert!((high - 0.5) / (wide + 0.5) < 3.3 && (high + 0.5) / (wide - 0.5) > 0.3);
            // CLIP's mean times 255: 122.8, 116.7 and 104.1.
            let (x, y) = at[0];
            assert_eq!(out.images[0][(y * 40 + x) * 3..][..3], [123, 117, 104]);
        }
    }

    #[test]
    fn noise_has_all_values_and_is_the_same_in_all_frames() {
        let erasing = RandomErasing { probability: 1.0, min_area: 0.3, ..Default::default() };
        let out = erasing.apply(white(200, 200), Some(&mut Stream::new(1, "erase").at(0)));
        assert_eq!(out.images[0], out.images[1]);
        let seen: std::collections::BTreeSet<u8> = out.images[0].iter().copied().collect();
        assert_eq!(seen.len(), 256);
    }

    #[test]
    fn it_happens_as_often_as_asked_and_never_in_evaluation() {
        let erasing = RandomErasing::default();
        let stream = Stream::new(1, "erase");
        let erased = |clip| erasing.apply(white(20, 20), Some(&mut stream.at(clip))) != white(20, 20);
        let count = (0..1000).filter(|&clip| erased(clip)).count();
        // 250 expected, standard deviation below 14.
        assert!((195..305).contains(&count), "{count}");
        assert_eq!(erasing.apply(white(20, 20), None), white(20, 20));
        assert!(RandomErasing { probability: 0.0, ..erasing }.identity());
    }

    #[test]
    fn a_frame_without_room_stays_whole() {
        let erasing = RandomErasing { probability: 1.0, ..Default::default() };
        let stream = Stream::new(1, "erase");
        for (width, height) in [(1, 1), (1, 50), (50, 1)] {
            (0..20).for_each(|clip| {
                assert_eq!(erasing.apply(white(width, height), Some(&mut stream.at(clip))), white(width, height));
            });
        }
    }
}
