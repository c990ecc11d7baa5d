//! How the folder is written: as a whole beside an earlier export, which it then replaces file by file.

use super::{CARD_FILE, CHECK_FILE, PEFT_FILES, PEFT_FOLDER, PYTHON};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{sha256, write_atomically, write_json};
use maclip_framework::runs::model_folder::ModelFolder;
use maclip_framework::weights::{self, ElementType, HostTensor};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The folder in the folder that has the files as long as they are not all there.
const UNFINISHED: &str = ".unfinished";

/// Files that an export may write, the config last: a folder without it is no whole export.
fn own_files() -> Vec<String> {
    let peft = PEFT_FILES.iter().map(|name| format!("{PEFT_FOLDER}/{name}"));
    let python = PYTHON.iter().map(|(name, _)| (*name).to_owned());
    let others = [ModelFolder::TENSORS, ModelFolder::BACKBONE, ModelFolder::RECIPE, CHECK_FILE, CARD_FILE];
    let others = others.map(str::to_owned).into_iter();
    others.chain(python).chain(peft).chain([ModelFolder::CONFIG.to_owned()]).collect()
}

/// Names of the files and folders in `folder`; none where it is not there.
fn names(folder: &Path) -> Result<Vec<String>> {
    let unreadable = |error| Error::io("read", folder, error).help("give another folder with `--to FOLDER`");
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(|entry| name(entry).map_err(unreadable)).collect()
}

/// An error where something is in the folder that must not be replaced.
///
/// # Errors
/// Then, and where the folder cannot be read.
pub fn check(folder: &Path, force: bool) -> Result<()> {
    let there = names(folder)?;
    let begun = there.iter().any(|name| name == UNFINISHED);
    let whole: Vec<&String> = there.iter().filter(|name| *name != UNFINISHED).collect();
    if whole.is_empty() {
        return Ok(());
    }
    if !force {
        return Err(Error::failed(format!("{} is there and not empty", folder.display()))
            .help("give another folder, or replace an earlier export in it with `--force`"));
    }
    // Nothing but an export is replaced: one that is whole, or one that was stopped while it replaced another.
    let Err(error) = ModelFolder::open(folder) else { return Ok(()) };
    let own = own_files();
    let is_own = |name: &&String| own.contains(name) || *name == PEFT_FOLDER;
    match begun && whole.iter().all(is_own) {
        true => Ok(()),
        false => Err(Error::failed(format!(
            "{} is no folder of `maclip export`, so it is not replaced: {}",
            folder.display(),
            error.reason()
        ))
        .help("remove the folder yourself if nothing in it is needed, or give another one with `--to FOLDER`")),
    }
}

/// Writes the files of the folder.
pub struct Writer {
    folder: PathBuf,
    unfinished: PathBuf,
    written: Vec<String>,
}

impl Writer {
    /// Begins an export to `folder`, which stays as it is until [`Writer::finish`].
    ///
    /// # Errors
    /// Where folders cannot be made.
    pub fn begin(folder: &Path) -> Result<Self> {
        let unfinished = folder.join(UNFINISHED);
        // What a killed export left.
        if unfinished.exists() {
            std::fs::remove_dir_all(&unfinished).map_err(|error| Error::io("remove", &unfinished, error))?;
        }
        std::fs::create_dir_all(unfinished.join(PEFT_FOLDER)).map_err(|error| {
            Error::io("make the folder", &unfinished, error).help("give another one with `--to FOLDER`")
        })?;
        Ok(Self { folder: folder.to_owned(), unfinished, written: Vec::new() })
    }

    /// Puts the files into their places, in the place of those of an earlier export. Returns their names in the order
    /// in which they were written.
    ///
    /// # Errors
    /// Where a file cannot be moved. The same export with `--force` then makes the folder whole.
    pub fn finish(self) -> Result<Vec<String>> {
        let (old, new) = (&self.folder, &self.unfinished);
        let make = |folder: &Path| {
            std::fs::create_dir_all(folder).map_err(|error| Error::io("make the folder", folder, error))
        };
        for name in own_files() {
            let (from, to) = (new.join(&name), old.join(&name));
            if self.written.contains(&name) {
                to.parent().map_or(Ok(()), make)?;
                std::fs::rename(&from, &to).map_err(|error| Error::io("replace", &to, error))?;
            } else if to.exists() {
                std::fs::remove_file(&to).map_err(|error| Error::io("remove", &to, error))?;
            }
        }
        // Where something else lies in it, it stays.
        let _ = std::fs::remove_dir(old.join(PEFT_FOLDER));
        Ok(self.written.clone())
    }

    /// Writes the bytes of the file `name`.
    ///
    /// # Errors
    /// Where that cannot be done.
    pub fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        write_atomically(&self.unfinished.join(name), bytes)?;
        self.written.push(name.to_owned());
        Ok(())
    }

    /// Writes the text of the file `name`.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn text(&mut self, name: &str, text: &str) -> Result<()> {
        self.bytes(name, text.as_bytes())
    }

    /// Writes a file of JSON.
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn json(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        write_json(&self.unfinished.join(name), value)?;
        self.written.push(name.to_owned());
        Ok(())
    }

    /// Writes tensors in f16 where that loses nothing, else in f32. Returns the file's SHA-256 (hex).
    ///
    /// # Errors
    /// As [`Writer::bytes`].
    pub fn tensors(
        &mut self,
        name: &str,
        tensors: &BTreeMap<String, HostTensor>,
        about: &BTreeMap<String, String>,
    ) -> Result<String> {
        let short = weights::serialize(tensors, about, ElementType::F16);
        let same = |bytes: &Vec<u8>| weights::parse(name, bytes).is_ok_and(|(back, _)| back == *tensors);
        let bytes = match short.ok().filter(same) {
            Some(bytes) => bytes,
            None => weights::serialize(tensors, about, ElementType::F32)?,
        };
        self.bytes(name, &bytes)?;
        Ok(sha256(&bytes))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Of a failed export nothing stays; a folder that was there and has other files is not removed.
        let _ = std::fs::remove_dir_all(&self.unfinished);
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, files: &[&str]) -> Writer {
        let mut writer = Writer::begin(folder).unwrap();
        files.iter().for_each(|name| writer.text(name, "new").unwrap());
        writer
    }

    fn put(folder: &Path, name: &str) {
        let file = folder.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, "old").unwrap();
    }

    #[test]
    fn an_earlier_export_stays_until_the_new_one_is_whole() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        let old = ["config.json", "model.safetensors", "peft/adapter_config.json", "notes.txt"];
        old.iter().for_each(|name| put(&folder, name));
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        // It fails half way.
        drop(write(&folder, &["model.safetensors", "README.md"]));
        assert!(old.iter().all(|name| text(name) == "old") && !folder.join("README.md").exists());
        assert!(!folder.join(UNFINISHED).exists());
        // It is killed half way, and made again.
        std::mem::forget(write(&folder, &["model.safetensors"]));
        assert_eq!(text("model.safetensors"), "old");
        let written = write(&folder, &["model.safetensors", "README.md", "config.json"]).finish().unwrap();
        assert_eq!(written, ["model.safetensors", "README.md", "config.json"]);
        assert!(written.iter().all(|name| text(name) == "new") && text("notes.txt") == "old");
        assert!(!folder.join("peft").exists() && !folder.join(UNFINISHED).exists());
        // Of one that fails in a folder of its own nothing stays.
        let fresh = place.path().join("fresh");
        drop(write(&fresh, &["model.safetensors"]));
        assert!(!fresh.exists());
    }

    #[test]
    fn nothing_but_an_export_is_replaced() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("model");
        check(&folder, false).unwrap();
        std::fs::create_dir_all(folder.join(UNFINISHED)).unwrap();
        check(&folder, false).unwrap();
        // A killed export that had begun to move its files.
        put(&folder, "model.safetensors");
        put(&folder, "peft/adapter_config.json");
        assert!(check(&folder, false).unwrap_err().to_string().contains("not empty"));
        check(&folder, true).unwrap();
        // A model of another program has some of the same names.
        std::fs::remove_dir(folder.join(UNFINISHED)).unwrap();
        std::fs::write(folder.join("config.json"), r#"{"model_type": "clip"}"#).unwrap();
        let error = check(&folder, true).unwrap_err();
        assert!(error.to_string().contains("no folder of `maclip export`"), "{error}");
        let Error::Failed { help, .. } = error else { panic!() };
        assert!(help.unwrap().contains("remove the folder"));
    }
}
