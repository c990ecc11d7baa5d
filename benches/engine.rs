//! Evaluation and training against a peer that encodes every episode anew.
//!
//! ```sh
//! cargo bench --bench engine                                                    # our side alone
//! MACLIP_PEER=peer_bench.py MACLIP_PYTHON=python cargo bench --bench engine     # both, one after the other
//! MACLIP_BENCH=train-vit-b-32-1shot cargo bench --bench engine                  # one case, also those not run by default
//! ```
//!
//! Every measurement is a process of its own, so that its peak memory is its own; ours and the peer's take turns. Ours is the
//! whole product: a recipe through the task, with the clips (random, in memory, 240 in 24 classes as the peer's) encoded
//! inside the measured time, records and checkpoints written. The peer prints one JSON object with `seconds_mean` and
//! `peak_rss_mib`. Printed are medians over the repetitions, and as the ratio the median of the ratios of a repetition.

use maclip_components as _;
use maclip_framework::engine::context::RunContext;
use maclip_framework::engine::task::Task;
use maclip_framework::error::Result;
use maclip_framework::profile::Totals;
use maclip_framework::progress::Silent;
use maclip_framework::random::Stream;
use maclip_framework::recipe::{Recipe, device};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::runs::records::{Attempt, FORMAT, Manifest};
use maclip_framework::runs::store::RunStore;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::slots::dataset::{Class, Dataset, Frames, Listing, Split};
use maclip_language::read_str;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 3;
const EPISODES: usize = 10_000;

struct Case {
    name: &'static str,
    arch: &'static str,
    train: bool,
    shot: usize,
    /// Query clips of each class.
    query: usize,
    /// Training steps of ours; the peer does as many.
    steps: usize,
    default: bool,
}

const CASES: [Case; 6] = [
    Case { name: "eval-tiny-1shot", arch: "tiny", train: false, shot: 1, query: 1, steps: 50, default: true },
    Case { name: "eval-tiny-5shot", arch: "tiny", train: false, shot: 5, query: 1, steps: 50, default: true },
    Case { name: "train-tiny-1shot", arch: "tiny", train: true, shot: 1, query: 5, steps: 30, default: true },
    Case { name: "train-tiny-5shot", arch: "tiny", train: true, shot: 5, query: 5, steps: 20, default: true },
    Case { name: "train-vit-b-32-1shot", arch: "vit-b-32", train: true, shot: 1, query: 1, steps: 3, default: false },
    Case { name: "eval-vit-b-32-5shot", arch: "vit-b-32", train: false, shot: 5, query: 1, steps: 3, default: false },
];

/// 24 classes of 10 random clips in each split, made when they are opened.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Noise {
    /// Side of a frame in pixels.
    side: usize,
}

register!(dyn Dataset, Noise, name: "noise", summary: "random clips for benchmarks", paper: None,
    stability: Experimental, usage: "{side: 48}");

impl Component for Noise {
    type Slot = dyn Dataset;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        let bytes = Stream::new(1, "noise");
        let length = self.side * self.side * 3;
        // A pool to cut frames from: drawing every pixel anew would be what is measured.
        let mut rng = bytes.at(0);
        let pool = (0..(length + 4096).div_ceil(8)).flat_map(|_| rng.bits().to_le_bytes()).collect();
        Ok(Box::new(Pool { side: self.side, pool }))
    }
}

struct Pool {
    side: usize,
    pool: Vec<u8>,
}

impl Dataset for Pool {
    fn list(&self, split: Split) -> Result<Listing> {
        let classes = (0..24).map(|class| Class {
            name: format!("{} {class}", split.name()),
            clips: (0..10).map(|clip| format!("{}/{class}/{clip}", split.name())).collect(),
        });
        Ok(Listing { classes: classes.collect(), ..Listing::default() })
    }

    fn frame_count(&self, _: &str) -> Result<usize> {
        Ok(8)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let length = self.side * self.side * 3;
        let images = indices.iter().map(|&index| {
            let from = Stream::new(index as u64, clip).at(0).below(self.pool.len() - length);
            self.pool[from..from + length].to_vec()
        });
        Ok(Frames { height: self.side, width: self.side, images: images.collect() })
    }
}

fn architecture(arch: &str) -> Value {
    let tiny = arch == "tiny";
    let size = |small: usize, large: usize| if tiny { small } else { large };
    json!({
        "image_size": size(48, 224), "patch_size": size(8, 32), "vision_width": size(128, 768),
        "vision_layers": size(4, 12), "vision_heads": size(4, 12), "embed_dim": size(64, 512),
        "context_length": 77, "text_width": size(64, 512), "text_heads": size(2, 8), "text_layers": size(2, 12),
    })
}

/// A checkpoint with random weights of the peer's architecture, so that the tower is frozen as there.
fn checkpoint(arch: &str, path: &Path) -> Result<()> {
    let text = json!({
        "name": "bench",
        "dataset": {"type": "noise", "side": 8},
        "backbone": {"type": "clip_vit", "weights": "random", "architecture": architecture(arch)},
    });
    let recipe = Recipe::check(&read_str("bench", &text.to_string())?)?;
    let mut build = BuildContext::new(1, device::parse("flex").expect("flex is always there"));
    build.vocabulary = (0..64).map(|word| format!("word{word}")).chain(letters()).collect();
    recipe.build::<dyn Backbone>(&build)?.export(path, &Default::default())
}

/// Class names have to be words of the vocabulary.
fn letters() -> impl Iterator<Item = String> {
    ["train", "val", "test"].into_iter().map(str::to_owned).chain((0..24).map(|class| class.to_string()))
}

/// One measurement of ours in this process: a run of the few-shot task.
fn measure(case: &Case, weights: &Path, folder: &Path) -> Result<Value> {
    let text = json!({
        "name": "bench", "seed": 1,
        "dataset": {"type": "noise", "side": if case.arch == "tiny" { 48 } else { 224 }},
        "frames": {"type": "uniform_segments", "count": 8},
        "backbone": {"type": "clip_vit", "weights": weights},
        "adapter": {"type": "multimodal"},
        "prototype": {"type": "text_guided"},
        "alignment": {"type": "otam"},
        "optimizer": {"type": "adamw", "learning_rate": 1e-4, "weight_decay": 0.05},
        "task": {
            "type": "few_shot", "way": 5, "shot": case.shot, "queries": case.query,
            "train": {"steps": if case.train { case.steps } else { 1 }, "validate_every_steps": 1_000_000,
                      "checkpoint_every_steps": 1_000_000},
            "validation": {"episodes": 2},
            "test": {"episodes": if case.train { 2 } else { EPISODES }, "queries": case.query.min(1)},
        },
    });
    let recipe = Recipe::check(&read_str("bench", &text.to_string())?)?;
    let device = device::parse("flex").expect("flex is always there");
    let store = RunStore::open(&folder.join("bench/run"))?;
    let manifest = Manifest { format: FORMAT, attempts: vec![Attempt::default()], ..Manifest::default() };
    let started = Totals::now();
    let mut context = RunContext {
        recipe: &recipe,
        store: &store,
        progress: &Silent,
        device: &device,
        manifest,
        shared: &folder.join("bench"),
        runs: folder,
        started: started.clone(),
    };
    recipe.build::<dyn Task>(&BuildContext::new(1, device.clone()))?.run(&mut context)?;
    let attempt = context.attempt()?;
    let (seconds, count) =
        if case.train { (attempt.seconds.train, case.steps) } else { (attempt.seconds.test, EPISODES) };
    Ok(json!({
        "seconds": seconds / count as f64,
        "mib": attempt.peak_memory_bytes.unwrap_or_default() as f64 / 1048576.0,
        "phases": Totals::now().seconds_since(&started),
    }))
}

fn run(command: &mut Command) -> Value {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let start = text.find('{').unwrap_or_else(|| panic!("no JSON from {command:?}:\n{text}"));
    serde_json::from_str(text[start..].trim()).unwrap_or_else(|error| panic!("{command:?}: {error}\n{text}"))
}

fn ours(case: &Case, weights: &Path) -> Value {
    let own = std::env::current_exe().expect("a program knows its file");
    run(Command::new(own).env("MACLIP_BENCH_CHILD", case.name).env("MACLIP_BENCH_WEIGHTS", weights))
}

fn peers(case: &Case, script: &str, threads: usize) -> Value {
    let python = std::env::var("MACLIP_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let numbers = [("--shot", case.shot), ("--query", case.query), ("--episodes", case.steps), ("--threads", threads)];
    let mut command = Command::new(python);
    command.args([script, if case.train { "train-step" } else { "eval" }, "--arch", case.arch, "--way", "5"]);
    for (option, value) in numbers {
        command.args([option.to_owned(), value.to_string()]);
    }
    let found = run(&mut command);
    json!({"seconds": found["seconds_mean"], "mib": found["peak_rss_mib"]})
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let find = |name: &str| {
        CASES
            .iter()
            .find(|case| case.name == name)
            .unwrap_or_else(|| panic!("there is no case {name}; there are {}", CASES.map(|case| case.name).join(", ")))
    };
    if let Ok(name) = std::env::var("MACLIP_BENCH_CHILD") {
        let weights = std::env::var_os("MACLIP_BENCH_WEIGHTS").expect("the parent says which weights");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let found = measure(find(&name), Path::new(&weights), folder.path());
        println!("{}", found.unwrap_or_else(|error| panic!("{error}")));
        return;
    }
    let cases: Vec<&Case> = match std::env::var("MACLIP_BENCH") {
        Ok(names) => names.split(',').map(find).collect(),
        Err(_) => CASES.iter().filter(|case| case.default).collect(),
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let peer = std::env::var("MACLIP_PEER").ok();
    println!("| case | ours, ms | peer, ms | ratio | ours, MiB | peer, MiB |\n|---|---|---|---|---|---|");
    for case in cases {
        let weights = folder.path().join(format!("{}.safetensors", case.arch));
        if !weights.is_file() {
            checkpoint(case.arch, &weights).unwrap_or_else(|error| panic!("{error}"));
        }
        let mut pairs = Vec::new();
        let mut phases = Value::Null;
        for _ in 0..REPETITIONS {
            let mine = ours(case, &weights);
            phases = mine["phases"].clone();
            pairs.push((mine, peer.as_ref().map(|script| peers(case, script, threads))));
        }
        let number = |value: &Value, key: &str| value[key].as_f64().expect("a measurement has numbers");
        let mine = |key: &str| median(pairs.iter().map(|(mine, _)| number(mine, key)).collect());
        let theirs = |of: &dyn Fn(&Value, &Value) -> f64| {
            let found: Vec<f64> = pairs.iter().filter_map(|(m, t)| t.as_ref().map(|t| of(m, t))).collect();
            (!found.is_empty()).then(|| median(found))
        };
        let text =
            |value: Option<f64>, digits: usize| value.map_or("–".to_owned(), |value| format!("{value:.digits$}"));
        let ratio = theirs(&|m, t| number(t, "seconds") / number(m, "seconds"));
        println!(
            "| {} | {:.3} | {} | {} | {:.0} | {} |",
            case.name,
            1e3 * mine("seconds"),
            text(theirs(&|_, t| 1e3 * number(t, "seconds")), 1),
            text(ratio, 2),
            mine("mib"),
            text(theirs(&|_, t| number(t, "mib")), 0),
        );
        eprintln!("{}: thread-seconds of the last run: {phases}", case.name);
    }
}
