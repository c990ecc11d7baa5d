//! From a file to one tree: the recipes that it extends, then the file itself, then the changes of the command
//! line.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::files::{Disk, Files};
use crate::merge::{Change, apply_all, apply_variant, merge};
use crate::node::{Node, Value, item, segments, within};
use crate::origin::Origin;
use crate::read::read_str;
use crate::suggest::name_help;
use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

/// A chain of `extends` longer than this is a mistake.
const MAX_CHAIN: usize = 32;

/// A recipe with everything merged, but `${…}` still in it, so that a study can apply its variants first.
#[derive(Clone, Debug)]
pub struct Document {
    /// A map: the recipe.
    pub root: Node,
    /// The recipe as it is without the changes of the command line.
    pub unchanged: Node,
    /// The file that it was loaded from; `None` for one that is not on the disk.
    pub path: Option<PathBuf>,
    /// Notes of the merge, such as dropped options.
    pub notes: Vec<Diagnostic>,
    /// The changes of the command line, which `root` already has.
    pub changes: Vec<Change>,
}

/// What a command line changes in a recipe.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Arguments of `--set`: `path.to.key=value` with the value in YAML.
    pub sets: Vec<String>,
    /// Arguments of `--unset`: paths.
    pub unsets: Vec<String>,
    /// Changes that come from other options of the command line.
    pub others: Vec<Change>,
}

/// Reads the recipe at `path`, merges it over the recipes that it extends, and applies `arguments`.
///
/// # Errors
/// Where a file cannot be read, is not valid YAML, or is not a map; where an `extends` is malformed or leads back to
/// its own file; and every argument that is malformed or cannot be applied.
pub fn load(path: &Path, arguments: &Arguments) -> Result<Document, Diagnostics> {
    load_from(&Disk, path, arguments)
}

/// As [`load`], of a recipe in `files`, which extends recipes there.
///
/// # Errors
/// As [`load`].
pub fn load_from(files: &dyn Files, path: &Path, arguments: &Arguments) -> Result<Document, Diagnostics> {
    let mut loader = Loader { files, chain: Vec::new(), done: HashMap::new(), notes: Vec::new() };
    let root = loader.file(path)?;
    Document::new(root, files.on_disk(path), loader.notes).changed(arguments)
}

/// As [`load`], for a text in memory, which cannot extend a file. Messages call it `name`.
///
/// # Errors
/// As [`load`], and where the text has an `extends`.
pub fn load_text(name: &str, text: &str, arguments: &Arguments) -> Result<Document, Diagnostics> {
    let root = as_recipe(read_str(name, text)?)?;
    if let Some(entry) = root.as_map().and_then(|map| map.entry("extends")) {
        let message = "`extends` needs a file to be relative to, and this text has none";
        return Err(Diagnostic::new(codes::EXTENDS, message).at(&entry.key_origin).path("extends").into());
    }
    Document::new(root, None, Vec::new()).changed(arguments)
}

impl Document {
    fn new(root: Node, path: Option<PathBuf>, notes: Vec<Diagnostic>) -> Self {
        Self { unchanged: root.clone(), root, path, notes, changes: Vec::new() }
    }

    /// The folder that `recipe:` means in values that were not written in a file; `None` where there is none on the
    /// disk.
    pub fn folder(&self) -> Option<&Path> {
        let parent = self.path.as_deref()?.parent()?;
        Some(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
    }

    /// Applies the arguments. Their order matters only where two have the same path.
    fn changed(mut self, arguments: &Arguments) -> Result<Self, Diagnostics> {
        let mut problems = Vec::new();
        let unsets = arguments.unsets.iter().map(|argument| parse_unset(argument));
        let sets = arguments.sets.iter().map(|argument| parse_set(argument));
        for change in unsets.chain(sets) {
            match change.and_then(|change| self.existing_variant(&change).map(|()| change)) {
                Ok(change) => self.changes.push(change),
                Err(diagnostic) => problems.push(diagnostic),
            }
        }
        Diagnostics::check(problems)?;
        self.changes.extend(arguments.others.iter().cloned());
        apply_all(&mut self.root, self.changes.clone(), &mut self.notes)?;
        Ok(self)
    }

    /// Without this check, a change inside a variant with a misspelt name would make a new variant.
    fn existing_variant(&self, change: &Change) -> Result<(), Diagnostic> {
        let Some(rest) = change.path.strip_prefix("study.variants.").filter(|rest| rest.contains('.')) else {
            return Ok(());
        };
        let variants = self.root.at("study.variants").and_then(Node::as_map);
        let names: Vec<&str> = variants.into_iter().flat_map(crate::node::Map::keys).collect();
        let inside = |name: &&str| within(rest, name);
        let made = |known: &Change| known.path.strip_prefix("study.variants.").is_some_and(|name| inside(&name));
        if names.iter().any(inside) || self.changes.iter().any(made) {
            return Ok(());
        }
        let name = rest.split('.').next().unwrap_or_default();
        let message = format!("the study has no variant `{name}` to change");
        let problem = Diagnostic::new(codes::NO_EFFECT, message).at(&change.origin).path(&change.path);
        Err(problem
            .helps(name_help(name, names))
            .help(format!("a new variant is given as a whole: `--set 'study.variants.{name}={{…}}'`")))
    }
}

fn parse_unset(argument: &str) -> Result<Change, Diagnostic> {
    let origin = Origin::argument("--unset", argument);
    let problem = |message: &str| {
        Diagnostic::new(codes::ARGUMENT, message).at(&origin).path(argument).help("write `--unset path.to.key`")
    };
    if argument.contains('=') {
        return Err(problem("`--unset` takes a path and no value"));
    }
    if segments(argument).next().is_none() || segments(argument).any(|key| key.trim().is_empty()) {
        return Err(problem("this `--unset` argument has an empty key"));
    }
    Ok(Change { path: argument.trim().to_owned(), origin: origin.clone(), value: None })
}

fn parse_set(argument: &str) -> Result<Change, Diagnostic> {
    let part = |start: usize, length: usize| Origin::Argument {
        option: "--set",
        argument: argument.into(),
        span: start..start + length,
    };
    let whole = part(0, argument.chars().count());
    let problem = |message: &str| {
        Diagnostic::new(codes::ARGUMENT, message)
            .at(&whole)
            .path(argument.split('=').next().unwrap_or_default().trim())
            .help("write `--set path.to.key=value`, for example `--set seed=3`")
    };
    let (path, text) = argument.split_once('=').ok_or_else(|| problem("this `--set` argument has no `=`"))?;
    let start = path.chars().count() + 1;
    let path = path.trim();
    if path.is_empty() || segments(path).any(|key| key.trim().is_empty()) {
        return Err(problem("this `--set` argument has an empty key"));
    }
    if segments(path).next() == Some("extends") {
        return Err(problem("`extends` cannot be set from the command line"));
    }
    let length = text.chars().count();
    // Places inside the value are places inside the argument.
    let inside = |origin: &Origin| match origin.place() {
        Some(place) => {
            let above: usize = text.lines().take(place.line - 1).map(|line| line.chars().count() + 1).sum();
            let at = (above + place.column - 1).min(length);
            part(start + at, place.length.unwrap_or(length - at).min(length - at))
        }
        None => part(start, length),
    };
    let value = read_str("the value", text).map_err(|diagnostics| {
        let first = diagnostics.into_iter().next();
        let (message, place) = first.map_or_else(Default::default, |found| (found.message, found.origin));
        Diagnostic::new(codes::ARGUMENT, message)
            .at(&place.map_or_else(|| part(start, length), |place| inside(&place)))
            .path(path)
            .help("quote a value with special characters: `--set 'key=\"a: b\"'`")
    })?;
    if let Some(at) = comment(text, &value) {
        let place = text[..at].chars().count();
        return Err(Diagnostic::new(codes::ARGUMENT, "this would be lost: ` #` begins a comment in YAML")
            .at(&part(start + place, length - place))
            .path(path)
            .help(format!("quote the value: `--set '{path}=\"{}\"'`", text.trim().replace('"', "\\\""))));
    }
    let key = part(0, start - 1);
    Ok(Change { path: path.to_owned(), origin: key, value: Some(value.map_origins(&inside)) })
}

/// Where the comment in `text` begins, whose value is `value`. On a command line nobody means one.
fn comment(text: &str, value: &Node) -> Option<usize> {
    let begins = |at: usize| at == 0 || text[..at].ends_with(char::is_whitespace);
    let lost = |at: usize| read_str("the value", &text[..at]).is_ok_and(|cut| cut.to_json() == value.to_json());
    text.match_indices('#').map(|(at, _)| at).find(|&at| begins(at) && lost(at))
}

/// An empty file is an empty recipe; any other must be a map.
fn as_recipe(node: Node) -> Result<Node, Diagnostic> {
    match &node.value {
        Value::Map(_) => Ok(node),
        Value::Null => Ok(Node::map(node.origin.beginning())),
        _ => Err(Diagnostic::new(codes::WRONG_TYPE, format!("a recipe is a map, and this is {}", node.describe()))
            .at(&node.origin)
            .help("write `key: value` lines")),
    }
}

/// Reads files, each once however often it is extended.
struct Loader<'a> {
    files: &'a dyn Files,
    chain: Vec<(PathBuf, PathBuf)>,
    done: HashMap<PathBuf, Node>,
    notes: Vec<Diagnostic>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path) -> Result<Node, Diagnostics> {
        let identity = self.files.identity(path);
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
        let mut own = as_recipe(self.files.read(path)?)?;
        let has_study = own.as_map().is_some_and(|map| map.contains_key("study"));
        let extends = own.as_map_mut().and_then(|map| map.remove("extends"));
        let parent = self.extended(extends, path, "extends")?;
        let shared = parent.clone();
        let mut node = match parent {
            Some(mut node) => {
                // A study is replaced as a whole: a mixture of two files' variants would be the study of neither.
                if let Some(map) = node.as_map_mut().filter(|_| has_study) {
                    map.remove("study");
                }
                merge(&mut node, own, "", &mut self.notes);
                node
            }
            None => own,
        };
        if has_study {
            // What a variant's recipe shares with the study's recipe is not a change.
            let shared = shared.unwrap_or_else(|| node.clone());
            self.variants(&mut node, &shared, path)?;
        }
        self.chain.pop();
        self.done.insert(identity, node.clone());
        Ok(node)
    }

    /// `path` without `folder/..` in it, for messages; unchanged where a link would make that another file.
    fn folded(&self, path: PathBuf) -> PathBuf {
        let mut short = PathBuf::new();
        for part in path.components() {
            let below = matches!(short.components().next_back(), Some(Component::Normal(_)));
            match part {
                Component::ParentDir if below => drop(short.pop()),
                other => short.push(other),
            }
        }
        if self.files.identity(&short) == self.files.identity(&path) { short } else { path }
    }

    /// The recipes that the `extends` of the file at `path` names, merged in their order.
    fn extended(&mut self, extends: Option<Node>, path: &Path, place: &str) -> Result<Option<Node>, Diagnostics> {
        let mut node: Option<Node> = None;
        for Parent { file, origin, place } in parents(extends, place)? {
            let parent = self.folded(path.parent().unwrap_or(Path::new("")).join(file));
            let parent = self.file(&parent).map_err(|problems| located(problems, &origin, &place))?;
            match &mut node {
                None => node = Some(parent),
                Some(node) => merge(node, parent, "", &mut self.notes),
            }
        }
        Ok(node)
    }

    /// A variant may extend recipes too. It then becomes the difference between these recipes and `shared`, which is
    /// what the study itself extends, with the variant's own changes over it. Name, description, seed and study of the
    /// recipes are left out. So the values of the study's file and of `--set` hold in such variants too, wherever the
    /// recipes do not differ from `shared`.
    fn variants(&mut self, root: &mut Node, shared: &Node, path: &Path) -> Result<(), Diagnostics> {
        let study = root.as_map_mut().and_then(|map| map.get_mut("study")).and_then(Node::as_map_mut);
        let Some(variants) = study.and_then(|study| study.get_mut("variants")).and_then(Node::as_map_mut) else {
            return Ok(());
        };
        for (name, variant) in variants.iter_mut().map(|entry| (&entry.key, &mut entry.value)) {
            let place = format!("study.variants.{name}.extends");
            let extends = variant.as_map_mut().and_then(|map| map.remove("extends"));
            if let Some(mut tree) = self.extended(extends, path, &place)? {
                if let Some(map) = tree.as_map_mut() {
                    for key in ["name", "description", "seed", "study"] {
                        map.remove(key);
                    }
                }
                drop_equal(&mut tree, shared);
                apply_variant(&mut tree, variant, &mut self.notes)?;
                *variant = tree;
            }
        }
        Ok(())
    }
}

/// Removes from the map `node` the values that `base` has too. A component of another `type` stays whole.
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

/// Gives problems without a place, such as a missing file, the place of the `extends` entry that led to them.
fn located(problems: Diagnostics, origin: &Origin, place: &str) -> Diagnostics {
    let locate = |problem: Diagnostic| match problem.origin {
        None => problem.at(origin).path(place),
        Some(_) => problem,
    };
    let list = problems.into_iter().map(locate).collect();
    Diagnostics::from_list(list).expect("there were problems to begin with")
}

/// A recipe that another extends.
struct Parent {
    file: String,
    origin: Origin,
    /// The dotted path of the entry that names it.
    place: String,
}

fn parents(extends: Option<Node>, place: &str) -> Result<Vec<Parent>, Diagnostics> {
    let list = match extends {
        None => Vec::new(),
        Some(Node { value: Value::List(list), .. }) => {
            list.into_iter().enumerate().map(|(at, node)| (item(place, at), node)).collect()
        }
        Some(node) => vec![(place.to_owned(), node)],
    };
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for (place, node) in list {
        match node.value {
            Value::String(file) if !file.is_empty() => found.push(Parent { file, origin: node.origin, place }),
            _ => problems.push(
                Diagnostic::new(codes::EXTENDS, format!("expected the path of a recipe, found {}", node.describe()))
                    .at(&node.origin)
                    .path(place)
                    .help("`extends` takes a path relative to this file, or a list of them"),
            ),
        }
    }
    Diagnostics::check(problems)?;
    Ok(found)
}
