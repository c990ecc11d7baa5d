//! `__name__`: __summary__.
//!
//! Source: say which system this is for, and which version was tried. What this template does: each run is a process in
//! the background of this machine, whose number is the id of the job.

use super::shell::{said, text_of, word};
use maclip_framework::error::Result;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::launcher::{Batch, Job, JobState, Launcher, Phase, Queue};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Options of the processes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct __Name__ {
    /// How far the processes stand behind others, as `nice` says it.
    #[schemars(range(max = 19))]
    nice: u8,
}

register!(dyn Launcher, __Name__, name: "__name__", summary: "__summary__",
    paper: None, stability: Experimental, usage: "{nice: 10}");

impl Component for __Name__ {
    type Slot = dyn Launcher;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Launcher>> {
        Ok(Box::new(self))
    }
}

impl Launcher for __Name__ {
    fn queue(&self) -> Option<&dyn Queue> {
        Some(self)
    }
}

impl Queue for __Name__ {
    fn system(&self) -> &str {
        "the background"
    }

    fn most(&self) -> usize {
        100
    }

    fn script(&self, batch: &Batch) -> Result<String> {
        let program = word(text_of(&batch.program)?);
        let line = |(spec, log): (&Path, &Path)| {
            let (spec, log) = (word(text_of(spec)?), word(text_of(log)?));
            Ok(format!("nice -n {} {program} execute {spec} >>{log} 2>&1 </dev/null & echo $!\n", self.nice))
        };
        batch.cells.iter().map(|cell| line((&cell.spec, &cell.log))).collect()
    }

    fn submit(&self, batch: &Batch) -> Result<Vec<String>> {
        let numbers = said(Command::new("sh").arg("-c").arg(self.script(batch)?))?;
        Ok(numbers.lines().map(str::to_owned).collect())
    }

    // The system does not know names of batches.
    fn find(&self, _: &str, _: usize) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    fn states(&self, jobs: &[Job]) -> Result<BTreeMap<String, JobState>> {
        let there = jobs.iter().filter(|job| Path::new("/proc").join(&job.id).exists());
        let state = JobState { phase: Phase::Working, detail: String::new() };
        Ok(there.map(|job| (job.id.clone(), state.clone())).collect())
    }

    // SIGTERM: the step ends, and a checkpoint is written.
    fn cancel(&self, jobs: &[Job]) -> Result<()> {
        jobs.iter().try_for_each(|job| said(Command::new("kill").arg(&job.id)).map(drop))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{self, launcher::Traits};

    #[test]
    fn it_keeps_the_contract_of_its_slot() {
        conformance::launcher::holds::<__Name__>(Traits::default());
    }
}
