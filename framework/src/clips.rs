//! From clip ids to pixel tensors: open, sample frames, augment, bring to the backbone's size.

use crate::error::Result;
use crate::images::{resize_crop_rgb, to_tensor_values};
use crate::profile::{self, Phase};
use crate::random::Rng;
use crate::slots::augment::Augment;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::Dataset;
use crate::slots::frames::FrameSampler;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

/// Opens clips the way a backbone wants them.
pub struct ClipLoader<'a> {
    pub dataset: &'a dyn Dataset,
    pub frames: &'a dyn FrameSampler,
    pub augment: &'a dyn Augment,
    pub geometry: &'a Geometry,
    pub device: &'a Device,
}

impl ClipLoader<'_> {
    /// T images of `image_size`² × 3 bytes, one after the other. `rng` is given in training only: it draws frames and
    /// augmentation.
    pub fn open(&self, clip: &str, rng: Option<Rng>) -> Result<Vec<u8>> {
        let mut rng = rng;
        let available = self.dataset.frame_count(clip)?;
        let indices = self.frames.sample(available, rng.as_mut());
        let mut frames = self.dataset.open(clip, &indices)?;
        if let Some(rng) = &mut rng {
            frames = self.augment.apply(frames, rng);
        }
        let size = self.geometry.image_size;
        let mut pixels = Vec::with_capacity(frames.images.len() * size * size * 3);
        for image in &frames.images {
            pixels.extend(resize_crop_rgb(image, frames.width, frames.height, size)?);
        }
        Ok(pixels)
    }

    /// Normalised pixels `[B, T, 3, H, W]`; clips are opened in parallel, and the order and the draws do not depend on
    /// the number of threads.
    pub fn load(&self, clips: &[&str], rng: impl Fn(usize) -> Option<Rng> + Sync) -> Result<Tensor<5>> {
        let _span = profile::span(Phase::Data);
        let opened: Vec<Vec<u8>> =
            clips.par_iter().enumerate().map(|(i, clip)| self.open(clip, rng(i))).collect::<Result<_>>()?;
        Ok(self.tensor(&opened))
    }

    /// Opened clips → normalised pixels `[B, T, 3, H, W]`.
    pub fn tensor(&self, opened: &[impl AsRef<[u8]>]) -> Tensor<5> {
        let (b, t, size) = (opened.len(), self.frames.count(), self.geometry.image_size);
        let pixels: Vec<u8> = opened.iter().flat_map(|clip| clip.as_ref()).copied().collect();
        normalized(&pixels, [b, t, size, size], self.geometry, self.device)
    }

    /// Whether training sees the same pixels of a clip every time.
    pub fn fixed(&self) -> bool {
        self.frames.fixed() && self.augment.identity()
    }
}

/// Interleaved 8-bit RGB `[B, T, H, W, 3]` → (x / 255 − mean) / std as `[B, T, 3, H, W]`.
pub fn normalized(pixels: &[u8], [b, t, h, w]: [usize; 4], geometry: &Geometry, device: &Device) -> Tensor<5> {
    let image = |pixels| to_tensor_values(pixels, geometry.mean, geometry.std);
    let values: Vec<f32> = pixels.chunks_exact(h * w * 3).flat_map(image).collect();
    Tensor::from_data(TensorData::new(values, [b, t, 3, h, w]), device)
}
