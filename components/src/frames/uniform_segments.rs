//! `uniform_segments`: the clip is cut into T equal segments; the centre of each in evaluation, a random frame in
//! training.
//!
//! Source: TSN (Wang et al., ECCV 2016). In training the segments have ⌊n / T⌋ whole frames, so the last n mod T frames
//! of a clip are not drawn, as in the code of TSN and Task-Adapter. A clip of fewer than T frames has segments of n /
//! T.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of segment sampling.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct UniformSegments {
    /// Frames T of a clip. 8 in the paper and all peers.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
    /// A random frame of each segment in training; off takes the centres there too.
    random_in_training: bool,
}

impl Default for UniformSegments {
    fn default() -> Self {
        Self { count: 8, random_in_training: true }
    }
}

register!(dyn FrameSampler, UniformSegments, name: "uniform_segments",
    summary: "one frame of each of T equal segments: the centre in evaluation, random in training",
    paper: Some("TSN, ECCV 2016"), stability: Stable, usage: "{count: 8}");

impl Component for UniformSegments {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for UniformSegments {
    fn count(&self) -> usize {
        self.count
    }

    fn fixed(&self) -> bool {
        !self.random_in_training
    }

    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let mut rng = rng.filter(|_| self.random_in_training);
        let segment = match (&rng, clip.frames / self.count) {
            (Some(_), whole) if whole > 0 => whole as f64,
            _ => clip.frames as f64 / self.count as f64,
        };
        let frame = |i: usize| {
            let offset = rng.as_mut().map_or(0.5, |rng| rng.unit());
            (((i as f64 + offset) * segment) as usize).min(clip.frames - 1)
        };
        Ok((0..self.count).map(frame).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, frames::Traits};
    use maclip_framework::random::Stream;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<UniformSegments>(Traits { options: "count: 4", ..Traits::default() });
    }

    #[test]
    fn evaluation_takes_the_centres() {
        let sampler = UniformSegments { count: 4, ..Default::default() };
        let evaluated = |frames| sampler.sample(&Timeline::of(frames), None).unwrap();
        assert_eq!(evaluated(16), [2, 6, 10, 14]);
        assert_eq!(evaluated(4), [0, 1, 2, 3]);
        assert_eq!(evaluated(2), [0, 0, 1, 1]);
        assert_eq!(evaluated(1), [0, 0, 0, 0]);
    }

    #[test]
    fn training_stays_in_its_segments() {
        let sampler = UniformSegments { count: 4, ..Default::default() };
        let stream = Stream::new(1, "frames");
        let mut seen = std::collections::BTreeSet::new();
        for i in 0..200 {
            let frames = sampler.sample(&Timeline::of(16), Some(&mut stream.at(i))).unwrap();
            assert!(frames.iter().enumerate().all(|(s, &f)| (4 * s..4 * s + 4).contains(&f)));
            seen.extend(frames);
        }
        assert_eq!(seen.len(), 16);
    }
}
