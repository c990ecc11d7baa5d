//! The optimizer step, with groups of parameters that have their own learning rate and weight decay.

use crate::error::{Error, Result};
use crate::model::gradients::take_gradients;
use crate::model::parameters;
use crate::slots::optimizer::{GroupOptions, Optimizer};
use burn::module::{Module, ParamId};
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Bytes;
use std::collections::{BTreeMap, HashSet};

/// The optimizers of a training: one for each group of trainable parameters.
pub struct Stepper {
    groups: Vec<Group>,
}

struct Group {
    /// The prefix of its parameters' paths, and part of the file name of its state. Empty for the parameters of no
    /// group.
    name: String,
    rate: f64,
    optimizer: ModuleOptimizer,
    ids: HashSet<ParamId>,
}

impl Stepper {
    /// Puts each trainable parameter of `model` into the group of `optimizer` with the longest name that its dotted
    /// path begins with.
    ///
    /// # Errors
    /// Where a group has no parameters, or the optimizer cannot be built.
    pub fn new<M: Module>(optimizer: &dyn Optimizer, model: &M) -> Result<Self> {
        let trainable = parameters::trainable_ids(model);
        let names = optimizer.groups();
        let group_of = |path: &str| {
            let inside = |name: &&String| {
                path.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            names.keys().filter(inside).max_by_key(|name| name.len())
        };
        let rest = GroupOptions::default();
        let mut groups = Vec::new();
        for (name, options) in std::iter::once((None, &rest)).chain(names.iter().map(|(n, o)| (Some(n), o))) {
            let ids: HashSet<ParamId> =
                trainable.iter().filter(|(path, _)| group_of(path) == name).map(|(_, id)| *id).collect();
            if let Some(name) = name.filter(|_| ids.is_empty()) {
                let mut parts: Vec<&str> = trainable.keys().filter_map(|path| path.split('.').next()).collect();
                parts.dedup();
                return Err(Error::failed(format!(
                    "optimizer.groups names `{name}`, but no trainable parameter has a path that begins with it"
                ))
                .help(format!("trainable parameters have paths that begin with: {}", parts.join(", "))));
            }
            groups.push(Group {
                name: name.cloned().unwrap_or_default(),
                rate: options.learning_rate.unwrap_or(optimizer.learning_rate()),
                optimizer: optimizer.init(options)?,
                ids,
            });
        }
        Ok(Self { groups })
    }

    /// The model after one optimizer step. Each group has `factor` times its own learning rate.
    pub fn step<M: Module>(&mut self, factor: f64, model: M, gradients: GradientsParams) -> M {
        if let [only] = self.groups.as_mut_slice() {
            return only.optimizer.step(only.rate * factor, model, gradients);
        }
        let mut gradients = gradients;
        self.groups.iter_mut().fold(model, |model, group| {
            let own = take_gradients(&model, &mut gradients, &group.ids);
            group.optimizer.step(group.rate * factor, model, own)
        })
    }

    /// The state of each group's optimizer, by file name.
    pub(super) fn bytes(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        self.groups
            .iter()
            .map(|group| {
                let bytes = group
                    .optimizer
                    .into_bytes()
                    .map_err(|error| Error::failed(format!("the optimizer's state cannot be written: {error}")))?;
                Ok((group.file(), bytes.to_vec()))
            })
            .collect()
    }

    /// The stepper with the states that [`Stepper::bytes`] returned.
    pub(super) fn load(self, files: &BTreeMap<String, Vec<u8>>) -> Result<Self> {
        let load = |group: Group| {
            let name = group.file();
            let bytes = files.get(&name).ok_or_else(|| Error::failed(format!("the checkpoint has no {name}")))?;
            let optimizer = group
                .optimizer
                .from_bytes(Bytes::from_bytes_vec(bytes.clone()))
                .map_err(|error| Error::failed(format!("the checkpoint's {name} cannot be read: {error}")))?;
            Ok(Group { optimizer, ..group })
        };
        Ok(Self { groups: self.groups.into_iter().map(load).collect::<Result<_>>()? })
    }
}

impl Group {
    fn file(&self) -> String {
        if self.name.is_empty() { "optimizer.bpk".to_owned() } else { format!("optimizer.{}.bpk", self.name) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Sgd, line, sgd, step};
    use super::*;
    use crate::runs::store::{Position, RunStore};

    fn values(model: &super::super::testing::Line) -> Vec<Vec<f32>> {
        parameters::export(model, true).into_values().map(|tensor| tensor.values).collect()
    }

    #[test]
    fn each_group_has_its_rate_and_decay() {
        let group = GroupOptions { learning_rate: Some(0.01), weight_decay: Some(0.5) };
        let sgd = Sgd(BTreeMap::from([("slope".to_owned(), group)]));
        let mut stepper = Stepper::new(&sgd, &line()).unwrap();
        let after = step(line(), &mut stepper);
        // offset: 3 − 0.1 · 6, −1 + 0.1 · 2; slope: 1 − 0.01 · (2 + 0.5), 2 − 0.01 · (4 + 1).
        let near = |got: &[f32], want: [f32; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
        assert!(near(&values(&after)[0], [2.4, -0.8]) && near(&values(&after)[1], [0.975, 1.95]), "{after:?}");
    }

    #[test]
    fn states_of_groups_are_saved_and_loaded() {
        let group = GroupOptions { learning_rate: Some(0.01), weight_decay: None };
        let sgd = Sgd(BTreeMap::from([("slope".to_owned(), group)]));
        let mut stepper = Stepper::new(&sgd, &line()).unwrap();
        let first = step(line(), &mut stepper);
        let files = stepper.bytes().unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["optimizer.bpk", "optimizer.slope.bpk"]);
        let mut loaded = Stepper::new(&sgd, &line()).unwrap().load(&files).unwrap();
        assert_eq!(values(&step(first.clone(), &mut loaded)), values(&step(first, &mut stepper)));
    }

    #[test]
    fn training_goes_on_from_a_checkpoint_as_if_nothing_had_happened() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let mut stepper = sgd(&line());
        let first = step(line(), &mut stepper);
        let position = Position { step: 1, best: Some((1, 0.5)), validation_due: false };
        store.save_checkpoint(&first, stepper.bytes().unwrap(), position, 2).unwrap();
        let straight = step(first, &mut stepper);

        let checkpoint = store.newest_checkpoint(|_| true, |_, error| panic!("{error}")).unwrap().unwrap();
        assert_eq!(checkpoint.position, position);
        let resumed = checkpoint.load(line()).unwrap();
        let mut stepper = sgd(&line()).load(checkpoint.optimizer()).unwrap();
        let resumed = step(resumed, &mut stepper);
        assert_eq!(parameters::export(&resumed, true), parameters::export(&straight, true));
    }

    #[test]
    fn a_group_without_parameters_is_refused() {
        let sgd = Sgd(BTreeMap::from([("slop".to_owned(), GroupOptions::default())]));
        let message = Stepper::new(&sgd, &line()).err().unwrap().to_string();
        assert!(message.contains("`slop`") && message.contains("offset, slope"), "{message}");
    }
}
