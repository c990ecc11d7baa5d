//! Published methods: the page docs/methods.md, and one method in the terminal.

use crate::shipped::RECIPES;
use maclip_framework::model::few_shot::FewShotModel;
use maclip_framework::model::parameters;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::protocol::About;
use maclip_framework::registry::{Compared, Method, methods};
use maclip_language::{Node, Origin, read_str};
use maclip_reports::format;
use serde_json::{Value, json};

/// Frames of a clip, for the number of parameters.
const FRAMES: usize = 8;

/// Parameters that are trained with 8 frames and 64 training classes, on CLIP ViT-B/16 where the method names no
/// backbone. `None` where the method's slots do not fit together there.
fn trainable(method: &Method) -> Option<usize> {
    let own = "{name: method, dataset: {type: shapes_in_motion}, backbone: {type: clip_vit, architecture: ViT-B/16}}";
    let mut recipe = read_str("method", own).ok()?;
    let slots = read_str("method", method.slots).ok()?;
    for slot in slots.as_map()?.iter() {
        recipe.as_map_mut()?.insert(slot.key.clone(), Origin::Default, slot.value.clone());
    }
    let recipe = Recipe::check_for(&recipe, Purpose::Plan).ok()?;
    let model = FewShotModel::build(&recipe, &recipe.sizes_context(), FRAMES).ok()?;
    Some(parameters::count(&model).trainable)
}

/// The backbone of [`trainable`], in words.
fn tower(method: &Method) -> &'static str {
    let slots = read_str("method", method.slots).ok();
    let kind = slots.as_ref().and_then(|slots| slots.at("backbone.type")).and_then(Node::as_str);
    if kind == Some("resnet") { "ResNet-50" } else { "CLIP ViT-B/16" }
}

/// What a page says of a method for which no few-shot protocol was published.
pub const NO_PROTOCOL: &str = "No few-shot protocol was published.";

/// Training and test of the public code or the paper: what, and how. Findings belong to the audit.
fn protocol(method: &Method) -> impl Iterator<Item = (&'static str, &'static str)> {
    let statements = method.protocol.iter().flat_map(|protocol| protocol.statements);
    let asked = statements.filter(|statement| statement.about != About::Finding);
    asked.map(|statement| (statement.about.words(), statement.text))
}

/// The anchor of the section of the method in docs/methods.md and docs/audit.md, as GitHub makes it: letters, digits
/// and dashes of the title, and a number where an earlier title gives the same.
pub fn anchor(method: &Method) -> String {
    let slug = |title: &str| {
        let letters = title.to_lowercase().replace(' ', "-");
        letters.chars().filter(|letter| letter.is_alphabetic() || letter.is_ascii_digit() || *letter == '-').collect()
    };
    let own: String = slug(method.title);
    let earlier = methods().into_iter().take_while(|other| other.name != method.name);
    match earlier.filter(|other| slug(other.title) == own).count() {
        0 => own,
        number => format!("{own}-{number}"),
    }
}

/// Shipped recipes of the method.
pub fn recipes(method: &Method) -> Vec<&'static str> {
    let belongs = |name: &str| {
        method
            .recipes
            .iter()
            .any(|of| name.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    RECIPES.iter().map(|recipe| recipe.name).filter(|name| belongs(name)).collect()
}

/// `adapter/full`, …: the components that it names.
fn components(method: &Method) -> Vec<String> {
    let slots = read_str("method", method.slots).unwrap_or_else(|_| Node::map(Origin::Default));
    let slots = slots.as_map().into_iter().flatten();
    slots.filter_map(|slot| Some(format!("{}/{}", slot.key, slot.value.at("type")?.as_str()?))).collect()
}

/// The largest error as a part of the tolerance, for people.
fn error(compared: &Compared) -> String {
    if compared.error == 0.0 { "0: equal".to_owned() } else { compared.error.to_string() }
}

pub fn data(method: &Method) -> Value {
    let compared = method.compared.iter();
    json!({
        "method": method.name, "title": method.title, "paper": method.paper,
        "code": method.code.iter().map(|code| json!({"repository": code.name, "commit": code.commit}))
            .collect::<Vec<_>>(),
        "components": components(method), "trainable_vit_b16": trainable(method), "recipes": recipes(method),
        "compared": compared.map(|of| json!({"what": of.what, "cases": of.cases, "largest_error": of.error}))
            .collect::<Vec<_>>(),
        "left_out": method.left_out,
        "protocol": protocol(method).map(|(what, how)| json!({"what": what, "how": how})).collect::<Vec<_>>(),
    })
}

/// The method in a terminal.
pub fn text(method: &Method) -> String {
    let mut lines = vec![format!("method/{}: {}", method.name, method.title)];
    let mut entry = |name: &str, text: &str| {
        let wrapped = super::wrapped(text, 88).into_iter().enumerate();
        lines.extend(wrapped.map(|(at, line)| format!("  {:<10}  {line}", if at == 0 { name } else { "" })));
    };
    entry("paper", method.paper);
    for code in method.code {
        entry("code", &format!("{}@{}", code.name, code.commit));
    }
    method.slots.lines().for_each(|line| entry("slots", line));
    if let Some(count) = trainable(method) {
        entry("trainable", &format!("{} on {}, {FRAMES} frames", format::whole(count as u64), tower(method)));
    }
    let of = recipes(method);
    if !of.is_empty() {
        entry("recipes", &of.join(", "));
    }
    for compared in method.compared {
        entry("compared", &format!("{}; largest error {} of its tolerance", compared.what, error(compared)));
    }
    method.left_out.iter().for_each(|what| entry("differs", what));
    protocol(method).for_each(|(what, how)| entry("published", &format!("{what}: {how}")));
    if method.protocol.is_some() {
        entry("audit", &format!("`maclip audit {}` has the places in the code, and findings", method.name));
    }
    lines.join("\n")
}

/// docs/methods.md
pub fn page() -> String {
    let mut out = vec![
        "# Methods".to_owned(),
        String::new(),
        "What each published method is made of, what was compared with whose code, and what differs. `cargo xtask \
         regenerate` writes this page from the tables in `components/src/methods`; `maclip describe method/otam` shows one \
         of them. [Comparison](comparison.md) has their numbers side by side."
            .to_owned(),
        String::new(),
        "\"Largest error\" is the largest difference from the other code's numbers, as a part of what the case allows: for \
         tensors 2·10⁻⁵ of the largest value, at least 10⁻⁶ (the other code computed in float64, this program in float32). \
         The tests fail where an error on a processor is more than twice the one that is stated. What is not in these \
         tables was not compared."
            .to_owned(),
        String::new(),
        "Methods with a recipe in `recipes/methods/` can also be trained and tested by one protocol, that of \
         `recipes/methods.yaml`. The recipes in a method's own folder follow its public code instead, and say what they \
         cannot follow, or where there are no public settings for a benchmark."
            .to_owned(),
        String::new(),
        "| method | public code | compared cases | largest error | backbone | trained |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for method in methods() {
        let code = method.code.first().map_or("none", |code| code.name);
        let cases: usize = method.compared.iter().map(|compared| compared.cases.len()).sum();
        let largest = method.compared.iter().map(|compared| compared.error).fold(0.0, f64::max);
        let largest = if cases == 0 { "–".to_owned() } else { largest.to_string() };
        let count = trainable(method).map_or_else(|| "–".to_owned(), |count| format::whole(count as u64));
        let anchor = anchor(method);
        let tower = tower(method);
        out.push(format!("| [{}](#{anchor}) | {code} | {cases} | {largest} | {tower} | {count} |", method.title));
    }
    methods().into_iter().for_each(|method| section(method, &mut out));
    out.join("\n")
}

fn section(method: &Method, out: &mut Vec<String>) {
    out.extend([String::new(), format!("## {}", method.title), String::new(), method.paper.to_owned(), String::new()]);
    out.extend(["```yaml".to_owned(), method.slots.to_owned(), "```".to_owned(), String::new()]);
    let links = components(method).into_iter().map(|name| format!("[{name}](components.md#{})", name.replace('/', "")));
    out.push(format!("- Components: {}.", links.collect::<Vec<_>>().join(", ")));
    for code in method.code {
        out.push(format!("- Public code: [{}]({}) at `{}`.", code.name, code.link(), code.short()));
    }
    if let Some(count) = trainable(method) {
        let count = format::whole(count as u64);
        out.push(format!(
            "- Trained parameters on {} with {FRAMES} frames and 64 training classes: {count}.",
            tower(method)
        ));
    }
    let recipes = recipes(method);
    if !recipes.is_empty() {
        let links = recipes.iter().map(|name| format!("[{name}](../recipes/{name}.yaml)"));
        out.push(format!("- Recipes: {}.", links.collect::<Vec<_>>().join(", ")));
    }
    if !method.compared.is_empty() {
        out.extend([String::new(), "| compared | cases | largest error |".to_owned(), "|---|---|---|".to_owned()]);
        let cases =
            |compared: &Compared| compared.cases.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        let rows = method.compared.iter();
        out.extend(rows.map(|compared| format!("| {} | {} | {} |", compared.what, cases(compared), error(compared))));
    }
    if !method.left_out.is_empty() {
        out.extend([String::new(), "Not as published, or not known:".to_owned(), String::new()]);
        out.extend(method.left_out.iter().map(|what| format!("- {what}")));
    }
    if method.protocol.is_none() {
        return out.extend([String::new(), NO_PROTOCOL.to_owned()]);
    }
    out.extend([String::new(), "| published | |".to_owned(), "|---|---|".to_owned()]);
    out.extend(protocol(method).map(|(what, how)| format!("| {what} | {how} |")));
    let anchor = anchor(method);
    out.extend([
        String::new(),
        format!("[The audit](audit.md#{anchor}) says where that stands, and what else was found."),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_every_method_make_a_model_and_its_recipes_exist() {
        for method in methods() {
            assert!(trainable(method).is_some(), "{}: its slots do not make a model", method.name);
            for name in method.recipes {
                let some = RECIPES.iter().any(|recipe| recipe.name.starts_with(name));
                assert!(some, "{}: no recipe is called {name}", method.name);
            }
            assert!(!components(method).is_empty(), "{}", method.name);
        }
        let of = |name: &str| trainable(methods().into_iter().find(|method| method.name == name).unwrap());
        assert_eq!(of("aim"), Some(10_659_072), "the paper says 11 M");
        assert_eq!(of("clip"), Some(0));
        let anchor_of = |name: &str| anchor(methods().into_iter().find(|method| method.name == name).unwrap());
        assert_eq!(anchor_of("clip_fsar"), "clip-fsar");
        assert_eq!([anchor_of("hyrsm"), anchor_of("hyrsm_plus_plus")], ["hyrsm", "hyrsm-1"], "HyRSM and HyRSM++");
        assert_eq!(anchor_of("d2st"), "dst-adapter", "GitHub leaves the ² out");
    }
}
