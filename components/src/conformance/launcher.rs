//! What a launcher must hold. Nothing is submitted.

use super::{built, choice, ok, variants};
use burn::tensor::Device;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::launcher::{Batch, Cell, Launcher};
use std::path::PathBuf;

/// What a launcher claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// `maclip run` makes the runs itself.
    pub here: bool,
}

/// Holds the launcher with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Launcher>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let [launcher, other] = [(); 2].map(|()| built::<C>(options, &BuildContext::new(1, Device::flex())));
        assert_eq!(launcher.queue().is_none(), traits.here, "{choice}: whether the runs are made here");
        let (Some(queue), Some(other)) = (launcher.queue(), other.queue()) else { continue };
        assert!(!queue.system().is_empty() && queue.most() > 0, "{choice}: it has a name, and takes something");
        let count = queue.most().min(3);
        let batch = batch(count);
        let script = ok(queue.script(&batch), &choice);
        assert!(
            script == ok(other.script(&batch), &choice),
            "{choice}: the script follows from the batch and the options"
        );
        assert!(script.contains(&batch.name), "{choice}: the script speaks of its batch:\n{script}");
        // No system is asked for nothing.
        assert!(ok(queue.states(&[]), &choice).is_empty(), "{choice}: no job has a state");
        ok(queue.cancel(&[]), &choice);
    }
}

fn batch(count: usize) -> Batch {
    let folder = PathBuf::from("/some runs/it's 50%/.jobs/grid-12ab");
    let cell = |number: usize| Cell {
        run: format!("a-s{number}-0f"),
        spec: folder.join(format!("{number}.json")),
        log: folder.with_file_name(format!("a-s{number}-0f.log")),
    };
    let cells = (0..count).map(cell).collect();
    let (program, directory) = (PathBuf::from("/opt/my tools/maclip"), PathBuf::from("/home/me"));
    Batch { name: "grid-12ab".to_owned(), folder, program, directory, cells }
}
