//! The few-shot model: its components as fields, and the forward pass of an episode.

use crate::error::{Error, Result};
use crate::model::parameters::{self, with_graph_strategy, with_stable_ids};
use crate::profile::{self, Phase};
use crate::recipe::Recipe;
use crate::registry::{BuildContext, SlotTrait};
use crate::slots::Scope;
use crate::slots::adapter::{Adapter, Branch, TowerPart};
use crate::slots::alignment::{Aligned, Alignment};
use crate::slots::backbone::{Backbone, TextPrefix};
use crate::slots::cost::Cost;
use crate::slots::explanation::normalize;
use crate::slots::layout::{Layout, Part};
use crate::slots::module::Slot;
use crate::slots::objective::{AllClasses, FramesAndSentences, Objective, Scores};
use crate::slots::prompt::{Average, Prompt};
use crate::slots::prototype::{EpisodeFeatures, Prototype, Related};
use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

/// Backbone, adapter, prototype, alignment and objective as one burn module.
///
/// Frozen weights are on the device without autodiff, trainable ones on the same device with it. So everything below
/// the first trainable layer runs without a graph.
///
/// Dimensions: B clips, T frames, E features of a frame, F values of a frame's prefix, S support clips, Q queries, W
/// classes (way), K shots, N episodes.
#[derive(Module, Debug)]
pub struct FewShotModel {
    /// Frames → features, and class texts → features.
    pub backbone: Slot<dyn Backbone>,
    /// Trainable parts inside the backbone.
    pub adapter: Slot<dyn Adapter>,
    /// Frame features → the features that are compared.
    pub prototype: Slot<dyn Prototype>,
    /// Distances between queries and classes.
    pub alignment: Slot<dyn Alignment>,
    /// Distances and texts → loss and probabilities.
    pub objective: Slot<dyn Objective>,
}

/// Frame features of the support clips (or of the queries) of one episode.
#[derive(Clone)]
pub struct Encoded {
    /// Features before the prototype module, `[S, T, E]` (or `[Q, T, E]`).
    pub frames: Tensor<3>,
    /// All values that the backbone hands out, which begin with the features: `[S, T, F]`.
    pub given: Tensor<3>,
    /// All values after the prototype module, `[S, T, E]` where nothing reads more than features.
    pub prototypes: Tensor<3>,
}

impl FewShotModel {
    /// Builds the components that `recipe` chooses, for clips of `frames` frames.
    ///
    /// # Errors
    /// Where a component cannot be built, the backbone has no trained weights or cannot use the recipe's precision, or
    /// a component reads class texts and the backbone has no text tower.
    pub fn build(recipe: &Recipe, context: &BuildContext, frames: usize) -> Result<Self> {
        let mut backbone = Slot::new(recipe.build::<dyn Backbone>(context)?);
        let context = context.with_sizes(backbone.geometry().clone(), frames);
        let adapter: Box<dyn Adapter> = recipe.build(&context)?;
        if parameters::count(&backbone).trainable > 0 {
            return Err(Error::failed(
                "the backbone's weights are to be trained from scratch, and this task starts from trained ones",
            )
            .at(recipe.place("backbone.weights"))
            .help("give `backbone.weights` a checkpoint; `task: {type: contrastive}` makes one from random weights"));
        }
        backbone.tune(&|part| adapter.tunes(part));
        backbone.lower(context.precision).map_err(|error| error.at(recipe.place("precision")))?;
        backbone.hand_out(&recipe.parts).map_err(|error| error.at(recipe.place("backbone")))?;
        let joint = recipe.parts.iter().any(|part| matches!(part, Part::Joint(_)));
        if joint && (adapter.tunes(TowerPart::FinalNorm) || adapter.tunes(TowerPart::Projection)) {
            return Err(Error::failed("a component reads tokens in the joint embedding, whose map the adapter trains")
                .at(recipe.place("adapter"))
                .help("choose an adapter that leaves the last norm and the projection frozen"));
        }
        let given = backbone.geometry().layout(backbone.handed_out());
        let context = context.with_given(given.clone()).with_read(&recipe.read_parts());
        let prototype = Slot::new(recipe.build::<dyn Prototype>(&context)?);
        let around = recipe.parts_of(<dyn Alignment>::NAME);
        let compared = with_parts(prototype.layout(&given), &given, &around);
        let context = context.with_compared(compared.clone());
        let model = Self {
            adapter: Slot::new(adapter),
            alignment: Slot::new(recipe.build(&context)?),
            objective: Slot::new(recipe.build(&context)?),
            prototype,
            backbone,
        };
        if model.compared() != compared {
            return Err(Error::failed("the alignment reads other parts of a frame than its `describe` says")
                .at(recipe.place(<dyn Alignment>::NAME)));
        }
        if model.carries() && model.prototype.scope() == Scope::Episode {
            return Err(Error::failed("the alignment reads parts of a frame that the prototype module leaves out")
                .at(recipe.place(<dyn Alignment>::NAME))
                .help("a prototype module that looks at several clips passes on its own values alone: choose `none`"));
        }
        if model.needs_text() && !model.backbone.geometry().has_text_tower() {
            return Err(Error::failed("the recipe reads class texts, but its backbone has no text tower")
                .at(recipe.place("backbone"))
                .help(
                    "choose a CLIP backbone, or an adapter, prototype and objective (such as `metric`) that read no \
                     text",
                ));
        }
        if model.trains_texts() && !model.prototype.needs_text() && !model.objective.needs_text() {
            return Err(Error::failed("the adapter changes the text tower, and no component reads class texts")
                .at(recipe.place("adapter"))
                .help("choose an objective that reads them, such as `product`, or leave the text tower as it is"));
        }
        if model.trains_texts() && model.adapter.needs_text() {
            return Err(Error::failed("the adapter reads class texts in the image tower and changes the text tower")
                .at(recipe.place("adapter"))
                .help(
                    "the class texts of an episode are known before its clips are encoded, so it can do one of these",
                ));
        }
        if context.sizes_only {
            // The weights are not needed, so they are not computed.
            return Ok(model);
        }
        Ok(with_stable_ids(with_graph_strategy(model, context.graph_strategy())))
    }

    /// The model as its first training step finds it, with what components take from the backbone to begin with.
    ///
    /// # Errors
    /// As [`Prototype::start`].
    pub fn begun(mut self) -> Result<Self> {
        self.prototype.start(&*self.backbone)?;
        Ok(self)
    }

    /// Whether the adapter, the prototype module or the objective reads class texts.
    pub fn needs_text(&self) -> bool {
        self.adapter.needs_text() || self.prototype.needs_text() || self.objective.needs_text()
    }

    /// Whether the adapter changes the text tower, so that class texts are trained.
    pub fn trains_texts(&self) -> bool {
        let blocks = self.backbone.geometry().text.map_or(0, |text| text.blocks);
        (0..blocks).any(|index| self.adapter.adapts_text(index))
    }

    /// `texts` as the weights of now make them: those of a trained text tower are computed anew, with a graph where its
    /// weights have one.
    pub fn current_texts(&self, texts: ClassTexts) -> ClassTexts {
        let (Some(prefix), Some(tower)) = (&texts.adapted, self.backbone.adaptable_text()) else { return texts };
        let _span = profile::span(Phase::Texts);
        let features = tower.encode_prefix(prefix, &*self.adapter);
        let [classes, _, width] = features.dims();
        let mean = texts.average.of(features.clone()).reshape([classes, width]);
        ClassTexts { mean, sentences: self.reads_sentences().then_some(features), ..texts }
    }

    /// Whether the objective reads the sentences of a class by themselves.
    fn reads_sentences(&self) -> bool {
        self.objective.needs_sentences() || self.objective.needs_frames()
    }

    /// Normalised pixels `[B, T, 3, H, W]` → prefixes `[B, T, F]`: the output of the frozen part of the backbone, below
    /// the first trainable layer. It is the same for support clips and queries.
    pub fn prefix(&self, pixels: Tensor<5>) -> Tensor<3> {
        let _span = profile::span(Phase::Encode);
        self.backbone.prefix(pixels, &*self.adapter)
    }

    /// Prefixes `[B, T, F]` → frame features `[B, T, E]`, by the rest of the backbone with the adapter.
    pub fn encode(&self, prefix: Tensor<3>, branch: &Branch) -> Tensor<3> {
        let _span = profile::span(Phase::Encode);
        self.backbone.encode(prefix, &*self.adapter, branch)
    }

    /// One step of [`FewShotModel::encode`], see [`Backbone::encode_step`].
    pub fn encode_step(&self, step: usize, x: Tensor<3>, branch: &Branch) -> Tensor<3> {
        let _span = profile::span(Phase::Encode);
        self.backbone.encode_step(step, x, &*self.adapter, branch)
    }

    /// The values of a frame that the backbone hands out.
    pub fn given(&self) -> Layout {
        self.backbone.geometry().layout(self.backbone.handed_out())
    }

    /// The values of a frame after the prototype module, with those parts of the backbone behind them that the
    /// alignment reads and the module leaves out.
    pub fn compared(&self) -> Layout {
        let given = self.given();
        with_parts(self.prototype.layout(&given), &given, &self.alignment.reads())
    }

    /// Whether parts of the backbone go around the prototype module to the alignment.
    fn carries(&self) -> bool {
        self.compared() != self.prototype.layout(&self.given())
    }

    /// How many values of a frame the prototype module gets.
    pub fn prototype_width(&self) -> usize {
        let given = self.given();
        if self.prototype.reads().is_empty() { given.feature_width() } else { given.width() }
    }

    /// How many values of a frame the alignment gets.
    pub fn alignment_width(&self) -> usize {
        let compared = self.compared();
        if self.alignment.reads().is_empty() { compared.feature_width() } else { compared.width() }
    }

    /// The prototype module on support clips: frames `[S, T, F]` with the class text of each clip `[S, E]`.
    pub fn support_prototypes(&self, frames: Tensor<3>, text: Tensor<2>) -> Encoded {
        self.rewritten(frames, |frames| self.prototype.support(frames, text))
    }

    /// The prototype module on queries: frames `[Q, T, F]`.
    pub fn query_prototypes(&self, frames: Tensor<3>) -> Encoded {
        self.rewritten(frames, |frames| self.prototype.query(frames))
    }

    /// Without the parts at the end that only a loss reads: what a test keeps of prototypes `[…, F]`.
    pub fn tested<const D: usize>(&self, prototypes: Tensor<D>) -> Tensor<D> {
        let compared = self.compared();
        let whole = self.prototype.scope() == Scope::Episode || self.objective.needs_frames();
        if compared.is_plain() || whole {
            return prototypes;
        }
        let reads = self.alignment.reads();
        let (mut end, mut kept) = (compared.feature_width(), compared.feature_width());
        for (part, [rows, width]) in compared.parts() {
            end += rows * width;
            kept = if reads.contains(part) { end } else { kept };
        }
        prototypes.narrow(D - 1, 0, kept)
    }

    fn rewritten(&self, given: Tensor<3>, rewrite: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Encoded {
        let _span = profile::span(Phase::Prototype);
        let layout = self.given();
        let frames = layout.feature(given.clone());
        let prototypes = rewrite(if self.prototype.reads().is_empty() { frames.clone() } else { given.clone() });
        let own = self.prototype.layout(&layout);
        let around = self.alignment.reads().into_iter().filter(|part| !own.has(*part) && layout.has(*part));
        let around: Vec<Tensor<3>> = around.map(|part| layout.part(part, given.clone())).collect();
        let prototypes = match around.is_empty() {
            true => prototypes,
            false => Tensor::cat([vec![prototypes], around].concat(), 2),
        };
        Encoded { frames, given, prototypes }
    }

    /// Prefixes of one episode → frame features of its support clips `[S, T, E]` and queries `[Q, T, E]`. `support` is
    /// `[S, T, F]`, `text` the class text of each support clip `[S, E]`, `query` `[Q, T, F]`.
    pub fn episode(&self, support: Tensor<3>, text: Tensor<2>, query: Tensor<3>) -> (Tensor<3>, Tensor<3>) {
        if self.adapter.scope() < Scope::Episode {
            return (self.encode(support, &Branch::Support { text: &text }), self.encode(query, &Branch::Query));
        }
        let (supports, queries) = (support.dims()[0], query.dims()[0]);
        let frames = self.encode(Tensor::cat(vec![support, query], 0), &Branch::Episode { text: &text });
        (frames.clone().narrow(0, 0, supports), frames.narrow(0, supports, queries))
    }

    /// Distances of queries `[N, Q, T, E]` to classes with supports `[N, W, K, T, E]` and class texts
    /// `[N, W, E]`. The features come from [`FewShotModel::query_prototypes`] and [`FewShotModel::support_prototypes`].
    pub fn align(&self, query: Tensor<4>, support: Tensor<5>, text: Tensor<3>) -> Aligned {
        let _span = profile::span(Phase::Align);
        self.align_related(self.relate(query, support, text))
    }

    /// The distances of what [`FewShotModel::relate`] returned.
    pub fn align_related(&self, related: Related) -> Aligned {
        let ([n, q, _, _], w) = (related.query.dims(), related.support.dims()[2]);
        let (query, support) = self.episodes(related);
        let Aligned { distances, further } = self.alignment.aligned(query, support);
        let further = further.into_iter().map(|(name, distances)| (name, distances.reshape([n, q, w])));
        Aligned { distances: distances.reshape([n, q, w]), further: further.collect() }
    }

    /// Queries `[N, Q, T, E]` and supports `[N, W, K, T, E]` after [`Prototype::relate`], where the prototype module
    /// has it.
    pub fn relate(&self, query: Tensor<4>, support: Tensor<5>, text: Tensor<3>) -> Related {
        match self.prototype.scope() {
            Scope::Episode => self.prototype.relate(EpisodeFeatures { query, support, text }),
            _ => Related { query, support: support.unsqueeze_dim(1) },
        }
    }

    /// The input of the alignment in [`FewShotModel::align`]: queries and supports after [`Prototype::relate`].
    ///
    /// `[N, Q, T, E]` and `[N, W, K, T, E]` as before; or, where each query has prototypes of its own, N · Q episodes
    /// with one query each: `[N · Q, 1, T, E]` and `[N · Q, W, K, T, E]`.
    pub fn related(&self, query: Tensor<4>, support: Tensor<5>, text: Tensor<3>) -> (Tensor<4>, Tensor<5>) {
        self.episodes(self.relate(query, support, text))
    }

    /// See [`FewShotModel::related`].
    fn episodes(&self, related: Related) -> (Tensor<4>, Tensor<5>) {
        let compared = self.compared();
        let related = match self.alignment.reads().is_empty() {
            true => Related { query: compared.feature(related.query), support: compared.feature(related.support) },
            false => related,
        };
        let [n, q, t, e] = related.query.dims();
        let [_, views, w, k, ts, _] = related.support.dims();
        if views == 1 {
            return (related.query, related.support.squeeze_dim(1));
        }
        (related.query.reshape([n * q, 1, t, e]), related.support.reshape([n * q, w, k, ts, e]))
    }

    /// Cost of [`Prototype::relate`] and of [`Alignment::distances`] in [`FewShotModel::align`], for queries
    /// `[N, Q, T, E]` and supports `[N, W, K, T, E]`. `None` where the component does not report it.
    pub fn align_cost(&self, query: [usize; 4], support: [usize; 5]) -> (Option<Cost>, Option<Cost>) {
        let width = self.alignment_width();
        if self.prototype.scope() < Scope::Episode {
            return (Some(Cost::NONE), self.alignment.cost(narrowed(query, width), narrowed(support, width)));
        }
        let Some((related, shape)) = self.prototype.relate_cost(query, support) else { return (None, None) };
        let ([n, q, t, _], [_, views, w, k, ts, _]) = (query, shape);
        let e = width;
        let aligned = if views == 1 {
            self.alignment.cost([n, q, t, e], [n, w, k, ts, e])
        } else {
            self.alignment.cost([n * q, 1, t, e], [n * q, w, k, ts, e])
        };
        (Some(related), aligned)
    }

    /// What [`Objective::all_classes`] asks for, of one episode: clips, queries first, with the `texts` `[C, E]` of all
    /// training classes, and the position of each clip's class among them, `labels` `[1, Q + S]`.
    pub fn all_classes(
        &self,
        support: &Encoded,
        query: &Encoded,
        texts: Tensor<2>,
        labels: Tensor<2, Int>,
    ) -> AllClasses {
        let both = |query: &Tensor<3>, support: &Tensor<3>| {
            Tensor::cat(vec![query.clone(), support.clone()], 0).unsqueeze::<4>()
        };
        let compared = both(&query.prototypes, &support.prototypes);
        AllClasses {
            frames: both(&query.frames, &support.frames),
            prototypes: self.compared().feature(compared.clone()),
            given: both(&query.given, &support.given),
            compared,
            texts: texts.unsqueeze(),
            labels,
        }
    }

    /// Distances and text similarities of one episode. Support clips are ordered by class, `shot` of each; `class_text`
    /// has its W classes.
    pub fn scores(&self, support: Encoded, query: Encoded, class_text: ClassTexts, shot: usize) -> Scores {
        let [clips, t, e] = support.prototypes.dims();
        let way = clips / shot;
        let text: Tensor<3> = class_text.mean.unsqueeze();
        let queries: Tensor<4> = query.prototypes.unsqueeze();
        let sentences = class_text.sentences.clone().map(Tensor::unsqueeze);
        let frames = self.frames_and_sentences(&queries, &text, sentences.as_ref(), shot);
        let related = self.relate(queries, support.prototypes.reshape([1, way, shot, t, e]), text.clone());
        let kept = self.objective.needs_related().then(|| related.clone());
        let aligned = {
            let _span = profile::span(Phase::Align);
            self.align_related(related)
        };
        let texts = |frames: Tensor<3>| text_cosines(time_average(frames).unsqueeze(), text.clone());
        let needed = self.objective.needs_text();
        let each = |each: Tensor<3>| sentence_cosines(time_average(query.frames.clone()).unsqueeze(), each.unsqueeze());
        Scores {
            frames,
            query_sentences: class_text.sentences.filter(|_| self.objective.needs_sentences()).map(each),
            query_text: needed.then(|| texts(query.frames)),
            support_text: needed.then(|| texts(support.frames)),
            related: kept,
            ..Scores::aligned(aligned)
        }
    }
}

impl FewShotModel {
    /// [`Scores::frames`] of queries `[N, Q, T, F]` after the prototype module, class texts `[N, W, E]` and sentences
    /// `[N, W, P, E]`, where the objective reads them.
    pub fn frames_and_sentences(
        &self,
        query: &Tensor<4>,
        texts: &Tensor<3>,
        sentences: Option<&Tensor<4>>,
        shots: usize,
    ) -> Option<FramesAndSentences> {
        let sentences = sentences.filter(|_| self.objective.needs_frames())?.clone();
        Some(FramesAndSentences { query: query.clone(), sentences, texts: texts.clone(), shots })
    }
}

/// `layout` with those of `parts` behind it that `given` has and it has not.
fn with_parts(layout: Layout, given: &Layout, parts: &[Part]) -> Layout {
    let lacking = given.parts().iter().filter(|(part, _)| parts.contains(part) && !layout.has(*part));
    lacking.fold(layout.clone(), |all, (part, shape)| all.with(*part, *shape))
}

/// The shape with `width` in its last place.
fn narrowed<const D: usize>(mut shape: [usize; D], width: usize) -> [usize; D] {
    shape[D - 1] = width;
    shape
}

/// Mean over the frames: `[B, T, E]` → `[B, E]`.
pub fn time_average(frames: Tensor<3>) -> Tensor<2> {
    frames.mean_dim(1).squeeze_dim(1)
}

/// Cosines of clip features `[N, M, E]` and class texts `[N, W, E]` → `[N, M, W]`.
pub fn text_cosines(clips: Tensor<3>, texts: Tensor<3>) -> Tensor<3> {
    normalize(clips).matmul(normalize(texts).swap_dims(1, 2))
}

/// Cosines of clip features `[N, M, E]` and the P sentences of each class `[N, W, P, E]` → `[N, M, P, W]`.
pub fn sentence_cosines(clips: Tensor<3>, sentences: Tensor<4>) -> Tensor<4> {
    let [n, w, p, e] = sentences.dims();
    let m = clips.dims()[1];
    text_cosines(clips, sentences.reshape([n, w * p, e])).reshape([n, m, w, p]).swap_dims(2, 3)
}

/// Text features of C classes.
#[derive(Clone, Debug)]
pub struct ClassTexts {
    /// Of each class, `[C, E]`. A class with one sentence has the features of that sentence, not normalised; a class
    /// with several has the mean of their unit vectors. Zeros where no part of the model reads class texts.
    pub mean: Tensor<2>,
    /// Of each of a class' P sentences, `[C, P, E]`; given if [`Objective::needs_sentences`] or
    /// [`Objective::needs_frames`].
    pub sentences: Option<Tensor<3>>,
    /// What they are computed from, where the adapter changes the text tower: see [`FewShotModel::current_texts`].
    pub adapted: Option<TextPrefix>,
    /// How `mean` comes of the sentences.
    pub average: Average,
}

impl ClassTexts {
    /// Class texts `[C, E]` alone.
    pub fn of(mean: Tensor<2>) -> Self {
        Self { mean, sentences: None, adapted: None, average: Average::default() }
    }

    /// Those of the classes `rows`, in this order.
    pub fn select(&self, rows: &[usize]) -> Self {
        let device = self.mean.device();
        let adapted = self.adapted.as_ref().map(|adapted| adapted.select(rows));
        let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
        let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &device);
        Self {
            mean: self.mean.clone().select(0, rows.clone()),
            sentences: self.sentences.clone().map(|sentences| sentences.select(0, rows)),
            adapted,
            average: self.average,
        }
    }

    /// The same on `device`.
    pub fn to_device(&self, device: &Device) -> Self {
        Self {
            mean: self.mean.clone().to_device(device),
            sentences: self.sentences.clone().map(|sentences| sentences.to_device(device)),
            adapted: self.adapted.as_ref().map(|adapted| adapted.to_device(device)),
            average: self.average,
        }
    }
}

/// Text features of C class names.
///
/// # Errors
/// Where the backbone cannot encode a sentence: it has no text tower, or the sentence is too long for it. Where the
/// objective reads sentences and two classes have different numbers of them.
pub fn class_texts(model: &FewShotModel, prompt: &dyn Prompt, names: &[&str], device: &Device) -> Result<ClassTexts> {
    let geometry = model.backbone.geometry();
    if !model.needs_text() {
        return Ok(ClassTexts::of(Tensor::zeros([names.len(), geometry.embed_dim], device)));
    }
    let sentences = names.iter().map(|name| prompt.sentences(name)).collect::<Result<Vec<_>>>()?;
    if let Some(wanted) = model.objective.sentences()
        && let Some(at) = sentences.iter().position(|each| each.len() != wanted)
    {
        return Err(Error::failed(format!(
            "the objective reads {wanted} sentences of each class, and class {:?} has {}",
            names[at],
            sentences[at].len()
        ))
        .help("choose a `prompt` that writes so many sentences for every class, or another number in `objective`"));
    }
    let average = prompt.average();
    if model.trains_texts()
        && let Some(tower) = model.backbone.adaptable_text()
    {
        let prefix = tower.text_prefix(&sentences, &*model.adapter)?;
        let empty = ClassTexts::of(Tensor::zeros([names.len(), geometry.embed_dim], device));
        let texts = model.current_texts(ClassTexts { adapted: Some(prefix), average, ..empty });
        return Ok(ClassTexts { mean: plain(texts.mean), sentences: texts.sentences.map(plain), ..texts });
    }
    let of_classes = sentences
        .iter()
        .map(|sentences| {
            let features = model.backbone.encode_texts(sentences)?;
            Ok(plain(features))
        })
        .collect::<Result<Vec<Tensor<2>>>>()?;
    let mean = |features: &Tensor<2>| average.of(features.clone());
    let mean = Tensor::cat(of_classes.iter().map(mean).collect(), 0);
    if !model.reads_sentences() {
        return Ok(ClassTexts::of(mean));
    }
    let counts: Vec<usize> = of_classes.iter().map(|features| features.dims()[0]).collect();
    if let Some(other) = counts.iter().position(|count| *count != counts[0]) {
        return Err(Error::failed(format!(
            "the objective compares clips with each sentence, and class {:?} has {} of them and {:?} has {}",
            names[0], counts[0], names[other], counts[other]
        ))
        .help("choose a `prompt` that writes the same number of sentences for every class"));
    }
    Ok(ClassTexts { sentences: Some(Tensor::stack(of_classes, 0)), ..ClassTexts::of(mean) })
}

/// The same without a graph.
fn plain<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    if tensor.is_autodiff() { tensor.inner() } else { tensor }
}
