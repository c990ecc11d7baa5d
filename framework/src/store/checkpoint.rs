//! Checkpoints: one folder for each step kept, complete under a temporary name and renamed into place.
//!
//! `checkpoints/step-00000150/{weights.safetensors, optimizer*.bpk, state.json}`. A folder with the final name is whole or was
//! damaged later; checksums tell.

use super::RunStore;
use crate::error::{Error, Result};
use crate::parameters::{self, HostTensor};
use crate::profile::{self, Phase};
use crate::records;
use crate::training::Stepper;
use crate::weights::{self, Precision, sha256};
use burn::module::Module;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

const WEIGHTS: &str = "weights.safetensors";
const STATE: &str = "state.json";

/// Progress of a training, as a checkpoint keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Step and value of the best validation so far.
    pub best: Option<(u64, f64)>,
    /// Whether the validation of this step is still to be done: it was interrupted.
    #[serde(default)]
    pub validation_due: bool,
}

#[derive(Serialize, Deserialize)]
struct CheckpointState {
    position: Position,
    /// SHA-256 of the other files of the checkpoint.
    files: BTreeMap<String, String>,
}

/// A checkpoint that was read back whole.
pub struct Checkpoint {
    pub position: Position,
    weights: BTreeMap<String, HostTensor>,
    optimizer: BTreeMap<String, Vec<u8>>,
}

impl Checkpoint {
    /// The weights into the trainable parameters of `model`.
    pub fn load<M: Module>(&self, model: M) -> Result<M> {
        parameters::import(model, self.weights.clone(), true)
    }

    /// The state into fresh optimizers of the same kind.
    pub fn load_optimizer(&self, stepper: Stepper) -> Result<Stepper> {
        stepper.load(&self.optimizer)
    }
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

/// Steps that have a checkpoint in the run directory `run`, newest first.
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

impl RunStore {
    fn checkpoints(&self) -> PathBuf {
        self.path().join("checkpoints")
    }

    /// Writes the checkpoint of `position`, then removes those that are neither the best nor among the newest `keep`. At every
    /// moment the newest whole checkpoint can be read.
    pub fn save_checkpoint<M: Module>(
        &self,
        model: &M,
        stepper: &Stepper,
        position: Position,
        keep: usize,
    ) -> Result<()> {
        let _span = profile::span(Phase::Checkpoint);
        let tensors = parameters::export(model, true);
        let mut parts = stepper.bytes()?;
        parts.insert(WEIGHTS.to_owned(), weights::serialize(&tensors, &BTreeMap::new(), Precision::F32)?);
        let files = parts.iter().map(|(name, bytes)| (name.clone(), sha256(bytes))).collect();
        let state = serde_json::to_vec_pretty(&CheckpointState { position, files })
            .map_err(|error| Error::failed(format!("a checkpoint cannot be written: {error}")))?;
        parts.insert(STATE.to_owned(), state);
        let target = self.checkpoints().join(folder_name(position.step));
        let temporary = self.checkpoints().join(format!("{}.tmp", folder_name(position.step)));
        write_folder(&temporary, &target, &parts).map_err(|error| {
            // What is there of it is of no use; the earlier checkpoint stays.
            let _ = std::fs::remove_dir_all(&temporary);
            Error::io("write the checkpoint", &target, error)
                .help("make room or give access there; the same command then goes on from the checkpoint before")
        })?;
        let kept = |step: u64, place: usize| place < keep || position.best.is_some_and(|(best, _)| best == step);
        for (place, step) in checkpoint_steps(self.path())?.into_iter().enumerate() {
            // Newer ones are left from a damaged run; the training will write them again.
            if step > position.step || !kept(step, place) {
                remove_if_there(&self.checkpoints().join(folder_name(step)))
                    .map_err(|error| Error::io("remove", &self.checkpoints(), error))?;
            }
        }
        Ok(())
    }

    /// The newest checkpoint that is whole. Damaged ones are put aside under another name, and `note` is told.
    pub fn newest_checkpoint(&self, note: impl Fn(&str)) -> Result<Option<Checkpoint>> {
        for step in checkpoint_steps(self.path())? {
            match self.checkpoint(step) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error) => {
                    let path = self.checkpoints().join(folder_name(step));
                    let aside = self.checkpoints().join(format!("damaged-{}", folder_name(step)));
                    remove_if_there(&aside).and_then(|()| std::fs::rename(&path, &aside)).map_err(|e| {
                        Error::failed(format!("{error}, and it cannot be put aside: {e}"))
                            .help("remove that folder; the training then goes on from the checkpoint before")
                    })?;
                    note(&format!("{error}; put aside as {}, going on from the one before", aside.display()));
                }
            }
        }
        Ok(None)
    }

    /// The checkpoint of `step`, checked against its checksums.
    pub fn checkpoint(&self, step: u64) -> Result<Checkpoint> {
        read_checkpoint(&self.checkpoints().join(folder_name(step)))
    }
}

/// Writes `parts` as files of `temporary`, synced, and renames the folder to `target`.
fn write_folder(temporary: &Path, target: &Path, parts: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    remove_if_there(temporary)?;
    std::fs::create_dir_all(temporary)?;
    for (name, bytes) in parts {
        let mut file = File::create(temporary.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    File::open(temporary)?.sync_all()?;
    // There only where a damaged run is trained again, or a step is saved twice.
    remove_if_there(target)?;
    std::fs::rename(temporary, target)?;
    target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let damaged = |what: &str| Error::failed(format!("the checkpoint {} is damaged: {what}", path.display()));
    let state: CheckpointState = records::read_json(&path.join(STATE))
        .map_err(|_| damaged("state.json cannot be read"))?
        .ok_or_else(|| damaged("state.json is missing"))?;
    let mut files = BTreeMap::new();
    for (name, sum) in &state.files {
        let bytes = std::fs::read(path.join(name)).map_err(|error| damaged(&format!("{name}: {error}")))?;
        if *sum != sha256(&bytes) {
            return Err(damaged(&format!("{name} does not have the checksum in state.json")));
        }
        files.insert(name.clone(), bytes);
    }
    let bytes = files.remove(WEIGHTS).ok_or_else(|| damaged("it has no weights"))?;
    let (weights, _) = weights::parse(WEIGHTS, &bytes)?;
    Ok(Checkpoint { position: state.position, weights, optimizer: files })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::testing::{Line, line, sgd, step};
    use std::cell::RefCell;

    fn store() -> (tempfile::TempDir, RunStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        (folder, store)
    }

    fn save(store: &RunStore, model: &Line, stepper: &Stepper, step: u64, best: u64) {
        let position = Position { step, best: Some((best, 0.5)), validation_due: false };
        store.save_checkpoint(model, stepper, position, 2).unwrap();
    }

    #[test]
    fn training_goes_on_from_a_checkpoint_as_if_nothing_had_happened() {
        let (_folder, store) = store();
        let mut stepper = sgd(&line());
        let first = step(line(), &mut stepper);
        save(&store, &first, &stepper, 1, 1);
        let straight = step(first, &mut stepper);

        let checkpoint = store.newest_checkpoint(|note| panic!("{note}")).unwrap().unwrap();
        assert_eq!(checkpoint.position, Position { step: 1, best: Some((1, 0.5)), validation_due: false });
        let resumed = checkpoint.load(line()).unwrap();
        let mut stepper = checkpoint.load_optimizer(sgd(&line())).unwrap();
        let resumed = step(resumed, &mut stepper);
        assert_eq!(parameters::export(&resumed, true), parameters::export(&straight, true));
    }

    #[test]
    fn the_newest_and_the_best_are_kept() {
        let (folder, store) = store();
        let (model, stepper) = (line(), sgd(&line()));
        for (step, best) in [(10, 10), (20, 10), (30, 10), (40, 10), (50, 50), (60, 50)] {
            save(&store, &model, &stepper, step, best);
            let mut want = vec![step, step - 10, best];
            want.retain(|&step| step > 0);
            want.sort_unstable_by(|a, b| b.cmp(a));
            want.dedup();
            assert_eq!(checkpoint_steps(store.path()).unwrap(), want);
        }
        // What a kill leaves behind counts for nothing, and goes with the next save of that step.
        std::fs::create_dir(folder.path().join("checkpoints/step-00000070.tmp")).unwrap();
        assert_eq!(store.newest_checkpoint(|note| panic!("{note}")).unwrap().unwrap().position.step, 60);
        save(&store, &model, &stepper, 70, 50);
        assert_eq!(checkpoint_steps(store.path()).unwrap(), [70, 60, 50]);
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_the_checkpoint_before_is_used() {
        let (folder, store) = store();
        let (model, stepper) = (line(), sgd(&line()));
        save(&store, &model, &stepper, 10, 10);
        save(&store, &model, &stepper, 20, 20);
        for (file, step) in [(WEIGHTS, 20), ("optimizer.bpk", 10)] {
            let file = folder.path().join(format!("checkpoints/step-{step:08}/{file}"));
            let mut bytes = std::fs::read(&file).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&file, bytes).unwrap();
            let notes = RefCell::new(Vec::new());
            let found = store.newest_checkpoint(|note| notes.borrow_mut().push(note.to_owned())).unwrap();
            assert_eq!(found.map(|checkpoint| checkpoint.position.step), (step == 20).then_some(10));
            let notes = notes.into_inner();
            assert!(notes.len() == 1 && notes[0].contains("checksum") && notes[0].contains("put aside"), "{notes:?}");
        }
    }
}
