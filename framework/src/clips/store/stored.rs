//! The clips of one recipe in the store: their keys, and which frames of each are kept.

use super::local::LocalCache;
use super::pack::{Key, Kind};
use super::source::{self, Source};
use super::{ClipStore, lock, record};
use crate::clips::sources::{Clips, Part};
use crate::error::Result;
use crate::images::Image;
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::clip_store::Format;
use crate::slots::backbone::Geometry;
use crate::slots::dataset::{Dataset, Frames, Opened, Timeline};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// The clips of one recipe in the store. Their keys hash everything that decides their frames.
#[derive(Debug)]
pub struct StoredClips {
    /// `None` where the recipe turns the store off. Then only [`StoredClips::as_kept`] has an effect.
    store: Option<ClipStore>,
    /// Copies on a disk of this machine, which are read first.
    local: Option<LocalCache>,
    format: Format,
    /// What is done to every decoded clip: the resize, and its outcome on a test image.
    resized: [Value; 2],
    /// The sampler of the frames.
    frames: Value,
    /// The clips that this process has opened, by clip id.
    sources: Mutex<HashMap<String, Arc<Keyed>>>,
}

/// The files of a clip, and the keys of its frames.
#[derive(Debug)]
struct Keyed {
    source: Source,
    /// Of [`Part::All`].
    all: Key,
    /// Of [`Part::Picked`].
    picked: Key,
}

impl Keyed {
    fn key(&self, part: Part) -> &Key {
        if part == Part::All { &self.all } else { &self.picked }
    }
}

impl StoredClips {
    /// The clips of `recipe`, whose components are `clips`. `runs` is the folder of all runs, which has the caches.
    ///
    /// # Errors
    /// Where the folder of the store cannot be read, or `resize` fails on a test image.
    pub fn open(recipe: &Recipe, clips: &Clips, geometry: &Geometry, runs: &Path) -> Result<Self> {
        let (options, caches) = (&recipe.clip_store, recipe.compute.caches(runs));
        let store = options.open(&caches).map_err(|error| error.at(recipe.place("clip_store")))?;
        let format = options.format;
        let option = |slot: &str| recipe.resolved.at(slot).map(|node| node.to_json());
        // Ready features are never in the store, and there are no images to try.
        let outcome = match clips.dataset.features() {
            Some(_) => String::new(),
            None => outcome(&|image| clips.keep(image, geometry.image_size))?,
        };
        Ok(Self {
            store,
            local: None,
            format,
            resized: [json!(option("resize")), json!(outcome)],
            frames: json!(option("frames")),
            sources: Mutex::default(),
        })
    }

    /// The same clips, with copies of them in `local`, which is read first.
    pub fn beside(self, local: Option<LocalCache>) -> Self {
        Self { local, ..self }
    }

    /// The copies on a disk of this machine.
    pub fn local(&self) -> Option<&LocalCache> {
        self.local.as_ref()
    }

    /// Copies those of `wants` that the store has to the disk of this machine, where the recipe names a folder for
    /// that.
    ///
    /// # Errors
    /// [`Error::Interrupted`](crate::error::Error::Interrupted) after a request to stop.
    pub fn copy_in(&self, dataset: &dyn Dataset, wants: &[(&str, Part)], progress: &dyn Progress) -> Result<()> {
        let (Some(store), Some(local)) = (&self.store, &self.local) else { return Ok(()) };
        // A clip whose files cannot be read was reported before.
        let key = |(clip, part): &(&str, Part)| Some(*self.keyed(dataset, clip).ok()??.key(*part));
        local.copy_in(store, wants.iter().filter_map(key), progress)
    }

    /// The store that the clips are in; `None` where the recipe turns it off.
    pub fn store(&self) -> Option<&ClipStore> {
        self.store.as_ref()
    }

    /// The files of `clip` and its keys; `None` where clips are made by code or the store is off.
    fn keyed(&self, dataset: &dyn Dataset, clip: &str) -> Result<Option<Arc<Keyed>>> {
        let Some(store) = &self.store else { return Ok(None) };
        if let Some(known) = lock(&self.sources).get(clip) {
            return Ok(Some(Arc::clone(known)));
        }
        let files = dataset.files(clip)?;
        if files.is_empty() {
            return Ok(None);
        }
        let source = source::content(store, files)?;
        let [resize, outcome] = &self.resized;
        let about = json!({
            "store": 1,
            "decoder": dataset.decoder(clip),
            "resize": resize,
            "outcome": outcome,
            "format": self.format,
        });
        let key = |frames: Value| -> Key {
            let rule = Sha256::digest(json!([about, frames]).to_string());
            Sha256::new().chain_update(rule).chain_update(source.content).finalize().into()
        };
        let (all, picked) = (key(json!("all")), key(json!({"picked": self.frames})));
        let keyed = Arc::new(Keyed { source, all, picked });
        lock(&self.sources).insert(clip.to_owned(), Arc::clone(&keyed));
        Ok(Some(keyed))
    }

    /// Every key that a record about `clip` can have. Empty where the clip is made by code, or the store is off.
    ///
    /// # Errors
    /// Where the dataset does not know the clip, or its files cannot be read.
    pub fn keys(&self, dataset: &dyn Dataset, clip: &str) -> Result<Vec<Key>> {
        let Some(keyed) = self.keyed(dataset, clip)? else { return Ok(Vec::new()) };
        let Keyed { source, all, picked } = &*keyed;
        Ok(vec![*all, *picked, sound(all), sound(picked), source.state])
    }

    /// The frames of `clip` that `choose` picks, where the store has them. `part` says under which key they would be:
    /// the picked frames are also looked for among all frames.
    pub(in crate::clips) fn get(
        &self,
        dataset: &dyn Dataset,
        clip: &str,
        part: Part,
        choose: &dyn Fn(&Timeline) -> Result<Vec<usize>>,
    ) -> Option<Opened> {
        let store = self.store.as_ref()?;
        // A problem with its files is reported when they are decoded.
        let keyed = self.keyed(dataset, clip).ok()??;
        let parts: &[Part] = if part == Part::All { &[Part::All] } else { &[Part::Picked, Part::All] };
        parts.iter().find_map(|part| {
            let key = keyed.key(*part);
            let copied = self.local.as_ref().and_then(|local| picked(local.store(), key, choose));
            copied.or_else(|| {
                let opened = picked(store, key, choose)?;
                if let Some(local) = &self.local {
                    local.copy(store, key);
                }
                Some(opened)
            })
        })
    }

    /// Whether `part` of `clip` is kept.
    pub(in crate::clips) fn has(&self, dataset: &dyn Dataset, clip: &str, part: Part) -> Result<Presence> {
        let (Some(store), Some(keyed)) = (&self.store, self.keyed(dataset, clip)?) else {
            return Ok(Presence::Elsewhere);
        };
        let key = keyed.key(part);
        let copied = self.local.as_ref().and_then(|local| local.store().table(key));
        Ok(match copied.or_else(|| store.table(key)) {
            Some((table, ..)) => Presence::Kept(table.timeline),
            None if store.small(&sound(key)).is_some() => Presence::Sound,
            None => Presence::Unknown,
        })
    }

    /// Puts the decoded frames of `clip`, all of `part`, into the store; returns their bytes, or `None` where it has no
    /// room.
    pub(in crate::clips) fn keep(
        &self,
        dataset: &dyn Dataset,
        clip: &str,
        part: Part,
        opened: &Opened,
    ) -> Result<Option<u64>> {
        let (Some(store), Some(keyed)) = (&self.store, self.keyed(dataset, clip)?) else { return Ok(None) };
        if !keyed.source.unchanged()? {
            return Ok(None);
        }
        // Another file with the same bytes may be in the store.
        if store.table(keyed.key(part)).is_some() {
            return Ok(Some(0));
        }
        let bytes =
            record::payload(opened, self.format).filter(|bytes| store.append(Kind::Clip, keyed.key(part), &[bytes]));
        Ok(bytes.map(|bytes| bytes.len() as u64))
    }

    /// Notes that `clip` can be decoded, although it is not in the store.
    pub(in crate::clips) fn note_sound(&self, dataset: &dyn Dataset, clip: &str, part: Part) -> Result<()> {
        if let (Some(store), Some(keyed)) = (&self.store, self.keyed(dataset, clip)?)
            && keyed.source.unchanged()?
        {
            store.keep_small(Kind::Sound, &sound(keyed.key(part)), &[]);
        }
        Ok(())
    }

    /// `opened` as it would come back from the store: a clip must not have other pixels when it is decoded than when it
    /// is read from the store, also where the format changes pixels.
    pub(in crate::clips) fn as_kept(&self, mut opened: Opened) -> Result<Opened> {
        if self.format != Format::Raw {
            let Frames { width, height, images } = &mut opened.frames;
            for image in images {
                *image = self.format.through(image, *width, *height)?;
            }
        }
        Ok(opened)
    }
}

/// The frames that `choose` picks of the clip under `key` in `store`; `None` where it lacks them or they are damaged.
fn picked(store: &ClipStore, key: &Key, choose: &dyn Fn(&Timeline) -> Result<Vec<usize>>) -> Option<Opened> {
    let (table, record, file) = store.table(key)?;
    let indices = choose(&table.timeline).ok()?;
    match table.frames(&file, record.span, &indices) {
        Some(frames) => Some(Opened { timeline: table.timeline, indices, frames }),
        None => {
            store.forget(key, record);
            None
        }
    }
}

/// What the store knows about a clip.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::clips) enum Presence {
    Kept(Timeline),
    /// It was decoded without an error once, but its frames are not in the store.
    Sound,
    Unknown,
    /// It does not come from files, or the store is off.
    Elsewhere,
}

fn sound(key: &Key) -> Key {
    Sha256::new().chain_update(b"sound").chain_update(key).finalize().into()
}

/// Hash of the frames that `keep` makes of two test images, one wide and one high. So a component whose code has
/// changed gets other keys by itself, without a version number that somebody must remember to increase.
fn outcome(keep: &dyn Fn(Image) -> Result<Image>) -> Result<String> {
    let mut hash = Sha256::new();
    for (width, height) in [(353, 271), (271, 353)] {
        let value = |at: usize| (at * at / 7 + at % (3 * width) * 5 + at / (3 * width) * 11) as u8;
        let Image { width, height, pixels } =
            keep(Image { width, height, pixels: (0..width * height * 3).map(value).collect() })?;
        hash.update(json!([width, height]).to_string());
        hash.update(pixels);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
