//! `sequence`: several augmentations, one after the other.

use maclip_framework::error::Result;
use maclip_framework::random::Rng;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Nested};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;
use serde::{Deserialize, Serialize};

/// Options of the sequence.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Sequence {
    /// The augmentations in the order in which they act and draw, each with its `type` and its options.
    #[schemars(length(min = 1, max = 64))]
    steps: Vec<Nested<dyn Augment>>,
}

register!(dyn Augment, Sequence, name: "sequence", summary: "several augmentations, one after the other",
    paper: None, stability: Stable, usage: "{steps: [{type: crop, size: 224}, {type: flip}]}");

impl Component for Sequence {
    type Slot = dyn Augment;

    fn build(self, context: &BuildContext) -> Result<Box<dyn Augment>> {
        let steps = self.steps.iter().map(|step| step.build(context)).collect::<Result<_>>()?;
        Ok(Box::new(Steps(steps)))
    }
}

#[derive(Debug)]
struct Steps(Vec<Box<dyn Augment>>);

impl Augment for Steps {
    fn identity(&self) -> bool {
        self.0.iter().all(|step| step.identity())
    }

    fn apply(&self, frames: Frames, mut rng: Option<&mut Rng>) -> Frames {
        self.0.iter().fold(frames, |frames, step| step.apply(frames, rng.as_deref_mut()))
    }

    fn apply_to_support(&self, frames: Frames, mut rng: Option<&mut Rng>) -> Frames {
        self.0.iter().fold(frames, |frames, step| step.apply_to_support(frames, rng.as_deref_mut()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, augment::Traits};
    use burn::tensor::Device;
    use maclip_framework::random::Stream;
    use maclip_framework::registry::{build_choice, resolve_choice, slot};
    use maclip_language::{Diagnostics, Node, codes, read_str};

    fn resolved(text: &str) -> std::result::Result<Node, Diagnostics> {
        resolve_choice(slot("augment").unwrap(), &read_str("test.yaml", text).unwrap())
    }

    fn built(text: &str) -> Box<dyn Augment> {
        build_choice(&resolved(text).unwrap(), &BuildContext::new(1, Device::flex())).unwrap()
    }

    /// Code, path, line, column and message of each problem.
    fn problems(text: &str) -> Vec<(&'static str, String, usize, usize, String)> {
        let place = |problem: maclip_language::Diagnostic| {
            let place = problem.origin.as_ref().and_then(|origin| origin.place()).unwrap();
            (problem.code, problem.path.clone(), place.line, place.column, problem.message)
        };
        resolved(text).unwrap_err().into_iter().map(place).collect()
    }

    fn frames() -> Frames {
        let image: Vec<u8> = (0..6 * 8).flat_map(|at| [at, 2 * at, 200]).collect();
        Frames { height: 6, width: 8, images: vec![image.clone(), image] }
    }

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::augment::holds::<Sequence>(Traits { changes_evaluation: true, ..Traits::default() });
    }

    #[test]
    fn steps_act_and_draw_in_order() {
        let text =
            "{type: sequence, steps: [{type: crop, size: 4}, {type: flip, probability: 0.5}, {type: random_erasing}]}";
        let one = built(text);
        let steps = ["{type: crop, size: 4}", "{type: flip, probability: 0.5}", "{type: random_erasing}"].map(built);
        let stream = Stream::new(1, "sequence");
        for clip in 0..50 {
            let (mut rng, mut same) = (stream.at(clip), stream.at(clip));
            let want = steps.iter().fold(frames(), |frames, step| step.apply(frames, Some(&mut same)));
            let got = one.apply(frames(), Some(&mut rng));
            assert_eq!(got, want);
            assert_eq!(rng.bits(), same.bits());
            assert_eq!(got.images[0], got.images[1]);
        }
        assert_eq!(one.apply(frames(), None), steps[0].apply(frames(), None), "evaluation takes the centre");
    }

    #[test]
    fn it_changes_nothing_where_no_step_does() {
        assert!(built("{type: sequence, steps: [{type: none}, {type: flip, probability: 0}]}").identity());
        assert!(!built("{type: sequence, steps: [{type: none}, {type: flip}]}").identity());
    }

    #[test]
    fn defaults_of_the_steps_are_filled_in_at_any_depth() {
        let node =
            resolved("{type: sequence, steps: [{type: crop}, {type: sequence, steps: [{type: flip}]}]}").unwrap();
        let want = "{type: sequence, steps: [{type: crop, size: 224}, \
                    {type: sequence, steps: [{type: flip, probability: null}]}]}";
        assert_eq!(node, read_str("want.yaml", want).unwrap());
        assert_eq!(resolved(&node.to_yaml()).unwrap(), node);
    }

    #[test]
    fn mistakes_in_steps_are_found_where_they_were_written() {
        let text = "type: sequence\nsteps:\n  - {type: crop, size: 0}\n  - type: flip\n    probability: 2\n    \
                    scale: 1\n  \
                    - type: flop\n  - size: 3\n  - flip\n  - {type: random_erasing, min_area: 0.9}\n";
        let out_of_range = codes::OUT_OF_RANGE;
        let want = [
            (out_of_range, "augment.steps[0].size", 3, 24, "`size` must be within 1 and 4096"),
            (out_of_range, "augment.steps[1].probability", 5, 18, "`probability` must be within 0 and 1, or null"),
            (codes::UNKNOWN_KEY, "augment.steps[1].scale", 6, 5, "unknown key `scale`"),
            (codes::UNKNOWN_NAME, "augment.steps[2].type", 7, 11, "there is no augment called `flop`"),
            (
                codes::MISSING_KEY,
                "augment.steps[3].type",
                8,
                5,
                "`augment.steps[3]` does not say which component: its `type` is missing",
            ),
            (
                codes::WRONG_TYPE,
                "augment.steps[4]",
                9,
                5,
                "expected a map with the `type` of a component, found the string `flip`",
            ),
            (out_of_range, "augment.steps[5].min_area", 10, 38, "`min_area` must not be above `max_area`"),
        ];
        let got = problems(text);
        let got: Vec<_> = got.iter().map(|(a, b, c, d, e)| (*a, b.as_str(), *c, *d, e.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_sequence_has_a_list_of_steps() {
        for (text, path) in [
            ("{type: sequence, steps: []}", "augment.steps"),
            ("{type: sequence, steps: {type: flip}}", "augment.steps"),
            ("{type: sequence}", "augment.steps"),
            (
                "{type: sequence, steps: [{type: sequence, steps: [{type: flip, probability: 2}]}]}",
                "augment.steps[0].steps[0].probability",
            ),
        ] {
            let found = problems(text);
            assert_eq!(found.iter().map(|problem| problem.1.as_str()).collect::<Vec<_>>(), [path], "{text}");
        }
    }

    #[test]
    fn sequences_nest_as_deep_as_a_recipe_may() {
        // 32 levels of lists and maps, of which a sequence takes two.
        let nested = |depth, flip: &str| "{type: sequence, steps: [".repeat(depth) + flip + &"]}".repeat(depth);
        let node = resolved(&nested(15, "{type: flip}")).unwrap();
        assert_eq!(node, read_str("want.yaml", &nested(15, "{type: flip, probability: null}")).unwrap());
        let path = format!("augment{}.probability", ".steps[0]".repeat(15));
        assert_eq!(problems(&nested(15, "{type: flip, probability: 2}"))[0].1, path);
    }
}
