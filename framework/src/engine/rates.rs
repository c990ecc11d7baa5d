//! How fast a device computes what maclip computes: measured with short runs, kept in a file, and used to estimate runs
//! that were not made yet.
//!
//! A rate is FLOPs as a plan counts them by seconds of wall clock. So it holds what the plan leaves out, such as norms,
//! reading of clips and waiting, as far as they grow with the counted work.

use super::execute::{Options, execute};
use super::task;
use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular, unix_seconds, write_json};
use crate::model::workload::Workload;
use crate::progress::{Progress, Validated};
use crate::recipe::study::StudyRun;
use crate::runs::records::Attempt;
use crate::slots::backbone::Precision;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Version of the file. A newer one is refused.
const FORMAT: u32 = 1;

/// What a device does, in FLOPs per second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Speed {
    /// Optimizer steps.
    pub training: f64,
    /// Clips through the tower without gradients.
    pub encoding: f64,
    /// Episodes beyond their clips.
    pub aligning: f64,
}

/// The speed of a device with a tower of one size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Name of the device as recipes write it, such as `flex` or `tch:cuda:0`.
    pub device: String,
    /// Name of the processor, or of the accelerator where the device is one.
    pub hardware: String,
    /// Number of threads that compute.
    pub threads: usize,
    /// Number format of the frozen towers' matrix products.
    pub precision: Precision,
    /// The tower that it was measured with.
    pub tower: String,
    /// FLOPs of one frame through that tower.
    pub frame: f64,
    /// The measurement.
    pub speed: Speed,
    /// Frames of a small video that are decoded in a second; `None` where nothing was decoded.
    #[serde(default)]
    pub decoded_frames: Option<f64>,
    /// Version of the program.
    pub maclip_version: String,
    /// When it was measured, in seconds since 1970 (UTC).
    pub measured_unix: u64,
}

/// The rates in a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    format: u32,
    /// One for each device, precision and tower.
    pub rates: Vec<Rate>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { format: FORMAT, rates: Vec::new() }
    }
}

/// Name of the hardware that an attempt computed on: the accelerator, or the processor.
fn hardware(attempt: &Attempt) -> &str {
    attempt.accelerator.as_deref().unwrap_or(&attempt.cpu)
}

impl Rate {
    /// Whether `attempt` was made on the hardware of this rate, with as many threads.
    pub fn is_of(&self, attempt: &Attempt) -> bool {
        self.device == attempt.device && self.hardware == hardware(attempt) && self.threads == attempt.threads
    }
}

impl Rates {
    /// The file below the folder of all runs.
    pub fn file(runs: &Path) -> PathBuf {
        runs.join(".rates.json")
    }

    /// The rates in the file `path`; none where it is missing.
    ///
    /// # Errors
    /// Where it cannot be read, or is no such file.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = match read_regular(path, TEXT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|error| Error::io("read", path, error))?,
        };
        let bad = |why: String| {
            Error::failed(format!("{} holds no rates: {why}", path.display()))
                .help("`maclip doctor --measure` writes such a file; remove this one, or name another")
        };
        let rates: Self = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if rates.format != FORMAT {
            return Err(bad(format!("its format is {}, and this program reads {FORMAT}", rates.format)));
        }
        let usable = |Speed { training, encoding, aligning }: Speed| {
            [training, encoding, aligning].iter().all(|rate| rate.is_finite() && *rate > 0.0)
        };
        match rates.rates.iter().find(|rate| !usable(rate.speed) || rate.frame.is_nan() || rate.frame <= 0.0) {
            Some(rate) => Err(bad(format!("a rate of `{}` is not above 0", rate.device))),
            None => Ok(rates),
        }
    }

    /// Writes `new` into the file `path`, in the place of older ones of the same device, precision and tower.
    ///
    /// # Errors
    /// Where the file cannot be read or written.
    pub fn keep(path: &Path, new: Vec<Rate>) -> Result<()> {
        let mut all = Self::read(path)?;
        let key = |rate: &Rate| {
            (rate.device.clone(), rate.hardware.clone(), rate.threads, rate.precision, rate.tower.clone())
        };
        all.rates.retain(|old| new.iter().all(|new| key(new) != key(old)));
        all.rates.extend(new);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))?;
        }
        write_json(path, &all)
    }

    /// The rate for work on `device` in `precision` with a tower of `frame` FLOPs a frame: the tower that is nearest in
    /// size, then the newest. `None` where there is none of this device and precision.
    pub fn choose(&self, device: &str, precision: Precision, frame: f64) -> Option<&Rate> {
        let fits = self.rates.iter().filter(|rate| rate.device == device && rate.precision == precision);
        let apart = |rate: &&Rate| (rate.frame.ln() - frame.max(1.0).ln()).abs();
        fits.min_by(|a, b| apart(a).total_cmp(&apart(b)).then(b.measured_unix.cmp(&a.measured_unix)))
    }
}

impl Speed {
    /// The same speed for everything.
    pub fn flat(flops: f64) -> Self {
        Self { training: flops, encoding: flops, aligning: flops }
    }

    /// Seconds of the training of `work`, with its validations, and of its test: what a manifest measures.
    pub fn seconds(&self, work: &Workload) -> (f64, f64) {
        let evaluation = |encode: f64, align: f64| encode / self.encoding + align / self.aligning;
        let train = work.training / self.training + evaluation(work.validation.encode, work.validation.align);
        (train, evaluation(work.test.encode, work.test.align))
    }
}

/// Makes the short `run`, whose tower is called `tower`, in a folder of its own below `folder`, and measures it.
///
/// # Errors
/// Where the run fails or is too short to be measured; [`Error::Interrupted`] after a request to stop.
pub fn measure(run: &StudyRun, tower: &str, folder: &Path) -> Result<Rate> {
    let recipe = &run.recipe;
    let work = task::of(recipe)?.workload(recipe)?;
    let watch = Watch::default();
    let options = Options { reuse: &|_| false, ..Options::default() };
    let done = execute(run, folder, options, &watch)?;
    let watched = watch.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let short = || Error::failed("the measured run was too short").help("measure again while the machine is idle");
    let attempt = done.manifest.last_attempt().ok_or_else(short)?;
    let step = median(watched.steps).ok_or_else(short)?;
    let rate = |flops: f64, seconds: f64| if seconds > 0.0 && flops > 0.0 { Ok(flops / seconds) } else { Err(short()) };
    let speed = Speed {
        training: rate(work.training / work.steps.max(1) as f64, step)?,
        encoding: rate(work.test.encode, watched.encode)?,
        aligning: rate(work.test.align, watched.test)?,
    };
    Ok(Rate {
        device: recipe.devices.first().to_owned(),
        hardware: hardware(attempt).to_owned(),
        threads: attempt.threads,
        precision: recipe.precision,
        tower: tower.to_owned(),
        frame: work.frame,
        speed,
        decoded_frames: None,
        maclip_version: env!("CARGO_PKG_VERSION").to_owned(),
        measured_unix: unix_seconds(),
    })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Times of the phases of a run.
#[derive(Default)]
struct Watched {
    /// The phase that runs, and when it began.
    phase: Option<(String, Instant)>,
    /// The last step of the training, and when it was done.
    last: Option<(u64, Instant)>,
    /// Seconds of each step but the first, in which a device gets ready.
    steps: Vec<f64>,
    encode: f64,
    test: f64,
}

#[derive(Default)]
struct Watch(Mutex<Watched>);

impl Watch {
    fn with(&self, change: impl FnOnce(&mut Watched)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Watch {
    fn begin(&self, phase: &str, _: u64, _: u64) {
        self.with(|watched| watched.phase = Some((phase.to_owned(), Instant::now())));
    }

    fn at(&self, done: u64, _: &str) {
        self.with(|watched| {
            if watched.phase.as_ref().is_none_or(|(phase, _)| phase != "train") {
                return;
            }
            let now = Instant::now();
            match watched.last {
                // A validation says the same step again.
                Some((step, _)) if step == done => {}
                Some((_, before)) => watched.steps.push(now.duration_since(before).as_secs_f64()),
                None => {}
            }
            watched.last = Some((done, now));
        });
    }

    fn validated(&self, _: &[Validated]) {}

    fn end(&self) {
        self.with(|watched| {
            let Some((phase, began)) = watched.phase.take() else { return };
            match phase.as_str() {
                "encode" => watched.encode += began.elapsed().as_secs_f64(),
                "test" => watched.test += began.elapsed().as_secs_f64(),
                _ => {}
            }
        });
    }

    fn note(&self, _: &str) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::workload::Passes;

    fn rate(device: &str, tower: &str, frame: f64, measured_unix: u64) -> Rate {
        Rate {
            device: device.to_owned(),
            hardware: "a processor".to_owned(),
            threads: 2,
            precision: Precision::F32,
            tower: tower.to_owned(),
            frame,
            speed: Speed { training: 2.0, encoding: 4.0, aligning: 0.5 },
            decoded_frames: None,
            maclip_version: "0".to_owned(),
            measured_unix,
        }
    }

    #[test]
    fn a_rate_is_kept_and_the_nearest_tower_is_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let path = Rates::file(&folder.path().join("runs"));
        assert_eq!(Rates::read(&path).unwrap(), Rates::default());
        Rates::keep(&path, vec![rate("flex", "small", 1e7, 1), rate("flex", "large", 1e10, 1)]).unwrap();
        Rates::keep(&path, vec![rate("flex", "small", 1e7, 2)]).unwrap();
        let rates = Rates::read(&path).unwrap();
        assert_eq!(rates.rates.len(), 2);
        let chosen =
            |frame| rates.choose("flex", Precision::F32, frame).map(|rate| (rate.tower.as_str(), rate.measured_unix));
        assert_eq!((chosen(2e7), chosen(4e9)), (Some(("small", 2)), Some(("large", 1))));
        assert!(rates.choose("tch:cuda:0", Precision::F32, 1e9).is_none());
        assert!(rates.choose("flex", Precision::Bf16, 1e9).is_none());
        std::fs::write(&path, "{}").unwrap();
        assert!(Rates::read(&path).unwrap_err().to_string().contains("doctor --measure"));
        std::fs::write(&path, r#"{"format": 2, "rates": []}"#).unwrap();
        assert!(Rates::read(&path).unwrap_err().to_string().contains("format is 2"));
    }

    #[test]
    fn seconds_are_flops_by_the_speed_of_each_kind() {
        let work = Workload {
            training: 10.0,
            validation: Passes { encode: 8.0, align: 1.0 },
            test: Passes { encode: 4.0, align: 3.0 },
            ..Workload::default()
        };
        assert_eq!(rate("flex", "small", 1.0, 0).speed.seconds(&work), (5.0 + 2.0 + 2.0, 1.0 + 6.0));
        assert_eq!(Speed::flat(1.0).seconds(&work), (19.0, 7.0));
    }
}
