//! Folders that are there whole or not at all.

use super::RunStore;
use crate::error::{Error, Result};
use crate::files::rename;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;

impl RunStore {
    /// Replaces the folder `name` of the run directory by one with these files, or removes it where there are no files.
    pub(crate) fn replace_folder(&self, name: &str, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
        let (target, temporary) = (self.path().join(name), self.path().join(format!("{name}.tmp")));
        let replaced = remove_if_there(&target).and_then(|()| match files.is_empty() {
            true => Ok(()),
            false => write_folder(&temporary, &target, files),
        });
        replaced.map_err(|error| {
            // An unfinished folder is of no use.
            let _ = std::fs::remove_dir_all(&temporary);
            Error::io("write", &target, error).help("make room or give access there; the same command then goes on")
        })
    }
}

/// Writes `parts` as files of `temporary`, synced, and renames the folder to `target`.
pub(super) fn write_folder(temporary: &Path, target: &Path, parts: &BTreeMap<String, Vec<u8>>) -> std::io::Result<()> {
    remove_if_there(temporary)?;
    std::fs::create_dir_all(temporary)?;
    for (name, bytes) in parts {
        let mut file = File::create(temporary.join(name))?;
        file.write_all(bytes)?;
        file.sync_all()?;
    }
    File::open(temporary)?.sync_all()?;
    rename(temporary, target)?;
    target.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

pub(super) fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_replaced_whole_and_removed_without_files() {
        let directory = tempfile::tempdir().unwrap();
        let store = RunStore::open(directory.path()).unwrap();
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(directory.path().join("pictures")).into_iter().flatten();
            let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let files = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), vec![1])).collect();
        store.replace_folder("pictures", &files(&["a", "b"])).unwrap();
        assert_eq!(names(), ["a", "b"]);
        store.replace_folder("pictures", &files(&["c"])).unwrap();
        assert_eq!(names(), ["c"]);
        store.replace_folder("pictures", &files(&[])).unwrap();
        assert!(!directory.path().join("pictures").exists());
        std::fs::write(directory.path().join("pictures"), "a file").unwrap();
        let message = store.replace_folder("pictures", &files(&["a"])).unwrap_err().to_string();
        assert!(message.contains("cannot write") && message.contains("make room"), "{message}");
    }
}
