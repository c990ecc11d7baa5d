//! Features of support clips on disk, so that a second call opens new clips only.
//!
//! The key of a file is a hash of the clip's bytes, of everything that the model is made of, and of the class text.
//! What changes a feature changes the key.

use super::{Encodings, Examples, SupportClass};
use crate::clips::sources::Clips;
use crate::clips::store::source_hash;
use crate::error::{Error, Result};
use crate::files::{hex, read_own, write_quickly};
use crate::weights::{ElementType, HostTensor, parse, serialize};
use burn::tensor::{Device, Tensor, TensorData};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The largest file of one clip, in bytes.
const LARGEST: u64 = 64 << 20;

/// Features of clips on the host, by what they are; the first axis counts clips.
pub(super) struct Features(BTreeMap<String, HostTensor>);

impl Features {
    pub fn encoded(support: Tensor<3>, query: Tensor<3>, averages: Tensor<2>) -> Self {
        let averages: Tensor<3> = averages.unsqueeze_dim(1);
        Self([("support", support), ("query", query), ("averages", averages)].map(host).into())
    }

    pub fn prefixes(prefix: Tensor<3>) -> Self {
        Self([("prefix", prefix)].map(host).into())
    }

    fn clips(&self) -> usize {
        self.0.values().next().map_or(0, |tensor| tensor.shape[0])
    }

    /// Clip number `at` alone.
    fn clip(&self, at: usize) -> Self {
        let one = |(name, tensor): (&String, &HostTensor)| {
            let each = tensor.values.len() / tensor.shape[0].max(1);
            let shape = std::iter::once(1).chain(tensor.shape[1..].iter().copied()).collect();
            let values = tensor.values[at * each..(at + 1) * each].to_vec();
            (name.clone(), HostTensor { shape, values })
        };
        Self(self.0.iter().map(one).collect())
    }

    /// All clips of `parts`, one after the other.
    pub fn joined(parts: Vec<Self>) -> Result<Self> {
        let mut all: BTreeMap<String, HostTensor> = BTreeMap::new();
        for part in parts {
            for (name, tensor) in part.0 {
                match all.get_mut(&name) {
                    None => _ = all.insert(name, tensor),
                    Some(known) if known.shape[1..] == tensor.shape[1..] => {
                        known.shape[0] += tensor.shape[0];
                        known.values.extend(tensor.values);
                    }
                    Some(_) => return Err(Error::failed("features of two clips have different shapes")),
                }
            }
        }
        Ok(Self(all))
    }

    fn tensor(&self, name: &str, device: &Device) -> Result<Tensor<3>> {
        let found = self.0.get(name).and_then(|tensor| Some((<[usize; 3]>::try_from(&*tensor.shape).ok()?, tensor)));
        let (shape, tensor) = found.ok_or_else(|| Error::failed(format!("there are no features `{name}`")))?;
        Ok(Tensor::from_data(TensorData::new(tensor.values.clone(), shape), device))
    }

    pub fn prefix(&self, device: &Device) -> Result<Tensor<3>> {
        self.tensor("prefix", device)
    }

    pub fn examples(&self, device: &Device) -> Result<Examples> {
        let [support, query, averages] = ["support", "query", "averages"].map(|name| self.tensor(name, device));
        Ok(Examples { support: support?, query: Encodings { query: query?, averages: averages?.squeeze_dim(1) } })
    }
}

fn host<const D: usize>((name, tensor): (&str, Tensor<D>)) -> (String, HostTensor) {
    let shape = tensor.dims().to_vec();
    (name.to_owned(), HostTensor { shape, values: tensor.into_data().iter::<f32>().collect() })
}

/// A folder of features, a file for each clip.
pub struct Kept<'a> {
    folder: PathBuf,
    clips: &'a Clips,
    /// Hash of everything but the clip and its class.
    model: [u8; 32],
}

impl<'a> Kept<'a> {
    /// Features in `folder`, of clips that `clips` opens. `model` must describe all that decides them beside the clip
    /// and its class text: components, weights, device and precision.
    pub fn new(folder: PathBuf, clips: &'a Clips, model: &serde_json::Value) -> Self {
        Self { folder, clips, model: Sha256::digest(model.to_string()).into() }
    }

    fn file(&self, class: &SupportClass, clip: &str) -> Result<PathBuf> {
        let dataset = &self.clips.dataset;
        let hash = Sha256::new()
            .chain_update(self.model)
            .chain_update(dataset.decoder(clip))
            .chain_update(source_hash(&dataset.files(clip)?)?)
            .chain_update(&class.text);
        // A sampler that draws frames has another draw for a clip of another name.
        let named = self.clips.frames.random_in_evaluation();
        let name = hex(&if named { hash.chain_update(clip) } else { hash }.finalize());
        Ok(self.folder.join(&name[..2]).join(format!("{}.safetensors", &name[2..])))
    }

    /// Features of `clips` (class, clip): those that are kept, and those that `encode` computes, which are then kept.
    pub(super) fn encodings(
        &self,
        clips: &[(usize, &str)],
        classes: &[SupportClass],
        encode: impl FnOnce(&[(usize, &str)]) -> Result<Features>,
    ) -> Result<Features> {
        let files: Vec<PathBuf> =
            clips.iter().map(|(class, clip)| self.file(&classes[*class], clip)).collect::<Result<_>>()?;
        // A file that is damaged is made again.
        let read =
            |path: &PathBuf| parse("features", &read_own(path, LARGEST).ok()?).ok().map(|(all, _)| Features(all));
        let mut found: Vec<Option<Features>> = files.iter().map(read).collect();
        let missing: Vec<usize> = (0..clips.len()).filter(|&at| found[at].is_none()).collect();
        if !missing.is_empty() {
            let wanted: Vec<(usize, &str)> = missing.iter().map(|&at| clips[at]).collect();
            let made = encode(&wanted)?;
            debug_assert_eq!(made.clips(), missing.len());
            for (from, &at) in missing.iter().enumerate() {
                let one = made.clip(from);
                let bytes = serialize(&one.0, &BTreeMap::new(), ElementType::F32)?;
                // Where nothing can be written, the next call computes it again.
                _ = files[at].parent().map(std::fs::create_dir_all);
                _ = write_quickly(&files[at], &bytes);
                found[at] = Some(one);
            }
        }
        let parts: Vec<Features> = found.into_iter().flatten().collect();
        Features::joined(parts)
    }
}
