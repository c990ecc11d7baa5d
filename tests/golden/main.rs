//! Every case of the golden sets: numbers that maclip must meet, of an independent implementation (PyTorch, float64) or
//! of the peers' own public code.
//!
//! Runs the small sets beside this file (`small`: the method, `peers`: what the peers' code computed) and those in the
//! folder that `MACLIP_GOLDEN` names, if it names one, on the device in `MACLIP_DEVICE` (default flex). Prints the
//! largest error of each case as a part of what its tolerance allows, and fails where one is above it, or, in the sets
//! of `known.txt`, above twice what the registration of the method states. A kind of case that this program does not
//! know is a failure.
//!
//! `MACLIP_GOLDEN_DIGEST=FILE` appends one line for each compared value with a checksum of its bits to FILE: two
//! versions of the program whose files are equal compute the same numbers, bit for bit.

mod clip;
mod clip_spm;
mod d2st;
mod emp_net;
mod hyrsm_plus_plus;
mod maps;
mod method;
mod metrics;
mod molo;
mod named;
#[path = "../common/needs.rs"]
mod needs;
mod peers;
mod set;
mod soap;
mod strm;
mod task_adapter_pp;
mod ts_fsar;

use maclip_components as _;
use maclip_framework::registry::methods;
use set::{Check, Set};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // `cargo test -- --list` and the like are for the usual harness.
    if std::env::args().any(|argument| argument == "--list") {
        println!("golden: test");
        return ExitCode::SUCCESS;
    }
    let device = std::env::var("MACLIP_DEVICE").unwrap_or_else(|_| "flex".to_owned());
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![own.join("tests/golden/small"), own.join("tests/golden/peers")];
    folders.extend(needs::data("MACLIP_GOLDEN", ""));
    let mut failed = 0;
    for folder in folders {
        let sets = Set::all(&folder, &device);
        assert!(!sets.is_empty(), "{} has no golden set", folder.display());
        failed += sets.iter().map(|set| run(set, &device)).sum::<usize>();
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Checksums of the manifests whose errors the registrations state. Other sets may have other cases under the same ids.
const KNOWN: &str = include_str!("known.txt");

/// The largest error of the case that the registration of its method states. Rounding differs between processors, so
/// that twice as much is allowed. Cards and their drivers round otherwise: there the case's own tolerance alone counts.
fn stated(set: &Set, id: &str, device: &str) -> Option<f64> {
    if !["flex", "tch:cpu"].contains(&device) || !KNOWN.lines().any(|line| line.starts_with(&set.checksum)) {
        return None;
    }
    let compared = methods().into_iter().flat_map(|method| method.compared);
    compared.filter(|compared| compared.cases.contains(&id)).map(|compared| compared.error).reduce(f64::max)
}

/// All cases of one set; the number that failed.
fn run(set: &Set, device: &str) -> usize {
    assert!(!set.cases.is_empty(), "{} has no case", set.folder.display());
    println!("{} cases of {} on {device}", set.cases.len(), set.folder.display());
    let mut failed = 0;
    let mut digests = String::new();
    for case in &set.cases {
        let id = case["id"].as_str().unwrap();
        let mut check = Check::new(set, case);
        let ran = catch_unwind(AssertUnwindSafe(|| match case["kind"].as_str().unwrap() {
            "clip" => clip::towers(&mut check),
            "text" => clip::text(&mut check),
            "frozen_clip" => clip::frozen(&mut check),
            "structures" => clip::structures(&mut check),
            "tokenizer" => clip::tokens(&mut check),
            "preprocess" => clip::preprocess(&mut check),
            "maclip_forward" => method::forward(&mut check),
            "tpcm" => method::tpcm(&mut check),
            "episode" => method::episode(&mut check),
            "gradients" => method::gradients(&mut check),
            "optimiser" => method::steps(&mut check),
            "score" => method::score(&mut check),
            "counts" => method::counts(&mut check),
            "metric" => metrics::metric(&mut check),
            "metric_matrix" => metrics::matrix(&mut check),
            "trx" => metrics::trx(&mut check),
            "cosine" => metrics::cosine(&mut check),
            "head" => peers::head(&mut check),
            "otam_matrix" => peers::otam_matrix(&mut check),
            "tower" => peers::tower(&mut check),
            "text_tower" => peers::text_tower(&mut check),
            "objective" => peers::objective(&mut check),
            "frames" => peers::frames(&mut check),
            "preparation" => peers::preparation(&mut check),
            "tokens" => peers::tokens(&mut check),
            "colors" => peers::colors(&mut check),
            "prompts" => peers::prompts(&mut check),
            "d2st" => d2st::case(&mut check),
            "hyrsm_plus_plus" => hyrsm_plus_plus::case(&mut check),
            "molo" => molo::case(&mut check),
            "clip_spm" => clip_spm::case(&mut check),
            "soap" => soap::case(&mut check),
            "strm" => strm::case(&mut check),
            "emp_net" => emp_net::case(&mut check),
            "ts_fsar" => ts_fsar::case(&mut check),
            "task_adapter_pp" => task_adapter_pp::case(&mut check),
            other => check.fail(format!("this program does not know the kind `{other}`")),
        }));
        if ran.is_err() {
            check.fail("panicked");
        }
        if let Some(stated) = stated(set, id, device).filter(|stated| check.worst > 2.0 * stated) {
            check.fail(format!("docs/methods.md says a largest error of {stated} of its tolerance"));
        }
        if check.compared == 0 && check.problems.is_empty() {
            check.fail("compared nothing");
        }
        digests.push_str(&check.digest());
        let state = if check.problems.is_empty() { "ok  " } else { "FAIL" };
        println!(
            "  {state} {id:<44} {:>4} values, largest error {:>8.1e} of its tolerance",
            check.compared, check.worst
        );
        for problem in check.problems.iter().take(8) {
            println!("       {problem}");
        }
        failed += usize::from(!check.problems.is_empty());
    }
    if let Some(file) = std::env::var_os("MACLIP_GOLDEN_DIGEST") {
        use std::io::Write;
        let opened = std::fs::OpenOptions::new().create(true).append(true).open(&file);
        opened.and_then(|mut file| file.write_all(digests.as_bytes())).unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{} passed, {failed} failed\n", set.cases.len() - failed);
    failed
}
