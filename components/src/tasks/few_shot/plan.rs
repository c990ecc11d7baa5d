//! The graph of a few-shot recipe.

use super::FewShot;
use super::costs::{EpisodeCosts, prefix_values};
use maclip_framework::error::Result;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::model::plan::{Plan, Step};
use maclip_framework::recipe::Recipe;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::Depth;
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::prompt::Prompt;

impl FewShot {
    /// The graph and the parameters of `recipe`, from the built model.
    pub(super) fn graph(&self, recipe: &Recipe) -> Result<Plan> {
        let build = recipe.sizes_context();
        let sampler = recipe.build::<dyn FrameSampler>(&build)?;
        let frames = sampler.count();
        let model = FewShotModel::build(recipe, &build, frames)?;
        let geometry = model.backbone.geometry();
        let (w, s, q) = (self.way, self.way * self.shot, self.way * self.test.queries);
        let (t, e, side) = (frames, geometry.embed_dim, geometry.image_size);
        let (given, compared) = (model.given().width(), model.compared().width());
        let costs = EpisodeCosts::new(&model, frames, self.shape(Split::Test));
        let names = recipe.components();
        let by = |slots: &[&str]| {
            let names = slots.iter().filter_map(|slot| names.get(*slot)).map(String::as_str);
            names.filter(|name| *name != "none").collect::<Vec<_>>().join(" + ")
        };
        // The query branch reads no class text.
        let query = |scope: Scope| if scope == Scope::LabelledClip { Scope::Clip } else { scope };
        let (adapter, prototype) = (model.adapter.scope(), model.prototype.scope());
        // A module that relates clips with each other first rewrites each of them alone.
        let relates = prototype == Scope::Episode;
        let alone = if relates { Scope::LabelledClip } else { prototype };
        let node = |id, by: String, from: &[&'static str], shape: &[usize], scope: Scope, cost: Option<Cost>| Step {
            id,
            by: if by.is_empty() { "–".to_owned() } else { by },
            from: from.to_vec(),
            shape: shape.to_vec(),
            scope,
            runs: Plan::runs(scope),
            flops: cost.map(|cost| cost.flops),
        };
        let mut nodes = Vec::new();
        let text = model.needs_text();
        if text {
            // How long texts are is in the data; these are the longest that are possible.
            let sentences = recipe.build::<dyn Prompt>(&build)?.most();
            let cost = model.backbone.texts_cost(w * sentences);
            let mut texts = node("texts", by(&["prompt", "backbone"]), &[], &[w, e], Scope::Frozen, cost);
            texts.runs = "once per class";
            nodes.push(texts);
        }
        let with_text = |from: &'static str, reads: bool| if reads { vec![from, "texts"] } else { vec![from] };
        // What every clip begins with, where at least one block is frozen below the first adapter.
        let depth = Depth::of(&*model.adapter, geometry.blocks);
        let values = prefix_values(&model);
        let frozen = depth.pays().then(|| {
            let cost = costs.prefixes(s + q);
            let mut node = node("frozen", by(&["backbone"]), &["pixels"], &[s + q, t, values], Scope::Frozen, cost);
            node.runs = if recipe.compute.feature_cache { "once, kept on disk" } else { node.runs };
            node
        });
        // A prefix that is no step of its own belongs to the encoding.
        let encoded = |cost: Option<Cost>, clips: usize| match frozen {
            Some(_) => cost,
            None => Some(cost? + costs.prefixes(clips)?),
        };
        let (support_cost, query_cost) = (encoded(costs.support, s), encoded(costs.query, q));
        let begin = if frozen.is_some() { "frozen" } else { "pixels" };
        let encoder = by(&["backbone", "adapter"]);
        let support = with_text(begin, model.adapter.needs_text());
        let prototypes = with_text("support", model.prototype.needs_text());
        let mut aligned = vec!["prototypes", "queries"];
        let mut scored = vec!["distances"];
        if model.objective.needs_text() {
            scored.extend(["query", "texts"]);
        }
        let pixels = by(&["dataset", "frames", "resize", "augment"]);
        nodes.push(node("pixels", pixels, &[], &[s + q, t, 3, side, side], Scope::Frozen, Some(Cost::NONE)));
        nodes.extend(frozen);
        nodes.extend([
            node("support", encoder.clone(), &support, &[s, t, given], adapter, support_cost),
            node("query", encoder, &[begin], &[q, t, given], query(adapter), query_cost),
            node(
                "prototypes",
                by(&["prototype"]),
                &prototypes,
                &[s, t, compared],
                adapter.max(alone),
                costs.prototypes,
            ),
            node(
                "queries",
                by(&["prototype"]),
                &["query"],
                &[q, t, compared],
                query(adapter.max(alone)),
                costs.query_prototypes,
            ),
        ]);
        if relates {
            let mut reads = with_text("prototypes", model.prototype.needs_text());
            reads.push("queries");
            nodes.push(node(
                "related",
                by(&["prototype"]),
                &reads,
                &[s + q, t, compared],
                Scope::Episode,
                costs.related,
            ));
            aligned = vec!["related"];
        }
        nodes.extend([
            node("distances", by(&["alignment"]), &aligned, &[q, w], Scope::Episode, costs.distances),
            node("probabilities", by(&["objective"]), &scored, &[q, w], Scope::Episode, Some(costs.query_text)),
        ]);
        let params = parameters::count(&model);
        let way = self.way_here(recipe, &model, frames)?;
        let flops = self.flops(recipe, &model, &*sampler, (params.trainable > 0).then_some(way))?;
        Ok(Plan { nodes, flops, memory: self.memory(recipe, &model, &*sampler, way)?, params })
    }
}
