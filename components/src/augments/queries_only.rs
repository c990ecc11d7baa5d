//! `queries_only`: another augmentation, for queries alone. Support clips are as in evaluation.
//!
//! Source: public code of CLIP-FSAR (Wang et al., IJCV 2023), option `SUPPORT_QUERY_DIFF`: on Kinetics, queries are
//! mirrored and get other colours, and support clips do not.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Nested};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the augmentation of queries.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueriesOnly {
    /// What is done to the queries, with its `type` and its options.
    augment: Nested<dyn Augment>,
}

register!(dyn Augment, QueriesOnly, name: "queries_only", summary: "another augmentation, for queries alone",
    paper: Some("CLIP-FSAR, IJCV 2023"), stability: Stable, usage: "{augment: {type: flip, probability: 0.5}}");

impl Component for QueriesOnly {
    type Slot = dyn Augment;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Augment>> {
        Ok(Box::new(OfQueries(self.augment.build(context)?)))
    }
}

#[derive(Debug)]
struct OfQueries(Box<dyn Augment>);

impl Augment for OfQueries {
    fn identity(&self) -> bool {
        self.0.identity()
    }

    fn apply(&self, frames: Frames, rng: Option<&mut Rng>) -> Frames {
        self.0.apply(frames, rng)
    }

    fn apply_to_support(&self, frames: Frames, _: Option<&mut Rng>) -> Frames {
        self.0.apply(frames, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use burn::tensor::Device;
    use maclip_framework::random::Stream;
    use maclip_framework::registry::{build_choice, resolve_choice, slot};
    use maclip_language::read_str;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<QueriesOnly>(Traits::default());
    }

    #[test]
    fn support_clips_are_as_in_evaluation() {
        let mut rng = Stream::new(1, "queries").at(0);
        let frames = || Frames { height: 2, width: 3, images: vec![(0..18).collect()] };
        // A sequence asks each of its steps.
        for text in [
            "{type: queries_only, augment: {type: flip, probability: 1}}",
            "{type: sequence, steps: [{type: queries_only, augment: {type: flip, probability: 1}}, {type: none}]}",
        ] {
            let choice = resolve_choice(slot("augment").unwrap(), &read_str("test.yaml", text).unwrap()).unwrap();
            let augment: Box<dyn Augment> = build_choice(&choice, &BuildContext::new(1, Device::flex())).unwrap();
            assert_eq!(augment.apply_to_support(frames(), Some(&mut rng)), frames());
            let query = augment.apply(frames(), Some(&mut rng));
            assert_eq!(query.images[0][..9], [6, 7, 8, 3, 4, 5, 0, 1, 2]);
        }
    }
}
