//! The way of an episode's clips through the tower, and the way of the gradients back.
//!
//! The clips go in parts, each with a graph of its own or with none: the loss is taken on features without their
//! history, and its gradient for the features then goes back through each part (as in GradCache, Gao et al. 2021). What
//! a part keeps for this is a choice, [`Recompute`]; what is not kept is computed again.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::gradients::sum_gradients;
use maclip_framework::profile::{self, Phase};
use maclip_framework::recipe::compute::Recompute;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::draws::Draws;
use maclip_framework::slots::module::{GraphStrategy, on_graph};
use rayon::prelude::*;
use std::ops::Range;

/// Clips that go through the tower together.
pub struct Part {
    /// Frozen prefixes, `[B, T, F]`.
    pub prefix: Tensor<3>,
    pub branch: PartBranch,
    /// Which clips of the episode they are, counted from the first support clip.
    pub clips: Range<usize>,
}

/// The branch of a part's clips, with texts `[S, E]`.
pub enum PartBranch {
    Support(Tensor<2>),
    Query,
    /// All clips of the episode, supports first.
    Episode(Tensor<2>),
}

impl PartBranch {
    fn as_branch(&self) -> Branch<'_> {
        match self {
            PartBranch::Support(text) => Branch::Support { text },
            PartBranch::Query => Branch::Query,
            PartBranch::Episode(text) => Branch::Episode { text },
        }
    }
}

/// What a part keeps between its way forward and its way back.
enum Kept {
    /// A copy of the model with leaves of its own, and the features with their graph.
    Graph(Box<(FewShotModel, Tensor<3>)>),
    /// The input of each step of the tower, without a graph.
    Inputs(Vec<Tensor<3>>),
    /// Nothing.
    Nothing,
}

/// How the parts of an episode go through the tower.
#[derive(Clone, Copy, Debug)]
pub struct Passes<'a> {
    /// What each part keeps; not [`Recompute::Auto`].
    pub recompute: Recompute,
    /// Whether parts go side by side, or one after the other.
    pub side_by_side: bool,
    /// Which activations a graph keeps.
    pub graph_strategy: GraphStrategy,
    pub device: &'a Device,
    /// What dropout draws of the episode.
    pub draws: &'a Draws,
}

/// The parts of an episode whose features are known.
pub struct Forward {
    parts: Vec<(Part, Kept)>,
    /// Features of all clips, `[B, T, E]`, in the order of the parts, without a graph.
    pub frames: Tensor<3>,
}

impl Passes<'_> {
    /// The features of all parts.
    pub fn forward(self, model: &FewShotModel, parts: Vec<Part>) -> Forward {
        let one = |part: Part| {
            let (frames, kept) = self.draws.of_clips(part.clips.clone()).during(|| self.part_forward(model, &part));
            (frames, (part, kept))
        };
        let found: Vec<_> = match self.side_by_side {
            true => parts.into_par_iter().map(one).collect(),
            false => parts.into_iter().map(one).collect(),
        };
        let (frames, parts): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        Forward { parts, frames: Tensor::cat(frames, 0) }
    }

    fn part_forward(self, model: &FewShotModel, part: &Part) -> (Tensor<3>, Kept) {
        let (branch, prefix) = (part.branch.as_branch(), part.prefix.clone());
        match self.recompute {
            Recompute::None | Recompute::Auto => {
                let replica = self.replica(model);
                let frames = replica.encode(prefix, &branch);
                let plain = if frames.is_autodiff() { frames.clone().inner() } else { frames.clone() };
                (plain, Kept::Graph(Box::new((replica, frames))))
            }
            Recompute::Block => {
                let (model, mut inputs) = (model.valid(), Vec::new());
                let steps = model.backbone.encode_steps(&*model.adapter).len();
                let frames = (0..steps).fold(prefix, |x, step| {
                    inputs.push(x.clone());
                    model.encode_step(step, x, &branch)
                });
                (frames, Kept::Inputs(inputs))
            }
            Recompute::Tower => (model.valid().encode(prefix, &branch), Kept::Nothing),
        }
    }

    /// The gradients of the trainable tensors, from that of the features `[B, T, E]`, added in the order of the parts.
    pub fn backward(self, model: &FewShotModel, forward: Forward, gradient: Tensor<3>) -> Option<GradientsParams> {
        let mut first = 0;
        let parts: Vec<_> = forward
            .parts
            .into_iter()
            .map(|(part, kept)| {
                let clips = part.prefix.dims()[0];
                first += clips;
                (part, kept, gradient.clone().narrow(0, first - clips, clips))
            })
            .collect();
        // What is computed again must drop the same values.
        let one = |(part, kept, gradient): (Part, Kept, Tensor<3>)| {
            self.draws.of_clips(part.clips.clone()).during(|| self.part_backward(model, &part, kept, gradient))
        };
        if self.side_by_side {
            let found: Vec<GradientsParams> = parts.into_par_iter().filter_map(one).collect();
            return (!found.is_empty()).then(|| sum_gradients(model, found, 1.0));
        }
        // One after the other: no more than one sum and one part are in memory.
        parts.into_iter().filter_map(one).reduce(|sum, part| sum_gradients(model, vec![sum, part], 1.0))
    }

    fn part_backward(
        self,
        model: &FewShotModel,
        part: &Part,
        kept: Kept,
        gradient: Tensor<3>,
    ) -> Option<GradientsParams> {
        let branch = part.branch.as_branch();
        match kept {
            Kept::Graph(graph) => {
                let (replica, frames) = *graph;
                self.chained(&replica, frames, gradient)
            }
            Kept::Nothing => {
                let replica = self.replica(model);
                let frames = replica.encode(part.prefix.clone(), &branch);
                self.chained(&replica, frames, gradient)
            }
            Kept::Inputs(inputs) => {
                let (replica, mut gradient, mut found) = (self.replica(model), Some(gradient), Vec::new());
                for (step, input) in inputs.into_iter().enumerate().rev() {
                    // Nothing trainable is below the first step.
                    let input = if step == 0 { input } else { on_graph(input, self.graph_strategy).require_grad() };
                    let y = replica.encode_step(step, input.clone(), &branch);
                    let Some(g) = gradient.take().filter(|_| y.is_tracked()) else { break };
                    let _span = profile::span(Phase::Backward);
                    let gradients = (y * on_graph(g, self.graph_strategy)).sum().backward();
                    gradient = if step == 0 { None } else { input.grad(&gradients) };
                    found.push(GradientsParams::from_grads(gradients, &replica));
                }
                (!found.is_empty()).then(|| sum_gradients(model, found, 1.0))
            }
        }
    }

    /// Takes the loss's gradient for `frames` back through their graph; `None` where nothing trainable made them, as an
    /// adapter of text alone leaves the query branch.
    fn chained(self, model: &FewShotModel, frames: Tensor<3>, gradient: Tensor<3>) -> Option<GradientsParams> {
        let _span = profile::span(Phase::Backward);
        // d(Σ e · g) = g: the chain rule through a constant.
        frames.is_tracked().then(|| {
            GradientsParams::from_grads((frames * on_graph(gradient, self.graph_strategy)).sum().backward(), model)
        })
    }

    /// A copy of the model with leaves of its own, so that parts can run side by side.
    fn replica(self, model: &FewShotModel) -> FewShotModel {
        model.clone().fork(self.device)
    }
}
