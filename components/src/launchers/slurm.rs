//! `slurm`: the runs of a study as one job array of Slurm, a task for each run.
//!
//! Source: the manual pages of `sbatch`, `squeue`, `sacct`, `scontrol` and `scancel`; tested with Slurm 22.05. Before
//! the end of its time a task gets SIGUSR1. The batch script then asks the run for a checkpoint and puts the task back
//! into the queue. After a node has failed or the task was preempted, Slurm does that itself.

use super::shell::{said, text_of, word};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::write_atomically;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Problems};
use maclip_framework::slots::launcher::{Batch, Job, JobState, Launcher, Phase, Queue};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Options of the jobs. `null` leaves an option to the cluster.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Slurm {
    /// The partition.
    #[schemars(length(min = 1))]
    partition: Option<String>,
    /// The account that pays.
    #[schemars(length(min = 1))]
    account: Option<String>,
    /// The quality of service.
    #[schemars(length(min = 1))]
    qos: Option<String>,
    /// The longest time of a task before it goes back into the queue, as Slurm writes it: `90` (minutes), `"04:00:00"`,
    /// `1-12:00:00`.
    time: Option<Time>,
    /// Processor cores of a task. Threads are limited to them.
    #[schemars(range(min = 1))]
    cpus_per_task: Option<u32>,
    /// Memory of a task in GB.
    #[schemars(range(min = 1))]
    mem_gb: Option<u32>,
    /// GPUs of a task. The recipe's `device` says what computes: with one GPU it is `tch:cuda:0` in each task.
    gpus: u32,
    /// Features that a node must have.
    #[schemars(length(min = 1))]
    constraint: Option<String>,
    /// How many tasks may run at the same time.
    #[schemars(range(min = 1))]
    array_parallelism: Option<u32>,
    /// Other options of `sbatch`, such as `--gres=gpu:a100:1`.
    options: Vec<String>,
    /// Lines of bash that come before each run, such as `module load cuda`. A line that fails ends the task, unless it
    /// has `|| true`. The shell is no login shell: where it lacks `module`, let the first line be `source
    /// /etc/profile`.
    setup: Vec<String>,
    /// A folder on the own disk of each node, for `--local-cache`. The shell of the node puts its variables in, such as
    /// `$TMPDIR`.
    #[schemars(length(min = 1))]
    local_cache: Option<String>,
    /// Seconds before the end of the time at which a run is asked for a checkpoint. It must be enough for one training
    /// step or test episode, and for writing the checkpoint.
    #[schemars(range(min = 1, max = 65535))]
    signal_before_end: u32,
    /// How often a task may be put back into the queue, at the end of its time, by preemption, after a failing node or
    /// with `scontrol requeue`. With 0 its run stops there, with a checkpoint at the end of its time.
    max_requeues: u32,
    /// The program `maclip` on the nodes; `null` is the one that submits.
    #[schemars(length(min = 1))]
    program: Option<String>,
}

impl Default for Slurm {
    fn default() -> Self {
        Self {
            partition: None,
            account: None,
            qos: None,
            time: None,
            cpus_per_task: None,
            mem_gb: None,
            gpus: 0,
            constraint: None,
            array_parallelism: None,
            options: Vec::new(),
            setup: Vec::new(),
            local_cache: None,
            signal_before_end: 120,
            max_requeues: 100,
            program: None,
        }
    }
}

register!(dyn Launcher, Slurm, name: "slurm", summary: "a job array of Slurm, with a task for each run",
    paper: None, stability: Experimental,
    usage: "{partition: gpu, time: \"04:00:00\", cpus_per_task: 8, mem_gb: 32, gpus: 1, setup: [module load cuda]}");

/// A time as Slurm writes it. A number is minutes.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
struct Time(String);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct TextOrMinutes;
        impl Visitor<'_> for TextOrMinutes {
            type Value = Time;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("minutes, or a time such as `04:00:00`")
            }

            fn visit_str<E: de::Error>(self, time: &str) -> std::result::Result<Time, E> {
                Ok(Time(time.to_owned()))
            }

            fn visit_u64<E: de::Error>(self, minutes: u64) -> std::result::Result<Time, E> {
                Ok(Time(minutes.to_string()))
            }

            fn visit_i64<E: de::Error>(self, minutes: i64) -> std::result::Result<Time, E> {
                Ok(Time(minutes.to_string()))
            }
        }
        deserializer.deserialize_any(TextOrMinutes)
    }
}

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({"anyOf": [{"type": "string", "minLength": 1}, {"type": "integer", "minimum": 1}]})
    }
}

/// Seconds of a time as Slurm writes it; `None` where it is none.
fn seconds(time: &str) -> Option<u64> {
    let (days, rest) = match time.split_once('-') {
        Some((days, rest)) => (days.parse::<u64>().ok()?, rest),
        None => (0, time),
    };
    let parts: Vec<u64> = rest.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let of_day = match (time.contains('-'), parts.as_slice()) {
        (true, [hours]) => hours * 3600,
        (true, [hours, minutes]) => hours * 3600 + minutes * 60,
        (false, [minutes]) => minutes * 60,
        (false, [minutes, seconds]) => minutes * 60 + seconds,
        (_, [hours, minutes, seconds]) => hours * 3600 + minutes * 60 + seconds,
        _ => return None,
    };
    Some(days * 86_400 + of_day)
}

impl Component for Slurm {
    type Slot = dyn Launcher;

    fn validate(&self, problems: &mut Problems) {
        let names = [
            ("partition", &self.partition),
            ("account", &self.account),
            ("qos", &self.qos),
            ("constraint", &self.constraint),
            ("program", &self.program),
        ];
        for (field, text) in names {
            let odd = text.as_ref().is_some_and(|text| text.chars().any(char::is_control));
            problems.when(odd, field, "must be one line");
        }
        let odd = |c: char| c.is_control() || "\"`\\".contains(c);
        problems.when(
            self.local_cache.as_ref().is_some_and(|folder| folder.contains(odd)),
            "local_cache",
            "must be a folder without quotes and backslashes; variables such as $TMPDIR may be in it",
        );
        for (at, option) in self.options.iter().enumerate() {
            let odd = !option.starts_with('-') || option.chars().any(char::is_control);
            problems.when(odd, &format!("options[{at}]"), "must be one option of sbatch, such as `--nice=100`");
        }
        match self.time.as_ref().map(|Time(time)| seconds(time)) {
            Some(None) => {
                problems.push("time", "must be minutes, `hours:minutes:seconds` or `days-hours:minutes:seconds`")
            }
            Some(Some(all)) if all <= u64::from(self.signal_before_end) => {
                problems.push("signal_before_end", format!("must be less than `time`, which is {all} seconds"));
            }
            _ => {}
        }
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Launcher>> {
        Ok(Box::new(self))
    }
}

impl Launcher for Slurm {
    fn queue(&self) -> Option<&dyn Queue> {
        Some(self)
    }
}

/// The part of the batch script that is the same for all. The shell alone gets SIGUSR1 before the end; the run ignores
/// it, and is asked with SIGTERM, after which it writes a checkpoint and ends with 130.
const SCRIPT: &str = r#"
restarts=${SLURM_RESTART_COUNT:-0}
if [ "$restarts" -gt @requeues ]; then
  echo "put back into the queue $restarts times, and max_requeues allows @requeues"
  exit 1
elif [ "$restarts" -gt 0 ]; then
  echo "begun again after it was put back into the queue, $((@requeues - restarts)) times left"
fi
child= caught= ending=
trap 'caught=1; ending=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' USR1
trap 'caught=1; [ -z "$child" ] || kill -TERM "$child" 2>/dev/null' TERM
trap 'code=$? line=$LINENO
  [ ${#BASH_SOURCE[@]} -gt 1 ] || { echo "setup ended with $code: $(sed -n "${line}p" "$0")"; exit "$code"; }' ERR
@setup
trap - ERR
if [ -n "$ending" ]; then
  code=130
else
  (trap '' USR1; exec @program execute @folder/"$SLURM_ARRAY_TASK_ID".json@local) &
  child=$!
  while caught=; wait "$child"; code=$?; [ -n "$caught" ]; do :; done
fi
if [ -n "$ending" ] && [ "$code" = 130 ]; then
  if [ "$restarts" -lt @requeues ]; then
    echo "the time ends: back into the queue, $((@requeues - restarts - 1)) times left"
    scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
  else
    echo "the time ends, and the task was put back into the queue @requeues times, as often as max_requeues allows"
  fi
fi
exit "$code"
"#;

impl Slurm {
    /// `#SBATCH --name=value`, as sbatch reads it: what is no plain word in quotes.
    fn directive(name: &str, value: &str) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%&|*[]()!".contains(c);
        if value.chars().all(plain) {
            return format!("#SBATCH --{name}={value}\n");
        }
        let quoted: String =
            value.chars().flat_map(|c| ['\\'].into_iter().filter(move |_| "\"\\".contains(c)).chain([c])).collect();
        format!("#SBATCH --{name}=\"{quoted}\"\n")
    }
}

impl Queue for Slurm {
    fn system(&self) -> &str {
        "Slurm"
    }

    fn most(&self) -> usize {
        let said = said(Command::new("scontrol").args(["show", "config"])).ok();
        // What Slurm allows where the site has changed nothing.
        said.as_deref().and_then(largest_array).unwrap_or(1000)
    }

    fn script(&self, batch: &Batch) -> Result<String> {
        let folder = text_of(&batch.folder)?;
        let mut script = "#!/bin/bash\n".to_owned();
        let mut add = |name: &str, value: &str| script.push_str(&Self::directive(name, value));
        add("job-name", &batch.name);
        let most = self.array_parallelism.map(|most| format!("%{most}")).unwrap_or_default();
        add("array", &format!("0-{}{most}", batch.cells.len().saturating_sub(1)));
        // In names of files, `%` begins a field; the number of the task is one.
        add("output", &format!("{}/%a.log", folder.replace('%', "%%")));
        add("chdir", text_of(&batch.directory)?);
        let number = |number: &Option<u32>, unit: &str| number.map(|number| format!("{number}{unit}"));
        for (name, value) in [
            ("partition", self.partition.clone()),
            ("account", self.account.clone()),
            ("qos", self.qos.clone()),
            ("time", self.time.clone().map(|Time(time)| time)),
            ("cpus-per-task", number(&self.cpus_per_task, "")),
            ("mem", number(&self.mem_gb, "G")),
            ("gres", (self.gpus > 0).then(|| format!("gpu:{}", self.gpus))),
            ("constraint", self.constraint.clone()),
            ("signal", Some(format!("B:USR1@{}", self.signal_before_end))),
        ] {
            value.iter().for_each(|value| add(name, value));
        }
        let requeue = if self.max_requeues > 0 { "requeue" } else { "no-requeue" };
        script.push_str(&format!("#SBATCH --open-mode=append\n#SBATCH --{requeue}\n"));
        self.options.iter().for_each(|option| script.push_str(&format!("#SBATCH {option}\n")));
        let mut setup = self.setup.clone();
        if self.cpus_per_task.is_some() {
            setup.insert(0, "export RAYON_NUM_THREADS=${RAYON_NUM_THREADS:-$SLURM_CPUS_PER_TASK}".to_owned());
        }
        let setup: String = setup.iter().map(|line| format!("{line}\n")).collect();
        let program = self.program.as_deref().map_or_else(|| text_of(&batch.program), Ok)?;
        let parts = [
            ("@requeues", self.max_requeues.to_string()),
            ("@folder", word(folder)),
            ("@program", word(program)),
            ("@local", self.local_cache.as_ref().map(|at| format!(" --local-cache \"{at}\"")).unwrap_or_default()),
            // Last, as nothing in them is a place.
            ("@setup\n", setup),
        ];
        Ok(script + &parts.iter().fold(SCRIPT.to_owned(), |text, (place, value)| text.replace(place, value)))
    }

    fn submit(&self, batch: &Batch) -> Result<Vec<String>> {
        let file = batch.folder.join("batch.sh");
        write_atomically(&file, self.script(batch)?.as_bytes())?;
        let answer = said(Command::new("sbatch").arg("--parsable").arg(&file)).map_err(|error| {
            let help = way_out(&error.reason());
            error.help(help)
        })?;
        // `12`, or `12;cluster`, perhaps after lines of the site.
        let id = answer.trim().lines().last().and_then(|line| line.split(';').next()).unwrap_or_default().trim();
        if id.is_empty() || !id.chars().all(|c| c.is_ascii_digit()) {
            return Err(Error::failed(format!("sbatch gave no job id, but: {}", answer.trim())));
        }
        Ok((0..batch.cells.len()).map(|task| format!("{id}_{task}")).collect())
    }

    fn find(&self, name: &str, count: usize) -> Result<Option<Vec<String>>> {
        let listed = said(Command::new("squeue").args(["--states=all", "--noheader", "--format=%F", "--name", name]))?;
        let id = listed.lines().next().map(str::trim).filter(|id| !id.is_empty());
        Ok(id.map(|id| (0..count).map(|task| format!("{id}_{task}")).collect()))
    }

    fn states(&self, jobs: &[Job]) -> Result<BTreeMap<String, JobState>> {
        if jobs.is_empty() {
            return Ok(BTreeMap::new());
        }
        // By name: for a single id that is forgotten, squeue fails.
        let names: BTreeSet<&str> = jobs.iter().map(|job| job.batch.as_str()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(",");
        let options = ["--states=all", "--array", "--noheader", "--format=%i|%T|%r|%N", "--name", &names];
        let listed = said(Command::new("squeue").args(options))?;
        let state = |line: &str| {
            let mut parts = line.trim().splitn(4, '|');
            let mut next = || parts.next().unwrap_or_default().trim().to_owned();
            let (id, state, reason, node) = (next(), next(), next(), next());
            (id, read_state(&state, &reason, &node))
        };
        let mut states: BTreeMap<String, JobState> = listed.lines().map(state).collect();
        states.retain(|id, _| jobs.iter().any(|job| job.id == *id));
        Ok(states)
    }

    fn ends(&self, jobs: &[Job]) -> BTreeMap<String, JobState> {
        let arrays: BTreeSet<&str> = jobs.iter().filter_map(|job| job.id.split('_').next()).collect();
        let arrays = arrays.into_iter().collect::<Vec<_>>().join(",");
        // It fails where the site keeps no accounts.
        let options = ["-nPX", "--format=JobID,JobName,State,NodeList", "--jobs", &arrays];
        let listed = said(Command::new("sacct").args(options)).unwrap_or_default();
        listed.lines().filter_map(|line| read_account(line, jobs)).collect()
    }

    fn cancel(&self, jobs: &[Job]) -> Result<()> {
        if jobs.is_empty() {
            return Ok(());
        }
        said(Command::new("scancel").args(jobs.iter().map(|job| &job.id))).map(drop)
    }
}

/// A state of squeue, with the reason of a job that waits and the node of one that runs.
fn read_state(state: &str, reason: &str, node: &str) -> JobState {
    let (phase, detail) = match state {
        "PENDING" | "CONFIGURING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => {
            (Phase::Waiting, reason.to_owned())
        }
        "COMPLETED" => (Phase::Ended, "ended".to_owned()),
        "TIMEOUT" | "DEADLINE" => (Phase::Ended, "ended by the time limit".to_owned()),
        "NODE_FAIL" | "BOOT_FAIL" => (Phase::Ended, "ended by a failure of its node".to_owned()),
        "OUT_OF_MEMORY" => (Phase::Failed, "ended for lack of memory".to_owned()),
        "FAILED" if !["", "None", "NonZeroExitCode"].contains(&reason) => (Phase::Failed, format!("failed, {reason}")),
        "FAILED" => (Phase::Failed, "failed".to_owned()),
        "CANCELLED" | "PREEMPTED" | "REVOKED" => (Phase::Ended, state.to_lowercase()),
        _ if node.is_empty() => (Phase::Working, state.to_lowercase()),
        "RUNNING" | "COMPLETING" => (Phase::Working, format!("on {node}")),
        // Such as `suspended`.
        _ => (Phase::Working, format!("{} on {node}", state.to_lowercase())),
    };
    JobState { phase, detail }
}

/// A line of sacct about one of `jobs` that has ended. Numbers of jobs begin anew at some sites, and names of batches
/// do not.
fn read_account(line: &str, jobs: &[Job]) -> Option<(String, JobState)> {
    let mut parts = line.trim().split('|');
    let (id, name, state, node) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // `CANCELLED by 1000`
    let state = read_state(state.split(' ').next()?, "", node);
    let ours = jobs.iter().any(|job| job.id == id && job.batch == name);
    (ours && state.phase.is_over()).then(|| (id.to_owned(), state))
}

/// How many tasks an array may have, from what `scontrol show config` says.
fn largest_array(config: &str) -> Option<usize> {
    let value = config.lines().find_map(|line| line.trim().strip_prefix("MaxArraySize"))?;
    value.trim().strip_prefix('=')?.trim().parse().ok()
}

/// What to do where sbatch refuses a batch with these words.
fn way_out(message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|words| message.contains(words));
    if says(&["array"]) {
        "the site allows no array of this size; choose fewer runs with `--only`, or ask for its MaxArraySize"
    } else if says(&["Policy", "policy", "Limit", "limit"]) {
        "the site limits jobs, time or resources of a user: choose fewer runs with `--only`, or less with `launcher.time`, \
         `launcher.cpus_per_task`, `launcher.mem_gb` and `launcher.gpus`; the same command submits the rest later"
    } else if says(&["account", "partition", "qos", "QOS"]) {
        "`sinfo` lists the partitions, and `sacctmgr show assoc user=$USER` your accounts and their QOS"
    } else if says(&["configuration", "constraint", "feature", "memory", "CPU", "gres"]) {
        "no node of the partition has all that the recipe's `launcher` asks for; `sinfo -o '%P %c %m %G %f'` lists cores, \
         memory, GPUs and features"
    } else {
        "`--dry-run` shows the batch script, and `maclip describe launcher/slurm` the options of the recipe's `launcher`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, launcher::Traits};
    use std::path::PathBuf;

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        let also = &["options: [--nice=100], setup: ['echo \"it is\" $HOME'], array_parallelism: 3, max_requeues: 0"];
        conformance::launcher::holds::<Slurm>(Traits { also, ..Traits::default() });
    }

    fn batch() -> Batch {
        let folder = PathBuf::from("/runs 50%/grid/.jobs/grid-1");
        let (program, directory) = (PathBuf::from("/opt/it's/maclip"), PathBuf::from("/work"));
        let cell = maclip_framework::slots::launcher::Cell {
            run: "a-s1".to_owned(),
            spec: folder.join("0.json"),
            log: PathBuf::from("/runs 50%/grid/.jobs/a-s1.log"),
        };
        Batch { name: "grid-1".to_owned(), folder, program, directory, cells: vec![cell.clone(), cell] }
    }

    #[test]
    fn what_the_options_say_is_in_the_script() {
        let slurm = Slurm {
            partition: Some("gpu".to_owned()),
            constraint: Some("a100&\"x y\"".to_owned()),
            time: Some(Time("1-12:00:00".to_owned())),
            gpus: 2,
            mem_gb: Some(32),
            cpus_per_task: Some(8),
            array_parallelism: Some(4),
            max_requeues: 7,
            setup: vec!["module load cuda".to_owned()],
            local_cache: Some("$TMPDIR/a b".to_owned()),
            ..Slurm::default()
        };
        let script = slurm.script(&batch()).unwrap();
        for line in [
            "#SBATCH --job-name=grid-1",
            "#SBATCH --array=0-1%4",
            "#SBATCH --output=\"/runs 50%%/grid/.jobs/grid-1/%a.log\"",
            "#SBATCH --partition=gpu",
            "#SBATCH --constraint=\"a100&\\\"x y\\\"\"",
            "#SBATCH --time=1-12:00:00",
            "#SBATCH --gres=gpu:2",
            "#SBATCH --mem=32G",
            "#SBATCH --cpus-per-task=8",
            "#SBATCH --signal=B:USR1@120",
            "#SBATCH --requeue",
            "module load cuda",
        ] {
            assert!(script.lines().any(|known| known == line), "{line} is not in:\n{script}");
        }
        let run = r#"exec '/opt/it'\''s/maclip' execute '/runs 50%/grid/.jobs/grid-1'/"$SLURM_ARRAY_TASK_ID".json --local-cache "$TMPDIR/a b") &"#;
        assert!(script.contains(run) && script.contains("-lt 7") && script.contains("-gt 7"), "{script}");
        // A shell reads it.
        said(Command::new("bash").arg("-n").arg("-c").arg(&script)).unwrap();
    }

    /// What the batch script says with these lines of setup, and how it ends; `true` stands for maclip.
    fn set_up(setup: &[&str], max_requeues: u32, restarts: &str) -> (String, Option<i32>) {
        let setup = setup.iter().map(|line| (*line).to_owned()).collect();
        let program = Some("true".to_owned());
        let slurm = Slurm { setup, program, max_requeues, ..Slurm::default() };
        let script = slurm.script(&batch()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let mut bash = Command::new("bash");
        bash.arg(file.path()).env("SLURM_ARRAY_TASK_ID", "0").env("SLURM_RESTART_COUNT", restarts);
        let output = bash.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }

    #[test]
    fn a_line_of_setup_that_fails_ends_the_task() {
        let of = |setup: &[&str]| set_up(setup, 3, "0");
        assert_eq!(of(&["export A=1", "grep -q x /dev/null || true", "if false; then", "echo no", "fi"]).1, Some(0));
        let (said, code) = of(&["echo before", "ls /nowhere/at/all 2>/dev/null", "echo after"]);
        assert_eq!((said.as_str(), code), ("before\nsetup ended with 2: ls /nowhere/at/all 2>/dev/null\n", Some(2)));
        let (said, code) = of(&["no-such-module load cuda 2>/dev/null"]);
        assert!(said.contains("setup ended with 127: no-such-module load cuda") && code == Some(127), "{said}");
        // `module` is a function at most sites: the line that calls it is named, and none of the function's own.
        let (said, code) = of(&["module() {", "return 3", "}", "module load cuda"]);
        assert_eq!((said.as_str(), code), ("setup ended with 3: module load cuda\n", Some(3)));
        // What fails inside a function, such as that of `module`, or a file that is sourced is their own affair.
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("activate");
        std::fs::write(&file, "grep -q x /dev/null\ntrue\n").unwrap();
        assert_eq!(of(&["module() { grep -q x /dev/null; true; }", "module load cuda"]).1, Some(0));
        assert_eq!(of(&[&format!("source {}", file.display())]).1, Some(0));
        std::fs::write(&file, "false\n").unwrap();
        assert_eq!(of(&[&format!("source {}", file.display())]).1, Some(1));
    }

    #[test]
    fn a_task_counts_how_often_it_began_again() {
        assert_eq!(set_up(&[], 3, "0"), (String::new(), Some(0)));
        let (said, code) = set_up(&[], 3, "2");
        assert!(said.contains("put back into the queue, 1 times left") && code == Some(0), "{said}");
        let (said, code) = set_up(&[], 3, "4");
        assert!(
            said.contains("put back into the queue 4 times, and max_requeues allows 3") && code == Some(1),
            "{said}"
        );
        let script = Slurm { max_requeues: 0, ..Slurm::default() }.script(&batch()).unwrap();
        assert!(script.contains("#SBATCH --no-requeue\n"), "{script}");
    }

    #[test]
    fn arrays_are_as_long_as_the_site_allows() {
        assert_eq!(largest_array("LogTimeFormat = iso\nMaxArraySize            = 1001\nMaxJobCount = 9\n"), Some(1001));
        assert_eq!(largest_array("MaxJobCount = 9\n"), None);
    }

    #[test]
    fn accounts_tell_how_a_job_has_ended() {
        let jobs = [Job { batch: "grid-1".to_owned(), id: "7_0".to_owned() }];
        let read = |line| read_account(line, &jobs).map(|(_, state)| (state.phase, state.detail));
        assert_eq!(read("7_0|grid-1|FAILED|n1"), Some((Phase::Failed, "failed".to_owned())));
        assert_eq!(read("7_0|grid-1|CANCELLED by 1000|n1"), Some((Phase::Ended, "cancelled".to_owned())));
        for line in ["7_1|grid-1|FAILED|n1", "7_0|other-2|FAILED|n1", "7_0|grid-1|RUNNING|n1", "", "sacct: error"] {
            assert_eq!(read(line), None, "{line}");
        }
    }

    #[test]
    fn what_sbatch_refuses_has_a_way_out() {
        let refused = |words: &str, help: &str| assert!(way_out(words).contains(help), "{words}: {}", way_out(words));
        refused("Batch job submission failed: Invalid job array specification", "MaxArraySize");
        refused("Batch job submission failed: Job violates accounting/QOS policy (job submit limit)", "--only");
        refused("invalid partition specified: gpux", "sinfo");
        refused("Batch job submission failed: Requested node configuration is not available", "GPUs");
        refused("Batch job submission failed: Unspecified error", "--dry-run");
    }

    #[test]
    fn times_are_read_as_slurm_reads_them() {
        for (text, wanted) in [
            ("90", Some(5400)),
            ("90:30", Some(5430)),
            ("04:00:00", Some(14_400)),
            ("1-12", Some(129_600)),
            ("1-12:30", Some(131_400)),
            ("2-00:00:01", Some(172_801)),
            ("soon", None),
            ("1:2:3:4", None),
            ("", None),
        ] {
            assert_eq!(seconds(text), wanted, "{text}");
        }
    }

    #[test]
    fn states_of_squeue() {
        let read = |state, reason, node| {
            let JobState { phase, detail } = read_state(state, reason, node);
            (phase, detail)
        };
        assert_eq!(read("PENDING", "Priority", ""), (Phase::Waiting, "Priority".to_owned()));
        assert_eq!(read("RUNNING", "None", "n1"), (Phase::Working, "on n1".to_owned()));
        assert_eq!(read("SUSPENDED", "None", "n1"), (Phase::Working, "suspended on n1".to_owned()));
        assert_eq!(read("TIMEOUT", "TimeLimit", "n1"), (Phase::Ended, "ended by the time limit".to_owned()));
        assert_eq!(read("CANCELLED", "None", "n1"), (Phase::Ended, "cancelled".to_owned()));
        assert_eq!(read("FAILED", "BadConstraints", ""), (Phase::Failed, "failed, BadConstraints".to_owned()));
        assert_eq!(read("FAILED", "NonZeroExitCode", ""), (Phase::Failed, "failed".to_owned()));
    }
}
