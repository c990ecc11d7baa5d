//! `trx`: temporal-relational cross-attention between ordered tuples of frames.
//!
//! Source: TRX (Perrett et al., CVPR 2021) as its public code computes it. For each cardinality c, frames with position
//! codes (sinusoids times 0.1) are joined into all ordered c-tuples; k = LN(W_k x), v = W_v x, without LN on v. A query
//! tuple attends to all tuples of all shots of a class:
//!
//! ```text
//! prototype = Σ softmax(q_k · k / √d) v        distance = ‖q_v − prototype‖² / number of query tuples
//! ```
//! and distances are averaged over cardinalities. In training, frames with their position codes have a dropout of 0.1,
//! another one for each cardinality.

use super::frame_costs::ShotRule;
use crate::layers::{Init, LayerNorm, linear_cost, plain_device};
use crate::prototypes::transformer::position_codes;
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::activation::softmax;
use burn::tensor::{Tensor, TensorData};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::alignment::Alignment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::explanation::Explanation;
use maclip_kernels::operations;
use serde::{Deserialize, Serialize};

/// Options of TRX.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct TrxConfig {
    /// Sizes of the tuples. 2 and 3 in the paper.
    #[schemars(length(min = 1), inner(range(min = 1)), extend("uniqueItems" = true))]
    cardinalities: Vec<usize>,
    /// Width d of keys and values. 1152 in public code.
    #[schemars(range(min = 1, max = 65536))]
    width: usize,
    /// Factor on the position codes. 0.1 in public code.
    position_scale: f64,
    /// Dropout of the frames with their position codes. 0.1 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// `joint` lets a query tuple attend to all shots of a class at once, as TRX does.
    shots: ShotRule,
    /// Whether to hold the norm of values that public code makes and never uses: 2 d parameters for each cardinality,
    /// which count as trained and never change. No result depends on it.
    unused_norm: bool,
}

impl Default for TrxConfig {
    fn default() -> Self {
        Self {
            cardinalities: vec![2, 3],
            width: 1152,
            position_scale: 0.1,
            dropout: 0.1,
            shots: ShotRule::Joint,
            unused_norm: false,
        }
    }
}

register!(dyn Alignment, TrxConfig, name: "trx", summary: "cross-attention between ordered tuples of frames",
    paper: Some("TRX, CVPR 2021"), stability: Stable, usage: "{cardinalities: [2, 3]}");

impl Component for TrxConfig {
    type Slot = dyn Alignment;

    fn compatible(&self, facts: &Facts, problems: &mut Problems) {
        let Some(t) = facts.frames else { return };
        for (at, &c) in self.cardinalities.iter().enumerate() {
            if let Some(problem) = too_many(t, c) {
                problems.push(&format!("cardinalities[{at}]"), problem);
            }
        }
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Alignment>> {
        let e = context.compared().feature_width();
        let mut init = Init::new(context.init("alignment"), context.trainable_device());
        let heads = self.cardinalities.iter().map(|&c| TrxHead::new(c, e, &self, &mut init)).collect();
        Ok(Box::new(Trx { heads, shots: self.shots }))
    }
}

#[derive(Module, Debug)]
struct TrxHead {
    k_linear: Linear,
    v_linear: Linear,
    norm_k: LayerNorm,
    /// Nothing passes through it.
    norm_v: Option<LayerNorm>,
    dropout: Dropout,
    cardinality: usize,
    position_scale: f64,
}

#[derive(Module, Debug)]
struct Trx {
    heads: Vec<TrxHead>,
    #[module(skip)]
    shots: ShotRule,
}

impl Alignment for Trx {
    fn distances(&self, query: Tensor<4>, support: Tensor<5>) -> Tensor<3> {
        let (support, joined) = self.attended(support);
        self.mean_of_heads(|head| head.distances(query.clone(), support.clone(), joined))
    }

    fn explain(&self, query: Tensor<3>, support: Tensor<4>) -> Result<Explanation> {
        let shots = self.shots.side_by_side(support.dims()[1]);
        let (support, joined) = self.attended(support.unsqueeze_dim(1));
        let query = query.unsqueeze_dim(1);
        let pairs = self.mean_of_heads(|head| head.attended_frames(query.clone(), support.clone(), joined));
        Explanation::new("attention of frame tuples to frame tuples", shots, pairs)
    }

    fn cost(&self, query: [usize; 4], [n, w, k, ts, e]: [usize; 5]) -> Option<Cost> {
        let (support, joined) = match self.shots {
            ShotRule::MeanFeatures => ([n, w, 1, ts, e], true),
            ShotRule::MeanDistances => ([n, w, k, ts, e], false),
            ShotRule::Joint => ([n, w, k, ts, e], true),
        };
        Some(self.heads.iter().map(|head| head.cost(query, support, joined)).sum())
    }
}

impl Trx {
    /// The clips that a query attends to, and whether to those of a class all at once.
    fn attended(&self, support: Tensor<5>) -> (Tensor<5>, bool) {
        match self.shots {
            ShotRule::MeanFeatures => (support.mean_dim(2), true),
            ShotRule::MeanDistances => (support, false),
            ShotRule::Joint => (support, true),
        }
    }

    fn mean_of_heads(&self, of: impl Fn(&TrxHead) -> Tensor<3>) -> Tensor<3> {
        let sum = self.heads.iter().map(of).reduce(|a, b| a + b);
        sum.expect("at least one cardinality is checked") / self.heads.len() as f64
    }
}

impl TrxHead {
    fn new(cardinality: usize, e: usize, config: &TrxConfig, init: &mut Init) -> Self {
        Self {
            k_linear: init.linear(e * cardinality, config.width),
            v_linear: init.linear(e * cardinality, config.width),
            norm_k: init.layer_norm(config.width),
            norm_v: config.unused_norm.then(|| init.layer_norm(config.width)),
            dropout: Dropout::new(config.dropout, format!("alignment.frames.{cardinality}")),
            cardinality,
            position_scale: config.position_scale,
        }
    }

    /// Frames `[B, T, E]` with their position codes.
    fn placed(&self, frames: Tensor<3>) -> Tensor<3> {
        let [_, t, e] = frames.dims();
        let codes = position_codes(t, e, self.position_scale, &frames);
        self.dropout.forward(frames + codes.unsqueeze())
    }

    /// query `[N, Q, T, E]`, support `[N, W, K, T, E]` → `[N, Q, W]`; `joined` attends to all shots at once, otherwise
    /// one distance to each shot and their mean.
    fn distances(&self, query: Tensor<4>, support: Tensor<5>, joined: bool) -> Tensor<3> {
        let [n, q, tq, e] = query.dims();
        let [_, w, k, ts, _] = support.dims();
        let query = self.placed(query.reshape([n * q, tq, e]));
        let support = self.placed(support.reshape([n * w * k, ts, e]));
        let [query_values, support_values] =
            [&query, &support].map(|frames| of_tuples(&self.v_linear, self.cardinality, frames.clone()));
        let ([_, pq, d], [_, ps, _]) = (query_values.dims(), support_values.dims());
        let (groups, length) = if joined { (w, k * ps) } else { (w * k, ps) };
        let attention = self.attention(query, support, [n, groups, q * pq, length]);
        let prototypes = attention.matmul(support_values.reshape([n, groups, length, d]));
        let difference = query_values.reshape([n, 1, q * pq, d]) - prototypes;
        let squares = (difference.clone() * difference).sum_dim(3);
        let distances = squares.reshape([n, groups, q, pq]).sum_dim(3) / pq as f64;
        let shots = groups / w;
        let distances: Tensor<3> = distances.reshape([n, w, shots, q]).mean_dim(2).squeeze_dim(2);
        distances.swap_dims(1, 2)
    }

    /// Attention of each query tuple to the support tuples of each group: frames of N episodes → `[N, groups, rows,
    /// length]`; each row sums to 1.
    fn attention(&self, query: Tensor<3>, support: Tensor<3>, [n, groups, rows, length]: [usize; 4]) -> Tensor<4> {
        let keys = |frames: Tensor<3>| self.norm_k.forward(of_tuples(&self.k_linear, self.cardinality, frames));
        let (query, support) = (keys(query), keys(support));
        let d = query.dims()[2];
        let (query, support) = (query.reshape([n, rows, d]), support.reshape([n, groups * length, d]));
        let scores = query.matmul(support.swap_dims(1, 2)) * (d as f64).powf(-0.5);
        softmax(scores.reshape([n, rows, groups, length]), 3).swap_dims(1, 2)
    }

    /// The attention between tuples, brought to frames: query `[P, 1, Tq, E]`, support `[P, 1, K, Ts, E]` → `[P, Tq, K
    /// Ts]`, which sums to 1 for each pair. The attention of a query tuple to a support tuple goes in equal parts to
    /// their first frames, their second frames and so on. It is averaged over query tuples, and over shots where each
    /// is attended to alone.
    fn attended_frames(&self, query: Tensor<4>, support: Tensor<5>, joined: bool) -> Tensor<3> {
        let [pairs, _, tq, e] = query.dims();
        let [_, _, k, ts, _] = support.dims();
        let device = query.device();
        let query = self.placed(query.reshape([pairs, tq, e]));
        let support = self.placed(support.reshape([pairs * k, ts, e]));
        let [pq, ps] = [tq, ts].map(|t| combinations(t, self.cardinality).len());
        let (groups, length) = if joined { (1, k * ps) } else { (k, ps) };
        // Either way the columns are all tuples of one shot after the other.
        let attention = self.attention(query, support, [pairs, groups, pq, length]).swap_dims(1, 2);
        let attention = attention.reshape([pairs, pq, k, ps]).swap_dims(1, 2).reshape([pairs * k, pq, ps]);
        let place = |t: usize, place: usize| {
            let tuples = combinations(t, self.cardinality);
            let ones: Vec<f32> = tuples.iter().flat_map(|tuple| (0..t).map(|i| f32::from(tuple[place] == i))).collect();
            Tensor::<3>::from_data(TensorData::new(ones, [1, tuples.len(), t]), &device)
        };
        let places = (0..self.cardinality)
            .map(|m| place(tq, m).swap_dims(1, 2).matmul(attention.clone()).matmul(place(ts, m)))
            .reduce(|a, b| a + b);
        let frames = places.expect("a cardinality is at least 1") / (pq * groups * self.cardinality) as f64;
        frames.reshape([pairs, k, tq, ts]).swap_dims(1, 2).reshape([pairs, tq, k * ts])
    }

    /// What [`TrxHead::distances`] costs.
    fn cost(&self, [n, q, tq, _]: [usize; 4], [_, w, k, ts, _]: [usize; 5], joined: bool) -> Cost {
        let [pq, ps] = [tq, ts].map(|t| count(t, self.cardinality).round() as usize);
        let (groups, length) = if joined { (w, k * ps) } else { (w * k, ps) };
        let [_, d] = self.k_linear.weight.lazy_shape().dims();
        // Each frame's product with all parts of W together is as large as that of one tuple with W.
        let (frames, tuples) = (n * (q * tq + w * k * ts), n * (q * pq + w * k * ps));
        let products = linear_cost(&self.k_linear, frames) + linear_cost(&self.v_linear, frames);
        let sums = |clips: usize, tuples: usize, t: usize| Cost::product(clips * tuples, t * self.cardinality, d) * 2.0;
        let projected = products + sums(n * q, pq, tq) + sums(n * w * k, ps, ts) + Cost::norm(tuples * d);
        let compared = Cost::attention(n * groups, [q * pq, length], d);
        projected + compared + Cost::elementwise(n * groups * q * pq * d, 2.0)
    }
}

/// W x + b for all ordered tuples x of frames, in lexicographic order: `[B, T, E]` → `[B, P, d]`, for
/// tuples of `c` frames. A tuple's product is
/// the sum of its frames' products with their parts of W. So each frame has one product for each place in a tuple,
/// however many tuples it is in.
pub(super) fn of_tuples(layer: &Linear, c: usize, frames: Tensor<3>) -> Tensor<3> {
    let [b, t, e] = frames.dims();
    let [_, d] = layer.weight.lazy_shape().dims();
    let device = plain_device(&frames);
    let parts = layer.weight.val().reshape([c, e, d]).swap_dims(0, 1).reshape([e, c * d]);
    let products = operations::linear(frames, parts, None, None).reshape([b, t * c, d]);
    let tuples = combinations(t, c);
    let mut ones = vec![0.0f32; tuples.len() * t * c];
    for (row, tuple) in tuples.iter().enumerate() {
        tuple.iter().enumerate().for_each(|(place, frame)| ones[(row * t + frame) * c + place] = 1.0);
    }
    let sums = Tensor::<3>::from_data(TensorData::new(ones, [1, tuples.len(), t * c]), &device);
    let sums = sums.expand([b, tuples.len(), t * c]).matmul(products);
    match &layer.bias {
        Some(bias) => sums + bias.val().unsqueeze(),
        None => sums,
    }
}

/// The largest number of tuples of one clip that is accepted.
const MAX_TUPLES: f64 = 10_000.0;

/// What is wrong with tuples of `size` out of `of` frames, in words.
pub(super) fn too_many(of: usize, size: usize) -> Option<String> {
    if size > of {
        return Some(format!("is {size}, and a clip has {of} frames"));
    }
    let many = count(of, size) > MAX_TUPLES;
    many.then(|| format!("is {size}: tuples out of {of} frames are more than {MAX_TUPLES}"))
}

/// Number of choices of `size` out of `of`.
pub(super) fn count(of: usize, size: usize) -> f64 {
    (0..size).map(|i| (of - i) as f64 / (i + 1) as f64).product()
}

/// Ordered choices of `size` out of `0..count`, in lexicographic order.
fn combinations(count: usize, size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    (0..count)
        .flat_map(|first| {
            combinations(count - first - 1, size - 1)
                .into_iter()
                .map(move |rest| std::iter::once(first).chain(rest.into_iter().map(|i| i + first + 1)).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, alignment::Traits};
    use burn::tensor::Device;
    use maclip_framework::random::Stream;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::alignment::holds::<TrxConfig>(Traits {
            options: "width: 8",
            norm_blind: false,
            long: &["cardinalities: [2]"],
            ..Traits::default()
        });
    }

    #[test]
    fn the_cost_is_the_hand_computed_one() {
        // Two episodes of three queries and three classes of two shots, T = 4, E = 6. Cardinalities 2 and 3 have 6 and
        // 4 tuples, 8 wide; keys and values of the frames of 6 queries and 12 supports, their sums for each tuple, then
        // scores and mixtures of 2 · 3 groups, all shots together.
        let want = [(2.0, 6.0), (3.0, 4.0)].map(|(c, tuples)| {
            let frames = 2.0 * 2.0 * (18.0 * 4.0) * (c * 6.0) * 8.0;
            let sums = 2.0 * 2.0 * (18.0 * tuples) * (c * 4.0) * 8.0;
            frames + sums + 2.0 * 2.0 * 6.0 * (3.0 * tuples) * (2.0 * tuples) * 8.0
        });
        assert_eq!(conformance::alignment::flops::<TrxConfig>("width: 8"), Some(want.iter().sum()));
    }

    #[test]
    fn tuples_are_ordered_and_as_many_as_the_paper_says() {
        assert_eq!(combinations(4, 2), [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]);
        assert_eq!((combinations(8, 2).len(), combinations(8, 3).len()), (28, 56));
        assert_eq!((count(8, 3), count(4, 1)), (56.0, 4.0));
    }

    #[test]
    fn attention_to_frames_sums_to_one_and_keeps_the_order_of_tuples() {
        let device = Device::flex();
        let mut rng = Stream::new(1, "trx").at(0);
        let mut clips = |k: usize| -> Tensor<4> {
            let values: Vec<f32> = (0..k * 3 * 4).map(|_| rng.normal() as f32).collect();
            Tensor::from_data(TensorData::new(values, [1, k, 3, 4]), &device)
        };
        let (query, support) = (clips(1), clips(2));
        for (cardinality, joined) in [(1, true), (2, true), (2, false)] {
            let config = TrxConfig { width: 8, ..TrxConfig::default() };
            let head = TrxHead::new(cardinality, 4, &config, &mut Init::new(Stream::new(2, "trx"), device.clone()));
            let frames = head.attended_frames(query.clone(), support.clone().unsqueeze_dim(1), joined);
            assert_eq!(frames.dims(), [1, 3, 6]);
            let values: Vec<f32> = frames.into_data().try_to_vec().unwrap();
            // Every frame is in as many tuples as any other.
            for row in values.chunks(6) {
                assert!((row.iter().sum::<f32>() - 1.0 / 3.0).abs() < 1e-6, "{cardinality} {joined}: {values:?}");
            }
            // A first frame is never the second of a pair, nor the last the first.
            let crossed = [values[2], values[5], values[12], values[15]];
            assert_eq!(crossed == [0.0; 4], cardinality == 2, "{values:?}");
            // Attended to alone, each of two shots has half.
            let first: f32 = values.chunks(6).map(|row| row[..3].iter().sum::<f32>()).sum();
            assert_eq!((first - 0.5).abs() < 1e-6, !joined, "{first}");
        }
    }
}
