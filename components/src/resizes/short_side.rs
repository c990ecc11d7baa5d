//! `short_side`: the shorter side gets a given length and the aspect ratio stays.
//!
//! Source: the preparation of TRX (Perrett et al., CVPR 2021), 256 pixels before a crop of 224, and of most work on
//! video since TSN.

use maclip_framework::error::Result;
use maclip_framework::images::{Filter, Image, resize_to, short_side_size};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::resize::Resize;
use serde::{Deserialize, Serialize};

/// Options of the size.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ShortSide {
    /// Pixels of the shorter side; the longer one is rounded down to whole pixels. 256 leaves room for a crop of 224.
    #[schemars(range(min = 1, max = 4096))]
    side: usize,
    /// The resampling filter.
    filter: Filter,
}

impl Default for ShortSide {
    fn default() -> Self {
        Self { side: 256, filter: Filter::Bicubic }
    }
}

register!(dyn Resize, ShortSide, name: "short_side",
    summary: "the shorter side gets a given length, the aspect ratio stays",
    paper: Some("TRX, CVPR 2021"), stability: Stable, usage: "{side: 256, filter: bilinear}");

impl Component for ShortSide {
    type Slot = dyn Resize;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Resize>> {
        Ok(Box::new(self))
    }
}

impl Resize for ShortSide {
    fn apply(&self, image: Image) -> Result<Image> {
        let (width, height) = short_side_size(image.width, image.height, self.side);
        resize_to(&image, width, height, self.filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, resize::Traits};

    fn sides(width: usize, height: usize, side: usize) -> (usize, usize) {
        let image = Image { width, height, pixels: vec![7; width * height * 3] };
        let out = ShortSide { side, filter: Filter::Bilinear }.apply(image).unwrap();
        assert_eq!(out.pixels, vec![7; out.width * out.height * 3], "a constant image stays one");
        (out.width, out.height)
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::resize::holds::<ShortSide>(Traits { also: &["side: 20"] });
    }

    #[test]
    fn the_longer_side_is_rounded_down() {
        // 32 * 340 / 256 = 42.5; 24 * 500 / 120 = 100; upwards 3 * 5 / 2 = 7.5.
        assert_eq!(sides(340, 256, 32), (42, 32));
        assert_eq!(sides(120, 500, 24), (24, 100));
        assert_eq!(sides(5, 2, 3), (7, 3));
        assert_eq!(sides(1, 1, 4), (4, 4));
    }

    #[test]
    fn an_image_of_that_size_stays_as_it_is() {
        let image = Image { width: 3, height: 2, pixels: (0..18).collect() };
        for filter in [Filter::Bicubic, Filter::Bilinear, Filter::BilinearNoAntialias] {
            assert_eq!(ShortSide { side: 2, filter }.apply(image.clone()).unwrap(), image);
        }
    }
}
