//! `emp_net`: EMP-Net's reasoning over patches, frames and class tokens, with the class text in the support branch.
//!
//! Source: EMP-Net (Wu et al., ECCV 2024) and its public code (cong-wu/EMP-Net@b4dc006, `models/base/few_shot.py`). The
//! tokens after three blocks of a frozen CLIP, through its last norm and projection, go through three layers one after
//! the other:
//!
//! ```text
//! y_1 = R_1(x_1)    y_2 = R_2(y_1 + x_2)    y_3 = R_3(y_2 + x_3)
//! R: patches attend to those of their frame, class tokens to those of their clip, then x + FFN(x)
//! ```
//! Three levels come of y_3: class tokens c `[T, E]`, patches p `[T, N, E]`, and frames f = mean over p `[T, E]`. Each
//! level has a transformer layer of its own, L, which norms queries and context alike, and then a second one, F, for
//! the fusion with the text:
//!
//! ```text
//! c = L(c)    p = L([c, p]) without c    f = L(mean over p + f)
//! support: F(x + text; [x, text])    query: F(x; x)      for patches over time, each place by itself
//! ```
//! With ViT-B/16 it has 7,495,296 parameters. The values before the fusion are passed on too: texts are compared with
//! them.

use super::text_layer::AverageShots;
use super::transformer::{Layer, LayerSizes, Norm, feed};
use crate::layers::{Attention, Init, LayerNorm, feed_forward_cost};
use burn::module::Module;
use burn::nn::Linear;
use burn::tensor::Tensor;
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::draws::Dropout;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};
use serde::{Deserialize, Serialize};

/// Options of EMP-Net's reasoning.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct EmpNetConfig {
    /// After how many blocks of the tower its tokens are read, three times. 4, 8 and 12 of 12 in public code.
    after: [usize; 3],
    /// Attention heads.
    #[schemars(range(min = 1))]
    heads: usize,
    /// Width of a head as a part of E. 1/8 in public code, so that four heads have half of E.
    #[schemars(range(max = 4.0), extend("exclusiveMinimum" = 0.0))]
    head_ratio: f64,
    /// Width of the feed-forward layers as a part of E. 1/4 in public code.
    #[schemars(range(max = 16.0), extend("exclusiveMinimum" = 0.0))]
    ffn_ratio: f64,
    /// Whether several shots of a class are averaged `after` the fusion with the text (by the alignment's own rule) or
    /// `before` it. Public code's 5-shot configurations average before (`MERGE_BEFORE`).
    average_shots: AverageShots,
    /// Dropout of the attention's output. 0.2 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    dropout: f64,
    /// Dropout inside and after the feed-forward layer. 0.05 in public code.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    ffn_dropout: f64,
}

impl Default for EmpNetConfig {
    fn default() -> Self {
        Self {
            after: [4, 8, 12],
            heads: 4,
            head_ratio: 0.125,
            ffn_ratio: 0.25,
            average_shots: AverageShots::After,
            dropout: 0.2,
            ffn_dropout: 0.05,
        }
    }
}

register!(dyn Prototype, EmpNetConfig, name: "emp_net",
    summary: "reasoning over patches, frames and class tokens of three blocks, with the class text",
    paper: Some("EMP-Net, ECCV 2024"), stability: Experimental, usage: "{after: [2, 4, 6]}");

/// What the module adds to a frame.
const fn added(name: &'static str) -> Part {
    Part::Added { by: "emp_net", name }
}

/// The level of frames after the fusion, `[1, E]`.
pub const FRAME: Part = added("frame");
/// The level of patches after the fusion, as their mean, `[1, E]`.
pub const PATCH: Part = added("patch");
/// The class token before the fusion, `[1, E]`.
pub const TOKEN_ALONE: Part = added("token_alone");
/// The frame before the fusion, `[1, E]`.
pub const FRAME_ALONE: Part = added("frame_alone");
/// The patches before the fusion, `[N, E]`.
pub const PATCHES_ALONE: Part = added("patches_alone");

const ADDED: [Part; 5] = [FRAME, PATCH, TOKEN_ALONE, FRAME_ALONE, PATCHES_ALONE];

impl Component for EmpNetConfig {
    type Slot = dyn Prototype;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.after.windows(2).any(|pair| pair[0] >= pair[1]), "after", "must be ascending");
    }

    fn describe(&self, facts: &mut Facts) {
        facts.readers.push("prototype");
        self.after.iter().for_each(|blocks| facts.reads("prototype", Part::Joint(*blocks)));
        ADDED.iter().for_each(|part| facts.adds(*part));
    }

    fn build(self, context: &BuildContext) -> Result<Box<dyn Prototype>> {
        let given = context.given().clone();
        let [tokens, width] = given.shape(Part::Joint(self.after[0]))?;
        let mut init = Init::new(context.init("prototype"), context.trainable_device());
        let part = |ratio: f64| ((width as f64 * ratio) as usize).max(1);
        let sizes = LayerSizes {
            width,
            heads: self.heads,
            hidden: part(self.ffn_ratio),
            norm: Norm::Pre,
            projection_bias: false,
            dropout: [self.dropout, self.ffn_dropout],
        };
        let head = part(self.head_ratio);
        let reasoning = (0..self.after.len()).map(|_| Reasoning::new(sizes, head, &mut init)).collect();
        let mut layer = || Layer::with_head_width(sizes, head, &mut init);
        Ok(Box::new(EmpNet {
            reasoning,
            token: layer(),
            frame: layer(),
            patch: layer(),
            fuse_token: layer(),
            fuse_frame: layer(),
            fuse_patch: layer(),
            patches: tokens - 1,
            width,
            after: self.after,
            given,
            average_shots: self.average_shots,
        }))
    }
}

/// Patches among those of their frame, class tokens among those of their clip, and a feed-forward layer for both.
#[derive(Module, Debug)]
struct Reasoning {
    space_norm: LayerNorm,
    space: Attention,
    time_norm: LayerNorm,
    time: Attention,
    fc1: Linear,
    fc2: Linear,
    attention_dropout: Dropout,
    hidden_dropout: Dropout,
    out_dropout: Dropout,
}

impl Reasoning {
    fn new(sizes: LayerSizes, head: usize, init: &mut Init) -> Self {
        let LayerSizes { width, heads, hidden, dropout, .. } = sizes;
        let mut attention = || (init.layer_norm(width), Attention::of_narrow_layers(width, head, heads, init));
        let ((space_norm, space), (time_norm, time)) = (attention(), attention());
        Self {
            space_norm,
            space: space.without_projection_bias(),
            time_norm,
            time: time.without_projection_bias(),
            fc1: init.linear(width, hidden),
            fc2: init.linear(hidden, width),
            attention_dropout: Dropout::new(dropout[0], "prototype.reasoning.attention"),
            hidden_dropout: Dropout::new(dropout[1], "prototype.reasoning.hidden"),
            out_dropout: Dropout::new(dropout[1], "prototype.reasoning.out"),
        }
    }

    /// Tokens `[S, T, N + 1, E]` → the same shape.
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let [s, t, n, e] = x.dims();
        let attended = |norm: &LayerNorm, attention: &Attention, x: Tensor<3>| {
            x.clone() + self.attention_dropout.forward(attention.forward(norm.forward(x), None, None))
        };
        let class = attended(&self.time_norm, &self.time, x.clone().narrow(2, 0, 1).reshape([s, t, e]));
        let patches = attended(&self.space_norm, &self.space, x.narrow(2, 1, n - 1).reshape([s * t, n - 1, e]));
        let x = Tensor::cat(vec![class.reshape([s * t, 1, e]), patches], 1);
        feed([&self.fc1, &self.fc2], [&self.hidden_dropout, &self.out_dropout], x).reshape([s, t, n, e])
    }

    /// What [`Reasoning::forward`] costs for tokens `[S, T, N + 1, E]`.
    fn cost(&self, [s, t, n, e]: [usize; 4]) -> Cost {
        let rows = s * t * n;
        let attended = self.time.cost([s, t, e]) + self.space.cost([s * t, n - 1, e]);
        Cost::norm(rows * e) + attended + feed_forward_cost(&self.fc1, &self.fc2, rows)
    }
}

#[derive(Module, Debug)]
struct EmpNet {
    reasoning: Vec<Reasoning>,
    token: Layer,
    frame: Layer,
    patch: Layer,
    fuse_token: Layer,
    fuse_frame: Layer,
    fuse_patch: Layer,
    /// N
    patches: usize,
    /// E
    width: usize,
    #[module(skip)]
    after: [usize; 3],
    #[module(skip)]
    given: Layout,
    #[module(skip)]
    average_shots: AverageShots,
}

/// The three levels of some clips.
struct Levels {
    /// `[S, T, E]`
    token: Tensor<3>,
    /// `[S, T, E]`
    frame: Tensor<3>,
    /// `[S, T, N, E]`
    patches: Tensor<4>,
}

impl EmpNet {
    /// All values of frames `[S, T, F]` → the levels before the fusion.
    fn levels(&self, frames: Tensor<3>) -> Levels {
        let ([s, t, _], n, e) = (frames.dims(), self.patches, self.width);
        let read = |blocks: usize| self.given.part(Part::Joint(blocks), frames.clone()).reshape([s, t, n + 1, e]);
        let mut y: Option<Tensor<4>> = None;
        for (blocks, reasoning) in self.after.into_iter().zip(&self.reasoning) {
            let x = match y {
                Some(y) => y + read(blocks),
                None => read(blocks),
            };
            y = Some(reasoning.forward(x));
        }
        let y = y.expect("three blocks are read");
        let token = y.clone().narrow(2, 0, 1).reshape([s, t, e]);
        let patches = y.narrow(2, 1, n);
        let mean = |patches: &Tensor<4>| patches.clone().mean_dim(2).reshape([s, t, e]);
        let frame = mean(&patches);
        let token = alone(&self.token, token);
        let all = Tensor::cat(vec![token.clone().reshape([s * t, 1, e]), patches.reshape([s * t, n, e])], 1);
        let patches = alone(&self.patch, all).narrow(1, 1, n).reshape([s, t, n, e]);
        let frame = alone(&self.frame, mean(&patches) + frame);
        Levels { token, frame, patches }
    }

    /// The fusion of levels with the class texts `[S, E]` of support clips, or without any → `[S, T, E]` of each level:
    /// class tokens, frames, and the mean of the patches.
    fn fused(&self, levels: &Levels, text: Option<Tensor<2>>) -> [Tensor<3>; 3] {
        let [s, t, n, e] = levels.patches.dims();
        let fuse = |layer: &Layer, x: Tensor<3>, text: Option<Tensor<2>>| match text {
            None => alone(layer, x),
            Some(text) => {
                let text: Tensor<3> = text.unsqueeze_dim(1);
                layer.forward(x.clone() + text.clone(), Tensor::cat(vec![x, text], 1))
            }
        };
        let places = levels.patches.clone().swap_dims(1, 2).reshape([s * n, t, e]);
        let of_places = text.clone().map(|text| text.unsqueeze_dim::<3>(1).expand([s, n, e]).reshape([s * n, e]));
        let places = fuse(&self.fuse_patch, places, of_places).reshape([s, n, t, e]).mean_dim(1).reshape([s, t, e]);
        [
            fuse(&self.fuse_token, levels.token.clone(), text.clone()),
            fuse(&self.fuse_frame, levels.frame.clone(), text),
            places,
        ]
    }

    /// What [`EmpNet::levels`] costs for S clips of T frames.
    fn levels_cost(&self, s: usize, t: usize) -> Cost {
        let (n, e) = (self.patches, self.width);
        let reasoning: Cost = self.reasoning.iter().map(|reasoning| reasoning.cost([s, t, n + 1, e])).sum();
        reasoning
            + alone_cost(&self.token, [s, t, e])
            + alone_cost(&self.patch, [s * t, n + 1, e])
            + alone_cost(&self.frame, [s, t, e])
    }

    /// What [`EmpNet::fused`] costs for S clips of T frames. A text is one more token of the context.
    fn fused_cost(&self, s: usize, t: usize, text: bool) -> Cost {
        let (n, e, m) = (self.patches, self.width, t + usize::from(text));
        self.fuse_patch.cost([s * n, t, e], m) + self.fuse_token.cost([s, t, e], m) + self.fuse_frame.cost([s, t, e], m)
    }

    /// One row of values for each frame, as [`Prototype::layout`] says: `[S, T, F]`.
    fn packed(&self, [token, frame, patch]: [Tensor<3>; 3], levels: Levels) -> Tensor<3> {
        let Levels { token: token_alone, frame: frame_alone, patches } = levels;
        Tensor::cat(vec![token, frame, patch, token_alone, frame_alone, patches.flatten(2, 3)], 2)
    }
}

/// The layer on tokens that attend to each other.
fn alone(layer: &Layer, x: Tensor<3>) -> Tensor<3> {
    layer.forward(x.clone(), x)
}

fn alone_cost(layer: &Layer, x: [usize; 3]) -> Cost {
    layer.cost(x, x[1])
}

impl Prototype for EmpNet {
    fn scope(&self) -> Scope {
        match self.average_shots {
            AverageShots::After => Scope::LabelledClip,
            AverageShots::Before => Scope::Episode,
        }
    }

    fn needs_text(&self) -> bool {
        true
    }

    fn reads(&self) -> Vec<Part> {
        self.after.iter().map(|blocks| Part::Joint(*blocks)).collect()
    }

    fn layout(&self, _: &Layout) -> Layout {
        ADDED.iter().fold(Layout::of_feature(self.width), |layout, part| {
            let rows = if *part == PATCHES_ALONE { self.patches } else { 1 };
            layout.with(*part, [rows, self.width])
        })
    }

    fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
        let levels = self.levels(frames);
        let fused = match self.average_shots {
            AverageShots::After => self.fused(&levels, Some(text)),
            // They are fused once they are averaged; until then the places are held.
            AverageShots::Before => {
                let [s, t, _, e] = levels.patches.dims();
                [levels.token.clone(), levels.frame.clone(), levels.patches.clone().mean_dim(2).reshape([s, t, e])]
            }
        };
        self.packed(fused, levels)
    }

    fn query(&self, frames: Tensor<3>) -> Tensor<3> {
        let levels = self.levels(frames);
        self.packed(self.fused(&levels, None), levels)
    }

    fn support_cost(&self, [s, t, _]: [usize; 3]) -> Option<Cost> {
        let fused = match self.average_shots {
            AverageShots::After => self.fused_cost(s, t, true),
            AverageShots::Before => Cost::NONE,
        };
        Some(self.levels_cost(s, t) + fused)
    }

    fn query_cost(&self, [q, t, _]: [usize; 3]) -> Option<Cost> {
        Some(self.levels_cost(q, t) + self.fused_cost(q, t, false))
    }

    fn relate_cost(&self, _: [usize; 4], [n, w, k, t, f]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
        let averages = Cost::elementwise(n * w * k * t * f, 0.0);
        Some((averages + self.fused_cost(n * w, t, true), [n, 1, w, 1, t, f]))
    }

    // Only asked for with the scope of an episode: averages the shots of each class, then fuses the averages with their
    // texts.
    fn relate(&self, features: EpisodeFeatures) -> Related {
        let EpisodeFeatures { query, support, text } = features;
        let ([n, w, _, t, f], e) = (support.dims(), self.width);
        let averages = support.mean_dim(2).reshape([n * w, t, f]);
        let layout = self.layout(&self.given);
        let part = |part: Part| layout.part(part, averages.clone());
        let levels = Levels {
            token: part(TOKEN_ALONE),
            frame: part(FRAME_ALONE),
            patches: part(PATCHES_ALONE).reshape([n * w, t, self.patches, e]),
        };
        let fused = self.fused(&levels, Some(text.reshape([n * w, e])));
        Related { query, support: self.packed(fused, levels).reshape([n, 1, w, 1, t, f]) }
    }
}

#[cfg(test)]
mod tests {
    use super::EmpNetConfig;
    use crate::conformance::{self, model, prototype::Traits};
    use maclip_framework::model::parameters;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::prototype::holds::<EmpNetConfig>(Traits::default());
    }

    #[test]
    fn parameters_are_those_of_the_public_code() {
        let head =
            [("prototype", "{type: emp_net}"), ("alignment", "{type: emp_net}"), ("objective", "{type: emp_net}")];
        let trained = parameters::count(&model::sized(&head, "ViT-B/16")).trainable;
        assert_eq!(trained, 6 * 657_536 + 3 * 1_183_360);
        assert_eq!(trained, 7_495_296);
    }

    #[test]
    fn the_cost_is_the_hand_computed_one() {
        let model = model::built(&[
            ("prototype", "{type: emp_net, after: [2, 4, 6], heads: 2, head_ratio: 0.25}"),
            ("alignment", "{type: emp_net}"),
            ("objective", "{type: emp_net, patches: 4}"),
        ]);
        let geometry = model.backbone.geometry();
        let (n, e) = (geometry.tokens as f64 - 1.0, geometry.embed_dim as f64);
        // Two heads with a quarter of E each.
        let inner = e / 2.0;
        let product = |rows: f64, inner: f64, columns: f64| 2.0 * rows * inner * columns;
        let attention = |b: f64, n: f64, m: f64| {
            product(b * n, e, 2.0 * inner) + product(b * m, e, 2.0 * inner) + 2.0 * product(b * n, inner, m)
        };
        let feed = |rows: f64| 2.0 * product(rows, e, e / 4.0);
        let layer = |b: f64, n: f64, m: f64| attention(b, n, m) + feed(b * n);
        // Two clips of four frames.
        let (s, t) = (2.0, 4.0);
        let reasoning = attention(s, t, t) + attention(s * t, n, n) + feed(s * t * (n + 1.0));
        let levels = 3.0 * reasoning + 2.0 * layer(s, t, t) + layer(s * t, n + 1.0, n + 1.0);
        let fused = |m: f64| layer(s * n, t, m) + 2.0 * layer(s, t, m);
        let width = model.given().width();
        assert_eq!(model.prototype.query_cost([2, 4, width]).unwrap().flops, levels + fused(t));
        assert_eq!(model.prototype.support_cost([2, 4, width]).unwrap().flops, levels + fused(t + 1.0));
        let values = model.compared().width();
        let aligned = model.alignment.cost([1, 3, 4, values], [1, 5, 1, 4, values]).unwrap();
        assert_eq!(aligned.flops, 3.0 * (product(12.0, e, 20.0) + product(12.0, 1.0, 20.0)));
    }

    #[test]
    fn shots_that_are_averaged_before_make_one_prototype() {
        use crate::conformance::scopes;
        // Evaluation by scopes and one by one agree, both ways of averaging.
        for options in ["{type: emp_net, after: [2, 4, 6]}", "{type: emp_net, after: [2, 4, 6], average_shots: before}"]
        {
            scopes::evaluation_follows_them(&[
                ("prototype", options),
                ("alignment", "{type: emp_net}"),
                ("objective", "{type: emp_net, patches: 4}"),
            ]);
        }
    }
}
