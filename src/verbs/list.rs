//! `maclip list [SLOT]`: slots and their components.

use crate::terminal::pattern::matches;
use crate::terminal::{completion, say, say_data};
use clap::{Args, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::error::Result;
use maclip_framework::registry::{Info, SlotInfo, Stability, slot, slots};
use maclip_language::{Diagnostic, codes, name_help};
use serde_json::json;

/// List slots and components
#[derive(Args)]
pub struct Arguments {
    /// Only this slot
    #[arg(add = ArgValueCompleter::new(completion::slot_names))]
    slot: Option<String>,
    /// Only components with this text in their name, summary or paper; a text with `*` is a pattern of the name
    /// (`*hausdorff`)
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Only components of this stability
    #[arg(long, value_enum)]
    stability: Option<Settled>,
    /// Only the names, one `slot/component` a line: tests/names.txt
    #[arg(long, conflicts_with = "json")]
    names: bool,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

crate::verb!("list", 60, Arguments, list);

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Settled {
    Stable,
    Experimental,
}

impl Arguments {
    fn wants(&self, info: &Info) -> bool {
        let settled =
            self.stability.is_none_or(|wanted| (wanted == Settled::Stable) == (info.stability == Stability::Stable));
        let texts = [info.name, info.summary, info.paper.unwrap_or_default()];
        // A pattern is for the name alone; a text may be anywhere.
        let fits = |filter: &str| match filter.contains('*') {
            true => matches(info.name, filter),
            false => texts.iter().any(|text| text.to_lowercase().contains(&filter.to_lowercase())),
        };
        settled && self.filter.as_deref().is_none_or(fits)
    }
}

fn list(arguments: Arguments) -> Result<()> {
    let slots: Vec<&SlotInfo> = match &arguments.slot {
        None => slots().collect(),
        Some(name) => vec![slot(name).ok_or_else(|| {
            Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no slot `{name}`"))
                .helps(name_help(name, slots().map(|slot| slot.name)))
        })?],
    };
    let narrowed = arguments.filter.is_some() || arguments.stability.is_some();
    let listed: Vec<(&SlotInfo, Vec<&'static Info>)> = slots
        .into_iter()
        .map(|slot| {
            let all = (slot.components)().into_iter().map(|candidate| candidate.info);
            (slot, all.filter(|info| arguments.wants(info)).collect::<Vec<_>>())
        })
        .filter(|(_, components)| !narrowed || !components.is_empty())
        .collect();
    if arguments.names {
        let mut names: Vec<String> = listed
            .iter()
            .flat_map(|(slot, components)| components.iter().map(|info| format!("{}/{}", slot.name, info.name)))
            .collect();
        names.sort();
        return say_data(names.join("\n"));
    }
    if arguments.json {
        let listed: serde_json::Map<String, serde_json::Value> = listed
            .into_iter()
            .map(|(slot, components)| {
                let about = json!({"summary": slot.summary, "default": slot.default, "identity": slot.identity,
                                   "components": components});
                (slot.name.to_owned(), about)
            })
            .collect();
        return say_data(json!({ "slots": listed }));
    }
    if listed.is_empty() {
        return say("no component fits");
    }
    for (position, (slot, components)) in listed.into_iter().enumerate() {
        let space = if position > 0 { "\n" } else { "" };
        say(format!("{space}{}: {}", slot.name, slot.summary))?;
        for info in components {
            let default = if slot.default == Some(info.name) { " (default)" } else { "" };
            let young = if info.stability == Stability::Experimental { " (experimental)" } else { "" };
            say(format!("  {:<22} {}{default}{young}", info.name, info.summary))?;
            if let Some(paper) = info.paper {
                say(format!("  {:<22} {paper}", ""))?;
            }
        }
    }
    Ok(())
}
