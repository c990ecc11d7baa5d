//! `__name__`: __summary__.
//!
//! Source: say which paper or public code this follows. What this template does: a square in the middle of a frame, cut
//! out without resizing.

use maclip_framework::error::Result;
use maclip_framework::images::Image;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::resize::Resize;
use serde::{Deserialize, Serialize};

/// Options of the size.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Side of the square as a share of the shorter side of the frame.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    share: f64,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { share: 1.0 }
    }
}

register!(dyn Resize, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{share: 0.9}");

impl Component for __Name__ {
    type Slot = dyn Resize;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Resize>> {
        Ok(Box::new(self))
    }
}

impl Resize for __Name__ {
    // Nothing may be drawn here: training, evaluation and the clip store share what comes out.
    fn apply(&self, image: Image) -> Result<Image> {
        let shorter = image.width.min(image.height);
        let side = ((shorter as f64 * self.share).round() as usize).clamp(1, shorter);
        let (left, top) = ((image.width - side) / 2, (image.height - side) / 2);
        let row = |y: usize| &image.pixels[(y * image.width + left) * 3..][..side * 3];
        let pixels = (top..top + side).flat_map(row).copied().collect();
        Ok(Image { width: side, height: side, pixels })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, resize::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::resize::holds::<__Name__>(Traits::default());
    }

    #[test]
    fn the_middle_of_a_hand_made_frame() {
        // 4 × 2 pixels, each of its column's number.
        let pixels: Vec<u8> = (0..2).flat_map(|_| (0..4).flat_map(|x| [x; 3])).collect();
        let cut = __Name__ { share: 1.0 }.apply(Image { width: 4, height: 2, pixels }).unwrap();
        assert_eq!((cut.width, cut.height), (2, 2));
        assert_eq!(cut.pixels, [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn a_frame_never_vanishes() {
        let pixel = Image { width: 1, height: 1, pixels: vec![7, 8, 9] };
        assert_eq!(__Name__ { share: 0.01 }.apply(pixel.clone()).unwrap(), pixel);
    }
}
