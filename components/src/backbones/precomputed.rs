//! `precomputed`: no network. Clips are features that somebody computed before, and they are passed on as they are, for
//! work on alignments and prototypes alone.
//!
//! Source: the usual practice of computing the features of a frozen network once, as a file for each clip.

use burn::module::Module;
use burn::tensor::Tensor;
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry, Precision};
use maclip_framework::slots::cost::Cost;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the backbone `precomputed`.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct PrecomputedConfig {
    /// Values of a frame's feature: the second number of the shape `[frames, width]` of the clips' arrays.
    #[schemars(range(min = 1, max = 65_536))]
    width: usize,
}

register!(dyn Backbone, PrecomputedConfig, name: "precomputed",
    summary: "passes on features that were computed before, without a network",
    paper: None, stability: Stable, usage: "{width: 512}");

impl PrecomputedConfig {
    fn geometry(&self) -> Geometry {
        Geometry {
            image_size: 0,
            width: self.width,
            embed_dim: self.width,
            blocks: 0,
            transformer: false,
            tokens: 1,
            text: None,
            mean: [0.0; 3],
            std: [1.0; 3],
        }
    }
}

impl Component for PrecomputedConfig {
    type Slot = dyn Backbone;

    fn describe(&self, facts: &mut Facts) {
        facts.backbone(self.geometry());
        facts.passes_features = true;
        facts.hands_out = Some(false);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Backbone>> {
        Ok(Box::new(Precomputed { geometry: self.geometry() }))
    }
}

#[derive(Module, Debug)]
struct Precomputed {
    #[module(skip)]
    geometry: Geometry,
}

impl Backbone for Precomputed {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn prefix(&self, features: Tensor<5>, _: &dyn Adapter) -> Tensor<3> {
        let [b, t, ..] = features.dims();
        features.reshape([b, t, self.geometry.embed_dim])
    }

    fn encode_steps(&self, _: &dyn Adapter) -> Vec<usize> {
        Vec::new()
    }

    /// There is no step, so this is never called.
    fn encode_step(&self, _: usize, x: Tensor<3>, _: &dyn Adapter, _: &Branch) -> Tensor<3> {
        x
    }

    fn prefix_cost(&self, _: [usize; 2], _: &dyn Adapter) -> Option<Cost> {
        Some(Cost::default())
    }

    /// Nothing is multiplied here, so every format is the same.
    fn lower(&mut self, _: Precision) -> Result<()> {
        Ok(())
    }

    /// There are no parts.
    fn tune(&mut self, _: &dyn Fn(TowerPart) -> bool) {}

    fn encode_texts(&self, _: &[String]) -> Result<Tensor<2>> {
        Err(Error::failed("ready features have no text tower")
            .help("choose an objective and a prototype that read no class texts, such as `objective: {type: metric}`"))
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        None
    }

    fn export(&self, _: &Path, _: &BTreeMap<String, String>) -> Result<()> {
        Err(Error::failed("`precomputed` has no weights, so `task: contrastive` cannot train it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::no_adapter;
    use burn::tensor::Device;

    #[test]
    fn features_are_passed_on_as_they_are() {
        let backbone = PrecomputedConfig { width: 3 }.build(&BuildContext::new(1, Device::flex())).unwrap();
        let values: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let given = Tensor::<1>::from_floats(values.as_slice(), &Device::flex()).reshape([2, 2, 1, 1, 3]);
        let adapter = no_adapter();
        let features = backbone.encode_clips(given, &*adapter, &Branch::Query);
        assert_eq!(features.dims(), [2, 2, 3]);
        assert_eq!(features.into_data().iter::<f32>().collect::<Vec<_>>(), values);
        assert!(backbone.geometry().passes_features() && backbone.encode_texts(&[]).is_err());
    }
}
