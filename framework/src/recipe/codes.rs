//! Every kind of problem a recipe can have. A code keeps its meaning for ever; new kinds get new numbers.

/// A file cannot be read.
pub const UNREADABLE: &str = "MC001";
/// A file is not valid YAML, repeats a key, or exceeds the size and depth limits.
pub const SYNTAX: &str = "MC002";
/// An `extends` entry is malformed, points at itself, or names a file that cannot be used.
pub const EXTENDS: &str = "MC003";
/// A `--set` argument is not of the form `path.to.key=value`.
pub const SET_ARGUMENT: &str = "MC004";
/// A `${…}` is malformed, refers to nothing, or refers to itself.
pub const INTERPOLATION: &str = "MC005";
/// A value has the wrong type.
pub const WRONG_TYPE: &str = "MC006";
/// A key is not one that this place knows.
pub const UNKNOWN_KEY: &str = "MC007";
/// A name is not one that this place knows.
pub const UNKNOWN_COMPONENT: &str = "MC008";
/// A required key is missing.
pub const MISSING_KEY: &str = "MC009";
/// A value has the right type but is not allowed.
pub const OUT_OF_RANGE: &str = "MC010";
/// The parts of the recipe do not fit together.
pub const STRUCTURE: &str = "MC011";

/// Each code with its meaning in one line.
pub const TABLE: &[(&str, &str)] = &[
    (UNREADABLE, "a file cannot be read"),
    (SYNTAX, "a file is not valid YAML, repeats a key, or exceeds the size and depth limits"),
    (EXTENDS, "an `extends` entry is malformed, points at itself, or names a file that cannot be used"),
    (SET_ARGUMENT, "a `--set` argument is not of the form `path.to.key=value`"),
    (INTERPOLATION, "a `${…}` is malformed, refers to nothing, or refers to itself"),
    (WRONG_TYPE, "a value has the wrong type"),
    (UNKNOWN_KEY, "a key is not one that this place knows"),
    (UNKNOWN_COMPONENT, "a name is not one that this place knows"),
    (MISSING_KEY, "a required key is missing"),
    (OUT_OF_RANGE, "a value has the right type but is not allowed"),
    (STRUCTURE, "the parts of the recipe do not fit together"),
];
