//! `maclip weights inspect|convert|list|fetch`: what a checkpoint holds, its conversion to one safetensors file, and
//! weights of the Hugging Face hub.

mod published;

use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say, say_data};
use clap::{Args, Subcommand, ValueEnum};
use maclip_components::backbones::clip::block::Activation;
use maclip_components::backbones::clip::settings::Setting;
use maclip_components::backbones::inspect::{self, Hints, Inspection};
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::ElementType;
use maclip_framework::weights::hub::{self, Address};
use maclip_language::printable;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Look into checkpoints, convert them, and fetch published ones
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

crate::verb!("weights", 110, Arguments, weights);

#[derive(Subcommand)]
enum Verb {
    /// Show format, architecture, and the tensors that a backbone would lack or not use
    Inspect {
        #[command(flatten)]
        source: Source,
        /// List every tensor
        #[arg(long)]
        tensors: bool,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Write a checkpoint as one safetensors file with OpenAI's names
    Convert {
        #[command(flatten)]
        source: Source,
        /// The file to write
        out: PathBuf,
        /// Type of the written values
        #[arg(long, value_enum, default_value_t = Stored::F16)]
        precision: Stored,
        /// Replace the file if it is there
        #[arg(long)]
        force: bool,
    },
    /// List published weights by architecture: a recipe takes the addresses as they are
    List {
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
    /// Fetch weights from the Hugging Face hub into its cache, which Python shares, and say where they lie
    Fetch {
        /// A name of `maclip weights list`, or hf:OWNER/NAME, also with @REVISION and /FILE
        name: String,
        /// One JSON object on stdout
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args)]
struct Source {
    /// A safetensors file, a torch state dict, a Hugging Face folder, hf:OWNER/NAME (fetched), or `builtin:shapes_clip`
    file: String,
    /// Which of several models in the file: a key such as `state_dict_ema`, or what stands before the names
    #[arg(long)]
    key: Option<String>,
    /// Heads of the image tower, where no config says them and they are not width / 64
    #[arg(long)]
    vision_heads: Option<usize>,
    /// Heads of the text tower, where no config says them and they are not width / 64
    #[arg(long)]
    text_heads: Option<usize>,
    /// Activation, where no config says it and it is not OpenAI's QuickGELU
    #[arg(long, value_enum)]
    activation: Option<Kind>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    QuickGelu,
    Gelu,
}

impl Source {
    fn hints(&self) -> Hints {
        let activation = self.activation.map(|kind| match kind {
            Kind::QuickGelu => Activation::QuickGelu,
            Kind::Gelu => Activation::Gelu,
        });
        Hints { key: self.key.clone(), vision_heads: self.vision_heads, text_heads: self.text_heads, activation }
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Stored {
    F16,
    Bf16,
    F32,
}

fn weights(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::List { json } => published::list(json),
        Verb::Fetch { name, json } => published::fetch(&name, json),
        Verb::Inspect { source, tensors, json } => {
            provide(&source.file)?;
            let found = inspect::inspect(&source.file, &source.hints())?;
            if json {
                say_data(json!(found))?;
            } else {
                print(&found, tensors)?;
            }
            match found.problem() {
                None => Ok(()),
                Some(_) => {
                    let error = Error::failed(format!("{} does not fit a backbone as a whole", found.source));
                    Err(found.help.iter().fold(error, |error, help| error.help(help)))
                }
            }
        }
        Verb::Convert { source, out, precision, force } => {
            if out.exists() && !force {
                return Err(Error::failed(format!("{} is there already", out.display()))
                    .help("give another name, or --force to replace it"));
            }
            provide(&source.file)?;
            let precision = match precision {
                Stored::F16 => ElementType::F16,
                Stored::Bf16 => ElementType::BF16,
                Stored::F32 => ElementType::F32,
            };
            let found = inspect::convert(&source.file, &out, precision, &source.hints())?;
            let values = found.backbone.map_or(0, |backbone| backbone.values);
            say(format!("{}: {values} values", out.display()))?;
            Ok(())
        }
    }
}

/// Fetches `source` where it is an address on the hub and not in its cache.
fn provide(source: &str) -> Result<()> {
    if !Address::is_one(source) {
        return Ok(());
    }
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    hub::provide(source, &progress).inspect_err(|_| progress.clear())
}

fn print(found: &Inspection, tensors: bool) -> Result<()> {
    say(printable(&found.source))?;
    say(format!("  format        {}", found.format))?;
    say(format!("  sha256        {}", found.sha256))?;
    found.pinned.iter().try_for_each(|address| say(format!("  from          {address}")))?;
    let mut dtypes: BTreeMap<&str, usize> = BTreeMap::new();
    found.stored.iter().for_each(|tensor| *dtypes.entry(tensor.dtype).or_default() += 1);
    let stored: Vec<String> = dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    say(format!("  tensors       {}", stored.join(", ")))?;
    if found.not_finite > 0 {
        say(format!("  not finite    {} values", found.not_finite))?;
        found.not_finite_tensors.iter().try_for_each(|tensor| say(format!("                {}", printable(tensor))))?;
    }
    found.notes.iter().try_for_each(|note| say(format!("  note          {}", printable(note))))?;
    match &found.backbone {
        Ok(backbone) => {
            let sizes = backbone.published.map_or_else(|| backbone.architecture.to_string(), str::to_owned);
            say(format!("  backbone      {} {sizes}, {} values", backbone.name, backbone.values))?;
            for Setting { name, value, from } in &found.settings {
                say(format!("  {name:<13} {value} ({from})"))?;
            }
            let fit = &backbone.fit;
            for (what, list) in [("missing", &fit.missing), ("unused", &fit.unused), ("wrong shape", &fit.misshapen)] {
                say(format!(
                    "  {what:<13} {}",
                    if list.is_empty() { "none".to_owned() } else { list.len().to_string() }
                ))?;
                list.iter().try_for_each(|entry| say(format!("                {}", printable(entry))))?;
            }
        }
        Err(problem) => say(format!("  backbone      none: {}", printable(problem)))?,
    }
    for (slot, values) in found.training.iter().flatten() {
        say(format!("  {slot:<13} {values} trained values"))?;
    }
    // Of a file that fits no backbone the tensors are shown in any case.
    if tensors || found.backbone.is_err() {
        for tensor in &found.stored {
            say(format!("  {:<60} {:<16} {}", printable(&tensor.name), format!("{:?}", tensor.shape), tensor.dtype))?;
        }
    }
    Ok(())
}
