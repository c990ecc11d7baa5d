//! Test queries that a run recorded in detail, prepared for the page.

use crate::figures::alignment::{self, Matrix};
use crate::figures::{self, Drawn, inline, occlusion};
use crate::format;
use crate::load::display;
use crate::strips::{Folder, Strip, Strips};
use crate::summary::{Group, Variant};
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::embedding::Embedding;
use maclip_framework::runs::examples::{Example, ExampleClass, Examples, Rule};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::Path;

/// The examples of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Gallery {
    variant: String,
    number: usize,
    swatch: usize,
    path: String,
    /// What the dots of the matrices are.
    explanation: String,
    parts: Vec<Part>,
    /// Every clip of the examples, by its id.
    #[serde(skip)]
    pub clips: Vec<Clip>,
}

/// The examples of one rule.
#[derive(Clone, Debug, Serialize)]
struct Part {
    title: &'static str,
    rule: &'static str,
    examples: Vec<Shown>,
}

#[derive(Clone, Debug, Serialize)]
struct Shown {
    right: bool,
    episode: u64,
    label: String,
    prediction: String,
    query: Clip,
    classes: Vec<Class>,
    /// Where the answer comes from, and the alignments.
    pictures: Vec<Picture>,
}

/// A clip with its frames.
#[derive(Clone, Debug, Serialize)]
pub struct Clip {
    pub id: String,
    /// `None` where the file is gone.
    pub strip: Option<Strip>,
}

impl Clip {
    fn picture(&self) -> Option<figures::Picture<'_>> {
        self.strip.as_ref().map(|strip| figures::Picture { strip: &strip.id, frames: strip.frames })
    }
}

#[derive(Clone, Debug, Serialize)]
struct Class {
    name: String,
    #[serde(rename = "true")]
    is_true: bool,
    predicted: bool,
    distance: String,
    probability: String,
    support: Vec<Clip>,
}

#[derive(Clone, Debug, Serialize)]
struct Picture {
    id: String,
    svg: minijinja::Value,
}

/// How examples are chosen, in the order of the page.
const RULES: [(Rule, &str, &str); 3] = [
    (
        Rule::ConfidentMistake,
        "Most confident mistakes",
        "Wrong answers with the highest probability of the predicted class, at most one of an episode.",
    ),
    (
        Rule::CloseCall,
        "Closest calls",
        "The smallest difference between the two most probable classes, at most one of an episode.",
    ),
    (Rule::Random, "Drawn at random", "Drawn by the hash of the episode list: the same queries for every run on it."),
];

/// Pages hold the pictures of so many runs: each is about half a megabyte.
const MOST: usize = 4;

/// The galleries of a page.
#[derive(Clone, Debug)]
pub struct Galleries {
    /// One for each group; `None` where no run of it recorded examples, or they are shown with another group.
    pub of_groups: Vec<Option<Gallery>>,
    /// One for each group: the best variant that recorded a map of test clips, and the map.
    pub maps: Vec<Option<(String, Embedding)>>,
    /// The pictures of all galleries, each once.
    pub strips: Strips,
    /// Runs whose examples are left to a report of their own.
    pub left_out: Vec<String>,
    /// Records that cannot be read. Only their gallery or map is missing.
    pub problems: Vec<String>,
}

impl Galleries {
    /// Galleries of the best variant of each group that recorded examples. A run that is in several groups is shown
    /// once.
    pub fn of(groups: &[Group]) -> Self {
        let mut found = Self {
            of_groups: Vec::new(),
            maps: Vec::new(),
            strips: Strips::default(),
            left_out: Vec::new(),
            problems: Vec::new(),
        };
        let mut shown = BTreeSet::new();
        for (number, group) in groups.iter().enumerate() {
            let map = recorded(group, Path::new(Embedding::FILE)).and_then(|variant| {
                let read = Embedding::read(&variant.path);
                let read = read.inspect_err(|error| found.problems.push(error.to_string())).ok().flatten();
                read.map(|embedding| (variant.label.clone(), embedding))
            });
            found.maps.push(map);
            let gallery = match recorded(group, &Path::new(Examples::FOLDER).join(Examples::FILE)) {
                Some(variant) if shown.contains(&variant.hash) => None,
                Some(variant) if shown.len() == MOST => {
                    found.left_out.push(display(&variant.path));
                    None
                }
                Some(variant) => {
                    shown.insert(variant.hash.clone());
                    let prefix = if groups.len() > 1 { format!("{}-", number + 1) } else { String::new() };
                    Gallery::of(&prefix, variant, &mut found.strips).unwrap_or_else(|error| {
                        found.problems.push(error.to_string());
                        None
                    })
                }
                None => None,
            };
            found.of_groups.push(gallery);
        }
        found.problems.extend(found.strips.problems.iter().cloned());
        found.left_out.sort();
        found.left_out.dedup();
        found
    }
}

/// The best variant of a group whose run has this file.
fn recorded<'a>(group: &'a Group, file: &Path) -> Option<&'a Variant> {
    let tested = group.variants.iter().filter(|variant| variant.path.join(file).exists());
    tested
        .filter(|variant| variant.mean().is_some())
        .max_by(|a, b| a.mean().unwrap_or(0.0).total_cmp(&b.mean().unwrap_or(0.0)))
}

impl Gallery {
    /// Of a variant; `prefix` keeps ids apart. Pictures are added to `strips`.
    fn of(prefix: &str, variant: &Variant, strips: &mut Strips) -> Result<Option<Self>> {
        let Some(examples) = Examples::read(&variant.path)? else { return Ok(None) };
        let folder = variant.path.join(Examples::FOLDER);
        let (files, frames) = (&examples.clips, examples.frames);
        let mut strips = Folder { folder: &folder, files, frames, strips, found: Default::default() };
        let (mut parts, mut asked) = (Vec::new(), BTreeSet::new());
        for (rule, title, about) in RULES {
            let mut shown = Vec::new();
            for (number, example) in examples.examples.iter().enumerate().filter(|(_, example)| example.rule == rule) {
                // A clip that several episodes ask about is shown once.
                if asked.insert(&example.query) {
                    let id = format!("{prefix}look-{}", number + 1);
                    shown.push(self::shown(&id, example, &examples.explanation, &mut strips)?);
                }
            }
            if !shown.is_empty() {
                parts.push(Part { title, rule: about, examples: shown });
            }
        }
        let clips = examples.clips.keys().map(|id| strips.clip(id)).collect();
        Ok(Some(Self {
            variant: variant.label.clone(),
            number: variant.number,
            swatch: variant.swatch,
            path: display(&variant.path),
            explanation: examples.explanation.clone(),
            parts,
            clips,
        }))
    }
}

fn shown(id: &str, example: &Example, explanation: &str, strips: &mut Folder) -> Result<Shown> {
    let name = |position: usize| {
        let class = example.classes.get(position).map(|class| class.name.clone());
        class.ok_or_else(|| {
            Error::failed(format!("an example of episode {} names a class that it does not have", example.episode))
        })
    };
    let query = strips.clip(&example.query);
    let prediction = name(example.prediction)?;
    let places = example.occlusion.as_ref().and_then(|of| occlusion::draw(&prediction, query.picture(), of));
    let costs = example.classes.iter().filter_map(|class| class.alignment.as_ref()).flat_map(|found| &found.costs);
    let range = alignment::range(costs);
    let (mut classes, mut pictures) = (Vec::new(), Vec::new());
    pictures.extend(places.map(|drawn| Picture::of(format!("{id}-places"), &drawn)));
    for (position, class) in example.classes.iter().enumerate() {
        let support: Vec<Clip> = class.support.iter().map(|clip| strips.clip(clip)).collect();
        let against = match position {
            _ if position == example.label => "the true class",
            _ if position == example.prediction => "the predicted class",
            _ => "another class",
        };
        pictures.extend(matrix(&format!("{id}-{position}"), against, class, (explanation, range), &query, &support));
        classes.push(Class {
            name: class.name.clone(),
            is_true: position == example.label,
            predicted: position == example.prediction,
            distance: format::loss(f64::from(class.distance)),
            probability: format::percent(f64::from(class.probability)),
            support,
        });
    }
    Ok(Shown {
        right: example.label == example.prediction,
        episode: example.episode,
        label: name(example.label)?,
        prediction,
        query,
        classes,
        pictures,
    })
}

fn matrix(
    id: &str,
    against: &str,
    class: &ExampleClass,
    (explanation, range): (&str, [f64; 2]),
    query: &Clip,
    support: &[Clip],
) -> Option<Picture> {
    let found = class.alignment.as_ref()?;
    let title = format!("Query against {against}: {}", class.name);
    let support: Vec<figures::Picture> = support.iter().filter_map(Clip::picture).collect();
    let matrix = Matrix {
        title: &title,
        explanation,
        costs: &found.costs,
        weights: &found.weights,
        range,
        query: query.picture(),
        support: &support,
    };
    Some(Picture::of(id.to_owned(), &alignment::draw(&matrix)?))
}

impl Picture {
    fn of(id: String, drawn: &Drawn) -> Self {
        Self { id, svg: minijinja::Value::from_safe_string(inline(&drawn.svg)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Study;
    use crate::{Options, report};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use maclip_framework::runs::examples::{ExampleAlignment, Occlusion};
    use maclip_framework::runs::records::FORMAT;

    /// A run of the default study with one example, whose names and files are given.
    fn look(class: &str, file: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let runs = folder.path().join("runs");
        Study { variants: vec![("only".into(), 0.6, 7)], ..Study::default() }.write(&runs, 1);
        let run = runs.join("ablation").read_dir().unwrap().next().unwrap().unwrap().path();
        let alignment = ExampleAlignment {
            costs: vec![vec![0.1, 0.9], vec![0.8, 0.2]],
            weights: vec![vec![1.0, 0.0], vec![0.0, 0.5]],
        };
        let of = |name: &str, alignment| ExampleClass {
            name: name.to_owned(),
            support: vec!["support/1".into()],
            distance: 0.25,
            probability: 0.9,
            alignment,
        };
        let example = Example {
            rule: Rule::ConfidentMistake,
            episode: 17,
            query: "query/1".into(),
            label: 0,
            prediction: 1,
            classes: vec![of("true class", None), of(class, Some(alignment))],
            occlusion: Some(Occlusion { side: 1, falls: vec![vec![0.25], vec![-0.5]] }),
        };
        let clips = [("query/1".to_owned(), file.to_owned())].into();
        let examples =
            Examples { format: FORMAT, frames: 2, explanation: "soft path".into(), clips, examples: vec![example] };
        let inside = run.join("examples");
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::write(inside.join("examples.json"), serde_json::to_vec(&examples).unwrap()).unwrap();
        std::fs::write(inside.join("a.jpg"), jpeg()).unwrap();
        std::fs::write(inside.join("no-picture.jpg"), b"secret").unwrap();
        std::fs::write(run.join("secret.jpg"), jpeg()).unwrap();
        std::os::unix::fs::symlink("../secret.jpg", inside.join("link.jpg")).unwrap();
        let report = report(&[runs], Some(&folder.path().join("out")), &Options::default()).unwrap();
        // A template writes a slash as an entity.
        std::fs::read_to_string(report.index).unwrap().replace("&#x2f;", "/")
    }

    /// A grey picture.
    fn jpeg() -> Vec<u8> {
        let mut bytes = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
        encoder.encode(&[99; 16 * 8], 16, 8, jpeg_encoder::ColorType::Luma).unwrap();
        bytes
    }

    #[test]
    fn an_example_has_its_frames_distances_and_matrix() {
        let page = look("other class", "a.jpg");
        assert!(page.contains("Most confident mistakes") && !page.contains("Closest calls"));
        assert!(page.contains(&format!(";base64,{}", STANDARD.encode(jpeg()))), "the frames");
        assert!(page.contains("<strong>true class</strong> taken for <strong>other class</strong>"));
        assert!(page.contains("0.250") && page.contains("90.0 %"));
        assert!(page.contains("Query against the predicted class") && page.contains("frames 1 and 2: distance 0.900"));
        assert!(page.contains("frame 2, row 1, column 1 covered: +50.0 points"), "where the answer comes from");
    }

    #[test]
    fn names_are_text() {
        let page = look("<script>alert(1)</script>", "a.jpg");
        assert!(!page.contains("<script>alert") && page.contains("&lt;script&gt;alert"));
    }

    #[test]
    fn only_pictures_of_the_run_itself_are_on_the_page() {
        for file in ["../secret.jpg", "link.jpg", "no-picture.jpg"] {
            let page = look("other class", file);
            assert!(!page.contains(&STANDARD.encode("secret")) && !page.contains(&STANDARD.encode(jpeg())), "{file}");
        }
    }
}
