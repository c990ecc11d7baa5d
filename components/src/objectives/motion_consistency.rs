//! `motion_consistency`: another objective, and the error with which the motion of clips is predicted.
//!
//! Source: CLIP-SPM (hnlxy/CLIP-SPM, models/model_clipspm.py and run/main_run.py) as its public code computes it, with
//! the part `motion` e of the prototype module `clip_spm`:
//!
//! ```text
//! L = L' + w · α · (mean of e over queries + mean of e over support clips)        L' is the other objective's loss
//! ```
//! The public code computes two more losses, on texts and on consistency, and leaves both out of its sum.

use crate::layers::Init;
use crate::prototypes::clip_spm::MOTION;
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Nested};
use maclip_framework::slots::layout::Layout;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::objective::{Labels, Loss, Objective, Scores};
use serde::{Deserialize, Serialize};

/// Options of the motion consistency.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct MotionConsistency {
    /// The objective that the loss is added to, with its `type` and its options.
    objective: Nested<dyn Objective>,
    /// w, beside the mean over the queries. The public code has 0.001 beside the sum over the queries of 16 tasks,
    /// divided by 16 there.
    #[serde(default = "weight")]
    #[schemars(range(min = 0.0))]
    weight: f64,
    /// In the public code α is trained from 1 on, and its gradient is never below 0: training only lowers it, whatever
    /// is good for the clips. `true` does the same, and holds the one number `scale` that is a parameter there and
    /// never used; with `false` α stays 1.
    #[serde(default)]
    as_published: bool,
}

fn weight() -> f64 {
    0.001
}

register!(dyn Objective, MotionConsistency, name: "motion_consistency",
    summary: "another objective, and the error of predicted motion",
    paper: Some("CLIP-SPM, 2025"), stability: Stable, usage: "{objective: {type: metric}}");

impl Component for MotionConsistency {
    type Slot = dyn Objective;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("objective", MOTION);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Objective>> {
        let layout = context.compared().clone();
        layout.shape(MOTION)?;
        let mut init = Init::new(context.init("objective.motion"), context.trainable_device());
        Ok(Box::new(Consistent {
            objective: Slot::new(self.objective.build(context)?),
            alpha: self.as_published.then(|| init.constant([1], 1.0)),
            unused: self.as_published.then(|| init.constant([1], 1.0)),
            weight: self.weight,
            layout,
        }))
    }
}

#[derive(Module, Debug)]
struct Consistent {
    objective: Slot<dyn Objective>,
    alpha: Option<Param<Tensor<1>>>,
    /// `scale` of the public code, which nothing reads.
    unused: Option<Param<Tensor<1>>>,
    weight: f64,
    #[module(skip)]
    layout: Layout,
}

impl Objective for Consistent {
    fn inner(&self) -> Option<&dyn Objective> {
        Some(&*self.objective)
    }

    fn needs_text(&self) -> bool {
        self.objective.needs_text()
    }

    fn needs_related(&self) -> bool {
        true
    }

    fn loss(&self, scores: &Scores, labels: &Labels) -> Loss {
        let Loss { mut total, mut parts } = self.objective.loss(scores, labels);
        if let Some(related) = &scores.related {
            // It is the same at every frame, so the mean over frames is that of one.
            let query = self.layout.part(MOTION, related.query.clone()).mean();
            let support = self.layout.part(MOTION, related.support.clone()).mean();
            let error = query + support;
            let error = match &self.alpha {
                Some(alpha) => error * alpha.val(),
                None => error,
            };
            total = total + error.clone() * self.weight;
            parts.push(("motion", error));
        }
        Loss { total, parts }
    }

    fn probabilities(&self, scores: &Scores) -> Tensor<3> {
        self.objective.probabilities(scores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, objective::Traits};
    use burn::tensor::Device;
    use maclip_framework::model::parameters;
    use maclip_framework::registry::{build_choice, resolve_choice, slot};
    use maclip_language::read_str;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::objective::holds::<MotionConsistency>(Traits {
            parts: &[(MOTION, [1, 1])],
            with: &[("prototype", "{type: clip_spm, head_width: 8, hidden: 32}"), ("alignment", "{type: clip_spm}")],
            ..Traits::default()
        });
    }

    #[test]
    fn parameters_of_the_public_code_are_there_where_it_is_followed() {
        let count = |options: &str| {
            let options = format!("{{type: motion_consistency, objective: {{type: metric}}, {options}}}");
            let context =
                BuildContext::new(0, Device::flex()).with_compared(Layout::of_feature(4).with(MOTION, [1, 1]));
            let node = read_str("options", &options).unwrap();
            let choice = resolve_choice(slot("objective").unwrap(), &node).unwrap();
            parameters::count(&Slot::<dyn Objective>::new(build_choice(&choice, &context).unwrap())).trainable
        };
        assert_eq!((count(""), count("as_published: true")), (0, 2));
    }
}
