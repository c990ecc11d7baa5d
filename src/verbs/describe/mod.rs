//! `maclip describe NAME`: a component, a key of recipes or a method: its source, and every option with its default and
//! reason.

pub(super) mod methods;
mod paths;

use crate::shipped;
use crate::terminal::{completion, say, say_data};
use clap::Args;
use clap_complete::engine::ArgValueCompleter;
use maclip_framework::error::Result;
use maclip_framework::recipe::keys::{KEYS, Key};
use maclip_framework::registry::options::{OptionDoc, options, shown, whole};
use maclip_framework::registry::{self, Info, Method, Stability, slots};
use maclip_language::{Diagnostic, codes, name_help, suggest};
use maclip_reports::format;
use paths::At;
use serde_json::{Value, json};

/// Show a component, a key of recipes or a published method: its source, and every option with its default and reason
#[derive(Args)]
pub struct Arguments {
    /// A component (`otam`, `alignment/otam`), a key of recipes (`compute`), an option (`task.train.steps`) or a method
    /// (`method/otam`)
    #[arg(required_unless_present = "markdown", add = ArgValueCompleter::new(completion::described))]
    name: Option<String>,
    /// One JSON object on stdout, with the JSON schema of the options
    #[arg(long)]
    json: bool,
    /// A whole page in Markdown: docs/components.md, with all components and keys, or docs/methods.md
    #[arg(long, value_name = "PAGE", num_args = 0..=1, require_equals = true, default_missing_value = "components",
          conflicts_with_all = ["name", "json"])]
    markdown: Option<Page>,
}

/// A page that is made from the registrations.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Page {
    /// Every component and key: docs/components.md
    Components,
    /// Every published method: docs/methods.md
    Methods,
}

crate::verb!("describe", 70, Arguments, describe);

/// What can be described.
enum Subject {
    Component(&'static str, &'static Info),
    Key(&'static Key),
    Method(&'static Method),
}

impl Subject {
    fn all() -> Vec<Subject> {
        let of_slots = slots().flat_map(|slot| {
            (slot.components)().into_iter().map(|candidate| Subject::Component(slot.name, candidate.info))
        });
        let methods = registry::methods().into_iter().map(Subject::Method);
        KEYS.iter().map(Subject::Key).chain(of_slots).chain(methods).collect()
    }

    /// Names by which it can be asked for.
    fn is(&self, wanted: &str) -> bool {
        match self {
            Subject::Key(key) => key.name == wanted,
            Subject::Component(slot, info) => {
                info.name == wanted || wanted.split_once(['/', '.']) == Some((slot, info.name))
            }
            Subject::Method(method) => {
                method.name == wanted || wanted.split_once(['/', '.']) == Some(("method", method.name))
            }
        }
    }

    fn full_name(&self) -> String {
        match self {
            Subject::Key(key) => key.name.to_owned(),
            Subject::Component(slot, info) => format!("{slot}/{}", info.name),
            Subject::Method(method) => format!("method/{}", method.name),
        }
    }

    /// Its options; of a key that is no map, the key itself and the parts of its items.
    fn options(&self) -> Vec<OptionDoc> {
        let schema = self.schema();
        let parts = options(&schema);
        match self {
            Subject::Key(key) if !schema["properties"].is_object() => {
                std::iter::once(whole(&schema, key.name)).chain(parts).collect()
            }
            _ => parts,
        }
    }

    fn schema(&self) -> Value {
        match self {
            Subject::Key(key) => key.schema(),
            Subject::Component(_, info) => (info.schema)().into(),
            Subject::Method(_) => Value::Null,
        }
    }
}

fn describe(arguments: Arguments) -> Result<()> {
    match arguments.markdown {
        Some(Page::Components) => return say_data(markdown().trim_end()),
        Some(Page::Methods) => return say_data(methods::page()),
        None => {}
    }
    let wanted = arguments.name.unwrap_or_default();
    let all = Subject::all();
    let found: Vec<&Subject> = all.iter().filter(|subject| subject.is(&wanted)).collect();
    if found.is_empty() {
        let options = paths::at(&all, &wanted);
        if !options.is_empty() {
            return match arguments.json {
                true => say_data(option_data(&options)),
                false => say(option_text(&options)),
            };
        }
        let near = paths::near(&all, &wanted);
        if wanted.contains('.') && !near.is_empty() {
            let problem = Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no option `{wanted}`"));
            return Err(problem.helps(name_help(&wanted, near.iter().map(String::as_str))).into());
        }
        let names: Vec<String> = all
            .iter()
            .map(|subject| match subject {
                Subject::Component(_, info) if !wanted.contains(['/', '.']) => info.name.to_owned(),
                other => other.full_name(),
            })
            .collect();
        let slot = slots().find(|slot| slot.name == wanted);
        let problem = Diagnostic::new(codes::UNKNOWN_NAME, format!("there is no component or key `{wanted}`"));
        let problem = match slot {
            Some(slot) => problem.help(format!("`{0}` is a slot: `maclip list {0}` shows its components", slot.name)),
            None => problem
                .helps(suggest(&wanted, names.iter().map(String::as_str)).map(|near| format!("did you mean `{near}`?")))
                .help("`maclip list` shows all components"),
        };
        return Err(problem.into());
    }
    if arguments.json {
        let list: Vec<Value> = found.iter().map(|subject| data(subject)).collect();
        return say_data(json!({ "described": list }));
    }
    let texts: Vec<String> = found.iter().map(|subject| text(subject)).collect();
    say(texts.join("\n\n"))
}

fn data(subject: &Subject) -> Value {
    let (schema, options) = (subject.schema(), subject.options());
    match subject {
        Subject::Method(method) => methods::data(method),
        Subject::Key(key) => json!({"key": key.name, "summary": key.summary, "options": options, "schema": schema}),
        Subject::Component(slot, info) => json!({
            "slot": slot, "component": info, "options": options, "trainable_vit_b16": trainable(slot, info),
            "recipes": shipped::using(slot, info.name), "schema": schema,
        }),
    }
}

/// Trainable parameters with the example's options on CLIP ViT-B/16 with 8 frames, where the component has any to
/// count.
fn trainable(slot: &str, info: &Info) -> Option<usize> {
    maclip_framework::model::component_size::trainable(slot, info)
}

/// The component as a line of a recipe.
fn line(slot: &str, info: &Info) -> String {
    let example = info.usage.trim();
    let body = example.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(example).trim();
    let options = if body.is_empty() { String::new() } else { format!(", {body}") };
    format!("{slot}: {{type: {}{options}}}", info.name)
}

fn text(subject: &Subject) -> String {
    let mut lines = Vec::new();
    match subject {
        Subject::Method(method) => return methods::text(method),
        Subject::Key(key) => {
            lines.push(format!("{}: a key of recipes", key.name));
            lines.extend(wrapped(key.summary, 100).into_iter().map(|line| format!("  {line}")));
        }
        Subject::Component(slot, info) => {
            lines.push(format!("{slot}/{}: {}", info.name, info.summary));
            lines.extend(info.paper.map(|paper| format!("  after       {paper}")));
            if info.stability == Stability::Experimental {
                lines.push("  stability   experimental: options may change".to_owned());
            }
            lines.push(format!("  example     {}", line(slot, info)));
            if let Some(count) = trainable(slot, info) {
                lines.push(format!("  trainable   {} on CLIP ViT-B/16, 8 frames", format::whole(count as u64)));
            }
            let recipes = shipped::using(slot, info.name);
            if !recipes.is_empty() {
                lines.extend(
                    wrapped(&recipes.join(", "), 88)
                        .into_iter()
                        .enumerate()
                        .map(|(at, line)| format!("  {:<10}  {line}", if at == 0 { "recipes" } else { "" })),
                );
            }
        }
    }
    let options = subject.options();
    if options.is_empty() {
        lines.push("  no options".to_owned());
    }
    lines.extend(options.iter().flat_map(option_lines));
    lines.join("\n")
}

/// What an option means.
fn option_lines(option: &OptionDoc) -> Vec<String> {
    let mut lines = vec![format!("\n  {}", heading(option))];
    lines.extend(wrapped(&option.description, 100).into_iter().map(|line| format!("      {line}")));
    for (value, reason) in &option.choices {
        let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
        lines.extend(wrapped(&format!("{value}{reason}"), 96).into_iter().map(|line| format!("        {line}")));
    }
    lines
}

/// Options that a path names, below the component that has them.
fn option_text(options: &[At]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for (number, At { of, option }) in options.iter().enumerate() {
        if number == 0 || options[number - 1].of != *of {
            lines.push(format!("{}{of}", if number == 0 { "" } else { "\n" }));
        }
        lines.extend(option_lines(option));
    }
    lines.join("\n")
}

fn option_data(options: &[At]) -> String {
    let one = |At { of, option }: &At| json!({"of": of, "option": option});
    json!({"described": options.iter().map(one).collect::<Vec<_>>()}).to_string()
}

/// `train.steps: 1000   integer ≥ 1`
fn heading(option: &OptionDoc) -> String {
    let range = option.range.iter().map(|range| format!(" {range}")).collect::<String>();
    let value = match &option.default {
        Some(default) => shown(default),
        None if option.required => "required".to_owned(),
        None => String::new(),
    };
    format!("{}: {value}   ({}{range})", option.path, option.kind).replace(":    (", ":   (")
}

/// Every component and key, for docs/components.md.
fn markdown() -> String {
    let mut out = vec![
        "# Components".to_owned(),
        String::new(),
        "Every slot, component and option, from the code: `cargo xtask regenerate` writes this page. The same for one \
         component in the terminal: `maclip describe alignment/otam`."
            .to_owned(),
        String::new(),
    ];
    let count = |slot: &maclip_framework::registry::SlotInfo| (slot.components)().len();
    out.extend(["| slot | what it does | components |".to_owned(), "|---|---|---|".to_owned()]);
    out.extend(slots().map(|slot| format!("| [{0}](#{0}) | {1} | {2} |", slot.name, slot.summary, count(slot))));
    for slot in slots() {
        out.extend([String::new(), format!("## {}", slot.name), String::new()]);
        let default = slot.default.map_or_else(String::new, |name| format!(" Without it: `{name}`."));
        let identity = slot.identity.map_or_else(String::new, |name| format!(" Its absence: `{name}`."));
        out.push(format!("{}.{default}{identity}", format::capitalized(slot.summary)));
        for info in (slot.components)().into_iter().map(|candidate| candidate.info) {
            out.extend([String::new(), format!("### {}/{}", slot.name, info.name), String::new()]);
            let paper = info.paper.map_or_else(String::new, |paper| format!(" After {paper}."));
            out.push(format!("{}.{paper}", format::capitalized(info.summary)));
            out.extend([String::new(), "```yaml".to_owned(), line(slot.name, info), "```".to_owned(), String::new()]);
            if info.stability == Stability::Experimental {
                out.push("Experimental: options may change.\n".to_owned());
            }
            if let Some(count) = trainable(slot.name, info) {
                let count = format::whole(count as u64);
                out.push(format!("{count} trainable parameters on CLIP ViT-B/16 with 8 frames.\n"));
            }
            let recipes = shipped::using(slot.name, info.name);
            if !recipes.is_empty() {
                let links: Vec<String> =
                    recipes.iter().map(|name| format!("[{name}](../recipes/{name}.yaml)")).collect();
                out.push(format!("Recipes: {}.\n", links.join(", ")));
            }
            table(&options(&(info.schema)().into()), &mut out);
        }
    }
    out.extend([String::new(), "## Keys of a recipe beside the slots".to_owned()]);
    for key in KEYS {
        out.extend([String::new(), format!("### {}", key.name), String::new(), key.summary.to_owned(), String::new()]);
        table(&Subject::Key(key).options(), &mut out);
    }
    // One empty line between blocks.
    let text = out.join("\n");
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        if !(line.is_empty() && lines.last().is_some_and(|last| last.is_empty())) {
            lines.push(line);
        }
    }
    lines.join("\n")
}

fn table(options: &[OptionDoc], out: &mut Vec<String>) {
    if options.is_empty() {
        return;
    }
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    out.extend(["| option | type | default | what |".to_owned(), "|---|---|---|---|".to_owned()]);
    for option in options {
        let range = option.range.iter().map(|range| format!(", {range}")).collect::<String>();
        let default = match &option.default {
            Some(default) => format!("`{}`", shown(default)),
            None if option.required => "required".to_owned(),
            None => String::new(),
        };
        let choices: Vec<String> = option
            .choices
            .iter()
            .map(|(name, why)| if why.is_empty() { format!("`{name}`") } else { format!("`{name}`: {why}") })
            .collect();
        let choices = if choices.is_empty() { String::new() } else { format!(" {}", choices.join(" ")) };
        out.push(format!(
            "| `{}` | {}{} | {} | {}{} |",
            option.path,
            cell(&option.kind),
            cell(&range),
            cell(&default),
            cell(&option.description),
            cell(&choices)
        ));
    }
}

/// Words of `text` in lines of at most `width` characters.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
