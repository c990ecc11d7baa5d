//! `crop`: a square of a given size, anywhere in training and from the centre in evaluation, the same for all frames of
//! a clip.
//!
//! Source: the preparation of TRX (Perrett et al., CVPR 2021) and CLIP-FSAR (Wang et al., IJCV 2023): frames of 256,
//! crops of 224. The centre is torchvision's `CenterCrop`. A frame that is smaller than the crop is first resized with
//! the bicubic filter so that its shorter side is as long as the crop.

use maclip_framework::error::Result;
use maclip_framework::images::{Filter, Image, crop_offset, crop_rgb, resize_to, short_side_size};
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the crop.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Crop {
    /// Pixels of each side. 224 is the image size of CLIP ViT-B and RN50. Where the backbone has another image size,
    /// give that one: crops are resized to it.
    #[schemars(range(min = 1, max = 4096))]
    size: usize,
}

impl Default for Crop {
    fn default() -> Self {
        Self { size: 224 }
    }
}

register!(dyn Augment, Crop, name: "crop",
    summary: "a square of a given size: anywhere in training, the centre in evaluation",
    paper: Some("TRX, CVPR 2021"), stability: Stable, usage: "{size: 224}");

impl Component for Crop {
    type Slot = dyn Augment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

impl Augment for Crop {
    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        let frames = if frames.width.min(frames.height) < self.size { enlarged(frames, self.size) } else { frames };
        let size = self.size;
        let corner = match rng {
            Some(rng) => (rng.below(frames.width - size + 1), rng.below(frames.height - size + 1)),
            None => (crop_offset(frames.width, size), crop_offset(frames.height, size)),
        };
        let cut = |image: &Vec<u8>| crop_rgb(image, frames.width, corner, (size, size));
        Frames { height: size, width: size, images: frames.images.iter().map(cut).collect() }
    }
}

/// The frames with a shorter side of `size`.
fn enlarged(frames: Frames, size: usize) -> Frames {
    let (width, height) = short_side_size(frames.width, frames.height, size);
    let enlarge = |image: Image| {
        resize_to(&image, width, height, Filter::Bicubic)
            .expect("frames have pixels, and sides that fit into 32 bit")
            .pixels
    };
    Frames { height, width, images: frames.into_images().map(enlarge).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use maclip_framework::random::Stream;
    use std::collections::BTreeSet;

    /// Two frames in which each pixel holds its column and row.
    fn frames(width: u8, height: u8) -> Frames {
        let image: Vec<u8> = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x, y, 9])).collect();
        Frames { height: height.into(), width: width.into(), images: vec![image.clone(), image] }
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<Crop>(Traits { also: &["size: 20"], changes_evaluation: true });
    }

    #[test]
    fn evaluation_takes_the_centre_of_torchvision() {
        // (8 - 3) / 2 = 2.5 and (6 - 3) / 2 = 1.5 both go to the even 2.
        let out = Crop { size: 3 }.apply(frames(8, 6), None);
        assert_eq!((out.width, out.height), (3, 3));
        assert_eq!((out.images[0][..3].to_vec(), out.images[0][24..].to_vec()), (vec![2, 2, 9], vec![4, 4, 9]));
        assert_eq!(out.images[0], out.images[1]);
    }

    #[test]
    fn training_reaches_every_place_and_cuts_all_frames_alike() {
        let stream = Stream::new(1, "crop");
        let mut corners = BTreeSet::new();
        for clip in 0..300 {
            let out = Crop { size: 4 }.apply(frames(6, 5), Some(&mut stream.at(clip)));
            assert_eq!(out.images[0], out.images[1]);
            let [x, y, _] = out.images[0][..3] else { panic!("no pixel") };
            assert_eq!(out.images[0][45..], [x + 3, y + 3, 9], "the last pixel belongs to the first");
            corners.insert((x, y));
        }
        assert_eq!(corners, (0..=2).flat_map(|x| (0..=1).map(move |y| (x, y))).collect());
    }

    #[test]
    fn a_smaller_frame_is_enlarged_first() {
        let grey = |width, height| Frames { height, width, images: vec![vec![80; width * height * 3]; 2] };
        let stream = Stream::new(1, "crop");
        for (width, height) in [(1, 1), (3, 2), (2, 9), (5, 4)] {
            for clip in 0..20 {
                let mut rng = (clip > 0).then(|| stream.at(clip));
                assert_eq!(Crop { size: 5 }.apply(grey(width, height), rng.as_mut()), grey(5, 5));
            }
        }
    }

    #[test]
    fn a_frame_of_that_size_stays_as_it_is() {
        let mut rng = Stream::new(1, "crop").at(0);
        assert_eq!(Crop { size: 6 }.apply(frames(6, 6), Some(&mut rng)), frames(6, 6));
    }
}
