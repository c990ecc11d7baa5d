//! What components are built from.

use super::Facts;
use crate::error::{Error, Result};
use crate::files::sha256;
use crate::random::Stream;
use crate::slots::backbone::{Geometry, Precision};
use crate::slots::module::GraphStrategy;
use burn::tensor::Device;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

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
    /// Whether graphs keep only what is expensive to compute of the activations (`compute.activation_checkpointing`).
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
    pub fn graph_strategy(&self) -> GraphStrategy {
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
