//! Runs as jobs: a real Slurm on loopback, which the test starts, and commands of one's own.

mod common;

use common::slurm::Slurm;
use common::{Ran, command, fails, finish, ok};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const BASE: &str = "seed: 1\ndataset: {type: shapes_in_motion, clips_per_class: 6}\n\
    backbone: {type: clip_vit, weights: \"builtin:shapes_clip\"}\nobjective: {type: metric}\n";
const SHORT: &str = "task: {type: few_shot, queries: 1,\n  \
    train: {steps: 2, validate_every_steps: 2, checkpoint_every_steps: 1},\n  \
    validation: {episodes: 4, clips_per_class: 6}, test: {episodes: 6, clips_per_class: 6}}\n";
/// A training that does not end by itself.
const ENDLESS: &str = "adapter: {type: multimodal}\n\
    task: {type: few_shot, queries: 1,\n  \
    train: {steps: 1000000, validate_every_steps: 1000000, checkpoint_every_steps: 10},\n  \
    validation: {episodes: 4, clips_per_class: 6}, test: {episodes: 6, clips_per_class: 6}}\n";

/// A recipe, its runs, and the cluster that makes them.
struct Study<'a> {
    slurm: Option<&'a Slurm>,
    recipe: String,
    runs: PathBuf,
    /// Programs that stand in for others; then maclip is called in the folder of the recipe.
    bin: Option<PathBuf>,
}

impl<'a> Study<'a> {
    fn new(slurm: Option<&'a Slurm>, folder: &Path, name: &str, text: &str) -> Self {
        let recipe = folder.join(format!("{name}.yaml"));
        std::fs::write(&recipe, format!("name: {name}\n{BASE}{text}")).unwrap();
        // Folders are no words of a shell, and `%` means something to sbatch.
        Self { slurm, recipe: recipe.to_str().unwrap().to_owned(), runs: folder.join("runs 50%"), bin: None }
    }

    fn maclip(&self, verb: &str, more: &[&str]) -> Ran {
        let mut command = command(&[&[verb, &self.recipe, "--runs", self.runs.to_str().unwrap()], more].concat());
        command.envs(self.slurm.map(|slurm| ("SLURM_CONF", slurm.config())));
        if let Some(bin) = &self.bin {
            let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
            let program = command.get_program().to_owned();
            command.env("PATH", path).env("MACLIP", program).current_dir(bin.parent().unwrap());
        }
        finish(command.output().unwrap())
    }

    #[track_caller]
    fn ok(&self, verb: &str, more: &[&str]) -> Ran {
        let ran = self.maclip(verb, more);
        assert_eq!(ran.code, Some(0), "{verb} {more:?}\n{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// The runs as `status --json` lists them.
    fn status(&self) -> Vec<Value> {
        let all: Value = serde_json::from_str(&self.ok("status", &["--json"]).stdout).unwrap();
        all["runs"].as_array().unwrap().clone()
    }

    fn states(&self) -> Vec<String> {
        self.status().iter().map(|run| run["state"].as_str().unwrap().to_owned()).collect()
    }

    /// The only run, or the first.
    fn run(&self) -> Value {
        self.status().remove(0)
    }

    fn job(&self) -> String {
        self.run()["job"]["id"].as_str().unwrap().to_owned()
    }

    fn log(&self) -> String {
        let path = self.run()["job"]["log"].as_str().unwrap().to_owned();
        std::fs::read_to_string(path).unwrap_or_default()
    }

    fn attempts(&self) -> Vec<Value> {
        let manifest = Path::new(self.run()["dir"].as_str().unwrap()).join("manifest.json");
        let Ok(text) = std::fs::read_to_string(manifest) else { return Vec::new() };
        serde_json::from_str::<Value>(&text).unwrap()["attempts"].as_array().unwrap().clone()
    }

    /// Waits until attempt `count` has made steps that the one before has not.
    #[track_caller]
    fn wait_for_attempt(&self, count: usize) {
        let after = |attempts: &[Value]| attempts.last().unwrap()["first_step"].as_u64().unwrap();
        self.wait(&format!("attempt {count}"), || {
            let attempts = self.attempts();
            // Past a checkpoint, so that the next attempt does not begin anew.
            attempts.len() == count && self.run()["steps"]["done"].as_u64().unwrap() > after(&attempts) + 10
        });
        let attempts = self.attempts();
        assert!(count == 1 || after(&attempts) > 0, "it went on from a checkpoint: {attempts:?}");
    }

    #[track_caller]
    fn wait(&self, what: &str, there: impl Fn() -> bool) {
        let began = Instant::now();
        while !there() {
            let table = self.maclip("status", &[]);
            assert!(
                began.elapsed() < Duration::from_secs(120),
                "{what} did not come: {}{}",
                table.stdout,
                table.stderr
            );
            std::thread::sleep(Duration::from_millis(300));
        }
    }
}

#[test]
fn slurm_makes_the_runs_of_a_study() {
    let Some(mut slurm) = Slurm::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    // They take longest, so they begin first.
    let limits = times(&slurm, folder.path());
    an_array(&slurm, folder.path());
    before_the_run(&slurm, folder.path());
    ends_by_time(&limits);
    drop(limits);
    goes_on(&mut slurm, folder.path());
}

/// A run whose requeues are used up when its signal comes, and one that overhears the signal until its time ends.
fn times<'a>(slurm: &'a Slurm, folder: &Path) -> Study<'a> {
    let variants = "launcher: {type: slurm, cpus_per_task: 1, max_requeues: 0}\nstudy:\n  variants:\n    \
                    asked: {launcher.time: \"2\", launcher.signal_before_end: 119}\n    \
                    deaf: {launcher.time: \"1\", launcher.signal_before_end: 1, \
                    launcher.setup: [\"trap caught=1 USR1\"], task.shot: 2}\n";
    let study = Study::new(Some(slurm), folder, "times", &format!("{ENDLESS}{variants}"));
    let sent = study.ok("run", &[]);
    assert!(sent.stdout.contains("times: 2 runs to Slurm, jobs 1, 2"), "{}", sent.stdout);
    study
}

fn ends_by_time(study: &Study) {
    study.wait("the end of the time", || study.states() == ["stopped", "stopped"]);
    let table = study.ok("status", &[]).stdout;
    assert!(table.contains("job 1_0 of Slurm: failed") && table.contains("as often as max_requeues allows"), "{table}");
    assert!(table.contains("job 2_0 of Slurm: ended by the time limit"), "{table}");
    for run in study.status() {
        let checkpoints = Path::new(run["dir"].as_str().unwrap()).join("checkpoints");
        assert!(checkpoints.read_dir().unwrap().count() > 0, "a checkpoint is left: {run}");
    }
}

fn an_array(slurm: &Slurm, folder: &Path) {
    let launcher =
        "launcher: {type: slurm, cpus_per_task: 1, mem_gb: 1, partition: main, array_parallelism: 1, time: \"60\"}\n";
    let gone = "study: {variants: {a: {}, gone: {dataset: {type: frame_folder, root: nowhere}}, b: {task.shot: 2}}}\n";
    let study = Study::new(Some(slurm), folder, "grid", &format!("{SHORT}{launcher}{gone}"));
    let shown = study.ok("run", &["--dry-run"]).stdout;
    for line in ["#SBATCH --array=0-2%1", "#SBATCH --partition=main", "#SBATCH --signal=B:USR1@120", " execute "] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(!study.runs.join("grid").exists(), "a dry run writes nothing");
    // Nothing begins before all of it was looked at.
    slurm.ask("scontrol", &["update", "PartitionName=main", "State=DOWN"]);
    let sent = study.ok("run", &[]);
    assert!(sent.stdout.contains("grid: 3 runs to Slurm, job 3"), "{}{}", sent.stdout, sent.stderr);
    // The second call finds all of them, also where the first one was stopped before it knew the job.
    let journal = study.runs.join("grid/.jobs/submitted.json");
    let text = std::fs::read_to_string(&journal).unwrap();
    let mut forgotten: Value = serde_json::from_str(&text).unwrap();
    forgotten["batches"][0]["cells"].as_array_mut().unwrap().iter_mut().for_each(|cell| cell["id"] = Value::Null);
    for journaled in [text, forgotten.to_string()] {
        std::fs::write(&journal, journaled).unwrap();
        let again = study.ok("run", &[]);
        assert!(
            again.stdout.is_empty() && again.stderr.contains("3 runs with a job that waits or works already"),
            "{}",
            again.stderr
        );
    }
    assert!(!slurm.ask("squeue", &["--states=all", "--noheader", "--format=%F"]).contains('4'), "one array");
    assert_eq!(study.states(), ["waiting"; 3]);
    let all = ok_status(&study, &[study.runs.to_str().unwrap()]);
    assert!(all.contains("waiting") && all.contains("job 3_2 of Slurm: "), "{all}");
    slurm.ask("scontrol", &["update", "PartitionName=main", "State=UP"]);

    let waited = study.maclip("run", &["--wait"]);
    assert_eq!(waited.code, Some(1), "{}", waited.stderr);
    for words in ["gone-s1 failed", "nowhere", ".jobs/gone-s1-", "1 of 3 runs failed"] {
        assert!(waited.stderr.contains(words), "{words} is not in {}", waited.stderr);
    }
    assert!(study.runs.join("grid/report/index.html").exists(), "what is done is reported");
    assert_eq!(study.states(), ["done", "failed", "done"]);
    let table = study.ok("status", &[]).stdout;
    assert!(table.contains("2 of 3 done") && table.contains(".log:\n    ") && table.contains("nowhere"), "{table}");
    // Only what failed is submitted again.
    let again = study.ok("run", &["--json"]);
    let again: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(again["submitted"].as_array().unwrap().len(), 1, "{again}");
    assert_eq!(again["submitted"][0]["variant"], "gone", "{again}");
    study.wait("the second failure", || study.states() == ["done", "failed", "done"]);
    // What Slurm refuses was not submitted, although it keeps such jobs as failed ones.
    let refused = study.maclip("run", &["--set", "launcher.mem_gb=900"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("`sbatch` ended with"), "{}", refused.stderr);
    assert!(!std::fs::read_to_string(&journal).unwrap().contains("\"mem_gb\": 900"));
    // The command line may make the runs here.
    let here = study.maclip("run", &["--launcher", "local", "--only", "a"]);
    assert_eq!(here.code, Some(0), "{}", here.stderr);

    // A cluster that cannot be asked is named: `status` goes on without it, and nothing is submitted twice.
    let lost = |verb: &str| {
        let mut command = command(&[verb, &study.recipe, "--runs", study.runs.to_str().unwrap()]);
        finish(command.env("PATH", "/nowhere").output().unwrap())
    };
    let status = lost("status");
    assert!(status.code == Some(0) && status.stderr.contains("cannot start `squeue`"), "{}", status.stderr);
    let run = lost("run");
    assert!(run.code == Some(1) && run.stderr.contains("cannot start `squeue`"), "{}", run.stderr);
}

/// Jobs that fail before maclip writes a record, and more runs than an array may have.
fn before_the_run(slurm: &Slurm, folder: &Path) {
    let launcher = "launcher: {type: slurm, cpus_per_task: 1, setup: [echo set up, no-such-module load cuda]}\n\
                    study: {seeds: [7]}\n";
    let study = Study::new(Some(slurm), folder, "unset", &format!("{SHORT}{launcher}"));
    let waited = study.maclip("run", &["--wait"]);
    let words = "setup ended with 127: no-such-module load cuda";
    assert!(waited.code == Some(1) && waited.stderr.contains(words), "{}", waited.stderr);
    assert_eq!(study.states(), ["failed"]);
    let table = study.ok("status", &[]).stdout;
    assert!(table.contains("failed") && table.contains(words), "{table}");
    let journal = std::fs::read_to_string(study.runs.join("unset/.jobs/submitted.json")).unwrap();
    assert!(journal.contains("\"failed\": true"), "how it ended is kept: {journal}");

    let many = format!("{SHORT}launcher: {{type: slurm, time: 90}}\nstudy: {{seeds: [11, 12, 13, 14, 15]}}\n");
    let many = Study::new(Some(slurm), folder, "many", &many);
    let shown = many.ok("run", &["--dry-run"]).stdout;
    for line in ["#SBATCH --array=0-3", "#SBATCH --array=0-0", "#SBATCH --time=90"] {
        assert!(shown.contains(&format!("{line}\n")), "{line} is not in {shown}");
    }
    let refused = many.maclip("run", &["--set", "launcher.partition=nowhere"]);
    assert!(refused.code == Some(1) && refused.stderr.contains("`sinfo` lists the partitions"), "{}", refused.stderr);
}

/// `status` of folders in place of the recipe.
fn ok_status(study: &Study, folders: &[&str]) -> String {
    let mut command = command(&[&["status"], folders].concat());
    command.envs(study.slurm.map(|slurm| ("SLURM_CONF", slurm.config())));
    let ran = finish(command.output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout
}

/// A run that is interrupted in every way that there is, and goes on each time.
fn goes_on(slurm: &mut Slurm, folder: &Path) {
    let launcher =
        "launcher: {type: slurm, cpus_per_task: 1, time: \"60\", setup: ['echo \"set up\" $SLURM_JOB_PARTITION']}\n";
    let text = format!("{ENDLESS}{launcher}");
    let study = Study::new(Some(slurm), folder, "long", &text);
    study.ok("run", &[]);
    study.wait_for_attempt(1);
    let id = study.job();
    // What Slurm sends before the end of the time.
    slurm.ask("scancel", &["--signal=USR1", "--batch", &id]);
    study.wait_for_attempt(2);
    let log = study.log();
    assert!(log.contains("back into the queue, 99 times left") && log.contains("set up main"), "{log}");
    slurm.ask("scontrol", &["requeue", &id]);
    study.wait_for_attempt(3);
    // A job of a more urgent partition takes the whole node for a moment.
    slurm.ask("sbatch", &["--partition=urgent", "--exclusive", "--output=/dev/null", "--wrap=sleep 1"]);
    study.wait_for_attempt(4);
    drop(study);
    slurm.kill_node();
    let study = Study::new(Some(slurm), folder, "long", &text);
    study.wait("that the node is missed", || study.states() == ["waiting"]);
    drop(study);
    slurm.slurmd();
    let study = Study::new(Some(slurm), folder, "long", &text);
    study.wait_for_attempt(5);
    assert_eq!(study.job(), id, "the same job all the time");
    assert_eq!(study.states(), ["running"]);

    let cancelled = study.ok("cancel", &["--json"]);
    let cancelled: Value = serde_json::from_str(&cancelled.stdout).unwrap();
    assert_eq!(
        (&cancelled["cancelled"][0]["id"], &cancelled["cancelled"][0]["was_running"]),
        (&id.into(), &true.into())
    );
    study.wait("the end of the job", || study.states() == ["stopped"]);
    assert!(study.ok("status", &[]).stdout.contains("cancelled"), "{}", study.ok("status", &[]).stdout);
    let status = Path::new(study.run()["dir"].as_str().unwrap()).join("status.json");
    let status: Value = serde_json::from_str(&std::fs::read_to_string(status).unwrap()).unwrap();
    assert_eq!(status["state"], "interrupted", "it wrote a checkpoint before its end");
    assert!(study.ok("cancel", &[]).stderr.contains("no job waits or runs"));
}

#[test]
fn a_command_of_ones_own_makes_runs_too() {
    let folder = tempfile::tempdir().unwrap();
    let launcher = "launcher:\n  type: command\n  \
        submit: '({program} execute {spec} >>{log} 2>&1 & echo $! >{log}.id) && echo sent && cat {log}.id'\n  \
        state: 'if [ -e /proc/{id} ] && ! grep -q \"^State:.Z\" /proc/{id}/status; then echo running; fi'\n  \
        cancel: 'kill {id}'\n";
    let gone = "study: {variants: {a: {}, gone: {dataset: {type: frame_folder, root: nowhere}}}}\n";
    let study = Study::new(None, folder.path(), "own", &format!("{SHORT}{launcher}{gone}"));
    let shown = study.ok("run", &["--dry-run"]).stdout;
    assert!(shown.contains("execute '") && shown.contains("/0.json'"), "{shown}");
    let waited = study.maclip("run", &["--wait"]);
    assert_eq!(waited.code, Some(1), "{}", waited.stderr);
    assert!(waited.stderr.contains("1 of 2 runs failed: gone-s1"), "{}", waited.stderr);
    assert_eq!(study.states(), ["done", "failed"]);

    let long = Study::new(None, folder.path(), "long", &format!("{ENDLESS}{launcher}"));
    long.ok("run", &[]);
    long.wait_for_attempt(1);
    let cancelled = long.ok("cancel", &[]).stdout;
    assert!(cancelled.contains("cancelled job") && cancelled.contains("running"), "{cancelled}");
    long.wait("the end of the job", || long.states() == ["stopped"]);
    // The records alone say how far a run is where no command does.
    let without: String =
        launcher.lines().filter(|line| !line.contains("state:")).map(|line| format!("{line}\n")).collect();
    let blind = Study::new(None, folder.path(), "blind", &format!("{SHORT}{without}"));
    blind.ok("run", &[]);
    blind.wait("the result", || blind.states() == ["done"]);
}

/// A folder with programs that stand in for others, before all others in the `PATH` of [`Study::stand_in`].
fn stand_ins(folder: &Path, programs: &[(&str, &str)]) -> PathBuf {
    let bin = folder.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for (name, script) in programs {
        let file = bin.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    bin
}

#[test]
fn how_a_job_ended_is_known_after_slurm_has_forgotten_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{SHORT}launcher: {{type: slurm}}\nstudy: {{variants: {{a: {{}}, b: {{task.shot: 2}}}}}}\n");
    let squeue = "[ ! -e squeue.out ] || sed \"s/@NAME/$(cat name)/\" squeue.out";
    let sacct = "[ -e sacct.out ] || { echo 'accounting storage is disabled' >&2; exit 1; }\n\
                 sed \"s/@NAME/$(cat name)/\" sacct.out";
    let sbatch = "sed -n 's/^#SBATCH --job-name=//p' \"$2\" >name; echo 7";
    let bin = stand_ins(folder.path(), &[("sbatch", sbatch), ("squeue", squeue), ("sacct", sacct)]);
    let study = Study { bin: Some(bin), ..Study::new(None, folder.path(), "grid", &text) };
    study.ok("run", &[]);
    let say = |program: &str, lines: &str| std::fs::write(folder.path().join(program), lines).unwrap();
    let forget = |program: &str| std::fs::remove_file(folder.path().join(program)).unwrap();
    // Slurm has forgotten both, and keeps no accounts.
    assert_eq!(study.states(), ["stopped", "stopped"]);
    assert!(study.ok("status", &[]).stdout.contains("Slurm does not know job 7_0 any more"));
    // The accounts have one of them.
    say("sacct.out", "7_0|@NAME|OUT_OF_MEMORY|n1\n7_1|another|FAILED|n1\n");
    assert_eq!(study.states(), ["failed", "stopped"]);
    forget("sacct.out");
    assert_eq!(study.states(), ["failed", "stopped"], "what was seen is kept");
    assert!(study.ok("status", &[]).stdout.contains("job 7_0 of Slurm: ended for lack of memory"));
    // A job that an administrator has put back is no ended one.
    say("squeue.out", "7_0|RUNNING|None|n1\n7_1|FAILED|NonZeroExitCode|n1\n");
    assert_eq!(study.states(), ["starting", "failed"]);
    forget("squeue.out");
    assert_eq!(study.states(), ["failed", "failed"]);
    let again: Value = serde_json::from_str(&study.ok("run", &["--json"]).stdout).unwrap();
    assert_eq!(again["submitted"].as_array().unwrap().len(), 2, "{again}");
    assert_eq!(study.states(), ["stopped", "stopped"], "of the new jobs nothing is known");
}

/// The blocks of YAML in docs/gpu_and_cluster.md below a line that begins with `heading`.
fn yaml_below(heading: &str) -> Vec<String> {
    let text = std::fs::read_to_string(common::root().join("docs/gpu_and_cluster.md")).unwrap();
    let at = text.find(&format!("\n{heading}")).unwrap_or_else(|| panic!("no {heading}"));
    let blocks = text[at..].split("```yaml\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn the_study_of_the_page_is_submitted_as_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    ok(&["init", "quickstart", "--folder", &at("recipes")]);
    std::fs::write(at("study.yaml"), yaml_below("## Slurm").remove(0)).unwrap();
    let dry = |more: &[&str]| ok(&[&["run", &at("study.yaml"), "--runs", &at("runs"), "--dry-run"], more].concat());
    let shown = dry(&["--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["runs"].as_array().unwrap().len(), 12, "{shown}");
    let script = shown["scripts"][0].as_str().unwrap();
    for line in ["--time=04:00:00", "--cpus-per-task=4", "--mem=8G", "%16", "RAYON_NUM_THREADS"] {
        assert!(script.contains(line), "{line} is not in {script}");
    }
    let gpu = dry(&["--set", "launcher.gpus=1", "--set", "launcher.partition=gpu"]);
    assert!(gpu.contains("--gres=gpu:1") && gpu.contains("--partition=gpu"), "{gpu}");
    // The lines that stand there for other sites.
    let text = std::fs::read_to_string(at("study.yaml")).unwrap();
    std::fs::write(at("study.yaml"), text.replace("\n  # ", "\n  ")).unwrap();
    let site = dry(&[]);
    for line in ["#SBATCH --gres-flags=enforce-binding", "#SBATCH --account=vision", "\nsource /etc/profile\n"] {
        assert!(site.contains(line), "{line} is not in {site}");
    }
}

/// Each starts the run as a process of this machine, whose end it keeps in a file.
const HQ: &str = r#"
case "$1 $2" in
  "submit "*)
    while [ "$1" != -- ]; do [ "$1" != --stdout ] || log=$2; shift; done; shift
    id=$(ls | grep -c '^job-'); touch "job-$id"
    ("$@" >>"$log" 2>&1 & echo $! >"process-$id"; wait $!; echo $? >"job-$id") >/dev/null 2>&1 &
    echo "$id" ;;
  "job list")
    for job in job-*; do
      code=$(cat "$job"); running=0 failed=0
      case $code in '') running=1 ;; 0) ;; *) failed=1 ;; esac
      printf '{"id": %s, "task_stats": {"running": %s, "waiting": 0, "failed": %s}}\n' "${job#job-}" $running $failed
    done | jq -s . ;;
  "job cancel") kill "$(cat "process-$3")" ;;
  *) exit 2 ;;
esac"#;
const KUBECTL: &str = r#"
case "$1 $2" in
  "create -f")
    cat >template
    id=$(sed -n 's/^  name: "\(.*\)"/\1/p' template)
    spec=$(sed -n 's/.*args: \["execute", "\(.*\)"\]/\1/p' template)
    touch "job-$id"
    ("$MACLIP" execute "$spec" & echo $! >"process-$id"; wait $!; echo $? >"job-$id") >/dev/null 2>&1 &
    echo "job.batch/$id created" ;;
  "get job")
    [ -e "job-$3" ] || exit 0
    case $(cat "job-$3") in
      '') printf 1/ ;;
      0) printf '/SuccessCriteriaMet Complete' ;;
      *) printf '/FailureTarget Failed' ;;
    esac ;;
  "delete job") kill "$(cat "process-$3")" ;;
  *) exit 2 ;;
esac"#;
const RAY: &str = r#"
case "$1 $2" in
  "job submit")
    [ "$3 $4 $6" = "--no-wait --submission-id --" ] || exit 2
    id=$5; shift 6; touch "job-$id"
    ("$@" & echo $! >"process-$id"; wait $!; echo $? >"job-$id") >/dev/null 2>&1 &
    echo "Job '$id' submitted successfully" ;;
  "job status")
    case $(cat "job-$3") in '') state=RUNNING ;; 0) state=SUCCEEDED ;; *) state=FAILED ;; esac
    echo "Job submission server address: http://127.0.0.1:8265"; echo "Status for job '$3': $state" ;;
  "job stop") kill "$(cat "process-$3")" ;;
  *) exit 2 ;;
esac"#;

#[test]
fn the_examples_for_other_systems_submit_ask_and_cancel() {
    if !common::needs::starts("jq", "--version") {
        return common::needs::skip("no jq", "install it (`apt install jq`)");
    }
    let blocks = yaml_below("## Other systems");
    let [hq, kubernetes, template, ray] = [0, 1, 2, 3].map(|at| blocks[at].as_str());
    for (name, example, program) in [("hq", hq, HQ), ("kubectl", kubernetes, KUBECTL), ("ray", ray, RAY)] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("job_template.yaml"), template).unwrap();
        let bin = stand_ins(folder.path(), &[(name, program)]);
        let gone = "study: {variants: {a: {}, gone: {dataset: {type: frame_folder, root: nowhere}}}}\n";
        let text = format!("{SHORT}{example}{gone}");
        let study = Study { bin: Some(bin), ..Study::new(None, folder.path(), name, &text) };
        let waited = study.maclip("run", &["--wait"]);
        assert!(waited.stderr.contains("1 of 2 runs failed: gone-s1"), "{name}: {}", waited.stderr);
        assert_eq!(study.states(), ["done", "failed"], "{name}");
        let long = Study::new(None, folder.path(), "long", &format!("{ENDLESS}{example}"));
        let long = Study { bin: study.bin, ..long };
        long.ok("run", &[]);
        long.wait_for_attempt(1);
        assert_eq!(long.states(), ["running"], "{name}");
        long.ok("cancel", &[]);
        // Its process ends with 130, which is no failure of the run.
        long.wait("the end of the job", || long.states() == ["stopped"]);
    }
}

#[test]
fn options_that_do_not_go_with_a_launcher_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let study = Study::new(None, folder.path(), "grid", SHORT);
    let runs = study.runs.to_str().unwrap();
    let refused =
        |more: &[&str], words: &[&str]| fails(2, &[&["run", &study.recipe, "--runs", runs], more].concat(), words);
    refused(&["--launcher", "slurn"], &["--launcher slurn", "`slurm`"]);
    refused(&["--wait"], &["--wait", "nothing is submitted", "--launcher slurm"]);
    for more in [&["--jobs", "2"][..], &["--devices", "flex"], &["--profile"], &["--fail-fast"]] {
        refused(&[&["--launcher", "slurm"], more].concat(), &[more[0], "jobs of the recipe's `launcher`"]);
    }
    let set = |value: &str, words: &[&str]| refused(&["--launcher", "slurm", "--set", value], words);
    set("launcher.time=soon", &["`time` must be minutes", "launcher.time"]);
    set("launcher.options=[nice]", &["options[0]", "--nice=100"]);
    set("launcher.partion=gpu", &["launcher.partion", "`partition`"]);
    refused(
        &["--launcher", "slurm", "--set", "launcher.time=\"1\"", "--set", "launcher.signal_before_end=60"],
        &["`signal_before_end` must be less than `time`, which is 60 seconds"],
    );
    refused(&["--launcher", "command", "--set", "launcher.submit=echo"], &["`submit` must have `{spec}`"]);
    let mixed = "study: {variants: {a: {}, b: {launcher.type: slurm, task.shot: 2}}}\n";
    let mixed = Study::new(None, folder.path(), "mixed", &format!("{SHORT}{mixed}"));
    fails(1, &["run", &mixed.recipe, "--runs", runs], &["b-s1 is made as a job, and a-s1 is not", "--launcher"]);
    // A launcher makes no other run of it.
    let planned = |more: &[&str]| -> Value {
        let words = [&["run", &study.recipe, "--runs", runs, "--dry-run", "--json"], more].concat();
        serde_json::from_str(&ok(&words)).unwrap()
    };
    let (here, there) = (planned(&[]), planned(&["--launcher", "slurm", "--set", "launcher.partition=gpu"]));
    assert_eq!(here["runs"][0]["dir"], there["runs"][0]["dir"]);
    assert!(there["scripts"][0].as_str().unwrap().contains("#SBATCH --partition=gpu"), "{there}");
    let mut nowhere = command(&["run", &study.recipe, "--runs", runs, "--launcher", "slurm"]);
    let nowhere = finish(nowhere.env("PATH", "/nowhere").output().unwrap());
    assert!(nowhere.code == Some(1) && nowhere.stderr.contains("cannot start `sbatch`"), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("login node"), "{}", nowhere.stderr);
    fails(1, &["cancel", folder.path().join("gone").to_str().unwrap()], &["neither a recipe nor a folder"]);
}
