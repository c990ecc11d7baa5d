//! The keys of a recipe apart from its slots, each with its schema: for the check, `describe`, the schema and the
//! documentation.

use crate::recipe::clip_store::ClipStoreOptions;
use crate::recipe::compute::Compute;
use crate::recipe::devices::Devices;
use crate::recipe::expectation::Expectation;
use crate::recipe::label::Label;
use crate::recipe::log::LogOptions;
use crate::recipe::presets::Presets;
use crate::recipe::study::Study;
use crate::slots::backbone::Precision;
use schemars::{Schema, schema_for};
use serde_json::{Value, json};

/// One key of a recipe.
pub struct Key {
    /// The key, as it is written in a recipe.
    pub name: &'static str,
    /// What it is, in one or two sentences.
    pub summary: &'static str,
    /// `null` for keys that must be given, and for keys of the language itself.
    default: fn() -> Value,
    schema: fn() -> Schema,
    /// Whether the resolved recipe has it. The other keys say how to make the resolved recipe.
    pub resolved: bool,
}

impl Key {
    /// The JSON schema of the value, with its description and default.
    pub fn schema(&self) -> Value {
        let mut schema = Value::from((self.schema)());
        let default = (self.default)();
        if let Some(map) = schema.as_object_mut() {
            map.insert("description".to_owned(), self.summary.into());
            if !default.is_null() {
                map.insert("default".to_owned(), default);
            }
            map.remove("title");
            map.remove("$schema");
        }
        schema
    }
}

fn absent() -> Value {
    Value::Null
}

fn file_names() -> Schema {
    schemars::json_schema!({"anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}},
    ]})
}

fn folder_name() -> Schema {
    schemars::json_schema!({"type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]*$"})
}

fn label() -> Schema {
    schema_for!(Label)
}

/// All keys, in the order in which a recipe has them.
pub const KEYS: &[Key] = &[
    Key {
        name: "extends",
        summary: "The path of another recipe, or of several, relative to this file. This recipe changes what they say: \
                  maps merge key by key, lists and numbers are replaced, and a changed `type` drops the old \
                  component's options.",
        default: absent,
        schema: file_names,
        resolved: false,
    },
    Key {
        name: "name",
        summary: "The name of the folder of its runs: letters, digits, `-`, `_` and `.`.",
        default: absent,
        schema: folder_name,
        resolved: true,
    },
    Key {
        name: "description",
        summary: "One line for the report.",
        default: || json!(""),
        schema: || schema_for!(String),
        resolved: true,
    },
    Key {
        name: "label",
        summary: "What the report calls the runs, in the place of their variant's name: any text, such as `MA-CLIP (ours)`. \
                  It is no part of a run's identity. Variants of a study do not inherit the label of their recipe.",
        default: absent,
        schema: label,
        resolved: true,
    },
    Key {
        name: "seed",
        summary: "The seed of all random numbers of the training: initial weights, episodes, augmentation. Test \
                  episodes have a seed of their own.",
        default: || json!(0),
        schema: || schema_for!(u64),
        resolved: true,
    },
    Key {
        name: "device",
        summary: "The device that computes, or a list of devices: the episodes of each step and the clips of each \
                  test are divided among them, and the first holds the weights. `flex` is the processor; `maclip \
                  doctor` shows which devices this binary can use.",
        default: || json!("flex"),
        schema: || schema_for!(Devices),
        resolved: true,
    },
    Key {
        name: "precision",
        summary: "The number format of the frozen towers' matrix products. Everything trainable is f32.",
        default: || json!(Precision::default()),
        schema: || schema_for!(Precision),
        resolved: true,
    },
    Key {
        name: "compute",
        summary: "How the work is done. It changes no result beyond rounding, and is no part of a run's identity.",
        default: || json!(Compute::default()),
        schema: || schema_for!(Compute),
        resolved: true,
    },
    Key {
        name: "clip_store",
        summary: "Decoded frames, kept on disk so that no clip is decoded twice. `maclip prepare` fills it, and so \
                  does every run. Only `format` can change a result.",
        default: || json!(ClipStoreOptions::default()),
        schema: || schema_for!(ClipStoreOptions),
        resolved: true,
    },
    Key {
        name: "log",
        summary: "Where the numbers of a run go besides its records: TensorBoard, CSV. It changes no result and no \
                  record, and is no part of a run's identity.",
        default: || json!(LogOptions::default()),
        schema: || schema_for!(LogOptions),
        resolved: true,
    },
    Key {
        name: "expect",
        summary: "Published or earlier numbers that the run must meet. `maclip check` compares them with the result.",
        default: || json!([]),
        schema: || schema_for!(Vec<Expectation>),
        resolved: true,
    },
    Key {
        name: "presets",
        summary: "Named sets of changes, written as those of variants. `preset` chooses one. With `skip: REASON` a \
                  preset leaves the run out.",
        default: absent,
        schema: || schema_for!(Presets),
        resolved: false,
    },
    Key {
        name: "preset",
        summary: "Which of `presets` is applied to every run, after its variant and axes and before `--set`. It is no \
                  part of a run's identity; its changes are.",
        default: absent,
        schema: || schema_for!(Option<String>),
        resolved: false,
    },
    Key {
        name: "study",
        summary: "Several runs from one recipe: seeds, named variants, a grid of axes, slots that are left out.",
        default: absent,
        schema: || schema_for!(Study),
        resolved: false,
    },
];

/// Keys that the recipe of a run may have, apart from slots. `study` and the presets have been applied and removed
/// before.
pub(super) fn resolved() -> impl Iterator<Item = &'static str> {
    KEYS.iter().filter(|key| key.resolved).map(|key| key.name)
}
