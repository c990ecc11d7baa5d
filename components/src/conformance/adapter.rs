//! What an adapter must hold.

use super::tensors::{difference, random};
use super::{choice, describes_its_text, model, scopes, usage, variants};
use crate::backbones::clip::block::{Activation, Block, BlockSizes};
use crate::layers::Init;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::random::Stream;
use maclip_framework::registry::Component;
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::Precision;

/// What an adapter claims of itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration. All claims but `starts_frozen`
    /// are about them too.
    pub also: &'static [&'static str],
    /// Before the first step the features are those of the frozen backbone.
    pub starts_frozen: bool,
    /// Something is trained: weights of its own, or parts of the image tower.
    pub trains: bool,
    /// It says what a block costs.
    pub costed: bool,
    /// Number of trained tensors that cannot change a feature, by the options: the method has them all the same.
    pub idle: fn(&str) -> usize,
}

/// An adapter that is trained and adds nothing at the start.
impl Default for Traits {
    fn default() -> Self {
        Self { also: &[], starts_frozen: true, trains: true, costed: true, idle: |_| 0 }
    }
}

/// Holds the adapter with configuration `C` to its contract, around the embedded CLIP.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Adapter>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let plain = Subject { model: model::built(&[("adapter", &choice)]), choice: choice.clone(), traits };
        describes_its_text::<C>(options, plain.model.adapter.needs_text());
        if options == usage::<C>() {
            plain.start();
        }
        plain.what_is_trained();
        // At the start zeros hide what lies before them.
        let noisy = Subject { model: model::with_noise(plain.model, 0.1), ..plain };
        noisy.every_trained_tensor_takes_part();
        noisy.class_texts();
        noisy.other_clips();
        noisy.first_tokens();
        noisy.cost();
        scopes::evaluation_follows_them(&[("adapter", &choice)]);
        sizes_alone(&choice, traits);
    }
}

/// Support clips that are tried, and as many queries.
const SUPPORTS: usize = 2;

struct Subject {
    model: FewShotModel,
    choice: String,
    traits: Traits,
}

impl Subject {
    fn scope(&self) -> Scope {
        self.model.adapter.scope()
    }

    /// `[2 S, T, 3, H, W]`
    fn pixels(&self, seed: u64) -> Tensor<5> {
        model::pixels(seed, &self.model, 2 * SUPPORTS)
    }

    /// Class texts of so many clips, `[S, E]`.
    fn texts(&self, seed: u64, clips: usize) -> Tensor<2> {
        random(seed, [clips, self.model.backbone.geometry().embed_dim])
    }

    /// Class texts of the support clips, `[S, E]`.
    fn text(&self, seed: u64) -> Tensor<2> {
        self.texts(seed, SUPPORTS)
    }

    /// `[B, T, E]`
    fn encode(&self, pixels: Tensor<5>, branch: &Branch) -> Tensor<3> {
        self.model.backbone.encode_clips(pixels, &*self.model.adapter, branch)
    }

    /// Features of support clips, and of the queries after them, as an episode encodes them: `[2 S, T, E]`.
    fn features(&self, pixels: Tensor<5>, text: &Tensor<2>) -> Tensor<3> {
        if self.scope() == Scope::Episode {
            return self.encode(pixels, &Branch::Episode { text });
        }
        let [support, query] = [0, SUPPORTS].map(|from| pixels.clone().narrow(0, from, SUPPORTS));
        Tensor::cat(vec![self.encode(support, &Branch::Support { text }), self.encode(query, &Branch::Query)], 0)
    }

    fn start(&self) {
        let frozen = model::built(&[]);
        let want = frozen.backbone.encode_clips(self.pixels(2), &*frozen.adapter, &Branch::Query);
        let got = match self.scope() {
            Scope::Episode => self.encode(self.pixels(2), &Branch::Episode { text: &self.text(4).zeros_like() }),
            _ => self.encode(self.pixels(2), &Branch::Query),
        };
        let error = difference(&got, &want);
        let claimed = self.traits.starts_frozen;
        assert_eq!(error < 1e-4, claimed, "{}: whether training starts at the frozen model: {error}", self.choice);
    }

    fn what_is_trained(&self) {
        let trainable = parameters::count(&self.model).trainable;
        assert_eq!(trainable > 0, self.traits.trains, "{}: whether something is trained: {trainable}", self.choice);
        let frozen = self.scope() == Scope::Frozen;
        assert_eq!(frozen, !self.traits.trains, "{}: whether its `scope` is Frozen", self.choice);
    }

    fn every_trained_tensor_takes_part(&self) {
        if !self.traits.trains {
            return;
        }
        let count = parameters::export(&self.model, true).len();
        let features = self.features(self.pixels(2), &self.text(4));
        let gradients = (features.clone() * features).sum().backward();
        let found = GradientsParams::from_grads(gradients, &self.model).len();
        let idle = (self.traits.idle)(&self.choice);
        assert_eq!(found + idle, count, "{}: trained tensors that have a gradient", self.choice);
    }

    fn class_texts(&self) {
        let [one, other] = [4, 5].map(|seed| self.features(self.pixels(2), &self.text(seed)));
        let changed = difference(&one, &other);
        let claimed = self.model.adapter.needs_text();
        assert_eq!(changed > 1e-6, claimed, "{}: whether class texts count, and `needs_text`: {changed}", self.choice);
        if self.scope() < Scope::LabelledClip {
            assert!(!claimed, "{}: it reads class texts, so its `scope` is LabelledClip or Episode", self.choice);
            let support = self.encode(self.pixels(2), &Branch::Support { text: &self.texts(4, 2 * SUPPORTS) });
            let changed = difference(&support, &self.encode(self.pixels(2), &Branch::Query));
            assert!(changed < 1e-6, "{}: support and query are not the same function: {changed}", self.choice);
        }
    }

    fn other_clips(&self) {
        // The first support clip and the first query stay, with their text; all others change.
        let keep = |mine: Tensor<5>, others: Tensor<5>| {
            let part = |pixels: &Tensor<5>, clip: usize| pixels.clone().narrow(0, clip, 1);
            let clips = [part(&mine, 0), part(&others, 1), part(&mine, SUPPORTS), part(&others, SUPPORTS + 1)];
            Tensor::cat(clips.to_vec(), 0)
        };
        let text = Tensor::cat(vec![self.text(4).narrow(0, 0, 1), self.text(5).narrow(0, 1, 1)], 0);
        let one = self.features(self.pixels(2), &self.text(4));
        let other = self.features(keep(self.pixels(2), self.pixels(3)), &text);
        let kept = |features: Tensor<3>| {
            Tensor::cat([0, SUPPORTS].map(|clip| features.clone().narrow(0, clip, 1)).to_vec(), 0)
        };
        let changed = difference(&kept(one), &kept(other));
        let claimed = self.scope() == Scope::Episode;
        let what = "whether the other clips of an episode count, and `scope` is Episode";
        assert_eq!(changed > 1e-5, claimed, "{}: {what}: {changed}", self.choice);
    }

    /// The branch of queries, or of whole episodes where clips are not encoded alone.
    fn branch<'a>(&self, text: &'a Tensor<2>) -> Branch<'a> {
        match self.scope() {
            Scope::Episode => Branch::Episode { text },
            _ => Branch::Query,
        }
    }

    fn first_tokens(&self) {
        let (adapter, geometry) = (&self.model.adapter, self.model.backbone.geometry());
        let Some(index) = (0..geometry.blocks).rev().find(|&index| adapter.adapts(index)) else { return };
        let (width, tokens) = (geometry.width, geometry.tokens);
        let sizes = BlockSizes {
            width,
            heads: width / 32,
            layers: 1,
            hidden: 2 * width,
            activation: Activation::QuickGelu,
            epsilon: 1e-5,
        };
        let blocks = Block::stack(sizes, &mut Init::new(Stream::new(5, "init/test"), Device::flex()));
        let (x, text) = (random(6, [2 * SUPPORTS, model::FRAMES, tokens, width]), self.text(7));
        let branch = self.branch(&text);
        let whole = adapter.forward(index, &blocks[0], x.clone(), &branch, tokens);
        for first in [1, tokens - 1] {
            let part = adapter.forward(index, &blocks[0], x.clone(), &branch, first);
            let off = difference(&part, &whole.clone().narrow(2, 0, first));
            assert!(off < 1e-5, "{}: the first {first} tokens are off by {off}", self.choice);
        }
    }

    fn cost(&self) {
        let text = self.text(4);
        let branch = self.branch(&text);
        let cost = self.model.backbone.encode_cost([2 * SUPPORTS, model::FRAMES], &*self.model.adapter, &branch);
        assert_eq!(cost.is_some(), self.traits.costed, "{}: whether it says its cost", self.choice);
    }
}

/// A model of which only the sizes matter must make no values: a plan is made on a machine that could not hold them.
fn sizes_alone(choice: &str, traits: Traits) {
    #[derive(Default)]
    struct Made {
        tensors: usize,
        with_values: usize,
    }
    impl ModuleVisitor for Made {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.tensors += 1;
            self.with_values += usize::from(param.is_initialized());
        }
    }
    let made = |model: &FewShotModel| {
        let mut made = Made::default();
        model.visit(&mut made);
        made
    };
    let model = model::sized(&[("adapter", choice)], "ViT-B/16");
    assert_eq!(parameters::count(&model).trainable > 0, traits.trains, "{choice}: whether something is trained");
    let bytes = parameters::bytes(&model, Precision::F32).trainable;
    assert_eq!(bytes > 0.0, traits.trains, "{choice}: bytes of what is trained: {bytes}");
    let (own, frozen) = (made(&model), made(&model::sized(&[], "ViT-B/16")));
    assert!(frozen.tensors > 0 && own.tensors >= frozen.tensors, "{choice}: {} tensors", own.tensors);
    assert_eq!(own.with_values, 0, "{choice}: tensors with values, of {}", own.tensors);
}

#[cfg(test)]
mod tests {
    use super::super::caught;
    use super::*;
    use maclip_framework::slots::block::FrozenBlock;
    use maclip_framework::slots::module::Slot;

    /// The frozen block, with one mistake.
    #[derive(Module, Debug)]
    struct Fake {
        /// `[1]`, trained, added to every feature.
        shift: Param<Tensor<1>>,
        #[module(skip)]
        mistake: Mistake,
    }

    /// A mistake, and the property that finds it.
    type Property = (Mistake, fn(&Subject));

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Mistake {
        None,
        StartsElsewhere,
        TrainsNothing,
        ForgetsATensor,
        ReadsTexts,
        MixesClips,
        CountsTokens,
    }

    impl Adapter for Fake {
        fn adapts(&self, _: usize) -> bool {
            true
        }
        fn scope(&self) -> Scope {
            if self.mistake == Mistake::TrainsNothing { Scope::Frozen } else { Scope::Clip }
        }
        fn needs_text(&self) -> bool {
            false
        }
        fn forward(&self, _: usize, block: &dyn FrozenBlock, x: Tensor<4>, branch: &Branch, first: usize) -> Tensor<4> {
            let [b, t, n, d] = x.dims();
            let y = block.forward(x.clone().reshape([b * t, n, d])).reshape([b, t, n, d]);
            let y = match (self.mistake, branch) {
                (Mistake::ForgetsATensor, _) => y,
                _ => y + self.shift.val().reshape([1, 1, 1, 1]),
            };
            let y = match (self.mistake, branch) {
                (Mistake::StartsElsewhere, _) => y + x,
                (Mistake::ReadsTexts, Branch::Support { text }) => {
                    y * (Tensor::clone(text).mean_dim(1).reshape([b, 1, 1, 1]) + 1.0)
                }
                (Mistake::MixesClips, _) => y.clone() + y.mean_dim(0),
                (Mistake::CountsTokens, _) => y + first as f32,
                _ => y,
            };
            y.narrow(2, 0, first)
        }
    }

    fn refused(mistake: Mistake, costed: bool, property: fn(&Subject)) -> bool {
        let zero = Tensor::<1>::zeros([1], &burn::tensor::Device::flex().autodiff());
        let adapter = Slot::new(Box::new(Fake { shift: Param::from_tensor(zero), mistake }) as Box<dyn Adapter>);
        let model = FewShotModel { adapter, ..model::built(&[]) };
        let traits = Traits { costed, ..Traits::default() };
        caught(|| property(&Subject { model, choice: "fake".to_owned(), traits }))
    }

    #[test]
    fn a_mistake_is_caught_by_its_property() {
        let properties: [Property; 6] = [
            (Mistake::StartsElsewhere, Subject::start),
            (Mistake::TrainsNothing, Subject::what_is_trained),
            (Mistake::ForgetsATensor, Subject::every_trained_tensor_takes_part),
            (Mistake::ReadsTexts, Subject::class_texts),
            (Mistake::MixesClips, Subject::other_clips),
            (Mistake::CountsTokens, Subject::first_tokens),
        ];
        for (mistake, property) in properties {
            assert!(!refused(Mistake::None, false, property), "{mistake:?}: without it");
            assert!(refused(mistake, false, property), "{mistake:?}");
        }
        assert!(refused(Mistake::None, true, Subject::cost) && !refused(Mistake::None, false, Subject::cost));
    }
}
