//! One run: a checked recipe, what components are built from, and what a task works with.

use crate::compute::{Compute, Precision};
use crate::device;
use crate::error::{Error, Result};
use crate::expectation::Expectation;
use crate::parameters::Keeping;
use crate::profile;
use crate::progress::Progress;
use crate::random::Stream;
use crate::recipe::{Diagnostic, Diagnostics, Node, Origin, codes, from_node, identity, name_help};
use crate::records::{Manifest, Sitting, State, Status, TestResult};
use crate::registry::{SLOTS, SlotTrait, build_choice, check_inputs, resolve_choice, slot};
use crate::slots::backbone::Geometry;
use crate::slots::task::Task;
use crate::store::{RunStore, checkpoint_steps};
use crate::weights::sha256;
use burn::tensor::{DType, Device};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Keys of a recipe beside the slots.
const KEYS: [&str; 8] = ["name", "description", "seed", "device", "precision", "compute", "expect", "study"];
/// Keys that cannot change a result, left out of a run's identity.
const NO_RESULT: [&str; 10] = [
    "name",
    "description",
    "device",
    "compute",
    "expect",
    "study",
    "task.train.checkpoint_every_steps",
    "task.train.keep_checkpoints",
    "task.validation.list.path",
    "task.test.list.path",
];

/// What a recipe is checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Run,
    /// Data and weights may be missing.
    Plan,
}

/// A recipe that passed all checks, with every default filled in.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub name: String,
    pub description: String,
    pub seed: u64,
    pub device: String,
    pub precision: Precision,
    pub compute: Compute,
    pub expect: Vec<Expectation>,
    /// The whole resolved tree: what is frozen into the run directory.
    pub resolved: Node,
    /// Identity of the run, SHA-256 in hex.
    pub hash: String,
    /// The tree as it was written, for the places of its values.
    source: Node,
}

impl Recipe {
    /// Where the value at the dotted `path` was written, or the nearest map around it: `file:line:column`, or the `--set`
    /// argument. `None` for defaults.
    pub fn place(&self, path: &str) -> Option<String> {
        let mut path = path;
        loop {
            match self.source.at(path).map(|node| &node.origin) {
                Some(Origin::File(place)) => {
                    return Some(format!("{}:{}:{} ({path})", place.source.name, place.line, place.column));
                }
                Some(Origin::Set { argument, .. }) => return Some(format!("--set {argument}")),
                Some(Origin::Default) | None => path = path.rsplit_once('.')?.0,
            }
        }
    }

    /// Checks the interpolated tree `root` (without `study`) and collects all problems. Does no heavy I/O.
    pub fn check(root: &Node) -> std::result::Result<Self, Diagnostics> {
        Self::check_for(root, Purpose::Run)
    }

    /// [`Recipe::check`], for a run or only for its plan.
    pub fn check_for(root: &Node, purpose: Purpose) -> std::result::Result<Self, Diagnostics> {
        let mut problems = Vec::new();
        let mut resolved = Node::map(Origin::Default);
        let Some(map) = root.as_map() else {
            let message = format!("a recipe is a map of keys, not {}", root.describe());
            return Err(Diagnostic::new(codes::WRONG_TYPE, message).at(&root.origin).into());
        };
        let known: Vec<&str> = KEYS.into_iter().chain(SLOTS.iter().map(|slot| slot.name)).collect();
        for entry in map.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            problems.push(
                Diagnostic::new(codes::UNKNOWN_KEY, format!("a recipe has no key `{}`", entry.key))
                    .at(&entry.key_origin)
                    .path(&entry.key)
                    .helps(name_help(&entry.key, known.iter().copied())),
            );
        }
        let mut keep = |key: &str, value: Node| {
            if let Some(map) = resolved.as_map_mut() {
                map.insert(key, Origin::Default, value);
            }
        };
        let name = field(root, "name", String::new(), &mut problems, &mut keep);
        if name.is_empty() {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            problems.push(
                Diagnostic::new(codes::MISSING_KEY, "a recipe needs a `name`")
                    .at(origin)
                    .path("name")
                    .help("add `name: my_experiment`; its runs go to <runs>/my_experiment/"),
            );
        } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) || name.starts_with('.') {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            let message = format!("`{name}` cannot name a folder: use letters, digits, `-`, `_` and `.`");
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, message).at(origin).path("name"));
        }
        let description = field(root, "description", String::new(), &mut problems, &mut keep);
        let seed = field(root, "seed", 0, &mut problems, &mut keep);
        let device = field(root, "device", "flex".to_owned(), &mut problems, &mut keep);
        if let Err((message, help)) = device::parse(&device) {
            let origin = root.at("device").map_or(&root.origin, |node| &node.origin);
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, message).at(origin).path("device").help(help));
        }
        let precision = field(root, "precision", Precision::default(), &mut problems, &mut keep);
        let compute = field(root, "compute", Compute::default(), &mut problems, &mut keep);
        compute.check(root.at("compute"), &mut problems);
        let expect: Vec<Expectation> = field(root, "expect", Vec::new(), &mut problems, &mut keep);
        for (at, (field, message)) in expect.iter().enumerate().filter_map(|(at, e)| Some((at, e.problem()?))) {
            let origin = root.at("expect").map_or(&root.origin, |node| &node.origin);
            problems.push(
                Diagnostic::new(codes::OUT_OF_RANGE, format!("`{field}` {message}"))
                    .at(origin)
                    .path(format!("expect[{at}].{field}")),
            );
        }
        let used = used_slots(root, &mut problems);
        for slot in SLOTS {
            let chosen = map.get(slot.name);
            if !used.is_empty() && !used.contains(&slot.name) {
                if let Some(entry) = map.entry(slot.name) {
                    let message = format!("the task does not use `{}`", slot.name);
                    problems.push(
                        Diagnostic::new(codes::STRUCTURE, message)
                            .at(&entry.key_origin)
                            .path(slot.name)
                            .help(format!("remove it; the task uses: {}", used.join(", "))),
                    );
                }
                continue;
            }
            let node = match (chosen, slot.default) {
                (Some(node), _) => node.clone(),
                (None, Some(default)) => default_choice(default),
                (None, None) => {
                    let names: Vec<&str> = (slot.components)().iter().map(|candidate| candidate.info.name).collect();
                    problems.push(
                        Diagnostic::new(codes::MISSING_KEY, format!("the recipe has no `{}`", slot.name))
                            .at(&root.origin)
                            .path(slot.name)
                            .help(format!("add `{}:` with `type:` one of {}", slot.name, names.join(", "))),
                    );
                    continue;
                }
            };
            match resolve_choice(slot, &node) {
                Ok(resolved) => {
                    if purpose == Purpose::Run
                        && let Err(found) = check_inputs(slot, &node)
                    {
                        problems.extend(found.into_vec());
                    }
                    keep(slot.name, resolved);
                }
                Err(found) => problems.extend(found.into_vec()),
            }
        }
        Diagnostics::check(problems)?;
        let hash = identity(&resolved, &NO_RESULT);
        let source = root.clone();
        Ok(Self { name, description, seed, device, precision, compute, expect, resolved, hash, source })
    }

    /// The recipe that the run in `directory` was frozen with.
    pub fn frozen(directory: &Path) -> Result<Self> {
        let document = crate::recipe::load(&directory.join("recipe.resolved.yaml"), &[])?;
        Ok(Self::check(&document.root)?)
    }

    /// The component chosen for each slot.
    pub fn components(&self) -> BTreeMap<String, String> {
        SLOTS
            .iter()
            .filter_map(|slot| {
                let name = self.resolved.at(slot.name)?.at("type")?.as_str()?;
                Some((slot.name.to_owned(), name.to_owned()))
            })
            .collect()
    }

    /// Builds the component of slot `T`.
    pub fn build<T: SlotTrait + ?Sized>(&self, context: &BuildContext) -> Result<Box<T>> {
        let node = self
            .resolved
            .at(T::NAME)
            .ok_or_else(|| Error::failed(format!("the recipe has no `{}`, which its task builds", T::NAME)))?;
        build_choice::<T>(node, context).map_err(|error| error.at(self.place(T::NAME)))
    }
}

fn default_choice(name: &str) -> Node {
    let mut node = Node::map(Origin::Default);
    if let Some(map) = node.as_map_mut() {
        map.insert("type", Origin::Default, Node::from_json(&serde_json::Value::from(name)));
    }
    node
}

fn field<T: serde::de::DeserializeOwned + serde::Serialize>(
    root: &Node,
    key: &str,
    default: T,
    problems: &mut Vec<Diagnostic>,
    keep: &mut impl FnMut(&str, Node),
) -> T {
    let value = match root.at(key).map(|node| from_node::<T>(node, key)) {
        None => default,
        Some(Ok(value)) => value,
        Some(Err(problem)) => {
            problems.push(problem);
            default
        }
    };
    if let Ok(json) = serde_json::to_value(&value) {
        keep(key, Node::from_json(&json));
    }
    value
}

/// The slots that the recipe's task reads; empty where the task itself has a problem, which is reported in its place.
fn used_slots(root: &Node, problems: &mut Vec<Diagnostic>) -> Vec<&'static str> {
    let Some(info) = slot(<dyn Task>::NAME) else { return Vec::new() };
    let node = root.at(info.name).cloned().or_else(|| info.default.map(default_choice));
    let Some(node) = node else { return Vec::new() };
    let Ok(node) = resolve_choice(info, &node) else { return Vec::new() };
    let context = BuildContext::new(0, Device::flex());
    match build_choice::<dyn Task>(&node, &context) {
        Ok(task) => std::iter::once(info.name).chain(task.slots().iter().copied()).collect(),
        Err(error) => {
            problems.push(Diagnostic::new(codes::STRUCTURE, error.to_string()).at(&node.origin).path(info.name));
            Vec::new()
        }
    }
}

/// What components are built from.
#[derive(Debug)]
pub struct BuildContext {
    pub seed: u64,
    /// The plain device; frozen weights and inputs live here.
    pub device: Device,
    /// Words that a text tower trained from scratch knows.
    pub vocabulary: Vec<String>,
    /// Build the model for its sizes alone: weights that are not there are zeros. For `maclip plan`.
    pub sizes_only: bool,
    /// Of the frozen tower's matrix products.
    pub precision: Precision,
    /// See [`Compute::activation_checkpointing`].
    pub activation_checkpointing: bool,
    geometry: Option<Geometry>,
    frames: Option<usize>,
    weights: Arc<Mutex<BTreeMap<String, String>>>,
}

impl BuildContext {
    pub fn new(seed: u64, device: Device) -> Self {
        Self {
            seed,
            device,
            vocabulary: Vec::new(),
            sizes_only: false,
            precision: Precision::F32,
            activation_checkpointing: false,
            geometry: None,
            frames: None,
            weights: Arc::default(),
        }
    }

    /// For a run of `recipe` on `device`; an error where the device lacks the precision.
    pub fn for_run(recipe: &Recipe, device: &Device) -> Result<Self> {
        if recipe.precision == Precision::Bf16 && !device.supports_dtype(DType::BF16) {
            return Err(Error::failed(format!("device `{}` has no bf16", recipe.device))
                .at(recipe.place("precision"))
                .help("use `precision: f32`"));
        }
        Ok(Self {
            precision: recipe.precision,
            activation_checkpointing: recipe.compute.activation_checkpointing,
            ..Self::new(recipe.seed, device.clone())
        })
    }

    /// The same with the sizes that adapters, prototypes and alignments are built by.
    pub fn with_sizes(&self, geometry: Geometry, frames: usize) -> Self {
        Self {
            device: self.device.clone(),
            vocabulary: self.vocabulary.clone(),
            sizes_only: self.sizes_only,
            precision: self.precision,
            activation_checkpointing: self.activation_checkpointing,
            geometry: Some(geometry),
            frames: Some(frames),
            weights: Arc::clone(&self.weights),
            seed: self.seed,
        }
    }

    /// Where trainable weights live: the device's autodiff twin.
    pub fn trainable_device(&self) -> Device {
        let device = self.device.clone().autodiff();
        if self.activation_checkpointing { device.gradient_checkpointing() } else { device }
    }

    /// How graphs over trainable weights keep activations.
    pub fn keeping(&self) -> Keeping {
        self.trainable_device().gradient_checkpointing_strategy()
    }

    /// Random numbers for initial weights of `part`; draw `index` for the index-th tensor.
    pub fn init(&self, part: &str) -> Stream {
        Stream::new(self.seed, &format!("init/{part}"))
    }

    /// The backbone's sizes. Only components that are built before it may not ask.
    pub fn geometry(&self) -> Result<&Geometry> {
        self.geometry.as_ref().ok_or_else(|| Error::failed("the backbone's sizes are not known yet at this point"))
    }

    /// The sizes of a backbone whose blocks adapters can go around.
    pub fn transformer(&self) -> Result<&Geometry> {
        let geometry = self.geometry()?;
        if geometry.transformer {
            return Ok(geometry);
        }
        Err(Error::failed("this adapter goes around transformer blocks, and the backbone has none")
            .help("with a ResNet choose `adapter: {type: none}`, `{type: full}` or `{type: last_blocks}`"))
    }

    /// Number of frames T of a clip.
    pub fn frames(&self) -> Result<usize> {
        self.frames.ok_or_else(|| Error::failed("the number of frames is not known yet at this point"))
    }

    /// Notes the configuration that was read beside the weights called `name`: it decides heads, activation and norms.
    pub fn note_config(&self, name: &str, config: Option<&serde_json::Value>) {
        if let Some(config) = config {
            self.note_weights(&format!("{name}: config"), sha256(config.to_string().as_bytes()));
        }
    }

    /// Notes that weights called `name` with this checksum were read; goes into the manifest.
    pub fn note_weights(&self, name: &str, sha256: String) {
        if let Ok(mut weights) = self.weights.lock() {
            weights.insert(name.to_owned(), sha256);
        }
    }

    pub fn weights(&self) -> BTreeMap<String, String> {
        self.weights.lock().map(|weights| weights.clone()).unwrap_or_default()
    }
}

/// What a task works with.
pub struct RunContext<'a> {
    pub recipe: &'a Recipe,
    pub store: &'a RunStore,
    pub progress: &'a dyn Progress,
    pub device: &'a Device,
    pub manifest: Manifest,
    /// Folder of the recipe's runs, for what they share.
    pub shared: &'a Path,
    /// Folder of all runs.
    pub runs: &'a Path,
    /// Phase totals when this run began.
    pub started: profile::Totals,
}

impl RunContext<'_> {
    /// The last sitting, this process's own.
    pub fn sitting(&mut self) -> Result<&mut Sitting> {
        self.manifest.sittings.last_mut().ok_or_else(|| Error::failed("the manifest has no sitting"))
    }

    /// Notes checksums of `what` (`weights`, `list`) in the manifest; an error where a training that goes on would go on with others.
    pub fn note_inputs(&mut self, what: &str, sums: BTreeMap<String, String>) -> Result<()> {
        let earlier = if what == "weights" { &mut self.manifest.weights } else { &mut self.manifest.lists };
        let changed = sums.iter().find(|(name, sum)| earlier.get(*name).is_some_and(|before| before != *sum));
        if let Some((name, _)) = changed.filter(|_| checkpoint_steps(self.store.path()).is_ok_and(|s| !s.is_empty())) {
            return Err(Error::failed(format!("{what} `{name}` is not what this run was trained with so far")).help(
                format!("bring it back, or begin anew with `maclip runs rm {} --yes`", self.store.path().display()),
            ));
        }
        *earlier = sums;
        Ok(())
    }

    /// Writes the manifest as it is now.
    pub fn write_manifest(&self) -> Result<()> {
        self.store.write_json("manifest.json", &self.manifest)
    }

    /// Closes the run: phases and memory into the manifest, then the status with `test`.
    pub fn finish(&mut self, test: TestResult, best_step: Option<u64>) -> Result<()> {
        self.note_costs()?;
        let seconds = self.manifest.seconds();
        self.store.write_status(Status { test: Some(test), best_step, seconds, ..Status::new(State::Done) })
    }

    /// Phases and memory of this sitting so far into the manifest.
    pub fn note_costs(&mut self) -> Result<()> {
        let phases = profile::Totals::now().seconds_since(&self.started);
        let sitting = self.sitting()?;
        sitting.phases = phases;
        sitting.peak_memory_bytes = profile::peak_memory();
        self.write_manifest()
    }
}

/// Where the run of `recipe` goes: `<runs>/<name>/<variant>-s<seed>-<hash8>`.
pub fn directory(runs: &Path, recipe: &Recipe, variant: &str) -> PathBuf {
    runs.join(&recipe.name).join(format!("{variant}-s{}-{}", recipe.seed, &recipe.hash[..8]))
}
