//! `maclip new SLOT NAME`: writes the one file of a new component from a template that compiles and passes its tests.
//! The templates are in `templates/`, one for each slot; nothing else belongs there.

use crate::terminal::{completion, say, tell};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::write_atomically;
use maclip_framework::registry::{SlotInfo, slot, slots};
use maclip_language::{Diagnostic, codes, name_help};
use maclip_reports::format::capitalized;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Write the file of a new component from a template
#[derive(Args)]
pub struct Arguments {
    /// What kind of component: a slot, such as `alignment`
    #[arg(add = ArgValueCompleter::new(completion::slot_names))]
    slot: String,
    /// Its name in recipes and of its file, such as `my_metric`
    name: String,
    /// What it does, in one line, as `maclip list` shows it
    #[arg(long, value_name = "TEXT")]
    summary: Option<String>,
    /// maclip's source tree [default: the nearest one from the current folder upwards]
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Leave the generated files as they are; `cargo xtask regenerate` writes them anew later
    #[arg(long)]
    no_regenerate: bool,
}

crate::verb!("new", 80, Arguments, new);

/// The file that a new component of a slot begins with.
struct Template {
    slot: &'static str,
    /// Below `components/src`.
    folder: &'static str,
    /// What the file does as it is.
    summary: &'static str,
    /// With `__name__`, `__Name__` (the same in camel case) and `__summary__` to be filled in.
    text: &'static str,
}

macro_rules! templates {
    ($($slot:literal, $folder:literal, $summary:literal;)*) => {
        &[$(Template {
            slot: $slot,
            folder: $folder,
            summary: $summary,
            text: include_str!(concat!("templates/", $slot, ".rs")),
        }),*]
    };
}

const TEMPLATES: &[Template] = templates! {
    "task", "tasks", "tests the model as it is built, without training";
    "dataset", "datasets", "noisy clips that fade from one colour to another, 56 classes";
    "frames", "frames", "frames at a fixed distance";
    "resize", "resizes", "the square in the middle of a frame, not resized";
    "augment", "augments", "one random brightness for all frames of a clip";
    "backbone", "backbones", "two random layers on the pixels, frozen, no text";
    "prompt", "prompts", "a prefix before the class name";
    "adapter", "adapters", "a bottleneck after every block, zero at the start";
    "prototype", "prototypes", "a learned linear change of every frame, zero at the start";
    "alignment", "alignments", "frame i against frame i by squared distance";
    "objective", "objectives", "cross-entropy on distances with a temperature, no text";
    "optimizer", "optimizers", "plain gradient descent";
    "schedule", "schedules", "linear decay to a floor";
    "launcher", "launchers", "processes in the background of this machine";
};

/// Words that cannot name a module, and `null`, which YAML does not read as a name.
const RESERVED: [&str; 51] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "null", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while",
];

fn new(arguments: Arguments) -> Result<()> {
    let Arguments { slot: wanted, name, summary, root, no_regenerate } = arguments;
    let template = TEMPLATES.iter().find(|template| template.slot == wanted);
    let (Some(slot), Some(template)) = (slot(&wanted), template) else {
        return Err(Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no slot `{wanted}`"))
            .helps(name_help(&wanted, slots().map(|slot| slot.name)))
            .into());
    };
    check_name(slot, template, &name)?;
    let summary = summary.as_deref().unwrap_or(template.summary).trim().trim_end_matches('.');
    if summary.is_empty() || summary.chars().any(char::is_control) {
        return Err(refused("--summary must be one line that says what the component does"));
    }
    let root = tree(root)?;
    let folder = root.join("components/src").join(template.folder);
    let (file, list) = (folder.join(format!("{name}.rs")), folder.join("mod.rs"));
    if let Some(taken) = [&file, &folder.join(&name)].into_iter().find(|path| path.exists()) {
        return Err(Error::failed(format!("{} is there already", taken.display())).help("choose another name"));
    }
    let before = std::fs::read_to_string(&list).map_err(|error| Error::io("read", &list, error))?;
    let (line, after) = with_module(&before, &name).map_err(|problem| {
        Error::failed(format!("{} {problem}", list.display())).help("choose another name, or mend that file")
    })?;
    // A file that exists is never replaced, and a new one is written as a whole or not at all.
    OpenOptions::new().write(true).create_new(true).open(&file).map_err(|error| Error::io("write", &file, error))?;
    let text = filled(template.text, &name, summary);
    let written = write_atomically(&file, text.as_bytes()).and_then(|()| write_atomically(&list, after.as_bytes()));
    if let Err(error) = written {
        // A file without its `mod` line is not compiled and would only block the next try.
        let _ = std::fs::remove_file(&file);
        return Err(error);
    }
    say(format!(
        "wrote {}\n      `{line}` in {}\n\nIt works as it is; change it into your idea, with its tests and its source. Then:\n  \
         cargo test --release --workspace --lib {name}\n  cargo run --release -- describe {slot}/{name}\n  in a recipe:  \
         {slot}: {{type: {name}}}",
        file.display(),
        list.display(),
        slot = slot.name
    ))?;
    match no_regenerate {
        true => Ok(()),
        false => regenerate(&root),
    }
}

/// Builds the source tree in `root` and writes the files that are generated from the registrations, where the tree has
/// an `xtask`.
fn regenerate(root: &Path) -> Result<()> {
    if !root.join("xtask/Cargo.toml").is_file() {
        return Ok(());
    }
    tell("\nbuilding it, to write docs/components.md, docs/methods.md, recipes/schema.json and tests/names.txt anew …");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let ran = Command::new(cargo).args(["xtask", "regenerate"]).current_dir(root).status();
    let failed = match ran {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("`cargo xtask regenerate` ended with {status}"),
        Err(error) => format!("`cargo xtask regenerate` could not be started: {error}"),
    };
    Err(Error::failed(format!("the component is written, and the generated files are not: {failed}"))
        .help("once it compiles, call `cargo xtask regenerate`; `--no-regenerate` leaves it to you"))
}

/// An error of the command line.
fn refused(message: impl Into<String>) -> Error {
    Diagnostic::new(codes::OUT_OF_RANGE, message).into()
}

fn check_name(slot: &SlotInfo, template: &Template, name: &str) -> Result<()> {
    let letters = |part: &str| part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) && !part.is_empty();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.split('_').all(letters) || name.len() > 40 {
        let message = format!("`{name}` cannot name a component");
        let help = "names are like `my_metric_2`: small letters, digits and single `_`, a letter first, at most 40";
        return Err(Diagnostic::new(codes::OUT_OF_RANGE, message).help(help).into());
    }
    if RESERVED.contains(&name) {
        return Err(refused(format!("`{name}` is a word of Rust or YAML and cannot name a component")));
    }
    if (slot.components)().iter().any(|candidate| candidate.info.name == name) {
        let help = format!("`maclip describe {}.{name}` shows it; choose another name", slot.name);
        let message = format!("there is a component `{name}` in slot `{}` already", slot.name);
        return Err(Diagnostic::new(codes::OUT_OF_RANGE, message).help(help).into());
    }
    if name == template.folder || name == "mod" {
        return Err(refused(format!("`{name}` is the folder's own name; choose another")));
    }
    Ok(())
}

/// The source tree in `root`, or the nearest one upwards from here.
fn tree(root: Option<PathBuf>) -> Result<PathBuf> {
    let has = |folder: &Path| folder.join("components/src/lib.rs").is_file();
    let help = "components are compiled in: clone maclip's repository and run this inside it, or say where it is with \
                `--root DIR`";
    let found = match root {
        Some(root) => has(&root).then(|| root.clone()).ok_or_else(|| root.display().to_string()),
        None => {
            let here =
                std::env::current_dir().map_err(|error| Error::failed(format!("there is no folder: {error}")))?;
            let found = here.ancestors().find(|folder| has(folder)).map(Path::to_owned);
            found.ok_or_else(|| here.display().to_string())
        }
    };
    found.map_err(|place| {
        Error::failed(format!("{place} is not in maclip's source tree: no components/src/lib.rs")).help(help)
    })
}

/// The new `mod` line, and the text of a `mod.rs` with it at its alphabetical place. It is public where all others are.
fn with_module(text: &str, name: &str) -> std::result::Result<(String, String), &'static str> {
    let lines: Vec<&str> = text.lines().collect();
    let module = |line: &&str| {
        let name = line.strip_prefix("pub ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')?;
        Some(name.trim().to_owned())
    };
    // A module's attributes stand above it and stay there.
    let attribute = |at: usize| lines[at].starts_with("#[");
    let top = |at: usize| (0..at).rev().take_while(|&above| attribute(above)).last().unwrap_or(at);
    let modules: Vec<(usize, String)> =
        lines.iter().enumerate().filter_map(|(at, line)| Some((at, module(line)?))).collect();
    let Some((last, _)) = modules.last() else { return Err("names no module") };
    if modules.iter().any(|(_, other)| other == name) {
        return Err("names this module already");
    }
    let public = modules.iter().filter(|(at, _)| top(*at) == *at).all(|(at, _)| lines[*at].starts_with("pub "));
    let line = format!("{}mod {name};", if public { "pub " } else { "" });
    let place = modules.iter().find(|(_, other)| order(other) > order(name)).map_or(last + 1, |(at, _)| top(*at));
    let mut with: Vec<&str> = lines.clone();
    with.insert(place, &line);
    let text = with.join("\n") + "\n";
    Ok((line, text))
}

/// rustfmt's order of modules: `_` comes first, then numbers by their value, then letters.
fn order(name: &str) -> Vec<(u8, u64)> {
    let mut order = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        order.push(match first {
            '_' => (0, 0),
            '0'..='9' => (1, rest[..digits].parse().unwrap_or(u64::MAX)),
            letter => (2, u64::from(letter)),
        });
        rest = &rest[digits.max(first.len_utf8())..];
    }
    order
}

/// The template with the component's name and summary.
fn filled(template: &str, name: &str, summary: &str) -> String {
    let mut camel: String = name.split('_').map(capitalized).collect();
    // `tensor` must not become a `Tensor` beside the one that the file imports.
    if template.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == camel) {
        camel.insert_str(0, "Own");
    }
    let quoted = format!("summary: {summary:?}");
    let text = template.replace("__Name__", &camel).replace("__name__", name);
    // Last, as nothing in the user's words is a placeholder.
    text.replace("summary: \"__summary__\"", &quoted).replacen("__summary__", summary, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_template() {
        let slots: Vec<&str> = slots().map(|slot| slot.name).collect();
        assert_eq!(TEMPLATES.iter().map(|template| template.slot).collect::<Vec<_>>(), slots);
        for template in TEMPLATES {
            let text = filled(template.text, "my_idea", "says \"so\"");
            assert!(text.starts_with("//! `my_idea`: says \"so\".\n"), "{}", template.slot);
            assert!(text.contains(r#"summary: "says \"so\"","#) && !text.contains("__"), "{}", template.slot);
            assert!(text.contains("MyIdea") && text.contains("mod tests"), "{}", template.slot);
            assert!(filled(template.text, "result", "x").contains("struct OwnResult"), "{}", template.slot);
        }
    }

    #[test]
    fn a_module_gets_its_place() {
        let with = |text: &str, name: &str| with_module(text, name).unwrap().1;
        let list = "//! Doc.\nmod b;\n#[cfg(test)]\nmod d;\n\npub use b::x;\n";
        assert_eq!(with(list, "a"), "//! Doc.\nmod a;\nmod b;\n#[cfg(test)]\nmod d;\n\npub use b::x;\n");
        assert_eq!(with(list, "c"), "//! Doc.\nmod b;\nmod c;\n#[cfg(test)]\nmod d;\n\npub use b::x;\n");
        assert_eq!(with(list, "e"), "//! Doc.\nmod b;\n#[cfg(test)]\nmod d;\nmod e;\n\npub use b::x;\n");
        assert_eq!(with("pub mod b;\n#[cfg(test)]\nmod c;\n", "d"), "pub mod b;\n#[cfg(test)]\nmod c;\npub mod d;\n");
        assert!(with_module(list, "d").is_err() && with_module("", "d").is_err());
        assert!(order("a_b") < order("a1") && order("a2") < order("a10") && order("a10") < order("ab"));
    }
}
