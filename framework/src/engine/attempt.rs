//! The entry that a process adds to the manifest of a run: which program works on it, where and with what.

use crate::engine::task;
use crate::error::{Error, Result};
use crate::files::unix_seconds;
use crate::recipe::devices::Devices;
use crate::recipe::{Recipe, device};
use crate::runs::records::{Attempt, FORMAT, Manifest, RunFlops};
use crate::runs::store::{RunStore, checkpoint_steps};
use std::path::PathBuf;

/// The manifest of the run, with a new attempt at its end.
pub(super) fn manifest(recipe: &Recipe, variant: &str, store: &RunStore, commit: Option<&str>) -> Result<Manifest> {
    let components = recipe.components();
    let mut manifest = Manifest {
        format: FORMAT,
        name: recipe.name.clone(),
        variant: variant.to_owned(),
        seed: recipe.seed,
        hash: recipe.hash.clone(),
        task: components.get("task").cloned().unwrap_or_default(),
        components,
        // Also where this attempt ends before it has read them.
        pinned: recipe.pinned.clone(),
        ..Manifest::default()
    };
    if let Some(earlier) = store.manifest()? {
        if earlier.hash != recipe.hash {
            return Err(Error::failed(format!("{} is another recipe's run", store.path().display()))
                .help("choose another folder with `--runs DIR`, or remove that run"));
        }
        manifest.attempts = earlier.attempts;
        manifest.notes = earlier.notes;
        manifest.weights = earlier.weights;
        manifest.settings = earlier.settings;
        manifest.lists = earlier.lists;
        manifest.clips = earlier.clips;
        manifest.imported = earlier.imported;
        // Each attempt makes all other notes again.
        manifest.notes.retain(|note| [RESUMED, TRAINED].iter().any(|kept| note.starts_with(kept)));
    }
    let mut now = attempt(recipe, commit);
    // From the beginning on, as a killed process writes nothing later.
    now.first_step = checkpoint_steps(store.path())?.first().copied().unwrap_or(0);
    if let Some(note) = manifest.attempts.last().and_then(|before| changed(before, &now)) {
        manifest.notes.push(note);
    }
    manifest.attempts.push(now);
    Ok(manifest)
}

const RESUMED: &str = "resumed with ";
/// The beginning of the note in the manifest of a run whose training is that of another run.
pub(super) const TRAINED: &str = "the training is that of ";

/// A note on what differs from the attempt before; `None` where nothing does.
fn changed(before: &Attempt, now: &Attempt) -> Option<String> {
    let version = |attempt: &Attempt| {
        format!("maclip {} ({})", attempt.maclip_version, attempt.commit.as_deref().unwrap_or("no commit"))
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

fn attempt(recipe: &Recipe, commit: Option<&str>) -> Attempt {
    Attempt {
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit.map(str::to_owned),
        features: device::features(),
        device: recipe.devices.to_string(),
        host: host_name(),
        cpu: cpu_name(),
        accelerator: accelerators(&recipe.devices),
        threads: std::env::var("RAYON_NUM_THREADS")
            .ok()
            .and_then(|threads| threads.parse().ok())
            .filter(|threads| *threads > 0)
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        argv: std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect(),
        started_unix: unix_seconds(),
        flops: flops(recipe),
        ..Attempt::default()
    }
}

/// What the task counts; a run goes on without it.
fn flops(recipe: &Recipe) -> Option<RunFlops> {
    let work = task::of(recipe).ok()?.workload(recipe).ok()?;
    Some(RunFlops { train: work.training, test: work.test.encode + work.test.align })
}

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Name of the processor, as the system reports it (Linux); otherwise its architecture, such as `x86_64`.
pub fn cpu_name() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name =
        info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim()));
    name.unwrap_or(std::env::consts::ARCH).to_owned()
}

/// The models of the NVIDIA cards among `devices`, each once.
fn accelerators(devices: &Devices) -> Option<String> {
    let mut models: Vec<String> = devices.names().iter().filter_map(|name| accelerator_name(name)).collect();
    models.dedup();
    (!models.is_empty()).then(|| models.join(", "))
}

/// The model of the card that `name` names, as its driver reports it.
fn accelerator_name(name: &str) -> Option<String> {
    let Some(index) = device::nvidia_card(name) else { return device::adapter(name) };
    let mut cards: Vec<PathBuf> =
        std::fs::read_dir("/proc/driver/nvidia/gpus").ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    cards.sort();
    let information = std::fs::read_to_string(cards.get(index)?.join("information")).ok()?;
    information.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
}
