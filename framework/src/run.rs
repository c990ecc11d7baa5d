//! One run: a checked recipe, what components are built from, and what a task works with.

use crate::clip_store;
use crate::compute::{Compute, Precision};
use crate::device;
use crate::error::{Error, Result};
use crate::expectation::Expectation;
use crate::keys;
use crate::parameters::{self, Keeping};
use crate::profile;
use crate::progress::Progress;
use crate::random::Stream;
use crate::ranges;
use crate::recipe::{
    Arguments, Diagnostic, Diagnostics, Node, Origin, codes, from_node, from_node_repaired, identity, name_help, parent,
};
use crate::records::{Manifest, Sitting, State, Status, TestResult};
use crate::registry::{
    Facts, Info, SLOTS, SlotTrait, build_choice, check_fit, check_inputs, resolve_choice, slot, tell,
};
use crate::slots::backbone::Geometry;
use crate::slots::dataset::Dataset;
use crate::slots::task::Task;
use crate::store::{RunStore, checkpoint_steps};
use crate::weights::sha256;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Keys that cannot change a result, left out of a run's identity.
const NO_RESULT: [&str; 14] = [
    "name",
    "description",
    "device",
    "compute",
    "clip_store.use",
    "clip_store.folder",
    "clip_store.limit_gb",
    "expect",
    "task.train.checkpoint_every_steps",
    "task.train.keep_checkpoints",
    "task.validation.examples",
    "task.validation.list.path",
    "task.test.examples",
    "task.test.list.path",
];

/// Keys that came later, with the value that stands for what was done before: left out of the identity, so that earlier runs keep
/// theirs.
const LATER: [(&str, &str, &str); 3] =
    [("resize", "type", "none"), ("clip_store", "format", "raw"), ("adapter.parts", "", "all")];

/// Identity of a run, of its resolved recipe.
fn hash_of(resolved: &Node) -> String {
    let as_before = |(key, field, value): &(&'static str, &str, &str)| {
        let found = resolved.at(key).and_then(|node| node.at(field)).and_then(Node::as_str);
        (found == Some(*value)).then_some(*key)
    };
    let ignored: Vec<&str> = NO_RESULT.into_iter().chain(LATER.iter().filter_map(as_before)).collect();
    identity(resolved, &ignored)
}

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
    pub clip_store: clip_store::Options,
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
        let (path, node) = self.written(path, |origin| matches!(origin, Origin::File(_) | Origin::Argument { .. }))?;
        Some(match node.origin.written() {
            origin @ Origin::File(_) => format!("{origin} ({path})"),
            origin => origin.to_string(),
        })
    }

    /// What was written at `path`, or the nearest around it whose origin `fits`, with its path.
    fn written<'a>(&self, mut path: &'a str, fits: impl Fn(&Origin) -> bool) -> Option<(&'a str, &Node)> {
        loop {
            match self.source.at(path).filter(|node| fits(node.origin.written())) {
                Some(node) => return Some((path, node)),
                None => path = parent(path)?,
            }
        }
    }

    /// `error` as a problem with what was written at `path`.
    pub fn diagnostic(&self, code: &'static str, path: &str, error: &Error) -> Diagnostic {
        let (message, help) = match error {
            Error::Failed { message, help, .. } => (message.clone(), help.clone()),
            Error::Recipe(found) => {
                let first = found.iter().next();
                (first.map(|d| d.message.clone()).unwrap_or_default(), first.and_then(|d| d.help.first().cloned()))
            }
            Error::Interrupted => (error.to_string(), None),
        };
        let problem = Diagnostic::new(code, message).path(path).helps(help);
        self.written(path, |_| true).iter().fold(problem, |problem, (_, node)| problem.at(&node.origin))
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
        let slots = || SLOTS.iter().map(|slot| slot.name);
        let known: Vec<&str> = keys::resolved().chain(slots()).collect();
        let names: Vec<&str> = keys::KEYS.iter().map(|key| key.name).chain(slots()).collect();
        for entry in map.iter().filter(|entry| !known.contains(&entry.key.as_str())) {
            problems.push(
                Diagnostic::new(codes::UNKNOWN_KEY, format!("a recipe has no key `{}`", entry.key))
                    .at(&entry.key_origin)
                    .path(&entry.key)
                    .helps(name_help(&entry.key, names.iter().copied())),
            );
        }
        let mut keep = |key: &str, value: Node| {
            if let Some(map) = resolved.as_map_mut() {
                map.insert(key, Origin::Default, value);
            }
        };
        let name = field(root, "name", String::new(), &mut problems, &mut keep);
        if name.is_empty() && root.at("name").is_none_or(|node| node.as_str().is_some()) {
            let origin = root.at("name").map_or(&root.origin, |node| &node.origin);
            problems.push(
                Diagnostic::new(codes::MISSING_KEY, "a recipe needs a `name`")
                    .at(origin)
                    .path("name")
                    .help("add `name: my_experiment`; its runs go to <runs>/my_experiment/"),
            );
        } else if name.is_empty() {
            // Of another type, which has been told.
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
            let code = if device::known(&device) { codes::DEVICE } else { codes::OUT_OF_RANGE };
            problems.push(Diagnostic::new(code, message).at(origin).path("device").help(help));
        }
        let precision = field(root, "precision", Precision::default(), &mut problems, &mut keep);
        let compute = field(root, "compute", Compute::default(), &mut problems, &mut keep);
        let clip_store = field(root, "clip_store", clip_store::Options::default(), &mut problems, &mut keep);
        let expect: Vec<Expectation> = field(root, "expect", Vec::new(), &mut problems, &mut keep);
        let listed = root.at("expect").and_then(Node::as_list).unwrap_or_default();
        for (at, node) in listed.iter().enumerate() {
            // What cannot be read has been told.
            let Some((field, message)) = from_node::<Expectation>(node, "").ok().and_then(|item| item.problem()) else {
                continue;
            };
            let path = format!("expect[{at}].{field}");
            let origin = root.at(&path).map_or(&root.origin, |node| &node.origin);
            problems.push(Diagnostic::new(codes::OUT_OF_RANGE, format!("`{field}` {message}")).at(origin).path(path));
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
        Diagnostics::check(misfits(root, &resolved))?;
        let hash = hash_of(&resolved);
        let source = root.clone();
        Ok(Self { name, description, seed, device, precision, compute, clip_store, expect, resolved, hash, source })
    }

    /// The recipe that the run in `directory` was frozen with.
    pub fn frozen(directory: &Path) -> Result<Self> {
        let document = crate::recipe::load(&directory.join("recipe.resolved.yaml"), &Arguments::default())?;
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

    /// The task, for what needs no device.
    pub fn task(&self) -> Result<Box<dyn Task>> {
        self.build(&BuildContext::new(self.seed, Device::flex()))
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

/// Trainable parameters of a component of a model's slot, with its example's options, on CLIP ViT-B/16 with 8 frames; `None` for the
/// others, and where it cannot be built on that.
pub fn trainable(slot: &str, info: &Info) -> Option<usize> {
    use crate::module::Slot;
    use crate::slots::{adapter::Adapter, alignment::Alignment, objective::Objective, prototype::Prototype};
    let mut node = crate::recipe::read_str("example", info.example).ok()?;
    node.as_map_mut()?.insert("type", Origin::Default, Node::from_json(&info.name.into()));
    let mut context = BuildContext::new(0, Device::flex());
    context.sizes_only = true;
    let context = context.with_sizes(Geometry::clip_vit_b16(), 8);
    let count = match slot {
        "adapter" => parameters::count(&Slot::new(build_choice::<dyn Adapter>(&node, &context).ok()?)),
        "prototype" => parameters::count(&Slot::new(build_choice::<dyn Prototype>(&node, &context).ok()?)),
        "alignment" => parameters::count(&Slot::new(build_choice::<dyn Alignment>(&node, &context).ok()?)),
        "objective" => parameters::count(&Slot::new(build_choice::<dyn Objective>(&node, &context).ok()?)),
        _ => return None,
    };
    Some(count.trainable)
}

fn default_choice(name: &str) -> Node {
    let mut node = Node::map(Origin::Default);
    if let Some(map) = node.as_map_mut() {
        map.insert("type", Origin::Default, Node::from_json(&serde_json::Value::from(name)));
    }
    node
}

/// The value under `key`, with all that is wrong with it in `problems`.
fn field<T: serde::de::DeserializeOwned + serde::Serialize + schemars::JsonSchema>(
    root: &Node,
    key: &str,
    default: T,
    problems: &mut Vec<Diagnostic>,
    keep: &mut impl FnMut(&str, Node),
) -> T {
    let read = root.at(key).map(|node| from_node_repaired::<T>(node, key));
    let value = match read {
        None => default,
        Some(read) => {
            let schema = schemars::schema_for!(T).to_value();
            let written = root.at(key).unwrap_or(root);
            problems.extend(ranges::check_beside(&schema, written, key, &read.problems));
            problems.extend(read.problems);
            read.value.unwrap_or(default)
        }
    };
    if let Ok(json) = serde_json::to_value(&value) {
        keep(key, Node::from_json(&json));
    }
    value
}

/// Components that do not fit together. `root` is the recipe as written, `resolved` with every default.
fn misfits(root: &Node, resolved: &Node) -> Vec<Diagnostic> {
    // A component that nobody wrote has no place, and what it says is in the defaults.
    let written = |name: &str| root.at(name).or(resolved.at(name));
    let chosen: Vec<_> = SLOTS
        .iter()
        .filter(|slot| resolved.at(slot.name).is_some())
        .filter_map(|slot| Some((slot, written(slot.name)?)))
        .collect();
    let mut facts = Facts::default();
    chosen.iter().for_each(|(slot, node)| tell(slot, node, &mut facts));
    let mut problems: Vec<Diagnostic> =
        chosen.iter().filter_map(|(slot, node)| check_fit(slot, node, &facts).err()).flatten().collect();
    if facts.text_tower == Some(false) && !facts.readers.is_empty() {
        let reads = facts.readers.iter().map(|slot| {
            let kind = resolved.at(slot).and_then(|node| node.at("type")).and_then(Node::as_str).unwrap_or_default();
            format!("`{slot}: {kind}`")
        });
        let message = format!(
            "{} reads class texts, and the backbone has no text tower",
            reads.collect::<Vec<_>>().join(" and ")
        );
        let backbone = root.at("backbone").and_then(|node| node.at("type"));
        let origin = backbone.map_or(&root.origin, |node| &node.origin);
        problems.push(Diagnostic::new(codes::STRUCTURE, message).at(origin).path("backbone.type").help(
            "choose a CLIP backbone, or an adapter, prototype and objective (such as `metric`) that read no text",
        ));
    }
    problems
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
    /// Build the model for its sizes alone: weights need not be there, and are not made. For `maclip plan`.
    pub sizes_only: bool,
    /// Of the frozen tower's matrix products.
    pub precision: Precision,
    /// See [`Compute::activation_checkpointing`].
    pub activation_checkpointing: bool,
    /// See [`Facts::directed`].
    pub directed: Option<bool>,
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
            directed: None,
            geometry: None,
            frames: None,
            weights: Arc::default(),
        }
    }

    /// For a run of `recipe` on `device`; an error where the device lacks the precision.
    pub fn for_run(recipe: &Recipe, device: &Device) -> Result<Self> {
        device::check_precision(&recipe.device, device, recipe.precision)
            .map_err(|error| error.at(recipe.place("precision")))?;
        let mut told = Facts::default();
        if let (Some(slot), Some(node)) = (slot(<dyn Dataset>::NAME), recipe.resolved.at(<dyn Dataset>::NAME)) {
            tell(slot, node, &mut told);
        }
        Ok(Self {
            precision: recipe.precision,
            activation_checkpointing: recipe.compute.activation_checkpointing,
            directed: told.directed,
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
            directed: self.directed,
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

    /// What is known while components are built.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts { frames: self.frames, directed: self.directed, ..Facts::default() };
        self.geometry.iter().for_each(|geometry| facts.backbone(geometry.clone()));
        facts
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

    /// Notes something that a reader of the result has to know. A sitting that goes on says it again.
    pub fn note(&mut self, text: String) {
        if !self.manifest.notes.contains(&text) {
            self.manifest.notes.push(text);
        }
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
