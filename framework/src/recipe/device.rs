//! Names of devices: `flex`, `tch:cpu`, `tch:cuda:N`, `vulkan:N`. `Device::default()` is never used, because it opens
//! any GPU backend that is compiled in.

use crate::error::{Error, Result};
use crate::profile::kernel_bytes;
use crate::slots::backbone::Precision;
use burn::tensor::{DType, Device, Tensor};

/// The cargo features of this build that matter for devices, for `doctor` and the manifest.
pub fn features() -> Vec<String> {
    [("tch", cfg!(feature = "tch")), ("vulkan", cfg!(feature = "vulkan"))]
        .into_iter()
        .filter(|(_, on)| *on)
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Device names that this build can use; of numbered devices the first one.
pub fn available() -> Vec<&'static str> {
    let mut devices = vec!["flex"];
    if cfg!(feature = "tch") {
        devices.extend(["tch:cpu", "tch:cuda:0"]);
    }
    if cfg!(feature = "vulkan") {
        devices.push("vulkan:0");
    }
    devices
}

/// Whether `text` names a device that some build of this program can use.
pub(super) fn known(text: &str) -> bool {
    let number = |text: &str| text.parse::<usize>().is_ok();
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["flex"] | ["tch", "cpu"] => true,
        ["tch", "cuda", index] | ["vulkan", index] => number(index),
        _ => false,
    }
}

/// The device that `text` names. It is not opened.
///
/// # Errors
/// Where there is no such device, or this build cannot use it: a message, and a hint how to fix it.
pub fn parse(text: &str) -> std::result::Result<Device, (String, String)> {
    let built = || format!("this maclip was built with: {}", available().join(", "));
    let not_built = |feature: &str| {
        let message =
            format!("device `{text}` needs the cargo feature `{feature}`, which this maclip was built without");
        (message, format!("{}; build again with `cargo build --release --features {feature}`", built()))
    };
    let unknown = || {
        let message = format!("there is no device `{text}`");
        (message, format!("devices are flex, tch:cpu, tch:cuda:N and vulkan:N; {}", built()))
    };
    let parts: Vec<&str> = text.split(':').collect();
    match parts.as_slice() {
        ["flex"] => Ok(Device::flex()),
        ["tch", "cpu"] => tch_cpu().ok_or_else(|| not_built("tch")),
        ["tch", "cuda", index] => {
            let index = index.parse().map_err(|_| unknown())?;
            tch_cuda(index).ok_or_else(|| not_built("tch"))
        }
        ["vulkan", index] => {
            let index = index.parse().map_err(|_| unknown())?;
            vulkan(index).ok_or_else(|| not_built("vulkan"))
        }
        _ => Err(unknown()),
    }
}

/// Bytes of memory that this process could have on the device that a recipe calls `text`, with what it has already. `None`
/// where that is not known: the system or the driver does not say.
pub fn free_memory(text: &str) -> Option<f64> {
    match text.split(':').collect::<Vec<_>>().as_slice() {
        ["flex"] | ["tch", "cpu"] => free_host_memory(),
        ["tch", "cuda", index] => free_cuda_memory(index),
        _ => None,
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

fn free_cuda_memory(index: &str) -> Option<f64> {
    let asked = ["--query-gpu=memory.free", "--format=csv,noheader,nounits", "-i", index];
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

/// Opens the device that `text` names and computes a small product on it.
///
/// # Errors
/// Where this build cannot use the device, it lacks `precision`, its driver or library is missing, or the product is
/// wrong.
pub fn probe(text: &str, precision: Precision) -> Result<Device> {
    let device = parse(text).map_err(|(message, help)| Error::failed(message).help(help))?;
    check_precision(text, &device, precision)?;
    let product = || {
        let ones = Tensor::<2>::ones([8, 8], &device);
        ones.clone().matmul(ones).sum().into_scalar::<f32>()
    };
    // Where a driver or library is missing the backend panics, and its message names no cause that a user knows.
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(product)) {
        Ok(sum) if (sum - 512.0).abs() < 1e-3 => Ok(device),
        Ok(sum) => Err(Error::failed(format!("device `{text}` computes wrongly: {sum} in place of 512"))),
        Err(_) => Err(Error::failed(format!("device `{text}` is not there, or its driver or library is missing"))
            .help("`maclip doctor` tries every device that this binary was built with")),
    }
}

// Deprecated in burn 0.22, and its only way to CUDA that builds from a crate registry alone.
#[cfg(feature = "tch")]
#[allow(deprecated)]
fn tch_cpu() -> Option<Device> {
    Some(Device::libtorch())
}
#[cfg(not(feature = "tch"))]
fn tch_cpu() -> Option<Device> {
    None
}

// Deprecated in burn 0.22, and its only way to CUDA that builds from a crate registry alone.
#[cfg(feature = "tch")]
#[allow(deprecated)]
fn tch_cuda(index: usize) -> Option<Device> {
    Some(Device::libtorch_cuda(index))
}
#[cfg(not(feature = "tch"))]
fn tch_cuda(_index: usize) -> Option<Device> {
    None
}

#[cfg(feature = "vulkan")]
fn vulkan(index: usize) -> Option<Device> {
    Some(Device::vulkan(burn::tensor::DeviceKind::DiscreteGpu(index)))
}
#[cfg(not(feature = "vulkan"))]
fn vulkan(_index: usize) -> Option<Device> {
    None
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
}
