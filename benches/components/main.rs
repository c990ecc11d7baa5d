//! Each component's forward and backward pass beside PyTorch's, one repetition of each in turns.
//!
//! ```sh
//! cargo bench --bench components                                                    # our side alone
//! MACLIP_PEER=peer_bench.py MACLIP_PYTHON=python cargo bench --bench components     # beside PyTorch (eager)
//! MACLIP_BENCH=attention,otam_1shot cargo bench --bench components                  # some components
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `MACLIP_BENCH` | all | names of components, with commas between |
//! | `MACLIP_BENCH_SIZES` | `tiny,vit-b-32` | sizes |
//! | `MACLIP_BENCH_THREADS` | `all` | numbers of threads, such as `1,all`; a process for each |
//! | `MACLIP_BENCH_REPETITIONS` | 9 | repetitions that count; one more before them does not |
//! | `MACLIP_PEER`, `MACLIP_PYTHON` | none, `python3` | as for `--bench engine` |
//!
//! Forward is without gradients, as in an evaluation. Forward and backward is with the gradients of the inputs, and of
//! the weights where they are trained: `frozen_…`, `attention`, `feed_forward` and `frozen_block` have frozen weights.
//! All clips go through a component at once; a training step encodes its episode in four parts side by side. Printed
//! are medians, and as a ratio the median of the ratios of a turn: above 1, ours is faster. Components without weights
//! must have the same sum of their output on both sides.

mod parts;

use maclip_components as _;
use parts::{Measured, Part, SIZES, Size};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Time between two turns.
const PAUSE: Duration = Duration::from_millis(5);

/// The variable `name`, or `default` where it is not set.
fn variable(name: &str, default: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| default.to_owned())
}

/// The value in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A process of PyTorch that measures one repetition for each line that it is sent.
struct Peer(Child, BufReader<std::process::ChildStdout>);

impl Peer {
    /// `None` where `MACLIP_PEER` names no model.
    fn start(threads: &str) -> Option<Self> {
        std::env::var_os("MACLIP_PEER")?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peer_components.py");
        let mut command = Command::new(variable("MACLIP_PYTHON", "python3"));
        command.arg(script).args(["--threads", threads]).env("OMP_NUM_THREADS", threads);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Python starts");
        let answers = BufReader::new(child.stdout.take().expect("the output is a pipe"));
        Some(Self(child, answers))
    }

    fn measure(&mut self, size: &str, part: &str, backward: bool) -> Measured {
        let line = format!("{size} {part} {}\n", if backward { "backward" } else { "forward" });
        let input = self.0.stdin.as_mut().expect("the input is a pipe");
        input.write_all(line.as_bytes()).expect("the peer reads");
        let mut answer = String::new();
        self.1.read_line(&mut answer).expect("the peer answers");
        let numbers: Vec<f64> = answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [milliseconds, sum] = numbers[..] else { panic!("the peer answers {answer:?} to {line:?}") };
        Measured { milliseconds, sum }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Three cells of the table: ours, the peer's, and the ratio.
fn cells(size: &Size, part: &Part, backward: bool, repetitions: usize, peer: &mut Option<Peer>) -> String {
    if backward && !part.differentiable {
        return "– | – | –".to_owned();
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for repetition in 0..=repetitions {
        // The threads of the other process look for work for a while after their last piece of it.
        std::thread::sleep(PAUSE);
        let mine = part.measure(backward);
        let other = peer.as_mut().map(|peer| {
            std::thread::sleep(PAUSE);
            peer.measure(size.name, &part.name, backward)
        });
        if let Some(other) = other.as_ref().filter(|_| part.weightless) {
            let (a, b) = (mine.sum, other.sum);
            assert!((a - b).abs() <= 1e-3 * (1.0 + b.abs()), "{} {}: the sums are {a} and {b}", size.name, part.name);
        }
        if repetition > 0 {
            ours.push(mine.milliseconds);
            theirs.extend(other.map(|other| other.milliseconds));
        }
    }
    if theirs.is_empty() {
        return format!("{:.3} | – | –", median(ours));
    }
    let ratio = median(ours.iter().zip(&theirs).map(|(our, their)| their / our).collect());
    format!("{:.3} | {:.3} | {ratio:.2}", median(ours), median(theirs))
}

/// The table for the number of threads of this process.
fn table(threads: &str) {
    let chosen = |variable_name: &str, name: &str| {
        std::env::var(variable_name).map_or(true, |names| names.split(',').any(|chosen| chosen.trim() == name))
    };
    let repetitions = variable("MACLIP_BENCH_REPETITIONS", "9").parse().expect("MACLIP_BENCH_REPETITIONS is a number");
    let mut peer = Peer::start(threads);
    println!("\nthreads {threads}, MACLIP_SIMD {}, {repetitions} repetitions\n", variable("MACLIP_SIMD", "not set"));
    println!("| component | size | forward, ms | PyTorch | ratio | forward and backward, ms | PyTorch | ratio |");
    println!("|{}", "---|".repeat(8));
    for size in SIZES.iter().filter(|size| chosen("MACLIP_BENCH_SIZES", size.name)) {
        let parts = parts::all(size).unwrap_or_else(|error| panic!("{error}"));
        for part in parts.iter().filter(|part| chosen("MACLIP_BENCH", &part.name)) {
            let [forward, both] = [false, true].map(|backward| cells(size, part, backward, repetitions, &mut peer));
            println!("| {} | {} | {forward} | {both} |", part.name, size.name);
        }
    }
}

fn main() {
    maclip_kernels::allocator::keep_pages();
    if std::env::var_os("MACLIP_BENCH_CHILD").is_some() {
        return table(&variable("RAYON_NUM_THREADS", ""));
    }
    let all = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let own = std::env::current_exe().expect("a program knows its file");
    for threads in variable("MACLIP_BENCH_THREADS", "all").split(',') {
        let threads = if threads.trim() == "all" { &all } else { threads.trim() };
        let mut command = Command::new(&own);
        let status = command.env("MACLIP_BENCH_CHILD", "1").env("RAYON_NUM_THREADS", threads).status();
        assert!(status.expect("this program starts again").success(), "the table for {threads} threads");
    }
}
