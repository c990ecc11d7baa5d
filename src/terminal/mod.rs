//! What a person sees in a terminal: standard output, colours, tables, progress, completion, and the arguments of
//! several verbs.
//!
//! Not here: what one verb does (`verbs`), and how numbers are written (`maclip_reports::format`).

pub mod arguments;
pub mod columns;
pub mod completion;
pub mod jobs;
pub mod outline;
pub mod pattern;
pub mod progress;
pub mod run_list;
pub mod sparkline;

mod screen;

use clap::ValueEnum;
use maclip_framework::error::{Error, Result};
use maclip_language::{Diagnostic, Severity, printable_lines};
use maclip_reports::Look;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// When messages and results are coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    Always,
    Never,
}

static COLOR: OnceLock<Color> = OnceLock::new();

/// Sets what `--color` says, once.
pub fn choose(color: Color) {
    COLOR.get_or_init(|| color);
}

fn chosen() -> Color {
    COLOR.get().copied().unwrap_or_default()
}

/// Whether messages on standard error are coloured.
pub fn colored() -> bool {
    match chosen() {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => {
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    }
}

/// Whether something was written to standard output.
static SAID: AtomicBool = AtomicBool::new(false);

/// Whether [`say`] has written anything yet.
pub fn has_said() -> bool {
    SAID.load(Ordering::Relaxed)
}

/// Writes text for a person to standard output, without control characters; on a terminal, in lines that fit it. An
/// error where that fails, such as on a full disk.
pub fn say(text: impl Display) -> Result<()> {
    write_out(&screen::page(&printable_lines(&text.to_string())))
}

/// How standard output shows tables: as wide as the terminal is, and with bold letters where colours are allowed.
pub fn look() -> Look {
    screen::look()
}

/// Writes what was made for [`look`] to standard output, with its states in colour. Names in it must be printable
/// already.
pub fn say_made(text: impl Display) -> Result<()> {
    write_out(&screen::coloured(&text.to_string()))
}

/// Writes text for a program to standard output, such as JSON: without control characters, and else as it is. An error
/// where that fails.
pub fn say_data(text: impl Display) -> Result<()> {
    write_out(&printable_lines(&text.to_string()))
}

fn write_out(text: &str) -> Result<()> {
    SAID.store(true, Ordering::Relaxed);
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{text}").and_then(|()| out.flush());
    written.map_err(|error| Error::failed(format!("cannot write to standard output: {error}")))
}

/// A path for JSON, which is text: bytes that are no text become `\u{fffd}`.
pub fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Writes a line to standard error, without control characters. Where that fails, nobody could be told, and the work
/// goes on.
pub fn tell(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", printable_lines(&line.to_string()));
}

/// Writes what `render` makes to standard error. It is given whether it may colour, and must make names printable
/// itself.
fn tell_coloured(render: impl FnOnce(bool) -> String) {
    match colored() {
        true => drop(writeln!(std::io::stderr().lock(), "{}", render(true))),
        false => tell(render(false)),
    }
}

/// Shows an error on standard error.
pub fn tell_error(error: &Error) {
    tell_coloured(|colored| match error {
        Error::Recipe(diagnostics) => {
            let explain =
                diagnostics.iter().next().map(|first| format!("\n\n`maclip explain {}` says more", first.code));
            format!("{}{}", diagnostics.render(colored), explain.unwrap_or_default())
        }
        other => printable_lines(&other.to_string()),
    });
}

/// Shows warnings on standard error in full, and notes in one line each.
pub fn warn<'a>(notes: impl IntoIterator<Item = &'a Diagnostic>) {
    for note in notes {
        match (note.severity, &note.origin) {
            (Severity::Note, Some(origin)) => {
                tell(format!("note[{}]: {origin}: {}: {}", note.code, note.path, note.message))
            }
            _ => tell_coloured(|colored| format!("{}\n", note.render(colored))),
        }
    }
}
