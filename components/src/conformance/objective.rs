//! What an objective must hold.

use super::tensors::{close, random, values};
use super::{built, choice, context, describes_its_text, scopes, variants};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::registry::Component;
use maclip_framework::slots::layout::{Layout, Part};
use maclip_framework::slots::objective::{AllClasses, FramesAndSentences, Labels, Objective, Scores};
use maclip_framework::slots::prototype::Related;

/// What an objective claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// Options that are tried in place of those of the registration.
    pub instead: Option<&'static str>,
    /// Parts of a frame that it reads, with shapes, behind the feature.
    pub parts: &'static [(Part, [usize; 2])],
    /// Names of the further distances that it reads.
    pub further: &'static [&'static str],
    /// What its recipe must have beside it, such as the prototype module that adds a part.
    pub with: &'static [(&'static str, &'static str)],
}

/// Holds the objective with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Objective>>(traits: Traits) {
    let layout =
        traits.parts.iter().fold(Layout::of_feature(WIDTH), |layout, (part, shape)| layout.with(*part, *shape));
    let tried = match traits.instead {
        Some(options) => [options].into_iter().chain(traits.also.iter().copied()).collect(),
        None => variants::<C>(traits.also),
    };
    for options in tried {
        let choice = choice::<C>(options);
        let objective = built::<C>(options, &context(1, WIDTH, 8).with_compared(layout.clone()));
        describes_its_text::<C>(options, objective.needs_text());
        let (values, further) = (layout.width(), traits.further);
        let subject = Subject { objective, choice: choice.clone(), values, further };
        subject.probabilities();
        subject.loss();
        subject.episodes();
        subject.what_is_read();
        subject.gradient();
        let changes: Vec<(&str, &str)> = traits.with.iter().copied().chain([("objective", &*choice)]).collect();
        scopes::evaluation_follows_them(&changes);
    }
}

/// N
const EPISODES: usize = 2;
/// Q
const QUERIES: usize = 4;
/// S
const SUPPORTS: usize = 6;
/// W
const WAY: usize = 3;
/// P
const SENTENCES: usize = 2;
/// C
const CLASSES: usize = 5;
/// T
const FRAMES: usize = 8;
/// E
const WIDTH: usize = 8;

struct Subject {
    objective: Box<dyn Objective>,
    choice: String,
    /// Values of a frame that is aligned.
    values: usize,
    /// Names of further distances.
    further: &'static [&'static str],
}

/// Distances within 0 and 1, also those of the names `further`, and all that an objective may ask for; a frame that is
/// aligned has `values` of them.
fn scores(seed: u64, values: usize, further: &[&'static str]) -> Scores {
    let cosines = |seed, shape| random::<3>(seed, shape).tanh();
    Scores {
        distances: sigmoid(random::<3>(seed, [EPISODES, QUERIES, WAY])),
        query_text: Some(cosines(seed + 1, [EPISODES, QUERIES, WAY])),
        support_text: Some(cosines(seed + 2, [EPISODES, SUPPORTS, WAY])),
        query_sentences: Some(random::<4>(seed + 6, [EPISODES, QUERIES, SENTENCES, WAY]).tanh()),
        frames: Some(FramesAndSentences {
            query: random(seed + 7, [EPISODES, QUERIES, FRAMES, values]),
            sentences: random(seed + 8, [EPISODES, WAY, SENTENCES, WIDTH]),
            texts: random(seed + 9, [EPISODES, WAY, WIDTH]),
            shots: SUPPORTS / WAY,
        }),
        further: (20..)
            .zip(further)
            .map(|(at, name)| (*name, sigmoid(random::<3>(seed + at, [EPISODES, QUERIES, WAY]))))
            .collect(),
        related: Some(Related {
            query: random(seed + 7, [EPISODES, QUERIES, FRAMES, values]),
            support: random(seed + 8, [EPISODES, 1, WAY, SUPPORTS / WAY, FRAMES, values]),
        }),
        all_classes: Some(AllClasses {
            frames: random(seed + 3, [EPISODES, QUERIES + SUPPORTS, FRAMES, WIDTH]),
            prototypes: random(seed + 5, [EPISODES, QUERIES + SUPPORTS, FRAMES, WIDTH]),
            given: random(seed + 3, [EPISODES, QUERIES + SUPPORTS, FRAMES, WIDTH]),
            compared: random(seed + 5, [EPISODES, QUERIES + SUPPORTS, FRAMES, values]),
            texts: random(seed + 4, [EPISODES, CLASSES, WIDTH]),
            labels: repeated(QUERIES + SUPPORTS, CLASSES),
        }),
    }
}

/// 0, 1, …, 0, 1, … below `classes`, `[N, count]`.
fn repeated(count: usize, classes: usize) -> Tensor<2, Int> {
    let labels: Vec<i32> = (0..EPISODES * count).map(|i| (i % count % classes) as i32).collect();
    Tensor::from_data(TensorData::new(labels, [EPISODES, count]), &Device::flex())
}

fn labels() -> Labels {
    Labels { query: repeated(QUERIES, WAY), support: repeated(SUPPORTS, WAY) }
}

/// One of the episodes alone.
fn episode(n: usize, scores: &Scores, labels: &Labels) -> (Scores, Labels) {
    let one = |tensor: &Tensor<3>| tensor.clone().narrow(0, n, 1);
    let labelled = |labels: &Tensor<2, Int>| labels.clone().narrow(0, n, 1);
    let all = scores.all_classes.as_ref();
    let scores = Scores {
        distances: one(&scores.distances),
        query_text: scores.query_text.as_ref().map(one),
        support_text: scores.support_text.as_ref().map(one),
        query_sentences: scores.query_sentences.clone().map(|each| each.narrow(0, n, 1)),
        frames: scores.frames.as_ref().map(|frames| FramesAndSentences {
            query: frames.query.clone().narrow(0, n, 1),
            sentences: frames.sentences.clone().narrow(0, n, 1),
            texts: one(&frames.texts),
            shots: frames.shots,
        }),
        further: scores.further.iter().map(|(name, distances)| (*name, one(distances))).collect(),
        related: scores.related.as_ref().map(|related| Related {
            query: related.query.clone().narrow(0, n, 1),
            support: related.support.clone().narrow(0, n, 1),
        }),
        all_classes: all.map(|all| AllClasses {
            frames: all.frames.clone().narrow(0, n, 1),
            prototypes: all.prototypes.clone().narrow(0, n, 1),
            given: all.given.clone().narrow(0, n, 1),
            compared: all.compared.clone().narrow(0, n, 1),
            texts: one(&all.texts),
            labels: labelled(&all.labels),
        }),
    };
    (scores, Labels { query: labelled(&labels.query), support: labelled(&labels.support) })
}

impl Subject {
    fn scores(&self, seed: u64) -> Scores {
        scores(seed, self.values, self.further)
    }

    /// The loss of scores.
    fn total(&self, scores: &Scores, labels: &Labels) -> f32 {
        let total = self.objective.loss(scores, labels).total;
        assert_eq!(total.dims(), [1], "{}: the loss is one number", self.choice);
        values(total)[0]
    }

    /// What the objective gets in a run: texts and all classes only where it asks for them.
    fn given(&self, scores: Scores) -> Scores {
        let text = self.objective.needs_text();
        Scores {
            query_text: scores.query_text.filter(|_| text),
            support_text: scores.support_text.filter(|_| text),
            query_sentences: scores.query_sentences.filter(|_| self.objective.needs_sentences()),
            frames: scores.frames.filter(|_| self.objective.needs_frames()),
            related: scores.related.filter(|_| self.objective.needs_related()),
            all_classes: scores.all_classes.filter(|_| self.objective.all_classes()),
            ..scores
        }
    }

    fn probabilities(&self) {
        // A test gives neither the supports' texts nor all classes.
        let tested = Scores { support_text: None, related: None, all_classes: None, ..self.given(self.scores(1)) };
        let probabilities = self.objective.probabilities(&tested);
        assert_eq!(probabilities.dims(), [EPISODES, QUERIES, WAY], "{}: a row for each query", self.choice);
        for row in values(probabilities).chunks(WAY) {
            let sum: f32 = row.iter().sum();
            let fit = row.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-5;
            assert!(fit, "{}: probabilities of the classes are 1 in sum: {row:?}", self.choice);
        }
    }

    fn loss(&self) {
        let loss = self.objective.loss(&self.given(self.scores(1)), &labels());
        let parts = loss.parts.iter().map(|(name, part)| (*name, values(part.clone())));
        let parts: Vec<(&str, Vec<f32>)> = parts.chain([("total", values(loss.total.clone()))]).collect();
        for (at, (name, value)) in parts.iter().enumerate() {
            let number = value.len() == 1 && value[0].is_finite();
            assert!(number, "{}: part `{name}` of the loss is a finite number: {value:?}", self.choice);
            let new = parts[..at].iter().all(|(other, _)| other != name);
            assert!(new, "{}: part `{name}` of the loss is named once", self.choice);
        }
        assert!(parts.len() > 1, "{}: the loss has at least one named part", self.choice);
    }

    /// The loss is the mean over episodes, and nothing of one is in the probabilities of another.
    fn episodes(&self) {
        let (scores, labels) = (self.given(self.scores(1)), labels());
        let each = [0, 1].map(|n| {
            let (scores, labels) = episode(n, &scores, &labels);
            (self.total(&scores, &labels), values(self.objective.probabilities(&scores)))
        });
        let (total, mean) = (self.total(&scores, &labels), (each[0].0 + each[1].0) / 2.0);
        assert!(close(&[total], &[mean], 1e-5), "{}: the loss is the mean over episodes: {total} {mean}", self.choice);
        let all = values(self.objective.probabilities(&scores));
        let alone = [&each[0].1[..], &each[1].1[..]].concat();
        assert!(close(&all, &alone, 1e-6), "{}: a prediction depends on the other episode", self.choice);
    }

    /// `needs_text`, `needs_sentences`, `needs_frames` and `all_classes` are exactly what counts.
    fn what_is_read(&self) {
        let (one, other) = (self.scores(1), self.scores(11));
        let outcome = |scores: &Scores| {
            let probabilities = values(self.objective.probabilities(scores));
            [&[self.total(scores, &labels())], &probabilities[..]].concat()
        };
        let counts = |changed: Scores| !close(&outcome(&changed), &outcome(&one), 1e-6);
        let texts =
            Scores { query_text: other.query_text.clone(), support_text: other.support_text.clone(), ..one.clone() };
        let all = Scores { all_classes: other.all_classes.clone(), ..one.clone() };
        let mut all_texts = one.clone();
        if let (Some(all), Some(other)) = (&mut all_texts.all_classes, &other.all_classes) {
            all.texts = other.texts.clone();
        }
        let related = counts(Scores { related: other.related.clone(), ..one.clone() });
        let claimed = self.objective.needs_related();
        assert_eq!(related, claimed, "{}: whether what is aligned counts, and `needs_related`", self.choice);
        let sentences = Scores { query_sentences: other.query_sentences.clone(), ..one.clone() };
        let sentences = counts(sentences);
        assert_eq!(sentences, self.objective.needs_sentences(), "{}: whether each sentence counts", self.choice);
        let frames = counts(Scores { frames: other.frames.clone(), ..one.clone() });
        assert_eq!(frames, self.objective.needs_frames(), "{}: whether frames and sentences count", self.choice);
        let (texts, all, all_texts) = (sentences || frames || counts(texts), counts(all), counts(all_texts));
        let needs_text = self.objective.needs_text();
        assert_eq!(texts || all_texts, needs_text, "{}: whether class texts count, and `needs_text`", self.choice);
        let claimed = self.objective.all_classes();
        assert_eq!(all, claimed, "{}: whether all training classes count, and `all_classes`", self.choice);
    }

    /// The loss can be trained on: it has a finite gradient with respect to the distances or the texts.
    fn gradient(&self) {
        let device = Device::flex().autodiff();
        let tracked = |tensor: Tensor<3>| Tensor::<3>::from_data(tensor.into_data(), &device).require_grad();
        let given = self.given(self.scores(1));
        let (distances, query) = (tracked(given.distances.clone()), given.query_text.clone().map(tracked));
        let scores = Scores { distances: distances.clone(), query_text: query.clone(), ..given };
        let grads = self.objective.loss(&scores, &labels()).total.backward();
        let gradients = [distances.grad(&grads), query.and_then(|query| query.grad(&grads))];
        let gradients: Vec<f32> = gradients.into_iter().flatten().flat_map(values).collect();
        let fit = gradients.iter().all(|g| g.is_finite()) && gradients.iter().any(|g| *g != 0.0);
        assert!(fit, "{}: the gradient of the loss is finite and not 0: {gradients:?}", self.choice);
    }
}

#[cfg(test)]
mod tests {
    use super::super::caught;
    use super::*;
    use burn::module::Module;
    use burn::tensor::activation::softmax;
    use maclip_framework::slots::objective::Loss;

    /// The mean distance as loss, with one mistake.
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
        AddsUpEpisodes,
        ReadsTexts,
        WantsSentences,
        WantsAllClasses,
        NamesAPartTwice,
        PredictsDistances,
        ForgetsTheGradient,
    }

    impl Objective for Fake {
        fn needs_text(&self) -> bool {
            false
        }
        fn needs_sentences(&self) -> bool {
            self.mistake == Mistake::WantsSentences
        }
        fn all_classes(&self) -> bool {
            self.mistake == Mistake::WantsAllClasses
        }
        fn loss(&self, scores: &Scores, _: &Labels) -> Loss {
            let distances = scores.distances.clone();
            let total = match (self.mistake, &scores.query_text) {
                (Mistake::AddsUpEpisodes, _) => distances.sum(),
                (Mistake::ReadsTexts, Some(text)) => (distances + text.clone()).mean(),
                (Mistake::ForgetsTheGradient, _) => distances.detach().mean(),
                _ => distances.mean(),
            };
            let parts = if self.mistake == Mistake::NamesAPartTwice { 2 } else { 1 };
            Loss { parts: vec![("q2s", total.clone()); parts], total }
        }
        fn probabilities(&self, scores: &Scores) -> Tensor<3> {
            match self.mistake {
                Mistake::PredictsDistances => scores.distances.clone(),
                _ => softmax(scores.distances.clone().neg(), 2),
            }
        }
    }

    #[test]
    fn a_mistake_is_caught_by_its_property() {
        let properties: [Property; 7] = [
            (Mistake::AddsUpEpisodes, Subject::episodes),
            (Mistake::ReadsTexts, Subject::what_is_read),
            (Mistake::WantsSentences, Subject::what_is_read),
            (Mistake::WantsAllClasses, Subject::what_is_read),
            (Mistake::NamesAPartTwice, Subject::loss),
            (Mistake::PredictsDistances, Subject::probabilities),
            (Mistake::ForgetsTheGradient, Subject::gradient),
        ];
        for (mistake, property) in properties {
            let refused = |mistake| {
                let objective = Box::new(Fake { mistake });
                caught(|| property(&Subject { objective, choice: "fake".to_owned(), values: WIDTH, further: &[] }))
            };
            assert!(!refused(Mistake::None), "{mistake:?}: without it");
            assert!(refused(mistake), "{mistake:?}");
        }
    }
}
