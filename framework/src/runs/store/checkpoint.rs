//! Checkpoints: one folder for each step that is kept. It is written under a temporary name and renamed when it is
//! complete.
//!
//! `checkpoints/step-00000150/{weights.safetensors, optimizer*.bpk, state.json}`. A folder with the final name was
//! complete once; checksums show whether it was damaged later.

use super::RunStore;
use super::folder::{remove_if_there, write_folder};
use crate::error::{Error, Result};
use crate::files::{read_regular, sha256, write_atomically};
use crate::model::parameters;
use crate::profile::{self, Phase};
use crate::runs::model_folder::{ModelFolder, Trained};
use crate::runs::read::read_json;
use crate::runs::records::{State, Status};
use crate::weights::{self, ElementType, HostTensor};
use burn::module::Module;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";
const STATE: &str = "state.json";

/// How far a training is, as a checkpoint keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Step and value of the best validation so far.
    pub best: Option<(u64, f64)>,
    /// Whether the validation of this step is still to be done, because it was interrupted.
    #[serde(default)]
    pub validation_due: bool,
}

#[derive(Serialize, Deserialize)]
struct CheckpointState {
    position: Position,
    /// SHA-256 of the other files of the checkpoint.
    files: BTreeMap<String, String>,
}

/// A checkpoint, read from the disk and checked.
pub struct Checkpoint {
    pub(crate) position: Position,
    weights: BTreeMap<String, HostTensor>,
    optimizer: BTreeMap<String, Vec<u8>>,
}

/// What a model took of a checkpoint: paths of tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Begun {
    /// Parameters with the values of the checkpoint.
    pub taken: Vec<String>,
    /// Trainable parameters that the checkpoint does not have. They keep their initial values.
    pub new: Vec<String>,
    /// Tensors of the checkpoint that were not taken.
    pub left: Vec<String>,
}

impl Checkpoint {
    /// `model` with the weights of the checkpoint in its trainable parameters.
    ///
    /// # Errors
    /// Where the model has other trainable parameters.
    pub fn load<M: Module>(&self, model: M) -> Result<M> {
        parameters::import(model, self.weights.clone(), true)
    }

    /// `model` with those weights of the checkpoint that it has a trainable parameter for; see [`Begun`].
    ///
    /// # Errors
    /// Where a tensor has another shape than its parameter, or no parameter gets one. The message names them.
    pub fn begin<M: Module>(&self, model: M, wanted: impl Fn(&str) -> bool) -> Result<(M, Begun)> {
        let (fresh, mut begun) = (parameters::export(&model, true), Begun::default());
        let mut tensors = BTreeMap::new();
        for (path, own) in fresh {
            match self.weights.get(&path).filter(|_| wanted(&path)) {
                Some(given) => {
                    begun.taken.push(path.clone());
                    tensors.insert(path, given.clone());
                }
                None => {
                    begun.new.push(path.clone());
                    tensors.insert(path, own);
                }
            }
        }
        begun.left = self.weights.keys().filter(|path| !begun.taken.contains(path)).cloned().collect();
        if begun.taken.is_empty() {
            let some =
                |paths: &[String]| paths.first().map_or_else(|| "nothing".to_owned(), |path| format!("`{path}`, …"));
            let message = format!("it has {}, and this run trains {}", some(&begun.left), some(&begun.new));
            return Err(Error::failed(message));
        }
        Ok((parameters::import(model, tensors, true)?, begun))
    }

    /// The trained tensors, by the paths of their parameters.
    pub fn weights(&self) -> &BTreeMap<String, HostTensor> {
        &self.weights
    }

    /// The state of the optimizers, by file name.
    pub fn optimizer(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.optimizer
    }
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Steps that have a checkpoint in the run directory `run`, the newest first. Damaged ones count.
///
/// # Errors
/// Where the folder cannot be listed. A missing folder is no error.
pub fn checkpoint_steps(run: &Path) -> Result<Vec<u64>> {
    let folder = run.join("checkpoints");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &folder, error)),
    };
    let mut steps: Vec<u64> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable_by(|a, b| b.cmp(a));
    Ok(steps)
}

/// The content of a checkpoint's file of weights.
fn weights_file(tensors: &BTreeMap<String, HostTensor>) -> Result<Vec<u8>> {
    weights::serialize(tensors, &BTreeMap::new(), ElementType::F32)
}

/// SHA-256 (hex) that trained tensors have as the weights of a checkpoint.
///
/// # Errors
/// Where they cannot be written.
pub(crate) fn checkpoint_sha256(tensors: &BTreeMap<String, HostTensor>) -> Result<String> {
    Ok(sha256(&weights_file(tensors)?))
}

/// The checkpoint that the finished run in `run` tested, and the SHA-256 (hex) of its weights. `run` may be a
/// [`ModelFolder`] that is as it was exported: its tensors have the checksum that they have in a run.
///
/// # Errors
/// Where the run is not done, or has no checkpoint, such as one whose records were copied; where that is damaged; and
/// where the model folder was changed.
pub fn tested_checkpoint(run: &Path) -> Result<(Checkpoint, String)> {
    if ModelFolder::is_at(run) {
        let folder = ModelFolder::open(run)?;
        let Trained { tensors: weights, changed } = folder.trained()?;
        if let Some(name) = changed {
            return Err(folder.refuse_changed(&name).help(format!(
                "copy the folder again; or make a run of it as it is, `maclip import {} --changed`, and give that run",
                run.display()
            )));
        }
        let sum = checkpoint_sha256(&weights)?;
        return Ok((Checkpoint { position: Position::default(), weights, optimizer: BTreeMap::new() }, sum));
    }
    let status: Option<Status> = read_json(&run.join("status.json"))?;
    if status.is_none_or(|status| status.state != State::Done) {
        return Err(Error::failed(format!("{} is not finished, so it has no tested weights", run.display()))
            .help("finish it: the `maclip run` that began it goes on; `maclip status` names what is not done"));
    }
    let newest = checkpoint_steps(run)?.first().copied().ok_or_else(|| {
        Error::failed(format!("{} has no checkpoint", run.display())).help(
            "it trained nothing, or its records were copied from the same run under another name, which has them: \
             `maclip runs show` names it",
        )
    })?;
    let folder = |step: u64| run.join("checkpoints").join(folder_name(step));
    let mut checkpoint = read_checkpoint(&folder(newest))??;
    let mut step = newest;
    if let Some((best, _)) = checkpoint.position.best.filter(|(best, _)| *best != newest) {
        checkpoint = read_checkpoint(&folder(best))??;
        step = best;
    }
    let state = read_json::<CheckpointState>(&folder(step).join(STATE))?;
    let sum = state.and_then(|state| state.files.get(WEIGHTS).cloned());
    let sum = sum.ok_or_else(|| Error::failed(format!("{} has no checksum of its weights", folder(step).display())))?;
    Ok((checkpoint, sum))
}

impl RunStore {
    fn checkpoints(&self) -> PathBuf {
        self.path().join("checkpoints")
    }

    /// Writes the checkpoint of `position`. `optimizer` has the states of the optimizers by file name. Then removes the
    /// checkpoints that are neither the best nor among the newest `keep`. At every moment there is one that can be
    /// read.
    pub(crate) fn save_checkpoint<M: Module>(
        &self,
        model: &M,
        optimizer: BTreeMap<String, Vec<u8>>,
        position: Position,
        keep: usize,
    ) -> Result<()> {
        let _span = profile::span(Phase::Checkpoint);
        let tensors = parameters::export(model, true);
        let mut parts = optimizer;
        parts.insert(WEIGHTS.to_owned(), weights_file(&tensors)?);
        let files: BTreeMap<String, String> = parts.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
        let state = serde_json::to_vec_pretty(&CheckpointState { position, files: files.clone() })
            .map_err(|error| Error::failed(format!("a checkpoint cannot be written: {error}")))?;
        parts.insert(STATE.to_owned(), state.clone());
        let target = self.checkpoints().join(folder_name(position.step));
        let temporary = self.checkpoints().join(format!("{}.tmp", folder_name(position.step)));
        // The weights of this step are there already; only its state has changed, such as the validation.
        let same = read_json::<CheckpointState>(&target.join(STATE))
            .is_ok_and(|there| there.is_some_and(|there| there.files == files));
        if same {
            write_atomically(&target.join(STATE), &state)?;
        } else {
            self.put_aside(position.step)?;
            write_folder(&temporary, &target, &parts).map_err(|error| {
                // An unfinished checkpoint is of no use; the earlier one stays.
                let _ = std::fs::remove_dir_all(&temporary);
                Error::io("write the checkpoint", &target, error)
                    .help("make room or give access there; the same command then goes on from an earlier checkpoint")
            })?;
        }
        let kept = |step: u64, place: usize| place < keep || position.best.is_some_and(|(best, _)| best == step);
        for (place, step) in checkpoint_steps(self.path())?.into_iter().enumerate() {
            // Checkpoints of later steps were left by a damaged run; the training will write them again.
            if step > position.step || !kept(step, place) {
                remove_if_there(&self.checkpoints().join(folder_name(step)))
                    .map_err(|error| Error::io("remove", &self.checkpoints(), error))?;
            }
        }
        Ok(())
    }

    /// The newest checkpoint that is not damaged, whose best checkpoint is not damaged either, and that `fits`. Calls
    /// `damaged` with the step of each damaged one.
    pub(crate) fn newest_checkpoint(
        &self,
        fits: impl Fn(&Position) -> bool,
        mut damaged: impl FnMut(u64, &Error) -> Result<()>,
    ) -> Result<Option<Checkpoint>> {
        for step in checkpoint_steps(self.path())? {
            let checkpoint = match self.read(step)? {
                Ok(checkpoint) => checkpoint,
                Err(error) => {
                    damaged(step, &error)?;
                    continue;
                }
            };
            if let Some((best, _)) = checkpoint.position.best.filter(|(best, _)| *best != step)
                && let Err(error) = self.read(best)?
            {
                // Without the best checkpoint there is nothing to test, so the training goes back to a step before it.
                damaged(best, &error)?;
                continue;
            }
            if fits(&checkpoint.position) {
                return Ok(Some(checkpoint));
            }
        }
        Ok(None)
    }

    /// Renames the damaged checkpoint of `step`, if there is one.
    pub(crate) fn put_aside(&self, step: u64) -> Result<()> {
        let path = self.checkpoints().join(folder_name(step));
        let aside = self.checkpoints().join(format!("damaged-{}", folder_name(step)));
        if !path.exists() {
            return Ok(());
        }
        remove_if_there(&aside).and_then(|()| std::fs::rename(&path, &aside)).map_err(|error| {
            Error::io("put aside", &path, error)
                .help("remove that folder; the training then goes on from an earlier checkpoint")
        })
    }

    /// The checkpoint of `step`; an error where it is damaged.
    pub(crate) fn checkpoint(&self, step: u64) -> Result<Checkpoint> {
        self.read(step)?
            .map_err(|error| error.help("run the same command again: it goes on from an earlier checkpoint"))
    }

    /// The checkpoint of `step`, or in the inner error how it is damaged. The outer error is one of the operating
    /// system.
    fn read(&self, step: u64) -> Result<Result<Checkpoint>> {
        read_checkpoint(&self.checkpoints().join(folder_name(step)))
    }
}

fn read_checkpoint(path: &Path) -> Result<Result<Checkpoint>> {
    let damaged = |what: &str| Error::failed(format!("the checkpoint {} is damaged: {what}", path.display()));
    // `None` for a file that is not there.
    let read = |name: &str| match read_regular(&path.join(name), u64::MAX) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", &path.join(name), error)),
    };
    let Some(state) = read(STATE)? else { return Ok(Err(damaged("state.json is missing"))) };
    let Ok(state) = serde_json::from_slice::<CheckpointState>(&state) else {
        return Ok(Err(damaged("state.json cannot be read")));
    };
    let mut files = BTreeMap::new();
    for (name, sum) in &state.files {
        let Some(bytes) = read(name)? else { return Ok(Err(damaged(&format!("{name} is missing")))) };
        if *sum != sha256(&bytes) {
            return Ok(Err(damaged(&format!("{name} does not have the checksum in state.json"))));
        }
        files.insert(name.clone(), bytes);
    }
    let Some(bytes) = files.remove(WEIGHTS) else { return Ok(Err(damaged("it has no weights"))) };
    Ok(weights::parse(WEIGHTS, &bytes).map(|(weights, _)| Checkpoint {
        position: state.position,
        weights,
        optimizer: files,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::tensor::{Device, Tensor};

    #[derive(Module, Debug)]
    struct Line {
        slope: Param<Tensor<1>>,
    }

    fn line() -> Line {
        Line { slope: Param::from_tensor(Tensor::from_floats([1.0, 2.0], &Device::flex().autodiff())) }
    }

    /// Stands for the state of an optimizer.
    fn optimizer() -> BTreeMap<String, Vec<u8>> {
        BTreeMap::from([("optimizer.bpk".to_owned(), vec![1, 2, 3])])
    }

    fn store() -> (tempfile::TempDir, RunStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        (folder, store)
    }

    /// The newest checkpoint that is not damaged, and the messages about damaged ones, which are put aside.
    fn newest(store: &RunStore) -> (Option<Checkpoint>, Vec<String>) {
        let mut messages = Vec::new();
        let found = store.newest_checkpoint(
            |_| true,
            |step, error| {
                messages.push(error.to_string());
                store.put_aside(step)
            },
        );
        (found.unwrap(), messages)
    }

    fn save(store: &RunStore, model: &Line, step: u64, best: u64) {
        let position = Position { step, best: Some((best, 0.5)), validation_due: false };
        store.save_checkpoint(model, optimizer(), position, 2).unwrap();
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let (folder, store) = store();
        let model = line();
        for (step, best) in [(10, 10), (20, 10), (30, 10), (40, 10), (50, 50), (60, 50)] {
            save(&store, &model, step, best);
            let mut want = vec![step, step - 10, best];
            want.retain(|&step| step > 0);
            want.sort_unstable_by(|a, b| b.cmp(a));
            want.dedup();
            assert_eq!(checkpoint_steps(store.path()).unwrap(), want);
        }
        // What a kill leaves behind counts for nothing, and goes with the next save of that step.
        std::fs::create_dir(folder.path().join("checkpoints/step-00000070.tmp")).unwrap();
        assert_eq!(newest(&store).0.unwrap().position.step, 60);
        save(&store, &model, 70, 50);
        assert_eq!(checkpoint_steps(store.path()).unwrap(), [70, 60, 50]);
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_the_checkpoint_before_is_used() {
        let (folder, store) = store();
        let model = line();
        save(&store, &model, 10, 10);
        save(&store, &model, 20, 20);
        for (file, step) in [(WEIGHTS, 20), ("optimizer.bpk", 10)] {
            let file = folder.path().join(format!("checkpoints/step-{step:08}/{file}"));
            let mut bytes = std::fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&file, bytes).unwrap();
            let (found, messages) = newest(&store);
            assert_eq!(found.map(|checkpoint| checkpoint.position.step), (step == 20).then_some(10));
            assert!(messages.len() == 1 && messages[0].contains("checksum"), "{messages:?}");
            assert!(folder.path().join(format!("checkpoints/damaged-step-{step:08}")).is_dir());
        }
    }

    #[test]
    fn a_damaged_best_sends_the_training_back_before_it() {
        let (folder, store) = store();
        let model = line();
        for (step, best) in [(10, 10), (20, 20), (30, 20), (40, 20)] {
            let position = Position { step, best: Some((best, 0.5)), validation_due: false };
            store.save_checkpoint(&model, optimizer(), position, 9).unwrap();
        }
        std::fs::remove_file(folder.path().join("checkpoints/step-00000020").join(WEIGHTS)).unwrap();
        let (found, messages) = newest(&store);
        assert_eq!(found.unwrap().position.step, 10);
        assert!(messages.iter().all(|text| text.contains("step-00000020")), "{messages:?}");
    }

    #[test]
    fn a_step_that_is_saved_twice_is_never_gone() {
        let (folder, store) = store();
        let model = line();
        let mut position = Position { step: 10, best: None, validation_due: true };
        store.save_checkpoint(&model, optimizer(), position, 1).unwrap();
        let weights = folder.path().join("checkpoints/step-00000010").join(WEIGHTS);
        let before = std::fs::metadata(&weights).unwrap().modified().unwrap();
        (position.best, position.validation_due) = (Some((10, 0.5)), false);
        store.save_checkpoint(&model, optimizer(), position, 1).unwrap();
        // The folder stayed in its place; only the state is new.
        assert_eq!(std::fs::metadata(&weights).unwrap().modified().unwrap(), before);
        assert_eq!(newest(&store).0.unwrap().position, position);
    }

    #[test]
    fn the_weights_of_an_unfinished_run_are_not_taken() {
        let (folder, store) = store();
        save(&store, &line(), 10, 10);
        let refused = || tested_checkpoint(folder.path()).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(refused().contains("is not finished"), "{}", refused());
        for (state, taken) in
            [(State::Running, false), (State::Failed, false), (State::Interrupted, false), (State::Done, true)]
        {
            store.write_status(Status::new(state)).unwrap();
            assert_eq!(refused().is_empty(), taken, "{state:?}: {}", refused());
        }
    }
}
