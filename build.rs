//! Notes the commit that the binary is built from, for the manifests of its runs.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // Outside a repository there is no commit to note.
    let Some(folder) = git(&["rev-parse", "--absolute-git-dir"]) else { return };
    for file in ["HEAD", "index"] {
        println!("cargo:rerun-if-changed={folder}/{file}");
    }
    // A changed source is a changed binary, whether git has been told or not.
    for folder in ["src", "framework/src", "components/src", "reports/src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) else { return };
    let changed = git(&["status", "--porcelain", "--untracked-files=no"]).is_some_and(|list| !list.is_empty());
    println!("cargo:rustc-env=MACLIP_COMMIT={commit}{}", if changed { "+" } else { "" });
}
