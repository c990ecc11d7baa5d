//! The tree that a recipe is read into.

use crate::origin::Origin;

/// A value with the place it came from. Two nodes are equal if their values are equal, wherever they were written.
#[derive(Clone, Debug)]
pub struct Node {
    /// A scalar, a list or a map.
    pub value: Value,
    /// Where it was written.
    pub origin: Origin,
}

/// What a YAML node can hold.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`; `yes` and `no` are strings.
    Bool(bool),
    /// A number without a fraction and exponent.
    Int(i64),
    /// A number with a fraction or exponent, such as `1e-4`; or `.nan`, `.inf`.
    Float(f64),
    /// A quoted text, or one that is none of the others.
    String(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// Keys in the order they were written, each with its own place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Map {
    entries: Vec<Entry>,
}

/// One key of a [`Map`] and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was written; unique in its map.
    pub key: String,
    /// Where the key was written.
    pub key_origin: Origin,
    /// With a place of its own.
    pub value: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            // Two recipes with NaN at one place are the same recipe, although NaN ≠ NaN in arithmetic.
            (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
            (Value::String(a), Value::String(b)) => a == b,
            (Value::List(a), Value::List(b)) => a == b,
            (Value::Map(a), Value::Map(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

impl Node {
    /// `value`, which was written at `origin`.
    pub fn new(value: Value, origin: Origin) -> Self {
        Node { value, origin }
    }

    /// An empty map.
    pub fn map(origin: Origin) -> Self {
        Node::new(Value::Map(Map::default()), origin)
    }

    /// The node at a dotted path, such as `optimizer.groups[2].rate`. `[2]` and `.2` both select from a list; the empty
    /// path is the node itself. `None` where there is nothing.
    pub fn at(&self, path: &str) -> Option<&Node> {
        segments(path).try_fold(self, |node, segment| node.child(segment))
    }

    /// As [`Node::at`], to change it.
    pub fn at_mut(&mut self, path: &str) -> Option<&mut Node> {
        segments(path).try_fold(self, Node::child_mut)
    }

    /// As [`Node::child`], to change it.
    pub(crate) fn child_mut(&mut self, segment: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(map) => map.get_mut(segment),
            Value::List(list) => list.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The value under a key, or an element of a list by its index.
    pub fn child(&self, segment: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(map) => map.get(segment),
            Value::List(list) => list.get(segment.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The values below this node that are no map with keys, each with its dotted path.
    pub fn leaves(&self) -> Vec<(String, &Node)> {
        fn collect<'a>(node: &'a Node, path: &str, found: &mut Vec<(String, &'a Node)>) {
            match &node.value {
                Value::Map(map) if !map.is_empty() => {
                    map.iter().for_each(|entry| collect(&entry.value, &join(path, &entry.key), found));
                }
                _ => found.push((path.to_owned(), node)),
            }
        }
        let mut found = Vec::new();
        collect(self, "", &mut found);
        found
    }

    /// The text, if it is a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The map, if it is one, to change it.
    pub fn as_map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The elements, if it is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// What it is in words, for a message: "the integer `5`", "a list of 3".
    pub fn describe(&self) -> String {
        match &self.value {
            Value::Null => "nothing (null)".into(),
            Value::Bool(value) => format!("the boolean `{value}`"),
            Value::Int(value) => format!("the integer `{value}`"),
            Value::Float(value) => format!("the number `{}`", crate::write::float(*value)),
            Value::String(text) if text.chars().count() > 60 => "a long string".into(),
            Value::String(text) => format!("the string `{text}`"),
            Value::List(list) => format!("a list of {}", list.len()),
            Value::Map(_) => "a map".into(),
        }
    }

    /// A scalar as it would be written, in backticks; a list, a map and null in words.
    pub(crate) fn brief(&self) -> String {
        match &self.value {
            Value::List(_) | Value::Map(_) | Value::Null => self.describe(),
            _ => format!("`{}`", self.to_yaml().trim_end().trim_matches('"')),
        }
    }

    /// How many levels of lists and maps it has; 0 for a scalar.
    pub(crate) fn depth(&self) -> usize {
        match &self.value {
            Value::List(list) => 1 + list.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(map) => 1 + map.iter().map(|entry| entry.value.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }

    /// Gives every key and value in the tree the origin that `to` makes of its present one.
    pub fn map_origins(mut self, to: &dyn Fn(&Origin) -> Origin) -> Self {
        self.origin = to(&self.origin);
        self.value = match self.value {
            Value::List(list) => Value::List(list.into_iter().map(|node| node.map_origins(to)).collect()),
            Value::Map(map) => Value::Map(
                map.into_iter()
                    .map(|entry| Entry {
                        key: entry.key,
                        key_origin: to(&entry.key_origin),
                        value: entry.value.map_origins(to),
                    })
                    .collect(),
            ),
            scalar => scalar,
        };
        self
    }

    /// Whether `holds` is true of the origin of any key or value in the tree.
    pub fn any_origin(&self, holds: &dyn Fn(&Origin) -> bool) -> bool {
        holds(&self.origin)
            || match &self.value {
                Value::List(list) => list.iter().any(|node| node.any_origin(holds)),
                Value::Map(map) => map.iter().any(|entry| holds(&entry.key_origin) || entry.value.any_origin(holds)),
                _ => false,
            }
    }
}

impl Map {
    /// The value under a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The value together with its key, for a message about the key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value under a key, to change it.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.value)
    }

    /// Puts a value under a key. An old value is replaced and returned; a new key comes at the end.
    pub fn insert(&mut self, key: impl Into<String>, key_origin: Origin, value: Node) -> Option<Node> {
        let key = key.into();
        match self.entries.iter_mut().find(|entry| entry.key == key) {
            Some(entry) => {
                entry.key_origin = key_origin;
                Some(std::mem::replace(&mut entry.value, value))
            }
            None => {
                self.entries.push(Entry { key, key_origin, value });
                None
            }
        }
    }

    /// The value under a key; a missing key is added with null. `origin` is where the key was written; it is noted if
    /// the key is new or `again` is set.
    pub(super) fn key_mut(&mut self, key: &str, origin: &Origin, again: bool) -> &mut Node {
        let index = self.entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
            let value = Node::new(Value::Null, origin.clone());
            self.entries.push(Entry { key: key.to_owned(), key_origin: origin.clone(), value });
            self.entries.len() - 1
        });
        if again {
            self.entries[index].key_origin = origin.clone();
        }
        &mut self.entries[index].value
    }

    /// Removes a key and returns its value.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index).value)
    }

    /// Whether the map has the key.
    pub fn contains_key(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The keys, as written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.key.as_str())
    }

    /// The entries, as written.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The entries, to change them. Keys must stay different from each other.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Entry> {
        self.entries.iter_mut()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl FromIterator<Entry> for Map {
    /// The caller ensures that no key is there twice.
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Map { entries: entries.into_iter().collect() }
    }
}

impl IntoIterator for Map {
    type Item = Entry;
    type IntoIter = std::vec::IntoIter<Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

impl<'a> IntoIterator for &'a Map {
    type Item = &'a Entry;
    type IntoIter = std::slice::Iter<'a, Entry>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The parts of a dotted path. `a[2]` and `a.2` have the same parts; the empty path has none.
pub fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).filter(move |_| !path.is_empty()).map(|part| part.strip_suffix(']').unwrap_or(part))
}

/// For each of the [`segments`], whether it was written in brackets. Then it is an index of a list and never a key.
pub(super) fn bracketed(path: &str) -> Vec<bool> {
    path.split(['.', '[']).map(|part| part.ends_with(']')).collect()
}

/// The path of the value under `key` in the map at `path`.
pub fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// Whether the dotted `path` is `above` or lies below it.
pub fn within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The path of the map or list that holds the value at `path`; `None` for a key of the root.
pub fn parent(path: &str) -> Option<&str> {
    path.rfind(['.', '[']).map(|end| &path[..end])
}

/// The path of item `index` (from 0) of the list at `path`.
pub fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The path of the child `segment` of `node`, which is at `path`.
pub(super) fn child_path(node: &Node, path: &str, segment: &str) -> String {
    match &node.value {
        Value::List(_) => format!("{path}[{segment}]"),
        _ => join(path, segment),
    }
}
