//! `maclip doctor --measure`: how fast a device trains, encodes and aligns, from short runs of the quickstart with
//! towers of two sizes.

use crate::shipped;
use crate::terminal::{say, say_data, tell};
use maclip_components::datasets::readers::video::Programs;
use maclip_framework::engine::rates::{Rate, Rates, Speed, measure};
use maclip_framework::error::{Error, Result};
use maclip_framework::model::plan::short;
use maclip_framework::recipe::study::{StudyRun, expand};
use maclip_framework::recipe::{Purpose, device};
use maclip_framework::slots::backbone::Precision;
use maclip_language::Arguments;
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Side of the frames of the video that is decoded, and their number: 20 s.
const VIDEO: (&str, f64) = ("testsrc2=size=340x256:rate=25:duration=20", 500.0);

/// A run that is measured: a name for its tower, and its changes of the quickstart.
struct Tower {
    name: &'static str,
    changes: Vec<&'static str>,
}

/// Towers for a device. A processor gets less to do: seconds in place of minutes, and a part of the work fills it.
fn towers(device: &str) -> [Tower; 2] {
    let small = vec![
        "task.train={steps: 12, validate_every_steps: 12}",
        "task.test={episodes: 1000, clips_per_class: 12, examples: 0}",
    ];
    let (name, large) = match device::is_processor(device) {
        true => (
            "ViT-B/32",
            vec![
                "backbone={type: clip_vit, weights: random, architecture: ViT-B/32}",
                "frames.count=2",
                "task.episodes_per_step=1",
                "task.train={steps: 5, validate_every_steps: 5}",
                "task.test={episodes: 200, clips_per_class: 3, examples: 0}",
            ],
        ),
        false => (
            "ViT-B/16",
            vec![
                "backbone={type: clip_vit, weights: random, architecture: ViT-B/16}",
                "task.train={steps: 8, validate_every_steps: 8}",
                "task.test={episodes: 1000, clips_per_class: 6, examples: 0}",
            ],
        ),
    };
    [Tower { name: "builtin:shapes_clip", changes: small }, Tower { name, changes: large }]
}

/// Measures `device` in each number format that it has, keeps the rates below `runs`, and shows them.
pub fn run(device: &str, runs: &Path, json: bool) -> Result<()> {
    device::parse(device).map_err(|(message, help)| Error::failed(message).help(help))?;
    let folder = std::env::temp_dir().join(format!("maclip-measure-{}", std::process::id()));
    let measured = all(device, &folder);
    // Nobody needs the runs.
    let _ = std::fs::remove_dir_all(&folder);
    let rates = measured?;
    let path = Rates::file(runs);
    Rates::keep(&path, rates.clone())?;
    if json {
        return say_data(json!({"file": path, "rates": rates}));
    }
    for rate in &rates {
        say(line(rate))?;
    }
    if let Some(frames) = rates.iter().find_map(|rate| rate.decoded_frames) {
        say(format!("decoding: {frames:.0} frames of 340x256 per second"))?;
    }
    say(format!("kept in {}; `maclip plan RECIPE --machines N` uses it", path.display()))
}

fn all(device: &str, folder: &Path) -> Result<Vec<Rate>> {
    let decoded = decode();
    let mut rates = Vec::new();
    for precision in ["f32", "bf16"] {
        for Tower { name, changes } in towers(device) {
            let run = shortened(device, precision, &changes)?;
            if precision == "bf16" && device::probe(device, Precision::Bf16).is_err() {
                continue;
            }
            tell(format!("measures {name} in {precision} on {device}"));
            let mut rate = measure(&run, name, &folder.join(rates.len().to_string()))?;
            rate.decoded_frames = decoded;
            rates.push(rate);
        }
    }
    Ok(rates)
}

/// The run of the quickstart's method with these changes.
fn shortened(device: &str, precision: &str, changes: &[&str]) -> Result<StudyRun> {
    let common = [
        "name=measure".to_owned(),
        format!("device={device}"),
        format!("precision={precision}"),
        "compute.feature_cache=false".to_owned(),
        "task.validation={episodes: 2, clips_per_class: 2}".to_owned(),
    ];
    let sets = common.into_iter().chain(changes.iter().map(|change| (*change).to_owned())).collect();
    let changes = Arguments { sets, unsets: vec!["study".to_owned()], others: Vec::new() };
    let recipe = shipped::find("quickstart").ok_or_else(|| Error::failed("the program has no quickstart"))?;
    let runs = expand(&recipe.load(&changes)?, Purpose::Run)?.runs;
    let mut run = runs.into_iter().next().ok_or_else(|| Error::failed("the quickstart has no run"))?;
    run.recipe.untrained = true;
    Ok(run)
}

/// Frames per second that FFmpeg decodes and hands over; `None` where there is none.
fn decode() -> Option<f64> {
    let folder = tempfile_folder()?;
    let video = folder.join("video.mp4");
    let ffmpeg = Programs::default().ffmpeg;
    let made = Command::new(&ffmpeg)
        .args(["-v", "error", "-y", "-f", "lavfi", "-i", VIDEO.0, "-pix_fmt", "yuv420p"])
        .arg(&video)
        .stdin(Stdio::null())
        .status();
    let rate = made.ok().filter(|status| status.success()).and_then(|_| {
        let started = Instant::now();
        let output = Command::new(&ffmpeg)
            .args(["-v", "error", "-i"])
            .arg(&video)
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .stdin(Stdio::null())
            .output();
        output.ok().filter(|output| output.status.success())?;
        Some(VIDEO.1 / started.elapsed().as_secs_f64())
    });
    let _ = std::fs::remove_dir_all(&folder);
    rate
}

/// A new folder for the video.
fn tempfile_folder() -> Option<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("maclip-decode-{}", std::process::id()));
    std::fs::create_dir_all(&folder).ok().map(|()| folder)
}

fn line(rate: &Rate) -> String {
    let Speed { training, encoding, aligning } = rate.speed;
    let [training, encoding, aligning] = [training, encoding, aligning].map(short);
    format!(
        "{} ({}, {} threads), {}, {}: training {training}FLOP/s, encoding {encoding}FLOP/s, alignment {aligning}FLOP/s",
        rate.device,
        rate.hardware,
        rate.threads,
        format!("{:?}", rate.precision).to_lowercase(),
        rate.tower
    )
}
