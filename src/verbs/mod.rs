//! The verbs of the command line, one file each.
//!
//! A file has `Arguments`, whose doc comment is the line in `maclip --help`, and `verb!`, which registers it. Not here:
//! what several verbs need (`terminal`), and what a recipe means and how it is run (`maclip-framework`).

mod audit;
mod cancel;
mod check;
mod classify;
mod compare;
pub(crate) mod completions;
mod describe;
mod docs;
mod doctor;
mod execute;
mod explain;
mod export;
mod failures;
mod import;
mod init;
mod list;
mod man;
mod new;
mod plan;
mod prepare;
mod replay;
mod report;
mod run;
mod runs;
mod schema;
mod serve;
mod status;
mod table;
mod test;
mod validate;
mod verify;
mod weights;

use clap::{ArgMatches, Command};
use maclip_framework::error::Result;

/// A registered verb.
pub struct Verb {
    /// Its name on the command line.
    pub name: &'static str,
    /// Place in the list of `maclip --help`.
    pub order: u32,
    /// Adds its arguments and their descriptions to a command.
    pub augment: fn(Command) -> Command,
    /// Reads its arguments and does the work.
    pub work: fn(&ArgMatches) -> Result<()>,
}

inventory::collect!(Verb);

/// Registers the verb `$name` at the place `$order` of the help: `$arguments` implements `clap::Args`, `$work` takes
/// it.
#[macro_export]
macro_rules! verb {
    ($name:literal, $order:literal, $arguments:ty, $work:path) => {
        inventory::submit! {
            $crate::verbs::Verb {
                name: $name,
                order: $order,
                augment: <$arguments as clap::Args>::augment_args,
                work: |given| {
                    let read = <$arguments as clap::FromArgMatches>::from_arg_matches(given);
                    $work(read.unwrap_or_else(|error| error.exit()))
                },
            }
        }
    };
}

impl Verb {
    /// The verb as a subcommand for clap.
    pub fn command(&self) -> Command {
        (self.augment)(Command::new(self.name))
    }

    /// Does the work of the verb with the arguments that clap has read.
    ///
    /// # Errors
    /// Where the recipe or an argument is wrong, or the work could not be done.
    pub fn run(&self, given: &ArgMatches) -> Result<()> {
        (self.work)(given)
    }
}

/// All verbs in the order of the help.
pub fn all() -> impl Iterator<Item = &'static Verb> {
    let mut verbs: Vec<&Verb> = inventory::iter::<Verb>().collect();
    verbs.sort_by_key(|verb| (verb.order, verb.name));
    verbs.into_iter()
}

/// The verb called `name`.
pub fn find(name: &str) -> Option<&'static Verb> {
    inventory::iter::<Verb>().find(|verb| verb.name == name)
}
