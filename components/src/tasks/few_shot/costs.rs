//! FLOPs and memory of a few-shot recipe, from the model built for its sizes. What is added up follows what the
//! evaluator and the learner do: see [`maclip_framework::engine::evaluation`] and `learner`.

use super::FewShot;
use super::memory::Way;
use burn::tensor::{Device, Tensor};
use maclip_framework::engine::episodes::Shape;
use maclip_framework::engine::evaluation::encodes_every_episode;
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::plan::{Flops, Total};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::compute::Recompute;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Branch, Depth};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::frames::FrameSampler;

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
    /// The most values that one step of the encoding keeps for its gradient, of all clips.
    pub largest_step: f64,
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
        let steps = backbone.encode_steps(adapter).len();
        let encoded = |clips: usize, branch: &Branch| {
            let each = (0..steps).filter_map(|step| backbone.encode_step_cost(step, [clips, t], adapter, branch));
            let largest = each.map(|cost| cost.values).fold(0.0, f64::max);
            (backbone.encode_cost([clips, t], adapter, branch), largest)
        };
        let text = Tensor::<2>::zeros([supports, e], &Device::flex());
        let (support, query, largest_step) = if adapter.scope() == Scope::Episode {
            // All clips go through together; each half has its share.
            let all = supports + queries;
            let (cost, largest) = encoded(all, &Branch::Episode { text: &text });
            let share = |clips: usize| cost.map(|cost| cost * (clips as f64 / all as f64));
            (share(supports), share(queries), largest)
        } else {
            let support = encoded(supports, &Branch::Support { text: &text });
            let query = encoded(queries, &Branch::Query);
            (support.0, query.0, support.1 + query.1)
        };
        let (given, compared) = (model.prototype_width(), model.compared().width());
        let (related, distances) = model.align_cost([1, queries, t, compared], [1, way, shot, t, compared]);
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
            largest_step,
            prototypes: model.prototype.support_cost([supports, t, given]),
            query_prototypes: model.prototype.query_cost([queries, t, given]),
            related,
            distances,
            query_text: cosines(queries),
            support_text: cosines(supports),
        }
    }

    pub fn clips(&self) -> f64 {
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
        way: Option<Way>,
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
        if let Some(way) = way {
            totals.push(training_flops(
                recipe,
                model,
                frames,
                way,
                (self.shape(Split::Train), self.episodes_per_step),
            )?);
            if let Some(fine_tune) = &self.fine_tune {
                let of_supports = fine_tune.shape(self.shape(Split::Test));
                let step = training_flops(recipe, model, frames, way, (of_supports, 1))?;
                totals.push(Total { of: "fine_tuning_step", ..step });
            }
        }
        Ok(Flops::new(totals))
    }
}

/// FLOPs of an optimizer step on this many episodes of a shape.
pub(super) fn training_flops(
    recipe: &Recipe,
    model: &FewShotModel,
    frames: usize,
    way: Way,
    (shape, episodes): (Shape, usize),
) -> Result<Total> {
    let train = EpisodeCosts::new(model, frames, shape);
    let context = recipe.context(&Device::flex());
    let depth = Depth::of(&*model.adapter, model.backbone.geometry().blocks);
    let fixed =
        recipe.build::<dyn FrameSampler>(&context)?.fixed() && recipe.build::<dyn Augment>(&context)?.identity();
    let kept = depth.pays() && recipe.compute.feature_cache && fixed;
    let episodes = episodes as f64;
    let clips = train.clips() as usize;
    let again = way.recompute != Recompute::None && depth != Depth::Features;
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
        parts.push(("comparison with all training classes", None));
    }
    let mut about = "3 × forward, an upper bound where frozen weights stand among trained ones".to_owned();
    about += match (kept, depth) {
        (_, Depth::Pixels) => "",
        (true, _) => "; the frozen part comes from the disk",
        (false, _) => "; the frozen part forward only",
    };
    if again {
        about += &format!("; clips are encoded once more ({})", way.words());
    }
    Ok(Total::new("training_step", &parts, about))
}

/// Values of one frame where the trained part begins.
pub fn prefix_values(model: &FewShotModel) -> usize {
    let steps = model.backbone.encode_steps(&*model.adapter);
    steps.first().copied().unwrap_or_else(|| model.given().width())
}
