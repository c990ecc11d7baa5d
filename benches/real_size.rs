//! Compares a checkpoint at its real size with PyTorch, and says how long loading and encoding take.
//!
//! ```sh
//! cargo bench --bench real_size -- DIR
//! MACLIP_DEVICE=cuda:0 cargo bench --bench real_size -- DIR
//! ```
//!
//! DIR is what `scripts/random_clip.py` wrote: the same random CLIP in two namings, inputs and PyTorch's features.

use burn::tensor::{Device, Int, Tensor, TensorData};
use maclip_components::adapters::no_adapter;
use maclip_components::backbones::clip_vit::ClipVitConfig;
use maclip_framework::recipe::device;
use maclip_framework::registry::BuildContext;
use maclip_framework::slots::adapter::Branch;
use maclip_framework::slots::backbone::Backbone;
use maclip_framework::weights::{self, HostTensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    maclip_kernels::allocator::keep_pages();
    // Cargo adds arguments of its own, such as `--bench`.
    let Some(folder) = std::env::args().skip(1).find(|argument| !argument.starts_with('-')) else {
        return println!(
            "nothing is compared: give the folder that scripts/random_clip.py wrote, see benches/real_size.rs"
        );
    };
    let folder = PathBuf::from(folder);
    let name = std::env::var("MACLIP_DEVICE").unwrap_or_else(|_| "flex".to_owned());
    let device = device::parse(&name).unwrap_or_else(|(message, help)| panic!("{message}; {help}"));
    let reference = weights::read(&folder.join("reference.safetensors")).unwrap_or_else(|e| panic!("{e}")).tensors;
    let about: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("reference.json")).unwrap()).unwrap();
    let texts: Vec<String> = serde_json::from_value(about["texts"].clone()).expect("reference.json names the texts");
    let mut worst: f64 = 0.0;
    for checkpoint in ["hf", "openai.safetensors", "openai.pt"] {
        worst = worst.max(check(&folder.join(checkpoint), &reference, &texts, &device));
    }
    println!("largest difference {worst:.1e}, allowed 1e-4");
    assert!(worst <= 1e-4);
}

/// The largest difference of the features; prints times.
fn check(path: &Path, reference: &BTreeMap<String, HostTensor>, texts: &[String], device: &Device) -> f64 {
    let started = Instant::now();
    let config = ClipVitConfig { weights: path.display().to_string(), ..ClipVitConfig::default() };
    let clip = config.clip(&BuildContext::new(0, device.clone())).unwrap_or_else(|error| panic!("{error}"));
    let loaded = started.elapsed().as_secs_f64();
    let pixels = &reference["pixels"];
    let pixels = Tensor::<4>::from_data(TensorData::new(pixels.values.clone(), pixels.shape.clone()), device);
    let started = Instant::now();
    let image = clip.encode_clips(pixels.unsqueeze_dim(1), &*no_adapter(), &Branch::Query);
    let image: Vec<f64> = image.into_data().iter::<f64>().collect();
    let encoded = started.elapsed().as_secs_f64();
    let ids = &reference["ids"];
    let length = ids.shape[1];
    let rows = ids.values.chunks(length);
    let end = |row: &[f32]| row.iter().position(|id| *id == 49407.0).expect("an end token");
    let ends: Vec<usize> = rows.map(end).collect();
    let values: Vec<i32> = ids.values.iter().map(|id| *id as i32).collect();
    let ids = Tensor::<2, Int>::from_data(TensorData::new(values, ids.shape.clone()), device);
    let list = |tensor: Tensor<2>| -> Vec<f64> { tensor.into_data().iter::<f64>().collect() };
    let text = list(clip.text.forward(ids, &ends));
    // Our own tokens of the same texts.
    let own = list(clip.encode_texts(texts).unwrap_or_else(|error| panic!("{error}")));
    let difference = |got: &[f64], name: &str| {
        let want = &reference[name].values;
        assert_eq!(got.len(), want.len(), "{name}");
        got.iter().zip(want).map(|(g, w)| (g - f64::from(*w)).abs()).fold(0.0, f64::max)
    };
    let found =
        [difference(&image, "image_features"), difference(&text, "text_features"), difference(&own, "text_features")];
    println!(
        "{:<20} loaded in {loaded:.2} s; 4 images in {encoded:.2} s; differences: image {:.1e}, text {:.1e}, own tokens {:.1e}",
        path.file_name().unwrap_or_default().to_string_lossy(),
        found[0],
        found[1],
        found[2]
    );
    found.into_iter().fold(0.0, f64::max)
}
