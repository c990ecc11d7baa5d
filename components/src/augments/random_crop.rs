//! `random_crop`: a random part of the frame, the same for all frames of a clip, and by choice its mirror image.
//!
//! Source: the training crop of TSN (Wang et al., ECCV 2016), with one draw for each clip. Mirroring is off unless
//! asked for: classes such as "moving something from left to right" have a direction.

use super::flip::mirrored;
use maclip_framework::error::Result;
use maclip_framework::images::crop_rgb;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the crop.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct RandomCrop {
    /// Smallest side of the crop as a share of the frame's side; the share is uniform from here to 1.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    scale: f64,
    /// Probability of mirroring left and right. 0 where classes have a direction.
    #[schemars(range(min = 0.0, max = 1.0))]
    flip: f64,
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self { scale: 0.8, flip: 0.0 }
    }
}

register!(dyn Augment, RandomCrop, name: "random_crop", summary: "a random part of the frame, the same for all frames of a clip",
    paper: Some("TSN, ECCV 2016"), stability: Stable, usage: "{scale: 0.8, flip: 0.5}");

impl Component for RandomCrop {
    type Slot = dyn Augment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

impl Augment for RandomCrop {
    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        let Some(rng) = rng else { return frames };
        let share = rng.range(self.scale, 1.0);
        let side = |full: usize| ((full as f64 * share).round() as usize).clamp(1, full);
        let (height, width) = (side(frames.height), side(frames.width));
        let (top, left) = (rng.below(frames.height - height + 1), rng.below(frames.width - width + 1));
        let flip = rng.chance(self.flip);
        let crop = |image: &Vec<u8>| {
            let part = crop_rgb(image, frames.width, (left, top), (width, height));
            if flip { mirrored(&part, width) } else { part }
        };
        Frames { height, width, images: frames.images.iter().map(crop).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use maclip_framework::random::Stream;

    /// Two frames in which each pixel holds its place.
    fn frames() -> Frames {
        let image: Vec<u8> = (0..6 * 8).flat_map(|at| [at, at, 200]).collect();
        Frames { height: 6, width: 8, images: vec![image.clone(), image] }
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<RandomCrop>(Traits::default());
    }

    #[test]
    fn all_frames_of_a_clip_are_cut_alike() {
        let crop = RandomCrop { scale: 0.5, flip: 0.5 };
        for index in 0..50 {
            let cut = crop.apply(frames(), Some(&mut Stream::new(1, "crop").at(index)));
            assert_eq!(cut.images[0], cut.images[1]);
            assert_eq!(cut.images[0].len(), cut.height * cut.width * 3);
            assert!((3..=6).contains(&cut.height) && (4..=8).contains(&cut.width));
            // Neighbours stay neighbours, in one direction or the other.
            let step = cut.images[0][3] as i32 - cut.images[0][0] as i32;
            assert!(step == 1 || step == -1, "{step}");
        }
    }

    #[test]
    fn the_whole_frame_stays_as_it_is() {
        let crop = RandomCrop { scale: 1.0, flip: 0.0 };
        assert_eq!(crop.apply(frames(), Some(&mut Stream::new(1, "crop").at(0))), frames());
    }
}
