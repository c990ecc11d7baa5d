//! `flip`: left and right change places, in all frames of a clip or in none.
//!
//! Source: the training of TRX (Perrett et al., CVPR 2021) and most work on video, with one draw for each clip. Classes
//! such as "pushing something from left to right" become others in a mirror, so data sets that have them are not
//! mirrored unless asked for.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of mirroring.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Flip {
    /// Probability of mirroring a clip. `null` is 0 where the dataset says that classes have directions, and 0.5
    /// elsewhere.
    #[schemars(range(min = 0.0, max = 1.0))]
    probability: Option<f64>,
}

register!(dyn Augment, Flip, name: "flip",
    summary: "a clip or its mirror image; never the mirror image where classes have directions",
    paper: Some("TRX, CVPR 2021"), stability: Stable, usage: "{probability: 0.5}");

impl Component for Flip {
    type Slot = dyn Augment;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Augment>> {
        let usual = if context.directed == Some(true) { 0.0 } else { 0.5 };
        Ok(Box::new(Mirror { probability: self.probability.unwrap_or(usual) }))
    }
}

#[derive(Debug)]
struct Mirror {
    probability: f64,
}

impl Augment for Mirror {
    fn identity(&self) -> bool {
        self.probability == 0.0
    }

    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        if !rng.is_some_and(|rng| rng.chance(self.probability)) {
            return frames;
        }
        let images = frames.images.iter().map(|image| mirrored(image, frames.width)).collect();
        Frames { images, ..frames }
    }
}

/// The mirror image of rows of `width` RGB pixels.
pub(super) fn mirrored(pixels: &[u8], width: usize) -> Vec<u8> {
    pixels.chunks_exact(width * 3).flat_map(|row| row.rchunks_exact(3).flatten()).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use burn::tensor::Device;
    use maclip_framework::random::Stream;

    fn frames() -> Frames {
        let image = vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        Frames { height: 2, width: 2, images: vec![image.clone(), image] }
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<Flip>(Traits { also: &["", "probability: 0"], ..Traits::default() });
    }

    #[test]
    fn pixels_change_places_and_channels_do_not() {
        let mirror = Mirror { probability: 1.0 };
        let out = mirror.apply(frames(), Some(&mut Stream::new(1, "flip").at(0)));
        let want = [4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9];
        assert_eq!(out, Frames { height: 2, width: 2, images: vec![want.to_vec(); 2] });
        assert_eq!(mirror.apply(frames(), None), frames(), "evaluation");
    }

    #[test]
    fn a_clip_is_mirrored_whole_and_as_often_as_asked() {
        let mirror = Mirror { probability: 0.25 };
        let stream = Stream::new(1, "flip");
        let mut changed = 0;
        for clip in 0..1000 {
            let out = mirror.apply(frames(), Some(&mut stream.at(clip)));
            assert_eq!(out.images[0], out.images[1]);
            changed += usize::from(out != frames());
        }
        // 250 expected, standard deviation below 14.
        assert!((195..305).contains(&changed), "{changed}");
    }

    #[test]
    fn directions_switch_it_off_unless_asked_for() {
        let identity = |directed, probability| {
            let mut context = BuildContext::new(1, Device::flex());
            context.directed = directed;
            Flip { probability }.build(&context).unwrap().identity()
        };
        assert!(identity(Some(true), None) && identity(None, Some(0.0)));
        assert!(!identity(Some(false), None) && !identity(None, None) && !identity(Some(true), Some(0.5)));
    }

    #[test]
    fn one_pixel_is_its_own_mirror_image() {
        assert_eq!(mirrored(&[1, 2, 3], 1), [1, 2, 3]);
    }
}
