//! `ts_fsar`: TS-FSAR's ladder side network beside a frozen tower, and distance covariances of its patches.
//!
//! Source: TS-FSAR (AAAI 2026) and its public code (yaozhang0417/TS-FSAR@1a91053, `trainers/model.py` and
//! `trainers/ts_fsar.py`). h_0 are the tokens before the first block of the tower, h_i those after block i; they are
//! constants, so that no gradient goes through the tower. A narrow transformer of width w reads them all:
//!
//! ```text
//! d_i = R_i LN_i(h_i)                 D → w, without bias
//! r_0 = d_0    r_i = g_i B_i(r_{i−1}) + (1 − g_i) d_i    g_i = σ(a_i / 0.1), a_i starts at 0
//! ```
//! B is a pre-norm block; the attention of some goes over time instead of over the tokens of a frame. From r of the
//! last block come, for each frame, its class token c and its patches p_n, and of these the α-distance covariance of
//! the w channels:
//!
//! ```text
//! X = [cos(c, p_n) p_n]    G = X Xᵀ / 2N    δ_ij = G_ii + G_jj − 2 G_ij    A = (max(δ, 0) + 1e-5)^α
//! z = upper triangle of A, centred by rows and columns, with the diagonal
//! ```
//! The prototype of a class is the mean of z over its shots. The matrix M `[T, T]` by which frames of a query and of a
//! class are matched is linear in mean over t of c(query) + mean over all supports and t of c, so it depends on the
//! episode.
//!
//! The tower's own features f go through an attention over time: (2 − ρ) f + ρ MSA(LN f). With ViT-B/16 and w = 256 the
//! module has 13,121,036 parameters, and with the map of `objective: {type: ts_fsar}` 13,252,620. The side network
//! starts from the principal components of CLIP's own blocks, and so does the attention over time, from those of the
//! last one.

use super::reduced::ClipBlock;
use crate::layers::{Attention, Init, LayerNorm, feed_forward, feed_forward_cost, linear, linear_cost, plain_device};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::model::parameters;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use maclip_framework::weights::HostTensor;
use maclip_kernels::Activation;
use maclip_kernels::operations::FeedForwardOptions;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options of TS-FSAR's side network.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TsFsarConfig {
    /// Blocks of the tower, and of the side network.
    #[schemars(range(min = 1, max = 256))]
    blocks: usize,
    /// w, the width of the side network.
    #[schemars(range(min = 2, max = 4096))]
    width: usize,
    /// Attention heads of the side network; must divide w. In public code w / 64.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of the feed-forward layers in units of w.
    #[schemars(range(min = 1, max = 64))]
    ffn_ratio: usize,
    /// The blocks of the side network that attend over time, counted from 0.
    temporal: Vec<usize>,
    /// What a gate is divided by before the sigmoid.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    gate_temperature: f64,
    /// α, the exponent of distances.
    #[schemars(range(max = 2.0), extend("exclusiveMinimum" = 0.0))]
    alpha: f64,
    /// ρ, the part of the attention over time in the tower's features. In public code 1.6 on SSv2 and 0.4 elsewhere.
    #[schemars(range(min = 0.0, max = 2.0))]
    residual: f64,
    /// Heads of this attention; must divide E.
    #[schemars(range(min = 1))]
    adapter_heads: usize,
    /// How the side network and this attention start.
    init: Start,
}

/// How TS-FSAR's layers start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Start {
    /// From the principal components of the tower's own blocks, as in public code. The first training of ViT-B/16
    /// begins a minute or two later.
    #[default]
    Pca,
    /// As PyTorch's layers do.
    Random,
}

impl Default for TsFsarConfig {
    fn default() -> Self {
        Self {
            blocks: 12,
            width: 256,
            heads: 4,
            ffn_ratio: 4,
            temporal: vec![6, 8, 10],
            gate_temperature: 0.1,
            alpha: 0.4,
            residual: 0.4,
            adapter_heads: 8,
            init: Start::default(),
        }
    }
}

register!(dyn Prototype, TsFsarConfig, name: "ts_fsar",
    summary: "side network beside a frozen tower, and distance covariances of its patches; no text",
    paper: Some("TS-FSAR, AAAI 2026"), stability: Experimental,
    usage: "{blocks: 6, width: 16, heads: 2, temporal: [3], adapter_heads: 4}");

/// What the module adds to a frame.
const fn added(name: &'static str) -> Part {
    Part::Added { by: "ts_fsar", name }
}

/// z, the distance covariance of a frame, `[1, w (w + 1) / 2]`.
pub const COVARIANCE: Part = added("covariance");
/// The class token of the side network, `[1, w]`.
pub const SIDE: Part = added("side");
/// The row of a query's frame in the matrix M, `[1, T]`; zeros in prototypes.
pub const MATCHING: Part = added("matching");

const ADDED: [Part; 3] = [COVARIANCE, SIDE, MATCHING];

impl TsFsarConfig {
    /// The parts of a frame that are read: the tokens before the first block, and after each.
    fn read(&self) -> impl Iterator<Item = Part> {
        (0..=self.blocks).map(Part::Block)
    }

    /// The module, for frames of the values that `context` says.
    ///
    /// # Errors
    /// Where the backbone does not hand out the tokens after all blocks.
    pub fn network(&self, context: &BuildContext) -> Result<TsFsar> {
        let given = context.given().clone();
        let [tokens, d] = given.shape(Part::Block(0))?;
        for part in self.read() {
            given.shape(part)?;
        }
        let (w, e, frames) = (self.width, given.feature_width(), context.frames()?);
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let down = (0..=self.blocks).map(|_| Down { norm: init.layer_norm(d), map: init.linear_without_bias(d, w) });
        let down = down.collect();
        let blocks = (0..self.blocks)
            .map(|index| SideBlock::new(w, self.heads, self.ffn_ratio * w, self.temporal.contains(&index), &mut init));
        let blocks = blocks.collect();
        let gates = (0..self.blocks).map(|_| init.constant([1], 0.0)).collect();
        Ok(TsFsar {
            down,
            blocks,
            gates,
            adapter_norm: init.layer_norm(e),
            adapter: Attention::of_layers(e, self.adapter_heads, &mut init),
            generator: init.linear_without_bias(w, frames * frames),
            gate_temperature: self.gate_temperature,
            alpha: self.alpha,
            residual: self.residual,
            tokens,
            width: w,
            frames,
            pca: self.init == Start::Pca,
            given,
        })
    }
}

impl Component for TsFsarConfig {
    type Slot = dyn Prototype;

    fn validate(&self, problems: &mut Problems) {
        problems.when(
            !self.width.is_multiple_of(self.heads.max(1)),
            "heads",
            format!("is {}, which does not divide the width {}", self.heads, self.width),
        );
        if let Some(at) = self.temporal.iter().position(|block| *block >= self.blocks) {
            let last = self.blocks - 1;
            problems.push(&format!("temporal[{at}]"), format!("is no block; there are 0 to {last}"));
        }
    }

    fn describe(&self, facts: &mut Facts) {
        self.read().for_each(|part| facts.reads("prototype", part));
        ADDED.iter().for_each(|part| facts.adds(*part));
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let Some(geometry) = &facts.geometry else { return };
        problems.when(
            self.blocks != geometry.blocks,
            "blocks",
            format!("is {}, and the backbone has {}", self.blocks, geometry.blocks),
        );
        problems.when(
            !geometry.embed_dim.is_multiple_of(self.adapter_heads.max(1)),
            "adapter_heads",
            format!("is {}, which does not divide E = {}", self.adapter_heads, geometry.embed_dim),
        );
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        Ok(Box::new(self.network(context)?))
    }
}

/// The map of the tower's tokens to the width of the side network.
#[derive(Module, Debug)]
struct Down {
    norm: LayerNorm,
    map: Linear,
}

/// A pre-norm block of the side network.
#[derive(Module, Debug)]
pub struct SideBlock {
    norm_1: LayerNorm,
    attention: Attention,
    norm_2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    temporal: bool,
}

impl SideBlock {
    /// `temporal` attends over time, and the others over the tokens of a frame. `heads` must divide `width`.
    pub fn new(width: usize, heads: usize, hidden: usize, temporal: bool, init: &mut Init) -> Self {
        Self {
            norm_1: init.layer_norm(width),
            attention: Attention::of_layers(width, heads, init),
            norm_2: init.layer_norm(width),
            fc1: init.linear(width, hidden),
            fc2: init.linear(hidden, width),
            temporal,
        }
    }

    /// Tokens `[S, T, N + 1, w]` → the same shape.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [s, t, n, w] = x.dims();
        let attend = |x: Tensor<3>| self.attention.forward_onto(self.norm_1.forward(x.clone()), None, None, Some(x));
        let x = match self.temporal {
            true => attend(x.swap_dims(1, 2).reshape([s * n, t, w])).reshape([s, n, t, w]).swap_dims(1, 2),
            false => attend(x.reshape([s * t, n, w])).reshape([s, t, n, w]),
        };
        let options = FeedForwardOptions { activation: Activation::Gelu, scale: 1.0, skip: false };
        feed_forward([&self.fc1, &self.fc2], self.norm_2.forward(x.clone()), Some(x), options)
    }

    /// What [`SideBlock::forward`] costs for tokens `[S, T, N + 1, w]`.
    fn cost(&self, [s, t, n, w]: [usize; 4]) -> Cost {
        let attended = if self.temporal { [s * n, t, w] } else { [s * t, n, w] };
        let rows = s * t * n;
        Cost::norm(rows * w) * 2.0 + self.attention.cost(attended) + feed_forward_cost(&self.fc1, &self.fc2, rows)
    }
}

/// The side network with what comes of it.
#[derive(Module, Debug)]
pub struct TsFsar {
    down: Vec<Down>,
    blocks: Vec<SideBlock>,
    /// a of each block, `[1]`.
    gates: Vec<Param<Tensor<1>>>,
    adapter_norm: LayerNorm,
    adapter: Attention,
    generator: Linear,
    gate_temperature: f64,
    alpha: f64,
    residual: f64,
    /// N + 1
    tokens: usize,
    /// w
    width: usize,
    /// T
    frames: usize,
    /// Whether the tower's blocks are where the training starts.
    pca: bool,
    #[module(skip)]
    given: Layout,
}

impl TsFsar {
    /// The module with the side network and the attention over time made of the blocks of CLIP's image tower in
    /// `tensors`, by OpenAI's names.
    ///
    /// # Errors
    /// Where there is no such tensor, or a layer is wider than that of the tower.
    fn begun_from(self, tensors: &BTreeMap<String, HostTensor>) -> Result<Self> {
        let block = |index: usize| ClipBlock { tensors, within: format!("visual.transformer.resblocks.{index}.") };
        let side = |(index, own): (usize, &SideBlock)| {
            let [_, hidden] = own.fc1.weight.lazy_shape().dims();
            block(index).side_block(&format!("blocks.{index}"), self.width, hidden)
        };
        let made: Vec<_> = self.blocks.par_iter().enumerate().map(side).collect::<Result<_>>()?;
        let [e, _] = self.adapter.out_proj.weight.lazy_shape().dims();
        let over_time = block(self.blocks.len() - 1).attention("adapter", e)?;
        let mut all = parameters::export(&self, false);
        all.extend(made.into_iter().flatten().chain(over_time));
        parameters::import(self, all, false)
    }
}

/// z of X: `[B, N, w]` → `[B, w (w + 1) / 2]`, rows of the upper triangle one after the other.
pub fn distance_covariance(x: Tensor<3>, alpha: f64) -> Tensor<2> {
    let [b, n, w] = x.dims();
    let device = plain_device(&x);
    let g = x.clone().swap_dims(1, 2).matmul(x) / (2 * n) as f64;
    // The diagonal is taken from the same products, so that the distance of a channel to itself is exactly 0.
    let diagonal = (g.clone() * Tensor::<2>::eye(w, &device).unsqueeze()).sum_dim(2);
    let distances = diagonal.clone() + diagonal.swap_dims(1, 2) - g * 2.0;
    let a = (distances.clamp_min(0.0) + 1e-5).powf_scalar(alpha);
    let rows = a.clone().mean_dim(2);
    let centred = a - rows.clone() - rows.clone().swap_dims(1, 2) + rows.mean_dim(1);
    let upper: Vec<i32> = (0..w).flat_map(|i| (i..w).map(move |j| (i * w + j) as i32)).collect();
    let count = upper.len();
    let upper = Tensor::<1, Int>::from_data(TensorData::new(upper, [count]), &device);
    centred.reshape([b, w * w]).select(1, upper)
}

impl TsFsar {
    /// All values of frames `[S, T, F]` → tokens of the side network `[S, T, N + 1, w]`.
    pub fn side(&self, frames: &Tensor<3>) -> Tensor<4> {
        let ([s, t, _], n) = (frames.dims(), self.tokens);
        let read = |index: usize| {
            let tokens = self.given.part(Part::Block(index), frames.clone());
            let d = tokens.dims()[2] / n;
            let Down { norm, map } = &self.down[index];
            linear(map, norm.forward(tokens.reshape([s, t, n, d])))
        };
        (0..self.blocks.len()).fold(read(0), |r, index| {
            let gate = sigmoid(self.gates[index].val() / self.gate_temperature).reshape([1, 1, 1, 1]);
            let own = self.blocks[index].forward(r);
            // g own + (1 − g) read
            let read = read(index + 1);
            read.clone() + (own - read) * gate
        })
    }

    /// Features f `[S, T, E]` with the attention over time.
    pub fn adapted(&self, features: Tensor<3>) -> Tensor<3> {
        let mixed = self.adapter.forward(self.adapter_norm.forward(features.clone()), None, None);
        features * (2.0 - self.residual) + mixed * self.residual
    }

    /// Tokens of the side network `[S, T, N + 1, w]` and features `[S, T, E]` → the values of [`Prototype::layout`].
    pub fn packed(&self, side: Tensor<4>, features: Tensor<3>) -> Tensor<3> {
        let [s, t, n, w] = side.dims();
        let class = side.clone().narrow(2, 0, 1);
        let patches = side.narrow(2, 1, n - 1);
        let length = |x: &Tensor<4>| x.clone().powf_scalar(2.0).sum_dim(3).sqrt();
        let lengths = (length(&patches) * length(&class)).clamp_min(1e-8);
        let cosines = (patches.clone() * class.clone()).sum_dim(3) / lengths;
        let z = distance_covariance((patches * cosines).reshape([s * t, n - 1, w]), self.alpha);
        let count = z.dims()[1];
        let matching = Tensor::zeros([s, t, self.frames], &plain_device(&features));
        Tensor::cat(vec![features, z.reshape([s, t, count]), class.reshape([s, t, w]), matching], 2)
    }

    /// M of class tokens: of queries `[N, Q, T, w]` and support clips `[N, W, K, T, w]` → `[N, Q, T, T]`, rows are
    /// frames of the query.
    fn matching(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<4> {
        let ([n, q, t, w], [_, c, k, ..]) = (query.dims(), support.dims());
        let of_query: Tensor<3> = query.mean_dim(2).reshape([n, q, w]);
        let of_support = support.reshape([n, c * k * t, w]).mean_dim(1);
        linear(&self.generator, of_query + of_support).reshape([n, q, t, t])
    }

    fn values(&self, frames: Tensor<3>) -> Tensor<3> {
        let features = self.adapted(self.given.feature(frames.clone()));
        self.packed(self.side(&frames), features)
    }
}

impl Prototype for TsFsar {
    fn start(&mut self, backbone: &dyn Backbone) -> Result<()> {
        if self.pca {
            let tensors = backbone.published().unwrap_or_default().tensors;
            *self = self.clone().begun_from(&tensors)?;
        }
        Ok(())
    }

    fn scope(&self) -> Scope {
        Scope::Episode
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn reads(&self) -> Vec<Part> {
        (0..=self.blocks.len()).map(Part::Block).collect()
    }

    fn layout(&self, given: &Layout) -> Layout {
        let w = self.width;
        let widths = [w * (w + 1) / 2, w, self.frames];
        let feature = Layout::of_feature(given.feature_width());
        ADDED.iter().zip(widths).fold(feature, |layout, (part, width)| layout.with(*part, [1, width]))
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.values(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        self.values(frames)
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        self.query_cost(frames)
    }

    fn query_cost(&self, [s, t, _]: [usize; 3]) -> Option<Cost> {
        let (n, w, e) = (self.tokens, self.width, self.given.feature_width());
        let (frames, rows) = (s * t, s * t * n);
        let read = self.down.iter().map(|Down { map, .. }| {
            let [d, _] = map.weight.lazy_shape().dims();
            Cost::norm(rows * d) + linear_cost(map, rows)
        });
        let side: Cost =
            self.blocks.iter().map(|block| block.cost([s, t, n, w]) + Cost::elementwise(rows * w, 2.0)).sum();
        let adapted = Cost::norm(frames * e) + self.adapter.cost([s, t, e]);
        // G, and what is made of it; the patches, weighed.
        let covariance = Cost::product(frames * w, n - 1, w) + Cost::elementwise(frames * w * w, 3.0);
        Some(read.sum::<Cost>() + side + adapted + covariance + Cost::elementwise(rows * w, 2.0))
    }

    fn relate_cost(&self, [n, q, ..]: [usize; 4], [_, w, _, t, f]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        Some((linear_cost(&self.generator, n * q), [n, 1, w, 1, t, f]))
    }

    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, .. } = features;
        let layout = self.layout(&self.given);
        let matching = self.matching(layout.part(SIDE, query.clone()), layout.part(SIDE, support.clone()));
        let known = query.dims()[3] - self.frames;
        let query = Tensor::cat(vec![query.narrow(3, 0, known), matching], 3);
        let [n, w, _, t, f] = support.dims();
        Related { query, support: support.mean_dim(2).reshape([n, 1, w, 1, t, f]) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reduced::{reduced, transposed};
    use super::*;
    use crate::conformance::{self, model, prototype::Traits, scopes};
    use burn::tensor::Device;
    use maclip_framework::model::few_shot::FewShotModel;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<TsFsarConfig>(Traits::default());
    }

    #[test]
    fn parameters_are_those_of_the_public_code() {
        let counted = |classes: usize| {
            let objective = format!("{{type: ts_fsar, classes: {classes}}}");
            let head =
                [("prototype", "{type: ts_fsar}"), ("alignment", "{type: ts_dcm}"), ("objective", objective.as_str())];
            parameters::count(&model::sized(&head, "ViT-B/16")).trainable
        };
        for (classes, head) in [(64, 2_105_344), (31, 1_019_776), (70, 2_302_720)] {
            assert_eq!(counted(classes), 13_252_620 + head);
        }
    }

    #[test]
    fn the_cost_is_the_hand_computed_one() {
        let options = "{type: ts_fsar, blocks: 6, width: 16, heads: 2, temporal: [3], adapter_heads: 4}";
        let model = model::built(&[("prototype", options), ("alignment", "{type: ts_dcm}")]);
        let geometry = model.backbone.geometry();
        let (n, d, e, w) = (geometry.tokens as f64, geometry.width as f64, geometry.embed_dim as f64, 16.0);
        let product = |rows: f64, inner: f64, columns: f64| 2.0 * rows * inner * columns;
        let attention = |b: f64, n: f64, d: f64| product(b * n, d, 4.0 * d) + 2.0 * product(b * n, d, n);
        // Two clips of four frames.
        let (s, t) = (2.0, 4.0);
        let rows = s * t * n;
        let read = 7.0 * product(rows, d, w);
        let blocks = 5.0 * attention(s * t, n, w) + attention(s * n, t, w) + 6.0 * 2.0 * product(rows, w, 4.0 * w);
        let rest = attention(s, t, e) + product(s * t * w, n - 1.0, w);
        let width = model.given().width();
        assert_eq!(model.prototype.query_cost([2, 4, width]).unwrap().flops, read + blocks + rest);
        let values = model.compared().width();
        let (cost, _) = model.prototype.relate_cost([1, 3, 4, values], [1, 5, 1, 4, values]).unwrap();
        let frames = model.prototype.layout(&model.given()).shape(MATCHING).unwrap()[1] as f64;
        assert_eq!(cost.flops, product(3.0, w, frames * frames));
        // Distances: three queries and five classes of four frames, with z of 136 values.
        let (aligned, z) = (model.alignment.cost([1, 3, 4, values], [1, 5, 1, 4, values]).unwrap(), 136.0);
        assert_eq!(aligned.flops, product(12.0, z, 20.0) + product(12.0, 1.0, 20.0));
    }

    #[test]
    fn the_side_network_starts_from_the_blocks_of_clip() {
        let small = "blocks: 6, width: 16, heads: 2, temporal: [3], adapter_heads: 4";
        let built = |options: &str| model::built(&[("prototype", &format!("{{type: ts_fsar, {options}}}"))]);
        let tensors = |model: &FewShotModel| parameters::export(&model.prototype, true);
        let random = built(&format!("{small}, init: random"));
        let begun = random.clone().begun().unwrap();
        assert_eq!(tensors(&begun), tensors(&random));
        let before = built(small);
        let tower = before.backbone.published().unwrap().tensors;
        let (before, after) = (tensors(&before), tensors(&built(small).begun().unwrap()));
        for (path, tensor) in &after {
            let made = path.starts_with("blocks.") || path.starts_with("adapter.");
            assert_eq!(*tensor != before[path], made, "{path}");
        }
        // W of the first projection behind block 2: its first 16 outputs in 16 principal components.
        let theirs = &tower["visual.transformer.resblocks.2.attn.out_proj.weight"];
        let own = &after["blocks.2.attention.out_proj.weight"];
        assert_eq!(own.values, transposed(&reduced(theirs, 16, 16).unwrap().values, [16, 16]));
        let error = built(&small.replace("width: 16", "width: 256")).begun().unwrap_err().to_string();
        assert!(error.contains("too large"), "{error}");
    }

    #[test]
    fn evaluation_by_scopes_and_one_by_one_agree() {
        scopes::evaluation_follows_them(&[
            ("prototype", "{type: ts_fsar, blocks: 6, width: 8, heads: 2, temporal: [3], adapter_heads: 4}"),
            ("alignment", "{type: ts_dcm}"),
            ("objective", "{type: ts_fsar, classes: 5}"),
        ]);
    }

    #[test]
    fn the_covariance_of_two_channels_is_the_hand_computed_one() {
        // Channels (1, 0) and (0, 2) over two patches: G = diag(1, 4) / 4, δ = 1.25 between them, α = 1.
        let x = Tensor::<3>::from_data([[[1.0f32, 0.0], [0.0, 2.0]]], &Device::flex());
        let z: Vec<f32> = distance_covariance(x, 1.0).into_data().try_to_vec().unwrap();
        // Centred: ∓ δ / 2; the constant 1e-5 drops out.
        assert!((z[0] + 0.625).abs() < 1e-5 && (z[1] - 0.625).abs() < 1e-5 && (z[2] + 0.625).abs() < 1e-5, "{z:?}");
    }
}
