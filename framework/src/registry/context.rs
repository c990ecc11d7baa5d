//! What components are built from, apart from their options.

use super::Facts;
use crate::error::{Error, Result};
use crate::random::Stream;
use crate::slots::backbone::{Geometry, Precision};
use crate::slots::layout::{Layout, Part};
use crate::slots::module::GraphStrategy;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What components are built from, apart from their options.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// The seed of the run.
    pub seed: u64,
    /// The plain device, for frozen weights and inputs.
    pub device: Device,
    /// The words of a text tower that is trained from scratch; empty otherwise.
    pub vocabulary: Vec<String>,
    /// Build the model for its sizes alone: weights need not be there, and no tensor gets values. For `maclip plan`.
    pub sizes_only: bool,
    /// Number format of the frozen towers' matrix products.
    pub precision: Precision,
    /// Whether graphs keep only those activations that are expensive to compute (`compute.activation_checkpointing`).
    pub activation_checkpointing: bool,
    /// As [`Facts::directed`].
    pub directed: Option<bool>,
    /// Number of training classes, where the dataset states it.
    pub train_classes: Option<usize>,
    /// As [`Recipe::untrained`](crate::recipe::Recipe::untrained).
    pub untrained: bool,
    /// As [`Recipe::pinned`](crate::recipe::Recipe::pinned).
    pub pins: BTreeMap<String, String>,
    geometry: Option<Geometry>,
    frames: Option<usize>,
    given: Layout,
    compared: Layout,
    read: Vec<Part>,
    noted: Arc<Mutex<Noted>>,
}

/// What components say about what they read.
#[derive(Debug, Default)]
struct Noted {
    weights: BTreeMap<String, String>,
    pinned: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    notes: Vec<String>,
}

impl BuildContext {
    /// In f32, for a run, and without the sizes of a backbone.
    pub fn new(seed: u64, device: Device) -> Self {
        Self {
            seed,
            device,
            vocabulary: Vec::new(),
            sizes_only: false,
            precision: Precision::F32,
            activation_checkpointing: false,
            directed: None,
            train_classes: None,
            untrained: false,
            pins: BTreeMap::new(),
            geometry: None,
            frames: None,
            given: Layout::default(),
            compared: Layout::default(),
            read: Vec::new(),
            noted: Arc::default(),
        }
    }

    /// The same with the sizes that adapters, prototypes, alignments and objectives need: those of the backbone, and T
    /// frames of a clip.
    pub fn with_sizes(&self, geometry: Geometry, frames: usize) -> Self {
        let given = Layout::of_feature(geometry.embed_dim);
        Self { geometry: Some(geometry), frames: Some(frames), compared: given.clone(), given, ..self.clone() }
    }

    /// The same where the backbone hands out frames of the values `given`.
    pub fn with_given(&self, given: Layout) -> Self {
        Self { compared: Layout::of_feature(given.feature_width()), given, ..self.clone() }
    }

    /// The same where frames of the values `compared` are aligned, for what is built after the prototype module.
    pub fn with_compared(&self, compared: Layout) -> Self {
        Self { compared, ..self.clone() }
    }

    /// The same where components read these parts of a frame.
    pub fn with_read(&self, parts: &[Part]) -> Self {
        Self { read: parts.to_vec(), ..self.clone() }
    }

    /// Whether any component reads this part of a frame: a prototype module need not add what nothing reads.
    pub fn is_read(&self, part: Part) -> bool {
        self.read.contains(&part)
    }

    /// The values of a frame that the backbone hands out.
    pub fn given(&self) -> &Layout {
        &self.given
    }

    /// The values of a frame after the prototype module, which the alignment compares.
    pub fn compared(&self) -> &Layout {
        &self.compared
    }

    /// The device for trainable weights: the plain device with autodiff.
    pub fn trainable_device(&self) -> Device {
        let device = self.device.clone().autodiff();
        if self.activation_checkpointing { device.gradient_checkpointing() } else { device }
    }

    /// How graphs over trainable weights keep their activations.
    pub fn graph_strategy(&self) -> GraphStrategy {
        self.trainable_device().gradient_checkpointing_strategy()
    }

    /// Random numbers for the initial weights of `part`. The generator [`Stream::at`] `index` is for the tensor of this
    /// index.
    pub fn init(&self, part: &str) -> Stream {
        Stream::new(self.seed, &format!("init/{part}"))
    }

    /// The backbone's sizes.
    ///
    /// # Errors
    /// Where the component is built before the backbone, such as a dataset.
    pub fn geometry(&self) -> Result<&Geometry> {
        self.geometry.as_ref().ok_or_else(|| Error::failed("the backbone's sizes are not known yet at this point"))
    }

    /// What is known about the run at this point.
    pub fn facts(&self) -> Facts {
        let mut facts = Facts { frames: self.frames, directed: self.directed, ..Facts::default() };
        self.geometry.iter().for_each(|geometry| facts.backbone(geometry.clone()));
        facts
    }

    /// Number of frames T of a clip.
    ///
    /// # Errors
    /// Where the component is built before the frame sampler is known, such as a dataset or a backbone.
    pub fn frames(&self) -> Result<usize> {
        self.frames.ok_or_else(|| Error::failed("the number of frames is not known yet at this point"))
    }

    /// Notes for the manifest that the weights or the config `name`, a path or `builtin:NAME`, with this checksum were
    /// read.
    pub fn note_weights(&self, name: &str, sha256: String) {
        if let Ok(mut noted) = self.noted.lock() {
            noted.weights.insert(name.to_owned(), sha256);
        }
    }

    /// The names and checksums of all weights and configs that were read.
    pub fn weights(&self) -> BTreeMap<String, String> {
        self.noted.lock().map(|noted| noted.weights.clone()).unwrap_or_default()
    }

    /// Notes for the manifest that the weights `name` are those at `address` on the hub, which has the commit and the
    /// file.
    pub fn note_pinned(&self, name: &str, address: String) {
        if let Ok(mut noted) = self.noted.lock() {
            noted.pinned.insert(name.to_owned(), address);
        }
    }

    /// Where the weights `name` are read, if that is not their name itself.
    pub fn pin(&self, name: &str) -> Option<&str> {
        self.pins.get(name).map(String::as_str)
    }

    /// The addresses of all weights that came from the hub.
    pub fn pinned(&self) -> BTreeMap<String, String> {
        self.noted.lock().map(|noted| noted.pinned.clone()).unwrap_or_default()
    }

    /// Notes for the manifest a value that a file decides and not the recipe, such as the heads of a tower: `value`
    /// with the place that says it. `name` is the path of the option that could set it.
    pub fn note_setting(&self, name: &str, value: String) {
        if let Ok(mut noted) = self.noted.lock() {
            noted.settings.insert(name.to_owned(), value);
        }
    }

    /// All values that files decide, by the path of their option.
    pub fn settings(&self) -> BTreeMap<String, String> {
        self.noted.lock().map(|noted| noted.settings.clone()).unwrap_or_default()
    }

    /// Notes a sentence that the user and a reader of the result must know, such as a value that had to be guessed.
    pub fn note(&self, text: String) {
        if let Ok(mut noted) = self.noted.lock()
            && !noted.notes.contains(&text)
        {
            noted.notes.push(text);
        }
    }

    /// All these sentences, in order.
    pub fn notes(&self) -> Vec<String> {
        self.noted.lock().map(|noted| noted.notes.clone()).unwrap_or_default()
    }
}
