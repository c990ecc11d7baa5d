//! What the shipped recipe of a method does, question by question, read from the recipe itself.

use crate::shipped::{self, TOPICS};
use crate::verbs::describe::methods::recipes;
use maclip_framework::recipe::{Purpose, Recipe};
use maclip_framework::registry::Method;
use maclip_framework::registry::protocol::{About, Transduction};
use maclip_framework::slots::frames::FrameSampler;
use maclip_language::{Arguments, Node, Value};
use maclip_reports::format;

/// Ends of the names of recipes, the preferred one first: one benchmark stands for all.
const PREFERRED: [&str; 2] = ["/ssv2_small_5w1s", "/ssv2_full_5w1s"];

/// The answers of one recipe.
pub struct Ours {
    /// Its name below `recipes/`.
    pub recipe: &'static str,
    answers: Vec<(About, String)>,
}

impl Ours {
    /// The answer to a question, where the recipe has one.
    pub fn answer(&self, about: About) -> Option<&str> {
        self.answers.iter().find(|(question, _)| *question == about).map(|(_, answer)| answer.as_str())
    }
}

/// The recipe that the registration names by itself, else the one that follows the published protocol on SSv2-Small,
/// else on SSv2-Full, else the method's first. `None` where no recipe belongs to the method.
pub fn ours(method: &Method) -> Option<Ours> {
    let names = recipes(method);
    let named = names.iter().find(|name| name.matches('/').count() > 1 && method.recipes.contains(name));
    let preferred = named.or_else(|| PREFERRED.iter().find_map(|end| names.iter().find(|name| name.ends_with(end))));
    let name = preferred.or_else(|| names.first())?;
    let here = method.protocol.map_or(Transduction::None, |protocol| protocol.transduction_here);
    of(name, here)
}

/// The answers of the shipped recipe `name`, whose predictions depend on `here`.
pub fn of(name: &'static str, here: Transduction) -> Option<Ours> {
    let mut root = shipped::find(name)?.load(&Arguments::default()).ok()?.root;
    // Presets change a recipe only when the command line names one.
    root.as_map_mut()?.remove("presets");
    let recipe = Recipe::check_for(&root, Purpose::Plan).ok()?;
    let frames = recipe.build::<dyn FrameSampler>(&recipe.sizes_context()).ok()?;
    let tree = &recipe.resolved;
    let steps = number(tree, "task.train.steps")?;
    let every = number(tree, "task.train.validate_every_steps")?;
    let validation = number(tree, "task.validation.episodes")?;
    let together = number(tree, "task.episodes_per_step")?;
    let shot = number(tree, "task.shot")?;
    let train_shot = number(tree, "task.train_shot").unwrap_or(shot);
    let queries = number(tree, "task.queries")?;
    let test = number(tree, "task.test.episodes")?;
    let test_queries = number(tree, "task.test.queries").unwrap_or(1);
    let word = |path: &str| tree.at(path).and_then(Node::as_str).unwrap_or_default();
    let selection = match every < steps {
        true => format!(
            "The best weights on {} episodes of val classes, looked at every {} steps. The test classes are looked at once.",
            format::whole(validation),
            format::whole(every)
        ),
        false => "The last weights: nothing is chosen. The test classes are looked at once.".to_owned(),
    };
    let training = format!(
        "{} tasks, {together} a step; {queries} {} of each class; {train_shot} {}.",
        format::whole(steps * together),
        plural(queries, "query", "queries"),
        plural(train_shot, "shot", "shots"),
    );
    let optimizer = format!(
        "{}, rate {}, schedule {}.",
        word("optimizer.type"),
        scalar(tree, "optimizer.learning_rate"),
        word("schedule.type")
    );
    let of_test = format!(
        "{} tasks, {test_queries} {} of each class, with a 95 % interval.",
        format::whole(test),
        plural(test_queries, "query", "queries")
    );
    let drawn = match frames.random_in_evaluation() {
        true => "Drawn at random, as published; the seed decides, and the record of the result says so.",
        false => "The same every time.",
    };
    let transduction = match here {
        Transduction::None => "No.",
        Transduction::Queries => "Yes, on the other queries, as published.",
        Transduction::QueriesAndLabel => "Yes, on the other queries and on the label.",
    };
    let answers = vec![
        (About::Selection, selection),
        (About::Training, training),
        (About::Optimizer, optimizer),
        (About::Frames, format!("{}, by `{}`.", frames.count(), word("frames.type"))),
        (About::Test, of_test),
        (About::TestFrames, drawn.to_owned()),
        (About::Transduction, transduction.to_owned()),
    ];
    Some(Ours { recipe: name, answers })
}

/// Test tasks of `recipes/methods.yaml`, by which all methods are compared, and the shots of its training where they
/// are fixed.
pub fn study() -> Option<(u64, Option<u64>)> {
    let document = shipped::find("methods")?.load(&Arguments::default()).ok()?;
    Some((number(&document.root, "task.test.episodes")?, number(&document.root, "task.train_shot")))
}

/// What the study of all methods measured of `method`, in the words of docs/comparison.md: each column of accuracy with
/// its value. `None` where the method is not in the study.
pub fn result(method: &Method) -> Option<String> {
    let page = TOPICS.iter().find(|topic| topic.name == "comparison")?.text;
    let names: Vec<&str> = recipes(method).iter().filter_map(|recipe| recipe.strip_prefix("methods/")).collect();
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim);
    let mut heads = Vec::new();
    for line in page.lines() {
        if line.starts_with("| Method |") {
            heads = cells(line).collect();
        }
        let name = cells(line).next().unwrap_or_default().trim_matches('`');
        if heads.is_empty() || !names.contains(&name) {
            continue;
        }
        let measured = heads.iter().zip(cells(line)).filter(|(_, cell)| cell.contains('±'));
        let said = measured.map(|(head, cell)| format!("{}: {cell} %", head.trim_end_matches(", %")));
        return Some(said.collect::<Vec<_>>().join("; ")).filter(|said| !said.is_empty());
    }
    None
}

fn plural(number: u64, one: &'static str, many: &'static str) -> &'static str {
    if number == 1 { one } else { many }
}

fn number(tree: &Node, path: &str) -> Option<u64> {
    match tree.at(path)?.value {
        Value::Int(number) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// A number as a recipe would write it.
fn scalar(tree: &Node, path: &str) -> String {
    match tree.at(path).map(|node| &node.value) {
        Some(Value::Int(number)) => number.to_string(),
        Some(Value::Float(number)) if number.abs() < 1e-2 => format!("{number:e}"),
        Some(Value::Float(number)) => number.to_string(),
        _ => "of the component".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::registry::methods;

    #[test]
    fn every_recipe_of_a_method_with_a_protocol_answers_every_question() {
        for method in methods().into_iter().filter(|method| method.protocol.is_some()) {
            let Some(ours) = ours(method) else {
                assert!(recipes(method).is_empty(), "{}: its recipe gives no answers", method.name);
                continue;
            };
            for about in About::ALL.into_iter().filter(|about| *about != About::Finding) {
                assert!(ours.answer(about).is_some_and(|answer| answer.len() > 2), "{}: {about:?}", ours.recipe);
            }
        }
        let of_study = result(methods().into_iter().find(|method| method.name == "strm").unwrap()).unwrap();
        assert!(of_study.starts_with("`motion` 1-shot: ") && of_study.contains("; → `appearance`: "), "{of_study}");
        assert_eq!(result(methods().into_iter().find(|method| method.name == "lora").unwrap()), None);
        assert_eq!(study(), Some((1_000, Some(1))), "recipes/methods.yaml");
        let of_method =
            |name: &str| ours(methods().into_iter().find(|method| method.name == name).unwrap()).unwrap().recipe;
        assert_eq!(of_method("otam"), "methods/otam/ssv2_full_5w1s", "the others take settings over");
        assert_eq!(of_method("soap"), "methods/soap/ssv2_full_5w1s", "the others take settings over");
        let published = of("methods/strm/ssv2_small_5w1s", Transduction::None).unwrap();
        assert!(published.answer(About::Selection).unwrap().starts_with("The last weights"));
        let random = of("methods/ts_fsar/ssv2_small_5w1s", Transduction::None).unwrap();
        assert!(random.answer(About::TestFrames).unwrap().starts_with("Drawn at random"));
        assert_eq!(random.answer(About::Training), Some("10,000 tasks, 1 a step; 5 queries of each class; 1 shot."));
    }
}
