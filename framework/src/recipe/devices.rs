//! The recipe's `device:`: the name of one device, or a list of names.

use super::device;
use crate::error::Result;
use crate::slots::backbone::Precision;
use burn::tensor::Device;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::borrow::Cow;

/// The names of a run's devices, at least one. The first holds the weights and takes the optimizer's steps; the others
/// compute a part of each step's episodes and of the test's clips. A name may come twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Devices(Vec<String>);

impl<'de> Deserialize<'de> for Devices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> Visitor<'de> for OneOrSeveral {
            type Value = Devices;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a device, or a list of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> std::result::Result<Devices, E> {
                Ok(Devices::from(name))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Devices, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                match names.is_empty() {
                    true => Err(de::Error::custom("a list of devices names at least one")),
                    false => Ok(Devices(names)),
                }
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl Serialize for Devices {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl JsonSchema for Devices {
    fn schema_name() -> Cow<'static, str> {
        "Devices".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = schemars::json_schema!({
            "type": "string", "pattern": r"^(flex|tch:cpu|(tch:)?cuda:[0-9]+|(wgpu|vulkan):[0-9]+)$|\$\{",
            "examples": ["flex", "tch:cpu", "tch:cuda:0", "cuda:0", "wgpu:0", "vulkan:0"]
        });
        schemars::json_schema!({"anyOf": [name, {"type": "array", "items": name, "minItems": 1}]})
    }
}

impl std::fmt::Display for Devices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl From<&str> for Devices {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl Devices {
    /// The name of the first.
    pub fn first(&self) -> &str {
        &self.0[0]
    }

    /// The names, in order.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Opens the devices as [`device::probe`] does; as many as there are names.
    ///
    /// # Errors
    /// Where one of them cannot be used.
    pub fn probe(&self, precision: Precision) -> Result<Vec<Device>> {
        self.0.iter().map(|name| device::probe(name, precision)).collect()
    }

    /// Bytes of memory that each device may have: of several that share one memory, each has an equal part of what is
    /// free; the least of all. `None` where that is not known of one of them.
    pub fn free_memory(&self) -> Option<f64> {
        let part = |name: &String| {
            let sharing = self.0.iter().filter(|other| device::share_memory(name, other)).count();
            Some(device::free_memory(name)? / sharing as f64)
        };
        self.0.iter().map(part).try_fold(f64::INFINITY, |least, free| Some(least.min(free?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_and_a_list_are_read_and_written_as_they_are() {
        for text in [r#""flex""#, r#"["tch:cuda:0","tch:cuda:1"]"#] {
            let devices: Devices = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&devices).unwrap(), text);
        }
        assert_eq!(serde_json::from_str::<Devices>(r#"["flex"]"#).unwrap(), Devices::from("flex"));
        for (text, says) in [("[]", "at least one"), ("3", "the name of a device, or a list")] {
            let error = serde_json::from_str::<Devices>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn devices_in_one_memory_have_parts_of_it() {
        let free = |text: &str| serde_json::from_str::<Devices>(text).unwrap().free_memory().unwrap();
        let (one, two) = (free(r#""flex""#), free(r#"["flex","tch:cpu"]"#));
        // Other processes take and give memory between the two looks.
        assert!((two / one - 0.5).abs() < 0.2, "{one} {two}");
    }
}
