//! YAML text into a tree.

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::node::{Entry, Node, Value};
use crate::origin::{Origin, Place, Source};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};
use std::cell::Cell;
use std::fmt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// A recipe is written by hand; anything larger is a mistake.
const MAX_BYTES: u64 = 5_000_000;
/// Keys and values of one file; a recipe has some hundred.
const MAX_NODES: usize = 20_000;

/// Reads a YAML file. A file that cannot be read gives a diagnostic without a place, unless it is not UTF-8.
pub(crate) fn read_file(path: &Path) -> Result<Node, Diagnostics> {
    let name = path.display().to_string();
    let unreadable = |why: String| Diagnostic::new(codes::UNREADABLE, format!("cannot read {name}: {why}"));
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?;
    if metadata.is_dir() {
        return Err(unreadable("it is a directory".into()).help("give the YAML file inside it").into());
    }
    if !metadata.is_file() {
        return Err(unreadable("it is a pipe or a device, not a regular file".into())
            .help("save the recipe to a file")
            .into());
    }
    // The file may grow meanwhile.
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| unreadable(error.to_string()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(unreadable(too_large()).into());
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = Source { name: name.clone(), path: Some(path.to_owned()), text };
        unreadable("it is not UTF-8 text".into())
            .at(&Origin::File(Place { source: source.into(), line, column, length: Some(1), used_at: None }))
            .help("save the file as UTF-8; a recipe is text, not a checkpoint or archive")
    })?;
    parse(Source { name, path: Some(path.to_owned()), text })
}

/// Reads YAML from memory; messages call it `name`.
///
/// # Errors
/// Where the text is not valid YAML 1.2, repeats a key in a map, or is beyond the limits on bytes, nodes, aliases and
/// depth. The list then has one diagnostic.
pub fn read_str(name: &str, text: &str) -> Result<Node, Diagnostics> {
    parse(Source { name: name.to_owned(), path: None, text: text.to_owned() })
}

fn too_large() -> String {
    format!("it is larger than {MAX_BYTES} bytes")
}

fn parse(mut source: Source) -> Result<Node, Diagnostics> {
    if source.text.len() as u64 > MAX_BYTES {
        let message = format!("cannot read {}: {}", source.name, too_large());
        return Err(Diagnostic::new(codes::UNREADABLE, message).into());
    }
    if source.text.starts_with('\u{feff}') {
        source.text.remove(0);
    }
    let source = Arc::new(source);
    let tree: Result<Spanned<Raw>, _> = serde_saphyr::from_str_with_options(&source.text, options());
    tree.map(|tree| convert(tree, &source)).map_err(|error| syntax(&error, &source).into())
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        reject_unsupported_tags: true,
        with_snippet: false,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::PassThrough,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::Merge,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 100_000, max_replay_stack_depth: 16 },
        budget: serde_saphyr::budget! { max_depth: crate::MAX_DEPTH, max_nodes: MAX_NODES },
    }
}

fn syntax(error: &serde_saphyr::Error, source: &Arc<Source>) -> Diagnostic {
    let message = error.without_snippet().to_string();
    // The place is shown with the source line. Advice on the library's functions does not help a recipe's author.
    let cut = [" at line ", ", set DuplicateKeyPolicy", "; use "].iter().filter_map(|rest| message.find(rest)).min();
    let message = message[..cut.unwrap_or(message.len())].trim().trim_end_matches(',');
    let message = match message {
        message if message.starts_with("budget breached: Nodes") => {
            format!("it has more than {MAX_NODES} keys and values, with every use of an alias counted")
        }
        message => message.to_owned(),
    };
    let diagnostic = Diagnostic::new(codes::SYNTAX, format!("cannot read {}: {message}", source.name));
    match error.location() {
        Some(location) if location.line() > 0 => diagnostic.at(&origin(location, location, source)),
        _ => diagnostic,
    }
}

/// The tree as the YAML library gives it; every level is a [`Spanned`].
enum Raw {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    String(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn convert(raw: Spanned<Raw>, source: &Arc<Source>) -> Node {
    let mut origin = origin(raw.referenced, raw.defined, source);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(value) => Value::Bool(value),
        Raw::Int(value) => Value::Int(value),
        Raw::Float(value) => Value::Float(value),
        Raw::String(text) => Value::String(text),
        Raw::List(list) => Value::List(list.into_iter().map(|item| convert(item, source)).collect()),
        Raw::Map(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_origin: self::origin(key.referenced, key.defined, source),
                    key: key.value,
                    value: convert(value, source),
                })
                .collect(),
        ),
    };
    // A collection's span covers many lines; a mark under its first character is enough.
    if let (Value::List(_) | Value::Map(_), Origin::File(place)) = (&value, &mut origin) {
        place.length = None;
    }
    Node::new(value, origin)
}

fn origin(referenced: Location, defined: Location, source: &Arc<Source>) -> Origin {
    let at = |location: Location| (location.line() as usize, location.column() as usize);
    let (line, column) = at(defined);
    if line == 0 {
        return Origin::Default;
    }
    let used_at = (at(referenced) != (line, column) && referenced.line() > 0).then(|| at(referenced));
    let length = Some(defined.span().len() as usize).filter(|length| (1..=MAX_BYTES as usize).contains(length));
    Origin::File(Place { source: source.clone(), line, column: column.max(1), length, used_at })
}

thread_local! {
    /// How deep the reader is. Aliases can nest deeper than the text does, and the library's own limit counts the text
    /// only.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

struct Level;

impl Level {
    fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        // Scalars inside the deepest allowed collection are one level deeper.
        (depth <= crate::MAX_DEPTH).then(|| {
            DEPTH.set(depth + 1);
            Level
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let _level = Level::enter()
            .ok_or_else(|| D::Error::custom(format!("lists and maps nest deeper than {} levels", crate::MAX_DEPTH)))?;
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Raw, E> {
        i64::try_from(value).map(Raw::Int).map_err(|_| E::custom(format!("the integer {value} exceeds {}", i64::MAX)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = access.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
