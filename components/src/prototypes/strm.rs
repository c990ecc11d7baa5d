//! `strm`: enriches the patches of each frame by attention among them, and then the frames of each clip by an MLP
//! mixer.
//!
//! Source: STRM (Thatipelli et al., CVPR 2022) as its public code computes it (Anirudh257/strm, model.py). The map of a
//! frame is pooled to P = 4 × 4 patches x of D values by its largest values, with position codes (sinusoids times 0.1)
//! on patches and on frames:
//!
//! ```text
//! y = γ softmax(Q Kᵀ) V + x               one head, no scaling; γ starts at 0
//! y + W₃ relu(W₂ relu(W₁ y))              D → D / 2 → D / 2 → D, then the mean over patches: a frame f
//! g = f + mixer over time (T → T → T)     relu between
//! g + mixer over channels (D → D → D)     relu between
//! ```
//! The frames after the mixer are the features that are aligned. The frames before it are the part `patches`, which the
//! alignment `strm` compares too.

use super::transformer::position_codes;
use crate::layers::{Init, linear, linear_cost};
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::{relu, softmax};
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::prototype::Prototype;
use serde::{Deserialize, Serialize};

/// The frames before the mixer, `[1, D]`.
pub const PATCHES: Part = Part::Added { by: "strm", name: "patches" };

/// Options of STRM's enrichment.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct StrmConfig {
    /// Side of the map that is left after pooling. 4 in public code.
    #[schemars(range(min = 1, max = 64))]
    patches: usize,
    /// Factor on the position codes. 0.1 in public code.
    position_scale: f64,
    /// Dropout of patches and of frames, each with their position codes. 0.1 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
}

impl Default for StrmConfig {
    fn default() -> Self {
        Self { patches: 4, position_scale: 0.1, dropout: 0.1 }
    }
}

register!(dyn Prototype, StrmConfig, name: "strm",
    summary: "attention among the patches of a frame, then a mixer over the frames of a clip",
    paper: Some("STRM, CVPR 2022"), stability: Stable, usage: "{patches: 2}");

impl Component for StrmConfig {
    type Slot = dyn Prototype;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("prototype", Part::Map);
        facts.adds(PATCHES);
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let given = context.given().clone();
        let [positions, width] = given.shape(Part::Map)?;
        let side = positions.isqrt();
        if side < self.patches {
            let message = format!("the map has {side} × {side} positions, and `patches` asks for {}", self.patches);
            return Err(Error::failed(message).help("set `prototype.patches` to the side of the map or less"));
        }
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let Self { patches, position_scale, dropout } = self;
        Ok(Box::new(Strm {
            patch_enrichment: PatchEnrichment::new(width, position_scale, dropout, &mut init),
            frame_enrichment: FrameEnrichment::new(context.frames()?, width, position_scale, dropout, &mut init),
            patches,
            given,
        }))
    }
}

/// Attention among the patches of a frame, and an MLP, each with its residual sum.
#[derive(Module, Debug)]
pub struct PatchEnrichment {
    query: Linear,
    key: Linear,
    value: Linear,
    /// γ
    gamma: Param<Tensor<1>>,
    first: Linear,
    middle: Linear,
    last: Linear,
    dropout: Dropout,
    position_scale: f64,
}

impl PatchEnrichment {
    /// For patches of `width` values D.
    pub fn new(width: usize, position_scale: f64, dropout: f64, init: &mut Init) -> Self {
        let half = width / 2;
        Self {
            query: init.linear(width, width),
            key: init.linear(width, width),
            value: init.linear(width, width),
            gamma: init.constant([1], 0.0),
            first: init.linear(width, half),
            middle: init.linear(half, half),
            last: init.linear(half, width),
            dropout: Dropout::new(dropout, "prototype.patches"),
            position_scale,
        }
    }

    /// `[b, P, D]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, p, d] = x.dims();
        let codes = position_codes(p, d, self.position_scale, &x);
        let x = self.dropout.forward(x + codes.unsqueeze());
        let [query, key, value] = [&self.query, &self.key, &self.value].map(|layer| linear(layer, x.clone()));
        let attended = softmax(query.matmul(key.swap_dims(1, 2)), 2).matmul(value);
        let y = attended * self.gamma.val().unsqueeze() + x;
        let hidden = relu(linear(&self.middle, relu(linear(&self.first, y.clone()))));
        y + linear(&self.last, hidden)
    }

    /// What `b` frames of `p` patches cost.
    fn cost(&self, b: usize, p: usize) -> Cost {
        let layers = [&self.query, &self.key, &self.value, &self.first, &self.middle, &self.last];
        let [d, _] = self.query.weight.lazy_shape().dims();
        layers.map(|layer| linear_cost(layer, b * p)).into_iter().sum::<Cost>() + Cost::attention(b, [p, p], d)
    }
}

/// An MLP over the frames of a clip for each channel, and one over the channels of each frame, each with its residual
/// sum.
#[derive(Module, Debug)]
pub struct FrameEnrichment {
    time_in: Linear,
    time_out: Linear,
    channels_in: Linear,
    channels_out: Linear,
    dropout: Dropout,
    position_scale: f64,
}

impl FrameEnrichment {
    /// For clips of `frames` frames T with `width` values D.
    pub fn new(frames: usize, width: usize, position_scale: f64, dropout: f64, init: &mut Init) -> Self {
        Self {
            time_in: init.linear(frames, frames),
            time_out: init.linear(frames, frames),
            channels_in: init.linear(width, width),
            channels_out: init.linear(width, width),
            dropout: Dropout::new(dropout, "prototype.frames"),
            position_scale,
        }
    }

    /// `[B, T, D]` → the same shape.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [_, t, d] = x.dims();
        let codes = position_codes(t, d, self.position_scale, &x);
        let x = self.dropout.forward(x + codes.unsqueeze());
        let over_time = linear(&self.time_out, relu(linear(&self.time_in, x.clone().swap_dims(1, 2))));
        let x = x + over_time.swap_dims(1, 2);
        x.clone() + linear(&self.channels_out, relu(linear(&self.channels_in, x)))
    }

    /// What `b` clips cost.
    fn cost(&self, b: usize) -> Cost {
        let ([t, _], [d, _]) = (self.time_in.weight.lazy_shape().dims(), self.channels_in.weight.lazy_shape().dims());
        let over_time = linear_cost(&self.time_in, b * d) + linear_cost(&self.time_out, b * d);
        over_time + linear_cost(&self.channels_in, b * t) + linear_cost(&self.channels_out, b * t)
    }
}

/// The largest value of each of `side` × `side` fields of a map `[b, h, w, D]`: `[b, side², D]`. Fields overlap where
/// `side` does not divide h, as PyTorch's adaptive pooling has them.
pub fn pooled(map: Tensor<4>, side: usize) -> Tensor<3> {
    fn along(map: Tensor<4>, dim: usize, side: usize) -> Tensor<4> {
        let size = map.dims()[dim];
        if size == side {
            return map;
        }
        let field = |i: usize| {
            let (from, to) = (i * size / side, ((i + 1) * size).div_ceil(side));
            map.clone().narrow(dim, from, to - from).max_dim(dim)
        };
        Tensor::cat((0..side).map(field).collect(), dim)
    }
    let [b, _, _, d] = map.dims();
    along(along(map, 1, side), 2, side).reshape([b, side * side, d])
}

#[derive(Module, Debug)]
struct Strm {
    patch_enrichment: PatchEnrichment,
    frame_enrichment: FrameEnrichment,
    patches: usize,
    #[module(skip)]
    given: Layout,
}

impl Strm {
    /// Side and width of the map.
    fn map(&self) -> [usize; 2] {
        let shape = self.given.shape(Part::Map).expect("it was built for frames with a map");
        [shape[0].isqrt(), shape[1]]
    }
}

impl Prototype for Strm {
    fn scope(&self) -> Scope {
        Scope::Clip
    }

    fn needs_text(&self) -> bool {
        false
    }

    fn reads(&self) -> Vec<Part> {
        vec![Part::Map]
    }

    fn layout(&self, _: &Layout) -> Layout {
        let [_, width] = self.map();
        Layout::of_feature(width).with(PATCHES, [1, width])
    }

    fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
        self.query(frames)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        let ([b, t, _], [side, d]) = (frames.dims(), self.map());
        let map = self.given.part(Part::Map, frames).reshape([b * t, side, side, d]);
        let patches = self.patch_enrichment.forward(pooled(map, self.patches));
        let frames = patches.mean_dim(1).reshape([b, t, d]);
        Tensor::cat(vec![self.frame_enrichment.forward(frames.clone()), frames], 2)
    }

    fn support_cost(&self, frames: [usize; 3]) -> Option<Cost> {
        self.query_cost(frames)
    }

    fn query_cost(&self, [b, t, _]: [usize; 3]) -> Option<Cost> {
        Some(self.patch_enrichment.cost(b * t, self.patches * self.patches) + self.frame_enrichment.cost(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, prototype::Traits};
    use burn::tensor::{Device, TensorData};
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<StrmConfig>(Traits::default());
    }

    #[test]
    fn fields_are_those_of_adaptive_pooling() {
        let values: Vec<f32> = (0..49).map(|i| i as f32).collect();
        let map = Tensor::<4>::from_data(TensorData::new(values, [1, 7, 7, 1]), &Device::flex());
        let got: Vec<f32> = pooled(map, 4).into_data().try_to_vec().unwrap();
        // Rows and columns end at 1, 3, 5 and 6.
        let ends = [1.0, 3.0, 5.0, 6.0];
        let want: Vec<f32> = ends.iter().flat_map(|row| ends.map(|column| row * 7.0 + column)).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn parameters_are_those_of_the_public_code() {
        let mut init = Init::blank(Device::flex());
        let patches = PatchEnrichment::new(2048, 0.1, 0.1, &mut init);
        assert_eq!(parameters::count(&patches).total, 12_589_057 + 5_246_976);
        let frames = FrameEnrichment::new(8, 2048, 0.1, 0.1, &mut init);
        assert_eq!(parameters::count(&frames).total, 8_392_848);
    }
}
