//! Kills a training of the quickstart's size at random moments, resumes it each time, and compares what comes out with an
//! undisturbed run: records and weights must be the same bytes.
//!
//! ```sh
//! cargo bench --bench kill_and_resume                 # 200 kills, about 15 minutes
//! cargo bench --bench kill_and_resume -- KILLS
//! ```
//!
//! Every fourth kill waits until a checkpoint is being written; every tenth is SIGTERM, every tenth SIGINT, which must end with exit
//! code 130 and the status `interrupted`. A run that gets to its end is compared and begun anew until all kills are done.

use maclip_framework::random::{Rng, Stream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Steps between checkpoints: few, so that a run that is killed all the time gets on.
const CHECKPOINT_EVERY: u64 = 3;

fn command(runs: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_maclip"));
    let every = format!("task.train.checkpoint_every_steps={CHECKPOINT_EVERY}");
    command.args(["run", "recipes/quickstart.yaml", "--set", "study.variants=null", "--set", &every, "--runs"]);
    command.arg(runs).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// The only run below `runs`.
fn run_directory(runs: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(runs.join("quickstart")).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).find(|path| path.join("lock").is_file())
}

fn newest_step(run: &Path) -> u64 {
    maclip_framework::runs::store::checkpoint_steps(run).ok().and_then(|steps| steps.first().copied()).unwrap_or(0)
}

fn is_done(run: &Path) -> bool {
    std::fs::read_to_string(run.join("status.json")).is_ok_and(|text| text.contains("\"done\""))
}

/// Whether a checkpoint is being written right now.
fn writing(run: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(run.join("checkpoints")) else { return false };
    entries.filter_map(|entry| entry.ok()).any(|entry| entry.path().extension().is_some_and(|end| end == "tmp"))
}

/// Lets `child` live for a random time, or until it writes a checkpoint. False where it ended before.
fn wait(child: &mut Child, runs: &Path, in_checkpoint: bool, rng: &mut Rng) -> bool {
    let started = Instant::now();
    let life = Duration::from_secs_f64(rng.range(0.02, 2.2));
    let most = if in_checkpoint { Duration::from_secs(20) } else { life };
    while started.elapsed() < most {
        if child.try_wait().expect("the child can be asked").is_some() {
            return false;
        }
        if in_checkpoint && run_directory(runs).is_some_and(|run| writing(&run)) {
            break;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    true
}

fn compare(run: &Path, straight: &Path) {
    let weights = format!("checkpoints/step-{:08}/weights.safetensors", newest_step(straight));
    for file in ["train.jsonl", "validation.jsonl", "episodes.jsonl", &weights] {
        let read = |run: &Path| std::fs::read(run.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read(run) == read(straight), "{file} of {} is not that of the undisturbed run", run.display());
    }
}

fn main() {
    // Cargo adds arguments of its own, such as `--bench`.
    let given = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let kills: u64 = given.map_or(200, |count| count.parse().expect("KILLS is a number"));
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let straight = folder.path().join("straight");
    let begun = Instant::now();
    assert!(command(&straight).stderr(Stdio::null()).status().expect("maclip starts").success());
    let straight = run_directory(&straight).expect("the undisturbed run is there");
    println!("undisturbed: {:.0} s, {} steps", begun.elapsed().as_secs_f64(), newest_step(&straight));

    let stream = Stream::new(1, "kills");
    let (mut done, mut round, mut inside, mut signals, mut compared) = (0, 0, 0, 0, 0);
    while done < kills {
        let runs = folder.path().join(format!("killed-{round}"));
        round += 1;
        loop {
            if done == kills {
                assert!(command(&runs).stderr(Stdio::null()).status().expect("maclip starts").success());
            }
            if run_directory(&runs).is_some_and(|run| is_done(&run)) {
                break;
            }
            let mut rng = stream.at(done);
            let mut child = command(&runs).spawn().expect("maclip starts");
            if !wait(&mut child, &runs, done % 4 == 3, &mut rng) {
                let output = child.wait_with_output().expect("the child ended");
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "an undisturbed attempt failed:\n{said}");
                continue;
            }
            let signal = match done % 10 {
                4 => "-TERM",
                9 => "-INT",
                _ => "-KILL",
            };
            let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill is there");
            let output = child.wait_with_output().expect("the child ends");
            inside += u64::from(run_directory(&runs).is_some_and(|run| writing(&run)));
            done += u64::from(sent.success());
            // Before its first line of work a process dies of a signal as every program does; after its last it is done.
            let listening = String::from_utf8_lossy(&output.stderr).contains("stopping after this step");
            if signal != "-KILL" && listening && !output.status.success() {
                let run = run_directory(&runs).expect("a run that stopped has a directory");
                let status = std::fs::read_to_string(run.join("status.json")).unwrap_or_default();
                assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
                assert!(status.contains("\"interrupted\""), "{status}");
                signals += 1;
            }
            if done % 20 == 0 {
                let step = run_directory(&runs).map_or(0, |run| newest_step(&run));
                println!("{done} kills, run {round} at step {step}");
            }
        }
        compare(&run_directory(&runs).expect("the run is there"), &straight);
        compared += 1;
    }
    println!(
        "{done} kills ({inside} while a checkpoint was being written, {signals} signals answered with 130) over {compared} runs: \
         records and weights equal the undisturbed run's every time, {:.0} s",
        begun.elapsed().as_secs_f64()
    );
}
