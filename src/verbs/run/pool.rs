//! Runs of a study side by side: one process for each, on the devices in turn.

use crate::terminal::jobs::last_lines;
use crate::terminal::progress::Console;
use crate::terminal::tell_error;
use maclip_framework::engine::overview::{RunOverview, to_make};
use maclip_framework::engine::spec::Spec;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::this_program;
use maclip_framework::progress::{Progress, stop_requested};
use maclip_framework::recipe::{device, training_of};
use maclip_framework::runs::journal;
use maclip_framework::runs::records::State;
use maclip_framework::runs::store::in_use;
use maclip_language::{Diagnostic, Origin, codes};
use maclip_reports::format::{percent_interval, rough_duration};
use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often the processes are looked at.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the records of the runs are read for the live view.
const LOOK: Duration = Duration::from_secs(2);
/// Exit code of a process that was asked to stop.
const INTERRUPTED: i32 = 130;

/// How many runs are made at a time, and on which devices.
#[derive(Clone, Debug)]
pub struct Pool {
    jobs: usize,
    /// In turn; none for the device of each recipe.
    devices: Vec<String>,
}

/// What became of the runs of a pool, by their number.
#[derive(Default)]
pub struct Ended {
    pub made: Vec<PathBuf>,
    pub failed: Vec<(usize, Error)>,
    /// Runs that were left to a process that is not of this pool.
    pub busy: Vec<usize>,
}

/// A run that a process makes.
struct Job {
    /// The number of the run.
    at: usize,
    process: Child,
    output: PathBuf,
    began: Instant,
}

impl Pool {
    /// The pool that the arguments ask for; `None` where one run is made after the other in this process.
    ///
    /// # Errors
    /// Where a device cannot be written so, or not every device would get a job.
    pub fn new(devices: &[String], jobs: Option<usize>) -> Result<Option<Self>> {
        let jobs = match (jobs, devices.len()) {
            (None, 0) => return Ok(None),
            (None, count) => count,
            (Some(jobs), _) => jobs,
        };
        let wrong = |message: String, option: &'static str, given: &str, help: String| {
            let origin = Origin::argument(option, given);
            Error::from(Diagnostic::new(codes::ARGUMENT, message).at(&origin).help(help))
        };
        for name in devices {
            device::parse(name).map_err(|(message, help)| wrong(message, "--devices", name, help))?;
        }
        if jobs < devices.len() {
            let message = format!("{} of the {} devices would have no run", devices.len() - jobs, devices.len());
            let help = "give at least one job for each device, or fewer devices".to_owned();
            return Err(wrong(message, "--jobs", &jobs.to_string(), help));
        }
        Ok(Some(Self { jobs, devices: devices.to_vec() }))
    }

    /// Makes those of `runs` that are missing and not the same as another one. `reuse` says whether the records of the
    /// same run under another name may be copied. A run that is stopped while nobody asked this process to stop has
    /// failed.
    ///
    /// # Errors
    /// Where a process cannot be started. [`Error::Interrupted`] after a request to stop, when all processes have
    /// ended. With `fail_fast`, the failure of the first run that fails, after the others have stopped.
    pub fn make(
        &self,
        runs: &mut [RunOverview],
        folder: &Path,
        reuse: bool,
        fail_fast: bool,
        progress: &Console,
    ) -> Result<Ended> {
        let wanted: Vec<PathBuf> = to_make(runs).into_iter().map(|run| run.path.clone()).collect();
        let mut open: VecDeque<usize> = (0..runs.len()).filter(|at| wanted.contains(&runs[*at].path)).collect();
        // Runs that differ in their test alone are trained once: the others wait for the first of them.
        let trainings: Vec<Option<String>> = runs.iter().map(|run| training_of(&run.run.recipe.resolved)).collect();
        let (all, several) = (open.len(), runs.len() > 1);
        let mut places: Vec<Option<Job>> = (0..self.jobs).map(|_| None).collect();
        let (mut ended, mut done, mut told, mut looked) = (Ended::default(), 0, false, Instant::now());
        let mut first_failure = None;
        if all > 0 {
            progress.begin("runs", 0, all as u64);
        }
        loop {
            let stop = stop_requested() || first_failure.is_some();
            for number in 0..places.len() {
                let busy: Vec<&String> = places.iter().flatten().filter_map(|job| trainings[job.at].as_ref()).collect();
                let free = |at: &usize| trainings[*at].as_ref().is_none_or(|training| !busy.contains(&training));
                let next = open.iter().position(free);
                let place = &mut places[number];
                if place.is_none()
                    && !stop
                    && let Some(at) = next.and_then(|next| open.remove(next))
                {
                    let device = self.devices.get(number % self.devices.len().max(1)).map(String::as_str);
                    match self.start(at, &runs[at], folder, reuse, device, all) {
                        Ok(job) => *place = Some(job),
                        // The others stop with a checkpoint first.
                        Err(error) => {
                            first_failure = Some(error);
                            break;
                        }
                    }
                    let on = device.map(|device| format!(" on {device}")).unwrap_or_default();
                    progress.note(&format!("[{}/{}] {}{on}", at + 1, runs.len(), runs[at].path.display()));
                }
            }
            for place in &mut places {
                let Some(job) = place else { continue };
                let exit = match job.process.try_wait() {
                    Ok(None) => continue,
                    Ok(Some(exit)) => exit,
                    Err(error) => {
                        let message = format!("cannot wait for process {}: {error}", job.process.id());
                        first_failure = first_failure.or(Some(Error::failed(message)));
                        *place = None;
                        continue;
                    }
                };
                let run = &mut runs[job.at];
                run.refresh();
                done += 1;
                // The signal to stop may have come to the process first.
                let stopped = (stop || stop_requested()) && exit.code() == Some(INTERRUPTED);
                if run.done() && exit.success() {
                    progress.note(&made_line(run, job.began.elapsed()));
                    ended.made.push(run.path.clone());
                } else if in_use(&run.path) {
                    progress.note(&format!("  another process works on {}", run.run.name()));
                    ended.busy.push(job.at);
                } else if !stopped {
                    let error = failure(run, &job.output, exit);
                    progress.note(&format!("  {} failed", run.run.name()));
                    if fail_fast {
                        first_failure = first_failure.or(Some(error));
                    } else {
                        // That of a single run is what the program ends with.
                        if several {
                            tell_error(&error);
                        }
                        ended.failed.push((job.at, error));
                    }
                }
                *place = None;
            }
            if stop && !std::mem::replace(&mut told, true) {
                places.iter().flatten().for_each(|job| ask_to_stop(&job.process));
            }
            if places.iter().all(Option::is_none) && (stop || open.is_empty()) {
                break;
            }
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                let running = places.iter().flatten().map(|job| {
                    let run = &mut runs[job.at];
                    run.refresh();
                    match run.wanted_steps() {
                        Some(wanted) => format!("{} {}/{wanted}", run.run.name(), run.steps),
                        None => run.run.name(),
                    }
                });
                progress.at(done, &running.collect::<Vec<_>>().join(", "));
            }
            std::thread::sleep(PAUSE);
        }
        progress.clear();
        match first_failure {
            Some(error) => Err(error),
            None if stop_requested() => Err(Error::Interrupted),
            None => Ok(ended),
        }
    }

    /// Starts a process that makes run `at`, one of `all`.
    fn start(
        &self,
        at: usize,
        run: &RunOverview,
        runs: &Path,
        reuse: bool,
        device: Option<&str>,
        all: usize,
    ) -> Result<Job> {
        let folder = journal::folder_of(&runs.join(&run.run.recipe.name));
        std::fs::create_dir_all(&folder).map_err(|error| Error::io("make the folder", &folder, error))?;
        let name = run.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let (spec, output) = (folder.join(format!("{name}.json")), folder.join(format!("{name}.log")));
        Spec { run: run.run.clone(), runs: runs.to_owned(), reuse }.write(&spec, device)?;
        let unwritten = |error| Error::io("write", &output, error);
        let log = OpenOptions::new().create(true).append(true).open(&output).map_err(unwritten)?;
        let second = log.try_clone().map_err(unwritten)?;
        let mut command = Command::new(this_program()?);
        command.arg0("maclip").arg("execute").arg(&spec).arg("--with-parent").arg(std::process::id().to_string());
        // In a group of its own: Ctrl-C comes here, and each process is asked once.
        command.stdin(Stdio::null()).stdout(log).stderr(second).process_group(0);
        if std::env::var_os("RAYON_NUM_THREADS").is_none() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            command.env("RAYON_NUM_THREADS", (cores / self.jobs.min(all)).max(1).to_string());
        }
        let process = command.spawn().map_err(|error| Error::failed(format!("cannot start a process: {error}")))?;
        Ok(Job { at, process, output, began: Instant::now() })
    }
}

/// `ma_clip-s1 is done after 3 min: 61.0 ± 0.4 %`
fn made_line(run: &RunOverview, took: Duration) -> String {
    let test = run.directory.as_ref().and_then(|directory| directory.test());
    let test = test.map_or_else(String::new, |test| format!(": {} %", percent_interval(test.value, test.ci95)));
    format!("  {} is done after {}{test}", run.run.name(), rough_duration(took.as_secs_f64()))
}

/// Why a run ended without a result: its own words, else the last lines of its output.
fn failure(run: &RunOverview, output: &Path, exit: std::process::ExitStatus) -> Error {
    let own = run.reason().filter(|_| run.state == Some(State::Failed));
    let said = own.unwrap_or_else(|| {
        format!("its process ended with {exit}; its last lines:\n{}", last_lines(output).join("\n"))
    });
    Error::failed(format!("{}: {said}", run.run.name())).help(format!("its whole output is {}", output.display()))
}

/// SIGTERM: the process finishes its step, writes a checkpoint and ends.
fn ask_to_stop(process: &Child) {
    let id = i32::try_from(process.id()).ok().and_then(rustix::process::Pid::from_raw);
    // A process that has ended already needs no signal.
    let _ = id.map(|id| rustix::process::kill_process(id, rustix::process::Signal::TERM));
}
