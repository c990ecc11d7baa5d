//! Clips per second from video files: decode, pick 8 frames, resize and cut as CLIP does.
//!
//! ```sh
//! cargo bench --workspace --bench decode                                            # clips that ffmpeg makes: 340x256, 10 s, H.264
//! cargo bench --workspace --bench decode -- FOLDER                                  # up to 100 MP4 files below a folder
//! MACLIP_BENCH_PYTHON=python cargo bench --workspace --bench decode -- FOLDER       # beside PyAV and decord, by turns
//! cargo bench --workspace --features libav --bench decode -- FOLDER                 # with each of our decoders
//! ```
//!
//! Two workers each; all read the same clips in every repetition. Printed are medians, and as ratios the medians of the ratios of a
//! repetition. Ours resizes in the threads that take the frames, beside its two decoding processes: on a machine of more than two
//! cores put it under `taskset -c 0,1`.

use maclip_components::datasets::readers::Readers;
use maclip_components::datasets::readers::video::Decoder;
use maclip_framework::error::Result;
use maclip_framework::images::{Image, clip_resize_crop};
use maclip_framework::slots::dataset::{Request, Timeline};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 5;
const WORKERS: usize = 2;
const CLIPS: usize = 100;
const FRAMES: usize = 8;
/// Clips that are asked for at once: those of one or of several episodes.
const READS: [usize; 2] = [20, CLIPS];
const PEERS: [&str; 2] = ["pyav", "decord"];
/// Those of this build, by turns.
const DECODERS: &[(&str, Decoder)] = match cfg!(feature = "libav") {
    true => &[("ffmpeg", Decoder::Ffmpeg), ("libav", Decoder::Libav), ("libav_trusted", Decoder::LibavTrusted)],
    false => &[("ffmpeg", Decoder::Ffmpeg)],
};

/// The MP4 files below a folder, sorted by path.
fn clips(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            clips(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "mp4") {
            found.push(path);
        }
    }
}

/// 12 clips of moving detail and noise, each from another place.
fn generate(folder: &Path) {
    for clip in 0..12 {
        let source = format!("mandelbrot=size=340x256:rate=30:start_scale={}", 3.0 - 0.2 * f64::from(clip));
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &source, "-t", "10", "-vf", "noise=alls=12:allf=t"])
            .args(["-c:v", "libx264", "-preset", "medium", "-crf", "23", "-pix_fmt", "yuv420p"])
            .arg(folder.join(format!("{clip:02}.mp4")))
            .status();
        assert!(made.expect("ffmpeg starts").success(), "ffmpeg makes {clip}");
    }
}

fn ours(paths: &[PathBuf], at_once: usize, decoder: Decoder) -> f64 {
    let choose = |timeline: &Timeline| -> Result<Vec<usize>> {
        Ok((0..FRAMES).map(|part| (2 * part + 1) * timeline.frames / (2 * FRAMES)).collect())
    };
    let each = |image: Image| clip_resize_crop(&image, 224);
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    let readers = Readers::with(decoder);
    let started = Instant::now();
    for names in names.chunks(at_once) {
        let requests: Vec<Request> = names.iter().map(|clip| Request { clip, choose: &choose, each: &each }).collect();
        for opened in readers.read(&requests, |clip| Ok(PathBuf::from(clip))) {
            assert_eq!(opened.expect("the clip is sound").frames.images.len(), FRAMES);
        }
    }
    paths.len() as f64 / started.elapsed().as_secs_f64()
}

fn peers(python: &str, folder: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/decode_peers.py");
    let numbers = [CLIPS.to_string(), WORKERS.to_string()];
    let output = Command::new(python)
        .arg(script)
        .arg(folder)
        .args(["--clips", &numbers[0], "--workers", &numbers[1]])
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    maclip_kernels::allocator::keep_pages();
    #[cfg(feature = "libav")]
    if maclip_components::datasets::readers::serve_if_asked().is_some() {
        return;
    }
    rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build_global().expect("no other pool is there yet");
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = given.map_or_else(|| temporary.path().to_path_buf(), PathBuf::from);
    if folder == temporary.path() {
        generate(&folder);
    }
    let mut paths = Vec::new();
    clips(&folder, &mut paths);
    paths.sort();
    let step = (paths.len() / CLIPS).max(1);
    let paths: Vec<PathBuf> = paths.into_iter().step_by(step).take(CLIPS).collect();
    assert!(!paths.is_empty(), "no MP4 file below {}", folder.display());
    let python = std::env::var("MACLIP_BENCH_PYTHON").ok();
    // The first read finds out what the programs can do and brings the files into memory.
    DECODERS.iter().for_each(|&(_, decoder)| _ = ours(&paths, CLIPS, decoder));
    let mut rates: Vec<Vec<[f64; READS.len()]>> = vec![Vec::new(); DECODERS.len()];
    let mut others: Vec<Value> = Vec::new();
    for _ in 0..REPETITIONS {
        for (rates, &(_, decoder)) in rates.iter_mut().zip(DECODERS) {
            rates.push(READS.map(|at_once| ours(&paths, at_once, decoder)));
        }
        others.extend(python.iter().map(|python| peers(python, &folder)));
    }
    println!("{} clips, {WORKERS} workers, {REPETITIONS} repetitions\n", paths.len());
    let theirs = |peer: &str| -> Vec<f64> { others.iter().filter_map(|other| other[peer].as_f64()).collect() };
    let peers: Vec<(&str, Vec<f64>)> = PEERS.into_iter().map(|peer| (peer, theirs(peer))).collect();
    let peers: Vec<_> = peers.into_iter().filter(|(_, theirs)| theirs.len() == REPETITIONS).collect();
    let columns: String = peers.iter().map(|(peer, _)| format!(" ÷ {peer} |")).collect();
    println!("| reader | clips/s |{columns}\n|---|---|{}", "---|".repeat(peers.len()));
    for (rates, (name, _)) in rates.iter().zip(DECODERS) {
        for (row, at_once) in READS.iter().enumerate() {
            let ours = || rates.iter().map(|rates| rates[row]);
            let ratio = |theirs: &[f64]| median(ours().zip(theirs).map(|(ours, other)| ours / other).collect());
            let ratios: String = peers.iter().map(|(_, theirs)| format!(" {:.2} |", ratio(theirs))).collect();
            println!("| {name}, {at_once} at once | {:.1} |{ratios}", median(ours().collect()));
        }
    }
    for (peer, theirs) in peers {
        println!("| {peer} | {:.1} |{}", median(theirs), " |".repeat(columns.matches('÷').count()));
    }
}
