//! `square`: a square of a given size; the aspect ratio is not kept.
//!
//! Source: the code of CLIP-FSAR (Wang et al., IJCV 2023) and its family. It brings every frame to 256 × 256 with
//! PyTorch's bilinear interpolation of floats, without antialias, and crops 224 × 224; that is `filter:
//! bilinear_no_antialias`, here rounded to 8 bit.

use maclip_framework::error::Result;
use maclip_framework::images::{Filter, Image, resize_to};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::resize::Resize;
use serde::{Deserialize, Serialize};

/// Options of the size.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Square {
    /// Pixels of each side. 256 leaves room for a crop of 224.
    #[schemars(range(min = 1, max = 4096))]
    side: usize,
    /// The resampling filter. `bilinear_no_antialias` is what CLIP-FSAR's code does.
    filter: Filter,
}

impl Default for Square {
    fn default() -> Self {
        Self { side: 256, filter: Filter::Bilinear }
    }
}

register!(dyn Resize, Square, name: "square", summary: "a square of a given size; the aspect ratio is not kept",
    paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable, usage: "{side: 256, filter: bilinear_no_antialias}");

impl Component for Square {
    type Slot = dyn Resize;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Resize>> {
        Ok(Box::new(self))
    }
}

impl Resize for Square {
    fn apply(&self, image: Image) -> Result<Image> {
        resize_to(&image, self.side, self.side, self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, resize::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::resize::holds::<Square>(Traits { also: &["side: 20"] });
    }

    #[test]
    fn the_longer_side_is_pressed_together() {
        // Four columns become two, whose centres are half-way between two source columns; the rows stay.
        let row = [0, 100, 200, 50];
        let pixels = [row, row].concat().into_iter().flat_map(|value| [value; 3]).collect();
        let square = Square { side: 2, filter: Filter::BilinearNoAntialias };
        let out = square.apply(Image { width: 4, height: 2, pixels }).unwrap();
        assert_eq!((out.width, out.height), (2, 2));
        assert_eq!(out.pixels, [[50; 3], [125; 3], [50; 3], [125; 3]].concat());
    }

    #[test]
    fn any_size_becomes_the_square() {
        for (width, height) in [(1, 1), (1, 9), (7, 3), (8, 8)] {
            for filter in [Filter::Bicubic, Filter::Bilinear, Filter::BilinearNoAntialias] {
                let image = Image { width, height, pixels: vec![90; width * height * 3] };
                let out = Square { side: 8, filter }.apply(image).unwrap();
                assert_eq!(out, Image { width: 8, height: 8, pixels: vec![90; 8 * 8 * 3] });
            }
        }
    }
}
