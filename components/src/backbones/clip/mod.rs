//! What the CLIP backbones share: an image tower of either kind, the text tower, tokenizers, sizes, and checkpoints
//! with every kind of names. Not here: the options of a component, which are in `clip_vit` and `clip_resnet`.
//!
//! Source: Radford et al. 2021 (arXiv 2103.00020) and the OpenAI state dict, whose tensor names the modules' fields
//! follow.

pub mod block;
pub mod checkpoint;
pub(crate) mod config;
pub mod names;
pub(crate) mod openai_tokens;
pub(crate) mod positions;
pub(crate) mod prefix;
pub mod preparation;
pub mod settings;
pub mod sizes;
pub mod text_tower;
pub mod tokenizer;
pub mod vision_tower;
pub mod words;

use crate::backbones::handed_out::HandedOut;
use crate::layers::{Init, in_bf16};
use burn::module::{Module, Param};
use burn::tensor::Tensor;
use checkpoint::Source;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::parameters::{self, Fit};
use maclip_framework::slots::adapter::{Adapter, Branch, TowerPart};
use maclip_framework::slots::backbone::{AdaptableText, Backbone, Geometry, Precision, Published, TextGeometry};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::Part;
use maclip_framework::slots::module::{DynModule, Slot};
use maclip_framework::weights::{self, ElementType, HostTensor};
use maclip_framework::{clone_boxed, files};
use preparation::Normal;
use sizes::TextSizes;
use std::collections::BTreeMap;
use std::path::Path;
use text_tower::TextTower;
use tokenizer::Tokenizer;

/// The image side of a CLIP: a vision transformer or a ResNet.
pub trait ImageTower: DynModule + CloneImageTower {
    /// See [`Backbone::prefix`].
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3>;

    /// See [`Backbone::encode_steps`].
    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize>;

    /// See [`Backbone::encode_step`].
    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3>;

    /// See [`Backbone::hand_out`].
    fn hand_out(&mut self, parts: HandedOut);

    /// See [`Backbone::prefix_cost`].
    fn prefix_cost(&self, clips: [usize; 2], adapter: &dyn Adapter) -> Option<Cost>;

    /// See [`Backbone::encode_step_cost`].
    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, branch: &Branch) -> Option<Cost>;

    /// See [`Backbone::tune`].
    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool);

    /// See [`Backbone::lower`]. A tower that does not override it computes in f32 only.
    ///
    /// # Errors
    /// Where the tower cannot compute in `precision`.
    fn lower(&mut self, precision: Precision) -> Result<()> {
        match precision {
            Precision::F32 => Ok(()),
            Precision::Bf16 => Err(Error::failed("this image tower computes in f32 only").help("set `precision: f32`")),
        }
    }

    /// Tensors of the state dict that are no parameters, such as running statistics, by module path below the tower.
    fn buffers(&self) -> BTreeMap<String, HostTensor> {
        BTreeMap::new()
    }
}

clone_boxed!(ImageTower, CloneImageTower);

/// A CLIP: an image tower, a text tower and the learned temperature.
#[derive(Module, Debug)]
pub struct Clip {
    /// The image tower.
    pub visual: Slot<dyn ImageTower>,
    /// The text tower.
    pub text: TextTower,
    /// ln of the factor on cosines, `[1]`.
    pub logit_scale: Param<Tensor<1>>,
    /// Metadata of an export: architecture and vocabulary, so that it needs no other file.
    #[module(skip)]
    about: BTreeMap<String, String>,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    handed_out: Vec<Part>,
}

impl Clip {
    /// A CLIP with initial weights from `init`. `architecture` goes into the metadata of an export, as JSON, and so do
    /// mean and standard deviation where they are not CLIP's own.
    pub fn new(
        visual: Box<dyn ImageTower>,
        text: TextSizes,
        tokenizer: Tokenizer,
        geometry: Geometry,
        architecture: &impl serde::Serialize,
        init: &mut Init,
    ) -> Self {
        let mut about = BTreeMap::from([("architecture".to_owned(), serde_json::json!(architecture).to_string())]);
        if let Tokenizer::Words(words) = &tokenizer {
            about.insert("vocabulary".to_owned(), serde_json::json!(words.words()).to_string());
        }
        let normal = Normal { mean: geometry.mean, std: geometry.std };
        if normal != Normal::CLIP {
            about.insert(Normal::METADATA.to_owned(), serde_json::json!(normal).to_string());
        }
        Self {
            visual: Slot::new(visual),
            text: TextTower::new(text, tokenizer, init),
            // CLIP's initial temperature, 1 / 0.07.
            logit_scale: init.constant([1], (1.0f64 / 0.07).ln()),
            about,
            geometry,
            handed_out: Vec::new(),
        }
    }

    /// What fits between this model and the tensors of `source`, under the names and with the shapes of the file.
    pub(crate) fn fit(&self, source: &Source) -> Fit {
        let shapes = parameters::shapes(self).into_iter();
        let buffers = self.visual.buffers().into_iter().map(|(path, tensor)| (format!("visual.{path}"), tensor.shape));
        let shape_only = |(path, shape)| (path, HostTensor { shape, values: Vec::new() });
        let expected = names::to_openai(shapes.chain(buffers).map(shape_only).collect());
        let mut expected: BTreeMap<String, Vec<usize>> =
            expected.into_iter().map(|(name, tensor)| (name, tensor.shape)).collect();
        let mut fit = Fit::default();
        for (name, tensor) in &source.tensors {
            let (theirs, shape) = source.names.entry(name, &tensor.shape);
            match expected.remove(name) {
                None => fit.unused.push(format!("{theirs} {shape:?}")),
                Some(wanted) if wanted != tensor.shape && !(tensor.shape.is_empty() && wanted == [1]) => {
                    let (_, wanted) = source.names.entry(name, &wanted);
                    fit.misshapen.push(format!("{theirs} is {shape:?}, the model has {wanted:?}"));
                }
                Some(_) => {}
            }
        }
        let missing = expected.into_iter().map(|(name, shape)| source.names.entry(&name, &shape));
        fit.missing = missing.map(|(name, shape)| format!("{name} {shape:?}")).collect();
        fit
    }

    /// The same with `tensors`, those of a checkpoint that fits, by module path, and frozen. `source` names the file in
    /// messages.
    ///
    /// # Errors
    /// Where tensors are missing, unused or of another shape.
    pub(crate) fn with_weights(self, source: &str, tensors: BTreeMap<String, HostTensor>) -> Result<Self> {
        let loaded = parameters::import(self, tensors, false)
            .map_err(|error| Error::failed(format!("{source} does not fit the model:\n  {}", error.reason())))?;
        Ok(loaded.no_grad())
    }
}

/// What every CLIP reports to other components, whatever its image tower is.
///
/// `image_size` is in pixels, `width` D of the tokens, `embed_dim` E; `blocks` are those of the image tower, `tokens`
/// those of one frame.
pub fn geometry(
    image_size: usize,
    width: usize,
    embed_dim: usize,
    blocks: usize,
    tokens: usize,
    text: TextGeometry,
) -> Geometry {
    Geometry {
        image_size,
        width,
        embed_dim,
        blocks,
        transformer: true,
        tokens,
        text: Some(text),
        mean: Normal::CLIP.mean,
        std: Normal::CLIP.std,
    }
}

impl Backbone for Clip {
    fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3> {
        self.visual.prefix(pixels, adapter)
    }

    fn hand_out(&mut self, parts: &[Part]) -> Result<()> {
        self.visual.hand_out(HandedOut::new(parts, &self.geometry)?);
        self.handed_out = parts.to_vec();
        Ok(())
    }

    fn handed_out(&self) -> &[Part] {
        &self.handed_out
    }

    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize> {
        self.visual.encode_steps(adapter)
    }

    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        self.visual.encode_step(step, x, adapter, branch)
    }

    fn prefix_cost(&self, clips: [usize; 2], adapter: &dyn Adapter) -> Option<Cost> {
        self.visual.prefix_cost(clips, adapter)
    }

    fn encode_step_cost(&self, step: usize, clips: [usize; 2], adapter: &dyn Adapter, branch: &Branch) -> Option<Cost> {
        self.visual.encode_step_cost(step, clips, adapter, branch)
    }

    fn texts_cost(&self, texts: usize) -> Option<Cost> {
        self.text.cost(texts)
    }

    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool) {
        self.visual.tune(tunes);
    }

    fn lower(&mut self, precision: Precision) -> Result<()> {
        self.visual.lower(precision)?;
        if precision == Precision::Bf16 {
            self.text = in_bf16(self.text.clone());
        }
        Ok(())
    }

    fn encode_texts(&self, texts: &[String]) -> Result<Tensor<2>> {
        self.text.encode(texts)
    }

    fn adaptable_text(&self) -> Option<&dyn AdaptableText> {
        Some(&self.text)
    }

    fn logit_scale(&self) -> Option<Tensor<1>> {
        Some(self.logit_scale.val())
    }

    fn tokens(&self, sentence: &str) -> Result<Vec<i32>> {
        self.text.tokens(sentence)
    }

    fn published(&self) -> Option<Published> {
        let mut tensors = parameters::export(self, false);
        tensors.extend(self.visual.buffers().into_iter().map(|(path, tensor)| (format!("visual.{path}"), tensor)));
        Some(Published { tensors: names::to_openai(tensors), about: self.about.clone() })
    }

    fn export(&self, path: &Path, about: &BTreeMap<String, String>) -> Result<()> {
        let Published { tensors, about: mut metadata } = self.published().unwrap_or_default();
        metadata.extend(about.clone());
        files::write_atomically(path, &weights::serialize(&tensors, &metadata, ElementType::F16)?)
    }
}
