//! `maclip execute SPEC`: one run from a file, as a pool and the jobs of a cluster do it.

use crate::terminal::arguments::Local;
use crate::terminal::progress::{Console, stop_on_ctrl_c, stop_on_signals};
use crate::terminal::tell;
use clap::Args;
use maclip_framework::engine::execute::{self, Options, Outcome};
use maclip_framework::engine::spec::Spec;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::store::RunStore;
use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// Make one run from the file of a launcher; continues where an earlier call stopped, and writes no report
#[derive(Args)]
pub struct Arguments {
    /// File that says the run, as `maclip run STUDY --jobs N` writes it
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    #[command(flatten)]
    local: Local,
    /// Stop, with a checkpoint, when the process of this number ends, which has started this one
    #[arg(long, value_name = "PID", hide = true)]
    with_parent: Option<i32>,
}

crate::verb!("execute", 15, Arguments, execute);

fn execute(arguments: Arguments) -> Result<()> {
    let progress = Console::new();
    match arguments.with_parent {
        None if std::io::stderr().is_terminal() => stop_on_ctrl_c(&progress)?,
        // A cluster sends its signals to each process of a job, and more than once.
        None => stop_on_signals()?,
        Some(parent) => {
            stop_on_signals()?;
            set_parent_process_death_signal(Some(Signal::TERM))
                .map_err(|error| Error::failed(format!("cannot listen for the end of the parent: {error}")))?;
            if getppid().is_none_or(|now| now.as_raw_nonzero().get() != parent) {
                return Err(Error::Interrupted);
            }
        }
    }
    let Spec { run, runs, reuse } = Spec::read(&arguments.spec, arguments.local.change()?)?;
    let path = run.directory(&runs);
    tell(path.display());
    let reuse = |_: &Path| reuse;
    let options = Options { exact_phases: false, commit: option_env!("MACLIP_COMMIT"), reuse: &reuse };
    match execute::attempt(&run, &runs, options, &progress)? {
        Outcome::Busy => Err(RunStore::busy(&path)),
        Outcome::Made | Outcome::AlreadyDone | Outcome::Reused(_) => Ok(()),
    }
}
