//! The clip store: an epoch that decodes, filling the store, and an epoch that reads it; then how its frames are best read.
//!
//! ```sh
//! cargo bench --workspace --bench clips                  # clips that ffmpeg makes: 340x256, 10 s, H.264
//! cargo bench --workspace --bench clips -- FOLDER        # <folder>/<class>/<clip>.mp4
//! ```
//!
//! 8 drawn frames of every clip at CLIP ViT-B/16's 224×224, 20 clips at once, after a short side of 256: what the recipes of the
//! benchmarks do. Every repetition begins with an empty store. Printed are medians, and as ratios the medians of a repetition's.

use maclip_components as _;
use maclip_framework::clips::filler::Filler;
use maclip_framework::clips::loader::{ClipLoader, View};
use maclip_framework::clips::sources::Part;
use maclip_framework::clips::store::stored::StoredClips;
use maclip_framework::engine::task;
use maclip_framework::progress::Silent;
use maclip_framework::random::Stream;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_language::read_str;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REPETITIONS: usize = 5;
const AT_ONCE: usize = 20;
/// Frames of 256×340, and how many of them a clip needs.
const FRAME: usize = 256 * 340 * 3;
const FRAMES: usize = 8;

/// Six classes of two clips.
fn generate(folder: &Path) {
    for clip in 0..12 {
        let place = folder.join(format!("class {}", clip % 6));
        std::fs::create_dir_all(&place).expect("a folder can be made");
        let source = format!("mandelbrot=size=340x256:rate=30:start_scale={}", 3.0 - 0.2 * clip as f64);
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &source, "-t", "10", "-vf", "noise=alls=12:allf=t"])
            .args(["-c:v", "libx264", "-preset", "medium", "-crf", "23", "-pix_fmt", "yuv420p"])
            .arg(place.join(format!("{clip:02}.mp4")))
            .status();
        assert!(made.expect("ffmpeg starts").success(), "ffmpeg makes {clip}");
    }
}

/// Seconds of the epoch that fills the store, of one that reads it, and of one that decodes without a store.
fn epochs(folder: &Path, format: &str) -> [f64; 3] {
    let store = tempfile::tempdir().expect("a temporary folder can be made");
    let classes = std::fs::read_dir(folder).expect("the folder can be read").count();
    let text = format!(
        "name: bench\n\
         dataset: {{type: video_folder, root: {root}, draw: {{train: {train}, val: 1, test: 1}}}}\n\
         frames: {{type: uniform_segments, count: {FRAMES}}}\nresize: {{type: short_side, side: 256}}\n\
         augment: {{type: random_crop}}\nbackbone: {{type: clip_vit, architecture: ViT-B/16, weights: none}}\n\
         clip_store: {{folder: {store}, format: {format}}}\n",
        root = serde_json::json!(folder),
        train = classes - 2,
        store = serde_json::json!(store.path()),
    );
    let written = read_str("bench", &text).expect("the recipe is YAML");
    let recipe = Recipe::check_for(&written, Purpose::Plan).expect("the recipe is valid");
    let mut needs = task::of(&recipe).and_then(|task| task.needs(&recipe)).expect("the clips are there");
    // Of the others only the frames of the test are kept.
    needs.wants.retain(|(_, part)| *part == Part::All);
    let stored = StoredClips::open(&recipe, &needs.clips, &needs.geometry, store.path()).expect("the store opens");
    let loader = |store| ClipLoader { clips: &needs.clips, geometry: &needs.geometry, device: &needs.device, store };
    let draws = Stream::new(1, "bench");
    let epoch = |store, epoch: u64| {
        let loader = loader(store);
        let started = Instant::now();
        for (at, wants) in needs.wants.chunks(AT_ONCE).enumerate() {
            let view = |i: usize| View::Training(draws.at(epoch << 32 | (at * AT_ONCE + i) as u64));
            let clips: Vec<(&str, View)> =
                wants.iter().enumerate().map(|(i, (clip, _))| (clip.as_str(), view(i))).collect();
            assert_eq!(loader.open(&clips).expect("the clips are sound").len(), clips.len());
        }
        started.elapsed().as_secs_f64()
    };
    let decoding = epoch(None, 0);
    let started = Instant::now();
    let with_store = loader(Some(&stored));
    let wants: Vec<_> = needs.wants.iter().map(|(clip, part)| (clip.as_str(), *part)).collect();
    let filler = Filler::look(&with_store, &wants, &Silent).expect("the store is read").expect("the store is on");
    let filled = filler.fill(&Silent).expect("the clips are sound");
    assert_eq!((filled.kept, filled.broken.len()), (wants.len(), 0));
    epoch(Some(&stored), 1);
    let filling = started.elapsed().as_secs_f64();
    [filling, epoch(Some(&stored), 2), decoding]
}

/// Gigabytes per second of frames at places that are drawn, checked by their CRC: into buffers of their own with `pread`, and out of
/// a map of the file.
fn reads(file: &File, size: usize, repetition: u64) -> [f64; 2] {
    let mut rng = Stream::new(repetition, "places").at(0);
    let places: Vec<usize> = (0..400 * FRAMES).map(|_| rng.below(size / FRAME) * FRAME).collect();
    // SAFETY: the file is this process's own, and nobody writes to it while it is mapped.
    let map = unsafe { memmap2::Mmap::map(file) }.expect("the file can be mapped");
    let with = |read: &dyn Fn(usize) -> Vec<u8>| {
        let started = Instant::now();
        let sums: Vec<u32> = places.iter().map(|&at| crc32fast::hash(&read(at))).collect();
        assert_eq!(sums.len(), places.len());
        (places.len() * FRAME) as f64 / 1e9 / started.elapsed().as_secs_f64()
    };
    let pread = with(&|at| {
        let mut bytes = vec![0; FRAME];
        file.read_exact_at(&mut bytes, at as u64).expect("the file can be read");
        bytes
    });
    // What the store gives away it must own: augmentation works on it in place.
    let mapped = with(&|at| map[at..at + FRAME].to_vec());
    [pread, mapped]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    maclip_kernels::allocator::keep_pages();
    let temporary = tempfile::tempdir().expect("a temporary folder can be made");
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let folder = given.map_or_else(|| temporary.path().join("clips"), PathBuf::from);
    if folder.starts_with(temporary.path()) {
        generate(&folder);
    }
    println!(
        "{REPETITIONS} repetitions\n\n| format | decoding, s | filling and first, s | second, s | first / second | decoding / second |\n|---|---|---|---|---|---|"
    );
    for format in ["raw", "jpeg"] {
        let times: Vec<[f64; 3]> = (0..REPETITIONS).map(|_| epochs(&folder, format)).collect();
        let column = |at: usize| median(times.iter().map(|times| times[at]).collect());
        let ratio = |at: usize| median(times.iter().map(|times| times[at] / times[1]).collect());
        println!(
            "| {format} | {:.2} | {:.2} | {:.3} | {:.1} | {:.1} |",
            column(2),
            column(0),
            column(1),
            ratio(0),
            ratio(2)
        );
    }
    let size = 512 << 20;
    let path = temporary.path().join("frames");
    std::fs::write(&path, vec![7; size]).expect("there is room for 512 MB");
    let file = File::open(&path).expect("the file is there");
    reads(&file, size, 0);
    let speeds: Vec<[f64; 2]> = (1..=REPETITIONS as u64).map(|repetition| reads(&file, size, repetition)).collect();
    let column = |at: usize| median(speeds.iter().map(|speeds| speeds[at]).collect());
    let ratio = median(speeds.iter().map(|speeds| speeds[0] / speeds[1]).collect());
    println!("\nframes of 261 kB: pread {:.2} GB/s, a map {:.2} GB/s, ratio {ratio:.2}", column(0), column(1));
}
