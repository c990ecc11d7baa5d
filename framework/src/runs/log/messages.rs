//! The protobuf messages of TensorBoard's event files, as far as this program writes them.
//!
//! Source: the field numbers of `tensorboard/compat/proto/{event,summary,tensor,tensor_shape,histogram}.proto` and of
//! `tensorboard/plugins/hparams/plugin_data.proto`. What is not listed here is skipped when a file is read.

use prost::{Enumeration, Message, Oneof};
use std::collections::BTreeMap;

/// One record of an event file.
#[derive(Clone, PartialEq, Message)]
pub struct Event {
    /// Seconds since 1970 (UTC).
    #[prost(double, tag = 1)]
    pub wall_time: f64,
    /// The training step.
    #[prost(int64, tag = 2)]
    pub step: i64,
    /// What happened.
    #[prost(oneof = "What", tags = "3, 5, 7")]
    pub what: Option<What>,
}

/// What an [`Event`] holds.
#[derive(Clone, PartialEq, Oneof)]
pub enum What {
    /// The first record of each file.
    #[prost(string, tag = 3)]
    FileVersion(String),
    /// Values of one step.
    #[prost(message, tag = 5)]
    Summary(Summary),
    /// The work begins or ends.
    #[prost(message, tag = 7)]
    Session(SessionLog),
}

/// Says that the work begins: readers drop what they have of the event's step and later ones.
#[derive(Clone, PartialEq, Message)]
pub struct SessionLog {
    /// [`SessionLog::START`].
    #[prost(int32, tag = 1)]
    pub status: i32,
}

impl SessionLog {
    /// `SessionLog.SessionStatus.START`.
    pub const START: i32 = 1;
}

/// Values of one step.
#[derive(Clone, PartialEq, Message)]
pub struct Summary {
    /// The values, each with its tag.
    #[prost(message, repeated, tag = 1)]
    pub value: Vec<Value>,
}

/// One value.
#[derive(Clone, PartialEq, Message)]
pub struct Value {
    /// The name of the curve, picture or text.
    #[prost(string, tag = 1)]
    pub tag: String,
    /// Which plugin shows it; not needed where the kind of value decides.
    #[prost(message, optional, tag = 9)]
    pub metadata: Option<Metadata>,
    /// The value itself.
    #[prost(oneof = "Kind", tags = "2, 4, 5, 8")]
    pub kind: Option<Kind>,
}

/// The kinds of a [`Value`].
#[derive(Clone, PartialEq, Oneof)]
pub enum Kind {
    /// A point of a curve.
    #[prost(float, tag = 2)]
    Scalar(f32),
    /// A picture.
    #[prost(message, tag = 4)]
    Image(Picture),
    /// A distribution.
    #[prost(message, tag = 5)]
    Histogram(Histogram),
    /// A text, or the empty tensor of a plugin whose content is in the metadata.
    #[prost(message, tag = 8)]
    Tensor(Tensor),
}

/// An encoded picture.
#[derive(Clone, PartialEq, Message)]
pub struct Picture {
    /// In pixels.
    #[prost(int32, tag = 1)]
    pub height: i32,
    /// In pixels.
    #[prost(int32, tag = 2)]
    pub width: i32,
    /// Number of channels: 3 is RGB.
    #[prost(int32, tag = 3)]
    pub colorspace: i32,
    /// JPEG or PNG.
    #[prost(bytes = "vec", tag = 4)]
    pub encoded: Vec<u8>,
}

/// A distribution in buckets.
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    /// Smallest value.
    #[prost(double, tag = 1)]
    pub min: f64,
    /// Largest value.
    #[prost(double, tag = 2)]
    pub max: f64,
    /// Number of values.
    #[prost(double, tag = 3)]
    pub num: f64,
    /// Their sum.
    #[prost(double, tag = 4)]
    pub sum: f64,
    /// The sum of their squares.
    #[prost(double, tag = 5)]
    pub sum_squares: f64,
    /// The right edge of each bucket.
    #[prost(double, repeated, tag = 6)]
    pub bucket_limit: Vec<f64>,
    /// The number of values in each bucket.
    #[prost(double, repeated, tag = 7)]
    pub bucket: Vec<f64>,
}

/// Which plugin shows a value.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// The plugin and what it needs.
    #[prost(message, optional, tag = 1)]
    pub plugin: Option<Plugin>,
    /// Markdown that is shown with the value.
    #[prost(string, tag = 3)]
    pub description: String,
}

/// A plugin of TensorBoard.
#[derive(Clone, PartialEq, Message)]
pub struct Plugin {
    /// Such as `text`.
    #[prost(string, tag = 1)]
    pub name: String,
    /// A message of the plugin's own.
    #[prost(bytes = "vec", tag = 2)]
    pub content: Vec<u8>,
}

/// A tensor of texts, or an empty one.
#[derive(Clone, PartialEq, Message)]
pub struct Tensor {
    /// [`Tensor::STRING`] or [`Tensor::FLOAT`].
    #[prost(int32, tag = 1)]
    pub dtype: i32,
    /// Its sizes.
    #[prost(message, optional, tag = 2)]
    pub shape: Option<Shape>,
    /// The texts.
    #[prost(bytes = "vec", repeated, tag = 8)]
    pub strings: Vec<Vec<u8>>,
}

impl Tensor {
    /// `DT_FLOAT`.
    pub const FLOAT: i32 = 1;
    /// `DT_STRING`.
    pub const STRING: i32 = 7;
}

/// Sizes of a tensor.
#[derive(Clone, PartialEq, Message)]
pub struct Shape {
    /// One for each axis.
    #[prost(message, repeated, tag = 2)]
    pub axes: Vec<Axis>,
}

/// Size of one axis.
#[derive(Clone, PartialEq, Message)]
pub struct Axis {
    /// Number of elements.
    #[prost(int64, tag = 1)]
    pub size: i64,
}

/// The content of the plugin `hparams`: the options of a run, or how it ended.
#[derive(Clone, PartialEq, Message)]
pub struct Hparams {
    /// When the run begins.
    #[prost(message, optional, tag = 3)]
    pub start: Option<SessionStart>,
    /// When it is done.
    #[prost(message, optional, tag = 4)]
    pub end: Option<SessionEnd>,
}

/// The options of a run.
#[derive(Clone, PartialEq, Message)]
pub struct SessionStart {
    /// The values by name.
    #[prost(btree_map = "string, message", tag = 1)]
    pub hparams: BTreeMap<String, Hparam>,
    /// Runs of one group are averaged: the same options with other seeds.
    #[prost(string, tag = 4)]
    pub group: String,
    /// Seconds since 1970 (UTC).
    #[prost(double, tag = 5)]
    pub start_seconds: f64,
}

/// `google.protobuf.Value`.
#[derive(Clone, PartialEq, Message)]
pub struct Hparam {
    /// A number, a text or a truth value.
    #[prost(oneof = "HparamKind", tags = "2, 3, 4")]
    pub kind: Option<HparamKind>,
}

/// The kinds of a [`Hparam`].
#[derive(Clone, PartialEq, Oneof)]
pub enum HparamKind {
    /// A number.
    #[prost(double, tag = 2)]
    Number(f64),
    /// A text.
    #[prost(string, tag = 3)]
    Text(String),
    /// A truth value.
    #[prost(bool, tag = 4)]
    Truth(bool),
}

/// How a run ended.
#[derive(Clone, PartialEq, Message)]
pub struct SessionEnd {
    /// [`Ended`] as a number.
    #[prost(enumeration = "Ended", tag = 1)]
    pub status: i32,
    /// Seconds since 1970 (UTC).
    #[prost(double, tag = 2)]
    pub end_seconds: f64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Enumeration)]
#[repr(i32)]
pub enum Ended {
    /// Not known.
    Unknown = 0,
    /// Done.
    Success = 1,
}
