//! `color_jitter`: brightness, contrast, saturation and hue change by random factors, the same for all frames of a
//! clip.
//!
//! Source: the query clips of CLIP-FSAR (Wang et al., IJCV 2023) on Kinetics, whose values are the defaults; the
//! formulas are those of torchvision's `ColorJitter` on tensors. Factors are uniform in [1 − x, 1 + x], not below 0,
//! the hue's shift in [−x, x] of the colour circle, and the order of the four is random. As in CLIP-FSAR a clip becomes
//! grey before them where that is drawn, luma is 0.299 R + 0.587 G + 0.114 B, and all is done on floats from 0 to 1;
//! the result is rounded to 8 bit once.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the colours.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ColorJitter {
    /// How far the factor on all values may be from 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    brightness: f64,
    /// How far the factor on the distance to the frame's mean luma may be from 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    contrast: f64,
    /// How far the factor on the distance to the pixel's luma may be from 1.
    #[schemars(range(min = 0.0, max = 10.0))]
    saturation: f64,
    /// Largest shift of the hue, as a part of the colour circle.
    #[schemars(range(min = 0.0, max = 0.5))]
    hue: f64,
    /// Probability of a clip without colours.
    #[schemars(range(min = 0.0, max = 1.0))]
    grayscale: f64,
}

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: 0.5, contrast: 0.5, saturation: 0.5, hue: 0.25, grayscale: 0.3 }
    }
}

register!(dyn Augment, ColorJitter, name: "color_jitter",
    summary: "brightness, contrast, saturation and hue by random factors, the same for all frames of a clip",
    paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable,
    usage: "{brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1}");

impl Component for ColorJitter {
    type Slot = dyn Augment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

impl Augment for ColorJitter {
    fn identity(&self) -> bool {
        [self.brightness, self.contrast, self.saturation, self.hue, self.grayscale].iter().all(|x| *x == 0.0)
    }

    fn apply(&self, mut frames: Frames, rng: Option<&mut Rng>) -> Frames {
        let Some(rng) = rng else { return frames };
        let changes = self.draw(rng);
        for image in &mut frames.images {
            let (pixels, _) = image.as_chunks::<3>();
            let mut colors: Vec<Color> =
                pixels.iter().map(|pixel| pixel.map(|value| f32::from(value) / 255.0)).collect();
            changes.iter().for_each(|change| change.apply(&mut colors));
            let rounded = |color: Color| color.map(|value| (value * 255.0).round() as u8);
            *image = colors.into_iter().flat_map(rounded).collect();
        }
        frames
    }
}

impl ColorJitter {
    fn draw(&self, rng: &mut Rng) -> Vec<Change> {
        let mut factor = |x: f64| rng.range((1.0 - x).max(0.0), 1.0 + x) as f32;
        let [brightness, contrast, saturation] = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let all = [
            Change::Brightness(brightness),
            Change::Contrast(contrast),
            Change::Saturation(saturation),
            Change::Hue(rng.range(-self.hue, self.hue) as f32),
        ];
        let order = rng.distinct(all.len(), all.len());
        let gray = rng.chance(self.grayscale).then_some(Change::Saturation(0.0));
        gray.into_iter().chain(order.into_iter().map(|i| all[i])).collect()
    }
}

/// Red, green and blue from 0 to 1.
pub type Color = [f32; 3];

/// One change of a frame's colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// Towards black, or away from it.
    Brightness(f32),
    /// Towards the mean luma of the frame, or away from it.
    Contrast(f32),
    /// Towards the luma of the pixel, or away from it; 0 leaves no colour.
    Saturation(f32),
    /// A shift on the colour circle.
    Hue(f32),
}

impl Change {
    /// Changes the colours of a frame.
    pub fn apply(self, colors: &mut [Color]) {
        match self {
            Change::Brightness(factor) => each(colors, |color| blend(color, 0.0, factor)),
            Change::Contrast(factor) => {
                // A sum of many pixels needs more than 32 bit.
                let sum: f64 = colors.iter().map(|color| f64::from(luma(*color))).sum();
                let mean = (sum / colors.len() as f64) as f32;
                each(colors, |color| blend(color, mean, factor));
            }
            Change::Saturation(factor) => each(colors, |color| blend(color, luma(color), factor)),
            Change::Hue(shift) => each(colors, |color| shifted(color, shift)),
        }
    }
}

fn each(colors: &mut [Color], change: impl Fn(Color) -> Color) {
    colors.iter_mut().for_each(|color| *color = change(*color));
}

fn luma([red, green, blue]: Color) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

fn blend(color: Color, other: f32, factor: f32) -> Color {
    color.map(|value| (factor * value + (1.0 - factor) * other).clamp(0.0, 1.0))
}

/// The colour with its hue moved by `shift` of the circle; saturation and value (of HSV) stay.
fn shifted(color: Color, shift: f32) -> Color {
    let [red, green, blue] = color;
    let (value, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let chroma = value - least;
    if chroma == 0.0 {
        return color;
    }
    // Hue in sixths of the circle, red at 0.
    let hue = match () {
        () if value == red => (green - blue) / chroma,
        () if value == green => 2.0 + (blue - red) / chroma,
        () => 4.0 + (red - green) / chroma,
    };
    let hue = (hue + 6.0 * shift).rem_euclid(6.0);
    // Each channel is full within one sixth of its own hue and empty beyond two.
    [5.0, 3.0, 1.0].map(|at: f32| {
        let distance = (hue + at).rem_euclid(6.0);
        value - chroma * distance.min(4.0 - distance).clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use maclip_framework::random::Stream;

    const GRAY: f32 = 0.299 * 0.8 + 0.587 * 0.4 + 0.114 * 0.2;

    fn changed(change: Change, colors: &[Color]) -> Vec<Color> {
        let mut colors = colors.to_vec();
        change.apply(&mut colors);
        colors
    }

    fn near(got: &[Color], want: &[Color]) {
        let same = got.iter().flatten().zip(want.iter().flatten()).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(same && got.len() == want.len(), "{got:?} {want:?}");
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<ColorJitter>(Traits {
            also: &["", "brightness: 0, contrast: 0, saturation: 0, hue: 0, grayscale: 0"],
            ..Traits::default()
        });
    }

    #[test]
    fn each_change_is_the_one_worked_out_by_hand() {
        let orange = [0.8, 0.4, 0.2];
        near(&changed(Change::Brightness(0.5), &[orange]), &[[0.4, 0.2, 0.1]]);
        near(&changed(Change::Brightness(2.0), &[orange]), &[[1.0, 0.8, 0.4]]);
        near(&changed(Change::Saturation(0.0), &[orange]), &[[GRAY; 3]]);
        near(&changed(Change::Saturation(1.5), &[[0.5, 0.4, 0.5]]), &[[0.52935, 0.37935, 0.52935]]);
        // Mean luma of the frame: half of black's and white's. 1.5 * 0 - 0.5 * 0.5 is below 0.
        near(&changed(Change::Contrast(0.5), &[[0.0; 3], [1.0; 3]]), &[[0.25; 3], [0.75; 3]]);
        near(&changed(Change::Contrast(1.5), &[[0.0; 3], [0.5; 3], [1.0; 3]]), &[[0.0; 3], [0.5; 3], [1.0; 3]]);
        for change in [Change::Brightness(1.0), Change::Contrast(1.0), Change::Saturation(1.0), Change::Hue(0.0)] {
            near(&changed(change, &[orange, [0.1, 0.3, 0.2]]), &[orange, [0.1, 0.3, 0.2]]);
        }
    }

    #[test]
    fn hue_moves_on_the_circle() {
        // A third of the circle is one channel; a half is the complement; (0.8, 0.4, 0.2) is at 1/18, 1/6 more at 2/9 =
        // 4/3 sixths: green is full, blue empty, and red 0.8 - 0.6 / 3 = 0.6.
        near(&[shifted([0.8, 0.4, 0.2], 1.0 / 3.0)], &[[0.2, 0.8, 0.4]]);
        near(&[shifted([0.8, 0.4, 0.2], -1.0 / 3.0)], &[[0.4, 0.2, 0.8]]);
        near(&[shifted([0.8, 0.4, 0.2], 0.5)], &[[0.2, 0.6, 0.8]]);
        near(&[shifted([0.8, 0.4, 0.2], 1.0 / 6.0)], &[[0.6, 0.8, 0.2]]);
        near(&[shifted([0.3; 3], 0.2)], &[[0.3; 3]]);
    }

    #[test]
    fn all_frames_get_the_same_draw_and_evaluation_none() {
        let image: Vec<u8> = (0..6 * 5 * 3).map(|i| (i * 7) as u8).collect();
        let frames = Frames { height: 5, width: 6, images: vec![image.clone(), image] };
        let jitter = ColorJitter::default();
        let stream = Stream::new(1, "jitter");
        let mut gray = 0;
        for clip in 0..500 {
            let out = jitter.apply(frames.clone(), Some(&mut stream.at(clip)));
            assert_eq!((out.images[0] == out.images[1], out.height, out.width), (true, 5, 6));
            gray += usize::from(out.images[0].chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
        }
        // 150 expected, standard deviation about 10.
        assert!((110..190).contains(&gray), "{gray}");
        assert_eq!(jitter.apply(frames.clone(), None), frames);
    }

    #[test]
    fn draws_stay_in_their_ranges_and_come_in_every_order() {
        let stream = Stream::new(2, "jitter");
        let mut orders = std::collections::BTreeSet::new();
        for clip in 0..1000 {
            let changes =
                ColorJitter { brightness: 2.0, grayscale: 0.0, ..Default::default() }.draw(&mut stream.at(clip));
            let inside = |change: &Change| match change {
                Change::Brightness(factor) => (0.0..3.0).contains(factor),
                Change::Contrast(factor) | Change::Saturation(factor) => (0.5..1.5).contains(factor),
                Change::Hue(shift) => (-0.25..0.25).contains(shift),
            };
            assert!(changes.iter().all(inside), "{changes:?}");
            orders.insert(changes.iter().map(|change| format!("{change:?}")[..2].to_owned()).collect::<String>());
        }
        assert_eq!(orders.len(), 24);
    }

    #[test]
    fn no_change_leaves_the_bytes_and_one_pixel_is_enough() {
        let still = ColorJitter { brightness: 0.0, contrast: 0.0, saturation: 0.0, hue: 0.0, grayscale: 0.0 };
        assert!(still.identity() && !ColorJitter::default().identity());
        let frames = Frames { height: 1, width: 1, images: vec![vec![200, 3, 77]] };
        let stream = Stream::new(3, "jitter");
        assert_eq!(still.apply(frames.clone(), Some(&mut stream.at(0))), frames);
        assert_eq!(ColorJitter::default().apply(frames, Some(&mut stream.at(0))).images[0].len(), 3);
    }
}
