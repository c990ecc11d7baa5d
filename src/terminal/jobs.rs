//! What the jobs of a cluster say about runs, for the verbs that show how far runs are.

use super::{shown, tell};
use maclip_framework::engine::launch::{Jobs, RunJob, Stage};
use maclip_framework::error::Result;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::State;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Lines of the output of a run that did not end well.
const TAIL: usize = 5;
/// No more of the output is read for them.
const TAIL_BYTES: u64 = 16_384;

/// The last lines of the file `log`; none where it cannot be read.
pub fn last_lines(log: &Path) -> Vec<String> {
    let read = || -> std::io::Result<String> {
        let mut file = maclip_framework::files::open_regular(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The jobs of the runs in `folders` that are not done. A cluster that cannot be asked is named on standard error.
pub fn of_folders(folders: impl IntoIterator<Item = PathBuf>) -> Result<Jobs> {
    let mut all = Jobs::default();
    let done = |path: &Path| RunDirectory::open(path).is_ok_and(|run| run.state() == Some(State::Done));
    for folder in folders.into_iter().collect::<BTreeSet<_>>() {
        let Jobs { of, unasked } = Jobs::read(&folder, |path| !done(path))?;
        all.of.extend(of);
        for error in unasked {
            tell(format!("how far jobs are is not known: {}", error.reason()));
        }
    }
    Ok(all)
}

/// State and reason of the run in `path` as its job says them; `None` where it has none, or its records say enough.
pub fn state_of(jobs: &Jobs, path: &Path, run: Option<&RunDirectory>) -> Option<(&'static str, String)> {
    let job = jobs.of.get(path)?;
    let status = run.and_then(|run| run.status.as_ref());
    let of_records = status.map(|status| status.state);
    match (job.stage(run), of_records) {
        (_, Some(State::Done)) => None,
        (Stage::Waits, _) => Some(("waiting", job.text())),
        // Whether a process works on it, another machine may not see.
        (Stage::Works, Some(State::Running)) => Some(("running", job.text())),
        (Stage::Works, _) => Some(("starting", job.text())),
        (Stage::Over, _) if job.failed(run) => Some(("failed", job.text())),
        (Stage::Over, Some(State::Failed)) => {
            Some(("failed", status.and_then(|status| status.reason.clone()).unwrap_or_else(|| job.text())))
        }
        (Stage::Over, _) => Some(("stopped", job.text())),
    }
}

/// The job of the run in `path`, as data.
pub fn json_of(jobs: &Jobs, path: &Path, run: Option<&RunDirectory>) -> Value {
    let Some(job) = jobs.of.get(path) else { return Value::Null };
    let stage = match job.stage(run) {
        Stage::Waits => "waits",
        Stage::Works => "works",
        Stage::Over => "over",
    };
    let RunJob { job: named, system, submitted_unix, log, state } = job;
    json!({
        "id": named.id, "system": system, "stage": stage, "detail": state.as_ref().map(|state| &state.detail),
        "submitted_unix": submitted_unix, "log": shown(log),
    })
}

/// The ends of the logs of runs that failed or stopped, each below the name of its file.
pub fn tails<'a>(jobs: &Jobs, runs: impl IntoIterator<Item = (&'a Path, Option<&'a RunDirectory>)>) -> String {
    let mut text = String::new();
    for (path, run) in runs {
        let Some((job, ("failed" | "stopped", _))) = jobs.of.get(path).zip(state_of(jobs, path, run)) else { continue };
        let lines = last_lines(&job.log);
        text.push_str(&format!("\n\n  {}:", job.log.display()));
        match lines.as_slice() {
            [] => text.push_str(" nothing was written"),
            lines => lines.iter().for_each(|line| text.push_str(&format!("\n    {line}"))),
        }
    }
    text
}

/// `job 12`, or `jobs 12, 15`: ids without the numbers of the tasks, each once.
pub fn named<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for id in ids {
        let name = id.split('_').next().unwrap_or(id);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("{} {}", if names.len() == 1 { "job" } else { "jobs" }, names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::slots::launcher::{Job, JobState, Phase};

    #[test]
    fn a_log_ends_with_its_last_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(last_lines(&log), Vec::<String>::new());
        let lines: Vec<String> = (0..9999).map(|line| format!("line {line}\n\n")).collect();
        std::fs::write(&log, lines.concat()).unwrap();
        assert_eq!(last_lines(&log), (9994..9999).map(|line| format!("line {line}")).collect::<Vec<_>>());
    }

    #[test]
    fn jobs_are_named_once() {
        assert_eq!(named(["12_0", "12_1"]), "job 12");
        assert_eq!(named(["12_0", "13_0", "a-x"]), "jobs 12, 13, a-x");
    }

    #[test]
    fn a_job_says_what_the_records_cannot() {
        let path = Path::new("runs/grid/a-s1");
        let of = |state: Option<JobState>| {
            let job = Job { batch: "grid-1".to_owned(), id: "7_0".to_owned() };
            let (system, log) = ("Slurm".to_owned(), PathBuf::from("log"));
            let job = RunJob { job, system, submitted_unix: 1, log, state };
            let jobs = Jobs { of: [(path.to_owned(), job)].into(), unasked: Vec::new() };
            state_of(&jobs, path, None).unwrap()
        };
        let is = |phase, detail: &str| Some(JobState { phase, detail: detail.to_owned() });
        assert_eq!(of(is(Phase::Waiting, "Priority")), ("waiting", "job 7_0 of Slurm: Priority".to_owned()));
        assert_eq!(of(is(Phase::Working, "on n1")), ("starting", "job 7_0 of Slurm: on n1".to_owned()));
        assert_eq!(of(is(Phase::Ended, "cancelled")), ("stopped", "job 7_0 of Slurm: cancelled".to_owned()));
        assert_eq!(of(is(Phase::Failed, "failed")), ("failed", "job 7_0 of Slurm: failed".to_owned()));
        assert_eq!(of(None), ("stopped", "Slurm does not know job 7_0 any more".to_owned()));
    }
}
