//! `__name__`: __summary__.
//!
//! Source: say which paper or public code this follows. What this template does: all pixels of a clip times one factor,
//! so that motion stays what it was.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the transform.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// The factor is uniform from 1 − strength to 1 + strength.
    #[schemars(range(min = 0.0, max = 1.0))]
    strength: f64,
}

impl Default for __Name__ {
    fn default() -> Self {
        Self { strength: 0.2 }
    }
}

register!(dyn Augment, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{strength: 0.2}");

impl Component for __Name__ {
    type Slot = dyn Augment;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(self))
    }
}

impl Augment for __Name__ {
    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        // Evaluation takes frames as they are.
        let Some(rng) = rng else { return frames };
        // Drawn once, for all frames alike; all draws come from `rng`, so that a run can be repeated.
        let factor = rng.range(1.0 - self.strength, 1.0 + self.strength);
        let image = |pixels: Vec<u8>| pixels.iter().map(|&p| (p as f64 * factor).round().min(255.0) as u8).collect();
        Frames { images: frames.images.into_iter().map(image).collect(), ..frames }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use maclip_framework::random::Stream;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<__Name__>(Traits::default());
    }

    #[test]
    fn all_frames_of_a_clip_get_the_same_factor() {
        let frames = || Frames { height: 1, width: 1, images: vec![vec![100, 0, 200]; 3] };
        let stream = Stream::new(1, "augment");
        let augment = __Name__ { strength: 0.5 };
        let mut seen = std::collections::BTreeSet::new();
        for index in 0..50 {
            let changed = augment.apply(frames(), Some(&mut stream.at(index)));
            assert!(changed.images.iter().all(|image| *image == changed.images[0]));
            // 100 · 0.5 to 100 · 1.5
            assert!((50..=150).contains(&changed.images[0][0]) && changed.images[0][1] == 0);
            seen.insert(changed.images[0][0]);
        }
        assert!(seen.len() > 10, "{seen:?}");
        let nothing = __Name__ { strength: 0.0 };
        assert_eq!(nothing.apply(frames(), Some(&mut stream.at(0))), frames());
        assert_eq!(augment.apply(frames(), None), frames());
    }
}
