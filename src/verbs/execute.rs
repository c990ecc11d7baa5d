//! `maclip execute SPEC`: one run from a file, as a pool and the jobs of a cluster do it.

use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::tell;
use clap::Args;
use maclip_framework::engine::execute::{self, Options, Outcome};
use maclip_framework::engine::spec::Spec;
use maclip_framework::error::{Error, Result};
use maclip_framework::runs::store::RunStore;
use std::path::{Path, PathBuf};

/// Make one run from the file of a launcher; continues where an earlier call stopped, and writes no report
#[derive(Args)]
pub struct Arguments {
    /// File that says the run, as `maclip run STUDY --jobs N` writes it
    #[arg(value_name = "SPEC")]
    spec: PathBuf,
    /// Stop, with a checkpoint, when the process that started this one ends
    #[arg(long, hide = true)]
    with_parent: bool,
}

crate::verb!("execute", 15, Arguments, execute);

fn execute(arguments: Arguments) -> Result<()> {
    if arguments.with_parent {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
            .map_err(|error| Error::failed(format!("cannot listen for the end of the parent: {error}")))?;
    }
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let Spec { run, runs, reuse } = Spec::read(&arguments.spec)?;
    let path = run.directory(&runs);
    tell(path.display());
    let reuse = |_: &Path| reuse;
    let options = Options { exact_phases: false, commit: option_env!("MACLIP_COMMIT"), reuse: &reuse };
    match execute::attempt(&run, &runs, options, &progress)? {
        Outcome::Busy => Err(RunStore::busy(&path)),
        Outcome::Made | Outcome::AlreadyDone | Outcome::Reused(_) => Ok(()),
    }
}
