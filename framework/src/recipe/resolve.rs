//! From a file on disk to one tree: what it extends, the file, then the command line.

use super::codes;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::merge::{apply_all, apply_variant, merge};
use super::node::{Node, Value};
use super::origin::Origin;
use super::read::{read_file, read_str};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A chain of `extends` longer than this is a mistake.
const MAX_CHAIN: usize = 32;

/// A recipe with everything merged, but `${…}` still in it, so that a study can apply its variants first.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The tree.
    pub root: Node,
    /// The file it was loaded from, if it was.
    pub path: Option<PathBuf>,
}

/// Reads a recipe with what it extends, and applies `--set` arguments.
pub fn load(path: &Path, sets: &[String]) -> Result<Document, Diagnostics> {
    let mut loader = Loader::default();
    let mut root = loader.file(path)?;
    apply_sets(&mut root, sets)?;
    Ok(Document { root, path: Some(path.to_owned()) })
}

impl Document {
    /// As [`load`], for a text in memory, which can extend nothing; messages call it `name`.
    pub fn from_text(name: &str, text: &str, sets: &[String]) -> Result<Self, Diagnostics> {
        let mut root = as_recipe(read_str(name, text)?)?;
        if let Some(entry) = root.as_map().and_then(|map| map.entry("extends")) {
            let message = "`extends` needs a file to be relative to, and this text has none";
            return Err(Diagnostic::new(codes::EXTENDS, message).at(&entry.key_origin).path("extends").into());
        }
        apply_sets(&mut root, sets)?;
        Ok(Document { root, path: None })
    }

    /// The tree with every `${…}` replaced.
    pub fn interpolated(&self) -> Result<Node, Diagnostics> {
        super::interpolate(&self.root)
    }

    /// The directory that relative paths in the recipe start from.
    pub fn base_dir(&self) -> &Path {
        let parent = self.path.as_deref().and_then(Path::parent);
        parent.filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }
}

/// Applies `--set` arguments, `path.to.key=value` with the value in YAML; their order matters only for the same path.
pub fn apply_sets(root: &mut Node, sets: &[String]) -> Result<(), Diagnostics> {
    let mut changes = Vec::new();
    let mut problems = Vec::new();
    for argument in sets {
        match parse_set(argument) {
            Ok((path, origin, value)) => changes.push((path, origin, value)),
            Err(diagnostic) => problems.push(diagnostic),
        }
    }
    Diagnostics::check(problems)?;
    apply_all(root, changes)
}

fn parse_set(argument: &str) -> Result<(String, Origin, Node), Diagnostic> {
    let whole = Origin::set(argument);
    let problem = |message: &str| {
        Diagnostic::new(codes::SET_ARGUMENT, message)
            .at(&whole)
            .help("write `--set path.to.key=value`, for example `--set train.seed=3`")
    };
    let (path, text) = argument.split_once('=').ok_or_else(|| problem("this `--set` argument has no `=`"))?;
    let path = path.trim();
    if path.split('.').any(|key| key.trim().is_empty()) {
        return Err(problem("this `--set` argument has an empty key"));
    }
    if path == "extends" || path.starts_with("extends.") {
        return Err(problem("`extends` cannot be set from the command line"));
    }
    let part = |start: usize, length: usize| match &whole {
        Origin::Set { argument, .. } => Origin::Set { argument: argument.clone(), span: start..start + length },
        other => other.clone(),
    };
    let key_length = argument.chars().take_while(|c| *c != '=').count();
    let value_origin = part(key_length + 1, text.chars().count());
    let value = read_str("the value", text).map_err(|diagnostics| {
        let message = diagnostics.into_vec().pop().map(|diagnostic| diagnostic.message).unwrap_or_default();
        Diagnostic::new(codes::SET_ARGUMENT, message)
            .at(&value_origin)
            .path(path)
            .help("quote a value with special characters: `--set 'key=\"a: b\"'`")
    })?;
    Ok((path.to_owned(), part(0, key_length), value.with_origin(&value_origin)))
}

/// An empty file is an empty recipe; any other must be a map.
fn as_recipe(node: Node) -> Result<Node, Diagnostic> {
    match &node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Ok(Node::map(node.origin)),
        _ => Err(Diagnostic::new(codes::STRUCTURE, format!("a recipe is a map, and this is {}", node.describe()))
            .at(&node.origin)
            .help("write `key: value` lines")),
    }
}

/// Reads files, each once however often it is extended.
#[derive(Default)]
struct Loader {
    chain: Vec<(PathBuf, PathBuf)>,
    done: HashMap<PathBuf, Node>,
}

impl Loader {
    fn file(&mut self, path: &Path) -> Result<Node, Diagnostics> {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Some(node) = self.done.get(&identity) {
            return Ok(node.clone());
        }
        if let Some(start) = self.chain.iter().position(|(known, _)| *known == identity) {
            let names = self.chain[start..].iter().map(|(_, name)| name.as_path()).chain([path]);
            let chain: Vec<_> = names.map(|name| name.display().to_string()).collect();
            return Err(Diagnostic::new(codes::EXTENDS, format!("`extends` goes in a circle: {}", chain.join(" → ")))
                .help("remove one of these `extends`")
                .into());
        }
        if self.chain.len() >= MAX_CHAIN {
            let message = format!("more than {MAX_CHAIN} files extend one another");
            return Err(Diagnostic::new(codes::EXTENDS, message).into());
        }
        self.chain.push((identity.clone(), path.to_owned()));
        let mut own = as_recipe(read_file(path)?)?;
        let has_study = own.as_map().is_some_and(|map| map.contains_key("study"));
        let extends = own.as_map_mut().and_then(|map| map.remove("extends"));
        let parent = self.extended(extends, path)?;
        let shared = parent.clone();
        let mut node = match parent {
            Some(mut node) => {
                // A study is a whole: variants of two files under one name would be neither's.
                if let Some(map) = node.as_map_mut().filter(|_| has_study) {
                    map.remove("study");
                }
                merge(&mut node, own);
                node
            }
            None => own,
        };
        if has_study {
            // What a variant's recipe shares with the study's is not a change.
            let shared = shared.unwrap_or_else(|| node.clone());
            self.variants(&mut node, &shared, path)?;
        }
        self.chain.pop();
        self.done.insert(identity, node.clone());
        Ok(node)
    }

    /// The files that an `extends` of the file at `path` names, laid over one another.
    fn extended(&mut self, extends: Option<Node>, path: &Path) -> Result<Option<Node>, Diagnostics> {
        let mut node: Option<Node> = None;
        for (parent, origin) in parents(extends)? {
            let parent = path.parent().unwrap_or(Path::new("")).join(parent);
            let parent = self.file(&parent).map_err(|problems| located(problems, &origin))?;
            match &mut node {
                None => node = Some(parent),
                Some(node) => merge(node, parent),
            }
        }
        Ok(node)
    }

    /// A variant may extend recipes too: it is what they say differently from `shared`, what the study itself extends, but for
    /// what names them, with its own changes on top. So what the study or `--set` says holds in such variants too.
    fn variants(&mut self, root: &mut Node, shared: &Node, path: &Path) -> Result<(), Diagnostics> {
        let study = root.as_map_mut().and_then(|map| map.get_mut("study")).and_then(Node::as_map_mut);
        let Some(variants) = study.and_then(|study| study.get_mut("variants")).and_then(Node::as_map_mut) else {
            return Ok(());
        };
        for variant in variants.iter_mut().map(|entry| &mut entry.value) {
            let extends = variant.as_map_mut().and_then(|map| map.remove("extends"));
            if let Some(mut tree) = self.extended(extends, path)? {
                if let Some(map) = tree.as_map_mut() {
                    for key in ["name", "description", "seed", "study"] {
                        map.remove(key);
                    }
                }
                drop_equal(&mut tree, shared);
                apply_variant(&mut tree, variant)?;
                *variant = tree;
            }
        }
        Ok(())
    }
}

/// Drops from the map `node` what `base` says too. A component of another `type` stays whole.
fn drop_equal(node: &mut Node, base: &Node) {
    let (Some(map), Some(base)) = (node.as_map_mut(), base.as_map()) else { return };
    if map.get("type") != base.get("type") {
        return;
    }
    let keys: Vec<String> = map.iter().map(|entry| entry.key.clone()).collect();
    for key in keys {
        if let (Some(value), Some(base)) = (map.get_mut(&key), base.get(&key)) {
            if value == base {
                map.remove(&key);
            } else {
                drop_equal(value, base);
            }
        }
    }
}

/// A problem that has no place yet, such as a missing file, is at the `extends` entry that led to it.
fn located(problems: Diagnostics, origin: &Origin) -> Diagnostics {
    let locate = |problem: Diagnostic| match problem.origin {
        None => problem.at(origin).path("extends"),
        Some(_) => problem,
    };
    let list = problems.into_iter().map(locate).collect();
    Diagnostics::from_list(list).expect("there were problems to begin with")
}

fn parents(extends: Option<Node>) -> Result<Vec<(String, Origin)>, Diagnostic> {
    let Some(extends) = extends else { return Ok(Vec::new()) };
    let list = match extends.value {
        Value::List(list) => list,
        _ => vec![extends],
    };
    let parent = |node: Node| match node.value {
        Value::String(path) if !path.is_empty() => Ok((path, node.origin)),
        _ => Err(Diagnostic::new(codes::EXTENDS, format!("expected the path of a recipe, found {}", node.describe()))
            .at(&node.origin)
            .path("extends")
            .help("`extends` takes a path relative to this file, or a list of them")),
    };
    list.into_iter().map(parent).collect()
}
