//! `__name__`: __summary__.
//!
//! Source: say which paper or public code this follows. What this template does: a window of T frames that are `stride`
//! apart, in the middle of the clip in evaluation and anywhere in training; a clip that is shorter repeats its last
//! frame.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of the sampler.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// Frames T of a clip.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
    /// Distance of two neighbours, in frames of the clip.
    #[schemars(range(min = 1, max = 10_000))]
    stride: usize,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { count: 8, stride: 2 }
    }
}

register!(dyn FrameSampler, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{count: 8, stride: 2}");

impl Component for __Name__ {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for __Name__ {
    fn count(&self) -> usize {
        self.count
    }

    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let span = (self.count - 1) * self.stride + 1;
        let room = clip.frames.saturating_sub(span);
        // Only training gives random numbers: a test takes the same frames every time.
        let start = rng.map_or(room / 2, |rng| rng.below(room + 1));
        Ok((0..self.count).map(|i| (start + i * self.stride).min(clip.frames - 1)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, frames::Traits};
    use maclip_framework::random::Stream;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<__Name__>(Traits::default());
    }

    #[test]
    fn hand_computed_frames() {
        let sampler = __Name__ { count: 3, stride: 2 };
        let evaluated = |frames| sampler.sample(&Timeline::of(frames), None).unwrap();
        assert_eq!(evaluated(9), [2, 4, 6]);
        assert_eq!(evaluated(4), [0, 2, 3]);
        assert_eq!(evaluated(1), [0, 0, 0]);
        let drawn = |index| sampler.sample(&Timeline::of(9), Some(&mut Stream::new(1, "frames").at(index))).unwrap();
        let starts: std::collections::BTreeSet<usize> = (0..100).map(|index| drawn(index)[0]).collect();
        assert_eq!(starts.into_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
}
