//! Where recipes are read from: the disk, or a collection in the program.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::Node;
use crate::read::{read_file, read_str};
use std::fmt::Debug;
use std::path::{Component, Path, PathBuf};

/// A place that recipes are read from, with the recipes that they extend.
pub trait Files: Debug {
    /// The tree of the file at `path`.
    ///
    /// # Errors
    /// Where there is no such file, it cannot be read, or it is not valid YAML.
    fn read(&self, path: &Path) -> Result<Node, Diagnostics>;

    /// One name for all paths that lead to the same file.
    fn identity(&self, path: &Path) -> PathBuf;

    /// The path on the disk; `None` where there is none.
    fn on_disk(&self, path: &Path) -> Option<PathBuf>;
}

/// The files of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> Result<Node, Diagnostics> {
        read_file(path)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        path.canonicalize().unwrap_or_else(|_| path.to_owned())
    }

    fn on_disk(&self, path: &Path) -> Option<PathBuf> {
        Some(path.to_owned())
    }
}

/// Files that are in the program.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// What stands before a path in messages, such as `shipped:`.
    pub prefix: &'static str,
    /// The text of the file at a path with `/` between its parts, such as `parts/method.yaml`.
    pub text: fn(&str) -> Option<&'static str>,
}

impl Files for Embedded {
    fn read(&self, path: &Path) -> Result<Node, Diagnostics> {
        let path = self.identity(path).display().to_string();
        let name = format!("{}{path}", self.prefix);
        match (self.text)(&path) {
            Some(text) => read_str(&name, text),
            None => {
                let message = format!("cannot read {name}: the program has no such recipe");
                Err(Diagnostic::new(codes::UNREADABLE, message).into())
            }
        }
    }

    fn identity(&self, path: &Path) -> PathBuf {
        let mut parts: Vec<String> = Vec::new();
        for part in path.components() {
            match part {
                Component::ParentDir if parts.pop().is_none() => return path.to_owned(),
                Component::Normal(part) => parts.push(part.to_string_lossy().into_owned()),
                _ => {}
            }
        }
        PathBuf::from(parts.join("/"))
    }

    fn on_disk(&self, _: &Path) -> Option<PathBuf> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arguments, load_from};

    const FILES: Embedded = Embedded { prefix: "shipped:", text };

    fn text(path: &str) -> Option<&'static str> {
        let texts = [
            ("a/study.yaml", "extends: [../parts/one.yaml, two.yaml]\nname: study\n"),
            ("parts/one.yaml", "x: 1\ny: 1\n"),
            ("a/two.yaml", "y: 2\n"),
            ("lost.yaml", "name: lost\nextends: parts/three.yaml\n"),
            ("above.yaml", "extends: ../parts/one.yaml\n"),
            ("circle.yaml", "extends: a/../circle.yaml\n"),
        ];
        texts.into_iter().find(|(name, _)| *name == path).map(|(_, text)| text)
    }

    fn load(path: &str) -> Result<crate::Document, Diagnostic> {
        let document = load_from(&FILES, Path::new(path), &Arguments::default());
        document.map_err(|problems| problems.into_vec().remove(0))
    }

    #[test]
    fn files_in_the_program_extend_one_another() {
        let document = load("a/study.yaml").unwrap();
        assert_eq!(document.root.to_json(), serde_json::json!({"x": 1, "y": 2, "name": "study"}));
        assert!(document.path.is_none() && document.folder().is_none());
        let origin = document.root.at("x").unwrap().origin.to_string();
        assert_eq!(origin, "shipped:parts/one.yaml:1:4");
        let lost = load("lost.yaml").unwrap_err();
        assert_eq!(
            (lost.code, lost.origin.unwrap().to_string().as_str()),
            (codes::UNREADABLE, "shipped:lost.yaml:2:10")
        );
        assert!(lost.message.contains("shipped:parts/three.yaml"), "{}", lost.message);
        assert_eq!(load("above.yaml").unwrap_err().code, codes::UNREADABLE);
        assert_eq!(load("circle.yaml").unwrap_err().code, codes::EXTENDS);
    }
}
