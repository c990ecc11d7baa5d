//! FLOPs and memory of a few-shot recipe, from the model built for its sizes. What is added up follows what the evaluator and the
//! learner do: see [`maclip_framework::engine::evaluation`] and `learner`.

use super::FewShot;
use super::learner::EpisodeLearner;
use burn::tensor::{Device, Tensor};
use maclip_framework::engine::episodes::Shape;
use maclip_framework::engine::evaluation::{CLIPS_PER_BATCH, encodes_every_episode, episodes_per_batch};
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters::{self, Bytes};
use maclip_framework::model::plan::{Flops, Memory, MemoryPart, Total};
use maclip_framework::recipe::Recipe;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Branch, Depth};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::optimizer::Optimizer;

/// Bytes of a value.
const F32: f64 = 4.0;

/// Costs of the steps of one episode, by the names that they have in the graph. `None` where a component does not say.
pub struct EpisodeCosts {
    /// S = way · shot and Q.
    pub supports: usize,
    pub queries: usize,
    /// The frozen prefix of one clip.
    pub prefix: Option<Cost>,
    /// The encoding of all support clips and of all queries, above the prefix.
    pub support: Option<Cost>,
    pub query: Option<Cost>,
    /// The prototype module's two branches.
    pub prototypes: Option<Cost>,
    pub query_prototypes: Option<Cost>,
    pub related: Option<Cost>,
    pub distances: Option<Cost>,
    /// Cosines with class texts, of the queries and of the supports.
    pub query_text: Cost,
    pub support_text: Cost,
}

impl EpisodeCosts {
    pub fn new(model: &FewShotModel, frames: usize, shape: Shape) -> Self {
        let Shape { way, shot, queries } = shape;
        let (supports, queries) = (way * shot, way * queries);
        let (backbone, adapter) = (&model.backbone, &*model.adapter);
        let (t, e) = (frames, backbone.geometry().embed_dim);
        let text = |clips: usize| Tensor::<2>::zeros([clips, e], &Device::flex());
        let (support, query) = if adapter.scope() == Scope::Episode {
            // All clips go through together; each half has its share.
            let all = supports + queries;
            let cost = backbone.encode_cost([all, t], adapter, &Branch::Episode { text: &text(supports) });
            let share = |clips: usize| cost.map(|cost| cost * (clips as f64 / all as f64));
            (share(supports), share(queries))
        } else {
            let text = text(supports);
            (
                backbone.encode_cost([supports, t], adapter, &Branch::Support { text: &text }),
                backbone.encode_cost([queries, t], adapter, &Branch::Query),
            )
        };
        let (related, distances) = model.align_cost([1, queries, t, e], [1, way, shot, t, e]);
        let cosines = |clips: usize| match model.objective.needs_text() {
            true => Cost::product(clips, e, way),
            false => Cost::NONE,
        };
        Self {
            supports,
            queries,
            prefix: backbone.prefix_cost([1, t], adapter),
            support,
            query,
            prototypes: model.prototype.support_cost([supports, t, e]),
            query_prototypes: model.prototype.query_cost([queries, t, e]),
            related,
            distances,
            query_text: cosines(queries),
            support_text: cosines(supports),
        }
    }

    fn clips(&self) -> f64 {
        (self.supports + self.queries) as f64
    }

    /// The prefix of `clips` clips.
    pub fn prefixes(&self, clips: usize) -> Option<Cost> {
        self.prefix.map(|prefix| prefix * clips as f64)
    }
}

impl FewShot {
    /// FLOPs of a clip, of an episode beyond its clips, and of a training step.
    pub(super) fn flops(
        &self,
        recipe: &Recipe,
        model: &FewShotModel,
        sampler: &dyn FrameSampler,
        trained: bool,
    ) -> Result<Flops> {
        let frames = sampler.count();
        let test = EpisodeCosts::new(model, frames, self.shape(Split::Test));
        let part = |cost: Option<Cost>, clips: usize| cost.map(|cost| cost * (1.0 / clips as f64));
        let (s, q) = (test.supports, test.queries);
        let aligned =
            [("related", test.related), ("distances", test.distances), ("probabilities", Some(test.query_text))];
        let mut totals = Vec::new();
        if !encodes_every_episode(model, sampler) {
            let clip =
                [("frozen", test.prefix), ("query", part(test.query, q)), ("queries", part(test.query_prototypes, q))];
            totals.push(Total::new("query_clip", &clip, "once for every distinct clip"));
            let clip =
                [("frozen", test.prefix), ("support", part(test.support, s)), ("prototypes", part(test.prototypes, s))];
            let shared = match model.adapter.scope() {
                Scope::LabelledClip => "once for every distinct clip, whose frozen part is the query's",
                _ => "once for every distinct clip, whose encoding is the query's",
            };
            totals.push(Total::new("support_clip", &clip, shared));
            totals.push(Total::new("episode", &aligned, "beyond its clips, whose features are gathered"));
        } else {
            totals.push(Total::new("clip", &[("frozen", test.prefix)], "frozen part"));
            let mut all = vec![
                ("support", test.support),
                ("query", test.query),
                ("prototypes", test.prototypes),
                ("queries", test.query_prototypes),
            ];
            all.extend(aligned);
            all.push(("probabilities", Some(test.support_text)));
            totals.push(Total::new("episode", &all, "with the encoding of its clips, anew in every episode"));
        }
        if trained {
            totals.push(self.training_flops(recipe, model, frames)?);
        }
        Ok(Flops::new(totals))
    }

    fn training_flops(&self, recipe: &Recipe, model: &FewShotModel, frames: usize) -> Result<Total> {
        let train = EpisodeCosts::new(model, frames, self.shape(Split::Train));
        let context = BuildContext::new(recipe.seed, Device::flex());
        let depth = Depth::of(&*model.adapter, model.backbone.geometry().blocks);
        let fixed =
            recipe.build::<dyn FrameSampler>(&context)?.fixed() && recipe.build::<dyn Augment>(&context)?.identity();
        let kept = depth.pays() && recipe.compute.feature_cache && fixed;
        let episodes = self.episodes_per_step as f64;
        let clips = train.clips() as usize;
        let again = recipe.compute.micro_batch.is_some_and(|size| size < clips) && depth != Depth::Features;
        let encoded = episodes * if again { 4.0 } else { 3.0 };
        let times = |cost: Option<Cost>, times: f64| cost.map(|cost| cost * times);
        let mut parts = vec![
            ("frozen", if kept { Some(Cost::NONE) } else { times(train.prefixes(clips), episodes) }),
            ("support", times(train.support, encoded)),
            ("query", times(train.query, encoded)),
            ("prototypes", times(train.prototypes, 3.0 * episodes)),
            ("queries", times(train.query_prototypes, 3.0 * episodes)),
            ("related", times(train.related, 3.0 * episodes)),
            ("distances", times(train.distances, 3.0 * episodes)),
            ("probabilities", Some((train.query_text + train.support_text) * (3.0 * episodes))),
        ];
        if model.objective.all_classes() {
            parts.push(("cosines with all training classes", None));
        }
        let mut about = "3 × forward, an upper bound where frozen weights stand among trained ones".to_owned();
        about += match (kept, depth) {
            (_, Depth::Pixels) => "",
            (true, _) => "; the frozen part comes from the disk",
            (false, _) => "; the frozen part forward only",
        };
        if again {
            about += "; clips are encoded once more, as micro_batch is less than an episode";
        }
        Ok(Total::new("training_step", &parts, about))
    }

    /// The most memory that training and evaluation hold: a model of what the engine does, with constants that were
    /// fitted to measured peaks; see docs/performance.md.
    pub(super) fn memory(&self, recipe: &Recipe, model: &FewShotModel, sampler: &dyn FrameSampler) -> Result<Memory> {
        let frames = sampler.count();
        let context = BuildContext::new(recipe.seed, Device::flex());
        let Bytes { frozen, trainable } = parameters::bytes(model, recipe.precision);
        let threads = rayon::current_num_threads();
        let mut parts = vec![part("program", PROGRAM, "program, data set and allocator")];
        parts.push(part("frozen_weights", frozen, format!("{:?}", recipe.precision).to_lowercase()));
        parts.push(part("trainable_weights", trainable, "f32"));
        let mut without: Vec<&'static str> = Vec::new();
        let training = if trainable > 0.0 {
            let train = EpisodeCosts::new(model, frames, self.shape(Split::Train));
            let clips = train.clips();
            let at_once = recipe.compute.episodes_at_once.unwrap_or(usize::MAX);
            let running = self.episodes_per_step.min(at_once).min(threads);
            let held = EpisodeLearner::held(recipe, model, clips as usize);
            // Each part of a running episode has gradients, and each episode that is done has their sum.
            let done = self.episodes_per_step.min(at_once) - running + 1;
            let gradients = trainable * (held.parts * running + done) as f64;
            parts.push(part(
                "gradients",
                gradients,
                format!("of {} parts each of {running} episodes, and their sums", held.parts),
            ));
            let optimizer = recipe.build::<dyn Optimizer>(&context)?.state_values();
            without.extend(optimizer.is_none().then_some("optimizer"));
            let state = trainable * optimizer.unwrap_or_default() as f64;
            parts.push(part("optimizer", state, "moments"));
            let compute = &recipe.compute;
            let steps = 1 + if compute.workers > 0 { compute.prefetch } else { 0 };
            let prefix = (prefix_values(model) * frames) as f64 * F32;
            let inputs = prefix * clips * (self.episodes_per_step * steps) as f64;
            parts.push(part("inputs", inputs, format!("clips of {steps} steps, before the trained part")));
            let (encoded, encoded_without) = added([("support", train.support), ("query", train.query)]);
            let (after, after_without) = added([
                ("prototypes", train.prototypes),
                ("queries", train.query_prototypes),
                ("related", train.related),
                ("distances", train.distances),
            ]);
            without.extend(encoded_without.into_iter().chain(after_without));
            let kept = if compute.activation_checkpointing { KEPT_CHECKPOINTED } else { KEPT };
            let values = encoded.values * held.share + after.values;
            let values = (kept * values + BACKWARD * encoded.largest.max(after.largest)) * running as f64;
            let activations = values * F32;
            parts.push(part("activations", activations, format!("of {running} episodes at once")));
            let all: f64 = parts.iter().map(|part| part.bytes).sum();
            // The gradients come while the activations go.
            Some(all - gradients.min(activations))
        } else {
            None
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
        let (s, q, e) = (test.way * test.shot, test.way * test.queries, geometry.embed_dim);
        let (related, distances) = model.align_cost([n, q, t, e], [n, test.way, test.shot, t, e]);
        let aligned = related.unwrap_or_default() + distances.unwrap_or_default();
        let gathered = (n * (s + q) * t * e) as f64;
        let encode = (pass + 1.25 * pixels) * F32;
        let align = (aligned.largest * FORWARD + gathered) * F32;
        let working = threads as f64 * if one_by_one { encode + align } else { encode.max(align) };
        parts.push(part("working_set", working, format!("clips or episodes of {threads} threads at a time")));
        // Weights are in memory twice while they are read, and while the key of the kept features is made.
        let evaluation = PROGRAM + 2.0 * frozen + trainable + working;
        without.sort_unstable();
        without.dedup();
        Ok(Memory {
            about: format!(
                "An estimate for {threads} threads on `flex`. Gradients come as activations go, so the larger of both counts; a test keeps {} \
                 bytes for every distinct clip besides",
                2 * t * e * 4
            ),
            parts,
            training_bytes: training,
            evaluation_bytes: evaluation,
            without,
        })
    }
}

fn part(of: &'static str, bytes: f64, about: impl Into<String>) -> MemoryPart {
    MemoryPart { of, bytes, about: about.into() }
}

/// The sum of the costs that are known, and the names of the others.
fn added<const N: usize>(costs: [(&'static str, Option<Cost>); N]) -> (Cost, Vec<&'static str>) {
    let known = costs.iter().filter_map(|(_, cost)| *cost).sum();
    (known, costs.iter().filter(|(_, cost)| cost.is_none()).map(|(id, _)| *id).collect())
}

/// Values of one frame where the trained part begins.
pub fn prefix_values(model: &FewShotModel) -> usize {
    let geometry = model.backbone.geometry();
    match Depth::of(&*model.adapter, geometry.blocks) {
        Depth::Pixels => 3 * geometry.image_size * geometry.image_size,
        Depth::Block(_) => geometry.tokens * geometry.width,
        Depth::Head => geometry.width,
        Depth::Features => geometry.embed_dim,
    }
}

/// Bytes of the process before it has a model.
const PROGRAM: f64 = 90e6;
/// Part of the values of [`Cost::values`] that are held at the end of a forward pass.
const KEPT: f64 = 0.8;
/// The same with `compute.activation_checkpointing`.
const KEPT_CHECKPOINTED: f64 = 0.65;
/// Tensors of the size of the largest step that a backward pass adds.
const BACKWARD: f64 = 2.0;
/// The same of a pass without a graph.
const FORWARD: f64 = 2.0;
