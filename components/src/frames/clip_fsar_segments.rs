//! `clip_fsar_segments`: the clip is cut into T parts of n / T whole frames, and a random frame of each is taken, in
//! evaluation too.
//!
//! Source: the code of CLIP-FSAR (Wang et al., IJCV 2023), which MoLo, D2ST-Adapter and TS-FSAR share. It uses this
//! rule wherever the sampling rate is above 40: in the released 1-shot settings SSv2-Full, SSv2-Small, HMDB51 and
//! UCF101 have 50 (Kinetics has 35, see `clip_fsar_interval`). Part i holds the frames i·⌊n/T⌋ to (i+1)·⌊n/T⌋ − 1, both
//! included; the last n mod T frames of a clip are never seen. The frames of evaluation are drawn as well, so that a
//! result depends on that draw. Fewer than T frames make parts of none, at which that code fails; here such a clip is
//! refused.

use maclip_framework::error::{Error, Result};
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of CLIP-FSAR's segments.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct ClipFsarSegments {
    /// Frames T of a clip; every clip must have as many. 8 in the paper and all peers.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
    /// Whether evaluation draws frames too, as the published results do. Off takes the middle frame of each part.
    random_in_evaluation: bool,
}

impl Default for ClipFsarSegments {
    fn default() -> Self {
        Self { count: 8, random_in_evaluation: true }
    }
}

register!(dyn FrameSampler, ClipFsarSegments, name: "clip_fsar_segments",
    summary: "a random frame of each of T parts of n / T whole frames, in training and evaluation",
    paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable, usage: "{count: 8, random_in_evaluation: false}");

impl Component for ClipFsarSegments {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for ClipFsarSegments {
    fn count(&self) -> usize {
        self.count
    }

    fn random_in_evaluation(&self) -> bool {
        self.random_in_evaluation
    }

    fn sample(&self, clip: &Timeline, mut rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let interval = clip.frames / self.count;
        if interval == 0 {
            let message =
                format!("the clip has {} frames, too few for CLIP-FSAR's {} segments", clip.frames, self.count);
            let help = "leave such clips out with `dataset.broken: skip`, or use other `frames`";
            return Err(Error::failed(message).help(help));
        }
        let frame = |i| i * interval + rng.as_mut().map_or(interval / 2, |rng| rng.below(interval));
        Ok((0..self.count).map(frame).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::conformance::frames::{Traits, evaluated, seen};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<ClipFsarSegments>(Traits { options: "count: 4", least: 4, ..Traits::default() });
    }

    #[test]
    fn without_draws_each_part_gives_its_middle() {
        let sampler = ClipFsarSegments { count: 4, random_in_evaluation: false };
        assert!(!sampler.random_in_evaluation());
        assert_eq!(evaluated(&sampler, 4), [0, 1, 2, 3]);
        assert_eq!(evaluated(&sampler, 7), [0, 1, 2, 3], "3 of 7 frames are never seen");
        assert_eq!(evaluated(&sampler, 8), [1, 3, 5, 7]);
        assert_eq!(evaluated(&sampler, 23), [2, 7, 12, 17]);
    }

    #[test]
    fn draws_reach_all_of_each_part_and_nothing_of_the_tail() {
        let sampler = ClipFsarSegments { count: 4, ..Default::default() };
        assert!(sampler.random_in_evaluation());
        for frames in [4, 5, 8, 1_000_000] {
            seen(&sampler, frames);
        }
        for (part, seen) in seen(&sampler, 23).into_iter().enumerate() {
            assert_eq!(seen, (5 * part..5 * part + 5).collect());
        }
    }

    #[test]
    fn a_clip_of_fewer_frames_is_refused_with_a_hint() {
        for frames in [1, 2, 7] {
            let error = ClipFsarSegments::default().sample(&Timeline::of(frames), None).unwrap_err().to_string();
            assert!(error.contains(&format!("{frames} frames")) && error.contains("dataset.broken: skip"), "{error}");
        }
    }
}
