//! From a tree to typed configurations, with errors that point at the place in the recipe.

use crate::codes;
use crate::de_access::{EntryEnum, ListAccess, TreeMapAccess};
use crate::de_error::DeError;
use crate::diagnostic::Diagnostic;
use crate::node::{Node, Value, parent, segments, within};
use crate::origin::Origin;
use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use std::collections::BTreeMap;

/// Deserialises a subtree; `path` is its dotted path in the recipe, for messages.
///
/// # Errors
/// The first value that has a wrong type or range, the first unknown key or name, or a missing key, with its place.
pub fn from_node<T: DeserializeOwned>(node: &Node, path: &str) -> Result<T, Diagnostic> {
    T::deserialize(TreeDeserializer { node, path }).map_err(|error| *error.placed(&node.origin, path).diagnostic)
}

/// What [`from_node_repaired`] found.
#[derive(Debug)]
pub struct Repaired<T> {
    /// The configuration without the faulty keys; `None` where it cannot be made without them.
    pub value: Option<T>,
    /// Everything that is wrong, in the order in which it was found.
    pub problems: Vec<Diagnostic>,
    /// The tree without the faulty keys.
    pub tree: Node,
}

/// The characters of a number or of `true` on the command line. Where a string is wanted, `--set name=1e3` means these:
/// nobody puts quotes within the quotes of a shell.
fn typed(node: &Node) -> Option<String> {
    let Origin::Argument { argument, span, .. } = node.origin.written() else { return None };
    let plain = matches!(node.value, Value::Bool(_) | Value::Int(_) | Value::Float(_));
    plain.then(|| argument.chars().skip(span.start).take(span.len()).collect::<String>().trim().to_owned())
}

/// After so many mistakes the rest is not looked for.
const MOST_REPAIRS: usize = 64;

/// As [`from_node`], but finds all problems: after each one the faulty key or item is removed, and the rest is read
/// again.
pub fn from_node_repaired<T: DeserializeOwned>(node: &Node, path: &str) -> Repaired<T> {
    let mut tree = node.clone();
    let mut problems: Vec<Diagnostic> = Vec::new();
    let mut out = Removed::default();
    while out.paths.len() < MOST_REPAIRS {
        let problem = match from_node::<T>(&tree, path) {
            Ok(value) => return Repaired { value: Some(value), problems, tree },
            Err(problem) => problem,
        };
        let now = problem.path.clone();
        let faulty = out.original(&now);
        // A key that this function removed, or a map that it emptied, is not a second mistake.
        let follows = out.paths.iter().any(|key| within(key, &faulty));
        // A map that lacks a key cannot be repaired, only left out.
        let missing = problem.code == codes::MISSING_KEY;
        problems.extend((!follows).then(|| problem.path(&faulty)));
        let wanted = if missing { parent(&now).unwrap_or_default() } else { now.as_str() };
        if wanted.len() <= path.len() || !take_out(&mut tree, wanted.strip_prefix(path).unwrap_or(wanted)) {
            break;
        }
        out.remember(wanted);
    }
    Repaired { value: None, problems, tree }
}

/// What was removed, by the paths in the tree as it was written.
#[derive(Default)]
struct Removed {
    paths: Vec<String>,
    /// Indices of the items that were removed from a list, in ascending order.
    items: BTreeMap<String, Vec<usize>>,
}

impl Removed {
    /// What is at `path` now: its path in the tree as it was written.
    fn original(&self, path: &str) -> String {
        let mut original = String::new();
        let mut rest = path;
        while let Some(open) = rest.find('[') {
            original.push_str(&rest[..open]);
            let close = rest[open..].find(']').map_or(rest.len(), |close| open + close);
            let mut index: usize = rest[open + 1..close].parse().unwrap_or_default();
            for gone in self.items.get(&original).into_iter().flatten() {
                index += usize::from(*gone <= index);
            }
            original.push_str(&format!("[{index}]"));
            rest = rest.get(close + 1..).unwrap_or_default();
        }
        original + rest
    }

    fn remember(&mut self, path: &str) {
        let original = self.original(path);
        let last = original.strip_suffix(']').and_then(|path| path.rsplit_once('['));
        if let Some((list, index)) = last
            && let Ok(index) = index.parse()
        {
            let gone = self.items.entry(list.to_owned()).or_default();
            gone.push(index);
            gone.sort_unstable();
        }
        self.paths.push(original);
    }
}

/// Removes the value at `path` from `tree`. A list that loses its last item is removed too, because it was not written
/// empty.
fn take_out(tree: &mut Node, path: &str) -> bool {
    let Some(keys) = keys_to(tree, path.trim_start_matches(['.', '['])) else { return false };
    let Some((last, above)) = keys.split_last() else { return false };
    let emptied = match above.iter().try_fold(&mut *tree, |node, key| node.child_mut(key)).map(|node| &mut node.value) {
        Some(Value::Map(map)) => return map.remove(last).is_some(),
        Some(Value::List(list)) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => {
                list.remove(index);
                list.is_empty()
            }
            _ => return false,
        },
        _ => return false,
    };
    if emptied && !above.is_empty() {
        take_out(tree, &above.join("."));
    }
    true
}

/// The keys that lead to `path`, some of which may hold dots themselves.
fn keys_to(tree: &Node, path: &str) -> Option<Vec<String>> {
    let parts: Vec<&str> = segments(path).collect();
    let mut keys = Vec::new();
    let (mut node, mut start) = (tree, 0);
    while start < parts.len() {
        let found = (start + 1..=parts.len()).rev().find_map(|end| {
            let key = parts[start..end].join(".");
            node.child(&key).map(|child| (key, end, child))
        });
        let (key, end, child) = found?;
        keys.push(key);
        (node, start) = (child, end);
    }
    Some(keys)
}

/// The integer that a float is equal to, if there is one and no other integer becomes the same float when it is read:
/// 2⁵³ + 1 would become 2⁵³.
pub(super) fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (value.fract() == 0.0 && value.abs() < EXACT).then_some(value as i64)
}

/// A hint for somebody who wrote the string `text` in the place of a number.
fn number_help(text: &str) -> Option<String> {
    let text = text.trim();
    if text.parse::<f64>().is_ok() {
        let digits = text.trim_start_matches(['+', '-']);
        return match () {
            () if digits.starts_with(|c: char| c.is_ascii_alphabetic()) => None,
            () if digits.len() > 1 && digits.starts_with('0') && digits.chars().all(|c| c.is_ascii_digit()) => {
                Some(format!("write the number without the zeros before it: {}", digits.trim_start_matches('0')))
            }
            () => Some(format!("write the number without quotes: {text}")),
        };
    }
    // The longest number at the start; what follows is a unit.
    let number = (1..text.len())
        .rev()
        .filter_map(|end| text.get(..end))
        .find(|part| part.ends_with(|c: char| c.is_ascii_digit()) && part.parse::<f64>().is_ok())?;
    Some(format!("write the number alone, {number}: an option's unit is fixed, and its description says which"))
}

#[derive(Clone, Copy)]
pub(super) struct TreeDeserializer<'a, 'p> {
    pub node: &'a Node,
    /// Borrowed for a shorter time than the tree, because paths are made on the way down.
    pub path: &'p str,
}

impl<'a> TreeDeserializer<'a, '_> {
    fn wrong<T>(self, expected: &str) -> Result<T, DeError> {
        let error = DeError::wrong_type(self.node, self.path, expected);
        Err(match &self.node.value {
            Value::Null => error.help("give a value, or remove the key to use its default"),
            _ => error,
        })
    }

    /// Errors from a visitor get the place of this node, unless they already have one.
    fn here<T>(self, result: Result<T, DeError>) -> Result<T, DeError> {
        result.map_err(|error| error.placed(&self.node.origin, self.path))
    }

    fn integer(self, least: i128, most: i128) -> Result<i128, DeError> {
        let expected = match (least, most) {
            (0, most) if most >= i64::MAX.into() => "an integer from 0 up".to_owned(),
            (_, most) if most >= i64::MAX.into() => "an integer".to_owned(),
            _ => format!("an integer from {least} to {most}"),
        };
        let value = match &self.node.value {
            Value::Int(value) => i128::from(*value),
            Value::Float(value) => match whole(*value) {
                Some(value) => value.into(),
                None => return self.wrong(&expected),
            },
            Value::String(text) => {
                return Err(DeError::wrong_type(self.node, self.path, &expected).helps(number_help(text)));
            }
            _ => return self.wrong(&expected),
        };
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(DeError::out_of_range(self.node, self.path, &expected))
        }
    }

    fn float(self) -> Result<f64, DeError> {
        match &self.node.value {
            Value::Int(value) => Ok(*value as f64),
            Value::Float(value) => Ok(*value),
            Value::String(text) => Err(DeError::wrong_type(self.node, self.path, "a number").helps(number_help(text))),
            _ => self.wrong("a number"),
        }
    }

    fn text(self, expected: &str) -> Result<&'a str, DeError> {
        match &self.node.value {
            Value::String(text) => Ok(text),
            Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                // As it was written, because `1e4` and `10000` are different strings.
                let written = self.node.origin.place().and_then(|place| place.text()).map(str::to_owned);
                let written = written.unwrap_or_else(|| self.node.to_yaml().trim_end().to_owned());
                let error = DeError::wrong_type(self.node, self.path, expected);
                Err(error.help(format!("if it is meant as text, quote it: \"{written}\"")))
            }
            _ => self.wrong(expected),
        }
    }

    fn list<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::List(list) => {
                let mut access = ListAccess { list: list.iter(), index: 0, path: self.path };
                let value = self.here(visitor.visit_seq(&mut access))?;
                match access.list.len() {
                    0 => Ok(value),
                    extra => {
                        let expected = format!("a list of {} elements", list.len() - extra);
                        Err(DeError::wrong_type(self.node, self.path, &expected))
                    }
                }
            }
            Value::Map(_) | Value::Null => self.wrong("a list"),
            _ => Err(DeError::wrong_type(self.node, self.path, "a list").help("put it in brackets: [ … ]")),
        }
    }

    fn map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Map(map) => self.here(visitor.visit_map(TreeMapAccess::new(map, self.path))),
            Value::Null => Err(DeError::wrong_type(self.node, self.path, "a map").help("write {} for an empty map")),
            _ => self.wrong("a map"),
        }
    }
}

macro_rules! integers {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
            let most = i128::try_from(<$type>::MAX).unwrap_or(i128::MAX);
            let value = self.integer(<$type>::MIN as i128, most)?;
            self.here(visitor.$visit(value as $type))
        }
    )*};
}

impl<'a> Deserializer<'a> for TreeDeserializer<'a, '_> {
    type Error = DeError;

    integers! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_i128 visit_i128 i128;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
        deserialize_u128 visit_u128 u128;
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => self.here(visitor.visit_unit()),
            Value::Bool(value) => self.here(visitor.visit_bool(*value)),
            Value::Int(value) => match u64::try_from(*value) {
                Ok(value) => self.here(visitor.visit_u64(value)),
                Err(_) => self.here(visitor.visit_i64(*value)),
            },
            Value::Float(value) => self.here(visitor.visit_f64(*value)),
            Value::String(text) => self.here(visitor.visit_borrowed_str(text)),
            Value::List(_) => self.list(visitor),
            Value::Map(_) => self.map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Bool(value) => self.here(visitor.visit_bool(*value)),
            Value::String(text) => {
                let help = match text.to_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" => {
                        Some("write `true`, without quotes: YAML 1.2 knows no other word for it")
                    }
                    "no" | "off" | "false" | "n" => {
                        Some("write `false`, without quotes: YAML 1.2 knows no other word for it")
                    }
                    _ => None,
                };
                Err(DeError::wrong_type(self.node, self.path, "true or false").helps(help.map(str::to_owned)))
            }
            _ => Err(DeError::wrong_type(self.node, self.path, "true or false")),
        }
    }

    fn deserialize_f32<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        let value = self.float()?;
        if value.is_finite() && !(value as f32).is_finite() {
            let expected = format!("a number from {:e} to {:e}", f32::MIN, f32::MAX);
            return Err(DeError::out_of_range(self.node, self.path, &expected));
        }
        self.here(visitor.visit_f32(value as f32))
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        let value = self.float()?;
        self.here(visitor.visit_f64(value))
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        let text = self.text("one character")?;
        self.here(visitor.visit_borrowed_str(text))
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        if let Some(text) = typed(self.node) {
            return self.here(visitor.visit_string(text));
        }
        let text = self.text("a string")?;
        self.here(visitor.visit_borrowed_str(text))
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => self.here(visitor.visit_none()),
            _ => self.here(visitor.visit_some(self)),
        }
    }

    fn deserialize_unit<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Null => self.here(visitor.visit_unit()),
            _ => Err(DeError::wrong_type(self.node, self.path, "nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        self.here(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, _: usize, visitor: V) -> Result<V::Value, DeError> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.map(visitor)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::String(text) => {
                let name: StrDeserializer<DeError> = text.as_str().into_deserializer();
                self.here(visitor.visit_enum(name))
            }
            Value::Map(map) => match map.iter().next() {
                Some(entry) if map.len() == 1 => self.here(visitor.visit_enum(EntryEnum { entry, path: self.path })),
                _ => self.wrong(&format!("a map with one key, out of {}", variants.join(", "))),
            },
            _ => self.wrong(&format!("one of {}", variants.join(", "))),
        }
    }

    fn deserialize_identifier<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        self.here(visitor.visit_unit())
    }

    serde::forward_to_deserialize_any! { <V: Visitor<'a>> bytes byte_buf }
}
