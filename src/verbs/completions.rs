//! `maclip completions SHELL`: a script for the shell. The shell then calls this program, so component names and
//! recipes complete too.

use crate::terminal::say_data;
use clap::{Args, ValueEnum};
use clap_complete::env::{Bash, Elvish, EnvCompleter, Fish, Powershell, Zsh};
use maclip_framework::error::{Error, Result};

/// The environment variable that the shell sets when it calls this program.
pub(crate) const VARIABLE: &str = "COMPLETE";

#[derive(Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// Print a shell's completion script; component names and recipes complete too
#[derive(Args)]
pub struct Arguments {
    /// Which shell
    #[arg(value_enum)]
    shell: Shell,
}

crate::verb!("completions", 190, Arguments, completions);

fn completions(arguments: Arguments) -> Result<()> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Elvish => &Elvish,
        Shell::Fish => &Fish,
        Shell::Powershell => &Powershell,
        Shell::Zsh => &Zsh,
    };
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, "maclip", "maclip", "maclip", &mut script);
    written.map_err(|error| Error::failed(format!("cannot write the script: {error}")))?;
    say_data(String::from_utf8_lossy(&script).trim_end())
}
