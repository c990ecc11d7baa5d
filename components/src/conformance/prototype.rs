//! What a prototype module must hold.

use super::tensors::{difference, random};
use super::{built, choice, context, described, describes_its_text, ok, scopes, variants};
use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use maclip_framework::model::parameters;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::Scope;
use maclip_framework::slots::backbone::Geometry;
use maclip_framework::slots::layout::Layout;
use maclip_framework::slots::module::Slot;
use maclip_framework::slots::prototype::{EpisodeFeatures, Prototype, Related};

/// What a prototype module claims of itself.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// It says what it costs.
    pub costed: bool,
}

/// A prototype module that was counted.
impl Default for Traits {
    fn default() -> Self {
        Self { also: &[], costed: true }
    }
}

/// Holds the prototype module with configuration `C` to its contract, on features of 16 values.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Prototype>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let sizes = context(1, WIDTH, FRAMES);
        let geometry = Geometry { blocks: BLOCKS, ..ok(sizes.geometry(), "the sizes").clone() };
        let sizes = sizes.with_sizes(geometry, FRAMES);
        let given = ok(sizes.geometry(), "the sizes").layout(&described::<C>(options).of_backbone());
        let prototype = Slot::new(built::<C>(options, &sizes.with_given(given.clone())));
        describes_its_text::<C>(options, prototype.needs_text());
        let subject = Subject { prototype, choice: choice.clone(), traits, given };
        subject.what_is_trained();
        subject.a_clip_alone();
        subject.class_texts();
        subject.other_clips();
        subject.cost();
        sizes_alone::<C>(options);
        scopes::evaluation_follows_them(&[("prototype", &choice)]);
    }
}

/// Blocks of the tower, whose tokens a module may read: those of the embedded CLIP.
const BLOCKS: usize = 6;
/// T
const FRAMES: usize = 4;
/// E
const WIDTH: usize = 16;
/// Q
const QUERIES: usize = 3;
/// W
const WAY: usize = 2;
/// K
const SHOTS: usize = 2;

struct Subject {
    prototype: Slot<dyn Prototype>,
    choice: String,
    traits: Traits,
    /// The values of a frame that it gets.
    given: Layout,
}

/// One episode before the module.
#[derive(Clone)]
struct Episode {
    /// `[Q, T, E]`
    query: Tensor<3>,
    /// `[W K, T, E]`, class after class.
    support: Tensor<3>,
    /// `[W, E]`
    text: Tensor<2>,
}

impl Episode {
    /// Frames of `width` values.
    fn new(seed: u64, width: usize) -> Self {
        Self {
            query: random(seed, [QUERIES, FRAMES, width]),
            support: random(seed + 1, [WAY * SHOTS, FRAMES, width]),
            text: random(seed + 2, [WAY, WIDTH]),
        }
    }
}

impl Subject {
    fn episode(&self, seed: u64) -> Episode {
        Episode::new(seed, self.given.width())
    }

    /// The whole module on one episode: [`Prototype::support`] and [`Prototype::query`] of each clip, then
    /// [`Prototype::relate`] where clips see each other.
    fn rewrite(&self, episode: Episode) -> Related {
        let Episode { query, support, text } = episode;
        let of_each = text.clone().unsqueeze_dim::<3>(1).expand([WAY, SHOTS, WIDTH]).reshape([WAY * SHOTS, WIDTH]);
        let query = self.prototype.query(query).unsqueeze::<4>();
        let support = self.prototype.support(support, of_each);
        let [_, frames, values] = support.dims();
        let support = support.reshape([1, WAY, SHOTS, frames, values]);
        match self.prototype.scope() {
            Scope::Episode => self.prototype.relate(EpisodeFeatures { query, support, text: text.unsqueeze() }),
            _ => Related { query, support: support.unsqueeze_dim(1) },
        }
    }

    fn what_is_trained(&self) {
        let trainable = parameters::count(&self.prototype).trainable;
        let frozen = self.prototype.scope() == Scope::Frozen;
        assert!(!frozen || trainable == 0, "{}: {trainable} values are trained, and `scope` is Frozen", self.choice);
    }

    /// What [`Prototype::support`] and [`Prototype::query`] make of a clip is a function of it alone.
    fn a_clip_alone(&self) {
        let (frames, text) = (random(1, [3, FRAMES, self.given.width()]), random(2, [3, WIDTH]));
        let all = self.prototype.support(frames.clone(), text.clone());
        let one = self.prototype.support(frames.clone().narrow(0, 1, 1), text.narrow(0, 1, 1));
        let changed = difference(&all.narrow(0, 1, 1), &one);
        assert!(changed < 1e-5, "{}: `support` mixes clips, which only `relate` may: {changed}", self.choice);
        let query = self.prototype.query(frames.clone());
        let alone = self.prototype.query(frames.narrow(0, 2, 1));
        let changed = difference(&query.narrow(0, 2, 1), &alone);
        assert!(changed < 1e-5, "{}: `query` mixes clips, which only `relate` may: {changed}", self.choice);
    }

    fn class_texts(&self) {
        let episode = self.episode(1);
        let other = Episode { text: self.episode(11).text, ..episode.clone() };
        let (one, other) = (self.rewrite(episode), self.rewrite(other));
        let changed = difference(&one.support, &other.support).max(difference(&one.query, &other.query));
        let claimed = self.prototype.needs_text();
        assert_eq!(changed > 1e-6, claimed, "{}: whether class texts count, and `needs_text`: {changed}", self.choice);
        if self.prototype.scope() < Scope::LabelledClip {
            assert!(!claimed, "{}: it reads class texts, so its `scope` is LabelledClip or Episode", self.choice);
        }
    }

    /// The first support clip and the first query stay; whether they become something else by the others is what
    /// [`Scope::Episode`] says.
    fn other_clips(&self) {
        let (episode, others) = (self.episode(1), self.episode(11));
        let keep = |mine: &Tensor<3>, others: Tensor<3>| {
            let rest = others.dims()[0] - 1;
            Tensor::cat(vec![mine.clone().narrow(0, 0, 1), others.narrow(0, 1, rest)], 0)
        };
        let changed = Episode {
            query: keep(&episode.query, others.query),
            support: keep(&episode.support, others.support),
            text: episode.text.clone(),
        };
        let (one, other) = (self.rewrite(episode), self.rewrite(changed));
        let first = |related: &Related| {
            let [_, _, _, shots, _, _] = related.support.dims();
            let support = related.support.clone().narrow(1, 0, 1).narrow(2, 0, 1).narrow(3, 0, 1);
            (shots, support, related.query.clone().narrow(1, 0, 1))
        };
        let ((shots, support, query), (_, other_support, other_query)) = (first(&one), first(&other));
        let changed = difference(&support, &other_support).max(difference(&query, &other_query));
        let claimed = self.prototype.scope() == Scope::Episode;
        let what = "whether the other clips of an episode count, and `scope` is Episode";
        assert_eq!(changed > 1e-5, claimed, "{}: {what}: {changed}", self.choice);
        let [_, views, way, _, frames, width] = one.support.dims();
        assert!([1, QUERIES].contains(&views), "{}: one view of the supports, or one for each query", self.choice);
        assert!((1..=SHOTS).contains(&shots), "{}: {shots} shots out of {SHOTS}", self.choice);
        let values = self.prototype.layout(&self.given).width();
        assert_eq!((way, frames, width), (WAY, FRAMES, values), "{}: the support's shape", self.choice);
        assert_eq!(one.query.dims(), [1, QUERIES, FRAMES, values], "{}: the query's shape", self.choice);
    }

    fn cost(&self) {
        let (given, values) = (self.given.width(), self.prototype.layout(&self.given).width());
        let costs = [self.prototype.support_cost([1, FRAMES, given]), self.prototype.query_cost([1, FRAMES, given])];
        let claimed = self.traits.costed;
        assert_eq!(costs.map(|cost| cost.is_some()), [claimed; 2], "{}: whether it says its cost", self.choice);
        if self.prototype.scope() < Scope::Episode {
            return;
        }
        let shape = [1, WAY, SHOTS, FRAMES, values];
        let cost = self.prototype.relate_cost([1, QUERIES, FRAMES, values], shape);
        assert_eq!(cost.is_some(), claimed, "{}: whether it says the cost of `relate`", self.choice);
        if let Some((_, shape)) = cost {
            let support = self.rewrite(self.episode(1)).support;
            assert_eq!(support.dims(), shape, "{}: the shape that `relate_cost` says", self.choice);
        }
    }
}

/// A module of which only the sizes matter must make no values: a plan is made on a machine that could not hold them.
fn sizes_alone<C: Component<Slot = dyn Prototype>>(options: &str) {
    struct WithValues(usize);
    impl ModuleVisitor for WithValues {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0 += usize::from(param.is_initialized());
        }
    }
    let mut context = BuildContext::new(1, Device::flex());
    context.sizes_only = true;
    let geometry = Geometry { blocks: BLOCKS, ..Geometry::clip_vit_b16() };
    let given = geometry.layout(&described::<C>(options).of_backbone());
    let context = context.with_sizes(geometry, FRAMES).with_given(given);
    let mut found = WithValues(0);
    Slot::new(built::<C>(options, &context)).visit(&mut found);
    assert_eq!(found.0, 0, "{}: tensors with values in a model of which only the sizes matter", choice::<C>(options));
}

#[cfg(test)]
mod tests {
    use super::super::caught;
    use super::*;
    use maclip_framework::slots::cost::Cost;

    /// Features as they are, with one mistake in what it says of itself.
    #[derive(Module, Debug)]
    struct Fake {
        #[module(skip)]
        mistake: Mistake,
    }

    /// A mistake, and the property that finds it.
    type Property = (Mistake, fn(&Subject));

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Mistake {
        None,
        MixesClips,
        ReadsTexts,
        ReadsNone,
        IsOfAClip,
        SaysAShape,
    }

    impl Prototype for Fake {
        fn scope(&self) -> Scope {
            if [Mistake::IsOfAClip, Mistake::SaysAShape].contains(&self.mistake) { Scope::Episode } else { Scope::Clip }
        }
        fn needs_text(&self) -> bool {
            self.mistake == Mistake::ReadsNone
        }
        fn support(&self, frames: Tensor<3>, text: Tensor<2>) -> Tensor<3> {
            match self.mistake {
                Mistake::ReadsTexts => frames + text.unsqueeze_dim(1),
                Mistake::MixesClips => frames.clone() + frames.mean_dim(0),
                _ => frames,
            }
        }
        fn query(&self, frames: Tensor<3>) -> Tensor<3> {
            frames
        }
        fn support_cost(&self, _: [usize; 3]) -> Option<Cost> {
            Some(Cost::NONE)
        }
        fn query_cost(&self, _: [usize; 3]) -> Option<Cost> {
            Some(Cost::NONE)
        }
        fn relate_cost(&self, _: [usize; 4], [n, w, k, t, e]: [usize; 5]) -> Option<(Cost, [usize; 6])> {
            let views = if self.mistake == Mistake::SaysAShape { 3 } else { 1 };
            Some((Cost::NONE, [n, views, w, k, t, e]))
        }
    }

    fn refused(mistake: Mistake, costed: bool, property: fn(&Subject)) -> bool {
        let prototype = Slot::new(Box::new(Fake { mistake }) as Box<dyn Prototype>);
        let traits = Traits { costed, ..Traits::default() };
        let given = Layout::of_feature(WIDTH);
        caught(|| property(&Subject { prototype, choice: "fake".to_owned(), traits, given }))
    }

    #[test]
    fn a_mistake_is_caught_by_its_property() {
        let properties: [Property; 6] = [
            (Mistake::MixesClips, Subject::a_clip_alone),
            (Mistake::MixesClips, Subject::other_clips),
            (Mistake::ReadsTexts, Subject::class_texts),
            (Mistake::ReadsNone, Subject::class_texts),
            (Mistake::IsOfAClip, Subject::other_clips),
            (Mistake::SaysAShape, Subject::cost),
        ];
        for (mistake, property) in properties {
            assert!(!refused(Mistake::None, true, property), "{mistake:?}: without it");
            assert!(refused(mistake, true, property), "{mistake:?}");
        }
        assert!(refused(Mistake::None, false, Subject::cost), "a wrong claim");
    }
}
