//! What a person sees in a terminal: standard output, colours, tables, progress, completion, and the arguments of several verbs.
//!
//! Not here: what one verb does (`verbs`), and how numbers are written (`maclip_reports::format`).

pub mod arguments;
pub mod columns;
pub mod completion;
pub mod pattern;
pub mod progress;
pub mod run_list;
mod sparkline;

use clap::ValueEnum;
use maclip_framework::error::{Error, Result};
use maclip_language::{Diagnostic, Severity};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// When messages are coloured.
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

/// Whether messages on standard error are coloured.
pub fn colored() -> bool {
    match COLOR.get().copied().unwrap_or_default() {
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

/// Writes a line to standard output. An error where that fails, such as on a full disk.
pub fn say(line: impl Display) -> Result<()> {
    SAID.store(true, Ordering::Relaxed);
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{line}").and_then(|()| out.flush());
    written.map_err(|error| Error::failed(format!("cannot write to standard output: {error}")))
}

/// Shows warnings on standard error in full, and notes in one line each.
pub fn warn<'a>(notes: impl IntoIterator<Item = &'a Diagnostic>) {
    for note in notes {
        match (note.severity, &note.origin) {
            (Severity::Note, Some(origin)) => {
                eprintln!("note[{}]: {origin}: {}: {}", note.code, note.path, note.message)
            }
            _ => eprintln!("{}\n", note.render(colored())),
        }
    }
}
