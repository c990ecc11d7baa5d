//! How long a user waits for `list`, `describe`, `schema` and `validate`: medians of 20 calls of the binary, measured from outside, and
//! what hostile recipes cost. `cargo bench --bench cli`

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

fn call(arguments: &[&str]) -> f64 {
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_maclip"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("the binary runs");
    assert!(status.code().is_some(), "{arguments:?}");
    1e3 * started.elapsed().as_secs_f64()
}

fn median(arguments: &[&str]) -> f64 {
    let mut times: Vec<f64> = (0..20).map(|_| call(arguments)).collect();
    times.sort_by(f64::total_cmp);
    times[10]
}

fn main() {
    let calls: [&[&str]; 10] = [
        &["list"],
        &["list", "--json"],
        &["describe", "alignment/otam"],
        &["describe", "adapter/multimodal"],
        &["describe", "--markdown"],
        &["schema"],
        &["validate", "recipes/quickstart.yaml"],
        &["validate", "recipes/ablations/modules.yaml"],
        &["validate", "recipes/methods.yaml"],
        &["plan", "recipes/kinetics_5w5s.yaml"],
    ];
    println!("median of 20, ms");
    for arguments in calls {
        println!("  {:<44} {:>7.1}", arguments.join(" "), median(arguments));
    }
    let folder = std::env::temp_dir().join(format!("maclip-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let bomb: String = (1..30).map(|i| format!("a{i}: &a{i} [{0}, {0}, {0}]\n", format!("*a{}", i - 1))).collect();
    let hostile = [
        ("5 MB", "- aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n".repeat(96_000)),
        ("10,000 deep, flow", ["[".repeat(10_000), "]".repeat(10_000)].concat()),
        ("10,000 deep, block", (0..10_000).map(|i| " ".repeat(i.min(400)) + "a:\n").collect()),
        ("alias bomb", format!("a0: &a0 [1]\n{bomb}")),
        ("5,000 references to nothing", (0..5_000).map(|i| format!("key{i:06}: ${{zz}}\n")).collect()),
        ("15,000 unknown keys", (0..15_000).map(|i| format!("k{i}: 1\n")).collect()),
    ];
    println!("hostile recipes, ms and peak MB");
    for (name, text) in hostile {
        let path = folder.join("hostile.yaml");
        std::fs::write(&path, text).expect("a temporary file");
        let text = path.display().to_string();
        println!("  {name:<44} {:>7.1} {:>7.1}", call(&["validate", &text]), peak(&path));
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// Peak resident memory in MB, as GNU time tells; 0 where there is none.
fn peak(recipe: &Path) -> f64 {
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%M", env!("CARGO_BIN_EXE_maclip"), "validate"]).arg(recipe);
    let Ok(output) = command.output() else { return 0.0 };
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().last().and_then(|line| line.trim().parse::<f64>().ok()).map_or(0.0, |kilobytes| kilobytes / 1e3)
}
