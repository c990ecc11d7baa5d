//! The parts of the deserialiser that walk lists, maps and enum values.

use crate::de::TreeDeserializer;
use crate::de_error::DeError;
use crate::node::{Entry, Map, Node, Value, item, join};
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

pub(super) struct ListAccess<'a, 'p> {
    pub list: std::slice::Iter<'a, Node>,
    pub index: usize,
    pub path: &'p str,
}

impl<'a> SeqAccess<'a> for &mut ListAccess<'a, '_> {
    type Error = DeError;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DeError> {
        let Some(node) = self.list.next() else { return Ok(None) };
        let path = item(self.path, self.index);
        self.index += 1;
        nested(seed, node, &path).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len())
    }
}

pub(super) struct TreeMapAccess<'a, 'p> {
    entries: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
    path: &'p str,
}

impl<'a, 'p> TreeMapAccess<'a, 'p> {
    pub fn new(map: &'a Map, path: &'p str) -> Self {
        TreeMapAccess { entries: map.iter(), current: None, path }
    }
}

impl<'a> MapAccess<'a> for TreeMapAccess<'a, '_> {
    type Error = DeError;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, DeError> {
        self.current = self.entries.next();
        let Some(entry) = self.current else { return Ok(None) };
        let key = seed.deserialize(KeyDeserializer { key: &entry.key });
        key.map(Some).map_err(|error| error.placed(&entry.key_origin, &join(self.path, &entry.key)))
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, DeError> {
        let entry = self.current.ok_or_else(|| DeError::custom("a value was asked for before its key"))?;
        nested(seed, &entry.value, &join(self.path, &entry.key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// Deserialises a child. Its path is needed during this call only.
fn nested<'a, S: DeserializeSeed<'a>>(seed: S, node: &'a Node, path: &str) -> Result<S::Value, DeError> {
    seed.deserialize(TreeDeserializer { node, path }).map_err(|error| error.placed(&node.origin, path))
}

struct KeyDeserializer<'a> {
    key: &'a str,
}

macro_rules! number_keys {
    ($($method:ident $visit:ident $type:ty;)*) => {$(
        fn $method<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
            let number = self.key.parse::<$type>();
            let wrong = |_| DeError::custom(format!("the key `{}` is not a number that fits here", self.key));
            visitor.$visit(number.map_err(wrong)?)
        }
    )*};
}

impl<'a> Deserializer<'a> for KeyDeserializer<'a> {
    type Error = DeError;

    number_keys! {
        deserialize_i8 visit_i8 i8;
        deserialize_i16 visit_i16 i16;
        deserialize_i32 visit_i32 i32;
        deserialize_i64 visit_i64 i64;
        deserialize_u8 visit_u8 u8;
        deserialize_u16 visit_u16 u16;
        deserialize_u32 visit_u32 u32;
        deserialize_u64 visit_u64 u64;
    }

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_borrowed_str(self.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(self, _: &'static str, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let name: StrDeserializer<DeError> = self.key.into_deserializer();
        visitor.visit_enum(name)
    }

    serde::forward_to_deserialize_any! {
        <V: Visitor<'a>> bool i128 u128 f32 f64 char str string bytes byte_buf option unit unit_struct seq tuple tuple_struct map
        struct identifier ignored_any
    }
}

/// An enum that was written as a map with one key: `cosine: { scale: 10 }`.
pub(super) struct EntryEnum<'a, 'p> {
    pub entry: &'a Entry,
    pub path: &'p str,
}

impl<'a, 'p> EnumAccess<'a> for EntryEnum<'a, 'p> {
    type Error = DeError;
    type Variant = EntryVariant<'a>;

    fn variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<(S::Value, EntryVariant<'a>), DeError> {
        let path = join(self.path, &self.entry.key);
        match seed.deserialize(KeyDeserializer { key: &self.entry.key }) {
            Ok(variant) => Ok((variant, EntryVariant { node: &self.entry.value, path })),
            Err(error) => Err(error.placed(&self.entry.key_origin, &path)),
        }
    }
}

pub(super) struct EntryVariant<'a> {
    node: &'a Node,
    path: String,
}

impl<'a> VariantAccess<'a> for EntryVariant<'a> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        match &self.node.value {
            Value::Null => Ok(()),
            Value::Map(map) if map.is_empty() => Ok(()),
            _ => Err(DeError::wrong_type(self.node, &self.path, "no options")),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'a>>(self, seed: S) -> Result<S::Value, DeError> {
        nested(seed, self.node, &self.path)
    }

    fn tuple_variant<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, DeError> {
        TreeDeserializer { node: self.node, path: &self.path }.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'a>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, DeError> {
        TreeDeserializer { node: self.node, path: &self.path }.deserialize_struct("", fields, visitor)
    }
}
