//! Events with values: curves, histograms, and what stands once at the beginning or the end of a run.

use super::messages::{
    Axis, Ended, Event, Histogram, Hparam, HparamKind, Hparams, Kind, Metadata, Picture, Plugin, SessionEnd,
    SessionStart, Shape, Summary, Tensor, Value, What,
};
use super::values::Named;
use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular};
use crate::images::{Image, decode_jpeg, encode_jpeg};
use crate::runs::examples::{Example, Examples, Rule};
use crate::runs::records::Manifest;
use crate::weights::HostTensor;
use jpeg_encoder::SamplingFactor;
use maclip_language::{Node, Value as Yaml};
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;

/// Keys of a recipe that are no options of a model or of its training.
const NO_OPTIONS: [&str; 6] = ["name", "description", "expect", "compute", "clip_store", "log"];
/// The tags of the first event of a run.
pub const RECIPE: &str = "recipe";
const START: &str = "_hparams_/session_start_info";
const BUCKETS: usize = 30;
/// Of the pictures of examples, in percent.
const QUALITY: u8 = 90;

fn event(time: f64, step: u64, value: Vec<Value>) -> Event {
    let step = i64::try_from(step).unwrap_or(i64::MAX);
    Event { wall_time: time, step, what: Some(What::Summary(Summary { value })) }
}

/// Points of curves.
pub fn scalars(time: f64, step: u64, values: &Named) -> Event {
    let value = |(tag, value): &(String, f64)| Value {
        tag: tag.clone(),
        metadata: None,
        kind: Some(Kind::Scalar(*value as f32)),
    };
    event(time, step, values.iter().map(value).collect())
}

/// The distribution of each tensor.
pub fn histograms(time: f64, step: u64, tensors: &BTreeMap<String, HostTensor>) -> Event {
    let value = |(path, tensor): (&String, &HostTensor)| {
        Some(Value {
            tag: format!("parameters/{path}"),
            metadata: None,
            kind: Some(Kind::Histogram(histogram(&tensor.values)?)),
        })
    };
    event(time, step, tensors.iter().filter_map(value).collect())
}

/// `values` in buckets of equal width; `None` where there is none, or one is no number.
fn histogram(values: &[f32]) -> Option<Histogram> {
    let all = || values.iter().map(|value| f64::from(*value));
    let (min, max) = (all().reduce(f64::min)?, all().reduce(f64::max)?);
    let sum: f64 = all().sum();
    if !sum.is_finite() {
        return None;
    }
    let width = (max - min) / BUCKETS as f64;
    let mut bucket = vec![0.0; BUCKETS];
    for value in all() {
        // Where all are equal, the width is 0 and all are in the first.
        let at = if width > 0.0 { ((value - min) / width) as usize } else { 0 };
        bucket[at.min(BUCKETS - 1)] += 1.0;
    }
    let mut bucket_limit: Vec<f64> = (1..=BUCKETS).map(|edge| min + width * edge as f64).collect();
    bucket_limit[BUCKETS - 1] = max;
    let sum_squares = all().map(|value| value * value).sum();
    Some(Histogram { min, max, num: values.len() as f64, sum, sum_squares, bucket_limit, bucket })
}

/// What the run of `manifest` is averaged under: runs that differ in their seed alone have the same.
pub fn group(manifest: &Manifest) -> String {
    format!("{}/{}", manifest.name, manifest.variant)
}

/// Whether `event` is what stands at the beginning of a run of this group.
pub fn begins(event: &Event, group: &str) -> bool {
    let Some(What::Summary(summary)) = &event.what else { return false };
    let of = |value: &Value| -> Option<bool> {
        let content = value.metadata.as_ref()?.plugin.as_ref()?.content.as_slice();
        Some(Hparams::decode(content).ok()?.start?.group == group)
    };
    summary.value.iter().any(|value| value.tag == START && of(value) == Some(true))
}

/// What stands at the beginning: the recipe as text, and its options as hyperparameters. Runs that differ in their seed
/// alone are one group.
pub fn beginning(time: f64, recipe: &Node, manifest: &Manifest) -> Event {
    let text = format!("```yaml\n{}```\n", recipe.to_yaml());
    let texts = Tensor {
        dtype: Tensor::STRING,
        shape: Some(Shape { axes: vec![Axis { size: 1 }] }),
        strings: vec![text.into_bytes()],
    };
    let kept = |(path, _): &(String, &Node)| {
        let root = path.split(['.', '[']).next().unwrap_or_default();
        !NO_OPTIONS.contains(&root)
    };
    let option = |(path, node): (String, &Node)| {
        let kind = match &node.value {
            Yaml::Null => return None,
            Yaml::Bool(value) => HparamKind::Truth(*value),
            Yaml::Int(value) => HparamKind::Number(*value as f64),
            Yaml::Float(value) => HparamKind::Number(*value),
            Yaml::String(text) => HparamKind::Text(text.clone()),
            Yaml::List(_) | Yaml::Map(_) => HparamKind::Text(node.to_json().to_string()),
        };
        Some((path, Hparam { kind: Some(kind) }))
    };
    let start = SessionStart {
        hparams: recipe.leaves().into_iter().filter(kept).filter_map(option).collect(),
        group: group(manifest),
        start_seconds: time,
    };
    let value = vec![
        Value { tag: RECIPE.to_owned(), metadata: Some(shown_by("text", Vec::new())), kind: Some(Kind::Tensor(texts)) },
        session(START, Hparams { start: Some(start), end: None }),
    ];
    event(time, 0, value)
}

/// The tag of the last event of a run that is done.
pub const END: &str = "_hparams_/session_end_info";

/// Says that the run is done.
pub fn end(time: f64, step: u64) -> Event {
    let end = SessionEnd { status: Ended::Success.into(), end_seconds: time };
    event(time, step, vec![session(END, Hparams { start: None, end: Some(end) })])
}

fn shown_by(plugin: &str, content: Vec<u8>) -> Metadata {
    Metadata { plugin: Some(Plugin { name: plugin.to_owned(), content }), description: String::new() }
}

/// A value of the plugin `hparams`, which is all in its metadata.
fn session(tag: &str, content: Hparams) -> Value {
    let none =
        Tensor { dtype: Tensor::FLOAT, shape: Some(Shape { axes: vec![Axis { size: 0 }] }), strings: Vec::new() };
    Value {
        tag: tag.to_owned(),
        metadata: Some(shown_by("hparams", content.encode_to_vec())),
        kind: Some(Kind::Tensor(none)),
    }
}

/// One picture for each example of the run in `folder`: the query's frames above those of the support clips of the true
/// class, and of the predicted one where that is another.
///
/// # Errors
/// Where `examples.json` or a picture that it names cannot be read.
pub fn pictures(time: f64, step: u64, folder: &Path) -> Result<Vec<Event>> {
    let Some(examples) = Examples::read(folder)? else { return Ok(Vec::new()) };
    let one = |(at, example): (usize, &Example)| {
        let rule = match example.rule {
            Rule::ConfidentMistake => "confident mistake",
            Rule::CloseCall => "close call",
            Rule::Random => "random",
        };
        let name = |class: usize| example.classes.get(class).map_or("", |class| class.name.as_str());
        let (label, found) = (example.label, example.prediction);
        let mut rows = vec![&example.query];
        let as_other = if found == label { String::new() } else { format!(" seen as {}", name(found)) };
        let mut said = format!("query {}, class {}", example.query, name(label));
        let classes = if found == label { vec![label] } else { vec![label, found] };
        classes.iter().filter_map(|class| example.classes.get(*class)).for_each(|class| rows.extend(&class.support));
        if let Some(class) = example.classes.get(found) {
            said.push_str(&format!("; predicted {} with probability {:.2}. ", class.name, class.probability));
        }
        said.push_str("First row: the query; below: the support clips of its class, then those of the prediction.");
        let picture = stacked(&rows, &examples, folder)?;
        Ok(event(
            time,
            step,
            vec![Value {
                tag: format!("examples/{:02} {rule}: {}{as_other}", at + 1, name(label)),
                metadata: Some(Metadata { description: said, ..shown_by("images", Vec::new()) }),
                kind: Some(Kind::Image(picture)),
            }],
        ))
    };
    examples.examples.iter().enumerate().map(one).collect()
}

/// The pictures of these clips, one below the other.
fn stacked(clips: &[&String], examples: &Examples, folder: &Path) -> Result<Picture> {
    let mut rows: Vec<Image> = Vec::new();
    for clip in clips {
        let unknown = || Error::failed(format!("{} names no picture of `{clip}`", Examples::FILE));
        let name = examples.clips.get(*clip).filter(|name| !name.contains(['/', '\\'])).ok_or_else(unknown)?;
        let path = folder.join(Examples::FOLDER).join(name);
        let bytes = read_regular(&path, TEXT).map_err(|error| Error::io("read", &path, error))?;
        rows.push(decode_jpeg(&bytes)?);
    }
    let width = rows.iter().map(|row| row.width).max().unwrap_or(0);
    let mut pixels = Vec::new();
    for row in &rows {
        for line in row.pixels.chunks(row.width * 3) {
            pixels.extend_from_slice(line);
            pixels.resize(pixels.len() + (width - row.width) * 3, 0);
        }
    }
    let height: usize = rows.iter().map(|row| row.height).sum();
    let encoded = encode_jpeg(&pixels, width, height, QUALITY, SamplingFactor::F_1_1)
        .ok_or_else(|| Error::failed(format!("a picture of {width} × {height} pixels is too large")))?;
    Ok(Picture { height: height as i32, width: width as i32, colorspace: 3, encoded })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_all_values() {
        let found = histogram(&[0.0, 1.0, 2.0, 3.0]).unwrap();
        assert_eq!((found.min, found.max, found.num, found.sum, found.sum_squares), (0.0, 3.0, 4.0, 6.0, 14.0));
        assert_eq!(found.bucket.iter().sum::<f64>(), 4.0);
        assert_eq!((found.bucket[0], found.bucket[10], found.bucket[20], found.bucket[29]), (1.0, 1.0, 1.0, 1.0));
        assert_eq!(histogram(&[2.5; 7]).unwrap().bucket[0], 7.0);
        assert!(histogram(&[]).is_none() && histogram(&[1.0, f32::NAN]).is_none());
    }
}
