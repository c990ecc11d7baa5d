//! `contrastive`: pre-trains an image-text CLIP on single captioned images.
//!
//! Source: CLIP (arXiv 2103.00020), figure 3: symmetric cross-entropy over the cosines of a batch, learned temperature.
//! The held-out figure is retrieval: recall@1 of the right caption among those of a gallery, mean of both directions.
//! Where the dataset asks questions on its images, `zero_shot.json` has the share of right answers by what the question
//! is about.

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_framework::clips::loader::normalized;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::task::Task;
use maclip_framework::engine::training::{Learner, Loop, LoopOptions, StepOutput, Stepper, Validation};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::sha256;
use maclip_framework::images::resize_crop_rgb;
use maclip_framework::model::gradients::{gradient_norms, sum_gradients};
use maclip_framework::model::parameters::{self, Params};
use maclip_framework::model::plan::{Flops, Memory, MemoryPart, Plan, Step, Total};
use maclip_framework::profile::{self, Phase};
use maclip_framework::progress::stop_requested;
use maclip_framework::random::{Rng, Stream};
use maclip_framework::recipe::Recipe;
use maclip_framework::recipe::compute::Compute;
use maclip_framework::recipe::expectation::{TestResult, mean_ci95};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::Scope;
use maclip_framework::slots::adapter::{Adapter, Branch};
use maclip_framework::slots::backbone::{Backbone, Geometry, Precision};
use maclip_framework::slots::cost::Cost;
use maclip_framework::slots::dataset::{CaptionedImages, Dataset, Question, Split};
use maclip_framework::slots::explanation::normalize;
use maclip_framework::slots::module::{Slot, on_graph};
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::schedule::Schedule;
use maclip_language::{Diagnostic, codes};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

/// Parts of a batch that are encoded at the same time, each with a graph on a thread of its own, and joined in the
/// loss.
const SHARDS: usize = 2;

/// Options of contrastive pre-training.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Contrastive {
    /// Image-caption pairs of a step.
    #[schemars(range(min = 2, max = 65_536))]
    batch_size: usize,
    /// Share of the steps in which a few words of each caption are spelled letter by letter, so that the model learns
    /// spelled words too. All captions of such a step are treated so, because one long text makes its whole batch long.
    #[schemars(range(min = 0.0, max = 1.0))]
    spell: f64,
    train: LoopOptions,
    /// Number of held-out pairs for the validation, and for the test. They are split into galleries of `gallery` pairs.
    held_out: usize,
    /// Number of captions among which the right one must be found.
    #[schemars(range(min = 2, max = 100_000))]
    gallery: usize,
}

impl Default for Contrastive {
    fn default() -> Self {
        Self { batch_size: 128, spell: 0.15, train: LoopOptions::default(), held_out: 2000, gallery: 100 }
    }
}

register!(dyn Task, Contrastive, name: "contrastive", summary: "pre-trains an image-text CLIP on single captioned images",
    paper: Some("CLIP, arXiv 2103.00020, figure 3"), stability: Stable, usage: "{batch_size: 128}");

/// Slots that the task reads; a recipe that fills any other is refused.
const SLOTS: &[&str] = &["dataset", "backbone", "optimizer", "schedule"];

impl Component for Contrastive {
    type Slot = dyn Task;

    fn validate(&self, problems: &mut Problems) {
        problems.when(self.held_out < 2 * self.gallery, "held_out", "must be at least two galleries");
    }

    fn describe(&self, facts: &mut Facts) {
        facts.task_slots = Some(SLOTS);
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Task>> {
        Ok(Box::new(self))
    }
}

#[derive(Module, Debug)]
struct ContrastiveModel {
    backbone: Slot<dyn Backbone>,
    /// The adapter `none`: pre-training adapts nothing.
    adapter: Slot<dyn Adapter>,
}

impl ContrastiveModel {
    fn new(backbone: Box<dyn Backbone>) -> Self {
        parameters::with_stable_ids(Self {
            backbone: Slot::new(backbone),
            adapter: Slot::new(crate::adapters::no_adapter()),
        })
    }
}

impl Task for Contrastive {
    fn plan(&self, recipe: &Recipe) -> Result<Plan> {
        let mut build = recipe.sizes_context();
        build.vocabulary = recipe.build::<dyn Dataset>(&build)?.captions().map(|c| c.words()).unwrap_or_default();
        let model = ContrastiveModel::new(recipe.build(&build)?);
        let geometry = model.backbone.geometry();
        let (b, e, side) = (self.batch_size, geometry.embed_dim, geometry.image_size);
        let (adapter, clips) = (&*model.adapter, [b, 1]);
        let images = model.backbone.prefix_cost(clips, adapter);
        let images =
            images.and_then(|prefix| Some(prefix + model.backbone.encode_cost(clips, adapter, &Branch::Query)?));
        let texts = model.backbone.texts_cost(b);
        let logits = Some(Cost::product(b, e, b));
        let node = |id, by: &str, from: &[&'static str], shape: &[usize], cost: Option<Cost>| Step {
            id,
            by: by.to_owned(),
            from: from.to_vec(),
            shape: shape.to_vec(),
            scope: Scope::Clip,
            runs: "every step",
            flops: cost.map(|cost| cost.flops),
        };
        let names = recipe.components();
        let by = |slot: &str| names.get(slot).map_or("", String::as_str);
        let nodes = vec![
            node("images", by("dataset"), &[], &[b, 1, 3, side, side], Some(Cost::NONE)),
            node("captions", by("dataset"), &[], &[b], Some(Cost::NONE)),
            node("image_features", by("backbone"), &["images"], &[b, e], images),
            node("text_features", by("backbone"), &["captions"], &[b, e], texts),
            node("logits", "cosines × learned factor", &["image_features", "text_features"], &[b, b], logits),
        ];
        let three = |cost: Option<Cost>| cost.map(|cost| cost * 3.0);
        let step = [("image_features", three(images)), ("text_features", three(texts)), ("logits", three(logits))];
        let about = "forward and backward as 3 × forward, texts as long as the tower reads: an upper bound";
        let flops = Flops::new(vec![Total::new("training_step", &step, about)]);
        let trainable = parameters::bytes(&model, Precision::F32).trainable;
        let optimizer = recipe.build::<dyn Optimizer>(&build)?.state_values();
        let part = |of, bytes: f64, about: &str| MemoryPart { of, bytes, about: about.to_owned() };
        let parts = vec![
            part("trainable_weights", trainable, "f32"),
            part("gradients", trainable * (SHARDS + 1) as f64, "of each shard, and their sum"),
            part("optimizer", trainable * optimizer.unwrap_or_default() as f64, "state of the optimizer"),
        ];
        let about = "estimate of weights and what is as large as they; activations are in no estimate".to_owned();
        let mut memory = Memory { about, parts, evaluation_bytes: trainable, ..Memory::default() };
        memory.without = vec!["image_features", "text_features"];
        memory.without.extend(optimizer.is_none().then_some("optimizer"));
        memory.training_bytes = Some(memory.parts.iter().map(|part| part.bytes).sum());
        Ok(Plan { nodes, params: parameters::count(&model), flops, memory })
    }

    fn examine(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic> {
        let built = self.parts(recipe, device).and_then(|(parts, _)| {
            self.captions(&parts)?.captioned(Split::Train, 0)?;
            Stepper::new(&*parts.optimizer, &parts.model).map(drop)
        });
        built.err().map(|error| recipe.diagnostic(codes::MODEL, "backbone", &error)).into_iter().collect()
    }

    fn run(&self, context: &mut RunContext) -> Result<()> {
        let (parts, weights) = self.parts(context.recipe, context.device())?;
        context.note_inputs("weights", weights)?;
        context.write_manifest()?;
        context.store.write_json("params.json", &parts.params)?;
        let learner = self.learner(&parts, context)?;
        let started = Instant::now();
        let trained = self.training(&parts, context).run(&learner, parts.model.clone());
        context.attempt()?.seconds.train = started.elapsed().as_secs_f64();
        let trained = trained.inspect_err(|_| drop(context.note_costs()))?;
        let started = Instant::now();
        let model = trained.model.valid();
        let hits = learner.retrieve(&model, Split::Test).inspect_err(|_| drop(context.note_costs()))?;
        let (value, ci95) = mean_ci95(&hits);
        let answers = learner.answer(&model, Split::Test).inspect_err(|_| drop(context.note_costs()))?;
        for (about, answer) in &answers {
            context.progress.note(&format!("zero-shot, {about}: {answer}"));
        }
        context.store.write_json("zero_shot.json", &answers)?;
        let recipe = context.recipe;
        let mut about = BTreeMap::new();
        about.insert("recipe".to_owned(), recipe.name.clone());
        about.insert("recipe_hash".to_owned(), recipe.hash.clone());
        let path = context.store.path().join("model.safetensors");
        model.backbone.export(&path, &about)?;
        context.progress.note(&format!("weights written to {}", path.display()));
        let result = TestResult {
            metric: "recall_at_1".to_owned(),
            value,
            ci95,
            episodes: hits.len() as u64,
            episodes_hash: sha256(
                format!("{:?} {}", recipe.resolved.at("dataset").map(|d| d.to_json()), self.gallery).as_bytes(),
            ),
            way: 0,
            shot: 0,
        };
        context.attempt()?.seconds.test = started.elapsed().as_secs_f64();
        context.finish(result, trained.best_step)
    }

    fn replay(&self, context: &mut RunContext, step: u64) -> Result<serde_json::Value> {
        let (parts, weights) = self.parts(context.recipe, context.device())?;
        context.note_inputs("weights", weights)?;
        self.training(&parts, context).replay(&self.learner(&parts, context)?, parts.model.clone(), step)
    }
}

/// What a run is made of.
struct Parts {
    dataset: Box<dyn Dataset>,
    optimizer: Box<dyn Optimizer>,
    schedule: Box<dyn Schedule>,
    model: ContrastiveModel,
    geometry: Geometry,
    params: Params,
}

fn no_captions() -> Error {
    Error::failed("the dataset has no captions to pre-train on").help("use dataset shapes_in_motion")
}

impl Contrastive {
    /// What a run is made of, and the checksums of the weights that were read.
    fn parts(&self, recipe: &Recipe, device: &Device) -> Result<(Parts, BTreeMap<String, String>)> {
        let unused = |key: &str| {
            Error::failed(format!("task contrastive has no use for `{key}`"))
                .at(recipe.place(key))
                .help("leave it out; batch_size decides what a step holds")
        };
        let Compute { episodes_at_once, micro_batch, shards, .. } = recipe.compute;
        let compute = [("episodes_at_once", episodes_at_once), ("micro_batch", micro_batch), ("shards", shards)];
        if let Some((key, _)) = compute.into_iter().find(|(_, value)| value.is_some()) {
            return Err(unused(&format!("compute.{key}")));
        }
        if recipe.precision != Precision::F32 {
            return Err(unused("precision"));
        }
        let mut build = recipe.build_context(device)?;
        let dataset = recipe.build::<dyn Dataset>(&build)?;
        build.vocabulary = dataset.captions().ok_or_else(no_captions)?.words();
        let backbone: Box<dyn Backbone> = recipe.build(&build)?;
        let geometry = backbone.geometry().clone();
        if !geometry.has_text_tower() {
            return Err(Error::failed("contrastive pre-training needs a backbone with a text tower"));
        }
        let model = parameters::with_graph_strategy(ContrastiveModel::new(backbone), build.graph_strategy());
        let params = parameters::count(&model);
        if params.trainable == 0 {
            return Err(Error::failed("the backbone's weights are frozen, so there is nothing to pre-train")
                .help("set `backbone.weights: random` and `backbone.architecture`"));
        }
        let parts = Parts {
            dataset,
            optimizer: recipe.build(&build)?,
            schedule: recipe.build(&build)?,
            model,
            geometry,
            params,
        };
        Ok((parts, build.weights()))
    }

    fn captions<'a>(&self, parts: &'a Parts) -> Result<&'a dyn CaptionedImages> {
        parts.dataset.captions().ok_or_else(no_captions)
    }

    fn training<'a>(&'a self, parts: &'a Parts, context: &RunContext<'a>) -> Loop<'a> {
        Loop {
            options: &self.train,
            optimizer: &*parts.optimizer,
            schedule: &*parts.schedule,
            store: context.store,
            log: context.log(),
            progress: context.progress,
            workers: context.recipe.compute.workers,
            prefetch: context.recipe.compute.prefetch,
        }
    }

    fn learner<'a>(&'a self, parts: &'a Parts, context: &RunContext<'a>) -> Result<PairLearner<'a>> {
        let seed = context.recipe.seed;
        Ok(PairLearner {
            task: self,
            captions: self.captions(parts)?,
            geometry: &parts.geometry,
            spelling: Stream::new(seed, "train/spelling"),
            first: Stream::new(seed, "train/first").at(0).bits() >> 24,
            device: context.device(),
        })
    }
}

struct PairLearner<'a> {
    task: &'a Contrastive,
    captions: &'a dyn CaptionedImages,
    geometry: &'a Geometry,
    spelling: Stream,
    /// First image of the training stream; the seed decides.
    first: u64,
    device: &'a Device,
}

impl PairLearner<'_> {
    /// `count` pairs from `first` on: pixels `[B, 1, 3, H, W]` and captions.
    fn pairs(&self, split: Split, first: u64, count: usize) -> Result<(Tensor<5>, Vec<String>)> {
        let size = self.geometry.image_size;
        let pairs: Vec<(Vec<u8>, String)> = (0..count as u64)
            .into_par_iter()
            .map(|i| {
                let pair = self.captions.captioned(split, first + i)?;
                Ok((resize_crop_rgb(&pair.pixels, pair.width, pair.height, size)?, pair.caption))
            })
            .collect::<Result<_>>()?;
        let (images, captions): (Vec<Vec<u8>>, Vec<String>) = pairs.into_iter().unzip();
        Ok((normalized(&images, [count, 1, size, size], self.geometry, self.device), captions))
    }

    fn encode(&self, model: &ContrastiveModel, pixels: Tensor<5>, texts: &[String]) -> Result<(Tensor<2>, Tensor<2>)> {
        let count = texts.len();
        let _span = profile::span(Phase::Encode);
        let images = model.backbone.encode_clips(pixels, &*model.adapter, &Branch::Query);
        let images = images.reshape([count, self.geometry.embed_dim]);
        Ok((normalize(images), normalize(model.backbone.encode_texts(texts)?)))
    }

    /// 1 or 0 for each held-out pair and direction: is the right partner the nearest of its gallery?
    fn retrieve(&self, model: &ContrastiveModel, split: Split) -> Result<Vec<f64>> {
        let size = self.task.gallery;
        let galleries: Vec<Vec<f64>> = (0..self.task.held_out / size)
            .into_par_iter()
            .map(|gallery| {
                let (pixels, texts) = self.pairs(split, (gallery * size) as u64, size)?;
                if stop_requested() {
                    return Err(Error::Interrupted);
                }
                let (images, texts) = self.encode(model, pixels, &texts)?;
                let cosines = images.matmul(texts.transpose());
                if !cosines.clone().sum().into_scalar::<f32>().is_finite() {
                    return Err(Error::failed("a cosine is not a finite number, so the weights are not")
                        .help("lower optimizer.learning_rate"));
                }
                let mut hits = Vec::with_capacity(2 * size);
                for found in [cosines.clone().argmax(1), cosines.argmax(0)] {
                    let found: Vec<i64> = found.into_data().iter::<i64>().collect();
                    hits.extend(found.iter().enumerate().map(|(i, &f)| if f == i as i64 { 1.0 } else { 0.0 }));
                }
                Ok(hits)
            })
            .collect::<Result<_>>()?;
        Ok(galleries.into_iter().flatten().collect())
    }
}

impl PairLearner<'_> {
    /// Zero-shot answers to the dataset's questions on the held-out images, by what they are about.
    fn answer(&self, model: &ContrastiveModel, split: Split) -> Result<BTreeMap<&'static str, Answers>> {
        let size = self.task.gallery;
        let images = self.task.held_out / size * size;
        let questions: Vec<Vec<Question>> =
            (0..images as u64).into_par_iter().map(|i| self.captions.questions(split, i)).collect::<Result<_>>()?;
        let sentences: BTreeSet<&String> = questions.iter().flatten().flat_map(|q| &q.answers).collect();
        let sentences: Vec<String> = sentences.into_iter().cloned().collect();
        if sentences.is_empty() {
            return Ok(BTreeMap::new());
        }
        let row: HashMap<&String, usize> = sentences.iter().enumerate().map(|(i, text)| (text, i)).collect();
        let texts = sentences.chunks(size).map(|part| Ok(normalize(model.backbone.encode_texts(part)?)));
        let texts = Tensor::cat(texts.collect::<Result<Vec<_>>>()?, 0);
        let marks: Vec<Vec<(&'static str, usize, f64)>> = (0..images / size)
            .into_par_iter()
            .map(|gallery| {
                if stop_requested() {
                    return Err(Error::Interrupted);
                }
                let (pixels, captions) = self.pairs(split, (gallery * size) as u64, size)?;
                let (images, _) = self.encode(model, pixels, &captions)?;
                let cosines: Vec<f32> = images.matmul(texts.clone().transpose()).into_data().iter::<f32>().collect();
                let asked = cosines.chunks(sentences.len()).zip(&questions[gallery * size..]);
                let marks = asked.flat_map(|(cosines, questions)| {
                    let row = &row;
                    questions.iter().map(move |question| {
                        let of = |text: &String| cosines[row[text]];
                        let right = of(&question.answers[0]);
                        let hit = question.answers[1..].iter().all(|text| of(text) < right);
                        (question.about, question.answers.len(), f64::from(u8::from(hit)))
                    })
                });
                Ok(marks.collect())
            })
            .collect::<Result<_>>()?;
        let mut by_kind: BTreeMap<&'static str, (Vec<f64>, f64)> = BTreeMap::new();
        for (about, answers, hit) in marks.into_iter().flatten() {
            let kind = by_kind.entry(about).or_default();
            kind.0.push(hit);
            kind.1 += 1.0 / answers as f64;
        }
        let marked = by_kind.into_iter().map(|(about, (hits, chance))| {
            let (accuracy, ci95) = mean_ci95(&hits);
            let questions = hits.len();
            (about, Answers { accuracy, ci95, chance: chance / questions as f64, questions })
        });
        Ok(marked.collect())
    }
}

/// How well questions of one kind are answered: the sentence with the largest cosine is the answer.
#[derive(Clone, Debug, Serialize)]
struct Answers {
    /// Share of right answers.
    accuracy: f64,
    /// Half the 95 % interval over questions.
    ci95: f64,
    /// What guessing gives.
    chance: f64,
    questions: usize,
}

impl std::fmt::Display for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let Self { accuracy, ci95, chance, questions } = self;
        let [accuracy, ci95, chance] = [accuracy, ci95, chance].map(|share| share * 100.0);
        write!(f, "{accuracy:.1} ± {ci95:.1} % of {questions} questions (chance {chance:.1})")
    }
}

/// The most words of a caption that are spelled; more would not fit into a short context.
const SPELLED: usize = 5;

/// Marks up to [`SPELLED`] words to be spelled: a leading `~` is the tokenizer's sign for it.
fn spell(caption: &str, rng: &mut Rng) -> String {
    let mut words: Vec<String> = caption.split(' ').map(str::to_owned).collect();
    for chosen in rng.distinct(SPELLED.min(words.len()), words.len()) {
        words[chosen].insert(0, '~');
    }
    words.join(" ")
}

impl Learner for PairLearner<'_> {
    type Model = ContrastiveModel;
    /// Pixels `[B, 1, 3, H, W]` and captions.
    type Input = (Tensor<5>, Vec<String>);

    fn prepare(&self, step: u64) -> Result<Self::Input> {
        let _span = profile::span(Phase::Data);
        let batch = self.task.batch_size;
        let first = self.first + step * batch as u64;
        let (pixels, mut texts) = self.pairs(Split::Train, first, batch)?;
        let mut rng = self.spelling.at(step);
        if rng.chance(self.task.spell) {
            texts = texts.iter().map(|caption| spell(caption, &mut rng)).collect();
        }
        Ok((pixels, texts))
    }

    fn step(&self, model: &ContrastiveModel, (pixels, texts): Self::Input) -> Result<StepOutput> {
        let batch = self.task.batch_size;
        // Each shard of the batch has its own graph on its own thread (GradCache): embeddings, then their gradients
        // from the loss over the whole batch, then back through the shards. The result is the gradient of the whole
        // batch.
        let shard = batch.div_ceil(SHARDS);
        let ranges: Vec<(usize, usize)> =
            (0..batch).step_by(shard).map(|from| (from, shard.min(batch - from))).collect();
        let encoded: Vec<(ContrastiveModel, Tensor<2>, Tensor<2>)> = ranges
            .par_iter()
            .map(|&(from, count)| {
                let replica = model.clone().fork(self.device);
                let (images, texts) =
                    self.encode(&replica, pixels.clone().narrow(0, from, count), &texts[from..from + count])?;
                Ok((replica, images, texts))
            })
            .collect::<Result<_>>()?;
        let scale = model.backbone.logit_scale().ok_or_else(|| Error::failed("the backbone learns no temperature"))?;
        let graph_strategy = scale.gradient_checkpointing_strategy();
        let scale = on_graph(scale.inner(), graph_strategy).require_grad();
        let leaf = |part: &dyn Fn(&(ContrastiveModel, Tensor<2>, Tensor<2>)) -> Tensor<2>| {
            let joined = Tensor::cat(encoded.iter().map(|shard| part(shard).inner()).collect(), 0);
            on_graph(joined, graph_strategy).require_grad()
        };
        let (images, words) = (leaf(&|shard| shard.1.clone()), leaf(&|shard| shard.2.clone()));
        let logits = images.clone().matmul(words.clone().transpose()) * scale.clone().exp().unsqueeze();
        let labels =
            Tensor::<1, Int>::from_data(TensorData::new((0..batch as i32).collect::<Vec<_>>(), [batch]), self.device);
        let nll = |logits: Tensor<2>| log_softmax(logits, 1).gather(1, labels.clone().unsqueeze_dim(1)).mean().neg();
        let to_text = nll(logits.clone());
        let to_image = nll(logits.clone().transpose());
        let loss = (to_text.clone() + to_image.clone()) * 0.5;
        let found: Vec<i64> = logits.inner().argmax(1).into_data().iter::<i64>().collect();
        let hits = found.iter().enumerate().filter(|(i, f)| **f == *i as i64).count();
        let scalar = |tensor: Tensor<1>| tensor.into_scalar::<f32>() as f64;
        let value = scalar(loss.clone());
        let parts = BTreeMap::from([("i2t".to_owned(), scalar(to_text)), ("t2i".to_owned(), scalar(to_image))]);
        let grads = {
            let _span = profile::span(Phase::Backward);
            loss.backward()
        };
        let missing = || Error::failed("the contrastive loss gave no gradient");
        let image_grad = images.grad(&grads).ok_or_else(missing)?;
        let word_grad = words.grad(&grads).ok_or_else(missing)?;
        let scale_grad = scale.grad(&grads).ok_or_else(missing)?;
        let gradients: Vec<GradientsParams> = encoded
            .into_par_iter()
            .zip(ranges)
            .map(|((replica, images, texts), (from, count))| {
                let part = |grad: &Tensor<2>| on_graph(grad.clone().narrow(0, from, count), graph_strategy);
                // d(Σ e · g) = g: the chain rule through a constant.
                let _span = profile::span(Phase::Backward);
                let chained = (images * part(&image_grad)).sum() + (texts * part(&word_grad)).sum();
                GradientsParams::from_grads(chained.backward(), &replica)
            })
            .collect();
        let mut gradients = sum_gradients(model, gradients, 1.0);
        // The temperature took part in the loss alone.
        register_scale(model, &mut gradients, scale_grad);
        Ok(StepOutput { gradients, loss: value, parts, accuracy: hits as f64 / batch as f64 })
    }

    fn validate(&self, model: &ContrastiveModel) -> Result<Validation> {
        let hits = self.retrieve(&model.valid(), Split::Val)?;
        let (value, ci95) = mean_ci95(&hits);
        Ok(Validation { value, ci95, episodes: hits.len() as u64 })
    }

    fn inspect(&self, model: &ContrastiveModel, input: Self::Input) -> Result<serde_json::Value> {
        let captions = input.1.clone();
        let output = self.step(model, input)?;
        let text = |value: f64| if value.is_finite() { json!(value) } else { json!(value.to_string()) };
        let norms = gradient_norms(model, &output.gradients);
        Ok(json!({
            "loss": text(output.loss),
            "parts": output.parts.into_iter().map(|(name, part)| (name, text(part))).collect::<BTreeMap<_, _>>(),
            "accuracy": output.accuracy,
            "captions": captions,
            "gradient_norms": norms.into_iter().map(|(path, norm)| (path, text(norm))).collect::<BTreeMap<_, _>>(),
        }))
    }
}

/// Registers `grad` for the parameter whose path ends in `logit_scale`.
fn register_scale(model: &ContrastiveModel, gradients: &mut GradientsParams, grad: Tensor<1>) {
    struct Find<'a>(&'a mut GradientsParams, Tensor<1>, bool);
    impl ModuleMapper for Find<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.2 = name == "logit_scale";
        }
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if self.2 {
                self.0.register(param.id, self.1.clone());
            }
            param
        }
    }
    let _ = model.clone().map(&mut Find(gradients, grad, false));
}
