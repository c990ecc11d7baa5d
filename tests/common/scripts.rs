//! Checks that are scripts, because they drive other programs.

use super::{needs, root};
use std::ffi::OsStr;
use std::process::Command;

/// What a script of `scripts/` exits with where the program that it asks is not there.
const SKIPPED: i32 = 77;

/// Exit status and output of a script of `scripts/`; `None` where the check is skipped.
pub fn asked(program: &str, script: &str, arguments: &[impl AsRef<OsStr>]) -> Option<(i32, String)> {
    let script = root().join("scripts").join(script);
    let Ok(output) = Command::new(program).arg(script).args(arguments).output() else {
        needs::skip(&format!("no {program}"), &format!("install {program}"));
        return None;
    };
    let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    match output.status.code() {
        Some(SKIPPED) => {
            let told = told.trim().trim_start_matches("skipped: ");
            let (missing, get) = told.split_once("; ").expect("a script says what is missing, and how to get it");
            needs::skip(missing, get);
            None
        }
        code => Some((code.unwrap(), told)),
    }
}
