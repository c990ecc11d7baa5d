//! A store of 2,000 runs: how long `runs list`, `status` and `report` take.
//!
//! ```sh
//! cargo build --release && cargo bench --bench store
//! ```
//!
//! 20 recipes × 20 variants × 5 seeds, each with 600 training steps and 200 test episodes in the form in which runs write them.

use maclip_framework::files::write_json;
use maclip_framework::model::parameters::Params;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::runs::records::*;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const REPETITIONS: usize = 5;

fn lines<T: serde::Serialize>(path: &Path, records: impl Iterator<Item = T>) {
    let text: Vec<String> = records.map(|record| serde_json::to_string(&record).expect("a record is JSON")).collect();
    std::fs::write(path, text.join("\n") + "\n").expect("the folder can be written");
}

fn episode(id: u64, number: u64) -> EpisodeRecord {
    let clip = |class: u64, shot: u64| format!("test/class {class}/clip {shot}");
    let correct = ((id * 7 + number * 3) % 6) as usize;
    EpisodeRecord {
        id,
        classes: (0..5).map(|class| format!("class {class}")).collect(),
        support: (0..5).map(|class| vec![clip(class, id % 20)]).collect(),
        queries: (0..5).map(|class| clip(class, 20 + id % 20)).collect(),
        labels: (0..5).collect(),
        predictions: (0..5).map(|label| if label < correct { label } else { (label + 1) % 5 }).collect(),
        correct,
        distances: vec![vec![0.123_456_7; 5]; 5],
        probabilities: vec![vec![0.200_001_2; 5]; 5],
    }
}

fn run(path: &Path, recipe: u64, variant: u64, seed: u64) {
    std::fs::create_dir_all(path).expect("the folder can be made");
    let write = |name: &str, value: &dyn Fn(&Path) -> maclip_framework::error::Result<()>| {
        value(&path.join(name)).expect("the folder can be written");
    };
    let attempt = Attempt { device: "flex".to_owned(), started_unix: 1_700_000_000, ..Attempt::default() };
    let manifest = Manifest {
        format: FORMAT,
        name: format!("recipe-{recipe}"),
        variant: format!("variant-{variant}"),
        seed,
        hash: format!("{:064x}", recipe * 1000 + variant * 10 + seed),
        task: "few_shot".to_owned(),
        attempts: vec![attempt],
        ..Manifest::default()
    };
    let number = variant * 5 + seed;
    let episodes: Vec<EpisodeRecord> = (0..200).map(|id| episode(id, number)).collect();
    let value = episodes.iter().map(|episode| episode.correct as f64 / 5.0).sum::<f64>() / 200.0;
    let test = TestResult {
        metric: "accuracy".to_owned(),
        value,
        ci95: 0.02,
        episodes: 200,
        episodes_hash: "e".repeat(64),
        way: 5,
        shot: 1,
    };
    write("manifest.json", &|path| write_json(path, &manifest));
    write("params.json", &|path| write_json(path, &Params { trainable: 1000 * number as usize, ..Params::default() }));
    write("status.json", &|path| {
        write_json(path, &Status { test: Some(test.clone()), best_step: Some(600), ..Status::new(State::Done) })
    });
    std::fs::write(path.join("recipe.resolved.yaml"), "name: bench\nseed: 1\n").expect("the folder can be written");
    lines(
        &path.join("train.jsonl"),
        (1..=600).map(|step| TrainRecord {
            step,
            loss: 1.0 / step as f64,
            parts: [("q2s".to_owned(), 0.5), ("q2t".to_owned(), 0.25), ("s2t".to_owned(), 0.25)].into(),
            accuracy: 0.5,
            learning_rate: 1e-3,
            gradient_norm: 1.0,
        }),
    );
    lines(
        &path.join("validation.jsonl"),
        (1..=4).map(|at| ValidationRecord { step: at * 150, accuracy: 0.4, ci95: 0.02, episodes: 400, best: true }),
    );
    lines(&path.join("episodes.jsonl"), episodes.into_iter());
}

fn main() {
    let own = std::env::current_exe().expect("a program knows its file");
    let maclip: PathBuf = own.parent().and_then(Path::parent).expect("benches lie below the binary").join("maclip");
    assert!(maclip.is_file(), "{} is not built: `cargo build --release`", maclip.display());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let runs = folder.path().join("runs");
    for recipe in 0..20 {
        for variant in 0..20 {
            for seed in 0..5 {
                run(&runs.join(format!("recipe-{recipe}/variant-{variant}-s{seed}")), recipe, variant, seed);
            }
        }
    }
    let (runs, out) = (runs.display().to_string(), folder.path().join("report").display().to_string());
    println!("| command | median s |\n|---|---|");
    for arguments in [vec!["runs", "list", &runs], vec!["status", &runs], vec!["report", &runs, "--out", &out]] {
        let mut seconds: Vec<f64> = (0..REPETITIONS)
            .map(|_| {
                let started = Instant::now();
                let done = Command::new(&maclip).args(&arguments).stdout(Stdio::null()).status();
                assert!(done.expect("maclip starts").success(), "{arguments:?}");
                started.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let verb: Vec<&str> = arguments.iter().copied().take_while(|word| !word.starts_with('/')).collect();
        println!("| `maclip {}` | {:.2} |", verb.join(" "), seconds[REPETITIONS / 2]);
    }
}
