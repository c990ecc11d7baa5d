//! How long a report of many runs takes, and what it holds: `cargo bench --workspace --bench report`.
//!
//! Made-up runs of 10,000 episodes with records of the size that the embedded benchmark has: 12 runs (4 variants, 3 seeds) and 498
//! (166 variants). Runs of one seed number share one file of episodes by hard links, which is read anew for each of them.

use maclip_framework::model::parameters::Params;
use maclip_framework::profile::{peak_memory, reset_peak_memory};
use maclip_framework::random::Stream;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::runs::records::{
    Attempt, EpisodeRecord, FORMAT, Manifest, Seconds, State, Status, TrainRecord, ValidationRecord,
};
use maclip_reports::{Options, report};
use serde::Serialize;
use std::fs;
use std::path::Path;
use std::time::Instant;

const EPISODES: u64 = 10_000;
const STEPS: u64 = 600;
const CLASSES: usize = 24;
const CLIPS: usize = 60;
const REPEATS: usize = 3;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shared = folder.path().join("shared");
    fs::create_dir_all(&shared).expect("a folder");
    let accuracies: Vec<f64> = (0..12).map(|number| episodes(&shared, number)).collect();
    for (variants, seeds) in [(4, 3), (166, 3)] {
        let runs = folder.path().join(format!("runs-{variants}"));
        for variant in 0..variants {
            for seed in 0..seeds {
                run(&runs, &shared, variant, seed, &accuracies);
            }
        }
        let mut times: Vec<f64> = (0..REPEATS)
            .map(|_| {
                reset_peak_memory();
                let start = Instant::now();
                report(std::slice::from_ref(&runs), Some(&folder.path().join("report")), &Options::default())
                    .expect("a report");
                start.elapsed().as_secs_f64()
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let size = fs::metadata(folder.path().join("report/index.html")).map_or(0, |data| data.len());
        println!(
            "{} runs × {EPISODES} episodes: {:.2} s (median of {REPEATS}), {:.0} MB at most, page {:.1} MB",
            variants * seeds,
            times[REPEATS / 2],
            peak_memory().unwrap_or(0) as f64 / 1e6,
            size as f64 / 1e6
        );
    }
}

/// Writes the records number `number`; their accuracy.
fn episodes(folder: &Path, number: u64) -> f64 {
    let (list, answers) = (Stream::new(1, "list"), Stream::new(number, "answers"));
    let name = |class: usize| format!("a striped object moving in manner number {class}");
    let clip = |class: usize, clip: usize| format!("motion/striped-object-moving-in-manner-number-{class}/{clip:03}");
    let (mut text, mut right) = (String::new(), 0);
    for id in 0..EPISODES {
        let (mut draw, mut answer) = (list.at(id), answers.at(id));
        let mut left: Vec<usize> = (0..CLASSES).collect();
        let classes: Vec<usize> = (0..5).map(|_| left.swap_remove(draw.below(left.len()))).collect();
        let labels: Vec<usize> = (0..5).collect();
        let level = 0.3 + 0.03 * number as f64;
        let predictions: Vec<usize> =
            labels.iter().map(|label| if answer.unit() < level { *label } else { answer.below(5) }).collect();
        let correct = labels.iter().zip(&predictions).filter(|(label, prediction)| label == prediction).count();
        right += correct;
        let mut row = || (0..5).map(|_| answer.unit() as f32).collect::<Vec<f32>>();
        let record = EpisodeRecord {
            id,
            classes: classes.iter().map(|class| name(*class)).collect(),
            support: classes.iter().map(|class| vec![clip(*class, draw.below(CLIPS))]).collect(),
            queries: classes.iter().map(|class| clip(*class, draw.below(CLIPS))).collect(),
            labels,
            predictions,
            correct,
            distances: (0..5).map(|_| row()).collect(),
            probabilities: (0..5).map(|_| row()).collect(),
        };
        text += &serde_json::to_string(&record).expect("a record");
        text.push('\n');
    }
    fs::write(folder.join(format!("{number}.jsonl")), text).expect("records");
    right as f64 / (EPISODES * 5) as f64
}

fn run(runs: &Path, shared: &Path, variant: u64, seed: u64, accuracies: &[f64]) {
    let number = (variant * 3 + seed) % accuracies.len() as u64;
    let path = runs.join(format!("study/v{variant}-s{seed}"));
    fs::create_dir_all(&path).expect("a folder");
    let json = |name: &str, value: &dyn erased::Json| fs::write(path.join(name), value.json()).expect("a record");
    let components = ["adapter", "alignment", "backbone", "dataset", "objective", "prototype"];
    json(
        "manifest.json",
        &Manifest {
            format: FORMAT,
            name: "study".into(),
            variant: format!("variant {variant}"),
            seed,
            hash: format!("{:064x}", variant * 100 + seed),
            task: "few_shot".into(),
            components: components.map(|slot| (slot.to_owned(), format!("{slot} {}", variant % 3))).into(),
            attempts: vec![Attempt { device: "flex".into(), cpu: "cpu".into(), threads: 2, ..Attempt::default() }],
            ..Manifest::default()
        },
    );
    json("params.json", &Params { trainable: 1000 * variant as usize, total: 900_000, parts: Vec::new() });
    let line = |text: String| text + "\n";
    let train: String = (1..=STEPS)
        .map(|step| {
            let loss = 1.6 - 0.001 * step as f64;
            let record = TrainRecord {
                step,
                loss,
                parts: Default::default(),
                accuracy: 0.5,
                learning_rate: 1e-3,
                gradient_norm: 1.0,
            };
            line(record.json())
        })
        .collect();
    fs::write(path.join("train.jsonl"), train).expect("records");
    let validation: String = (1..=4)
        .map(|check| {
            let record =
                ValidationRecord { step: 150 * check, accuracy: 0.4, ci95: 0.02, episodes: 400, best: check == 4 };
            line(record.json())
        })
        .collect();
    fs::write(path.join("validation.jsonl"), validation).expect("records");
    let recipe =
        format!("name: study\nseed: {seed}\nadapter:\n  type: aim\n  ratio: 0.{variant}\nalignment:\n  type: otam\n");
    fs::write(path.join("recipe.resolved.yaml"), recipe).expect("a recipe");
    fs::hard_link(shared.join(format!("{number}.jsonl")), path.join("episodes.jsonl")).expect("a link");
    let test = TestResult {
        metric: "accuracy".into(),
        value: accuracies[number as usize],
        ci95: 0.004,
        episodes: EPISODES,
        episodes_hash: "5f0c2a91".repeat(8),
        way: 5,
        shot: 1,
    };
    let seconds = Seconds { train: 80.0 + variant as f64, test: 8.0 };
    json("status.json", &Status { test: Some(test), best_step: Some(600), seconds, ..Status::new(State::Done) });
}

mod erased {
    //! Records of several types in one list.

    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: super::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).expect("a record")
        }
    }
}
use erased::Json;
