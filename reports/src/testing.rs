//! Synthetic run directories for the tests of this crate, written with the framework's own record types.

use crate::episodes::{List, Right};
use maclip_framework::model::parameters::{Params, ParamsPart};
use maclip_framework::random::{Rng, Stream};
use maclip_framework::recipe::expectation::{TestResult, mean_ci95};
use maclip_framework::runs::records::*;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

/// A study of made-up runs. Accuracies rise with the wanted one; everything follows from the numbers here.
pub struct Study {
    pub folder: String,
    pub name: String,
    pub task: String,
    pub metric: String,
    pub way: usize,
    pub shot: usize,
    /// Name, wanted accuracy, trainable parameters.
    pub variants: Vec<(String, f64, usize)>,
    pub state: State,
    pub episodes_hash: String,
    pub note: String,
    /// What classes are called before their number.
    pub class: String,
    pub first_seed: u64,
    pub started: u64,
}

impl Default for Study {
    fn default() -> Self {
        let variants =
            [("none", 0.44, 0), ("tpcm", 0.55, 4_210_688), ("adapters", 0.68, 14_320_000), ("both", 0.76, 18_530_688)];
        Self {
            folder: "ablation".into(),
            name: "ablation".into(),
            task: "few_shot".into(),
            metric: "accuracy".into(),
            way: 5,
            shot: 1,
            variants: variants.map(|(name, accuracy, trainable)| (name.into(), accuracy, trainable)).into(),
            state: State::Done,
            episodes_hash: "5f0c2a91d3".repeat(6),
            note: "stand-in data: 12 clips of each class".into(),
            class: "class".into(),
            first_seed: 0,
            started: 1,
        }
    }
}

/// The default study with three seeds.
pub fn study(root: &Path) {
    Study::default().write(root, 3);
}

impl Study {
    pub fn contrastive() -> Self {
        Self {
            folder: "pretrain".into(),
            name: "pretrain".into(),
            task: "contrastive".into(),
            metric: "recall_at_1".into(),
            way: 0,
            variants: vec![("default".into(), 0.31, 151_277_313)],
            ..Self::default()
        }
    }

    pub fn write(&self, root: &Path, seeds: u64) {
        for (number, (variant, accuracy, trainable)) in self.variants.iter().enumerate() {
            for seed in self.first_seed..self.first_seed + seeds {
                let hash = format!(
                    "{:08x}",
                    0x9e37_79b9u64.wrapping_mul(seed + 31 * number as u64 + 1009 * self.shot as u64 + 1) as u32
                )
                .repeat(8);
                let folder = root.join(&self.folder).join(format!("v{number}-s{seed}-{}", &hash[..8]));
                std::fs::create_dir_all(&folder).unwrap();
                self.run(&folder, hash, variant, seed, *accuracy, *trainable, number as u64);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn run(&self, path: &Path, hash: String, variant: &str, seed: u64, accuracy: f64, trainable: usize, number: u64) {
        let adapter = if ["adapters", "both"].contains(&variant) { "ma_clip" } else { "none" };
        let components =
            [("adapter", adapter), ("alignment", "otam"), ("backbone", "clip_vit_b16"), ("dataset", "hmdb51")];
        let manifest = Manifest {
            format: FORMAT,
            name: self.name.clone(),
            variant: variant.into(),
            seed,
            hash,
            task: self.task.clone(),
            components: components.map(|(slot, name)| (slot.to_owned(), name.to_owned())).into(),
            attempts: vec![Attempt {
                maclip_version: "0.1.0".into(),
                features: vec!["flex".into()],
                device: "flex".into(),
                cpu: "Example CPU".into(),
                threads: 2,
                argv: ["maclip", "run", "recipes/ablation.yaml"].map(String::from).into(),
                started_unix: self.started,
                ..Attempt::default()
            }],
            weights: [("clip_vit_b16.safetensors".to_owned(), "ab".repeat(32))].into(),
            notes: vec![self.note.clone()],
            ..Manifest::default()
        };
        json(path, "manifest.json", &manifest);
        let part = ParamsPart { slot: "adapter".into(), part: "temporal".into(), trainable, total: trainable };
        json(path, "params.json", &Params { trainable, total: 149_620_737 + trainable, parts: vec![part] });
        let recipe = format!(
            "# frozen <recipe>\nname: {variant}\nseed: {seed}\ntask:\n  type: {}\n  train:\n    steps: 400\nadapter:\n  width: {trainable}\n",
            self.task
        );
        std::fs::write(path.join("recipe.resolved.yaml"), recipe).unwrap();
        let tag = number * 1000 + seed;
        let steps = if trainable == 0 { 0 } else { 400 };
        lines(
            path,
            "train.jsonl",
            (1..=steps).map(|step| {
                let progress = 1.0 - (-(step as f64) / 120.0).exp();
                let loss = 1.61 * (1.0 - progress * accuracy) + 0.25 * (noise(tag, step) - 0.5);
                TrainRecord {
                    step,
                    loss,
                    parts: Default::default(),
                    accuracy: accuracy * progress,
                    learning_rate: 1e-4,
                    gradient_norm: 1.0,
                }
            }),
        );
        lines(
            path,
            "validation.jsonl",
            (1..=steps / 40).map(|check| {
                let progress = 1.0 - (-(check as f64) / 3.0).exp();
                let base = if self.way > 0 { 1.0 / self.way as f64 } else { 0.0 };
                ValidationRecord {
                    step: check * 40,
                    accuracy: base + (accuracy + 0.02 - base) * progress + 0.02 * (noise(tag, 9000 + check) - 0.5),
                    ci95: 0.012,
                    episodes: 400,
                    best: true,
                }
            }),
        );
        let episodes: Vec<EpisodeRecord> =
            (0..if self.way > 0 { 200 } else { 0 }).map(|id| self.episode(id, tag, accuracy, seed)).collect();
        let share = |episode: &EpisodeRecord| episode.correct as f64 / episode.labels.len() as f64;
        let (value, ci95) = match episodes.is_empty() {
            true => (accuracy, 0.013),
            false => mean_ci95(&episodes.iter().map(share).collect::<Vec<_>>()),
        };
        lines(path, "episodes.jsonl", episodes.into_iter());
        let done = self.state == State::Done;
        let status = Status {
            format: FORMAT,
            state: self.state,
            reason: (self.state == State::Failed).then(|| "the loss is not a number at step 212".into()),
            test: done.then(|| TestResult {
                metric: self.metric.clone(),
                value,
                ci95,
                episodes: 200,
                episodes_hash: self.episodes_hash.clone(),
                way: self.way,
                shot: if self.way > 0 { self.shot } else { 0 },
            }),
            best_step: done.then_some(steps),
            seconds: Seconds { train: steps as f64 * 0.41, test: 93.0 + number as f64 },
            updated_unix: self.started + 1,
            seal: None,
        };
        json(path, "status.json", &status);
    }

    fn episode(&self, id: u64, tag: u64, accuracy: f64, seed: u64) -> EpisodeRecord {
        let way = self.way;
        let name = |class: u64| format!("{} {class}", self.class);
        let clip = |class: u64, clip: u64| format!("{} {class}/{:02}", self.class, clip % CLIPS);
        let classes: Vec<u64> = (0..way as u64).map(|position| (id * 7 + position * 5) % CLASSES).collect();
        let difficulty = 0.25 * (noise(1, id) - 0.5) + 0.008 * (seed as f64 - 1.0);
        let labels: Vec<usize> = (0..way).flat_map(|class| [class; QUERIES as usize]).collect();
        let predictions: Vec<usize> = labels
            .iter()
            .enumerate()
            .map(|(query, label)| {
                // Some classes are harder than others; what is wrong falls on the next class mostly.
                let easy = accuracy + difficulty + 0.15 * (noise(2, classes[*label]) - 0.5);
                let draw = noise(tag, id * 100 + query as u64);
                if draw < easy { *label } else { (label + if draw > 0.9 { 2 } else { 1 }) % way }
            })
            .collect();
        EpisodeRecord {
            id,
            classes: classes.iter().map(|class| name(*class)).collect(),
            support: classes.iter().map(|class| vec![clip(*class, id)]).collect(),
            queries: labels
                .iter()
                .enumerate()
                .map(|(q, label)| clip(classes[*label], id + 1 + q as u64 % QUERIES))
                .collect(),
            correct: labels.iter().zip(&predictions).filter(|(label, prediction)| label == prediction).count(),
            labels,
            predictions,
            distances: Vec::new(),
            probabilities: Vec::new(),
        }
    }
}

/// Classes of the made-up test split, and clips of each.
const CLASSES: u64 = 12;
const CLIPS: u64 = 10;
/// Queries of each class in an episode.
const QUERIES: u64 = 4;

/// Right answers of one query of five: those of each seed in each episode. No clips are named.
pub fn right(seeds: &[&[u16]]) -> Right {
    let (episodes, queries) = (seeds[0].len(), 5);
    let list = List {
        ids: (0..episodes as u64).collect(),
        classes: vec!["a".into(), "b".into()],
        way: 2,
        queries,
        classes_of: [0, 1].repeat(episodes),
        labels: vec![0; episodes * queries],
        ..List::default()
    };
    let mut counts = vec![0; episodes * queries];
    for seed in seeds {
        for (episode, right) in seed.iter().enumerate() {
            counts[episode * queries..][..usize::from(*right)].iter_mut().for_each(|count| *count += 1);
        }
    }
    Right { list: Arc::new(list), seeds: seeds.len(), counts }
}

/// A test split whose chances are known: each class and each video is easier or harder by a fixed amount.
pub struct World {
    classes: Vec<f64>,
    videos: Vec<Vec<f64>>,
}

impl World {
    /// Mean accuracy over all classes and videos that could be drawn.
    pub const TRUTH: f64 = 0.6;

    pub fn new(classes: usize, videos: usize, mut rng: Rng) -> Self {
        Self {
            classes: (0..classes).map(|_| rng.range(-0.12, 0.12)).collect(),
            videos: (0..classes).map(|_| (0..videos).map(|_| rng.range(-0.1, 0.1)).collect()).collect(),
        }
    }

    /// Mean accuracy of the episodes that can be drawn from these classes and videos. Effects add up, so it is their
    /// mean.
    pub fn mean(&self) -> f64 {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let videos: Vec<f64> = self.videos.iter().map(|videos| mean(videos)).collect();
        Self::TRUTH + 1.3 * mean(&self.classes) + 1.5 * mean(&videos)
    }
}

/// 5-way 1-shot episodes with one query of each class, drawn from `world`: whether each query is right.
pub fn drawn_from(world: &World, episodes: usize, mut rng: Rng) -> (List, Vec<f64>) {
    let (classes, videos, way) = (world.classes.len(), world.videos[0].len(), 5);
    let mut list = List {
        ids: (0..episodes as u64).collect(),
        classes: (0..classes).map(|class| class.to_string()).collect(),
        clips: (0..classes * videos).map(|clip| clip.to_string()).collect(),
        class_of_clip: (0..classes * videos).map(|clip| (clip / videos) as u32).collect(),
        way,
        supports: way,
        queries: way,
        ..List::default()
    };
    let mut values = Vec::new();
    for _ in 0..episodes {
        let mut left: Vec<usize> = (0..classes).collect();
        let chosen: Vec<usize> = (0..way).map(|_| left.swap_remove(rng.below(left.len()))).collect();
        let all: f64 = chosen.iter().map(|class| world.classes[*class]).sum();
        for (label, class) in chosen.iter().enumerate() {
            let (support, query) = (rng.below(videos), rng.below(videos));
            let own = world.classes[*class];
            let others = (all - own) / (way - 1) as f64;
            let chance =
                World::TRUTH + own + 0.3 * others + world.videos[*class][query] + 0.5 * world.videos[*class][support];
            values.push(f64::from(u8::from(rng.unit() < chance)));
            list.classes_of.push(*class as u32);
            list.support_of.push((class * videos + support) as u32);
            list.queries_of.push((class * videos + query) as u32);
            list.labels.push(label as u16);
        }
    }
    (list, values)
}

/// [`drawn_from`] a world of its own.
pub fn drawn(classes: usize, videos: usize, seed: u64, episodes: usize) -> (List, Vec<f64>) {
    let stream = Stream::new(seed, "drawn");
    drawn_from(&World::new(classes, videos, stream.at(0)), episodes, stream.at(1))
}

/// A number in [0, 1) that follows from its place (splitmix64).
fn noise(stream: u64, index: u64) -> f64 {
    let mut z = (stream << 32).wrapping_add(index).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn json(folder: &Path, name: &str, value: &impl Serialize) {
    std::fs::write(folder.join(name), serde_json::to_vec(value).unwrap()).unwrap();
}

fn lines<T: Serialize>(folder: &Path, name: &str, records: impl Iterator<Item = T>) {
    let text: String = records.map(|record| serde_json::to_string(&record).unwrap() + "\n").collect();
    std::fs::write(folder.join(name), text).unwrap();
}
