//! Steps and nothing else: a training step, an episode of an evaluation, the encoding of a clip; beside PyTorch.
//!
//! ```sh
//! cargo bench --bench engine                                                    # our side alone
//! MACLIP_PEER=peer_bench.py MACLIP_PYTHON=python cargo bench --bench engine     # and PyTorch, eager and compiled
//! MACLIP_BENCH=train-vit-b-16-1shot cargo bench --bench engine                  # one case, of those by name too
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `MACLIP_BENCH` | the default cases | names of cases, with commas between |
//! | `MACLIP_BENCH_THREADS` | `all` | numbers of threads, such as `1,all` |
//! | `MACLIP_BENCH_REPETITIONS` | 3 | turns: measurements of each case and side |
//! | `MACLIP_BENCH_PEERS` | `eager,compiled` | which peers take turns with ours |
//! | `MACLIP_BENCH_PEER_LIMIT` | 600 | seconds for one measurement of a peer; one that takes longer is ended and said |
//! | `MACLIP_DEVICE` | `flex` | the device of our side; where it is a card, the peer computes on `cuda` |
//! | `MACLIP_PRECISION` | `f32` | `bf16`: the recipe's `precision`, and the peer under autocast |
//! | `MACLIP_BENCH_AT_ONCE` | all | episodes of a step that ours computes side by side |
//! | `MACLIP_PEER` | none | the file with the peer's model; scripts/peer_step.py times it |
//! | `MACLIP_PYTHON` | `python3` | a Python with torch; `compiled` also needs a C++ compiler |
//! | `MACLIP_BENCH_JSON` | none | a file that gets one JSON object for each line of the table |
//!
//! Every measurement is a process of its own, so that its peak memory is its own; ours and the peers' take turns. Each
//! warms up, then times its repetitions one by one. Ours is the product: the training is a run of the few-shot task
//! that is stopped after its last step, the evaluation is the engine's. The clips are random, 240 in 24 classes as the
//! peer's.
//!
//! The time of a measurement is the median of its repetitions. Printed are medians over measurements, and as a ratio
//! the median of the ratios of a turn: above 1, ours is faster. The peer's memory is printed without its pool of clips,
//! which ours makes when it opens them. On a card the memory is the card's, as `nvidia-smi` says it, and the peer's pool
//! lies on the card before the time starts, whereas ours opens each step's clips and sends them there. Beside the memory
//! of a training or evaluation stands what `maclip plan` estimates for it.

mod card;
mod cases;
mod noise;
mod ours;
mod peer;

use cases::{CASES, Case};
use maclip_components as _;
use maclip_framework::recipe::device::nvidia_card;
use peer::Peer;
use serde::Serialize;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The median of at least one value; of an even number of them the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

/// The variable `name`, or `default` where it is not set.
fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The JSON object that `command` prints; `None` where it was ended because it took longer than `limit`.
fn run(command: &mut Command, limit: Duration) -> Option<Value> {
    // Files, as nobody reads pipes meanwhile.
    let [mut said, mut errors] = [(); 2].map(|()| tempfile::tempfile().expect("a temporary file can be made"));
    let second = |file: &File| file.try_clone().expect("an open file can be opened twice");
    let child = command.stdout(second(&said)).stderr(second(&errors)).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("a process that was started can be waited for") {
            Some(status) => break status,
            None if began.elapsed() < limit => std::thread::sleep(Duration::from_millis(20)),
            None => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let read = |file: &mut File| {
        let mut bytes = Vec::new();
        file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    };
    assert!(status.success(), "{command:?}\n{}", read(&mut errors));
    let text = read(&mut said);
    let start = text.find('{').unwrap_or_else(|| panic!("no JSON from {command:?}:\n{text}"));
    Some(serde_json::from_str(text[start..].trim()).unwrap_or_else(|error| panic!("{command:?}: {error}\n{text}")))
}

/// What one process measured.
struct Measured {
    /// Of a step, an episode or a clip.
    seconds: f64,
    /// Peak memory: resident, or on the card where one computes.
    mib: f64,
    /// What a plan estimates for it; only of ours.
    planned_mib: Option<f64>,
}

impl Measured {
    /// What `command` measures; `None` where it does not end within `limit`.
    fn within(command: &mut Command, limit: Duration) -> Option<Self> {
        let watch = nvidia_card(&device()).map(card::Watch::start);
        let found = run(command, limit);
        let on_card = watch.map(card::Watch::stop);
        let found = found?;
        let number = |key: &str| found[key].as_f64();
        let needed = |key: &str| number(key).unwrap_or_else(|| panic!("no {key} in {found}"));
        let all = on_card.unwrap_or_else(|| needed("peak_rss_mib"));
        Some(Self {
            seconds: needed("seconds_median"),
            mib: all - number("pool_mib").unwrap_or(0.0),
            planned_mib: number("planned_mib"),
        })
    }
}

/// The device of our side, as a recipe names it.
fn device() -> String {
    variable("MACLIP_DEVICE", "flex")
}

/// The precision of both sides, as a recipe names it.
fn precision() -> String {
    variable("MACLIP_PRECISION", "f32")
}

fn ours(case: &Case, weights: &Path, threads: usize) -> Measured {
    let own = std::env::current_exe().expect("a program knows its file");
    let mut command = Command::new(own);
    command.env("MACLIP_BENCH_CHILD", case.name).env("MACLIP_BENCH_WEIGHTS", weights);
    let measured = Measured::within(command.env("RAYON_NUM_THREADS", threads.to_string()), Duration::MAX);
    measured.expect("there is no limit")
}

/// The other side of [`ours`]: one measurement in this process.
fn child(name: &str) {
    let weights = std::env::var_os("MACLIP_BENCH_WEIGHTS").expect("the parent says which weights");
    let threads = variable("RAYON_NUM_THREADS", "").parse().expect("the parent says how many threads");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let found = ours::measure(cases::named(name), Path::new(&weights), threads, folder.path());
    println!("{}", found.unwrap_or_else(|error| panic!("{error}")));
}

/// Numbers of threads to measure with.
fn thread_counts() -> Vec<usize> {
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let number = |text: &str| match text.trim() {
        "all" => all,
        other => other.parse().expect("MACLIP_BENCH_THREADS has numbers and `all`"),
    };
    let mut counts: Vec<usize> = variable("MACLIP_BENCH_THREADS", "all").split(',').map(number).collect();
    counts.dedup();
    counts
}

/// The name of the processor, as Linux says it.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or_else(|| "unknown processor".to_owned(), |(_, name)| name.to_owned())
}

fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// What one line of the table says.
#[derive(Serialize)]
struct Row {
    case: &'static str,
    device: String,
    precision: String,
    threads: usize,
    ms: f64,
    mib: f64,
    /// What `maclip plan` estimates.
    planned_mib: Option<f64>,
    peers: Vec<PeerCells>,
}

/// The cells of one peer.
#[derive(Serialize)]
struct PeerCells {
    peer: &'static str,
    /// What it took; `null` where a measurement did not end within the limit.
    took: Option<PeerTook>,
    limit_seconds: u64,
}

/// What a peer took.
#[derive(Serialize)]
struct PeerTook {
    ms: f64,
    /// Its time in parts of ours.
    ratio: f64,
    mib: f64,
}

/// The measurements of a peer, of each turn; `None` after one that did not end.
type Turns = Option<Vec<Measured>>;

impl Row {
    fn new(case: &Case, threads: usize, ours: &[Measured], peers: &[(&Peer, Turns)]) -> Self {
        let time = |of: &[Measured]| 1e3 * median(of.iter().map(|m| m.seconds).collect());
        let memory = |of: &[Measured]| median(of.iter().map(|m| m.mib).collect());
        let took = |theirs: &Vec<Measured>| {
            let ratios = ours.iter().zip(theirs).map(|(our, their)| their.seconds / our.seconds).collect();
            PeerTook { ms: time(theirs), ratio: median(ratios), mib: memory(theirs) }
        };
        let cells = |(peer, theirs): &(&Peer, Turns)| PeerCells {
            peer: peer.name,
            took: theirs.as_ref().map(took),
            limit_seconds: peer::limit().as_secs(),
        };
        let (device, precision) = (device(), precision());
        let (ms, mib, peers) = (time(ours), memory(ours), peers.iter().map(cells).collect());
        let planned_mib = ours.first().and_then(|measured| measured.planned_mib);
        Self { case: case.name, device, precision, threads, ms, mib, planned_mib, peers }
    }

    fn line(&self) -> String {
        let mut cells = vec![self.case.to_owned(), self.threads.to_string(), format!("{:.3}", self.ms)];
        cells.extend(self.peers.iter().flat_map(|peer| match &peer.took {
            Some(PeerTook { ms, ratio, .. }) => [format!("{ms:.2}"), format!("{ratio:.2}")],
            None => [format!("did not end in {} s", peer.limit_seconds), "–".to_owned()],
        }));
        cells.push(format!("{:.0}", self.mib));
        cells.push(self.planned_mib.map_or_else(|| "–".to_owned(), |planned| format!("{planned:.0}")));
        let memory = |peer: &PeerCells| peer.took.as_ref().map_or("–".to_owned(), |took| format!("{:.0}", took.mib));
        cells.extend(self.peers.iter().map(memory));
        format!("| {} |", cells.join(" | "))
    }
}

fn header(peers: &[Peer]) -> String {
    let mut cells = vec!["case".to_owned(), "threads".to_owned(), "maclip, ms".to_owned()];
    cells.extend(peers.iter().flat_map(|peer| [format!("{}, ms", peer.name), "ratio".to_owned()]));
    cells.extend(["maclip, MiB", "planned, MiB"].map(str::to_owned));
    cells.extend(peers.iter().map(|peer| format!("{}, MiB", peer.name)));
    format!("| {} |\n|{}", cells.join(" | "), "---|".repeat(cells.len()))
}

/// Appends `row` to the file that `MACLIP_BENCH_JSON` names.
fn keep(row: &Row) {
    let Some(path) = std::env::var_os("MACLIP_BENCH_JSON") else { return };
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| writeln!(file, "{}", json!(row)));
    written.unwrap_or_else(|error| panic!("MACLIP_BENCH_JSON, {}: {error}", path.display()));
}

fn main() {
    maclip_kernels::allocator::keep_pages();
    if let Ok(name) = std::env::var("MACLIP_BENCH_CHILD") {
        return child(&name);
    }
    let cases: Vec<&Case> = match std::env::var("MACLIP_BENCH") {
        Ok(names) => names.split(',').map(cases::named).collect(),
        Err(_) => CASES.iter().filter(|case| case.default).collect(),
    };
    let repetitions: usize =
        variable("MACLIP_BENCH_REPETITIONS", "3").parse().expect("MACLIP_BENCH_REPETITIONS is a number");
    assert!(repetitions > 0, "MACLIP_BENCH_REPETITIONS is at least 1");
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let peers = peer::chosen(folder.path());
    println!(
        "{}; {} {}; maclip {}, MACLIP_SIMD {}; {repetitions} turns, load {}\n",
        processor(),
        device(),
        precision(),
        env!("CARGO_PKG_VERSION"),
        variable("MACLIP_SIMD", "not set"),
        load(),
    );
    println!("{}", header(&peers));
    for threads in thread_counts() {
        for case in &cases {
            let weights = folder.path().join(format!("{}.safetensors", case.arch));
            if !weights.is_file() {
                ours::checkpoint(case.arch, &weights).unwrap_or_else(|error| panic!("{error}"));
            }
            let mut mine = Vec::new();
            let mut theirs: Vec<(&Peer, Turns)> = peers.iter().map(|peer| (peer, Some(Vec::new()))).collect();
            for turn in 1..=repetitions {
                mine.push(ours(case, &weights, threads));
                for (peer, turns) in &mut theirs {
                    *turns = turns.take().and_then(|mut found| {
                        found.push(peer.measure(case, threads)?);
                        Some(found)
                    });
                }
                let last = |of: &[Measured]| of.last().map_or(f64::NAN, |m| 1e3 * m.seconds);
                let said = |(peer, turns): &(&Peer, Turns)| match turns {
                    Some(found) => format!(", {} {:.2}", peer.name, last(found)),
                    None => format!(", {} did not end", peer.name),
                };
                let (ours, others) = (last(&mine), theirs.iter().map(said).collect::<String>());
                eprintln!("{} {threads}t #{turn}: maclip {ours:.3}{others} ms, load {}", case.name, load());
            }
            let row = Row::new(case, threads, &mine, &theirs);
            keep(&row);
            println!("{}", row.line());
        }
    }
}
