//! References in string values: `${path.in.recipe}`, `${env:NAME}` and `${env:NAME:-default}`; `$${` is a plain `${`.
//! At the start of a string, `recipe:` is the folder of the recipe in which the string was written, and `~/` is the
//! home folder.
//!
//! A string that is one `${path}` and nothing else becomes a copy of the value there, of any type. A string that is one
//! `${env:…}` and nothing else is read as a YAML scalar, so `workers: ${env:WORKERS:-4}` is a number.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::{Entry, Node, Value, child_path, item, join, segments, within};
use crate::origin::Origin;
use crate::read::read_str;
use crate::suggest::name_help;
use std::borrow::Cow;
use std::path::Path;

/// How large references may make a tree.
const MAX_NODES: usize = 200_000;
const MAX_BYTES: usize = 10_000_000;
const MAX_CHAIN: usize = 32;
/// After so many problems no more are looked for.
const MAX_PROBLEMS: usize = 100;

/// The tree with every `${…}`, `recipe:` and `~/` replaced. `folder` is the folder of the recipe, for values that were
/// not written in a file.
///
/// # Errors
/// Every reference that is malformed, leads to nothing or to itself, or names an environment variable that is not set;
/// and references that make the tree too large or too deep.
pub fn interpolate(root: &Node, folder: Option<&Path>) -> Result<Node, Diagnostics> {
    interpolate_with(root, folder, &|name| std::env::var(name).ok())
}

/// As [`interpolate`], with another source of environment variables: `env` gives the value of a name.
///
/// # Errors
/// As [`interpolate`].
pub fn interpolate_with(
    root: &Node,
    folder: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Node, Diagnostics> {
    let mut resolver = Resolver { root, folder, env, chain: Vec::new(), problems: Vec::new(), nodes: 0, bytes: 0 };
    let node = resolver.node(root, "", 0);
    Diagnostics::check(resolver.problems)?;
    Ok(node)
}

struct Resolver<'a> {
    root: &'a Node,
    folder: Option<&'a Path>,
    env: &'a dyn Fn(&str) -> Option<String>,
    /// The paths of the string values being resolved, each because the one before refers to it.
    chain: Vec<String>,
    problems: Vec<Diagnostic>,
    nodes: usize,
    bytes: usize,
}

/// A piece of a string value.
enum Piece<'t> {
    Text(&'t str),
    Reference(&'t str),
}

impl Resolver<'_> {
    fn node(&mut self, node: &Node, path: &str, depth: usize) -> Node {
        self.nodes += 1;
        let null = || Node::new(Value::Null, node.origin.clone());
        if self.problems.len() >= MAX_PROBLEMS {
            return null();
        }
        if self.nodes > MAX_NODES || self.bytes > MAX_BYTES || depth > crate::MAX_DEPTH {
            // Reported once: everything after it would report the same.
            if self.problems.iter().all(|problem| problem.path != path) && self.nodes < usize::MAX / 2 {
                self.problem(node, path, "references make the recipe too large or too deep".into(), Vec::new());
                self.nodes = usize::MAX / 2;
            }
            return null();
        }
        let value = match &node.value {
            Value::List(list) => {
                let each = |(index, node)| self.node(node, &item(path, index), depth + 1);
                Value::List(list.iter().enumerate().map(each).collect())
            }
            Value::Map(map) => {
                let entry = |entry: &Entry| Entry {
                    key: entry.key.clone(),
                    key_origin: entry.key_origin.clone(),
                    value: self.node(&entry.value, &join(path, &entry.key), depth + 1),
                };
                Value::Map(map.iter().map(entry).collect())
            }
            Value::String(text) if text.contains("${") => {
                let resolved = self.string(node, text, path, depth).and_then(|node| self.folders(node, path));
                return match resolved {
                    Ok(resolved) => resolved,
                    Err(problem) => {
                        self.problems.extend(problem.map(|problem| *problem));
                        null()
                    }
                };
            }
            scalar => {
                if let Value::String(text) = scalar {
                    self.bytes += text.len();
                    return self.folders(node.clone(), path).unwrap_or_else(|problem| {
                        self.problems.extend(problem.map(|problem| *problem));
                        null()
                    });
                }
                scalar.clone()
            }
        };
        Node::new(value, node.origin.clone())
    }

    /// `Err(None)` when the problem has been reported where it is.
    fn string(&mut self, node: &Node, text: &str, path: &str, depth: usize) -> Result<Node, Option<Box<Diagnostic>>> {
        let fail = |message: String| Some(Box::new(located(node, path, message)));
        let circle = self.chain.iter().position(|other| within(other, path));
        if let Some(start) = circle {
            let chain: Vec<&str> = self.chain[start..].iter().map(String::as_str).chain([path]).collect();
            return Err(fail(format!("`${{…}}` goes in a circle: {}", chain.join(" → "))));
        }
        if self.chain.len() >= MAX_CHAIN {
            return Err(fail(format!("more than {MAX_CHAIN} values refer to one another")));
        }
        let pieces = pieces(text).map_err(fail)?;
        self.chain.push(path.to_owned());
        let result = self.pieces(node, &pieces, path, depth);
        self.chain.pop();
        result
    }

    fn pieces(
        &mut self,
        node: &Node,
        pieces: &[Piece],
        path: &str,
        depth: usize,
    ) -> Result<Node, Option<Box<Diagnostic>>> {
        if let [Piece::Reference(reference)] = pieces {
            return match reference.strip_prefix("env:") {
                Some(variable) => {
                    let text = self.variable(node, variable, path)?;
                    Ok(scalar(&text, node, &from_environment(variable, &text)))
                }
                None => {
                    let target = self.reference(node, reference, path, depth)?;
                    let origin = via(node, &from_path(reference, &target));
                    Ok(Node::new(target.value, origin))
                }
            };
        }
        let mut out = String::new();
        let mut brought = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Reference(reference) => match reference.strip_prefix("env:") {
                    Some(variable) => {
                        let text = self.variable(node, variable, path)?;
                        brought.push(from_environment(variable, &text));
                        out.push_str(&text);
                    }
                    None => {
                        let target = self.reference(node, reference, path, depth)?;
                        brought.push(from_path(reference, &target));
                        out.push_str(&text_of(&target).ok_or_else(|| {
                            let message = format!(
                                "`${{{reference}}}` is {}, which cannot be part of a string",
                                target.describe()
                            );
                            Box::new(located(node, path, message))
                        })?);
                    }
                },
            }
        }
        self.bytes += out.len();
        if self.bytes > MAX_BYTES {
            return Err(Some(Box::new(located(node, path, "references make the recipe too large".into()))));
        }
        Ok(Node::new(Value::String(out), via(node, &brought.join("; "))))
    }

    /// `recipe:clips` and `~/clips` as full paths; `name` and `description` stay as they are.
    fn folders(&self, node: Node, path: &str) -> Result<Node, Option<Box<Diagnostic>>> {
        let Value::String(text) = &node.value else { return Ok(node) };
        let prose = path == "name" || path == "description";
        let joined = if let Some(rest) =
            text.strip_prefix("recipe:").filter(|rest| !prose && !rest.starts_with([' ', ':']))
        {
            let file = node.origin.place().and_then(|place| place.source.path.as_deref());
            let Some(folder) = file.map_or(self.folder, Path::parent) else {
                let problem = located(&node, path, "`recipe:` needs a recipe that is a file".into());
                return Err(Some(Box::new(problem.help("write the path itself"))));
            };
            // Absolute, so that a run's identity does not depend on where the program is called.
            let path = folder.join(rest);
            std::path::absolute(&path).unwrap_or(path)
        } else if let Some(rest) = text.strip_prefix("~/").filter(|_| !prose) {
            let Some(home) = (self.env)("HOME").filter(|home| !home.is_empty()) else {
                let problem = located(&node, path, "`~/` needs the environment variable HOME, which is not set".into());
                return Err(Some(Box::new(problem.help("write the path in full"))));
            };
            Path::new(&home).join(rest)
        } else {
            return Ok(node);
        };
        Ok(Node::new(Value::String(joined.display().to_string()), node.origin))
    }

    fn variable(&self, node: &Node, text: &str, path: &str) -> Result<String, Option<Box<Diagnostic>>> {
        let (name, default) = text.split_once(":-").map_or((text, None), |(name, default)| (name, Some(default)));
        let name = name.trim();
        let valid = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !valid {
            let problem = located(node, path, format!("`{name}` is not the name of an environment variable"));
            return Err(Some(Box::new(problem.help("write `${env:NAME}` or `${env:NAME:-default}`"))));
        }
        // As in a shell, the default after `:-` is also used for an empty variable.
        let value = (self.env)(name).filter(|value| default.is_none() || !value.is_empty());
        value.or_else(|| default.map(str::to_owned)).ok_or_else(|| {
            let problem = located(node, path, format!("the environment variable `{name}` is not set"));
            let help = format!("set it, or give a default: `${{env:{name}:-value}}`");
            Some(Box::new(problem.help(help)))
        })
    }

    fn reference(&mut self, node: &Node, to: &str, path: &str, depth: usize) -> Result<Node, Option<Box<Diagnostic>>> {
        let before = self.problems.len();
        let mut target: Cow<Node> = Cow::Borrowed(self.root);
        let mut at = String::new();
        // Whether `target` is still as written, with references in it.
        let mut written = true;
        for segment in segments(to) {
            if written && target.as_str().is_some_and(|text| text.contains("${")) {
                target = Cow::Owned(self.node(&target, &at, depth));
                written = false;
            }
            let next = match target {
                Cow::Borrowed(node) => node.child(segment).map(Cow::Borrowed),
                Cow::Owned(ref node) => node.child(segment).cloned().map(Cow::Owned),
            };
            let Some(next) = next else {
                if self.problems.len() > before {
                    return Err(None);
                }
                let problem = located(node, path, format!("`${{{to}}}` refers to nothing"));
                let keys = target.as_map().map(|map| name_help(segment, map.keys())).unwrap_or_default();
                return Err(Some(Box::new(problem.helps(keys))));
            };
            at = child_path(&target, &at, segment);
            target = next;
        }
        let resolved = if written { self.node(&target, &at, depth) } else { target.into_owned() };
        if self.problems.len() > before { Err(None) } else { Ok(resolved) }
    }

    fn problem(&mut self, node: &Node, path: &str, message: String, help: Vec<String>) {
        self.problems.push(located(node, path, message).helps(help));
    }
}

fn located(node: &Node, path: &str, message: String) -> Diagnostic {
    Diagnostic::new(codes::INTERPOLATION, message).at(&node.origin).path(path)
}

/// The origin of the value of a `${…}` in `node`; `what` describes it.
fn via(node: &Node, what: &str) -> Origin {
    Origin::Via { what: what.into(), at: Box::new(node.origin.clone()) }
}

fn from_environment(variable: &str, text: &str) -> String {
    let (name, default) = variable.split_once(":-").unwrap_or((variable, ""));
    let text = shortened(text);
    match variable.contains(":-") && shortened(default) == text {
        true => format!("the default of `{}` is `{text}`", name.trim()),
        false => format!("`{}` is `{text}` in the environment", name.trim()),
    }
}

fn from_path(path: &str, target: &Node) -> String {
    let place = target.origin.to_string();
    let written = if place.is_empty() { String::new() } else { format!(", written at {place}") };
    format!("`{path}` is {}{written}", target.brief())
}

/// A message does not show a long text, which may be a secret.
fn shortened(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(dollar) = rest.find("${") {
        if rest[..dollar].ends_with('$') {
            pieces.extend([Piece::Text(&rest[..dollar - 1]), Piece::Text("${")]);
            rest = &rest[dollar + 2..];
            continue;
        }
        let end = rest[dollar..].find('}').ok_or("this `${` has no closing `}`; write `$${` for a plain one")?;
        let reference = rest[dollar + 2..dollar + end].trim();
        if reference.is_empty() || reference.contains("${") || reference.split('.').any(str::is_empty) {
            return Err(format!("`${{{reference}}}` does not name a value; write `$${{` for a plain `${{`"));
        }
        pieces.extend((dollar > 0).then_some(Piece::Text(&rest[..dollar])));
        pieces.push(Piece::Reference(reference));
        rest = &rest[dollar + end + 1..];
    }
    pieces.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
    Ok(pieces)
}

/// The value of an environment variable, with the type that YAML gives it without quotes.
fn scalar(text: &str, node: &Node, what: &str) -> Node {
    let value = match read_str("environment", text).map(|node| node.value) {
        Ok(value @ (Value::Bool(_) | Value::Int(_) | Value::Float(_))) => value,
        _ => Value::String(text.to_owned()),
    };
    Node::new(value, via(node, what))
}

fn text_of(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Float(value) => Some(crate::write::float(*value)),
        _ => None,
    }
}
