//! `maclip prepare RECIPE`: decodes every clip that the recipe needs and keeps the frames, so that no run has to decode
//! them.

use crate::terminal::arguments::Source;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say, say_data, shown, tell};
use clap::Args;
use maclip_framework::clips::filler::{Estimate, Filler, Want};
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::clips::store::stored::StoredClips;
use maclip_framework::clips::store::{self, ClipStore, Key};
use maclip_framework::engine::{inputs, task};
use maclip_framework::error::{Error, Result};
use maclip_framework::recipe::{Purpose, Recipe};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};

/// Decode every clip of a recipe once and keep the frames; verify and prune what is kept
#[derive(Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Folder that run directories go to; the clips go to `.cache/clips` in it, where the recipe names no other folder
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
    /// Decode a few clips, report how many are missing and how much room they will take, and stop
    #[arg(long)]
    dry_run: bool,
    /// First read every byte of the store and remove what is damaged, so that it is decoded again
    #[arg(long, conflicts_with = "dry_run")]
    verify: bool,
    /// List the kept frames that this recipe does not use, even if other recipes use them; with --yes, remove them
    #[arg(long, conflicts_with_all = ["dry_run", "verify"])]
    prune: bool,
    /// Remove what --prune lists
    #[arg(long, requires = "prune")]
    yes: bool,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("prepare", 40, Arguments, prepare);

/// What the verb reports of one recipe, as a line and as data.
struct Reported {
    line: String,
    data: Value,
}

fn prepare(arguments: Arguments) -> Result<()> {
    let runs = arguments.source.expand(Purpose::Run)?.runs;
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    // Runs that open the same clips in the same way need them once.
    let mut different: BTreeMap<String, Recipe> = BTreeMap::new();
    for run in runs {
        let parts = ["task", "dataset", "frames", "resize", "augment", "backbone", "clip_store", "compute"];
        let parts = parts.map(|part| run.recipe.resolved.at(part).map(|node| node.to_json()));
        different.entry(json!(parts).to_string()).or_insert(run.recipe);
    }
    let recipes: Vec<Recipe> = different.into_values().collect();
    let mut reported = Vec::new();
    if arguments.prune {
        let dry = !arguments.yes;
        for (folder, keys) in keys(&recipes, &arguments.runs)? {
            reported.push(pruned(&folder, &store::prune(&folder, &keys, dry, &progress)?, dry));
        }
    } else {
        if arguments.verify {
            let folders: BTreeSet<PathBuf> = recipes
                .iter()
                .map(|recipe| recipe.clip_store.folder(&recipe.compute.caches(&arguments.runs)))
                .collect();
            for folder in folders {
                reported.push(verified(&folder, &store::verify(&folder, &progress)?));
            }
        }
        for recipe in &recipes {
            if !arguments.dry_run {
                inputs::provide(recipe, &progress)?;
            }
            reported.push(filled(recipe, &arguments, &progress)?);
        }
    }
    match arguments.json {
        true => say_data(json!(reported.iter().map(|reported| &reported.data).collect::<Vec<_>>())),
        false => reported.iter().try_for_each(|reported| say(&reported.line)),
    }
}

/// The keys of everything that `recipes` keep, by folder.
fn keys(recipes: &[Recipe], runs: &Path) -> Result<BTreeMap<PathBuf, HashSet<Key>>> {
    let mut all: BTreeMap<PathBuf, HashSet<Key>> = BTreeMap::new();
    for recipe in recipes {
        with_clips(recipe, runs, |loader, stored, store, Wanted { clips: wants, .. }| {
            let keys = all.entry(store.folder().to_owned()).or_default();
            for (clip, _) in wants {
                keys.extend(stored.keys(&*loader.clips.dataset, clip)?);
            }
            Ok(())
        })?;
    }
    Ok(all)
}

fn filled(recipe: &Recipe, arguments: &Arguments, progress: &Console) -> Result<Reported> {
    with_clips(recipe, &arguments.runs, |loader, stored, store, Wanted { clips: wants, broken }| {
        let folder = store.folder().display().to_string();
        let Some(mut filler) = Filler::look(loader, wants, progress)? else { return Err(off(recipe)) };
        let clips = filler.filled().clips;
        if clips == 0 {
            let line = format!("{}: its clips are made by code, which is faster than keeping them", recipe.name);
            return Ok(Reported { line, data: json!({"folder": folder, "clips": 0}) });
        }
        let Estimate { missing, bytes, room } = filler.estimate(progress)?;
        let data = json!({"folder": folder, "missing": missing, "estimated_bytes": bytes, "room_bytes": room});
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        let size = format!(
            "{} clips, {} of them in {folder}: {missing} to decode, about {:.0} MB; there is room for {:.0} MB",
            clips,
            clips.saturating_sub(missing),
            megabytes(bytes),
            megabytes(room)
        );
        if arguments.dry_run {
            refuse_broken(recipe, broken, false)?;
            return Ok(Reported { line: size, data });
        }
        tell(format!("  {size}"));
        let mut filled = filler.fill(progress)?;
        // Those that the lists alone show, with those that do not decode: all of them at once.
        filled.broken.splice(0..0, broken.iter().cloned());
        refuse_broken(recipe, &filled.broken, loader.clips.dataset.skips_broken() && broken.is_empty())?;
        let mut lines = filled.sentences(stored);
        lines.push(format!(
            "{} clips, {} of them in {folder} ({:.0} MB), {} left out",
            filled.clips,
            filled.found + filled.kept,
            megabytes(store.bytes()),
            filled.broken.len()
        ));
        let data = json!({
            "folder": folder, "clips": filled.clips, "found": filled.found, "kept": filled.kept, "unkept": filled.unkept,
            "broken": filled.broken, "bytes": store.bytes(),
        });
        Ok(Reported { line: lines.join("\n"), data })
    })
}

/// An error where clips are broken and the dataset's policy is to stop.
fn refuse_broken(recipe: &Recipe, broken: &[(String, String)], skip: bool) -> Result<()> {
    const NAMED: usize = 5;
    for (clip, reason) in broken.iter().take(if skip { usize::MAX } else { NAMED }) {
        tell(format!("  {clip}: {reason}"));
    }
    if skip || broken.is_empty() {
        return Ok(());
    }
    let more = broken.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" ({more} more than are named above)") } else { String::new() };
    Err(Error::failed(format!("{} clips cannot be used{more}", broken.len()))
        .at(recipe.place("dataset"))
        .help("repair or remove them, or leave them out with `--set dataset.broken=skip`; the others are kept"))
}

/// The clips of a recipe.
struct Wanted<'a> {
    clips: &'a [Want<'a>],
    /// Those that cannot be used although none may be left out, with the reason.
    broken: &'a [(String, String)],
}

fn with_clips<T>(
    recipe: &Recipe,
    runs: &Path,
    work: impl FnOnce(&ClipLoader, &StoredClips, &ClipStore, Wanted) -> Result<T>,
) -> Result<T> {
    let needs = task::of(recipe)?.needs(recipe).map_err(|error| error.at(recipe.place("task")))?;
    needs.notes.iter().for_each(|note| tell(format!("  {note}")));
    if needs.clips.dataset.features().is_some() {
        return Err(Error::failed("the clips are ready features: they are read as they are, and nothing is prepared")
            .at(recipe.place("dataset"))
            .help("start the run at once"));
    }
    let stored = StoredClips::open(recipe, &needs.clips, &needs.geometry, runs)?;
    let store = stored.store().ok_or_else(|| off(recipe))?;
    let (clips, geometry) = (&needs.clips, &needs.geometry);
    let loader = ClipLoader { clips, geometry, device: &needs.device, store: Some(&stored) };
    let wants: Vec<_> = needs.wants.iter().map(|(clip, part)| (clip.as_str(), *part)).collect();
    work(&loader, &stored, store, Wanted { clips: &wants, broken: &needs.broken })
}

fn off(recipe: &Recipe) -> Error {
    Error::failed("the recipe keeps no clips").at(recipe.place("clip_store")).help("take `clip_store.use: false` out")
}

fn verified(folder: &Path, found: &store::Verified) -> Reported {
    let store::Verified { packs, sound, damaged, lost, busy } = found;
    let mut line = format!("{}: {sound} records in {packs} packs are sound, {damaged} were damaged", folder.display());
    if *lost > 0 {
        line += &format!(", {lost} bytes belonged to none");
    }
    if *busy > 0 {
        line += &format!("; {busy} packs stay as they are: another process writes to them, or they may only be read");
    }
    let data = json!({"folder": shown(folder), "packs": packs, "sound": sound, "damaged": damaged, "lost_bytes": lost, "busy": busy});
    Reported { line, data }
}

fn pruned(folder: &Path, found: &store::Pruned, dry: bool) -> Reported {
    let store::Pruned { kept, removed, before, after, busy } = found;
    let (verb, way) = if dry { ("would go", "; --yes removes them") } else { ("are gone", "") };
    let megabytes = |bytes: &u64| *bytes as f64 / 1e6;
    let mut line = format!(
        "{}: {removed} records that this recipe does not use {verb}, {kept} stay; {:.0} MB become {:.0} MB{way}",
        folder.display(),
        megabytes(before),
        megabytes(after)
    );
    if *busy > 0 {
        line += &format!("; {busy} packs stay as they are: another process writes to them, or they may only be read");
    }
    let data = json!({"folder": shown(folder), "removed": removed, "kept": kept, "bytes_before": before, "bytes_after": after, "busy": busy, "dry": dry});
    Reported { line, data }
}
