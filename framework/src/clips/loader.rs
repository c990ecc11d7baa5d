//! From clip ids to pixel tensors: open, sample frames, resize, augment, bring to the backbone's size.

use crate::clips::sources::{Clips, Part};
use crate::clips::store::stored::StoredClips;
use crate::error::{Error, Result};
use crate::images::{Image, Normalization, resize_crop_rgb};
use crate::profile::{self, Phase};
use crate::random::Rng;
use crate::recipe::device::is_host;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::{Features, Opened, ReadyFeatures, Request, Timeline};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use rayon::prelude::*;

/// How the frames of a clip are picked and changed, with the random numbers for it.
#[derive(Clone, Debug)]
pub enum View {
    /// Frames and augmentation are random, for a query or a clip without a role.
    Training(Rng),
    /// Frames and augmentation are random, for a support clip.
    TrainingSupport(Rng),
    /// Nothing is random: the same pixels every time.
    Evaluation,
    /// Only the choice of frames is random: for samplers that are random in evaluation, too.
    RandomFrames(Rng),
}

impl View {
    /// The random numbers for the choice of frames.
    fn frames(&self) -> Option<Rng> {
        match self {
            View::Training(rng) | View::TrainingSupport(rng) | View::RandomFrames(rng) => Some(rng.clone()),
            View::Evaluation => None,
        }
    }
}

/// Opens clips as the pixels that a backbone takes.
#[derive(Clone, Copy)]
pub struct ClipLoader<'a> {
    /// The components that make frames of a clip.
    pub clips: &'a Clips,
    /// The size of the backbone's images, and the mean and standard deviation that normalise their pixels.
    pub geometry: &'a Geometry,
    /// Where the tensors are made.
    pub device: &'a Device,
    /// The store that decoded frames are read from and written to; `None` decodes every time.
    pub store: Option<&'a StoredClips>,
}

impl ClipLoader<'_> {
    /// Opens clips as bytes: of each clip its T images one after the other, `image_size`² × 3 bytes each, RGB
    /// interleaved. Of a clip that is ready features, these are its T × `embed_dim` values as little-endian f32.
    ///
    /// # Errors
    /// Where a clip cannot be decoded, its frames cannot be sampled or resized, or the store cannot read its files; and
    /// where the backbone takes pixels and the clips are features, or the other way round.
    pub fn open(&self, clips: &[(&str, View)]) -> Result<Vec<Vec<u8>>> {
        if let Some(ready) = self.clips.ready(self.geometry)? {
            return clips.par_iter().map(|(clip, view)| self.values(ready, clip, view)).collect();
        }
        let chooses: Vec<_> = clips
            .iter()
            .map(|(_, view)| move |timeline: &Timeline| self.clips.frames.sample(timeline, view.frames().as_mut()))
            .collect();
        let dataset = &*self.clips.dataset;
        let part = |view: &View| self.clips.part(view.frames().is_some());
        let mut found: Vec<Option<Opened>> = (clips.par_iter().zip(&chooses))
            .map(|((clip, view), choose)| self.store?.get(dataset, clip, part(view), choose))
            .collect();
        let missing: Vec<usize> = (0..clips.len()).filter(|at| found[*at].is_none()).collect();
        let each = |image| self.clips.keep(image, self.geometry.image_size);
        let requests: Vec<Request> =
            missing.iter().map(|&at| Request { clip: clips[at].0, choose: &chooses[at], each: &each }).collect();
        for (at, read) in missing.iter().copied().zip(dataset.read(&requests)) {
            let (opened, (clip, view)) = (read?, &clips[at]);
            found[at] = Some(match self.store {
                Some(store) => {
                    // Where the sampler picks at random, the next epoch needs other frames than these.
                    if part(view) == Part::Picked {
                        store.keep(dataset, clip, Part::Picked, &opened)?;
                    }
                    store.as_kept(opened)?
                }
                None => opened,
            });
        }
        let opened: Vec<Opened> = found.into_iter().flatten().collect();
        opened.into_par_iter().zip(clips).map(|(opened, (_, view))| self.finish(opened, view)).collect()
    }

    /// The values of one clip that is ready features.
    fn values(&self, ready: &dyn ReadyFeatures, clip: &str, view: &View) -> Result<Vec<u8>> {
        let choose = |timeline: &Timeline| self.clips.frames.sample(timeline, view.frames().as_mut());
        let Features { width, values } = ready.features(clip, &choose)?;
        if width != self.geometry.embed_dim {
            let wanted = self.geometry.embed_dim;
            return Err(Error::failed(format!(
                "clip {clip} has features of {width} values, and the backbone passes on {wanted} of each frame"
            ))
            .help(format!("say --set backbone.width={width}, and give each clip features of one width")));
        }
        Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Frames of one clip, each as [`Clips::keep`] makes it → what [`ClipLoader::open`] gives for it in an evaluation.
    ///
    /// # Errors
    /// Where the frames have different sizes, or cannot be resized.
    pub(crate) fn pixels(&self, images: &[Image]) -> Result<Vec<u8>> {
        let (timeline, indices) = (Timeline::of(images.len()), (0..images.len()).collect());
        self.finish(Opened::new(timeline, indices, images.to_vec())?, &View::Evaluation)
    }

    /// Augments the frames, then resizes them to the backbone's size.
    fn finish(&self, opened: Opened, view: &View) -> Result<Vec<u8>> {
        let Opened { timeline, mut frames, .. } = opened;
        let augment = &self.clips.augment;
        frames = match view.clone() {
            View::Training(mut rng) | View::TrainingSupport(mut rng) => {
                // The choice of frames takes its random numbers first, so that the augmentation gets those after them.
                self.clips.frames.sample(&timeline, Some(&mut rng))?;
                match view {
                    View::TrainingSupport(_) => augment.apply_to_support(frames, Some(&mut rng)),
                    _ => augment.apply(frames, Some(&mut rng)),
                }
            }
            View::Evaluation | View::RandomFrames(_) => augment.apply(frames, None),
        };
        let size = self.geometry.image_size;
        let mut pixels = Vec::with_capacity(frames.images.len() * size * size * 3);
        for image in &frames.images {
            pixels.extend(resize_crop_rgb(image, frames.width, frames.height, size)?);
        }
        Ok(pixels)
    }

    /// Normalised pixels `[B, T, 3, H, W]` of B clips. Clips are opened in parallel; neither their order nor the random
    /// numbers depend on the number of threads.
    ///
    /// # Errors
    /// As [`ClipLoader::open`].
    pub fn load(&self, clips: &[(&str, View)]) -> Result<Tensor<5>> {
        let _span = profile::span(Phase::Data);
        Ok(self.tensor(&self.open(clips)?))
    }

    /// Clips that [`ClipLoader::open`] opened → normalised pixels `[B, T, 3, H, W]`, or their ready features
    /// `[B, T, 1, 1, E]`.
    pub fn tensor(&self, opened: &[impl AsRef<[u8]>]) -> Tensor<5> {
        if self.geometry.passes_features() {
            let (b, t, width) = (opened.len(), self.clips.frames.count(), self.geometry.embed_dim);
            let values = opened.iter().flat_map(|clip| clip.as_ref().as_chunks::<4>().0);
            let values: Vec<f32> = values.map(|bytes| f32::from_le_bytes(*bytes)).collect();
            return Tensor::from_data(TensorData::new(values, [b, t, 1, 1, width]), self.device);
        }
        let (b, t, size) = (opened.len(), self.clips.frames.count(), self.geometry.image_size);
        normalized(opened, [b, t, size, size], self.geometry, self.device)
    }

    /// Whether training sees the same pixels of a clip every time.
    pub fn fixed(&self) -> bool {
        self.clips.frames.fixed() && self.clips.augment.identity()
    }
}

/// B clips, each interleaved 8-bit RGB `[T, H, W, 3]` → (x / 255 − mean) / std as `[B, T, 3, H, W]`. A card gets the
/// bytes, a quarter of what the floats take, and computes these.
pub fn normalized(
    clips: &[impl AsRef<[u8]>],
    [b, t, h, w]: [usize; 4],
    geometry: &Geometry,
    device: &Device,
) -> Tensor<5> {
    if !is_host(device) && device.supports_dtype(DType::U8) {
        let bytes: Vec<u8> = clips.iter().map(AsRef::as_ref).collect::<Vec<&[u8]>>().concat();
        let pixels = Tensor::<5, Int>::from_data(TensorData::new(bytes, [b, t, h, w, 3]), (device, DType::U8));
        let pixels = pixels.float().permute([0, 1, 4, 2, 3]) / 255.0;
        let channels = |values: [f32; 3]| Tensor::<1>::from_floats(values, device).reshape([1, 1, 3, 1, 1]);
        return (pixels - channels(geometry.mean)) / channels(geometry.std);
    }
    let normalization = Normalization::new(geometry.mean, geometry.std);
    let mut values = Vec::with_capacity(b * t * 3 * h * w);
    for image in clips.iter().flat_map(|clip| clip.as_ref().chunks_exact(h * w * 3)) {
        normalization.append(image, &mut values);
    }
    Tensor::from_data(TensorData::new(values, [b, t, 3, h, w]), device)
}
