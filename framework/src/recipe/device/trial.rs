//! A device is tried in a process of its own, so that a driver that crashes ends that process and not the program.
//!
//! The process is this program once more. A program offers that by calling [`try_if_asked`] before anything else; in
//! any other one a device is tried in the program itself.

use super::{Trial, here};
use crate::error::{Error, Result};
use crate::files::this_program;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

/// The argument by which a program is asked to try the device that the next one names.
const ARGUMENT: &str = "try-device";
/// The argument after that by which gradients are asked for.
const GRADIENTS: &str = "gradients";
/// Whether this program answers when it is asked.
static ANSWERS: AtomicBool = AtomicBool::new(false);

/// What the process says, as the last line of its output.
#[derive(Deserialize, Serialize)]
enum Answer {
    Good(Trial),
    Bad { message: String, help: Option<String> },
}

/// Tries a device where the command line asks for it, and returns how the process ends. A program that calls this first
/// of all tries the devices of its graphics drivers in a process of their own from then on.
pub fn try_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|argument| argument != ARGUMENT) {
        ANSWERS.store(true, Ordering::Relaxed);
        return None;
    }
    let name = arguments.next().unwrap_or_default();
    let gradients = arguments.next().is_some_and(|argument| argument == GRADIENTS);
    let answer = match here(&name.to_string_lossy(), gradients) {
        Ok(trial) => Answer::Good(trial),
        Err(Error::Failed { message, help, .. }) => Answer::Bad { message, help },
        Err(other) => Answer::Bad { message: other.reason(), help: None },
    };
    let said = serde_json::to_string(&answer).map_err(std::io::Error::other);
    // Begun on a line of its own: a driver may have written something.
    let said = said.and_then(|answer| writeln!(std::io::stdout(), "\n{answer}"));
    Some(if said.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Tries the device that the recipe calls `text` in a process of its own; `None` where this program has not offered
/// that.
pub(super) fn elsewhere(text: &str, gradients: bool) -> Option<Result<Trial>> {
    ANSWERS.load(Ordering::Relaxed).then(|| {
        let mut command = Command::new(this_program()?);
        command.args([ARGUMENT, text]).args(gradients.then_some(GRADIENTS)).stdin(Stdio::null());
        let failed = |why: String| {
            Error::failed(format!("device `{text}` cannot be used: the process that tries it {why}")).help(
                "the fault is in the driver or in the kernels for it: a newer driver may be better, and `device: flex` \
                 computes on the processor",
            )
        };
        let output = command.output().map_err(|error| failed(format!("could not be started: {error}")))?;
        let answer = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap_or_default();
        match serde_json::from_slice(answer) {
            Ok(Answer::Good(trial)) => Ok(trial),
            Ok(Answer::Bad { message, help: Some(help) }) => Err(Error::failed(message).help(help)),
            Ok(Answer::Bad { message, help: None }) => Err(Error::failed(message)),
            Err(_) => Err(failed(match output.status.signal() {
                Some(signal) => format!("was ended by its driver, with signal {signal}{}", name(signal)),
                None => format!("gave no answer; it ended with {}", output.status),
            })),
        }
    })
}

/// The name of the signals that a crash ends with.
fn name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        11 => " (SIGSEGV)",
        _ => "",
    }
}
