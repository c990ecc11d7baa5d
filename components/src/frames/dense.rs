//! `dense`: T frames at a fixed distance from each other, from a random start in training and the middle of the clip in
//! evaluation.
//!
//! Source: SlowFast (Feichtenhofer et al., ICCV 2019), whose slow pathway takes 8 frames, one of every 8; with `stride:
//! 1` the dense clips of I3D (Carreira & Zisserman, CVPR 2017). One window is taken in evaluation, not many as in those
//! papers.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of dense sampling.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Dense {
    /// Frames T of a clip. 8 in all peers.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
    /// Distance of one frame to the next, in frames of the clip. 8 in SlowFast 8×8.
    #[schemars(range(min = 1, max = 1024))]
    stride: usize,
}

impl Default for Dense {
    fn default() -> Self {
        Self { count: 8, stride: 8 }
    }
}

register!(dyn FrameSampler, Dense, name: "dense",
    summary: "T frames at a fixed distance: a random window in training, the middle one in evaluation",
    paper: Some("SlowFast, ICCV 2019"), stability: Stable, usage: "{count: 8, stride: 4}");

impl Component for Dense {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for Dense {
    fn count(&self) -> usize {
        self.count
    }

    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let window = (self.count - 1) * self.stride + 1;
        let room = clip.frames.saturating_sub(window);
        let start = rng.map_or(room / 2, |rng| rng.below(room + 1));
        // A clip shorter than the window repeats its last frame.
        Ok((0..self.count).map(|i| (start + i * self.stride).min(clip.frames - 1)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::conformance::frames::{Traits, evaluated, seen};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<Dense>(Traits { options: "count: 4, stride: 3", ..Traits::default() });
    }

    #[test]
    fn evaluation_takes_the_middle_window() {
        let sampler = Dense { count: 4, stride: 3 };
        // The window has 10 frames: 0 left over, 1, 2 and 7.
        assert_eq!(evaluated(&sampler, 10), [0, 3, 6, 9]);
        assert_eq!(evaluated(&sampler, 11), [0, 3, 6, 9]);
        assert_eq!(evaluated(&sampler, 12), [1, 4, 7, 10]);
        assert_eq!(evaluated(&sampler, 17), [3, 6, 9, 12]);
    }

    #[test]
    fn a_short_clip_repeats_its_last_frame() {
        let sampler = Dense { count: 4, stride: 3 };
        assert_eq!(evaluated(&sampler, 9), [0, 3, 6, 8]);
        assert_eq!(evaluated(&sampler, 4), [0, 3, 3, 3]);
        assert_eq!(evaluated(&sampler, 1), [0, 0, 0, 0]);
    }

    #[test]
    fn training_starts_anywhere_that_the_window_fits() {
        for frames in [1, 2, 3, 4, 5, 12, 1_000_000] {
            seen(&Dense { count: 4, stride: 3 }, frames);
        }
        let starts = seen(&Dense { count: 4, stride: 3 }, 17).swap_remove(0);
        assert_eq!(starts, (0..=7).collect());
    }
}
