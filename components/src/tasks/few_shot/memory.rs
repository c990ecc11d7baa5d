//! How much memory training and evaluation need, and what a training step keeps so that it fits.
//!
//! The estimate follows what the engine does: the tensors that each operation keeps for its gradient come from the
//! components' costs. docs/performance.md has estimates beside measured peaks.

use super::FewShot;
use super::costs::{EpisodeCosts, prefix_values};
use super::learner::{part_size, with_micro_batch};
use burn::tensor::Device;
use maclip_framework::engine::episodes::Shape;
use maclip_framework::engine::evaluation::{CLIPS_PER_BATCH, encodes_every_episode, episodes_per_batch};
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters::{self, Bytes};
use maclip_framework::model::plan::{Fit, Memory, MemoryPart};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::compute::Recompute;
use maclip_framework::recipe::device;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::optimizer::Optimizer;

/// Bytes of a value.
const F32: f64 = 4.0;

/// How the clips of a training episode go through the tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// What is kept of it; not [`Recompute::Auto`].
    pub recompute: Recompute,
    /// See `compute.micro_batch`.
    pub micro_batch: Option<usize>,
}

impl Way {
    /// As in the recipe's `compute:`.
    pub fn words(self) -> String {
        let recompute = format!("{:?}", self.recompute).to_lowercase();
        match self.micro_batch {
            Some(size) => format!("recompute: {recompute}, micro_batch: {size}"),
            None => format!("recompute: {recompute}"),
        }
    }
}

/// What a training step needs.
struct Step {
    parts: Vec<MemoryPart>,
    /// In all, with the program and the weights.
    bytes: f64,
    /// Steps that are in no estimate.
    without: Vec<&'static str>,
}

impl FewShot {
    /// The way that `recipe` asks for; with `auto` the first one that fits `bytes`, or the one that needs least.
    pub fn way(&self, recipe: &Recipe, model: &FewShotModel, frames: usize, bytes: Option<f64>) -> Result<Way> {
        let Shape { way, shot, queries } = self.shape(Split::Train);
        let (clips, compute) = (way * (shot + queries), &recipe.compute);
        if compute.recompute != Recompute::Auto {
            let recompute = with_micro_batch(compute.recompute, compute.micro_batch, clips);
            return Ok(Way { recompute, micro_batch: compute.micro_batch });
        }
        let whole = |recompute| Way { recompute, micro_batch: compute.micro_batch };
        let mut ways = match compute.micro_batch {
            Some(size) if size < clips => vec![whole(Recompute::Tower)],
            _ => vec![whole(Recompute::None), whole(Recompute::Block), whole(Recompute::Tower)],
        };
        if model.adapter.scope() == Scope::Episode {
            // Its clips cannot be encoded in parts.
            ways.truncate(2);
        } else if compute.micro_batch.is_none() {
            let sizes = std::iter::successors(Some(clips.div_ceil(8)), |size| (*size > 1).then(|| size.div_ceil(2)));
            ways.extend(sizes.map(|size| Way { recompute: Recompute::Tower, micro_batch: Some(size) }));
        }
        let Some(bytes) = bytes else { return Ok(ways[0]) };
        let mut least = (f64::INFINITY, ways[0]);
        for way in ways {
            let needed = self.step(recipe, model, frames, way)?.bytes;
            if needed <= bytes {
                return Ok(way);
            }
            if needed < least.0 {
                least = (needed, way);
            }
        }
        Ok(least.1)
    }

    /// The way for this machine now.
    pub fn way_here(&self, recipe: &Recipe, model: &FewShotModel, frames: usize) -> Result<Way> {
        self.way(recipe, model, frames, recipe.devices.free_memory().map(|free| free * SHARE))
    }

    /// The memory of a training step that goes this way.
    fn step(&self, recipe: &Recipe, model: &FewShotModel, frames: usize, way: Way) -> Result<Step> {
        let context = recipe.context(&Device::flex());
        let Bytes { frozen, trainable } = parameters::bytes(model, recipe.precision);
        let (compute, threads) = (&recipe.compute, rayon::current_num_threads());
        let (mut parts, mut without) = (weights(frozen, trainable, recipe), Vec::new());
        let train = EpisodeCosts::new(model, frames, self.shape(Split::Train));
        let clips = train.clips();
        // Of one device; the first one also gathers the gradients of the others.
        let devices = recipe.devices.count();
        let episodes = self.episodes_per_step.div_ceil(devices);
        let at_once = compute.episodes_at_once.unwrap_or(usize::MAX).min(episodes);
        let running = at_once.min(threads);
        let whole = model.adapter.scope() == Scope::Episode;
        let shards = compute.shards_on(recipe.devices.first());
        let size = if whole { clips as usize } else { part_size(way.micro_batch, shards, clips as usize) };
        let side_by_side = way.micro_batch.is_none_or(|size| size >= clips as usize);
        // Parts of each branch, and how many of them are under way in a running episode.
        let count = if whole { 1 } else { train.supports.div_ceil(size) + train.queries.div_ceil(size) };
        let moving = if side_by_side { (count * running).min(threads) as f64 / running as f64 } else { 1.0 };
        let share = moving * size as f64 / clips;

        // Each part of a running episode has gradients of its own, and each episode that is done has their sum.
        let sums = if side_by_side { count } else { 2 };
        let gradients = trainable * (sums * running + 1 + at_once * devices - running) as f64;
        parts.push(part(
            "gradients",
            gradients,
            format!("of {sums} parts of each of {running} episodes, and their sums"),
        ));
        let optimizer = recipe.build::<dyn Optimizer>(&context)?.state_values();
        without.extend(optimizer.is_none().then_some("optimizer"));
        parts.push(part("optimizer", trainable * optimizer.unwrap_or_default() as f64, "moments"));
        let steps = 1 + if compute.workers > 0 { compute.prefetch } else { 0 };
        let prefix = (prefix_values(model) * frames) as f64 * F32;
        let inputs = prefix * clips * (episodes * steps) as f64;
        parts.push(part("inputs", inputs, format!("clips of {steps} steps, before the trained part")));

        let (encoded, encoded_without) = added([("support", train.support), ("query", train.query)]);
        let (after, after_without) = added([
            ("prototypes", train.prototypes),
            ("queries", train.query_prototypes),
            ("related", train.related),
            ("distances", train.distances),
        ]);
        without.extend(encoded_without.into_iter().chain(after_without));
        let steps = model.backbone.encode_steps(&*model.adapter);
        let kept_inputs = steps.iter().skip(1).sum::<usize>() as f64 * frames as f64 * clips;
        let tower = match way.recompute {
            Recompute::None | Recompute::Auto => encoded.values,
            Recompute::Block => kept_inputs + train.largest_step * share.min(1.0),
            Recompute::Tower => encoded.values * share.min(1.0),
        };
        let working = BACKWARD * encoded.largest * share.min(1.0) + AFTER * after.largest;
        let activations = (tower + after.values + working) * running as f64 * F32;
        parts.push(part("activations", activations, format!("of {running} episodes at once, {}", way.words())));
        let bytes = parts.iter().map(|part| part.bytes).sum();
        Ok(Step { parts, bytes, without })
    }

    /// The memory of training, which goes `way`, and of evaluation, on the recipe's device, and the ways in which a
    /// step fits usual devices.
    pub(super) fn memory(
        &self,
        recipe: &Recipe,
        model: &FewShotModel,
        sampler: &dyn FrameSampler,
        way: Way,
    ) -> Result<Memory> {
        let frames = sampler.count();
        let Bytes { frozen, trainable } = parameters::bytes(model, recipe.precision);
        let threads = rayon::current_num_threads();
        let step = (trainable > 0.0).then(|| self.step(recipe, model, frames, way)).transpose()?;
        let training = step.as_ref().map(|step| step.bytes);
        let mut fits = Vec::new();
        if trainable > 0.0 {
            for gb in [12.0, 24.0, 40.0, 80.0] {
                let most = gb * 1e9 * SHARE;
                let way = self.way(recipe, model, frames, Some(most))?;
                let needed = self.step(recipe, model, frames, way)?.bytes;
                fits.push(Fit { gb, setting: (needed <= most).then(|| way.words()), bytes: needed });
            }
        }
        let (mut parts, mut without) = match step {
            Some(step) => (step.parts, step.without),
            None => (weights(frozen, trainable, recipe), Vec::new()),
        };
        let test = self.shape(Split::Test);
        let batch = CLIPS_PER_BATCH.min(test.way * (test.shot + test.queries));
        let (t, geometry) = (frames, model.backbone.geometry());
        let one_by_one = encodes_every_episode(model, sampler);
        let costs = EpisodeCosts::new(model, frames, test);
        let clips = if one_by_one { costs.clips() as usize } else { batch };
        let (_, prefix_without) = added([("frozen", costs.prefix)]);
        without.extend(prefix_without);
        // What a pass over `clips` clips holds: its largest step, and the pixels with their 8-bit form.
        let pass = model.backbone.prefix_cost([clips, t], &*model.adapter).unwrap_or_default().largest;
        let query = model.backbone.encode_cost([clips, t], &*model.adapter, &Branch::Query);
        let pass = pass.max(query.unwrap_or_default().largest) * FORWARD;
        let pixels = (clips * t * 3 * geometry.image_size.pow(2)) as f64;
        let n = if one_by_one { 1 } else { episodes_per_batch(test).min(self.test.episodes) };
        let (s, q, e) = (test.way * test.shot, test.way * test.queries, model.compared().width());
        let (related, distances) = model.align_cost([n, q, t, e], [n, test.way, test.shot, t, e]);
        let aligned = related.unwrap_or_default() + distances.unwrap_or_default();
        let gathered = (n * (s + q) * t * e) as f64;
        let encode = (pass + 1.25 * pixels) * F32;
        let align = (aligned.largest * FORWARD + gathered) * F32;
        let working = threads as f64 * if one_by_one { encode + align } else { encode.max(align) };
        parts.push(part("working_set", working, format!("clips or episodes of {threads} threads at a time")));
        // Weights are in memory twice while they are read, and while the key of the kept features is made.
        let evaluation = program(recipe.devices.first()) + 2.0 * frozen + trainable + working;
        without.sort_unstable();
        without.dedup();
        Ok(Memory {
            about: format!(
                "An estimate for {threads} threads on `{}`{}{}. A test keeps {} bytes for every distinct clip besides",
                recipe.devices,
                if recipe.devices.count() > 1 { ", for each of these devices" } else { "" },
                error(recipe.devices.first()),
                2 * t * e * 4
            ),
            parts,
            training_bytes: training,
            evaluation_bytes: evaluation,
            fits,
            without,
        })
    }
}

fn weights(frozen: f64, trainable: f64, recipe: &Recipe) -> Vec<MemoryPart> {
    vec![
        part("program", program(recipe.devices.first()), "program, libraries, data set and allocator"),
        part("frozen_weights", frozen, format!("{:?}", recipe.precision).to_lowercase()),
        part("trainable_weights", trainable, "f32"),
    ]
}

/// Bytes of the process before it has a model; on a card those of the card. Measured.
fn program(device: &str) -> f64 {
    match device {
        _ if device::nvidia_card(device).is_some() => 750e6,
        "tch:cpu" => 430e6,
        _ => 90e6,
    }
}

/// How far measured peaks were from the estimate, where that is not near.
fn error(device: &str) -> &'static str {
    if device.starts_with("tch:") { "; with LibTorch it was up to 35 % below or above what was measured" } else { "" }
}

fn part(of: &'static str, bytes: f64, about: impl Into<String>) -> MemoryPart {
    MemoryPart { of, bytes, about: about.into() }
}

/// The sum of the costs that are known, and the names of the others.
fn added<const N: usize>(costs: [(&'static str, Option<Cost>); N]) -> (Cost, Vec<&'static str>) {
    let known = costs.iter().filter_map(|(_, cost)| *cost).sum();
    (known, costs.iter().filter(|(_, cost)| cost.is_none()).map(|(id, _)| *id).collect())
}

/// Part of the free memory that a step may take, so that an estimate that is too low still fits.
const SHARE: f64 = 0.8;
/// Tensors of the size of the largest step of the tower that a backward pass adds.
const BACKWARD: f64 = 2.0;
/// The same of what comes after the tower.
const AFTER: f64 = 2.0;
/// The same of a pass without a graph.
const FORWARD: f64 = 2.0;
