//! `maclip plan STUDY --machines M --gpus G`: device hours, wall time, disk and cost of a whole study.

use super::Many;
use crate::terminal::columns::columns;
use crate::terminal::{say, say_data};
use maclip_framework::engine::rates::{Rate, Rates, Speed};
use maclip_framework::engine::task;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::plan::short;
use maclip_framework::model::workload::Workload;
use maclip_framework::recipe::study::StudyRun;
use maclip_framework::recipe::{Recipe, training_of};
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::{Attempt, State};
use maclip_language::{Diagnostic, Origin, codes};
use maclip_reports::format::{date, plural, rough_duration};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

/// Runs of one variant.
#[derive(Serialize)]
struct Cell {
    variant: String,
    runs: usize,
    /// Those of them that train anew: runs that differ in their test alone share one training.
    trainings: usize,
    work: Workload,
    /// Seconds of one run, before its training, in the training with its validations, and in the test.
    start_seconds: f64,
    train_seconds: f64,
    test_seconds: f64,
    /// The rate that it is estimated with.
    rate: Chosen,
    /// Where its clips and its features are the same as those of others.
    #[serde(skip)]
    shares: [String; 2],
}

impl Cell {
    /// Seconds of one run.
    fn seconds(&self) -> f64 {
        self.start_seconds + self.train_seconds + self.test_seconds
    }
}

/// Where a speed comes from.
#[derive(Clone, Serialize)]
#[serde(rename_all = "lowercase")]
enum Chosen {
    /// Measured by `maclip doctor --measure`.
    Measured(Rate),
    /// FLOPs per second, as the command line says.
    Given(f64),
}

impl Chosen {
    fn speed(&self) -> Speed {
        match self {
            Chosen::Measured(rate) => rate.speed,
            Chosen::Given(flops) => Speed::flat(*flops),
        }
    }

    /// Whether a finished attempt on `device` says something about this rate.
    fn compares(&self, attempt: &Attempt, device: &str) -> bool {
        match self {
            Chosen::Measured(rate) => rate.is_of(attempt),
            Chosen::Given(_) => attempt.device == device,
        }
    }

    fn words(&self) -> String {
        let Speed { training, encoding, aligning } = self.speed();
        let [training, encoding, aligning] = [training, encoding, aligning].map(short);
        match self {
            Chosen::Given(_) => format!("given: {training}FLOP/s for everything"),
            Chosen::Measured(rate) => format!(
                "measured on {} ({}, {} threads) on {} with {}: training {training}FLOP/s, encoding {encoding}FLOP/s, \
                 alignment {aligning}FLOP/s",
                rate.device,
                rate.hardware,
                rate.threads,
                date(rate.measured_unix),
                rate.tower
            ),
        }
    }
}

/// What rates there are.
enum Known {
    Given(f64),
    File(Rates),
}

impl Known {
    /// The rate that the options name, or those that were kept below the folder of the runs.
    fn of(many: &Many, runs: &Path) -> Result<Self> {
        let Some(text) = &many.rate else { return Rates::read(&Rates::file(runs)).map(Self::File) };
        match text.parse::<f64>() {
            Ok(tera) if tera.is_finite() && tera > 0.0 => Ok(Self::Given(tera * 1e12)),
            Err(_) if Path::new(text).is_file() => Rates::read(Path::new(text)).map(Self::File),
            _ => {
                let message = format!("`{text}` is neither a file nor a number of TFLOP/s above 0");
                let help = "give a file that `maclip doctor --measure` wrote, or a number such as 12.5";
                Err(Diagnostic::new(codes::ARGUMENT, message).at(&Origin::argument("--rate", text)).help(help).into())
            }
        }
    }

    fn choose(&self, recipe: &Recipe, work: &Workload) -> Result<Chosen> {
        match self {
            Self::Given(flops) => Ok(Chosen::Given(*flops)),
            Self::File(rates) => {
                let found = rates.choose(recipe.devices.first(), recipe.precision, work.frame);
                found.cloned().map(Chosen::Measured).ok_or_else(|| {
                    let precision = format!("{:?}", recipe.precision).to_lowercase();
                    let device = recipe.devices.first();
                    Error::failed(format!("no rate is known of `{device}` in {precision}")).help(format!(
                        "measure it there with `maclip doctor --measure --device {device}`, or give TFLOP/s or a file of \
                         rates with --rate",
                    ))
                })
            }
        }
    }
}

/// Measured by estimated seconds of whole runs, as docs/gpu_and_cluster.md has them.
const ELSEWHERE: &str = "0.6 to 3.3";

/// Measured by estimated seconds of finished runs, in order.
#[derive(Default, Serialize)]
struct Compared {
    train: Vec<f64>,
    test: Vec<f64>,
    all: Vec<f64>,
}

pub fn plan(runs: Vec<StudyRun>, many: &Many, machines: usize, folder: &Path, json: bool) -> Result<()> {
    let known = Known::of(many, folder)?;
    let mut seen = HashSet::new();
    let runs: Vec<StudyRun> = runs.into_iter().filter(|run| seen.insert(run.recipe.hash.clone())).collect();
    let mut cells: Vec<Cell> = Vec::new();
    // Seconds of each run. Runs that differ in their test alone are trained once.
    let (mut each, mut trained) = (Vec::new(), HashSet::new());
    for run in &runs {
        if cells.last().is_none_or(|cell| cell.variant != run.variant) {
            cells.push(cell(run, &known)?);
        }
        let Some(cell) = cells.last_mut() else { continue };
        cell.runs += 1;
        let again = training_of(&run.recipe.resolved).is_some_and(|training| !trained.insert(training));
        cell.trainings += usize::from(!again);
        each.push(cell.seconds() - if again { cell.train_seconds } else { 0.0 });
    }
    let compared = compared(&runs, folder, &known)?;
    // Features that runs share are made once, and here before all others begin.
    let shared: f64 = once(&cells, 1, |cell| cell.work.features / cell.rate.speed().encoding);
    let device_seconds = each.iter().sum::<f64>() + shared;
    let places = machines * many.gpus.map_or(1, usize::from);
    let wall = packed(each, places) + shared;
    let disk = Disk::of(&cells);
    let cost = many.price.map(|price| price * device_seconds / 3600.0);
    if json {
        return say_data(json!({"study": {
            "cells": cells, "machines": machines, "devices": places, "device_hours": device_seconds / 3600.0,
            "wall_seconds": wall, "disk": disk, "price": many.price, "cost": cost, "compared": compared,
        }}));
    }
    let name = runs.first().map_or("", |run| run.recipe.name.as_str());
    let mut lines = vec![format!("{name}: {}", plural(runs.len(), "run")), String::new()];
    lines.extend(table(&cells));
    lines.push(String::new());
    let row = |of: &str, about: String| [of.to_owned(), about];
    let used = places.min(runs.len());
    let mut rows = vec![
        row("device hours", format!("{:.2}", device_seconds / 3600.0)),
        row("wall time", format!("{} on {used} of {places} devices; a run is never divided", rough_duration(wall))),
        row("disk", disk.words()),
    ];
    if let (Some(cost), Some(price)) = (cost, many.price) {
        rows.push(row("cost", format!("{cost:.2} at {price} for an hour of a device")));
    }
    let rates: BTreeSet<String> = cells.iter().map(|cell| cell.rate.words()).collect();
    rows.extend(rates.into_iter().map(|words| row("rate", words)));
    rows.push(row("error", compared.words(folder)));
    let notes: BTreeSet<&String> = cells.iter().flat_map(|cell| &cell.work.notes).collect();
    rows.extend(notes.into_iter().map(|note| row("note", note.clone())));
    rows.push(row(
        "note",
        "decoding of clips, waiting for a queue and the start of a process are not counted".to_owned(),
    ));
    lines.extend(columns(&rows, 2));
    say(lines.join("\n"))
}

fn cell(run: &StudyRun, known: &Known) -> Result<Cell> {
    let recipe = &run.recipe;
    let work = task::of(recipe)?.workload(recipe).map_err(|error| error.at(recipe.place("task")))?;
    let rate = known.choose(recipe, &work)?;
    let start_seconds = work.texts / rate.speed().encoding;
    let (train_seconds, test_seconds) = rate.speed().seconds(&work);
    let of = |slots: &[&str]| {
        json!(slots.iter().map(|slot| recipe.resolved.at(slot).map(|node| node.to_json())).collect::<Vec<_>>())
            .to_string()
    };
    let clips = of(&["dataset", "task.test_on", "frames", "resize", "augment", "backbone", "clip_store"]);
    // Adapters decide where the frozen part ends.
    let features =
        format!("{} {}", of(&["dataset", "task.test_on", "frames", "backbone", "precision", "device"]), work.features);
    Ok(Cell {
        variant: run.variant.clone(),
        runs: 0,
        trainings: 0,
        start_seconds,
        work,
        train_seconds,
        test_seconds,
        rate,
        shares: [clips, features],
    })
}

/// The sum of `value` over cells that do not share it, as number `share` of [`Cell::shares`] says; of those that do,
/// the largest.
fn once(cells: &[Cell], share: usize, value: impl Fn(&Cell) -> f64) -> f64 {
    let mut largest: BTreeMap<&str, f64> = BTreeMap::new();
    for cell in cells {
        let entry = largest.entry(&cell.shares[share]).or_default();
        *entry = entry.max(value(cell));
    }
    largest.values().sum()
}

/// The longest time of a place, where the longest piece always goes to the place that is free first.
fn packed(mut pieces: Vec<f64>, places: usize) -> f64 {
    pieces.sort_by(|a, b| b.total_cmp(a));
    let mut busy: Vec<f64> = vec![0.0; places.min(pieces.len()).max(1)];
    for piece in pieces {
        if let Some(first) = busy.iter_mut().min_by(|a, b| f64::total_cmp(a, b)) {
            *first += piece;
        }
    }
    busy.into_iter().fold(0.0, f64::max)
}

/// Bytes of all runs.
#[derive(Serialize)]
struct Disk {
    clip_store: f64,
    features: f64,
    checkpoints: f64,
    records: f64,
}

impl Disk {
    fn of(cells: &[Cell]) -> Self {
        let all = |bytes: fn(&Workload) -> f64| cells.iter().map(|cell| cell.runs as f64 * bytes(&cell.work)).sum();
        Self {
            clip_store: once(cells, 0, |cell| cell.work.clip_store_bytes),
            features: once(cells, 1, |cell| cell.work.feature_bytes),
            checkpoints: all(|work| work.checkpoint_bytes),
            records: all(|work| work.record_bytes),
        }
    }

    fn words(&self) -> String {
        let Self { clip_store, features, checkpoints, records } = self;
        let all = [clip_store + features + checkpoints + records, *clip_store, *features, *checkpoints, *records];
        let [all, clips, features, checkpoints, records] = all.map(short);
        format!("{all}B: clips {clips}B, features {features}B, checkpoints {checkpoints}B, records {records}B")
    }
}

fn table(cells: &[Cell]) -> Vec<String> {
    let flops = |flops: f64| if flops > 0.0 { short(flops).trim_end().to_owned() } else { "–".to_owned() };
    let head = ["variant", "runs", "training", "validation", "test", "one run"].map(str::to_owned);
    let rows = cells.iter().map(|cell| {
        let Workload { training, validation, test, .. } = &cell.work;
        [
            cell.variant.clone(),
            cell.runs.to_string(),
            flops(*training),
            flops(validation.encode + validation.align),
            flops(test.encode + test.align),
            rough_duration(cell.seconds()),
        ]
    });
    let mut lines = columns(&[head].into_iter().chain(rows).collect::<Vec<_>>(), 5);
    lines.push("  Training, validation and test in FLOPs of one run.".to_owned());
    lines
}

/// Finished runs of the recipes of `runs` below `folder` that were made in one go with such a rate: what they took, by
/// what would have been estimated.
fn compared(runs: &[StudyRun], folder: &Path, known: &Known) -> Result<Compared> {
    let names: BTreeSet<&str> = runs.iter().map(|run| run.recipe.name.as_str()).collect();
    let mut compared = Compared::default();
    for name in names {
        let folder = folder.join(name);
        if !folder.is_dir() {
            continue;
        }
        for run in RunDirectory::find(&folder)?.into_iter().flatten() {
            let [attempt] = run.manifest.attempts.as_slice() else { continue };
            // A recipe that this version refuses, and a task that counts nothing, say nothing about the estimate.
            let Ok(recipe) = Recipe::frozen(&run.path) else { continue };
            let Ok(mut work) = task::of(&recipe).and_then(|task| task.workload(&recipe)) else { continue };
            let Ok(rate) = known.choose(&recipe, &work) else { continue };
            if run.state() != Some(State::Done) || !rate.compares(attempt, recipe.devices.first()) {
                continue;
            }
            let steps = run.last_step()?;
            if work.steps > 0 && steps < work.steps {
                // It stopped early.
                let share = steps as f64 / work.steps as f64;
                work.training *= share;
                work.validation.encode *= share;
                work.validation.align *= share;
            }
            let (train, test) = rate.speed().seconds(&work);
            // Whether the run made the features that it kept, or found them, is not recorded; it counts as the first
            // one.
            let test = test + work.features / rate.speed().encoding;
            let measured = attempt.seconds;
            if measured.train + measured.test <= 0.0 {
                continue;
            }
            compared.train.extend((train > 0.0 && measured.train > 0.0).then(|| measured.train / train));
            compared.test.extend((test > 0.0).then(|| measured.test / test));
            compared.all.push((measured.train + measured.test) / (train + test));
        }
    }
    [&mut compared.train, &mut compared.test, &mut compared.all]
        .into_iter()
        .for_each(|all| all.sort_by(f64::total_cmp));
    Ok(compared)
}

impl Compared {
    fn words(&self, folder: &Path) -> String {
        let of = |ratios: &[f64]| match (ratios.first(), ratios.get(ratios.len() / 2), ratios.last()) {
            (Some(low), Some(median), Some(high)) => format!("{median:.2} ({low:.2} to {high:.2})"),
            _ => "–".to_owned(),
        };
        match self.all.len() {
            0 => format!(
                "not known: no finished run of this recipe with this rate lies in {}. Elsewhere, on a busy processor, runs \
                 took {} times the estimate (`maclip docs gpu_and_cluster`); on a GPU none was compared",
                folder.display(),
                ELSEWHERE
            ),
            count => format!(
                "measured by estimated seconds of {}, median and range: {} in all, {} in training, {} \
                 in the test",
                plural(count, "finished run"),
                of(&self.all),
                of(&self.train),
                of(&self.test)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_runs_are_placed_first() {
        assert_eq!(packed(vec![1.0, 1.0, 1.0, 3.0], 2), 3.0);
        assert_eq!(packed(vec![3.0, 3.0, 2.0, 2.0, 2.0], 2), 7.0);
        assert_eq!(packed(vec![5.0], 8), 5.0);
        assert_eq!(packed(Vec::new(), 8), 0.0);
    }

    #[test]
    fn ratios_are_told_with_their_range() {
        let compared = Compared { train: vec![], test: vec![0.9], all: vec![0.5, 1.0, 2.0] };
        let words = compared.words(Path::new("runs"));
        assert!(words.contains("3 finished runs") && words.contains("1.00 (0.50 to 2.00)"), "{words}");
        assert!(words.contains("– in training"), "{words}");
        let words = Compared::default().words(Path::new("runs"));
        assert!(words.contains("not known") && words.contains("0.6 to 3.3 times the estimate"), "{words}");
    }
}
