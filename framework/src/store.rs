//! Writing a run directory: lock, append-only records, checkpoints swapped in whole, status last.

use crate::error::{Error, Result};
use crate::parameters::{self, HostTensor};
use crate::records::{self, Seconds, State, Status, TestResult, TrainRecord, ValidationRecord};
use crate::weights::{self, Precision, sha256, write_atomically};
use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The directory of one run, locked for this process until dropped.
#[derive(Debug)]
pub struct RunStore {
    path: PathBuf,
    _lock: File,
}

/// Progress of a training, as a checkpoint keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Optimizer steps done.
    pub step: u64,
    /// Step and value of the best validation so far.
    pub best: Option<(u64, f64)>,
    pub train_seconds: f64,
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
    pub weights: BTreeMap<String, HostTensor>,
    optimizer: Vec<u8>,
}

impl Checkpoint {
    /// The weights into the trainable parameters of `model`.
    pub fn load<M: Module>(&self, model: M) -> Result<M> {
        parameters::import(model, self.weights.clone(), true)
    }

    /// The state into a fresh optimizer of the same kind.
    pub fn load_optimizer(&self, optimizer: ModuleOptimizer) -> Result<ModuleOptimizer> {
        optimizer
            .from_bytes(Bytes::from_bytes_vec(self.optimizer.clone()))
            .map_err(|error| Error::failed(format!("the checkpoint's optimizer state cannot be read: {error}")))
    }
}

pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

impl RunStore {
    /// Opens or makes the directory and takes its lock.
    pub fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| {
            Error::io("make the run directory", path, error)
                .help("choose a folder that you may write to with `--runs DIR`")
        })?;
        let lock_path = path.join("lock");
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(|error| {
                Error::io("write", &lock_path, error).help("choose another folder with `--runs DIR`")
            })?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(std::fs::TryLockError::WouldBlock) => {
                Err(Error::failed(format!("another process works on {}", path.display()))
                    .help("wait for it, or stop it; the run can be resumed"))
            }
            Err(std::fs::TryLockError::Error(error)) => Err(Error::io("lock", &lock_path, error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let path = self.path.join(name);
        let mut bytes = serde_json::to_vec_pretty(value)
            .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
        bytes.push(b'\n');
        write_atomically(&path, &bytes)
    }

    pub fn write_text(&self, name: &str, text: &str) -> Result<()> {
        write_atomically(&self.path.join(name), text.as_bytes())
    }

    pub fn status(&self) -> Result<Option<Status>> {
        records::read_json(&self.path.join("status.json"))
    }

    pub fn write_status(
        &self,
        state: State,
        reason: Option<String>,
        test: Option<TestResult>,
        best_step: Option<u64>,
        seconds: Seconds,
    ) -> Result<()> {
        let status =
            Status { format: records::FORMAT, state, reason, test, best_step, seconds, updated_unix: unix_seconds() };
        self.write_json("status.json", &status)
    }

    /// A record file opened for appending. Records for which `keep` is false, such as those past the checkpoint that a
    /// resumed run starts from, and a line cut by a crash are taken out first.
    pub fn records<T: Serialize + DeserializeOwned>(&self, name: &str, keep: impl Fn(&T) -> bool) -> Result<Records> {
        let path = self.path.join(name);
        if path.exists() {
            let kept: Vec<T> = records::read_lines(&path)?.into_iter().filter(keep).collect();
            let mut bytes = Vec::new();
            for record in &kept {
                bytes.extend(line(record, &path)?);
            }
            write_atomically(&path, &bytes)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path);
        Ok(Records { file: file.map_err(|error| Error::io("write", &path, error))?, path })
    }

    /// The record files of a training, cut back to `step`.
    pub fn training_records(&self, step: u64) -> Result<(Records, Records)> {
        Ok((
            self.records("train.jsonl", |record: &TrainRecord| record.step <= step)?,
            self.records("validation.jsonl", |record: &ValidationRecord| record.step <= step)?,
        ))
    }

    fn checkpoint_path(&self, name: &str) -> PathBuf {
        self.path.join("checkpoints").join(name)
    }

    /// Writes `checkpoints/<name>`: complete under a temporary name, synced, then swapped in. At every moment either the
    /// old or the new checkpoint can be read.
    pub fn save_checkpoint<M: Module>(
        &self,
        name: &str,
        model: &M,
        optimizer: &ModuleOptimizer,
        position: Position,
    ) -> Result<()> {
        let target = self.checkpoint_path(name);
        let temporary = self.checkpoint_path(&format!("{name}.tmp"));
        let old = self.checkpoint_path(&format!("{name}.old"));
        let tensors = parameters::export(model, true);
        let weights = weights::serialize(&tensors, &BTreeMap::new(), Precision::F32)?;
        let optimizer = optimizer
            .into_bytes()
            .map_err(|error| Error::failed(format!("the optimizer's state cannot be written: {error}")))?;
        let files = BTreeMap::from([
            ("weights.safetensors".to_owned(), sha256(&weights)),
            ("optimizer.bpk".to_owned(), sha256(&optimizer)),
        ]);
        let state = serde_json::to_vec_pretty(&CheckpointState { position, files })
            .map_err(|error| Error::failed(format!("a checkpoint cannot be written: {error}")))?;
        let swap = || -> std::io::Result<()> {
            remove_if_there(&temporary)?;
            std::fs::create_dir_all(&temporary)?;
            for (file, bytes) in
                [("weights.safetensors", &weights[..]), ("optimizer.bpk", &optimizer[..]), ("state.json", &state[..])]
            {
                let mut file = File::create(temporary.join(file))?;
                file.write_all(bytes)?;
                file.sync_all()?;
            }
            File::open(&temporary)?.sync_all()?;
            remove_if_there(&old)?;
            if target.exists() {
                std::fs::rename(&target, &old)?;
            }
            std::fs::rename(&temporary, &target)?;
            remove_if_there(&old)
        };
        swap().map_err(|error| Error::io("write the checkpoint", &target, error))
    }

    /// The checkpoint `name`, or its predecessor where a crash came between the two renames; `None` where there is none.
    pub fn load_checkpoint(&self, name: &str) -> Result<Option<Checkpoint>> {
        for candidate in [name.to_owned(), format!("{name}.old")] {
            let path = self.checkpoint_path(&candidate);
            if path.is_dir() {
                return read_checkpoint(&path).map(Some);
            }
        }
        Ok(None)
    }
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn read_checkpoint(path: &Path) -> Result<Checkpoint> {
    let damaged = |what: &str| {
        Error::failed(format!("the checkpoint {} is damaged: {what}", path.display()))
            .help("remove that folder to train this run from the start; the records stay until then")
    };
    let state: CheckpointState =
        records::read_json(&path.join("state.json"))?.ok_or_else(|| damaged("state.json is missing"))?;
    let file = |name: &str| -> Result<Vec<u8>> {
        let bytes = std::fs::read(path.join(name)).map_err(|error| damaged(&format!("{name}: {error}")))?;
        match state.files.get(name) {
            Some(sum) if *sum == sha256(&bytes) => Ok(bytes),
            _ => Err(damaged(&format!("{name} does not have the checksum in state.json"))),
        }
    };
    let (weights, _) = weights::parse("weights.safetensors", &file("weights.safetensors")?)?;
    Ok(Checkpoint { position: state.position, weights, optimizer: file("optimizer.bpk")? })
}

fn line<T: Serialize>(record: &T, path: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(record)
        .map_err(|error| Error::failed(format!("{} cannot be written: {error}", path.display())))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// An append-only record file.
#[derive(Debug)]
pub struct Records {
    file: File,
    path: PathBuf,
}

impl Records {
    /// Appends one record in one write.
    pub fn append<T: Serialize>(&mut self, record: &T) -> Result<()> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records in one write.
    pub fn append_all<T: Serialize>(&mut self, records: &[T]) -> Result<()> {
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend(line(record, &self.path)?);
        }
        self.file.write_all(&bytes).map_err(|error| Error::io("write", &self.path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use burn::optim::{GradientsParams, SgdConfig};
    use burn::tensor::{Device, Tensor};

    #[derive(Module, Debug)]
    struct Line {
        weight: Param<Tensor<1>>,
    }

    fn model() -> Line {
        let weight = Param::from_tensor(Tensor::from_floats([1.0, 2.0], &Device::flex().autodiff()));
        parameters::with_stable_ids(Line { weight })
    }

    fn step(model: Line, optimizer: &mut ModuleOptimizer) -> Line {
        let loss = model.weight.val().powf_scalar(2.0).sum();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        optimizer.step(0.1, model, grads)
    }

    fn optimizer() -> ModuleOptimizer {
        SgdConfig::new().with_momentum(Some(burn::optim::momentum::MomentumConfig::new())).init()
    }

    #[test]
    fn training_goes_on_from_a_checkpoint_as_if_nothing_had_happened() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let mut opt = optimizer();
        let first = step(model(), &mut opt);
        let position = Position { step: 1, best: Some((1, 0.5)), train_seconds: 2.0 };
        store.save_checkpoint("last", &first, &opt, position).unwrap();
        let straight = step(first, &mut opt);

        let checkpoint = store.load_checkpoint("last").unwrap().unwrap();
        assert_eq!(checkpoint.position, position);
        let resumed = checkpoint.load(model()).unwrap();
        let mut opt = checkpoint.load_optimizer(optimizer()).unwrap();
        let resumed = step(resumed, &mut opt);
        assert_eq!(parameters::export(&resumed, true), parameters::export(&straight, true));
    }

    #[test]
    fn a_flipped_byte_is_noticed_and_the_old_checkpoint_survives_a_crash_between_renames() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        store.save_checkpoint("last", &model(), &optimizer(), Position::default()).unwrap();
        std::fs::rename(store.checkpoint_path("last"), store.checkpoint_path("last.old")).unwrap();
        assert!(store.load_checkpoint("last").unwrap().is_some());
        let file = store.checkpoint_path("last.old").join("weights.safetensors");
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        let message = store.load_checkpoint("last").err().unwrap().to_string();
        assert!(message.contains("checksum") && message.contains("help:"), "{message}");
    }

    #[test]
    fn a_second_process_is_refused_and_cut_lines_are_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        assert!(RunStore::open(folder.path()).unwrap_err().to_string().contains("another process"));
        let record = |step| ValidationRecord { step, accuracy: 0.5, ci95: 0.1, episodes: 3, best: true, seconds: 1.0 };
        let mut records = store.records("validation.jsonl", |_: &ValidationRecord| true).unwrap();
        records.append_all(&[record(1), record(2), record(3)]).unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join("validation.jsonl"))
            .and_then(|mut file| file.write_all(b"{\"step\":4,"))
            .unwrap();
        let (_, _) = store.training_records(2).unwrap();
        let kept: Vec<ValidationRecord> = records::read_lines(&folder.path().join("validation.jsonl")).unwrap();
        assert_eq!(kept, [record(1), record(2)]);
    }
}
