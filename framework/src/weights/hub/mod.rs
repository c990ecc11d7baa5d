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
use address::is_path;
pub(super) use cache::intact;

use super::folder::{Config, USUAL, choices, is_index, shards, weights_file};
use crate::error::{Error, Result};
use crate::progress::Progress;
use cache::Cached;
use client::{Client, Listed, Listing, PATIENCE};
use download::{Wanted, patiently};
use environment::Environment;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the hub may take for a question that is not necessary.
const SHORT: Duration = Duration::from_secs(5);

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
    /// Usual names of weights that would be read in place of these, and of which the same is not known. There are none
    /// where the hub has been asked, so that an address means the same file everywhere.
    pub better: Vec<String>,
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
    let unasked = |name: &String| !snapshot.join(name).is_file() && !cached.lacks(&commit, name);
    let unknown = configs(address).into_iter().filter(&unasked).collect();
    let better = match address.file {
        Some(_) => Vec::new(),
        None => {
            let before = USUAL.iter().take_while(|name| !is_whole(&snapshot.join(name)));
            before.map(|name| (*name).to_owned()).filter(&unasked).collect()
        }
    };
    let pinned = Address { revision: Some(commit), ..address.clone() };
    Some(Found { path, snapshot, pinned, unknown, better })
}

/// Whether `source` is known to be another commit now than that of `pinned`. Uses no network.
///
/// # Errors
/// Where one of them is no address.
pub fn moved(source: &str, pinned: &str) -> Result<bool> {
    let environment = Environment::now();
    let commit = |text: &str| -> Result<Option<String>> {
        Ok(Address::of(text)?.and_then(|address| Cached::new(&environment.cache, &address).commit()))
    };
    let (now, then) = (commit(source)?, commit(pinned)?);
    Ok(now.is_some() && now != then)
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
    matches!(&choices(&names)[..], [one] if is_whole(&folder.join(one)))
}

/// The error for weights that are not in the cache.
pub(super) fn missing(address: &Address) -> Error {
    let environment = Environment::now();
    let message = format!("{address} is not in the cache {}", environment.cache.display());
    let offline = environment.offline.map(|variable| format!(", without {variable}")).unwrap_or_default();
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
        None if environment.offline.is_some() => Err(missing(&address)),
        None => fetched(&environment, &address, progress).map(drop),
        Some(found) if environment.offline.is_some() || found.unknown.len() + found.better.len() == 0 => Ok(()),
        Some(found) => {
            // The weights are here, as Python fetched them. Where the hub cannot be asked for the rest, reading them
            // says what is not known.
            match Work::begin(&environment, &found.pinned, Ask::Once) {
                Ok(work) => {
                    match work.all(progress) {
                        // A cache of others may be where nothing can be written.
                        Err(error @ Error::Failed { .. }) => Err(error
                            .help(format!("HF_HUB_OFFLINE=1 reads {address} as the cache has it, without the hub"))),
                        other => other,
                    }
                }
                Err(Error::Interrupted) => Err(Error::Interrupted),
                Err(error) => {
                    progress.note(&format!("{address} is read as the cache has it: {}", error.reason()));
                    Ok(())
                }
            }
        }
    }
}

/// Fetches the weights of `address` as they are on the hub now. What the cache has already is compared with the
/// checksums there, and not fetched again.
///
/// # Errors
/// Where they cannot be fetched; where they may not be, HF_HUB_OFFLINE, and the cache does not have them.
pub fn fetch(address: &Address, progress: &dyn Progress) -> Result<Found> {
    fetched(&Environment::now(), address, progress)
}

fn fetched(environment: &Environment, address: &Address, progress: &dyn Progress) -> Result<Found> {
    if environment.offline.is_some() {
        return in_cache(environment, address).ok_or_else(|| missing(address));
    }
    let work = Work::begin(environment, address, Ask::Patiently)?;
    work.all(progress)?;
    work.cached.keep_commit(&work.listing.sha)?;
    in_cache(environment, address).ok_or_else(|| missing(address))
}

/// The one file of weights among the `names` of a repository's files: of those that lie in no folder, the usual one.
fn only(address: &Address, names: &[String]) -> Result<String> {
    let (within, top): (Vec<String>, Vec<String>) = names.iter().cloned().partition(|name| name.contains('/'));
    let mut found = choices(&top);
    let of = |file: &str| Address { file: Some(file.to_owned()), ..address.clone() };
    match &found[..] {
        [_] => Ok(found.remove(0)),
        [] => {
            let named = weights_among(&within);
            let help = match named.first() {
                Some(first) => format!("name one in its folders, such as `{}`", of(first)),
                None => {
                    "it needs a file such as model.safetensors or pytorch_model.bin; `hf:OWNER/NAME/FILE` names another"
                        .to_owned()
                }
            };
            let message = format!("{} has no weights in a format that is read here", address.repository);
            Err(Error::failed(message).help(help))
        }
        [first, ..] => {
            let message = format!("{} has several files of weights: {}", address.repository, found.join(", "));
            Err(Error::failed(message).help(format!("name one of them: `{}`", of(first))))
        }
    }
}

/// Those of the `names` of files that may hold weights.
fn weights_among(names: &[String]) -> Vec<&str> {
    let holds = |path: &&String| {
        let name = path.rsplit_once('/').map_or(path.as_str(), |(_, name)| name);
        !choices(&[name.to_owned()]).is_empty()
    };
    names.iter().filter(holds).map(String::as_str).collect()
}

/// How the hub is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// Again where it does not answer.
    Patiently,
    /// Once, and not for long: for what can be left out.
    Once,
}

/// A revision whose files are fetched.
struct Work<'a> {
    client: Client,
    cached: Cached,
    address: &'a Address,
    listing: Listing,
}

impl<'a> Work<'a> {
    fn begin(environment: &Environment, address: &'a Address, ask: Ask) -> Result<Self> {
        let (client, cached) = (Client::new(environment, PATIENCE)?, Cached::new(&environment.cache, address));
        let listing = match ask {
            Ask::Patiently => patiently(|| client.listing(address))?,
            Ask::Once => Client::new(environment, SHORT)?.listing(address).map_err(|failure| failure.error)?,
        };
        Ok(Self { client, cached, address, listing })
    }

    /// Puts the weights and their configs into the snapshot.
    fn all(&self, progress: &dyn Progress) -> Result<()> {
        let Self { address, listing, .. } = self;
        let names: Vec<String> = listing.siblings.iter().map(|file| file.name.clone()).collect();
        let first = match &address.file {
            Some(file) if names.contains(file) => file.clone(),
            Some(file) => {
                let given = weights_among(&names);
                let help = match given.is_empty() {
                    true => "it has no files of weights".to_owned(),
                    false => format!("its files of weights are {}", given.join(", ")),
                };
                return Err(Error::failed(format!("{} has no file {file}", address.repository)).help(help));
            }
            None => {
                let first = only(address, &names)?;
                for name in USUAL.iter().take_while(|name| **name != first) {
                    self.cached.keep_absent(&listing.sha, name)?;
                }
                first
            }
        };
        self.get(&first, progress)?;
        if is_index(Path::new(&first)) {
            let folder = first.rsplit_once('/').map_or("", |(folder, _)| folder);
            for shard in shards(&self.snapshot().join(&first))?.into_keys() {
                let shard = if folder.is_empty() { shard } else { format!("{folder}/{shard}") };
                self.get(&shard, progress)?;
            }
        }
        for name in configs(address) {
            match names.contains(&name) {
                true => self.get(&name, progress)?,
                false => self.cached.keep_absent(&listing.sha, &name)?,
            }
        }
        Ok(())
    }

    fn snapshot(&self) -> PathBuf {
        self.cached.snapshot(&self.listing.sha)
    }

    /// Puts the file `name` into the snapshot.
    fn get(&self, name: &str, progress: &dyn Progress) -> Result<()> {
        let Self { client, cached, address, listing } = self;
        // A name that a server or an index gave must not lead out of the cache.
        let file = listing.siblings.iter().find(|file| file.name == name).filter(|_| is_path(name));
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
        // What lies in a folder is another model, or something beside it.
        assert_eq!(only(&["a.pt", "sub/model.safetensors"]).unwrap(), "a.pt");
        let within = only(&["README.md", "sub/optimizer.bin", "sub/model.pt"]).unwrap_err().to_string();
        assert!(within.contains("hf:a/b/sub/model.pt"), "{within}");
    }

    #[test]
    fn sizes_have_a_unit() {
        let all = [7, 4_100, 1_500_000, 598_641_023].map(size);
        assert_eq!(all, ["7 bytes", "4 kB", "1.5 MB", "599 MB"]);
    }
}
