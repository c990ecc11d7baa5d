//! Pages of made-up runs, looked at in a browser: what `tests/page.rs` does for a real run, for the states that it does
//! not reach.

use crate::scripts::asked;
use crate::testing::Study;
use crate::{Options, report};
use maclip_framework::files::write_json;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::records::{Planned, State};
use maclip_framework::runs::store::RunStore;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

fn variants(all: &[(&str, f64, usize)]) -> Study {
    let variants = all.iter().map(|(name, accuracy, size)| ((*name).to_owned(), *accuracy, *size)).collect();
    Study { variants, ..Study::default() }
}

/// Studies with their numbers of seeds, by the name of their page.
fn pages() -> Vec<(&'static str, Vec<(Study, u64)>)> {
    let many = |number: usize| {
        let name = format!("a method with a rather long name and rate {}", 0.001 * (number + 1) as f64);
        (name, 0.3 + 0.007 * number as f64, 1000 + 3000 * number * number)
    };
    let failed = |first_seed| Study { state: State::Failed, first_seed, ..Study::default() };
    let goes_on = Study { state: State::Running, first_seed: 2, started: 1, ..Study::default() };
    let shots = |shot: usize| (Study { shot, folder: format!("{shot}-shot"), ..Study::default() }, 1);
    vec![
        ("tables", [1, 2, 3, 5].map(shots).into()),
        ("failing", vec![(failed(0), 2)]),
        ("progress", vec![(Study::default(), 1), (failed(1), 1), (goes_on, 1)]),
        ("sixty", vec![(Study { variants: (0..60).map(many).collect(), ..Study::default() }, 1)]),
        ("chance", vec![(variants(&[("none", 0.2, 0), ("worse", 0.19, 7)]), 1)]),
        ("equals", vec![(variants(&[("none", 0.4, 0), ("one", 0.7, 7), ("two", 0.7005, 9)]), 2)]),
        ("contrastive", vec![(Study::contrastive(), 1)]),
    ]
}

/// Notes a run that has not begun, and holds those that go on as a process does that works on them.
fn busy(runs: &Path) -> Vec<RunStore> {
    let waits = Planned { variant: "both".into(), label: None, seed: 3, hash: "waits".into() };
    write_json(&runs.join("ablation").join(Planned::FILE), &[waits]).unwrap();
    let found = RunDirectory::find(runs).unwrap().into_iter().map(Result::unwrap);
    let running = found.filter(|run| run.status.as_ref().is_some_and(|status| status.state == State::Running));
    running.map(|run| RunStore::open(&run.path).unwrap()).collect()
}

/// `MACLIP_REPORT_OUT=DIR` keeps the pages there.
#[test]
fn pages_of_every_state_work_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let out = std::env::var_os("MACLIP_REPORT_OUT").map_or_else(|| folder.path().join("out"), PathBuf::from);
    let mut faults = String::new();
    for (name, studies) in pages() {
        let runs = folder.path().join(name);
        studies.iter().for_each(|(study, seeds)| study.write(&runs, *seeds));
        let held = if name == "progress" { busy(&runs) } else { Vec::new() };
        let index = report(&[runs], Some(&out.join(name)), &Options::default()).unwrap().index;
        if name == "progress" {
            let page = std::fs::read_to_string(&index).unwrap();
            let told = [
                "13 runs, 4 with a result, 4 running, 4 failed, 1 waiting",
                "testing: a process works on it",
                "it has not begun",
            ];
            told.iter().for_each(|words| assert!(page.contains(words), "{words}"));
            let place = |part: &str| page.find(part).unwrap();
            assert!(place("id=\"unfinished\"") < place("id=\"group-1\""), "what failed comes first");
        }
        drop(held);
        // A figure of 25 rows is higher than what a table of 60 leaves of its last sheet.
        let without: &[&str] = if name == "sixty" { &["--without", "print"] } else { &[] };
        let arguments: Vec<&OsStr> = [index.as_os_str()].into_iter().chain(without.iter().map(OsStr::new)).collect();
        let Some((code, told)) = asked("python3", "page_check.py", &arguments) else { return };
        if code != 0 {
            faults += &format!("{name}:\n{told}\n");
        }
    }
    assert!(faults.is_empty(), "{faults}");
}
