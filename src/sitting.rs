//! One process at work on one run: opens its directory, notes what it is done with, and leaves a status whatever happens.

use maclip_framework::device;
use maclip_framework::error::{Error, Result};
use maclip_framework::profile::{self, Totals};
use maclip_framework::progress::Progress;
use maclip_framework::recipe::Origin;
use maclip_framework::records::{FORMAT, Manifest, Sitting, State, Status};
use maclip_framework::run::{BuildContext, Recipe, RunContext};
use maclip_framework::slots::task::Task;
use maclip_framework::store::{RunStore, unix_seconds};
use std::path::{Path, PathBuf};

use crate::columns::columns;

/// What to do besides running.
#[derive(Clone, Copy, Default)]
pub struct Wishes {
    /// Print where the time went.
    pub profile: bool,
}

/// Runs `recipe` in `store` unless it is done there.
pub fn run(store: RunStore, recipe: &Recipe, variant: &str, wishes: Wishes, progress: &dyn Progress) -> Result<()> {
    let path = store.path();
    if let Some(Status { state: State::Done, .. }) = store.status() {
        eprintln!("  done already, nothing to do");
        return renew_expectations(recipe, path, &store);
    }
    let device = device::parse(&recipe.device).map_err(|(message, help)| Error::failed(message).help(help))?;
    if wishes.profile {
        profile::wait_for(device.clone());
    }
    let manifest = manifest(recipe, variant, &store)?;
    store.write_text("recipe.resolved.yaml", &recipe.resolved.to_yaml())?;
    store.write_json("manifest.json", &manifest)?;
    store.write_state(State::Running, None)?;
    profile::reset_peak_memory();
    let started = Totals::now();
    let outcome = with_context(recipe, path, &store, progress, manifest, |task, context| task.run(context));
    if wishes.profile {
        eprintln!("{}", profile_table(&started));
    }
    outcome.inspect_err(|error| {
        let (state, reason) = match error {
            Error::Interrupted => (State::Interrupted, None),
            other => (State::Failed, Some(other.to_string())),
        };
        // The error itself is what the user must see; that the status could not be written either adds nothing.
        let _ = store.write_state(state, reason);
    })
}

/// What a recipe expects changes no result, so that a run that is done takes it over.
fn renew_expectations(recipe: &Recipe, path: &Path, store: &RunStore) -> Result<()> {
    let mut frozen = Recipe::frozen(path)?;
    if frozen.expect == recipe.expect {
        return Ok(());
    }
    if let (Some(map), Some(expect)) = (frozen.resolved.as_map_mut(), recipe.resolved.at("expect")) {
        map.insert("expect", Origin::Default, expect.clone());
    }
    store.write_text("recipe.resolved.yaml", &frozen.resolved.to_yaml())
}

/// Makes training step `step` of the run in `path` again; the run stays as it is.
pub fn replay(recipe: &Recipe, path: &Path, step: u64, progress: &dyn Progress) -> Result<serde_json::Value> {
    let store = RunStore::open(path)?;
    let manifest = manifest(recipe, "", &store)?;
    with_context(recipe, path, &store, progress, manifest, |task, context| task.replay(context, step))
}

fn with_context<T>(
    recipe: &Recipe,
    path: &Path,
    store: &RunStore,
    progress: &dyn Progress,
    manifest: Manifest,
    work: impl FnOnce(&dyn Task, &mut RunContext) -> Result<T>,
) -> Result<T> {
    let device = device::parse(&recipe.device).map_err(|(message, help)| Error::failed(message).help(help))?;
    let task = recipe.build::<dyn Task>(&BuildContext::new(recipe.seed, device.clone()))?;
    // `<runs>/<recipe name>/<run>`
    let shared = path.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let runs = shared.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
    let started = Totals::now();
    let mut context =
        RunContext { recipe, store, progress, device: &device, manifest, shared: &shared, runs: &runs, started };
    work(&*task, &mut context)
}

/// The run's manifest with this sitting at its end.
fn manifest(recipe: &Recipe, variant: &str, store: &RunStore) -> Result<Manifest> {
    let components = recipe.components();
    let mut manifest = Manifest {
        format: FORMAT,
        name: recipe.name.clone(),
        variant: variant.to_owned(),
        seed: recipe.seed,
        hash: recipe.hash.clone(),
        task: components.get("task").cloned().unwrap_or_default(),
        components,
        ..Manifest::default()
    };
    if let Some(earlier) = store.manifest()? {
        if earlier.hash != recipe.hash {
            return Err(Error::failed(format!("{} is another recipe's run", store.path().display()))
                .help("choose another folder with `--runs DIR`, or remove that run"));
        }
        manifest.sittings = earlier.sittings;
        manifest.notes = earlier.notes;
        manifest.weights = earlier.weights;
        manifest.lists = earlier.lists;
        // Each sitting looks at the lists again.
        manifest.notes.retain(|note| note.starts_with(RESUMED));
    }
    let now = sitting(recipe);
    if let Some(note) = manifest.sittings.last().and_then(|before| changed(before, &now)) {
        manifest.notes.push(note);
    }
    manifest.sittings.push(now);
    Ok(manifest)
}

const RESUMED: &str = "resumed with ";

/// What is not as it was in the sitting before.
fn changed(before: &Sitting, now: &Sitting) -> Option<String> {
    let version = |sitting: &Sitting| {
        format!("maclip {} ({})", sitting.maclip_version, sitting.commit.as_deref().unwrap_or("no commit"))
    };
    let pairs = [
        (version(before), version(now)),
        (before.device.clone(), now.device.clone()),
        (before.cpu.clone(), now.cpu.clone()),
        (before.features.join(" "), now.features.join(" ")),
    ];
    let differences: Vec<String> = pairs
        .into_iter()
        .filter(|(before, now)| before != now)
        .map(|(before, now)| format!("{now} after {before}"))
        .collect();
    (!differences.is_empty()).then(|| format!("{RESUMED}{}", differences.join(", ")))
}

fn sitting(recipe: &Recipe) -> Sitting {
    Sitting {
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("MACLIP_COMMIT").map(str::to_owned),
        features: device::features(),
        device: recipe.device.clone(),
        cpu: cpu_name(),
        accelerator: accelerator_name(&recipe.device),
        threads: std::env::var("RAYON_NUM_THREADS")
            .ok()
            .and_then(|threads| threads.parse().ok())
            .filter(|threads| *threads > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        argv: std::env::args().collect(),
        started_unix: unix_seconds(),
        ..Sitting::default()
    }
}

pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The model of the NVIDIA card that `tch:cuda:N` names, as its driver tells it.
fn accelerator_name(device: &str) -> Option<String> {
    let index: usize = device.strip_prefix("tch:cuda:")?.parse().ok()?;
    let mut cards: Vec<PathBuf> =
        std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    cards.sort();
    let information = std::fs::read_to_string(cards.get(index)?.join("information")).ok()?;
    information.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
}

/// Thread-seconds of each phase since `started`.
fn profile_table(started: &Totals) -> String {
    let phases = Totals::now().since(started);
    let all: f64 = phases.iter().map(|(_, seconds, _)| seconds).sum();
    let mut rows = vec![["phase", "thread-seconds", "share", "calls", "each"].map(str::to_owned)];
    rows.extend(phases.iter().map(|(name, seconds, calls)| {
        [
            (*name).to_owned(),
            format!("{seconds:.2}"),
            format!("{:.1} %", 100.0 * seconds / all),
            calls.to_string(),
            format!("{:.2} ms", 1e3 * seconds / *calls as f64),
        ]
    }));
    if let Some(bytes) = profile::peak_memory() {
        let memory = format!("{:.0} MB", bytes as f64 / 1e6);
        rows.push(["peak memory".to_owned(), memory, String::new(), String::new(), String::new()]);
    }
    columns(&rows, 1).join("\n")
}
