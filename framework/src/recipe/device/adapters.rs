//! Cards and drivers that compute with Vulkan, in the order in which `wgpu:N` and `vulkan:N` count them.

use super::{Problem, quietly};
use burn::backend::wgpu::wgpu;
use burn::backend::{WgpuBackend, WgpuDevice, WgpuDeviceKind};
use burn::tensor::Device;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

/// A card, or a driver that computes on the processor.
struct Adapter {
    name: String,
    kind: wgpu::DeviceType,
    driver: String,
    /// Its name for burn, which counts each kind from 0.
    device: WgpuDeviceKind,
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            wgpu::DeviceType::DiscreteGpu => "discrete card",
            wgpu::DeviceType::IntegratedGpu => "integrated card",
            wgpu::DeviceType::VirtualGpu => "virtual card",
            wgpu::DeviceType::Cpu => "computes on the processor",
            wgpu::DeviceType::Other => "of another kind",
        };
        write!(f, "{}, {kind}, driver {}", self.name, self.driver)
    }
}

/// How many there are; none where Vulkan cannot be asked.
pub(super) fn count() -> usize {
    all().as_ref().map_or(0, Vec::len)
}

/// Name, kind and driver of adapter `index`.
pub(super) fn about(index: usize) -> Option<String> {
    Some(all().as_ref().ok()?.get(index)?.to_string())
}

/// Adapter `index`, which the recipe calls `text`, not opened.
pub(super) fn device(text: &str, index: usize) -> Result<Device, Problem> {
    let problem = |message: String, help: &str| (format!("device `{text}` cannot be used: {message}"), help.to_owned());
    let adapters = all().as_ref().map_err(|panic| {
        problem(format!("Vulkan cannot be asked for adapters: {panic}"), "`vulkaninfo` must list the card")
    })?;
    if let Some(adapter) = adapters.get(index) {
        return Ok(WgpuDevice::new(adapter.device.clone()).on(WgpuBackend::Vulkan).into());
    }
    if adapters.is_empty() {
        return Err(problem(
            "no card with a driver for Vulkan was found".to_owned(),
            "install the card's Vulkan driver; `vulkaninfo` must list the card. The driver in Debian's package \
             mesa-vulkan-drivers computes on the processor and needs no card",
        ));
    }
    let prefix = text.split(':').next().unwrap_or_default();
    let there: Vec<_> = adapters.iter().enumerate().map(|(at, adapter)| format!("{prefix}:{at} ({adapter})")).collect();
    Err(problem("there is no adapter of this number".to_owned(), &format!("there are: {}", there.join("; "))))
}

/// All of them, asked for once, or what went wrong. The order is: discrete, integrated and virtual cards, the
/// processor, others; within a kind that of the system.
fn all() -> &'static Result<Vec<Adapter>, String> {
    static ALL: OnceLock<Result<Vec<Adapter>, String>> = OnceLock::new();
    ALL.get_or_init(|| quietly(found))
}

fn found() -> Vec<Adapter> {
    let backends = wgpu::Backends::VULKAN;
    let descriptor = wgpu::InstanceDescriptor { backends, ..wgpu::InstanceDescriptor::new_without_display_handle() };
    let instance = wgpu::Instance::new(descriptor);
    let mut counts = [0; 5];
    let seen = ready(instance.enumerate_adapters(backends)).into_iter().filter_map(|adapter| {
        let info = adapter.get_info();
        let place = place(info.device_type);
        let at = counts[place];
        counts[place] += 1;
        let device = match info.device_type {
            wgpu::DeviceType::DiscreteGpu => WgpuDeviceKind::DiscreteGpu(at),
            wgpu::DeviceType::IntegratedGpu => WgpuDeviceKind::IntegratedGpu(at),
            wgpu::DeviceType::VirtualGpu => WgpuDeviceKind::VirtualGpu(at),
            // burn has a name for the first of these alone.
            wgpu::DeviceType::Cpu if at > 0 => return None,
            wgpu::DeviceType::Cpu => WgpuDeviceKind::Cpu,
            wgpu::DeviceType::Other => WgpuDeviceKind::Other(at),
        };
        let driver = [info.driver, info.driver_info].join(" ");
        Some(Adapter { name: info.name, kind: info.device_type, driver: driver.trim().to_owned(), device })
    });
    let mut adapters: Vec<Adapter> = seen.collect();
    adapters.sort_by_key(|adapter| place(adapter.kind));
    adapters
}

/// The place of a kind in the order.
fn place(kind: wgpu::DeviceType) -> usize {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Cpu => 3,
        wgpu::DeviceType::Other => 4,
    }
}

/// What `future` gives. Outside of browsers it waits for nothing.
fn ready<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
        std::thread::yield_now();
    }
}
