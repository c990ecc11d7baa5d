//! Weights by name: the list of published ones, and how one is fetched.

use crate::terminal::columns::columns;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say, say_data, shown};
use maclip_components::backbones::published::{ALL, Published, named};
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{file_hash, hex};
use maclip_framework::weights::hub::{self, Address};
use maclip_language::{Diagnostic, codes, name_help};
use serde_json::json;

/// Prints all published weights.
pub fn list(as_json: bool) -> Result<()> {
    if as_json {
        let all = ALL.iter().map(|known| Ok(described(known, &address(known)?))).collect::<Result<Vec<_>>>()?;
        return say_data(json!({ "weights": all }));
    }
    let head = ["name", "architecture", "trained on", "params", "image", "here"];
    let mut rows = vec![head.map(str::to_owned)];
    for known in ALL {
        let here = if hub::find(&address(known)?).is_some() { "yes" } else { "" };
        let (millions, image) = (known.parameters as f64 / 1e6, known.image_size);
        let row = [known.name, known.architecture, known.data, &format!("{millions:.0} M"), &image.to_string(), here];
        rows.push(row.map(str::to_owned));
    }
    let mut lines = columns(&rows, 6).into_iter();
    lines.next().map_or(Ok(()), say)?;
    for (line, known) in lines.zip(ALL) {
        say(line)?;
        say(format!("    {} ({})", known.weights, known.licence))?;
    }
    say(
        "\nA recipe takes an address as it is: `--set backbone.weights=hf:…`.\n`maclip weights fetch NAME` fetches one.",
    )
}

fn address(known: &Published) -> Result<Address> {
    Address::of(known.weights)?.ok_or_else(|| Error::failed(format!("{} is no address", known.weights)))
}

fn described(known: &Published, address: &Address) -> serde_json::Value {
    json!({
        "name": known.name, "weights": known.weights, "backbone": known.backbone, "architecture": known.architecture,
        "data": known.data, "licence": known.licence, "parameters": known.parameters, "image_size": known.image_size,
        "repository": address.repository,
        // Without one, the usual file of the repository: safetensors before others.
        "file": address.file,
        "here": hub::find(address).is_some(),
    })
}

/// Fetches the weights `name`, of the list or an address.
pub fn fetch(name: &str, as_json: bool) -> Result<()> {
    let known = ALL.iter().find(|known| known.name.eq_ignore_ascii_case(name)).or_else(|| named(name));
    let source = known.map_or(name, |known| known.weights);
    let address = Address::of(source)?.ok_or_else(|| {
        let names = ALL.iter().map(|known| known.name);
        Diagnostic::new(codes::UNKNOWN_NAME, format!("`{name}` is no published weights, and no address on the hub"))
            .helps(name_help(name, names))
            .help("`maclip weights list` shows all; an address is hf:OWNER/NAME, also with @REVISION and /FILE")
    })?;
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let found = hub::fetch(&address, &progress).inspect_err(|_| progress.clear())?;
    let (files, path) = (found.files()?, &found.path);
    let pinned = found.exactly(&files);
    let sums = files.iter().map(|file| Ok(hex(&file_hash(file)?))).collect::<Result<Vec<_>>>()?;
    if as_json {
        let files: Vec<_> =
            files.iter().zip(&sums).map(|(file, sum)| json!({"path": shown(file), "sha256": sum})).collect();
        return say_data(json!({"weights": source, "pinned": pinned.to_string(), "path": shown(path), "files": files,
                          "licence": known.map(|known| known.licence)}));
    }
    say(format!("{source}: {}", path.display()))?;
    for (file, sum) in files.iter().zip(&sums) {
        say(format!("  file     {}", file.display()))?;
        say(format!("  sha256   {sum}"))?;
    }
    say(format!("  pinned   {pinned}"))?;
    known.map_or(Ok(()), |known| say(format!("  licence  {}", known.licence)))
}
