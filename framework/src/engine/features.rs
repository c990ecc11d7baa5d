//! The output of the backbone's frozen part (the prefix of a clip): computed once and kept on disk.
//!
//! The key of a clip is a hash of the pixels that enter the network, the frozen weights, the backbone's options and
//! code version, the device and the precision. Whatever changes a value changes the key, so an entry can never be out
//! of date. With `precision: bf16` the values are kept as f16, which has more digits than bf16 and takes half the disk.

use crate::clips::loader::{ClipLoader, View};
use crate::clips::store::local::LocalCache;
use crate::clips::store::stored::StoredClips;
use crate::error::{Error, Result};
use crate::files::{TEXT, open_own, read_own, write_atomically};
use crate::model::few_shot::FewShotModel;
use crate::model::parameters;
use crate::profile::{self, Phase};
use crate::progress::Progress;
use crate::recipe::{Recipe, device};
use crate::slots::adapter::Depth;
use crate::slots::backbone::Precision;
use burn::module::{Module, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use half::f16;
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

type Key = [u8; 32];

/// Number of clips that go through the frozen part in one pass: enough to keep all cores busy, few enough for the
/// memory.
const CLIPS_AT_ONCE: usize = 8;

/// Opens clips and computes their prefixes, or takes them from the feature cache. It does so on one device, or has
/// others beside it that do the same on theirs.
pub struct ClipSource<'a> {
    loader: ClipLoader<'a>,
    /// Without autodiff. Only its frozen part is used, which training does not change.
    model: FewShotModel,
    /// The parameters that training changes.
    trained: HashSet<ParamId>,
    cache: Option<Arc<FeatureCache<'a>>>,
    others: Vec<ClipSource<'a>>,
}

impl<'a> ClipSource<'a> {
    /// Opens clips with `loader` and encodes them with the frozen part of `model`. Without `cache`, nothing is kept.
    pub fn new(loader: ClipLoader<'a>, model: &FewShotModel, cache: Option<Arc<FeatureCache<'a>>>) -> Self {
        let trained = parameters::trainable_ids(model).into_values().collect();
        Self { loader, model: model.valid(), trained, cache, others: Vec::new() }
    }

    /// This source, with another one beside it that has a copy of the model on `device`.
    pub fn beside(mut self, device: &'a Device, cache: Option<Arc<FeatureCache<'a>>>) -> Self {
        let model = self.model.clone().to_device(device);
        let loader = ClipLoader { device, ..self.loader };
        self.others.push(Self { loader, model, trained: self.trained.clone(), cache, others: Vec::new() });
        self
    }

    /// The cache that this source reads and writes.
    pub fn cache(&self) -> Option<Arc<FeatureCache<'a>>> {
        self.cache.clone()
    }

    /// Number of devices: this one and those beside it.
    pub fn devices(&self) -> usize {
        1 + self.others.len()
    }

    /// The source on device number `at`, from 0, which is this one; after the last device it begins again.
    pub fn on(&self, at: usize) -> &ClipSource<'a> {
        (at % self.devices()).checked_sub(1).map_or(self, |other| &self.others[other])
    }

    /// `model`, whose frozen part is that of this source, on the device number `at`. Copied are only the parameters
    /// that training changes.
    pub fn replica(&self, at: usize, model: &FewShotModel) -> FewShotModel {
        let there = self.on(at);
        match at % self.devices() {
            0 => model.clone(),
            _ => parameters::with_values_of(there.model.clone(), model, &self.trained, there.loader.device),
        }
    }

    /// The loader that opens the clips.
    pub fn loader(&self) -> &ClipLoader<'a> {
        &self.loader
    }

    /// Removes the oldest files of the cache until it is within the recipe's `compute.cache_limit_gb`.
    ///
    /// # Errors
    /// Where a file cannot be removed.
    pub fn trim(&self) -> Result<()> {
        self.cache.as_ref().map_or(Ok(()), |cache| trim(&cache.folder, cache.limit))
    }

    /// Counts of clips so far: (found, missing). Found are those that the cache had before this process, each time that
    /// they are used; missing are those that this process had to compute. `None` without a cache.
    pub fn cached(&self) -> Option<(u64, u64)> {
        // Devices of one kind share a cache.
        let mut caches: Vec<&Arc<FeatureCache>> = Vec::new();
        for cache in (0..self.devices()).filter_map(|at| self.on(at).cache.as_ref()) {
            if !caches.iter().any(|known| Arc::ptr_eq(known, cache)) {
                caches.push(cache);
            }
        }
        let counts =
            caches.iter().map(|cache| (cache.hits.load(Ordering::Relaxed), cache.misses.load(Ordering::Relaxed)));
        counts.reduce(|(hits, misses), (more_hits, more_misses)| (hits + more_hits, misses + more_misses))
    }

    /// [`FewShotModel::prefix`] of B clips, `[B, T, F]`. `view` gives the view of each by its position.
    ///
    /// # Errors
    /// Where a clip cannot be opened.
    pub fn prefixes(&self, clips: &[&str], view: impl Fn(usize) -> View) -> Result<Tensor<3>> {
        let clips: Vec<(&str, View)> = clips.iter().enumerate().map(|(i, clip)| (*clip, view(i))).collect();
        let same = |(_, view): &(&str, View)| matches!(view, View::Evaluation);
        match &self.cache {
            Some(cache) if self.loader.fixed() || clips.iter().all(same) => self.through(cache, &clips),
            _ => {
                let parts = clips.chunks(CLIPS_AT_ONCE).map(|part| Ok(self.model.prefix(self.loader.load(part)?)));
                Ok(Tensor::cat(parts.collect::<Result<_>>()?, 0))
            }
        }
    }

    fn through(&self, cache: &FeatureCache, clips: &[(&str, View)]) -> Result<Tensor<3>> {
        let found: Vec<Found> = {
            let _span = profile::span(Phase::Data);
            cache.find(clips, self.loader.store.and_then(StoredClips::local), |unknown| self.loader.open(unknown))?
        };
        let missing: Vec<(Key, &[u8])> = found
            .iter()
            .filter_map(|found| match found {
                Found::Missing(key, pixels) => Some((*key, pixels.as_slice())),
                Found::Kept(_) => None,
            })
            .collect();
        cache.misses.fetch_add(missing.len() as u64, Ordering::Relaxed);
        let mut made = Vec::new();
        if !missing.is_empty() {
            for part in missing.chunks(CLIPS_AT_ONCE) {
                let pixels: Vec<&[u8]> = part.iter().map(|(_, pixels)| *pixels).collect();
                let prefix = self.model.prefix(self.loader.tensor(&pixels));
                let [_, t, f] = prefix.dims();
                let values: Vec<f32> = prefix.into_data().iter::<f32>().collect();
                let kept =
                    |values: &[f32]| Kept { frames: t, values: Stored::of(cache.precision, values).rounded(values) };
                made.extend(values.chunks(t * f).map(kept));
            }
            for ((key, _), kept) in missing.iter().zip(&made) {
                cache.keep(key, kept);
            }
        }
        let mut made = made.into_iter();
        let mut all = Vec::new();
        let (mut frames, mut each) = (0, 0);
        for found in found {
            let kept = match found {
                Found::Kept(kept) => kept,
                Found::Missing(..) => made.next().ok_or_else(|| Error::failed("a clip was not encoded"))?,
            };
            (frames, each) = (kept.frames, kept.values.len());
            all.extend(kept.values);
        }
        let shape = [clips.len(), frames, each / frames.max(1)];
        Ok(Tensor::from_data(TensorData::new(all, shape), self.loader.device))
    }
}

/// The prefix of one clip, `[T, F]`.
struct Kept {
    frames: usize,
    values: Vec<f32>,
}

enum Found {
    Kept(Kept),
    /// The key, and the pixels to compute the prefix from.
    Missing(Key, Vec<u8>),
}

/// How values are stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    F32,
    F16,
}

impl Stored {
    /// How a clip's values are stored in `precision`. What f16 cannot hold stays f32.
    fn of(precision: Precision, values: &[f32]) -> Self {
        let fits = |value: &f32| f16::from_f32(*value).is_finite();
        match precision {
            Precision::Bf16 if values.iter().all(fits) => Stored::F16,
            _ => Stored::F32,
        }
    }

    /// The first bytes of a file.
    fn magic(self) -> &'static [u8; 4] {
        match self {
            Stored::F32 => b"MCF2",
            Stored::F16 => b"MCH2",
        }
    }

    /// The values as they come back, so that a clip has the same ones before and after it is kept.
    fn rounded(self, values: &[f32]) -> Vec<f32> {
        match self {
            Stored::F32 => values.to_vec(),
            Stored::F16 => values.iter().map(|value| f16::from_f32(*value).to_f32()).collect(),
        }
    }

    fn bytes(self, values: &[f32]) -> Vec<u8> {
        match self {
            Stored::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Stored::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
        }
    }

    /// The values of a clip; `None` where the bytes are not a whole number of them.
    fn values(self, bytes: &[u8]) -> Option<Vec<f32>> {
        match self {
            Stored::F32 => {
                let (values, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| values.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
            }
            Stored::F16 => {
                let (values, rest) = bytes.as_chunks::<2>();
                rest.is_empty().then(|| values.iter().map(|bytes| f16::from_le_bytes(*bytes).to_f32()).collect())
            }
        }
    }
}

/// A folder of prefixes, with one file for each clip.
pub struct FeatureCache<'a> {
    folder: PathBuf,
    precision: Precision,
    /// Hash of everything in the key but the pixels.
    network: Key,
    /// Keys of the clips that this process has opened.
    keys: Mutex<HashMap<String, Key>>,
    /// Keys of the prefixes that this process has computed.
    made: Mutex<HashSet<Key>>,
    /// Most bytes of the folder.
    limit: u64,
    hits: AtomicU64,
    misses: AtomicU64,
    progress: &'a dyn Progress,
    /// Set after the first file that could not be written.
    read_only: AtomicBool,
}

impl<'a> FeatureCache<'a> {
    /// The cache for the frozen part of `model`; `None` where the recipe turns it off, where the frozen part is so
    /// small that keeping its output saves nothing, or where the clips are such features already. `weights` are the
    /// checksums of the weights files, `device` is the name of the device that computes it, `runs` is the folder of all
    /// runs.
    ///
    /// # Errors
    /// Where old files must be removed to stay within the limit, and cannot be.
    pub fn new(
        recipe: &Recipe,
        model: &FewShotModel,
        weights: &BTreeMap<String, String>,
        device: &str,
        runs: &Path,
        progress: &'a dyn Progress,
    ) -> Result<Option<Arc<Self>>> {
        let compute = &recipe.compute;
        let depth = Depth::of(&*model.adapter, model.backbone.geometry().blocks);
        if !compute.feature_cache || !depth.pays() || model.backbone.geometry().passes_features() {
            return Ok(None);
        }
        let folder = compute.caches(runs).join("features");
        let limit = (compute.cache_limit_gb * 1e9) as u64;
        trim(&folder, limit)?;
        let mut hash = Sha256::new();
        let about = serde_json::json!({
            "backbone": recipe.resolved.at("backbone").map(|node| node.to_json()),
            "code": model.backbone.code_version(),
            "depth": format!("{depth:?}"),
            "parts": model.backbone.handed_out(),
            "weights": weights,
            "device": device::kind(device),
            "precision": recipe.precision,
        });
        hash.update(about.to_string());
        let trainable = parameters::trainable_ids(&model.backbone);
        for (path, tensor) in parameters::export(&model.backbone, false) {
            if !trainable.contains_key(&path) {
                hash.update(path);
                hash.update(tensor.values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            }
        }
        Ok(Some(Arc::new(Self {
            folder,
            precision: recipe.precision,
            network: hash.finalize().into(),
            keys: Mutex::default(),
            made: Mutex::default(),
            limit,
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            progress,
            read_only: AtomicBool::new(false),
        })))
    }

    fn file(&self, key: &Key) -> PathBuf {
        let name: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(&name[..2]).join(&name[2..])
    }

    /// Looks for each of `clips` in `local`, then in the cache. `open` opens the clips that it is called with, as
    /// pixels.
    fn find(
        &self,
        clips: &[(&str, View)],
        local: Option<&LocalCache>,
        open: impl Fn(&[(&str, View)]) -> Result<Vec<Vec<u8>>>,
    ) -> Result<Vec<Found>> {
        let mut pixels: Vec<Option<Vec<u8>>> = vec![None; clips.len()];
        let fill = |wanted: &[usize], pixels: &mut [Option<Vec<u8>>]| -> Result<()> {
            let unknown: Vec<(&str, View)> = wanted.iter().map(|&at| clips[at].clone()).collect();
            wanted.iter().zip(open(&unknown)?).for_each(|(&at, opened)| pixels[at] = Some(opened));
            Ok(())
        };
        // The key needs the pixels, so a clip must be opened once; later its key is known.
        let known = self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let new: Vec<usize> = (0..clips.len()).filter(|&at| !known.contains_key(clips[at].0)).collect();
        fill(&new, &mut pixels)?;
        let key = |(at, (clip, _)): (usize, &(&str, View))| match &pixels[at] {
            Some(pixels) => Sha256::new().chain_update(self.network).chain_update(pixels).finalize().into(),
            None => known.get(*clip).copied().unwrap_or_default(),
        };
        let keys: Vec<Key> = clips.par_iter().enumerate().map(key).collect();
        let names = new.iter().map(|&at| (clips[at].0.to_owned(), keys[at]));
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
        let kept: Vec<Option<Kept>> = keys.par_iter().map(|key| self.read(key, local)).collect();
        let gone: Vec<usize> = (0..clips.len()).filter(|&at| kept[at].is_none() && pixels[at].is_none()).collect();
        fill(&gone, &mut pixels)?;
        let found = keys.into_iter().zip(kept).zip(pixels).map(|((key, kept), pixels)| match (kept, pixels) {
            (Some(kept), _) => {
                let own = self.made.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
                self.hits.fetch_add(u64::from(!own), Ordering::Relaxed);
                Ok(Found::Kept(kept))
            }
            (None, Some(pixels)) => Ok(Found::Missing(key, pixels)),
            (None, None) => Err(Error::failed("a clip was not opened")),
        });
        found.collect()
    }

    /// The prefix under `key`; `None` where its file is missing or damaged. Then it is computed again.
    fn read(&self, key: &Key, local: Option<&LocalCache>) -> Option<Kept> {
        let path = self.file(key);
        let read = || match read_own(&path, TEXT) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(_) => Some(Vec::new()),
        };
        let bytes = match local {
            Some(local) => local.features(key, |bytes| parse(bytes, key).is_some(), read, self.progress),
            None => read(),
        }?;
        let kept = parse(&bytes, key);
        if kept.is_none() && !OLDER.iter().any(|start| bytes.starts_with(*start)) {
            self.progress.note(&format!("{} is damaged and made again", path.display()));
        }
        kept
    }

    fn keep(&self, key: &Key, kept: &Kept) {
        self.made.lock().unwrap_or_else(PoisonError::into_inner).insert(*key);
        if self.read_only.load(Ordering::Relaxed) {
            return;
        }
        let bytes = written(Stored::of(self.precision, &kept.values), key, kept);
        let path = self.file(key);
        let folder = path.parent().unwrap_or(&self.folder);
        let written = std::fs::create_dir_all(folder)
            .map_err(|error| Error::io("make", folder, error))
            .and_then(|()| write_atomically(&path, &bytes));
        // The run works without the cache, so this is only a note: the next run will be as slow as this one.
        if let Err(error) = written
            && !self.read_only.swap(true, Ordering::Relaxed)
        {
            self.progress.note(&format!("features are not kept: {error}"));
        }
    }
}

/// First bytes of files that older versions wrote. They are made again.
const OLDER: [&[u8; 4]; 2] = [b"MCF1", b"MCH1"];

/// A file of the cache: what it is, its key, the number of frames, the values, a checksum of all. With the key in it, a
/// file that was copied to another name is not taken for another clip.
fn written(stored_as: Stored, key: &Key, kept: &Kept) -> Vec<u8> {
    let mut bytes = stored_as.magic().to_vec();
    bytes.extend(key);
    bytes.extend((kept.frames as u32).to_le_bytes());
    bytes.extend(stored_as.bytes(&kept.values));
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn parse(bytes: &[u8], key: &Key) -> Option<Kept> {
    let (whole, sum) = bytes.split_last_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != crc32fast::hash(whole) {
        return None;
    }
    let (magic, whole) = whole.split_first_chunk::<4>()?;
    let stored_as = [Stored::F32, Stored::F16].into_iter().find(|stored_as| stored_as.magic() == magic)?;
    let whole = whole.strip_prefix(key)?;
    let (frames, payload) = whole.split_first_chunk::<4>()?;
    let frames = u32::from_le_bytes(*frames) as usize;
    let values = stored_as.values(payload)?;
    (frames > 0 && values.len() % frames == 0).then_some(Kept { frames, values })
}

/// Whether `path` is a file of this cache: `<2 hex>/<62 hex>`, or an unfinished one of a killed process, at least an
/// hour old.
fn is_own(path: &Path, modified: SystemTime) -> bool {
    let name = |path: Option<&std::ffi::OsStr>| path.and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (folder, file) = (name(path.parent().and_then(Path::file_name)), name(path.file_name()));
    let left = file.split_once('.').is_some_and(|(stem, rest)| {
        hex(stem, 62) && rest.ends_with(".tmp") && modified.elapsed().is_ok_and(|age| age.as_secs() > 3600)
    });
    hex(&folder, 2) && (hex(&file, 62) || left)
}

/// Whether a file begins as those of the cache do, or is an unfinished one without any bytes.
fn begins_as_own(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = open_own(path, false).and_then(|file| file.take(4).read_to_end(&mut start));
    let known = OLDER.into_iter().chain([Stored::F32, Stored::F16].map(Stored::magic));
    read.is_ok() && (start.is_empty() || known.into_iter().any(|magic| start == magic))
}

/// Removes the oldest files of `folder` until it holds at most `limit` bytes.
fn trim(folder: &Path, limit: u64) -> Result<()> {
    let mut files = Vec::new();
    let Ok(folders) = std::fs::read_dir(folder) else { return Ok(()) };
    // Links are not followed: what they lead to is not the cache's.
    let folders =
        folders.filter_map(|entry| entry.ok().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())));
    for entries in folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()) {
        files.extend(entries.filter_map(|entry| {
            let entry = entry.ok()?;
            let data = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let modified = data.modified().ok()?;
            is_own(&entry.path(), modified).then(|| (modified, data.len(), entry.path()))
        }));
    }
    let bytes = |files: &[(SystemTime, u64, PathBuf)]| files.iter().map(|(_, size, _)| size).sum::<u64>();
    if bytes(&files) <= limit {
        return Ok(());
    }
    // What is not the cache's takes none of its room.
    files.retain(|(.., path)| begins_as_own(path));
    files.sort();
    let mut total = bytes(&files);
    for (_, size, path) in files {
        if total <= limit {
            break;
        }
        match std::fs::remove_file(&path) {
            // Another process may have been faster.
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &path, error)
                    .help("raise `compute.cache_limit_gb`, or choose a `compute.cache_folder` that you may write to"));
            }
            _ => total -= size,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_no_hit() {
        for (stored_as, length) in [(Stored::F32, 60), (Stored::F16, 52)] {
            // The last is between two values of f16.
            let made = stored_as.rounded(&[1.0, 2.0, -3.5, 1.0001]);
            let bytes = written(stored_as, &[7; 32], &Kept { frames: 2, values: made.clone() });
            assert!(parse(&bytes, &[8; 32]).is_none(), "a file that was copied to another name");
            let kept = parse(&bytes, &[7; 32]).unwrap();
            assert_eq!((kept.frames, kept.values, bytes.len()), (2, made, length), "{stored_as:?}");
            for length in 0..bytes.len() {
                assert!(parse(&bytes[..length], &[7; 32]).is_none(), "{length}");
            }
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1;
                assert!(parse(&flipped, &[7; 32]).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn only_what_fits_is_stored_as_f16() {
        assert_eq!(Stored::of(Precision::F32, &[1.0]), Stored::F32);
        assert_eq!(Stored::of(Precision::Bf16, &[1.0, -65504.0]), Stored::F16);
        assert_eq!(Stored::of(Precision::Bf16, &[1.0, 1e5]), Stored::F32);
    }

    #[test]
    fn the_oldest_files_go_first_and_others_files_never() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("ab");
        std::fs::create_dir(&inner).unwrap();
        let place = |name: &str| inner.join(name.repeat(62));
        for (age, name) in [(300, "a"), (200, "b"), (100, "c")] {
            std::fs::write(place(name), [b"MCF1".as_slice(), &[0; 96]].concat()).unwrap();
            let time = SystemTime::now() - std::time::Duration::from_secs(age);
            std::fs::File::options().write(true).open(place(name)).unwrap().set_modified(time).unwrap();
        }
        let (precious, writing) = (inner.join("thesis.npy"), inner.join(format!("{}.7.0.tmp", "d".repeat(62))));
        std::fs::write(&precious, [0; 1000]).unwrap();
        std::fs::write(&writing, [0; 1000]).unwrap();
        // Another program's file under such a name, and a link to a folder with some.
        std::fs::write(place("e"), b"SHA256 of a thesis").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("f".repeat(62)), b"MCF1").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("cd")).unwrap();
        trim(folder.path(), 250).unwrap();
        assert!(!place("a").exists() && place("b").exists() && place("c").exists());
        trim(folder.path(), 0).unwrap();
        assert!(!place("b").exists() && precious.exists() && writing.exists() && place("e").exists());
        assert!(elsewhere.path().join("f".repeat(62)).exists());
        trim(&folder.path().join("absent"), 0).unwrap();
    }
}
