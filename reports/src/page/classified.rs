//! The page of `maclip classify`: what clips were recognised as, and why.

use super::{environment, failed, safe};
use crate::figures::alignment::{self, Matrix};
use crate::figures::{Picture, inline, reliability};
use crate::strips::data_uri;
use crate::{format, palette};
use maclip_framework::engine::classify::calibration::Calibration;
use maclip_framework::engine::classify::timeline::Segment;
use maclip_framework::engine::classify::{Look, best_two};
use maclip_framework::error::Result;
use maclip_framework::files::sha256;
use minijinja::{Value, context};
use serde::Serialize;

/// What the page shows.
pub struct Classified<'a> {
    /// The model in a few words.
    pub model: String,
    /// Names of the classes.
    pub classes: Vec<&'a str>,
    /// Number of support clips; 0 where texts alone say what the classes are.
    pub support: usize,
    /// What the support clips say of the answers; `None` without any.
    pub calibration: Option<&'a Calibration>,
    /// What a reader must know first.
    pub warnings: &'a [String],
    /// The clips that were asked.
    pub clips: Vec<ClassifiedClip<'a>>,
}

/// One clip that was asked.
pub struct ClassifiedClip<'a> {
    /// Its path.
    pub path: &'a str,
    /// Probability of each class.
    pub probabilities: &'a [f64],
    /// Whether it is none of the classes.
    pub unknown: bool,
    /// The timeline of a long video.
    pub segments: &'a [Segment],
    /// The clip beside the nearest example.
    pub look: Option<&'a Look>,
}

#[derive(Serialize)]
struct ClipView {
    path: String,
    predicted: String,
    probability: String,
    runner_up: Option<String>,
    runner_up_probability: String,
    unknown: bool,
    classes: Vec<ClassView>,
    segments: Vec<SegmentView>,
    /// The clip and the nearest example.
    strips: Vec<StripView>,
    nearest: String,
    matrix: Option<Value>,
    explanation: String,
}

/// Frames side by side.
#[derive(Serialize)]
struct StripView {
    id: String,
    frames: usize,
    image: String,
}

#[derive(Serialize)]
struct ClassView {
    name: String,
    probability: String,
    width: String,
}

#[derive(Serialize)]
struct SegmentView {
    start: String,
    end: String,
    name: String,
    probability: String,
    width: String,
    /// Number of the class' colour; `None` where it is none of the classes.
    swatch: Option<usize>,
}

/// Renders the page.
///
/// # Errors
/// Where a figure cannot be drawn.
pub fn classified(page: &Classified) -> Result<String> {
    let clips = page.clips.iter().map(|clip| view(&page.classes, clip)).collect::<Result<Vec<_>>>()?;
    let headline = match page.clips.as_slice() {
        [clip] => format!("1 clip: {}", name_of(page, clip)),
        clips => format::plural(clips.len(), "clip"),
    };
    let support = match page.support {
        0 => format!("{} named by text", classes(page.classes.len())),
        clips => format!("{} by {}", classes(page.classes.len()), format::plural(clips, "example")),
    };
    filled(
        "classified.html",
        context! {
            style => safe(STYLE),
            palette => palette::palette(),
            themed => palette::DARK,
            headline,
            support,
            page => context! { model => page.model, warnings => page.warnings },
            trust => page.calibration.map(TrustView::of).transpose()?.flatten(),
            clips,
        },
    )
}

/// The part of the page about one clip, as HTML to be put into another page with the style of [`serve_page`].
///
/// # Errors
/// As [`classified`].
pub fn recognised(classes: &[&str], clip: &ClassifiedClip) -> Result<String> {
    filled("recognised.html", context! { clip => view(classes, clip)? })
}

/// The part of the page about how far answers can be trusted; empty where nothing could be left out.
///
/// # Errors
/// As [`classified`].
pub fn trust(calibration: &Calibration) -> Result<String> {
    TrustView::of(calibration)?.map_or(Ok(String::new()), |trust| filled("trust.html", context! { trust }))
}

/// The page of `maclip serve`. It asks the server for everything else.
///
/// # Errors
/// Where the template is damaged.
pub fn serve_page(model: &str) -> Result<String> {
    let (palette, themed) = (palette::palette(), palette::DARK);
    filled("serve.html", context! { style => safe(STYLE), palette, themed, model })
}

/// The script of [`serve_page`].
pub const SERVE_SCRIPT: &str = include_str!("../../templates/serve.js");

const STYLE: &str = include_str!("../../templates/style.css");

fn filled(template: &str, values: Value) -> Result<String> {
    environment()?.get_template(template).and_then(|template| template.render(values)).map_err(failed)
}

#[derive(Serialize)]
struct TrustView {
    sentences: Vec<String>,
    reliability: Option<Value>,
    error: String,
    error_before: String,
}

impl TrustView {
    /// `None` where no example could be left out.
    fn of(found: &Calibration) -> Result<Option<Self>> {
        let Some(share) = found.accuracy else { return Ok(None) };
        let mut sentences = vec![format!(
            "Of {} that were left out once each, {} % were recognised ({} to {} with 95 % confidence); guessing gives {} %.",
            format::plural(share.clips, "support clip"),
            format::percent(share.share),
            format::percent(share.interval[0]),
            format::percent(share.interval[1]),
            format::percent(found.chance)
        )];
        sentences.extend(found.unknown.as_ref().map(|threshold| {
            let strangers = threshold.unknown_refused.map(|share| {
                format!(
                    ", and {} % of clips whose class was taken out ({} to {})",
                    format::percent(share.share),
                    format::percent(share.interval[0]),
                    format::percent(share.interval[1])
                )
            });
            format!(
                "“None of these” is expected to refuse {} % of new clips of these classes{}.",
                format::percent(threshold.known_refused),
                strangers.unwrap_or_default()
            )
        }));
        let [before, after] = found.calibration_error.unwrap_or_default();
        let drawn = reliability::draw(&found.bins).map(|svg| Value::from_safe_string(inline(&svg)));
        let (error, error_before) = (format::percent(after), format::percent(before));
        Ok(Some(Self { sentences, reliability: drawn, error, error_before }))
    }
}

fn classes(number: usize) -> String {
    if number == 1 { "1 class".to_owned() } else { format!("{number} classes") }
}

fn name_of(page: &Classified, clip: &ClassifiedClip) -> String {
    match clip.unknown {
        true => "none of these".to_owned(),
        false => page.classes[best_two(clip.probabilities).0.0].to_owned(),
    }
}

fn view(names: &[&str], clip: &ClassifiedClip) -> Result<ClipView> {
    let ((first, probability), second) = best_two(clip.probabilities);
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|&a, &b| clip.probabilities[b].total_cmp(&clip.probabilities[a]));
    let class = |at: usize| ClassView {
        name: names[at].to_owned(),
        probability: format::percent(clip.probabilities[at]),
        width: format!("{:.2}", clip.probabilities[at] * 75.0),
    };
    let length = clip.segments.last().map_or(1.0, |last| last.end);
    let colours = palette::palette().len();
    let segment = |segment: &Segment| SegmentView {
        start: seconds(segment.start),
        end: seconds(segment.end),
        name: segment.class.clone().unwrap_or_else(|| "none of these".to_owned()),
        probability: format::percent(segment.probability),
        width: format!("{:.3}", (segment.end - segment.start) / length * 100.0),
        swatch: segment
            .class
            .as_ref()
            .and_then(|name| names.iter().position(|class| class == name))
            .map(|at| at % colours),
    };
    let matrix = match clip.look {
        None => None,
        Some(look) => {
            let title = format!("This clip against {}", names[first]);
            let (costs, weights) = (&look.alignment.costs, &look.alignment.weights);
            let frames = costs.len();
            let (query, nearest) = (strip(clip.path, &look.query_frames), strip(clip.path, &look.nearest_frames));
            alignment::draw(&Matrix {
                title: &title,
                explanation: &look.explanation,
                costs,
                weights,
                range: alignment::range(costs),
                query: Some(Picture { strip: &query, frames }),
                support: &[Picture { strip: &nearest, frames }],
            })
        }
    };
    let picture = |bytes: &Vec<u8>| StripView {
        id: strip(clip.path, bytes),
        frames: clip.look.map_or(1, |look| look.alignment.costs.len()),
        image: data_uri(bytes),
    };
    Ok(ClipView {
        path: clip.path.to_owned(),
        predicted: names[first].to_owned(),
        probability: format::percent(probability),
        runner_up: second.map(|(at, _)| names[at].to_owned()),
        runner_up_probability: second.map(|(_, probability)| format::percent(probability)).unwrap_or_default(),
        unknown: clip.unknown,
        classes: order.into_iter().map(class).collect(),
        segments: clip.segments.iter().map(segment).collect(),
        strips: clip
            .look
            .into_iter()
            .flat_map(|look| [&look.query_frames, &look.nearest_frames])
            .map(picture)
            .collect(),
        nearest: clip.look.map(|look| look.nearest.clone()).unwrap_or_default(),
        matrix: matrix.map(|drawn| Value::from_safe_string(inline(&drawn.svg))),
        explanation: clip.look.map(|look| look.explanation.clone()).unwrap_or_default(),
    })
}

/// An id for a strip of the part about the clip at `path`, unique on pages that are put together of such parts.
fn strip(path: &str, jpeg: &[u8]) -> String {
    format!("strip-{}", &sha256(&[path.as_bytes(), jpeg].concat())[..16])
}

/// `1:02.5`
fn seconds(time: f64) -> String {
    let tenths = (time * 10.0).round() as u64;
    format!("{}:{:02}.{}", tenths / 600, tenths / 10 % 60, tenths % 10)
}
