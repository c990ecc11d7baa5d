//! What a whole few-shot run computes and writes. It follows what the learner and the evaluator do, as `costs` does for
//! one step and one episode.

use super::FewShot;
use super::costs::{EpisodeCosts, prefix_values, training_flops};
use super::fixed_list::Evaluation;
use maclip_framework::engine::episodes::Shape;
use maclip_framework::engine::evaluation::encodes_every_episode;
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::model::plan::Total;
use maclip_framework::model::workload::{Passes, Workload};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::clip_store::Format;
use maclip_framework::registry::{BuildContext, SplitSize};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::Depth;
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::backbone::Precision;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prompt::Prompt;

/// Train, val and test where the data is not here: those of Kinetics-100 and SSv2-Small.
const ASSUMED: [SplitSize; 3] = [
    SplitSize { classes: 64, clips: 100 },
    SplitSize { classes: 12, clips: 100 },
    SplitSize { classes: 24, clips: 100 },
];
/// Frames of a clip where all are kept and nobody has counted them: 10 s at 25 frames per second, as Kinetics has.
const ALL_FRAMES: usize = 250;
/// Raw pixels by the size of their JPEG.
const JPEG: f64 = 10.0;

/// The clips of a run.
struct Sizes {
    splits: [SplitSize; 3],
    /// Whether clips are files, which are decoded and kept.
    files: bool,
}

/// Clips of a split of this size that `episodes` episodes of `shape` use, on average.
fn distinct(size: SplitSize, shape: Shape, episodes: f64) -> f64 {
    let SplitSize { classes, clips } = size;
    let each = shape.way as f64 / classes.max(1) as f64 * (shape.shot + shape.queries) as f64 / clips.max(1) as f64;
    (classes * clips) as f64 * (1.0 - (1.0 - each.min(1.0)).powf(episodes))
}

impl FewShot {
    /// The sizes of the splits as the roles use them, listed where the data is here.
    fn sizes(&self, recipe: &Recipe, build: &BuildContext, notes: &mut Vec<String>) -> Sizes {
        let listed = || -> Result<Sizes> {
            let dataset = self.clips(recipe, build)?.dataset;
            let mut splits = ASSUMED;
            let mut files = false;
            for role in Split::ALL.into_iter().filter(|role| self.uses(*role)) {
                let classes = dataset.list(self.part(role).0)?.classes;
                let clips = classes.iter().map(|class| class.clips.len()).sum::<usize>();
                if let Some(clip) = classes.first().and_then(|class| class.clips.first()) {
                    files = !dataset.files(clip)?.is_empty();
                }
                splits[role as usize] = SplitSize { classes: classes.len(), clips: clips / classes.len().max(1) };
            }
            Ok(Sizes { splits, files })
        };
        let mut sizes = listed().unwrap_or_else(|_| {
            notes.push(
                "the data is not here: splits of 64, 12 and 24 classes with 100 clips each are assumed".to_owned(),
            );
            Sizes { splits: ASSUMED, files: true }
        });
        for role in Split::ALL {
            let size = &mut sizes.splits[role as usize];
            size.clips = size.clips.min(self.part(role).1);
        }
        sizes
    }

    pub(super) fn work(&self, recipe: &Recipe) -> Result<Workload> {
        let build = recipe.sizes_context();
        let sampler = recipe.build::<dyn FrameSampler>(&build)?;
        let augment = recipe.build::<dyn Augment>(&build)?;
        let frames = sampler.count();
        let model = FewShotModel::build(recipe, &build, frames)?;
        let trainable = parameters::count(&model).trainable as f64;
        let trains = self.trains() && trainable > 0.0;
        let mut notes = Vec::new();
        let sizes = self.sizes(recipe, &build, &mut notes);
        let geometry = model.backbone.geometry();
        let depth = Depth::of(&*model.adapter, geometry.blocks);
        let kept = depth.pays() && recipe.compute.feature_cache && !geometry.passes_features();
        let fixed = sampler.fixed() && augment.identity();

        let (mut without, steps) = (Vec::new(), if trains { self.options().steps } else { 0 });
        let mut training = 0.0;
        if trains {
            let way = self.way_here(recipe, &model, frames)?;
            let Total { flops, without: uncounted, .. } =
                training_flops(recipe, &model, frames, way, (self.shape(Split::Train), self.episodes_per_step))?;
            without.extend(uncounted);
            training = flops * steps as f64;
        }
        // Of the fine-tuning before one episode of each role.
        let mut tuning = [0.0; 3];
        if let Some(fine_tune) = self.fine_tune.as_ref().filter(|_| trains) {
            let way = self.way_here(recipe, &model, frames)?;
            for role in [Split::Val, Split::Test] {
                let shape = (fine_tune.shape(self.shape(role)), 1);
                let step = training_flops(recipe, &model, frames, way, shape)?.flops;
                tuning[role as usize] = step * fine_tune.steps as f64;
            }
        }
        let mut evaluated = |role: Split, list: &Evaluation| {
            let every = self.fine_tune.is_some() || encodes_every_episode(&model, &*sampler);
            let passes = Evaluated { model: &model, sampler: &*sampler, frames, kept, every };
            let Passes { encode, align } =
                passes.of(self.shape(role), sizes.splits[role as usize], list.episodes as f64, &mut without);
            Passes { encode: encode + tuning[role as usize] * list.episodes as f64, align }
        };
        let test = evaluated(Split::Test, &self.test);
        let validations = if trains { steps.div_ceil(self.train.validate_every_steps).max(1) as f64 } else { 0.0 };
        let validation = if trains { evaluated(Split::Val, &self.validation) } else { Passes::default() };
        let validation = Passes { encode: validation.encode * validations, align: validation.align * validations };

        let episodes_of = |role: Split| match role {
            Split::Train => (steps * self.episodes_per_step as u64) as f64,
            Split::Val => self.validation.episodes as f64,
            Split::Test => self.test.episodes as f64,
        };
        let used = |role: Split| distinct(sizes.splits[role as usize], self.shape(role), episodes_of(role));
        let roles = || Split::ALL.into_iter().filter(|role| *role == Split::Test || trains);
        // Features of clips that are augmented or drawn differ every time, and are not kept.
        let featured: f64 = roles().filter(|role| *role != Split::Train || fixed).map(used).sum();
        let prefix = EpisodeCosts::new(&model, frames, self.shape(Split::Test)).prefix.unwrap_or_default().flops;
        let mut texts = 0.0;
        if model.needs_text() {
            let sentences = recipe.build::<dyn Prompt>(&build)?.most();
            let classes: usize = roles().map(|role| sizes.splits[role as usize].classes).sum();
            texts = model.backbone.texts_cost(classes * sentences).unwrap_or_default().flops;
        }

        let stored = sizes.files && recipe.clip_store.on && !geometry.passes_features();
        let all = roles().any(|role| role == Split::Train) && !sampler.fixed();
        let clips = |role: Split| (sizes.splits[role as usize].classes * sizes.splits[role as usize].clips) as f64;
        let image = (3 * geometry.image_size.pow(2)) as f64;
        let store = roles().map(|role| {
            let frames = if role == Split::Train && all { ALL_FRAMES } else { frames };
            clips(role) * frames as f64 * image
        });
        let format = if recipe.clip_store.format == Format::Jpeg { JPEG } else { 1.0 };
        let (limit, needed) = (recipe.clip_store.limit_gb * 1e9, store.sum::<f64>() / format);
        let clip_store_bytes = if stored { needed.min(limit) } else { 0.0 };
        if stored && needed > limit {
            notes.push(format!(
                "the clips take {:.0} GB, and `clip_store.limit_gb` is {}: the others are decoded when needed",
                needed / 1e9,
                recipe.clip_store.limit_gb
            ));
        }
        if stored && all {
            notes.push(format!("all frames of training clips are kept: {ALL_FRAMES} of each are assumed"));
        }
        if stored && !augment.identity() {
            notes.push(
                "clips are kept before the augmentation: the size of the backbone's images is assumed".to_owned(),
            );
        }
        let value = if recipe.precision == Precision::Bf16 { 2.0 } else { 4.0 };
        let feature_bytes = featured * (frames * prefix_values(&model)) as f64 * value;
        let state = recipe.build::<dyn Optimizer>(&recipe.context(&build.device))?.state_values();
        let kept_checkpoints = if trains { self.train.keep_checkpoints as f64 + 1.0 } else { 0.0 };
        without.sort_unstable();
        without.dedup();
        if !without.is_empty() {
            notes.push(format!("no FLOPs are counted for: {}", without.join(", ")));
        }
        let Shape { way, shot, queries } = self.shape(Split::Test);
        let line = (way * queries * way * 2 * 11 + way * (shot + queries) * 40 + 150) as f64;
        let query = EpisodeCosts::new(&model, frames, Shape { way: 1, shot: 1, queries: 1 }).query.unwrap_or_default();
        Ok(Workload {
            steps,
            training,
            validation,
            test,
            texts,
            features: if kept { prefix * featured } else { 0.0 },
            frame: (prefix + query.flops) / frames as f64,
            clip_store_bytes,
            feature_bytes: if kept { feature_bytes.min(recipe.compute.cache_limit_gb * 1e9) } else { 0.0 },
            checkpoint_bytes: kept_checkpoints * trainable * 4.0 * (1 + state.unwrap_or(2)) as f64,
            record_bytes: self.test.episodes as f64 * line + steps as f64 * 250.0,
            notes,
        })
    }
}

/// What the evaluation of a list of episodes computes.
struct Evaluated<'a> {
    model: &'a FewShotModel,
    sampler: &'a dyn FrameSampler,
    frames: usize,
    /// Whether the frozen part comes from the disk.
    kept: bool,
    /// Whether clips are encoded anew for every episode.
    every: bool,
}

impl Evaluated<'_> {
    fn of(&self, shape: Shape, size: SplitSize, episodes: f64, without: &mut Vec<&'static str>) -> Passes {
        let costs = EpisodeCosts::new(self.model, self.frames, shape);
        let mut flops = |id: &'static str, cost: Option<Cost>| {
            without.extend(cost.is_none().then_some(id));
            cost.unwrap_or_default().flops
        };
        let kept = self.kept && !self.sampler.random_in_evaluation();
        let prefix = if kept { 0.0 } else { flops("frozen", costs.prefix) };
        let (support, query) = (flops("support", costs.support), flops("query", costs.query));
        let (prototypes, queries) = (flops("prototypes", costs.prototypes), flops("queries", costs.query_prototypes));
        let align = flops("related", costs.related) + flops("distances", costs.distances) + costs.query_text.flops;
        if self.every {
            let encode = prefix * costs.clips() + support + query + prototypes + queries;
            return Passes { encode: encode * episodes, align: (align + costs.support_text.flops) * episodes };
        }
        let (s, q) = (costs.supports as f64, costs.queries as f64);
        // Without class texts in the tower, both branches are one pass.
        let branches = if self.model.adapter.scope() > Scope::Clip { query / q + support / s } else { query / q };
        let clip = prefix + branches + prototypes / s + queries / q;
        Passes { encode: clip * distinct(size, shape, episodes), align: align * episodes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_episodes_use_few_clips_and_many_use_all() {
        let (size, shape) = (SplitSize { classes: 24, clips: 100 }, Shape { way: 5, shot: 1, queries: 1 });
        // One episode: 5 classes with 2 clips each.
        assert!((distinct(size, shape, 1.0) - 10.0).abs() < 1e-6);
        assert!(distinct(size, shape, 100.0) < 1000.0);
        assert!((distinct(size, shape, 10_000.0) - 2400.0).abs() < 1e-6);
    }
}
