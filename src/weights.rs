//! `maclip weights inspect|convert`: what a checkpoint holds, and its form in maclip.

use clap::{Args, Subcommand, ValueEnum};
use maclip_components::backbones::inspect::{self, Inspection};
use maclip_framework::error::{Error, Result};
use maclip_framework::weights::Precision;
use serde_json::json;
use std::path::PathBuf;

#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, guessed architecture, tensors, and what a backbone would lack or not use
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
}

#[derive(Args)]
struct Source {
    /// A safetensors file, a torch state dict, a Hugging Face folder, or `builtin:shapes_clip`
    file: String,
    /// Heads of the image tower, where they are not width / 64
    #[arg(long)]
    vision_heads: Option<usize>,
    /// Heads of the text tower, where they are not width / 64
    #[arg(long)]
    text_heads: Option<usize>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Stored {
    F16,
    Bf16,
    F32,
}

pub fn weights(arguments: Arguments) -> Result<()> {
    match arguments.verb {
        Verb::Inspect { source, tensors, json } => {
            let found = inspect::inspect(&source.file, [source.vision_heads, source.text_heads])?;
            if json {
                println!("{}", json!(found));
            } else {
                print(&found, tensors);
            }
            match found.fit.problem() {
                None => Ok(()),
                Some(_) => Err(Error::failed(format!("{} does not fit {} as a whole", found.source, found.backbone))),
            }
        }
        Verb::Convert { source, out, precision, force } => {
            if out.exists() && !force {
                return Err(Error::failed(format!("{} is there already", out.display()))
                    .help("give another name, or --force to replace it"));
            }
            let precision = match precision {
                Stored::F16 => Precision::F16,
                Stored::Bf16 => Precision::BF16,
                Stored::F32 => Precision::F32,
            };
            let heads = [source.vision_heads, source.text_heads];
            let found = inspect::convert(&source.file, &out, precision, heads)?;
            println!("{}: {}, {} values", out.display(), found.architecture, found.values);
            Ok(())
        }
    }
}

fn print(found: &Inspection, tensors: bool) {
    println!("{}", found.source);
    println!("  format        {}", found.format);
    println!("  backbone      {} {}", found.backbone, found.architecture);
    let stored: Vec<String> = found.dtypes.iter().map(|(dtype, count)| format!("{count} {dtype}")).collect();
    println!("  stored        {}", stored.join(", "));
    println!("  tensors       {}, {} values", found.tensors.len(), found.values);
    println!("  sha256        {}", found.sha256);
    for (what, list) in
        [("missing", &found.fit.missing), ("unused", &found.fit.unused), ("wrong shape", &found.fit.misshapen)]
    {
        println!("  {what:<13} {}", if list.is_empty() { "none".to_owned() } else { list.len().to_string() });
        list.iter().for_each(|entry| println!("                {entry}"));
    }
    if tensors {
        for tensor in &found.tensors {
            println!("  {:<60} {:<16} {}", tensor.name, format!("{:?}", tensor.shape), tensor.dtype.unwrap_or(""));
        }
    }
}
