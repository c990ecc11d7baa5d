//! `trx`: T frames at equal distances between two ends that are drawn near those of the clip.
//!
//! Source: the code of TRX (Perrett et al., CVPR 2021). A clip of n = T frames is taken whole. In training each end is
//! moved inwards by a random 0 to 5 frames, at most half of the n − T that are left over; in evaluation by one. Where
//! fewer than T frames would be left between the ends, they are those of the clip. TRX leaves out clips of fewer than T
//! frames; here such a clip is refused.

use super::linspace::linspace;
use maclip_framework::error::{Error, Result};
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Most frames that an end is moved by in training.
const MOST_PADDING: usize = 5;

/// Options of TRX's sampling.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Trx {
    /// Frames T of a clip; every clip must have as many. 8 in the paper and all peers.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
}

impl Default for Trx {
    fn default() -> Self {
        Self { count: 8 }
    }
}

register!(dyn FrameSampler, Trx, name: "trx",
    summary: "T frames at equal distances between ends near those of the clip, which training draws",
    paper: Some("TRX, CVPR 2021"), stability: Stable, usage: "{count: 8}");

impl Component for Trx {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for Trx {
    fn count(&self) -> usize {
        self.count
    }

    fn sample(&self, clip: &Timeline, rng: Option<&mut Rng>) -> Result<Vec<usize>> {
        let (n, count) = (clip.frames, self.count);
        if n < count {
            return Err(Error::failed(format!(
                "the clip has {n} frames, and TRX's sampling leaves out clips of fewer than {count}"
            ))
            .help("leave such clips out with `dataset.broken: skip`, or use other `frames`"));
        }
        if n == count {
            return Ok((0..n).collect());
        }
        let padding = MOST_PADDING.min((n - count) / 2);
        let (start, end) = match rng {
            Some(_) if padding == 0 => (0, n - 1),
            Some(rng) => (rng.below(padding + 1), n - 1 - padding + rng.below(padding + 1)),
            None => (1, n.saturating_sub(2)),
        };
        let (start, end) = if end < start + count { (0, n - 1) } else { (start, end) };
        Ok(linspace(start, end, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::conformance::frames::{Traits, evaluated, seen};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<Trx>(Traits { options: "count: 4", least: 4, ..Traits::default() });
    }

    #[test]
    fn evaluation_leaves_out_the_first_and_the_last_frame() {
        let sampler = Trx { count: 4 };
        assert_eq!(evaluated(&sampler, 4), [0, 1, 2, 3]);
        // 1 to 3 and 1 to 4 are fewer than 4 apart: the ends of the clip, int(linspace(0, n - 1, 4)).
        assert_eq!(evaluated(&sampler, 5), [0, 1, 2, 4]);
        assert_eq!(evaluated(&sampler, 6), [0, 1, 3, 5]);
        // 1 to 5 are 4 apart: 1, 2 1/3, 3 2/3, 5.
        assert_eq!(evaluated(&sampler, 7), [1, 2, 3, 5]);
        assert_eq!(evaluated(&sampler, 12), [1, 4, 7, 10]);
    }

    #[test]
    fn training_moves_each_end_by_at_most_five_frames() {
        let sampler = Trx { count: 4 };
        let places = |frames: usize| seen(&sampler, frames);
        assert_eq!(places(5)[0], [0].into(), "one frame left over is no room");
        assert_eq!(places(5)[3], [4].into());
        assert_eq!(places(40)[0], (0..=5).collect());
        assert_eq!(places(40)[3], (34..=39).collect());
        assert_eq!(places(10)[0], (0..=3).collect(), "half of the 6 that are left over");
        assert_eq!(places(10)[3], (6..=9).collect());
        for frames in [4, 5, 6, 7, 8, 1_000_000] {
            seen(&sampler, frames);
        }
    }

    #[test]
    fn a_clip_of_fewer_frames_is_refused_with_a_hint() {
        for frames in [1, 2, 7] {
            let error = Trx::default().sample(&Timeline::of(frames), None).unwrap_err().to_string();
            assert!(error.contains(&format!("{frames} frames")) && error.contains("dataset.broken: skip"), "{error}");
        }
    }
}
