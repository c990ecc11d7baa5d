//! Names of devices: `flex`, `tch:cpu`, `tch:cuda:N`, `cuda:N`, `wgpu:N`, `vulkan:N`. `Device::default()` is never
//! used, because it opens any GPU backend that is compiled in.

#[cfg(any(feature = "wgpu", feature = "vulkan"))]
mod adapters;
pub mod cuda;
mod gradients;
mod trial;

pub use trial::try_if_asked;

use crate::error::{Error, Result};
use crate::profile::kernel_bytes;
use crate::slots::backbone::Precision;
use burn::backend::DispatchDevice;
use burn::tensor::{DType, Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::panic;
use std::sync::{Arc, Mutex, PoisonError};

/// The cargo features of this build that matter for devices, for `doctor` and the manifest.
pub fn features() -> Vec<String> {
    let on = |name: &Name| name.built().then(|| name.feature().map(str::to_owned)).flatten();
    let mut features: Vec<String> = Name::FIRST.iter().filter_map(on).collect();
    features.dedup();
    features
}

/// Device names that this build can use; of numbered devices the first one.
pub fn available() -> Vec<String> {
    Name::FIRST.iter().filter(|name| name.built()).map(Name::to_string).collect()
}

/// As [`available`], with every adapter that this machine has for `wgpu` and `vulkan`.
pub fn on_this_machine() -> Vec<String> {
    let built = Name::FIRST.iter().filter(|name| name.built());
    built.flat_map(|name| (0..name.adapters().max(1)).map(move |index| name.with(index).to_string())).collect()
}

/// What is wrong, and a hint how to fix it.
type Problem = (String, String);

/// What a device was seen to do.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Trial {
    /// The largest difference between its gradients and those of `flex`, as a part of the largest value of a gradient.
    /// `None` where they were not compared: that is done for burn's own backends of GPUs.
    pub gradients: Option<f64>,
}

impl Trial {
    /// Whether one may train on the device.
    pub fn trains(&self) -> bool {
        self.gradients.is_none_or(|difference| difference <= gradients::ALLOWED)
    }

    /// The device `text` that was tried, if one may train on it.
    ///
    /// # Errors
    /// Where its gradients are wrong.
    fn training(self, text: &str, device: Device) -> Result<Device> {
        if self.trains() {
            return Ok(device);
        }
        let apart = match self.gradients.filter(|difference| *difference < f64::MAX) {
            Some(difference) => format!(
                "and differ from those of `flex` by {difference:.1e} of their largest value; {:.0e} is allowed",
                gradients::ALLOWED
            ),
            None => "and some are missing or not numbers".to_owned(),
        };
        let message = format!("nothing can be trained on device `{text}`: its gradients are wrong, {apart}");
        let help = "train with `device: flex` or LibTorch; `maclip docs gpu_and_cluster` says which devices train";
        Err(Error::failed(message).help(help))
    }
}

/// What a device name can be; the number is that of a card.
#[derive(Clone, Copy, PartialEq)]
enum Name {
    /// The processor, by burn's own backend.
    Flex,
    /// The processor, by LibTorch.
    TchCpu,
    /// An NVIDIA card, by LibTorch.
    TchCuda(usize),
    /// An NVIDIA card, by burn's own backend.
    Cuda(usize),
    /// A card with Vulkan, by burn's own backend, which writes its kernels in WGSL.
    Wgpu(usize),
    /// The same, with kernels in SPIR-V.
    Vulkan(usize),
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Name::Flex => f.write_str("flex"),
            Name::TchCpu => f.write_str("tch:cpu"),
            Name::TchCuda(index) => write!(f, "tch:cuda:{index}"),
            Name::Cuda(index) => write!(f, "cuda:{index}"),
            Name::Wgpu(index) => write!(f, "wgpu:{index}"),
            Name::Vulkan(index) => write!(f, "vulkan:{index}"),
        }
    }
}

impl Name {
    /// One of each kind.
    const FIRST: [Name; 6] =
        [Name::Flex, Name::TchCpu, Name::TchCuda(0), Name::Cuda(0), Name::Wgpu(0), Name::Vulkan(0)];

    fn read(text: &str) -> Option<Self> {
        let number = |text: &str| text.parse::<usize>().ok();
        Some(match text.split(':').collect::<Vec<_>>().as_slice() {
            ["flex"] => Name::Flex,
            ["tch", "cpu"] => Name::TchCpu,
            ["tch", "cuda", index] => Name::TchCuda(number(index)?),
            ["cuda", index] => Name::Cuda(number(index)?),
            ["wgpu", index] => Name::Wgpu(number(index)?),
            ["vulkan", index] => Name::Vulkan(number(index)?),
            _ => return None,
        })
    }

    /// The cargo feature that it needs.
    fn feature(self) -> Option<&'static str> {
        match self {
            Name::Flex => None,
            Name::TchCpu | Name::TchCuda(_) => Some("tch"),
            Name::Cuda(_) => Some("cuda"),
            Name::Wgpu(_) => Some("wgpu"),
            Name::Vulkan(_) => Some("vulkan"),
        }
    }

    /// Whether this build has it. One with `vulkan` writes the kernels of every adapter in SPIR-V, so it has no `wgpu`.
    fn built(self) -> bool {
        match self {
            Name::Flex => true,
            Name::TchCpu | Name::TchCuda(_) => cfg!(feature = "tch"),
            Name::Cuda(_) => cfg!(feature = "cuda"),
            Name::Wgpu(_) => cfg!(all(feature = "wgpu", not(feature = "vulkan"))),
            Name::Vulkan(_) => cfg!(feature = "vulkan"),
        }
    }

    /// The device, not opened.
    // LibTorch is deprecated in burn 0.22. It is the only backend there with bf16 products on a processor.
    #[allow(deprecated)]
    fn device(self) -> std::result::Result<Device, Problem> {
        if !self.built() {
            return Err(self.missing());
        }
        match self {
            Name::Flex => Ok(Device::flex()),
            #[cfg(feature = "tch")]
            Name::TchCpu => Ok(Device::libtorch()),
            #[cfg(feature = "tch")]
            Name::TchCuda(index) => Ok(Device::libtorch_cuda(index)),
            #[cfg(feature = "cuda")]
            Name::Cuda(index) => Ok(Device::cuda(index)),
            #[cfg(any(feature = "wgpu", feature = "vulkan"))]
            Name::Wgpu(index) | Name::Vulkan(index) => adapters::device(&self.to_string(), index),
            #[allow(unreachable_patterns)]
            _ => Err(self.missing()),
        }
    }

    /// Why this build does not have it.
    fn missing(self) -> Problem {
        let feature = self.feature().unwrap_or_default();
        let built = there_are();
        if cfg!(feature = "vulkan") && matches!(self, Name::Wgpu(_)) {
            let message = format!("device `{self}` is not in a maclip that was built with the cargo feature `vulkan`");
            return (
                message,
                format!("{built}; `vulkan:N` is the same card, and `--features wgpu` alone builds `wgpu`"),
            );
        }
        let message =
            format!("device `{self}` needs the cargo feature `{feature}`, which this maclip was built without");
        (message, format!("{built}; build again with `cargo build --release --features {feature}`"))
    }

    /// The device of the same kind with number `index`.
    fn with(self, index: usize) -> Self {
        match self {
            Name::Flex | Name::TchCpu => self,
            Name::TchCuda(_) => Name::TchCuda(index),
            Name::Cuda(_) => Name::Cuda(index),
            Name::Wgpu(_) => Name::Wgpu(index),
            Name::Vulkan(_) => Name::Vulkan(index),
        }
    }

    /// Whether a graphics driver computes.
    fn is_graphics(self) -> bool {
        matches!(self, Name::Wgpu(_) | Name::Vulkan(_))
    }

    /// How many adapters this machine has for it.
    fn adapters(self) -> usize {
        match self {
            #[cfg(any(feature = "wgpu", feature = "vulkan"))]
            Name::Wgpu(_) | Name::Vulkan(_) => adapters::count(),
            _ => 0,
        }
    }

    /// Whether it is one of burn's own backends of GPUs.
    fn is_compared(self) -> bool {
        self.is_graphics() || matches!(self, Name::Cuda(_))
    }
}

/// Whether the gradients of the device that `text` names are compared with those of `flex` before it trains.
pub fn is_compared(text: &str) -> bool {
    Name::read(text).is_some_and(Name::is_compared)
}

/// The devices of this build, for hints.
fn there_are() -> String {
    format!("this maclip was built with: {}", available().join(", "))
}

/// Name, kind and driver of the adapter that `text` names; `None` for other devices, and where there is no such
/// adapter.
pub fn adapter(text: &str) -> Option<String> {
    match Name::read(text)? {
        #[cfg(any(feature = "wgpu", feature = "vulkan"))]
        Name::Wgpu(index) | Name::Vulkan(index) => adapters::about(index),
        _ => None,
    }
}

/// Whether `text` names a device that some build of this program can use.
pub(super) fn known(text: &str) -> bool {
    Name::read(text).is_some()
}

/// Whether `text` names the processor.
pub fn is_processor(text: &str) -> bool {
    matches!(Name::read(text), Some(Name::Flex | Name::TchCpu))
}

/// Whether `device` computes on the processor, so that its tensors lie in the program's memory.
pub fn is_host(device: &Device) -> bool {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "tch")]
        #[expect(deprecated, reason = "burn plans to drop burn-tch, which is the fastest backend on a card today")]
        DispatchDevice::LibTorch(device) => *device == burn::backend::libtorch::LibTorchDevice::Cpu,
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// The number of the NVIDIA card that `text` names.
pub fn nvidia_card(text: &str) -> Option<usize> {
    match Name::read(text)? {
        Name::TchCuda(index) | Name::Cuda(index) => Some(index),
        _ => None,
    }
}

/// What `text` computes like: NVIDIA cards by one library are of one kind, as `tch:cuda`, and every other device is its
/// own.
pub fn kind(text: &str) -> &str {
    match Name::read(text) {
        Some(Name::TchCuda(_) | Name::Cuda(_)) => text.rsplit_once(':').map_or(text, |(kind, _)| kind),
        _ => text,
    }
}

/// Whether two names are of devices that take their memory from the same place.
pub(super) fn share_memory(a: &str, b: &str) -> bool {
    let both_host = is_processor(a) && is_processor(b);
    both_host || a == b || nvidia_card(a).is_some_and(|card| nvidia_card(b) == Some(card))
}

/// The device that `text` names. It is not opened.
///
/// # Errors
/// Where there is no such device, or this build cannot use it: a message, and a hint how to fix it.
pub fn parse(text: &str) -> std::result::Result<Device, Problem> {
    named(text)?.device()
}

fn named(text: &str) -> std::result::Result<Name, Problem> {
    Name::read(text).ok_or_else(|| {
        let names = "devices are flex, tch:cpu, tch:cuda:N, cuda:N, wgpu:N and vulkan:N";
        (format!("there is no device `{text}`"), format!("{names}; {}", there_are()))
    })
}

/// Bytes of memory that this process could have on the device that a recipe calls `text`, with what it has already.
/// `None` where that is not known: the system or the driver does not say.
pub fn free_memory(text: &str) -> Option<f64> {
    match nvidia_card(text) {
        Some(index) => free_cuda_memory(index),
        None if is_processor(text) => free_host_memory(),
        None => None,
    }
}

/// The system's free memory, or what the process's group may still have where that is less.
fn free_host_memory() -> Option<f64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let own = kernel_bytes("/proc/self/status", "VmRSS")? as f64;
    let free = kernel_bytes("/proc/meminfo", "MemAvailable")? as f64 + own;
    let number = |path: &str| read(path)?.trim().parse::<f64>().ok();
    let group = "/sys/fs/cgroup";
    let limit = number(&format!("{group}/memory.max")).zip(number(&format!("{group}/memory.current")));
    // Pages of files count as used there, and are given back when memory is wanted.
    let files = read(&format!("{group}/memory.stat"))
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("file ")?.trim().parse::<f64>().ok()))
        .unwrap_or_default();
    Some(match limit {
        Some((most, used)) => free.min(most - used + files + own),
        None => free,
    })
}

fn free_cuda_memory(index: usize) -> Option<f64> {
    let asked = ["--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", &index.to_string()];
    let output = std::process::Command::new("nvidia-smi").args(asked).output().ok()?;
    let mebibytes = String::from_utf8(output.stdout).ok()?.lines().next()?.trim().parse::<f64>().ok()?;
    Some(mebibytes * 1048576.0)
}

/// Checks that `device`, which the recipe calls `text`, can compute in `precision`.
///
/// # Errors
/// Where it cannot.
pub(super) fn check_precision(text: &str, device: &Device, precision: Precision) -> Result<()> {
    if precision == Precision::F32 || device.supports_dtype(DType::BF16) {
        return Ok(());
    }
    Err(Error::failed(format!("device `{text}` has no bf16")).help("use `precision: f32`"))
}

/// Opens the device that `text` names and computes a small product on it. A graphics driver does so first in a process
/// of its own, because it may crash, where the program offers one ([`try_if_asked`]).
///
/// # Errors
/// Where this build cannot use the device, it lacks `precision`, its driver or library is missing, or the product is
/// wrong.
pub fn probe(text: &str, precision: Precision) -> Result<Device> {
    let (device, _) = tried(text, false)?;
    check_precision(text, &device, precision)?;
    Ok(device)
}

/// As [`probe`] in f32, for a device that shall train: the gradients of burn's own backends of GPUs are compared with
/// those of `flex`.
///
/// # Errors
/// As [`probe`], and where its gradients are wrong.
pub fn probe_training(text: &str) -> Result<Device> {
    let (device, trial) = tried(text, true)?;
    trial.training(text, device)
}

/// Tries the device that `text` names, with the gradients where they are compared.
///
/// # Errors
/// As [`probe`], without a precision.
pub fn examine(text: &str) -> Result<Trial> {
    tried(text, true).map(|(_, trial)| trial)
}

fn failed((message, help): Problem) -> Error {
    Error::failed(message).help(help)
}

/// The device, opened and tried. What was seen is kept, so that the runs of a study do not compare gradients again.
fn tried(text: &str, gradients: bool) -> Result<(Device, Trial)> {
    static SEEN: Mutex<BTreeMap<(String, bool), Trial>> = Mutex::new(BTreeMap::new());
    let name = named(text).map_err(failed)?;
    let gradients = gradients && name.is_compared();
    let key = (name.to_string(), gradients);
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(trial) = seen.get(&key) {
        return Ok((name.device().map_err(failed)?, *trial));
    }
    // What cannot be here needs no process to find out.
    let device = name.device().map_err(failed)?;
    let trial = match name.is_graphics().then(|| trial::elsewhere(text, gradients)).flatten() {
        Some(trial) => {
            let trial = trial?;
            here(text, false)?;
            trial
        }
        None => here(text, gradients)?,
    };
    seen.insert(key, trial);
    Ok((device, trial))
}

/// Tries the device in this process.
fn here(text: &str, gradients: bool) -> Result<Trial> {
    let device = parse(text).map_err(failed)?;
    let work = || {
        let ones = Tensor::<2>::ones([8, 8], &device);
        let sum = ones.clone().matmul(ones).sum().into_scalar::<f32>();
        (sum, gradients.then(|| gradients::difference(&device)))
    };
    // burn's own backend for the processor lacks no driver.
    let found = if text == "flex" { Ok(work()) } else { quietly(work) };
    match found {
        Ok((sum, gradients)) if (sum - 512.0).abs() < 1e-3 => Ok(Trial { gradients }),
        Ok((sum, _)) => Err(Error::failed(format!("device `{text}` computes wrongly: {sum} in place of 512"))),
        Err(panic) => {
            let (cause, help) = cause(&panic);
            Err(Error::failed(format!("device `{text}` cannot be used: {cause}")).help(help))
        }
    }
}

/// `f`, or what its panics say, a line or more for each. A backend panics where a driver or library is missing,
/// sometimes in a thread of its own first; nothing of that is printed.
fn quietly<T>(f: impl FnOnce() -> T) -> std::result::Result<T, String> {
    // The program has one hook, so one thread at a time changes it.
    static HOOK: Mutex<()> = Mutex::new(());
    let _alone = HOOK.lock().unwrap_or_else(PoisonError::into_inner);
    let messages = Arc::new(Mutex::new(Vec::new()));
    let heard = messages.clone();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let message = panic.payload_as_str().unwrap_or("it ended without a message").to_owned();
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    }));
    let found = panic::catch_unwind(panic::AssertUnwindSafe(f));
    panic::set_hook(before);
    found.map_err(|_| messages.lock().unwrap_or_else(PoisonError::into_inner).join("\n"))
}

/// What the messages of a backend's panics mean to a user, and the way out.
fn cause(panic: &str) -> (String, &'static str) {
    let says = |words: &[&str]| words.iter().any(|words| panic.contains(words));
    let (cause, help) = if says(&["the \"cuda\" shared library", "no NVIDIA driver", "CUDA_ERROR_NO_DEVICE"]) {
        ("NVIDIA's driver (libcuda.so) or its card was not found", "`nvidia-smi` must list the card")
    } else if says(&["the \"nvrtc\" shared library"]) {
        (
            "CUDA's compiler (libnvrtc.so) was not found",
            "install the CUDA toolkit, or the Python packages nvidia-cuda-nvrtc-cu12 and nvidia-cuda-runtime-cu12; \
             LD_LIBRARY_PATH names the folder with libnvrtc.so, and CUDA_PATH the one with include/cuda_runtime.h",
        )
    } else if says(&["CUDA_PATH", "cuda_runtime.h", "cuda_fp16.h"]) {
        ("CUDA's headers were not found", "CUDA_PATH names the folder with include/cuda_runtime.h")
    } else if says(&["CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"]) {
        ("there is no card of this number", "`nvidia-smi` lists the cards, from 0 on")
    } else if says(&["Unable to acquire wgpu device", "No Discrete GPU device found", "no adapter found"]) {
        (
            "no card with a driver for Vulkan was found",
            "install the card's Vulkan driver; `vulkaninfo` must list the card",
        )
    } else {
        let line = panic.lines().next().unwrap_or_default();
        let short: String = line.chars().take(200).collect();
        return (short, "`maclip doctor` tries every device that this binary was built with");
    };
    (cause.to_owned(), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_device_lists_what_there_is() {
        assert!(parse("flex").is_ok());
        for text in ["gpu", "tch:cuda:x", "vulkan", "", "flex:0"] {
            let (message, help) = parse(text).unwrap_err();
            assert!(message.contains(&format!("`{text}`")) && help.contains("flex"), "{message} {help}");
        }
    }

    #[cfg(not(feature = "tch"))]
    #[test]
    fn a_device_that_was_not_built_says_how_to_build_it() {
        let (message, help) = parse("tch:cuda:0").unwrap_err();
        assert!(message.contains("`tch`") && help.contains("--features tch"));
    }

    #[cfg(not(any(feature = "wgpu", feature = "vulkan")))]
    #[test]
    fn a_graphics_card_that_was_not_built_says_how_to_build_it() {
        for feature in ["wgpu", "vulkan"] {
            let (message, help) = parse(&format!("{feature}:2")).unwrap_err();
            assert!(message.contains(&format!("`{feature}:2`")) && help.contains(&format!("--features {feature}")));
        }
    }

    #[test]
    fn only_gradients_that_rounding_explains_allow_a_training() {
        let trains = |gradients| Trial { gradients }.trains();
        assert!(trains(None) && trains(Some(1e-6)));
        assert!(!trains(Some(0.1)) && !trains(Some(f64::MAX)));
        // Neither is compared: both pass all golden cases.
        assert!(!is_compared("flex") && !is_compared("tch:cuda:0") && is_compared("wgpu:0") && is_compared("cuda:1"));
        assert_eq!(examine("flex").unwrap().gradients, None);
        assert!(probe_training("flex").is_ok());
    }

    #[test]
    fn a_device_with_wrong_gradients_is_refused_and_says_how_wrong() {
        let train = |gradients| Trial { gradients }.training("wgpu:0", Device::flex());
        assert!(train(None).is_ok() && train(Some(9e-4)).is_ok());
        for (gradients, words) in [(0.25, "by 2.5e-1 of their largest value; 1e-3 is allowed"), (f64::MAX, "missing")] {
            let refusal = train(Some(gradients)).unwrap_err().to_string();
            assert!(refusal.contains("`wgpu:0`") && refusal.contains(words), "{refusal}");
            assert!(refusal.contains("`device: flex` or LibTorch"), "{refusal}");
        }
        // What the process that tries a device says arrives as it is, and decides the same.
        let answer = |gradients| serde_json::to_string(&Trial { gradients }).unwrap();
        let heard = |said: &str| serde_json::from_str::<Trial>(said).unwrap();
        assert!(heard(&answer(None)).trains() && !heard(&answer(Some(f64::MAX))).trains());
    }

    #[test]
    fn a_panic_of_a_backend_becomes_its_cause_and_a_way_out() {
        let found = quietly(|| {
            let thread = std::thread::spawn(|| panic!("Unable to dynamically load the \"cuda\" shared library"));
            thread.join().expect("the answer of the device's thread")
        });
        let (cause, help) = cause(&found.unwrap_err());
        assert!(cause.contains("libcuda.so") && help.contains("nvidia-smi"), "{cause} {help}");
        let (cause, _) = super::cause("something else\nwith a trace");
        assert_eq!(cause, "something else");
        assert_eq!(quietly(|| 3).unwrap(), 3);
    }
}
