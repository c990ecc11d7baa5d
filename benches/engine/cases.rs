//! What is measured: the cases, and the recipe of each.

use crate::noise::FRAMES;
use maclip_framework::recipe::device::is_processor;
use serde_json::{Value, json};
use std::path::Path;

/// Classes of an episode.
pub const WAY: usize = 5;
/// Episodes of our evaluation. The peer encodes every episode anew, so a few of them say what one takes.
pub const EPISODES: usize = 10_000;

/// What a repetition inside a measurement is.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// One optimizer step.
    Train,
    /// One episode of an evaluation.
    Evaluate,
    /// One clip through the tower, without gradients.
    Encode,
}

impl Kind {
    /// As scripts/peer_step.py calls it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Train => "train",
            Kind::Evaluate => "evaluate",
            Kind::Encode => "encode",
        }
    }
}

/// One case. `shot` and `query` are clips of each class; both are 0 where single clips are encoded.
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    pub arch: &'static str,
    pub shot: usize,
    pub query: usize,
    /// Episodes whose mean gradient makes one step.
    pub episodes: usize,
    /// Repetitions that are not timed.
    pub warm_up: usize,
    /// Repetitions that are timed. Our evaluation has [`EPISODES`] instead.
    pub count: usize,
    /// Whether it runs where no case is named.
    pub default: bool,
}

/// A case with the clips of each class (shot, query) and its repetitions (warm-up, timed).
const fn case(
    name: &'static str,
    kind: Kind,
    arch: &'static str,
    [shot, query]: [usize; 2],
    [warm_up, count]: [usize; 2],
) -> Case {
    Case { name, kind, arch, shot, query, episodes: 1, warm_up, count, default: true }
}

impl Case {
    /// The same, only where it is named.
    const fn by_name(self) -> Self {
        Self { default: false, ..self }
    }

    /// The same with so many episodes in a step.
    const fn of_episodes(self, episodes: usize) -> Self {
        Self { episodes, ..self }
    }
}

use Kind::{Encode, Evaluate, Train};

pub const CASES: [Case; 16] = [
    case("train-tiny-1shot", Train, "tiny", [1, 5], [5, 30]),
    case("train-tiny-5shot", Train, "tiny", [5, 5], [5, 20]),
    // As deep as ViT-B and too narrow to compute much: what the calls of operations cost.
    case("train-deep-1shot", Train, "deep", [1, 1], [5, 30]).by_name(),
    case("train-vit-b-32-1shot", Train, "vit-b-32", [1, 1], [2, 5]),
    case("train-vit-b-32-5shot", Train, "vit-b-32", [5, 5], [2, 5]).by_name(),
    case("train-vit-b-16-1shot", Train, "vit-b-16", [1, 1], [1, 3]).by_name(),
    case("train-vit-b-16-5shot", Train, "vit-b-16", [5, 5], [1, 3]).by_name(),
    // Steps of `recipes/benchmarks`: 1 query, and 4 episodes.
    case("train-kinetics-5w1s", Train, "vit-b-16", [1, 1], [1, 3]).of_episodes(4).by_name(),
    case("train-kinetics-5w5s", Train, "vit-b-16", [5, 1], [1, 3]).of_episodes(4).by_name(),
    case("eval-tiny-1shot", Evaluate, "tiny", [1, 1], [3, 50]),
    case("eval-tiny-5shot", Evaluate, "tiny", [5, 1], [3, 30]),
    case("eval-vit-b-32-1shot", Evaluate, "vit-b-32", [1, 1], [1, 5]).by_name(),
    case("eval-vit-b-32-5shot", Evaluate, "vit-b-32", [5, 1], [1, 3]).by_name(),
    case("encode-tiny", Encode, "tiny", [0, 0], [20, 200]),
    case("encode-vit-b-32", Encode, "vit-b-32", [0, 0], [3, 20]),
    case("encode-vit-b-16", Encode, "vit-b-16", [0, 0], [2, 10]).by_name(),
];

/// The case of this name.
///
/// # Panics
/// Where there is none, with the names that there are.
pub fn named(name: &str) -> &'static Case {
    let known = CASES.map(|case| case.name).join(", ");
    CASES.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no case {name}; there are {known}"))
}

/// Sizes of the peer's architecture of this name, as options of `clip_vit`.
pub fn architecture(arch: &str) -> Value {
    let sizes = |patch: usize, [width, layers, heads]: [usize; 3], embed: usize, text: [usize; 3]| {
        json!({
            "image_size": side(arch), "patch_size": patch, "vision_width": width, "vision_layers": layers,
            "vision_heads": heads, "embed_dim": embed, "context_length": 77,
            "text_width": text[0], "text_layers": text[1], "text_heads": text[2],
        })
    };
    match arch {
        "tiny" => sizes(8, [128, 4, 4], 64, [64, 2, 2]),
        "deep" => sizes(16, [48, 12, 12], 48, [64, 2, 2]),
        "vit-b-32" => sizes(32, [768, 12, 12], 512, [512, 12, 8]),
        _ => sizes(16, [768, 12, 12], 512, [512, 12, 8]),
    }
}

/// Side of a frame in pixels.
pub fn side(arch: &str) -> usize {
    match arch {
        "tiny" => 48,
        "deep" => 32,
        _ => 224,
    }
}

impl Case {
    /// MA-CLIP around the frozen CLIP in the file `weights`, trained for as many steps as are made. With one thread,
    /// that thread also opens the clips; a card is fed by several.
    pub fn recipe(&self, weights: &Path, threads: usize) -> Value {
        let (shot, query) = (self.shot.max(1), self.query.max(1));
        let at_once: Option<usize> = std::env::var("MACLIP_BENCH_AT_ONCE")
            .ok()
            .map(|number| number.parse().expect("MACLIP_BENCH_AT_ONCE is a number"));
        let openers = if is_processor(&crate::device()) { 1 } else { 8 };
        json!({
            "name": "bench", "seed": 1,
            "device": crate::device(), "precision": crate::precision(),
            "dataset": {"type": "noise", "side": side(self.arch)},
            "frames": {"type": "uniform_segments", "count": FRAMES},
            "backbone": {"type": "clip_vit", "weights": weights},
            "adapter": {"type": "multimodal"},
            "prototype": {"type": "text_guided"},
            "alignment": {"type": "otam"},
            "optimizer": {"type": "adamw", "learning_rate": 1e-4, "weight_decay": 0.05},
            "task": {
                "type": "few_shot", "way": WAY, "shot": shot, "queries": query, "episodes_per_step": self.episodes,
                "train": {"steps": self.warm_up + self.count, "clip_norm": 1.0, "validate_every_steps": 1_000_000,
                          "checkpoint_every_steps": 1_000_000},
                "validation": {"episodes": 2},
                "test": {"episodes": 2, "queries": 1},
            },
            "compute": {"workers": openers.min(threads - 1), "episodes_at_once": at_once},
        })
    }
}
