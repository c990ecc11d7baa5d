//! The graph of a few-shot recipe.

use super::FewShot;
use burn::tensor::Device;
use maclip_framework::error::Result;
use maclip_framework::model::FewShotModel;
use maclip_framework::parameters;
use maclip_framework::plan::{Node, Plan};
use maclip_framework::run::{BuildContext, Recipe};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::Depth;
use maclip_framework::slots::frames::FrameSampler;

impl FewShot {
    /// The graph and the parameters of `recipe`, from the built model.
    pub(super) fn graph(&self, recipe: &Recipe) -> Result<Plan> {
        let mut build = BuildContext::new(recipe.seed, Device::flex());
        build.sizes_only = true;
        let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
        let model = FewShotModel::build(recipe, &build, frames)?;
        let geometry = model.backbone.geometry();
        let (w, s, q) = (self.way, self.way * self.shot, self.way * self.test.queries);
        let (t, e, side) = (frames, geometry.embed_dim, geometry.image_size);
        let names = recipe.components();
        let by = |slots: &[&str]| {
            let names = slots.iter().filter_map(|slot| names.get(*slot)).map(String::as_str);
            names.filter(|name| *name != "none").collect::<Vec<_>>().join(" + ")
        };
        // The query branch reads no class text.
        let query = |scope: Scope| if scope == Scope::LabelledClip { Scope::Clip } else { scope };
        let (adapter, prototype) = (model.adapter.scope(), model.prototype.scope());
        // A module that relates clips first rewrites each on its own.
        let relates = prototype == Scope::Episode;
        let alone = if relates { Scope::LabelledClip } else { prototype };
        let node = |id, by: String, from: &[&'static str], shape: &[usize], scope: Scope| Node {
            id,
            by: if by.is_empty() { "–".to_owned() } else { by },
            from: from.to_vec(),
            shape: shape.to_vec(),
            scope,
            runs: Plan::runs(scope),
        };
        let mut nodes = Vec::new();
        let text = model.needs_text();
        if text {
            let mut texts = node("texts", by(&["prompt", "backbone"]), &[], &[w, e], Scope::Frozen);
            texts.runs = "once per class";
            nodes.push(texts);
        }
        let with_text = |from: &'static str, reads: bool| if reads { vec![from, "texts"] } else { vec![from] };
        // What every clip begins with, where at least one block is frozen below the first adapter.
        let depth = Depth::of(&*model.adapter, geometry.blocks);
        let values = match depth {
            Depth::Block(_) => geometry.tokens * geometry.width,
            Depth::Head => geometry.width,
            _ => e,
        };
        let frozen = depth.pays().then(|| {
            let mut node = node("frozen", by(&["backbone"]), &["pixels"], &[s + q, t, values], Scope::Frozen);
            node.runs = if recipe.compute.feature_cache { "once, kept on disk" } else { node.runs };
            node
        });
        let begin = if frozen.is_some() { "frozen" } else { "pixels" };
        let encoder = by(&["backbone", "adapter"]);
        let support = with_text(begin, model.adapter.needs_text());
        let prototypes = with_text("support", model.prototype.needs_text());
        let mut compared = vec!["prototypes", "queries"];
        let mut scored = vec!["distances"];
        if model.objective.needs_text() {
            scored.extend(["query", "texts"]);
        }
        let pixels = by(&["dataset", "frames", "augment"]);
        nodes.push(node("pixels", pixels, &[], &[s + q, t, 3, side, side], Scope::Frozen));
        nodes.extend(frozen);
        nodes.extend([
            node("support", encoder.clone(), &support, &[s, t, e], adapter),
            node("query", encoder, &[begin], &[q, t, e], query(adapter)),
            node("prototypes", by(&["prototype"]), &prototypes, &[s, t, e], adapter.max(alone)),
            node("queries", by(&["prototype"]), &["query"], &[q, t, e], query(adapter.max(alone))),
        ]);
        if relates {
            let mut reads = with_text("prototypes", model.prototype.needs_text());
            reads.push("queries");
            nodes.push(node("related", by(&["prototype"]), &reads, &[s + q, t, e], Scope::Episode));
            compared = vec!["related"];
        }
        nodes.extend([
            node("distances", by(&["alignment"]), &compared, &[q, w], Scope::Episode),
            node("probabilities", by(&["objective"]), &scored, &[q, w], Scope::Episode),
        ]);
        Ok(Plan { nodes, params: parameters::count(&model) })
    }
}
