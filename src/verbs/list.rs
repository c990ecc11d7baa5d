//! `maclip list [SLOT]`: slots and their components, and the methods and baselines with a recipe.

use super::describe::methods::recipes;
use crate::shipped::RECIPES;
use crate::terminal::pattern::matches;
use crate::terminal::{completion, say, say_data};
use clap::{Args, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use maclip_framework::error::Result;
use maclip_framework::registry::{Info, SlotInfo, Stability, methods, slot, slots};
use maclip_language::{Diagnostic, codes, name_help};
use serde::Serialize;
use serde_json::json;
use std::ffi::OsStr;

/// List slots and their components, methods and baselines
#[derive(Args)]
pub struct Arguments {
    /// Only this slot, or `methods` or `baselines`
    #[arg(add = ArgValueCompleter::new(names))]
    slot: Option<String>,
    /// Only what has this text in its name, summary or paper; a text with `*` is a pattern of the name (`*hausdorff`)
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

/// What can be listed, as far as it begins with what is typed.
fn names(current: &OsStr) -> Vec<CompletionCandidate> {
    let families = families().map(|family| (family.name.to_owned(), family.summary.to_owned()));
    let slots = slots().map(|slot| (slot.name.to_owned(), slot.summary.to_owned()));
    completion::beginning(current, slots.chain(families))
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Settled {
    Stable,
    Experimental,
}

/// Methods or baselines: what runs by a recipe in `recipes/methods`.
struct Family {
    name: &'static str,
    summary: &'static str,
    members: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    name: &'static str,
    summary: String,
    paper: &'static str,
    recipes: Vec<&'static str>,
}

/// Names of [`families`].
const FAMILIES: [&str; 2] = ["methods", "baselines"];

/// The published methods, and what stands beside them in the study of all methods.
fn families() -> [Family; 2] {
    let published = methods().into_iter().map(|method| Member {
        name: method.name,
        summary: method.title.to_owned(),
        paper: method.paper,
        recipes: shortest_first(recipes(method)),
    });
    let published: Vec<Member> = published.collect();
    let is_published = |name: &str| published.iter().any(|method| method.name == name);
    let baselines = RECIPES.iter().filter_map(|recipe| {
        let name = recipe.name.strip_prefix("methods/").filter(|name| !name.contains('/') && !is_published(name))?;
        let summary = recipe.tree()?.at("description")?.as_str()?.to_owned();
        Some(Member { name, summary, paper: "", recipes: vec![recipe.name] })
    });
    let baselines: Vec<Member> = baselines.collect();
    let [first, second] = FAMILIES;
    [
        Family {
            name: first,
            summary: "published methods; `maclip describe NAME` says more of one",
            members: published,
        },
        Family { name: second, summary: "what methods are measured against", members: baselines },
    ]
}

/// The recipe of the study of all methods before those of its benchmarks.
fn shortest_first(mut recipes: Vec<&'static str>) -> Vec<&'static str> {
    recipes.sort_by_key(|name| (name.matches('/').count(), !name.starts_with("methods/")));
    recipes
}

impl Arguments {
    fn wants(&self, info: &Info) -> bool {
        let settled =
            self.stability.is_none_or(|wanted| (wanted == Settled::Stable) == (info.stability == Stability::Stable));
        settled && self.fits(info.name, &[info.name, info.summary, info.paper.unwrap_or_default()])
    }

    /// A pattern is for the name alone; a text may be anywhere.
    fn fits(&self, name: &str, texts: &[&str]) -> bool {
        self.filter.as_deref().is_none_or(|filter| match filter.contains('*') {
            true => matches(name, filter),
            false => texts.iter().any(|text| text.to_lowercase().contains(&filter.to_lowercase())),
        })
    }

    /// The slots that are asked for.
    fn slots(&self) -> Result<Vec<&'static SlotInfo>> {
        let Some(name) = self.slot.as_deref() else { return Ok(slots().collect()) };
        if FAMILIES.contains(&name) {
            return Ok(Vec::new());
        }
        let unknown = || Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no slot `{name}`"));
        let help = || name_help(name, slots().map(|slot| slot.name).chain(FAMILIES));
        Ok(vec![slot(name).ok_or_else(|| unknown().helps(help()))?])
    }

    /// The families that are asked for. A stability is that of a component.
    fn families(&self) -> Vec<Family> {
        let asked = |family: &Family| self.slot.as_deref().is_none_or(|name| name == family.name);
        let mut families: Vec<Family> =
            families().into_iter().filter(|family| asked(family) && self.stability.is_none()).collect();
        for family in &mut families {
            family.members.retain(|member| self.fits(member.name, &[member.name, &member.summary, member.paper]));
        }
        families.retain(|family| !family.members.is_empty());
        families
    }
}

fn list(arguments: Arguments) -> Result<()> {
    let narrowed = arguments.filter.is_some() || arguments.stability.is_some();
    let listed: Vec<(&SlotInfo, Vec<&'static Info>)> = arguments
        .slots()?
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
    let families = arguments.families();
    if arguments.json {
        let members = families.into_iter().map(|family| (family.name.to_owned(), json!(family.members)));
        let listed: serde_json::Map<String, serde_json::Value> = listed
            .into_iter()
            .map(|(slot, components)| {
                let about = json!({"summary": slot.summary, "default": slot.default, "identity": slot.identity,
                                   "components": components});
                (slot.name.to_owned(), about)
            })
            .collect();
        let slots = std::iter::once(("slots".to_owned(), json!(listed)));
        return say_data(serde_json::Value::Object(slots.chain(members).collect()));
    }
    if listed.is_empty() && families.is_empty() {
        return say("nothing fits");
    }
    let mut space = "";
    for (slot, components) in listed {
        say(format!("{space}{}: {}", slot.name, slot.summary))?;
        space = "\n";
        for info in components {
            let default = if slot.default == Some(info.name) { " (default)" } else { "" };
            let young = if info.stability == Stability::Experimental { " (experimental)" } else { "" };
            say(format!("  {:<22} {}{default}{young}", info.name, info.summary))?;
            if let Some(paper) = info.paper {
                say(format!("  {:<22} {paper}", ""))?;
            }
        }
    }
    for family in families {
        say(format!("{space}{}: {}", family.name, family.summary))?;
        space = "\n";
        for member in family.members {
            say(format!("  {:<22} {}", member.name, member.summary))?;
            if let [first, more @ ..] = member.recipes.as_slice() {
                let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
                say(format!("  {:<22} recipes/{first}.yaml{more}", ""))?;
            }
        }
    }
    Ok(())
}
