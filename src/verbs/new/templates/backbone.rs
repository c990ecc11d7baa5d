//! `__name__`: __summary__.
//!
//! Source: say which paper and checkpoint this is. This template has two random layers, x = the pixels of one frame:
//!
//! ```text
//! P relu(E x + e) + p        E `[3 H W, D]`, P `[D, E]`
//! ```
//! Drawn from the run's seed and frozen. It has no blocks that adapters could go around and no text tower: choose
//! `objective`, `prototype` and `adapter` without text. `vit.rs` reads the weights of a transformer.

use crate::layers::Init;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::trainable;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::adapter::{Adapter, Branch, Depth, TowerPart};
use maclip_framework::slots::backbone::{Backbone, Geometry};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Options of the backbone.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__Config {
    /// Height and width that frames are brought to, in pixels.
    #[schemars(range(min = 1, max = 512))]
    image_size: usize,
    /// Width D of the layer between the two.
    #[schemars(range(min = 1, max = 8192))]
    width: usize,
    /// Width E of the features.
    #[schemars(range(min = 1, max = 8192))]
    embed_dim: usize,
}

impl Default for __Name__Config {
    fn default() -> Self {
        Self { image_size: 16, width: 512, embed_dim: 128 }
    }
}

register!(dyn Backbone, __Name__Config, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{embed_dim: 128}");

impl Component for __Name__Config {
    type Slot = dyn Backbone;

    // Adapters and prototypes are checked against the sizes before anything is read. Where a file decides them, say
    // what is known without it, `text_tower` and `transformer`: see `vit.rs`.
    fn describe(&self, facts: &mut Facts) {
        facts.backbone(self.geometry());
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Backbone>> {
        // Weights of a file are read with `maclip_framework::weights::read` and noted with `context.note_weights`.
        let mut init = Init::new(context.init("backbone"), context.device.clone());
        Ok(Box::new(__Name__::new(&self, &mut init)))
    }
}

impl __Name__Config {
    fn geometry(&self) -> Geometry {
        Geometry {
            image_size: self.image_size,
            width: self.width,
            embed_dim: self.embed_dim,
            blocks: 0,
            transformer: false,
            tokens: 1,
            text: None,
            mean: [0.5; 3],
            std: [0.5; 3],
        }
    }
}

#[derive(Module, Debug)]
struct __Name__ {
    /// E, e
    embedding: Linear,
    /// P, p
    projection: Linear,
    #[module(skip)]
    geometry: Geometry,
}

impl __Name__ {
    fn new(config: &__Name__Config, init: &mut Init) -> Self {
        let &__Name__Config { image_size, width, embed_dim } = config;
        let pixels = 3 * image_size * image_size;
        let made = Self {
            embedding: init.linear_normal(pixels, width, (2.0 / pixels as f64).sqrt()),
            projection: init.linear_normal(width, embed_dim, (width as f64).powf(-0.5)),
            geometry: config.geometry(),
        };
        // Frozen; `tune` makes trainable what an adapter asks for.
        made.no_grad()
    }

    /// `[B, T, 3 H W]` → `[B, T, D]`
    fn embed(&self, pixels: Tensor<3>) -> Tensor<3> {
        relu(self.embedding.forward(pixels))
    }
}

impl Backbone for __Name__ {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    // What is frozen is computed here, once for each clip, and kept; the rest in `encode_step`.
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        let [b, t, c, h, w] = pixels.dims();
        let pixels = pixels.reshape([b, t, c * h * w]);
        match Depth::of(adapter, self.geometry.blocks) {
            Depth::Pixels | Depth::Block(_) => pixels,
            Depth::Head => self.embed(pixels),
            Depth::Features => self.projection.forward(self.embed(pixels)),
        }
    }

    // Here it is one step; a deep tower has one for each block.
    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        match Depth::of(adapter, self.geometry.blocks) {
            Depth::Pixels | Depth::Block(_) => vec![3 * self.geometry.image_size * self.geometry.image_size],
            Depth::Head => vec![self.geometry.width],
            Depth::Features => Vec::new(),
        }
    }

    fn encode_step(&self, _: usize, x: Tensor<3>, adapter: &dyn Adapter, _: &Branch) -> Tensor<3> {
        match Depth::of(adapter, self.geometry.blocks) {
            Depth::Pixels | Depth::Block(_) => self.projection.forward(self.embed(x)),
            Depth::Head | Depth::Features => self.projection.forward(x),
        }
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        if tunes(TowerPart::Embedding) {
            self.embedding = trainable(self.embedding.clone());
        }
        if tunes(TowerPart::Projection) {
            self.projection = trainable(self.projection.clone());
        }
    }

    fn encode_texts(&self, _: &[String]) -> Result<Tensor<2>> {
        Err(Error::failed("this backbone has no text tower")
            .help("choose clip_vit or clip_resnet where texts are read"))
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        None
    }

    fn export(&self, _: &Path, _: &BTreeMap<String, String>) -> Result<()> {
        Err(Error::failed("`__name__` has no text tower, so `task: contrastive` cannot train it"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::no_adapter;
    use burn::module::Param;
    use burn::tensor::Device;

    #[test]
    fn a_hand_computed_case() {
        let device = Device::flex();
        let config = __Name__Config { image_size: 1, width: 1, embed_dim: 1 };
        let mut backbone = __Name__::new(&config, &mut Init::blank(device.clone()));
        backbone.embedding.weight = Param::from_tensor(Tensor::from_data([[1.0f32], [1.0], [1.0]], &device));
        backbone.projection.weight = Param::from_tensor(Tensor::from_data([[0.5f32]], &device));
        let pixels = Tensor::<5>::from_data([[[[[1.0f32]], [[2.0]], [[3.0]]], [[[-1.0]], [[0.0]], [[0.5]]]]], &device);
        let features = backbone.encode_clips(pixels, &*no_adapter(), &Branch::Query);
        // 0.5 · (1 + 2 + 3), and 0.5 · relu(−0.5)
        assert_eq!(features.into_data().iter::<f32>().collect::<Vec<_>>(), [3.0, 0.0]);
        assert!(backbone.encode_texts(&[]).is_err());
    }
}
