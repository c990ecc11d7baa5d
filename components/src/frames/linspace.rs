//! `linspace`: T frames at equal distances from the first to the last, the same in training and evaluation.
//!
//! Source: the code of tobyperrett/few-shot-action-recognition, which takes `int(numpy.linspace(0, n - 1, T))`.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::dataset::Timeline;
use maclip_framework::slots::frames::FrameSampler;
use serde::{Deserialize, Serialize};

/// Options of equal distances.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Linspace {
    /// Frames T of a clip. 8 in all peers.
    #[schemars(range(min = 1, max = 256))]
    count: usize,
}

impl Default for Linspace {
    fn default() -> Self {
        Self { count: 8 }
    }
}

register!(dyn FrameSampler, Linspace, name: "linspace",
    summary: "T frames at equal distances from the first to the last, never random",
    paper: Some("tobyperrett/few-shot-action-recognition"), stability: Stable, usage: "{count: 8}");

impl Component for Linspace {
    type Slot = dyn FrameSampler;

    fn describe(&self, facts: &mut Facts) {
        facts.frames = Some(self.count);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn FrameSampler>> {
        Ok(Box::new(self))
    }
}

impl FrameSampler for Linspace {
    fn count(&self) -> usize {
        self.count
    }

    fn fixed(&self) -> bool {
        true
    }

    fn sample(&self, clip: &Timeline, _: Option<&mut Rng>) -> Result<Vec<usize>> {
        Ok(linspace(0, clip.frames - 1, self.count))
    }
}

/// `int(numpy.linspace(first, last, count))`: in 64 bit as numpy does it, the last number being exactly `last`; `first`
/// where `count` is 1.
pub(super) fn linspace(first: usize, last: usize, count: usize) -> Vec<usize> {
    let step = (last - first) as f64 / count.saturating_sub(1).max(1) as f64;
    let at = |i: usize| if i > 0 && i + 1 == count { last } else { (i as f64 * step + first as f64) as usize };
    (0..count).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;
    use crate::conformance::frames::{Traits, evaluated, seen};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::frames::holds::<Linspace>(Traits::default());
    }

    #[test]
    fn frames_are_those_of_numpy() {
        // numpy 2.4: numpy.linspace(0, n - 1, 8).astype(int).
        let taken = |frames| evaluated(&Linspace::default(), frames);
        assert_eq!(taken(9), [0, 1, 2, 3, 4, 5, 6, 8]);
        assert_eq!(taken(10), [0, 1, 2, 3, 5, 6, 7, 9]);
        assert_eq!(taken(16), [0, 2, 4, 6, 8, 10, 12, 15]);
        assert_eq!(taken(100), [0, 14, 28, 42, 56, 70, 84, 99]);
        assert_eq!(taken(2), [0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(evaluated(&Linspace { count: 1 }, 7), [0]);
    }

    #[test]
    fn training_takes_the_same_frames_of_any_clip() {
        for count in [1, 2, 8] {
            let sampler = Linspace { count };
            for frames in [1, 2, 7, 8, 9, 1_000_000] {
                assert_eq!(
                    seen(&sampler, frames).into_iter().flatten().collect::<Vec<_>>(),
                    evaluated(&sampler, frames)
                );
            }
        }
    }
}
