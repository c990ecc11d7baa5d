//! `emp_net`: OTAM at three levels, class tokens, frames and patches.
//!
//! Source: EMP-Net (Wu et al., ECCV 2024) and its public code (cong-wu/EMP-Net@b4dc006, `models/base/few_shot.py`). The
//! levels are those of `prototype: {type: emp_net}`. The distance is that of class tokens; `frame` and `patch` are
//! further distances, which `objective: {type: emp_net}` reads.

use super::frame_costs::{Cosine, ShotRule, distances, distances_cost};
use super::otam::{Direction, otam};
use crate::prototypes::emp_net::{FRAME, PATCH};
use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::alignment::{Aligned, Alignment};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::{Layout, Part};
use serde::{Deserialize, Serialize};

/// Options of the three OTAMs.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct EmpNetConfig {
    /// λ of the soft minimum. 0.5 in public code.
    #[schemars(range(min = 1e-6))]
    lambda: f64,
}

impl Default for EmpNetConfig {
    fn default() -> Self {
        Self { lambda: 0.5 }
    }
}

register!(dyn Alignment, EmpNetConfig, name: "emp_net", summary: "OTAM at the levels of class tokens, frames and patches",
    paper: Some("EMP-Net, ECCV 2024"), stability: Experimental, usage: "{lambda: 0.5}");

/// Names of the further distances, with the parts that they compare.
pub const FURTHER: [(&str, Part); 2] = [("frame", FRAME), ("patch", PATCH)];

impl Component for EmpNetConfig {
    type Slot = dyn Alignment;

    fn describe(&self, facts: &mut Facts) {
        for (name, part) in FURTHER {
            facts.reads("alignment", part);
            facts.further.push(name);
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let layout = context.compared().clone();
        for (_, part) in FURTHER {
            layout.shape(part)?;
        }
        Ok(Box::new(EmpNet { lambda: self.lambda, layout }))
    }
}

#[derive(Module, Debug)]
struct EmpNet {
    lambda: f64,
    #[module(skip)]
    layout: Layout,
}

impl EmpNet {
    fn level(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let metric = |costs| otam(costs, self.lambda, Direction::Both);
        distances(query, support, ShotRule::MeanFeatures, Cosine::PlusEpsilon, metric)
    }
}

impl Alignment for EmpNet {
    fn reads(&self) -> Vec<Part> {
        FURTHER.map(|(_, part)| part).to_vec()
    }

    fn aligned(&self, query: Tensor<4>, support: Tensor<5>) -> Aligned {
        let level =
            |part: Part| self.level(self.layout.part(part, query.clone()), self.layout.part(part, support.clone()));
        let further = FURTHER.map(|(name, part)| (name, level(part))).to_vec();
        Aligned { further, distances: self.distances(query, support) }
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let width = self.layout.feature_width();
        self.level(query.narrow(3, 0, width), support.narrow(4, 0, width))
    }

    // Of all three levels.
    fn cost(&self, [n, q, t, _]: [usize; 4], [_, w, k, s, _]: [usize; 5]) -> Option<Cost> {
        let e = self.layout.feature_width();
        Some(distances_cost([n, q, t, e], [n, w, k, s, e], ShotRule::MeanFeatures, Cosine::PlusEpsilon) * 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<EmpNetConfig>(Traits {
            // ε counts beside features as short as these.
            norm_blind: false,
            shots: &[],
            parts: &[(FRAME, [1, 2]), (PATCH, [1, 2])],
            with: &[("prototype", "{type: emp_net, after: [2, 4, 6]}")],
            ..Traits::default()
        });
    }
}
