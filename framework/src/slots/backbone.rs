//! Slot `backbone`: frames → features, and class texts → features where there is a text tower.

use super::adapter::{Adapter, Branch, TowerPart};
use crate::clone_boxed;
use crate::error::{Error, Result};
use crate::images::{CLIP_MEAN, CLIP_STD};
use crate::slots::cost::Cost;
use crate::slots::layout::{Layout, Part};
use crate::slots::module::DynModule;
use crate::weights::HostTensor;
use burn::tensor::{Device, Int, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Number format of the frozen towers' matrix products. Trainable parts, norms and everything after the towers are f32.
/// With `bf16`, LibTorch also computes their attention and activations in bf16, and other products on NVIDIA's cards in
/// TF32: of each factor ten bits after the leading one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision everywhere.
    #[default]
    F32,
    /// Half the memory of the frozen weights, and faster where the device has units for it.
    Bf16,
}

/// The sizes of a backbone. Adapters, prototypes and alignments are built for them.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    /// Side of the square input image in pixels; 0 where the backbone passes on ready features of clips.
    pub image_size: usize,
    /// Width D of the blocks' tokens.
    pub width: usize,
    /// Width E of the joint embedding.
    pub embed_dim: usize,
    /// Number of blocks: transformer blocks, or stages of a ResNet.
    pub blocks: usize,
    /// Whether the blocks are transformer blocks, so that adapters can be put around them.
    pub transformer: bool,
    /// Tokens of one frame, class token included: N + 1.
    pub tokens: usize,
    /// Sizes of its text tower; `None` where it encodes no texts.
    pub text: Option<TextGeometry>,
    /// Of red, green and blue. Pixels in 0..1 become (x − mean) / std.
    pub mean: [f32; 3],
    /// See `mean`.
    pub std: [f32; 3],
}

/// The sizes of a text tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextGeometry {
    /// Width of its tokens.
    pub width: usize,
    /// Number of its blocks.
    pub blocks: usize,
}

/// Sentences behind the frozen part of a text tower: C classes with P sentences each, L tokens, width D.
#[derive(Clone, Debug)]
pub struct TextPrefix {
    /// `[C, P, L, D]`
    pub tokens: Tensor<4>,
    /// Position of the end token of each sentence, class by class.
    pub ends: Vec<usize>,
}

impl TextPrefix {
    /// Those of the classes `rows`, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let [_, sentences, ..] = self.tokens.dims();
        let each: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let each = Tensor::<1, Int>::from_data(each.as_slice(), &self.tokens.device());
        Self {
            tokens: self.tokens.clone().select(0, each),
            ends: rows.iter().flat_map(|row| &self.ends[row * sentences..(row + 1) * sentences]).copied().collect(),
        }
    }

    /// The same on `device`.
    pub fn to_device(&self, device: &Device) -> Self {
        Self { tokens: self.tokens.clone().to_device(device), ends: self.ends.clone() }
    }
}

/// A text tower whose blocks an adapter can change.
pub trait AdaptableText {
    /// C classes of P sentences each → the output of the part of the tower below the first block that `adapter` adapts.
    ///
    /// # Errors
    /// As [`Backbone::encode_texts`], and where two classes have different numbers of sentences.
    fn text_prefix(&self, classes: &[Vec<String>], adapter: &dyn Adapter) -> Result<TextPrefix>;

    /// The rest of the tower, with the adapter: → features `[C, P, E]`, not normalised.
    fn encode_prefix(&self, prefix: &TextPrefix, adapter: &dyn Adapter) -> Tensor<3>;
}

impl Geometry {
    /// Whether it encodes texts too.
    pub fn has_text_tower(&self) -> bool {
        self.text.is_some()
    }

    /// Whether the backbone takes ready features of clips in place of pixels, and passes them on.
    pub fn passes_features(&self) -> bool {
        self.image_size == 0
    }

    /// Shape `[rows, width]` of a part of a frame, where a backbone of these sizes has it.
    pub fn shape_of(&self, part: Part) -> Option<[usize; 2]> {
        let pixels = !self.passes_features();
        match part {
            Part::Pixels => pixels.then_some([3, self.image_size * self.image_size]),
            Part::Block(count) => (self.transformer && count <= self.blocks).then_some([self.tokens, self.width]),
            Part::Joint(count) => (self.transformer && count <= self.blocks).then_some([self.tokens, self.embed_dim]),
            Part::Map => (pixels && self.tokens > 1).then(|| [self.tokens - 1, self.width]),
            Part::Added { .. } => None,
        }
    }

    /// The values of a frame with `parts` behind its feature. Parts that there are not are left out.
    pub fn layout(&self, parts: &[Part]) -> Layout {
        let shaped = parts.iter().filter_map(|part| Some((*part, self.shape_of(*part)?)));
        shaped.fold(Layout::of_feature(self.embed_dim), |layout, (part, shape)| layout.with(part, shape))
    }

    /// CLIP's ViT-B/16, for which papers give numbers of parameters, such as MA-CLIP's table 4.
    pub fn clip_vit_b16() -> Self {
        Self {
            image_size: 224,
            width: 768,
            embed_dim: 512,
            blocks: 12,
            transformer: true,
            tokens: 197,
            text: Some(TextGeometry { width: 512, blocks: 12 }),
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }
}

/// Weights of a backbone as public code has them.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// All tensors, by public names and in public layouts.
    pub tensors: BTreeMap<String, HostTensor>,
    /// Metadata with which the option `weights` reads them again, such as the sizes under `architecture`.
    pub about: BTreeMap<String, String>,
}

/// An image encoder of several blocks, and a text encoder where there is one. B clips, T frames, F values of a frame's
/// prefix, E features.
///
/// # Contract
/// - [`Backbone::prefix`] and [`Backbone::encode`] are functions of each clip alone, except where an adapter of
///   [`Scope::Episode`](super::Scope::Episode) mixes clips in `encode`. They use no random numbers.
/// - The prefix is everything below the first part that the adapter changes or trains, and needs no graph. It is the
///   same for support clips and queries. The feature cache keeps it on disk, with [`Backbone::code_version`] in its
///   key.
/// - Weights are frozen, except for the parts that [`Backbone::tune`] names and for a backbone that is trained from
///   random weights (`task: contrastive`).
/// - `Component::describe` sets the facts `text_tower`, `transformer` and `hands_out` of `Facts` as far as the options
///   alone decide them, and `passes_features` where [`Geometry::passes_features`] holds.
/// - The parts of [`Backbone::handed_out`] are behind the feature of every frame that the tower returns, in this order,
///   and in the prefix as far as they are known there.
///
/// A component's options, such as `weights`, say where the weights come from. It must note their checksum with
/// `BuildContext::note_weights`, and make no values with `BuildContext::sizes_only`.
pub trait Backbone: DynModule + CloneBackbone {
    /// The sizes. Constant.
    fn geometry(&self) -> &Geometry;

    /// Normalised pixels `[B, T, 3, H, W]` → the output of the frozen part of the tower under `adapter`, `[B, T, F]`:
    /// see [`Depth`](super::adapter::Depth). Where [`Geometry::passes_features`] holds, it gets features
    /// `[B, T, 1, 1, E]` in place of pixels.
    fn prefix(&self, pixels: Tensor<5>, adapter: &dyn Adapter) -> Tensor<3>;

    /// The steps that [`Backbone::encode`] is made of, each with the number of values of one frame that it reads; none
    /// where the prefix is already the features. A training that is short of memory keeps the inputs of the steps
    /// alone, and computes each step again when its gradient is wanted.
    fn encode_steps(&self, adapter: &dyn Adapter) -> Vec<usize>;

    /// Asks the backbone to hand out `parts` of every frame behind its feature, ordered and each once. Called once,
    /// after it is built.
    ///
    /// # Errors
    /// Where it cannot give one of them.
    fn hand_out(&mut self, parts: &[Part]) -> Result<()> {
        parts.first().map_or(Ok(()), |part| Err(cannot_give(*part).help(GIVES_MORE)))
    }

    /// The parts that [`Backbone::hand_out`] asked for: [`Geometry::layout`] says where they are.
    fn handed_out(&self) -> &[Part] {
        &[]
    }

    /// One of these steps: `[B, T, F]` → `[B, T, F']`, where the first reads the prefix, each other what the one before
    /// it returned, and the last returns frame features `[B, T, E]`, not normalised, with the parts of
    /// [`Backbone::handed_out`] behind each.
    fn encode_step(&self, step: usize, x: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3>;

    /// The rest of the tower, with the adapter: prefixes `[B, T, F]` → frame features `[B, T, E]`, not normalised.
    fn encode(&self, prefix: Tensor<3>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        let steps = self.encode_steps(adapter).len();
        (0..steps).fold(prefix, |x, step| self.encode_step(step, x, adapter, branch))
    }

    /// Normalised pixels `[B, T, 3, H, W]` → frame features `[B, T, E]`, not normalised.
    fn encode_clips(&self, pixels: Tensor<5>, adapter: &dyn Adapter, branch: &Branch) -> Tensor<3> {
        self.encode(self.prefix(pixels, adapter), adapter, branch)
    }

    /// Cost of [`Backbone::prefix`] for `[B, T]` frames; `None` where it was not counted.
    fn prefix_cost(&self, _clips: [usize; 2], _adapter: &dyn Adapter) -> Option<Cost> {
        None
    }

    /// Cost of [`Backbone::encode_step`] for `[B, T]` frames; `None` where it was not counted.
    fn encode_step_cost(
        &self,
        _step: usize,
        _clips: [usize; 2],
        _adapter: &dyn Adapter,
        _branch: &Branch,
    ) -> Option<Cost> {
        None
    }

    /// Cost of [`Backbone::encode`] for `[B, T]` frames; `None` where a step was not counted.
    fn encode_cost(&self, clips: [usize; 2], adapter: &dyn Adapter, branch: &Branch) -> Option<Cost> {
        let steps = self.encode_steps(adapter).len();
        (0..steps).map(|step| self.encode_step_cost(step, clips, adapter, branch)).sum()
    }

    /// Cost of [`Backbone::encode_texts`] for this number of texts of the greatest length; shorter ones cost less.
    /// `None` where it was not counted.
    fn texts_cost(&self, _texts: usize) -> Option<Cost> {
        None
    }

    /// Raise it whenever a change of the code changes the values of [`Backbone::prefix`] for the same weights: kept
    /// values are then not used any more.
    fn code_version(&self) -> u32 {
        1
    }

    /// Changes the frozen matrix products of the towers to `precision`. Called once, after [`Backbone::tune`].
    ///
    /// # Errors
    /// Where the backbone cannot compute in `precision`.
    fn lower(&mut self, precision: Precision) -> Result<()> {
        match precision {
            Precision::F32 => Ok(()),
            Precision::Bf16 => Err(Error::failed("this backbone computes in f32 only").help("set `precision: f32`")),
        }
    }

    /// Makes those parts of the image tower trainable for which `tunes` is true. Called once, after it is built.
    fn tune(&mut self, tunes: &dyn Fn(TowerPart) -> bool);

    /// C sentences → features `[C, E]`, not normalised.
    ///
    /// # Errors
    /// Where there is no text tower, or a sentence is too long for it or has a word that it does not know.
    fn encode_texts(&self, texts: &[String]) -> Result<Tensor<2>>;

    /// The text tower, where adapters can change it.
    fn adaptable_text(&self) -> Option<&dyn AdaptableText> {
        None
    }

    /// The logarithm of the factor on image-text cosines, `[1]`, where the backbone learns one (CLIP's temperature).
    fn logit_scale(&self) -> Option<Tensor<1>>;

    /// Token ids of a sentence, start and end included.
    ///
    /// # Errors
    /// As [`Backbone::encode_texts`]; of a backbone that does not say them, always.
    fn tokens(&self, _sentence: &str) -> Result<Vec<i32>> {
        Err(Error::failed("this backbone does not say which tokens it makes of a text"))
    }

    /// The weights as public code has them; `None` where there are no such names but those of the module.
    fn published(&self) -> Option<Published> {
        None
    }

    /// Writes the weights as a file that the option `weights` accepts, with the entries of `about` as its metadata, for
    /// `task: contrastive`.
    ///
    /// # Errors
    /// Where the backbone cannot be trained by this task, or the file cannot be written.
    fn export(&self, path: &std::path::Path, about: &BTreeMap<String, String>) -> Result<()>;
}

/// The error of a backbone that cannot hand out `part`.
pub fn cannot_give(part: Part) -> Error {
    Error::failed(format!("a component reads {part}, which this backbone does not hand out"))
}

/// What to do about [`cannot_give`].
pub const GIVES_MORE: &str =
    "choose a backbone that does, such as clip_vit or resnet, or components that read features alone";

clone_boxed!(Backbone, CloneBackbone);
