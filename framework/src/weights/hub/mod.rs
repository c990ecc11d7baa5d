//! Weights by name: `hf:OWNER/NAME`, a repository of the Hugging Face hub. Its files are read from the cache that
//! Python's `huggingface_hub` shares, and fetched into it.
//!
//! [`find`] only looks into the cache. [`provide`] and [`fetch`] are the two places that use the network.

mod address;
mod cache;
mod client;
mod download;
mod environment;

pub use address::Address;
pub(super) use cache::sum_of;

use super::folder::{Config, choices, is_index, shards, weights_file};
use crate::error::{Error, Result};
use crate::progress::Progress;
use cache::{Cached, is_safe};
use client::{Client, Listed, Listing};
use download::{Wanted, patiently};
use environment::Environment;
use std::path::{Path, PathBuf};

/// Weights in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The file, or the folder of the repository's files.
    pub path: PathBuf,
    /// The folder of the repository's files.
    pub snapshot: PathBuf,
    /// What was asked for, at the commit that was found.
    pub pinned: Address,
    /// Configs of which it is not known whether the repository has them, because nobody has asked for them.
    pub unknown: Vec<String>,
}

impl Found {
    /// The files that hold the tensors.
    ///
    /// # Errors
    /// Where an index of several files cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let first = match self.path.is_dir() {
            true => weights_file(&self.path, &mut Vec::new())?,
            false => self.path.clone(),
        };
        if !is_index(&first) {
            return Ok(vec![first]);
        }
        Ok(shards(&first)?.into_keys().map(|name| first.with_file_name(name)).collect())
    }

    /// The address of this very content: with the commit and, where it is one file, its path.
    pub fn exactly(&self, files: &[PathBuf]) -> Address {
        match files {
            [file] => Address { file: self.within(file), ..self.pinned.clone() },
            _ => self.pinned.clone(),
        }
    }

    /// The path in the repository of a file of it.
    pub(super) fn within(&self, file: &Path) -> Option<String> {
        file.strip_prefix(&self.snapshot).ok().map(|path| path.display().to_string())
    }
}

/// The weights of `address` in the cache. Uses no network.
pub fn find(address: &Address) -> Option<Found> {
    in_cache(&Environment::now(), address)
}

fn in_cache(environment: &Environment, address: &Address) -> Option<Found> {
    let cached = Cached::new(&environment.cache, address);
    let commit = cached.commit()?;
    let snapshot = cached.snapshot(&commit);
    let path = match &address.file {
        Some(file) => Some(snapshot.join(file)).filter(|path| is_whole(path)),
        None => Some(snapshot.clone()).filter(|folder| has_weights(folder)),
    }?;
    let configs = configs(address).into_iter();
    let unknown = configs.filter(|name| !snapshot.join(name).is_file() && !cached.lacks(&commit, name)).collect();
    let pinned = Address { revision: Some(commit), ..address.clone() };
    Some(Found { path, snapshot, pinned, unknown })
}

/// The configs that lie beside the weights of `address`.
fn configs(address: &Address) -> Vec<String> {
    let folder = address.file.as_deref().and_then(|file| file.rsplit_once('/')).map(|(folder, _)| folder);
    let beside = |name: &str| folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
    Config::FILES.into_iter().map(beside).collect()
}

/// Whether `file` is there, and where it is an index, all that it names.
fn is_whole(file: &Path) -> bool {
    let all =
        |file: &Path| shards(file).is_ok_and(|shards| shards.keys().all(|name| file.with_file_name(name).is_file()));
    file.is_file() && (!is_index(file) || all(file))
}

/// Whether the folder has weights, and all files of them.
fn has_weights(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    choices(&names).first().is_some_and(|first| is_whole(&folder.join(first)))
}

/// The error for weights that are not in the cache.
pub(super) fn missing(address: &Address) -> Error {
    let environment = Environment::now();
    let message = format!("{address} is not in the cache {}", environment.cache.display());
    let offline = if environment.offline { ", without HF_HUB_OFFLINE" } else { "" };
    Error::failed(message).help(format!("`maclip weights fetch {address}` fetches it{offline}"))
}

/// Fetches the weights `source` where it is an address on the hub and they are not in the cache. Other sources stay as
/// they are.
///
/// # Errors
/// Where `source` begins like an address and is none, and where its files cannot be fetched, or may not be:
/// HF_HUB_OFFLINE.
pub fn provide(source: &str, progress: &dyn Progress) -> Result<()> {
    let Some(address) = Address::of(source)? else { return Ok(()) };
    let environment = Environment::now();
    match in_cache(&environment, &address) {
        None if environment.offline => Err(missing(&address)),
        None => fetched(&environment, &address, progress).map(drop),
        Some(found) if found.unknown.is_empty() || environment.offline => Ok(()),
        Some(found) => {
            // The weights are here, as Python fetched them: the rest may be impossible, and then is said and not an
            // error.
            if let Err(error) = add_configs(&environment, &found, progress) {
                if matches!(error, Error::Interrupted) {
                    return Err(error);
                }
                progress.note(&format!("whether {address} has {} is not known: {error}", found.unknown.join(", ")));
            }
            Ok(())
        }
    }
}

/// Fetches the weights of `address` as they are on the hub now. What the cache has already is compared with the
/// checksums there, and not fetched again.
///
/// # Errors
/// Where they cannot be fetched, or may not be: HF_HUB_OFFLINE.
pub fn fetch(address: &Address, progress: &dyn Progress) -> Result<Found> {
    fetched(&Environment::now(), address, progress)
}

fn fetched(environment: &Environment, address: &Address, progress: &dyn Progress) -> Result<Found> {
    if environment.offline {
        return Err(Error::failed(format!("HF_HUB_OFFLINE is set, so {address} is not fetched")).help("unset it"));
    }
    let work = Work::begin(environment, address)?;
    let names: Vec<String> = work.listing.siblings.iter().map(|file| file.name.clone()).collect();
    let first = match &address.file {
        Some(file) if names.contains(file) => file.clone(),
        Some(file) => {
            let given = names.iter().filter(|name| !choices(std::slice::from_ref(name)).is_empty());
            let given: Vec<&str> = given.map(String::as_str).collect();
            let help = match given.is_empty() {
                true => "it has no files of weights".to_owned(),
                false => format!("its files of weights are {}", given.join(", ")),
            };
            return Err(Error::failed(format!("{} has no file {file}", address.repository)).help(help));
        }
        None => only(address, &names)?,
    };
    work.get(&first, progress)?;
    if is_index(Path::new(&first)) {
        let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
        for shard in shards(&work.snapshot().join(&first))?.into_keys() {
            let shard = if folder.is_empty() { shard } else { format!("{folder}/{shard}") };
            work.get(&shard, progress)?;
        }
    }
    work.get_configs(&configs(address), progress)?;
    work.cached.keep_commit(&work.listing.sha)?;
    in_cache(environment, address).ok_or_else(|| missing(address))
}

/// Fetches the configs of `found` that nobody has asked for yet.
fn add_configs(environment: &Environment, found: &Found, progress: &dyn Progress) -> Result<()> {
    Work::begin(environment, &found.pinned)?.get_configs(&found.unknown, progress)
}

/// The one file of weights among `names`, the safest format first.
fn only(address: &Address, names: &[String]) -> Result<String> {
    let mut found = choices(names);
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Error::failed(format!("{} has no weights in a format that is read here", address.repository)).help(
            "it needs a file such as model.safetensors or pytorch_model.bin; `hf:OWNER/NAME/FILE` names another",
        )),
        _ => Err(Error::failed(format!("{} has several files of weights: {}", address.repository, found.join(", ")))
            .help(format!("name one of them: `hf:{}/{}`", address.repository, found[0]))),
    }
}

/// A revision whose files are fetched.
struct Work<'a> {
    client: Client,
    cached: Cached,
    address: &'a Address,
    listing: Listing,
}

impl<'a> Work<'a> {
    fn begin(environment: &Environment, address: &'a Address) -> Result<Self> {
        let (client, cached) = (Client::new(environment)?, Cached::new(&environment.cache, address));
        let listing = patiently(|| client.listing(address))?;
        Ok(Self { client, cached, address, listing })
    }

    fn snapshot(&self) -> PathBuf {
        self.cached.snapshot(&self.listing.sha)
    }

    /// Puts the file `name` into the snapshot.
    fn get(&self, name: &str, progress: &dyn Progress) -> Result<()> {
        let Self { client, cached, address, listing } = self;
        let file = listing.siblings.iter().find(|file| file.name == name).filter(|_| is_safe(name));
        let file: &Listed = file.ok_or_else(|| Error::failed(format!("{} has no file {name}", address.repository)))?;
        let path = self.snapshot().join(name);
        let wanted = Wanted { client, cached, address, commit: &listing.sha, file };
        if wanted.is_at(&path) {
            return Ok(());
        }
        let bytes = file.size().map(|bytes| format!(" ({})", size(bytes))).unwrap_or_default();
        let (repository, commit) = (&address.repository, &listing.sha);
        progress.note(&format!("{name}{bytes} of {repository}, commit {}, from {}", &commit[..12], client.place));
        let sum = wanted.fetch(progress)?;
        cached.link(commit, name, &sum)
    }

    /// Puts those of the configs `names` into the snapshot that the repository has, and keeps which it has not.
    fn get_configs(&self, names: &[String], progress: &dyn Progress) -> Result<()> {
        for name in names {
            match self.listing.siblings.iter().any(|file| file.name == *name) {
                true => self.get(name, progress)?,
                false => self.cached.keep_absent(&self.listing.sha, name)?,
            }
        }
        Ok(())
    }
}

/// Bytes in the unit that fits.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", bytes as f64 / 1e3),
        1_000_000..10_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.0} MB", bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_looked_for_beside_the_file() {
        let of = |source: &str| configs(&Address::of(source).unwrap().unwrap())[0].clone();
        assert_eq!(of("hf:a/b"), "config.json");
        assert_eq!(of("hf:a/b/model.bin"), "config.json");
        assert_eq!(of("hf:a/b/sub/model.bin"), "sub/config.json");
    }

    #[test]
    fn the_usual_file_of_weights_is_chosen_and_others_are_named() {
        let address = Address::of("hf:a/b").unwrap().unwrap();
        let only = |names: &[&str]| only(&address, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let all =
            ["pytorch_model.bin", "README.md", "open_clip_pytorch_model.bin", "model.safetensors", "flax.msgpack"];
        assert_eq!(only(&all).unwrap(), "model.safetensors");
        assert_eq!(only(&all[..3]).unwrap(), "pytorch_model.bin");
        assert_eq!(only(&["ViT-B-16.pt", "optimizer.pt"]).unwrap(), "ViT-B-16.pt");
        let several = only(&["a.pt", "b.pt"]).unwrap_err().to_string();
        assert!(several.contains("a.pt, b.pt") && several.contains("hf:a/b/a.pt"), "{several}");
        assert!(only(&["README.md"]).unwrap_err().to_string().contains("no weights"));
    }

    #[test]
    fn sizes_have_a_unit() {
        let all = [7, 4_100, 1_500_000, 598_641_023].map(size);
        assert_eq!(all, ["7 bytes", "4 kB", "1.5 MB", "599 MB"]);
    }
}
