//! `strm`: another alignment of the enriched frames, and the distance of each tuple of a query's frames to the nearest
//! tuple of a class.
//!
//! Source: STRM (Thatipelli et al., CVPR 2022) as its public code computes it (Anirudh257/strm, model.py,
//! `DistanceLoss`). On the frames before the mixer, joined into ordered tuples x, with all tuples of all shots of a
//! class:
//!
//! ```text
//! z = relu(W x)        similarity distance = mean over query tuples of the least ‖z_q − z_s‖
//! distance = that of the other alignment + w · similarity distance
//! ```
//! with the mean over cardinalities. The two are the further distances `frames` and `patches`, for an objective that
//! trains on each. In training, frames have a dropout.

use super::trx::{count, of_tuples, too_many};
use crate::layers::Init;
use crate::prototypes::strm::PATCHES;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use burn::tensor::activation::relu;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Nested, Problems};
use maclip_framework::slots::alignment::{Aligned, Alignment};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::explanation::Explanation;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::module::Slot;
use serde::{Deserialize, Serialize};

/// Options of STRM's distances.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct StrmConfig {
    /// The alignment of the frames after the mixer, with its `type` and its options: `trx` in the paper.
    alignment: Nested<dyn Alignment>,
    /// Sizes of the tuples. 2 in the scripts of the public code.
    #[serde(default = "pairs")]
    #[schemars(length(min = 1), inner(range(min = 1)), extend("uniqueItems" = true))]
    cardinalities: Vec<usize>,
    /// w, in the distance that a prediction is made from. 0.1 in public code.
    #[serde(default = "weight")]
    #[schemars(range(min = 0.0))]
    weight: f64,
    /// Dropout of the frames. 0.1 in public code.
    #[serde(default = "weight")]
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// In the public code W is in no list of parameters: it keeps its random start and is in no checkpoint. `true` does
    /// the same; `false` trains W, as the paper says. (There, the dropout stays on in tests too, which is not done
    /// here.)
    #[serde(default)]
    as_published: bool,
}

fn pairs() -> Vec<usize> {
    vec![2]
}

fn weight() -> f64 {
    0.1
}

register!(dyn Alignment, StrmConfig, name: "strm",
    summary: "another alignment, and each tuple of frames to the nearest tuple of a class",
    paper: Some("STRM, CVPR 2022"), stability: Stable, usage: "{alignment: {type: trx, cardinalities: [2]}}");

impl Component for StrmConfig {
    type Slot = dyn Alignment;

    fn describe(&self, facts: &mut Facts) {
        facts.reads("alignment", PATCHES);
        facts.further.extend(["frames", "patches"]);
    }

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let Some(t) = facts.frames else { return };
        for (at, &c) in self.cardinalities.iter().enumerate() {
            if let Some(problem) = too_many(t, c) {
                problems.push(&format!("cardinalities[{at}]"), problem);
            }
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let layout = context.compared().clone();
        let [_, width] = layout.shape(PATCHES)?;
        let features = context.with_compared(Layout::of_feature(layout.feature_width()));
        let device = if self.as_published { context.device.clone() } else { context.trainable_device() };
        let mut init = Init::new(context.init("alignment.similarity"), device);
        let head = |&cardinality: &usize| Similarity {
            projection: init.linear(width * cardinality, width / 2),
            dropout: Dropout::new(self.dropout, format!("alignment.similarity.{cardinality}")),
            cardinality,
        };
        let heads: Vec<Similarity> = self.cardinalities.iter().map(head).collect();
        Ok(Box::new(Strm {
            alignment: Slot::new(self.alignment.build(&features)?),
            similarities: if self.as_published { heads.no_grad() } else { heads },
            weight: self.weight,
            layout,
        }))
    }
}

/// The distance of tuples of one cardinality.
#[derive(Module, Debug)]
pub struct Similarity {
    /// W, with its bias.
    projection: Linear,
    dropout: Dropout,
    cardinality: usize,
}

impl Similarity {
    /// For tuples of `cardinality` frames with `width` values, without dropout.
    pub fn new(cardinality: usize, width: usize, init: &mut Init) -> Self {
        let projection = init.linear(width * cardinality, width / 2);
        Self { projection, dropout: Dropout::new(0.0, "alignment.similarity"), cardinality }
    }

    /// z of all tuples: `[B, T, D]` → `[B, P, D / 2]`.
    fn embedded(&self, frames: Tensor<3>) -> Tensor<3> {
        relu(of_tuples(&self.projection, self.cardinality, self.dropout.forward(frames)))
    }

    /// query `[N, Q, Tq, D]`, support `[N, W, K, Ts, D]` → `[N, Q, W]`.
    pub fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let ([n, q, tq, d], [_, w, k, ts, _]) = (query.dims(), support.dims());
        let query = self.embedded(query.reshape([n * q, tq, d]));
        let support = self.embedded(support.reshape([n * w * k, ts, d]));
        let ([_, pq, e], [_, ps, _]) = (query.dims(), support.dims());
        let (rows, length) = (q * pq, k * ps);
        let query = query.reshape([n, 1, rows, e]);
        let support = support.reshape([n, w, length, e]);
        // Which tuple is the nearest needs no gradient; its distance is then computed from the difference, which is
        // exact where two tuples are almost equal.
        let nearest = {
            let plain = |x: Tensor<4>| if x.is_autodiff() { x.inner() } else { x };
            let (query, support) = (plain(query.clone()), plain(support.clone()));
            let squares = support.clone().powf_scalar(2.0).sum_dim(3).swap_dims(2, 3);
            let products = query.expand([n, w, rows, e]).matmul(support.swap_dims(2, 3));
            (squares - products * 2.0).argmin(3).reshape([n * w, rows])
        };
        let groups = Tensor::arange(0..(n * w) as i64, &nearest.device()).reshape([n * w, 1]) * length as i64;
        let rows_of = (nearest + groups).reshape([n * w * rows]);
        let found = support.reshape([n * w * length, e]).select(0, rows_of).reshape([n, w, rows, e]);
        let difference = query - found;
        let squares = (difference.clone() * difference).sum_dim(3);
        let least = squares.clamp_min(1e-24).sqrt().reshape([n, w, q, pq]);
        least.mean_dim(3).reshape([n, w, q]).swap_dims(1, 2)
    }

    fn cost(&self, [n, q, tq, _]: [usize; 4], [_, w, k, ts, _]: [usize; 5]) -> Cost {
        let [inputs, e] = self.projection.weight.lazy_shape().dims();
        let d = inputs / self.cardinality;
        let [pq, ps] = [tq, ts].map(|t| count(t, self.cardinality).round() as usize);
        let products = Cost::product(n * (q * tq + w * k * ts), d, self.cardinality * e);
        let sums = |clips: usize, tuples: usize, t: usize| Cost::product(clips * tuples, t * self.cardinality, e);
        let compared = Cost::product(n * w * q * pq, e, k * ps) + Cost::elementwise(n * w * q * pq * e, 2.0);
        products + sums(n * q, pq, tq) + sums(n * w * k, ps, ts) + compared
    }
}

#[derive(Module, Debug)]
struct Strm {
    alignment: Slot<dyn Alignment>,
    similarities: Vec<Similarity>,
    weight: f64,
    #[module(skip)]
    layout: Layout,
}

impl Alignment for Strm {
    fn reads(&self) -> Vec<Part> {
        vec![PATCHES]
    }

    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        self.aligned(query, support).distances
    }

    fn aligned(&self, query: Tensor<4>, support: Tensor<5>) -> Aligned {
        let feature = |query: Tensor<4>, support: Tensor<5>| (self.layout.feature(query), self.layout.feature(support));
        let (features, support_features) = feature(query.clone(), support.clone());
        let frames = self.alignment.distances(features, support_features);
        let (query, support) = (self.layout.part(PATCHES, query), self.layout.part(PATCHES, support));
        let sum = self.similarities.iter().map(|head| head.distances(query.clone(), support.clone()));
        let patches = sum.reduce(|a, b| a + b).expect("at least one cardinality is checked");
        let patches = patches / self.similarities.len() as f64;
        Aligned {
            distances: frames.clone() + patches.clone() * self.weight,
            further: vec![("frames", frames), ("patches", patches)],
        }
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        self.alignment.explain(self.layout.feature(query), self.layout.feature(support))
    }

    fn cost(&self, mut query: [usize; 4], mut support: [usize; 5]) -> Option<Cost> {
        (query[3], support[4]) = (self.layout.feature_width(), self.layout.feature_width());
        let similarities: Cost = self.similarities.iter().map(|head| head.cost(query, support)).sum();
        Some(self.alignment.cost(query, support)? + similarities)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<StrmConfig>(Traits {
            options: "alignment: {type: trx, cardinalities: [2], width: 8}",
            norm_blind: false,
            shots: &[],
            parts: &[(PATCHES, [1, 3])],
            with: &[("prototype", "{type: strm, patches: 2}")],
            ..Traits::default()
        });
    }

    #[test]
    fn the_projection_is_trained_or_not() {
        let of = |options: &str| {
            let context = conformance::context(1, 4, 4);
            let layout = Layout::of_feature(4).with(PATCHES, [1, 4]);
            let built = conformance::built::<StrmConfig>(
                &format!("alignment: {{type: bi_mhm}}, {options}"),
                &context.with_compared(layout),
            );
            let counted = parameters::count(&Slot::new(built));
            (counted.trainable, counted.total)
        };
        assert_eq!((of("as_published: false"), of("as_published: true")), ((18, 18), (0, 18)));
    }

    #[test]
    fn the_nearest_tuple_is_found_by_hand() {
        // Single frames of two values, W the sum of both: z is 1 and 5 for the query, 2 and 9 for the class.
        let device = Device::flex();
        let mut similarity = Similarity::new(1, 2, &mut Init::blank(device.clone()));
        similarity.projection.weight = burn::module::Param::from_tensor(Tensor::from_data([[1.0f32], [1.0]], &device));
        let query = Tensor::<4>::from_data([[[[0.5f32, 0.5], [2.0, 3.0]]]], &device);
        let support = Tensor::<5>::from_data([[[[[1.0f32, 1.0], [4.0, 5.0]]]]], &device);
        let got: Vec<f32> = similarity.distances(query, support).into_data().try_to_vec().unwrap();
        assert_eq!(got, [(1.0 + 3.0) / 2.0]);
    }
}
