//! `command`: each run with a command of one's own, for any other system that takes jobs: HyperQueue, Kubernetes, Ray.
//!
//! The commands are lines of `sh`. What stands in braces is put in as one word, in quotes where it needs them.

use super::shell::{said, text_of, word};
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::launcher::{Batch, Job, JobState, Launcher, Phase, Queue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::process::Command;

/// The commands.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Commands {
    /// Submits one run and ends; the last line that it prints is the id of the job. `{spec}` is the spec of the run,
    /// which `{program} execute {spec}` makes. `{name}` is a name that no other job has, `{log}` the file for what the
    /// job says.
    #[schemars(length(min = 1))]
    submit: String,
    /// Prints how far the job `{id}`, or the one called `{name}`, is. The first word of the last line counts:
    /// `waiting`, `running`, `ended` or `failed`, or what systems say in place of these; nothing for a job that is not
    /// known.
    /// `null`: the records of a run alone say how far it is.
    #[serde(default)]
    #[schemars(length(min = 1))]
    state: Option<String>,
    /// Ends the job `{id}`, or the one called `{name}`. SIGTERM leaves a checkpoint.
    #[serde(default)]
    #[schemars(length(min = 1))]
    cancel: Option<String>,
    /// The program `maclip` where the jobs run; `null` is the one that submits.
    #[serde(default)]
    #[schemars(length(min = 1))]
    program: Option<String>,
}

register!(dyn Launcher, Commands, name: "command", summary: "a command of one's own for each run, for any other system",
    paper: None, stability: Experimental,
    usage: "{submit: \"qsub-like --output {log} {program} execute {spec}\", cancel: \"qdel-like {id}\"}");

impl Component for Commands {
    type Slot = dyn Launcher;

    fn validate(&self, problems: &mut Problems) {
        let missing = !self.submit.contains("{spec}");
        problems.when(missing, "submit", "must have `{spec}`, the file of the run, in it");
        for (field, line) in [("state", &self.state), ("cancel", &self.cancel)] {
            let unnamed = line.as_ref().is_some_and(|line| !line.contains("{id}") && !line.contains("{name}"));
            problems.when(unnamed, field, "must have `{id}` or `{name}`, which say the job, in it");
        }
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Launcher>> {
        Ok(Box::new(self))
    }
}

impl Launcher for Commands {
    fn queue(&self) -> Option<&dyn Queue> {
        Some(self)
    }
}

/// `line` with the `values` in it.
fn filled(line: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('{') {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        // Other braces belong to the shell.
        let found =
            values.iter().find(|(name, _)| rest[1..].strip_prefix(name).is_some_and(|end| end.starts_with('}')));
        let (text, length) = found.map_or(("{".to_owned(), 1), |(name, value)| (word(value), name.len() + 2));
        filled.push_str(&text);
        rest = &rest[length..];
    }
    filled + rest
}

fn shell(line: &str) -> Result<String> {
    said(Command::new("sh").arg("-c").arg(line)).map_err(|error| match error {
        Error::Failed { message, .. } => {
            Error::failed(format!("{message}\n  of: {line}")).help("look at the commands of the recipe's `launcher`")
        }
        other => other,
    })
}

impl Queue for Commands {
    fn system(&self) -> &str {
        "the launcher"
    }

    fn most(&self) -> usize {
        1
    }

    fn script(&self, batch: &Batch) -> Result<String> {
        let program = self.program.as_deref().map_or_else(|| text_of(&batch.program), Ok)?;
        let line = |cell: &maclip_framework::slots::launcher::Cell| {
            let values = [
                ("spec", text_of(&cell.spec)?),
                ("log", text_of(&cell.log)?),
                ("name", &batch.name),
                ("program", program),
            ];
            Ok(filled(&self.submit, &values) + "\n")
        };
        batch.cells.iter().map(line).collect()
    }

    fn submit(&self, batch: &Batch) -> Result<Vec<String>> {
        let answer = shell(&self.script(batch)?)?;
        let id = answer.trim().lines().last().unwrap_or_default().trim();
        if id.is_empty() {
            let error =
                Error::failed("the command of `launcher.submit` printed nothing, and its last line is the job id");
            return Err(error.help("add `; echo NAME`, such as `; echo {name}`, where the system gives no id"));
        }
        Ok(vec![id.to_owned()])
    }

    fn find(&self, _: &str, _: usize) -> Result<Option<Vec<String>>> {
        // Nothing is known of other systems. A run that is submitted twice is made once: the second job finds its lock.
        Ok(None)
    }

    fn states(&self, jobs: &[Job]) -> Result<BTreeMap<String, JobState>> {
        let mut states = BTreeMap::new();
        for Job { id, batch } in jobs {
            let Some(line) = &self.state else {
                let detail = "the records alone say how far it is, without `launcher.state`".to_owned();
                states.insert(id.clone(), JobState { phase: Phase::Unknown, detail });
                continue;
            };
            let answer = shell(&filled(line, &[("id", id), ("name", batch)]))?;
            let last = answer.trim().lines().last().unwrap_or_default().trim();
            if !last.is_empty() {
                states.insert(id.clone(), JobState { phase: phase(last)?, detail: last.to_owned() });
            }
        }
        Ok(states)
    }

    fn cancel(&self, jobs: &[Job]) -> Result<()> {
        let Some(line) = self.cancel.as_ref().filter(|_| !jobs.is_empty()) else {
            return match jobs {
                [] => Ok(()),
                _ => Err(Error::failed("the recipe's launcher has no command that cancels a job")
                    .help("give `launcher.cancel`, and submit again; or cancel the jobs with the tools of the system")),
            };
        };
        jobs.iter().try_for_each(|Job { id, batch }| shell(&filled(line, &[("id", id), ("name", batch)])).map(drop))
    }
}

/// What the first word of `line` means.
fn phase(line: &str) -> Result<Phase> {
    let first = line.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default().to_lowercase();
    match first.as_str() {
        "waiting" | "pending" | "queued" | "submitted" | "suspended" => Ok(Phase::Waiting),
        "running" | "active" | "started" => Ok(Phase::Working),
        "ended" | "done" | "finished" | "complete" | "completed" | "succeeded" | "canceled" | "cancelled"
        | "stopped" => Ok(Phase::Ended),
        "failed" | "error" => Ok(Phase::Failed),
        _ => Err(Error::failed(format!("the command of `launcher.state` printed `{line}`")).help(
            "let its last line begin with `waiting`, `running`, `ended` or `failed`, or be empty for a job that is not \
             known",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, launcher::Traits};
    use maclip_framework::slots::launcher::Cell;
    use std::path::{Path, PathBuf};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::launcher::holds::<Commands>(Traits { also: &["submit: 'queue {spec}'"], ..Traits::default() });
    }

    fn batch(folder: &Path) -> Batch {
        let (spec, log) = (folder.join("it's 0.json"), folder.join("a.log"));
        let cells = vec![Cell { run: "a".to_owned(), spec, log }];
        let folder = folder.to_owned();
        Batch {
            name: "grid-1".to_owned(),
            folder,
            program: PathBuf::from("maclip"),
            directory: PathBuf::from("/"),
            cells,
        }
    }

    fn commands(submit: &str, state: Option<&str>) -> Commands {
        let cancel = Some("echo {id} >&2; exit 4".to_owned());
        Commands { submit: submit.to_owned(), state: state.map(str::to_owned), cancel, program: None }
    }

    #[test]
    fn braces_of_the_shell_stay() {
        let values = [("id", "it's"), ("name", "a-1")];
        assert_eq!(
            filled("x {id} ${HOME} {{id}} '{print $1}' {name", &values),
            r"x 'it'\''s' ${HOME} {'it'\''s'} '{print $1}' {name"
        );
    }

    #[test]
    fn the_last_line_is_the_id_and_the_first_word_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let batch = batch(folder.path());
        let script = "printf '%s\\n' {spec} {program} > {log}; echo hello; echo ' job 7 '";
        assert_eq!(commands(script, None).submit(&batch).unwrap(), ["job 7"]);
        let wrote = std::fs::read_to_string(&batch.cells[0].log).unwrap();
        assert_eq!(wrote, format!("{}\nmaclip\n", batch.cells[0].spec.display()));
        assert!(commands("true {spec}", None).submit(&batch).unwrap_err().to_string().contains("printed nothing"));
        let jobs = [Job { batch: "grid-1".to_owned(), id: "7".to_owned() }];
        let state = |line: &str| commands("{spec}", Some(line)).states(&jobs).map(|states| states.get("7").cloned());
        let is = |phase, detail: &str| Some(JobState { phase, detail: detail.to_owned() });
        assert_eq!(state("echo {id}; echo RUNNING on 3").unwrap(), is(Phase::Working, "RUNNING on 3"));
        assert_eq!(state("echo {id}; echo Failed").unwrap(), is(Phase::Failed, "Failed"));
        assert_eq!(state("true {id}").unwrap(), None);
        assert!(state("echo who knows {id}").unwrap_err().to_string().contains("`waiting`"));
        assert!(state("echo no server >&2; exit 3 {id}").unwrap_err().to_string().contains("no server"));
        assert_eq!(commands("{spec}", None).states(&jobs).unwrap()["7"].phase, Phase::Unknown);
        assert!(commands("{spec}", None).cancel(&jobs).unwrap_err().to_string().contains('7'));
    }
}
