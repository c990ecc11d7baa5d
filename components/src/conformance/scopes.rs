//! Evaluation by scopes: what a component says its output depends on decides what is computed once and what in every
//! episode. A component that says too little makes numbers wrong without any error, so each is compared with episodes
//! one by one.

use super::{model, ok};
use burn::module::Module;
use burn::tensor::Device;
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::clips::sources::Clips;
use maclip_framework::engine::episodes::{EpisodeList, Shape};
use maclip_framework::engine::evaluation::{self, Outcome, SplitEpisodes};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::model::few_shot::{FewShotModel, class_texts};
use maclip_framework::progress::Silent;
use maclip_framework::slots::dataset::Split;
use maclip_framework::slots::prompt::Prompt;

/// Twelve test episodes of four classes with two shots, by scopes and one by one. `changes` are those of
/// [`model::recipe`], and `change` is done to the model with noise on its trained parts.
///
/// # Panics
/// With what stands in the way of building or testing the model.
pub fn both_ways(changes: &[(&str, &str)], change: impl FnOnce(FewShotModel) -> FewShotModel) -> [Vec<Outcome>; 2] {
    let (recipe, device) = (model::recipe(changes), Device::flex());
    let context = ok(recipe.build_context(&device), "the device");
    let clips = ok(Clips::build(&recipe, &context), "the clips");
    let model = ok(FewShotModel::build(&recipe, &context, clips.frames.count()), "the model");
    let model = change(model::with_noise(model, 0.05)).valid();
    let prompt = ok(recipe.build::<dyn Prompt>(&context), "the prompt");
    let classes = ok(clips.dataset.list(Split::Test), "the test classes").classes;
    let names: Vec<&str> = classes.iter().map(|class| class.name.as_str()).collect();
    let texts = ok(class_texts(&model, &*prompt, &names, &device), "the class texts");
    let list = EpisodeList::new(Shape { way: 4, shot: 2, queries: 1 }, Split::Test, &classes, 5, 12);
    let list = ok(list, "the episodes");
    let split = SplitEpisodes { classes: &classes, texts: &texts, list: &list };
    let geometry = model.backbone.geometry().clone();
    let loader = ClipLoader { clips: &clips, geometry: &geometry, device: &device, store: None };
    let source = ClipSource::new(loader, &model, None);
    [
        ok(evaluation::evaluate(&model, &source, &split, &Silent), "the evaluation"),
        ok(evaluation::one_by_one(&model, &source, &split, &Silent), "the evaluation episode by episode"),
    ]
}

/// Asserts that evaluation by scopes equals evaluation episode by episode, bit for bit.
///
/// # Panics
/// Where it does not, and as [`both_ways`].
pub fn evaluation_follows_them(changes: &[(&str, &str)]) {
    let [planned, one_by_one] = both_ways(changes, |model| model);
    assert!(planned == one_by_one, "{changes:?}: outputs depend on more than the `scope` says");
    assert!(planned.iter().any(|outcome| outcome.correct < 4), "{changes:?}: nothing is wrong, so nothing is seen");
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tensor;
    use maclip_framework::slots::Scope;
    use maclip_framework::slots::module::Slot;
    use maclip_framework::slots::prototype::Prototype;

    /// Adds the mean over all clips it is given, and says that it looks at one clip alone.
    #[derive(Module, Debug)]
    struct Liar {}

    impl Prototype for Liar {
        fn scope(&self) -> Scope {
            Scope::Clip
        }
        fn needs_text(&self) -> bool {
            false
        }
        fn support(&self, frames: Tensor<3>, _: Tensor<2>) -> Tensor<3> {
            self.query(frames)
        }
        fn query(&self, frames: Tensor<3>) -> Tensor<3> {
            frames.clone() + frames.mean_dim(0)
        }
    }

    #[test]
    fn a_component_that_lies_about_its_scope_is_caught() {
        let lie = |model| FewShotModel { prototype: Slot::new(Box::new(Liar {})), ..model };
        let [planned, one_by_one] = both_ways(&[], lie);
        assert_ne!(planned, one_by_one);
    }

    #[test]
    fn components_of_different_scopes_go_together() {
        for (adapter, prototype) in [
            ("{type: multimodal, query_text: mean}", "{type: text_guided}"),
            ("{type: multimodal}", "{type: text_guided}"),
            ("{type: multimodal}", "{type: hyrsm}"),
        ] {
            evaluation_follows_them(&[("adapter", adapter), ("prototype", prototype)]);
        }
    }
}
