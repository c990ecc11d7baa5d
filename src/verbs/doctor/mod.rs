//! `maclip doctor`: what this binary is, what this machine has, and whether the one runs on the other.

mod measure;

use super::validate::deep::{free, writable};
use crate::shipped::RECIPES;
use crate::terminal::{say, say_data};
use clap::Args;
use maclip_components::datasets::readers::video::Programs;
use maclip_framework::engine::attempt::cpu_name;
use maclip_framework::error::{Error, Result};
use maclip_framework::profile::kernel_bytes;
use maclip_framework::recipe::device;
use maclip_framework::registry::slots;
use maclip_kernels::Level;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Look at this binary and this machine: devices, memory, disk, programs
#[derive(Args)]
pub struct Arguments {
    /// Folder that run directories would go to
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Measure how fast a device trains and tests, and keep that in the folder of the runs for `maclip plan --machines`
    #[arg(long)]
    measure: bool,
    /// The device to measure [default: flex]
    #[arg(long, value_name = "DEVICE", requires = "measure")]
    device: Option<String>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("doctor", 180, Arguments, doctor);

#[derive(Clone, Copy, PartialEq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    /// Missing, but only some recipes need it.
    Absent,
    Bad,
}

#[derive(serde::Serialize)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    found: String,
}

fn doctor(arguments: Arguments) -> Result<()> {
    if arguments.measure {
        return measure::run(arguments.device.as_deref().unwrap_or("flex"), &arguments.runs, arguments.json);
    }
    let mut findings = vec![binary(), registry(), processor(), memory()];
    findings.extend(devices());
    findings.extend(cuda());
    findings.extend([weights(), folder(&arguments.runs)]);
    findings.extend(programs());
    findings.extend(variables());
    let bad = findings.iter().filter(|finding| finding.verdict == Verdict::Bad).count();
    if arguments.json {
        say_data(json!({"healthy": bad == 0, "findings": findings}))?;
    } else {
        for Finding { what, verdict, found } in &findings {
            let mark = match verdict {
                Verdict::Good => "ok",
                Verdict::Absent => "–",
                Verdict::Bad => "BAD",
            };
            say(format!("{mark:<5}{what:<18}  {found}"))?;
        }
    }
    match bad {
        0 => Ok(()),
        _ => Err(Error::failed(format!("{bad} of {} checks failed", findings.len()))),
    }
}

fn finding(what: &'static str, verdict: Verdict, found: impl Into<String>) -> Finding {
    Finding { what, verdict, found: found.into() }
}

fn binary() -> Finding {
    let mut features = device::features();
    features.extend(cfg!(feature = "libav").then(|| "libav".to_owned()));
    let features = if features.is_empty() { "no optional features".to_owned() } else { features.join(", ") };
    let commit = option_env!("MACLIP_COMMIT").unwrap_or("no commit");
    finding("maclip", Verdict::Good, format!("{} ({commit}), built with {features}", env!("CARGO_PKG_VERSION")))
}

fn registry() -> Finding {
    let components: usize = slots().map(|slot| (slot.components)().len()).sum();
    // A binary that does not link the components would find none.
    let verdict = if components > 0 { Verdict::Good } else { Verdict::Bad };
    let about = format!("{components} components in {} slots, {} recipes in the program", slots().len(), RECIPES.len());
    finding("components", verdict, about)
}

fn processor() -> Finding {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let name = cpu_name();
    finding("processor", Verdict::Good, format!("{name}, {threads} threads, instructions {}", Level::current()))
}

fn memory() -> Finding {
    let of = |key: &str| kernel_bytes("/proc/meminfo", key).map(|bytes| bytes as f64 / 1e9);
    match (of("MemAvailable"), of("MemTotal")) {
        (Some(free), Some(all)) => {
            // The quickstart takes a third of this.
            let verdict = if free < 1.0 { Verdict::Bad } else { Verdict::Good };
            finding("memory", verdict, format!("{free:.1} of {all:.1} GB free; the quickstart takes 0.45"))
        }
        _ => finding("memory", Verdict::Absent, "not known on this system"),
    }
}

/// Each device that the binary knows and the machine has, with a product computed on it.
fn devices() -> Vec<Finding> {
    let tried = device::on_this_machine().into_iter().map(|name| {
        let adapter = device::adapter(&name).map_or_else(String::new, |adapter| format!(" ({adapter})"));
        match device::examine(&name) {
            Ok(trial) => {
                let about = match trial.gradients {
                    Some(_) if !trial.trains() => {
                        "; its gradients are wrong, so nothing can be trained on it".to_owned()
                    }
                    Some(difference) => format!("; its gradients are those of flex, to {difference:.0e}"),
                    None => String::new(),
                };
                let verdict = if trial.trains() { Verdict::Good } else { Verdict::Absent };
                finding("device", verdict, format!("{name} computes{adapter}{about}"))
            }
            // An accelerator that is not in this machine is no fault of it.
            Err(error) if name != "flex" => finding("device", Verdict::Absent, in_a_line(&error) + &adapter),
            Err(error) => finding("device", Verdict::Bad, in_a_line(&error)),
        }
    });
    tried.collect()
}

/// What burn's own CUDA backend needs at run time, where the binary has it.
fn cuda() -> Vec<Finding> {
    if !device::features().iter().any(|feature| feature == "cuda") {
        return Vec::new();
    }
    let parts = device::cuda::parts().into_iter().map(|part| match part.found {
        Ok(path) => finding(part.what, Verdict::Good, path.display().to_string()),
        Err(missing) => finding(part.what, Verdict::Absent, missing),
    });
    parts.collect()
}

/// What is wrong, and the way out.
fn in_a_line(error: &Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(|line| line.trim_start_matches("error: ").trim_start().trim_start_matches("help: "));
    lines.collect::<Vec<_>>().join("; ")
}

fn weights() -> Finding {
    match maclip_components::backbones::inspect::inspect("builtin:shapes_clip", &Default::default()) {
        Ok(found) if found.problem().is_none() => {
            finding("embedded weights", Verdict::Good, format!("builtin:shapes_clip, sha256 {}", &found.sha256[..12]))
        }
        Ok(found) => finding("embedded weights", Verdict::Bad, found.problem().unwrap_or_default()),
        Err(error) => finding("embedded weights", Verdict::Bad, in_a_line(&error)),
    }
}

fn folder(runs: &Path) -> Finding {
    let room = free(runs).map_or_else(String::new, |bytes| format!(", {:.1} GB free", bytes as f64 / 1e9));
    match writable(runs) {
        Ok(()) => finding("runs folder", Verdict::Good, format!("{} can be written{room}", runs.display())),
        Err(error) => finding("runs folder", Verdict::Bad, format!("{} cannot be written: {error}", runs.display())),
    }
}

/// The programs that video files are read with.
fn programs() -> [Finding; 2] {
    let Programs { ffmpeg, ffprobe, .. } = Programs::default();
    [("ffmpeg", ffmpeg), ("ffprobe", ffprobe)].map(|(name, program)| {
        let output = std::process::Command::new(&program).arg("-version").output();
        match output.ok().filter(|output| output.status.success()) {
            Some(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                finding(name, Verdict::Good, text.lines().next().unwrap_or_default().trim())
            }
            None => {
                let about = "not found; only video files need it, frame folders do not";
                finding(name, Verdict::Absent, format!("{}: {about}", program.to_string_lossy()))
            }
        }
    })
}

/// Variables that shipped recipes and the program read.
fn variables() -> Vec<Finding> {
    let recipes = RECIPES.iter().flat_map(|recipe| recipe.text.split("${env:").skip(1));
    let names: BTreeSet<&str> = recipes.filter_map(|rest| rest.split([':', '}']).next()).collect();
    let names =
        names.into_iter().chain(["MACLIP_FFMPEG", "MACLIP_FFPROBE", "MACLIP_PROGRAM", "RAYON_NUM_THREADS", "NO_COLOR"]);
    let set = names.filter_map(|name| Some((name, std::env::var(name).ok()?)));
    set.map(|(name, value)| {
        let path = ["_ROOT", "_LISTS", "_LABELS", "_WEIGHTS"].iter().any(|end| name.ends_with(end));
        let gone = path && !value.is_empty() && !Path::new(&value).exists();
        let about = if gone { format!("{value}, which is not there") } else { value };
        finding(name, if gone { Verdict::Bad } else { Verdict::Good }, about)
    })
    .collect()
}
