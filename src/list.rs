//! `maclip list [SLOT]`: slots and their components.

use clap::Args;
use maclip_framework::error::Result;
use maclip_framework::recipe::{Diagnostic, codes, name_help};
use maclip_framework::registry::{SLOTS, SlotInfo, slot};
use serde_json::json;

#[derive(Args)]
pub struct Arguments {
    /// Only this slot
    slot: Option<String>,
    /// One JSON object on stdout
    #[arg(long)]
    json: bool,
}

pub fn list(arguments: Arguments) -> Result<()> {
    let slots: Vec<&SlotInfo> = match &arguments.slot {
        None => SLOTS.iter().collect(),
        Some(name) => vec![slot(name).ok_or_else(|| {
            Diagnostic::new(codes::UNKNOWN_COMPONENT, format!("there is no slot `{name}`"))
                .helps(name_help(name, SLOTS.iter().map(|slot| slot.name)))
        })?],
    };
    if arguments.json {
        let listed: serde_json::Map<String, serde_json::Value> = slots
            .iter()
            .map(|slot| {
                let components: Vec<_> = (slot.components)().into_iter().map(|candidate| candidate.info).collect();
                let about = json!({"summary": slot.summary, "default": slot.default, "components": components});
                (slot.name.to_owned(), about)
            })
            .collect();
        println!("{}", json!({ "slots": listed }));
        return Ok(());
    }
    for (position, slot) in slots.iter().enumerate() {
        if position > 0 {
            println!();
        }
        println!("{}: {}", slot.name, slot.summary);
        for info in (slot.components)().into_iter().map(|candidate| candidate.info) {
            let mark = if slot.default == Some(info.name) { " (default)" } else { "" };
            println!("  {:<18} {}{mark}", info.name, info.summary);
            if let Some(paper) = info.paper {
                println!("  {:<18} {paper}", "");
            }
        }
    }
    Ok(())
}
