//! docs/audit.md, and the same in a terminal and as JSON.

use super::ours::{self, Ours, ours};
use crate::terminal::columns::columns;
use crate::verbs::describe::methods::{NO_PROTOCOL, anchor};
use crate::verbs::describe::wrapped;
use maclip_framework::registry::protocol::{About, Protocol, Selection, Source, Statement, TestFrames, TrainedShots};
use maclip_framework::registry::{Method, methods};
use maclip_reports::format;
use serde_json::{Value, json};

/// Heads of the summary.
const HEADS: [&str; 6] = ["method", "chosen on", "test tasks", "test frames", "transductive", "trained with"];

/// What the words of the summary mean.
const WORDS: [(&str, &str); 4] = [
    (
        "chosen on",
        "which weights the public code tests. \"val\": the best on val classes; \"val or last\": the best on val classes if \
         an option asks for it; \"fixed iteration\": one that is given before; \"test\": the best on the test classes; \"test \
         is logged\": the code evaluates on the test classes while it trains, logs the results and leaves the choice to its \
         user.",
    ),
    ("test frames", "whether a clip has the same frames in every test."),
    (
        "transductive",
        "whether a prediction depends on the other queries of its episode, or on the label of its own query.",
    ),
    ("trained with", "how many shots the weights of a test were trained with: as many as it has, or always one."),
];

/// What was measured, and what was not.
const EFFECTS: &str = "A finding is what the code does beside its description, or what changes numbers. Its effect is given \
                       where it was computed or measured, and how; else it is \"not measured\". \"Trained both ways\": with \
                       the option `as_published`, which has the fault, and without it, by \
                       `recipes/ablations/as_published.yaml`, on the variant `motion` of the embedded data set \
                       `shapes_in_motion`, with three seeds and 1,000 test episodes; ± is the 95 % interval over these \
                       episodes, paired.";

/// The summary of a method, one cell for each of [`HEADS`].
fn summary(method: &Method) -> [String; 6] {
    let Some(protocol) = method.protocol else {
        let none = || "–".to_owned();
        return [method.title.to_owned(), none(), none(), none(), none(), none()];
    };
    let tasks = protocol.test_tasks.map_or_else(|| "not known".to_owned(), |tasks| format::whole(tasks.into()));
    [
        method.title.to_owned(),
        protocol.selection.words().to_owned(),
        tasks,
        protocol.test_frames.words().to_owned(),
        protocol.transduction.words().to_owned(),
        protocol.shots.words().to_owned(),
    ]
}

/// The protocol of `recipes/methods.yaml`, by which all methods are compared here.
fn study() -> [String; 6] {
    let (tasks, train_shot) = ours::study().unwrap_or_default();
    let shots = if train_shot == Some(1) { TrainedShots::One } else { TrainedShots::AsTested };
    let (selection, frames) = (Selection::Validation.words(), TestFrames::Fixed.words());
    ["maclip", selection, &format::whole(tasks), frames, "see the method", shots.words()].map(str::to_owned)
}

/// The summary in a terminal.
pub fn text() -> String {
    let heads = HEADS.map(str::to_owned);
    let rows: Vec<[String; 6]> =
        std::iter::once(heads).chain(methods().into_iter().map(summary)).chain([study()]).collect();
    let mut lines = columns(&rows, 6);
    for (head, meaning) in WORDS {
        lines.push(String::new());
        lines.extend(wrapped(&format!("{head}: {meaning}"), 98).into_iter().map(|line| format!("  {line}")));
    }
    lines.push(String::new());
    lines.push("  –: no few-shot protocol was published.".to_owned());
    lines.push("  maclip: recipes/methods.yaml, by which all methods are compared here.".to_owned());
    lines.push("  `maclip audit METHOD` shows one, with the places in its code.".to_owned());
    lines.join("\n")
}

/// One method in a terminal.
pub fn method_text(method: &Method) -> String {
    let mut lines = vec![format!("{} (`{}`)", method.title, method.name)];
    let Some(protocol) = method.protocol else {
        lines.push(format!("  {NO_PROTOCOL}"));
        return lines.join("\n");
    };
    let ours = ours(method);
    for about in About::ALL {
        for statement in protocol.about(about) {
            lines.push(String::new());
            lines.push(format!("  {}", about.words()));
            let mut entry = |name: &str, text: &str| {
                let wrapped = wrapped(text, 84).into_iter().enumerate();
                lines.extend(wrapped.map(|(at, line)| format!("    {:<10}  {line}", if at == 0 { name } else { "" })));
            };
            entry("published", statement.text);
            if about == About::Finding {
                entry("effect", statement.effect.unwrap_or("not measured"));
            }
            statement.sources.iter().for_each(|source| entry("where", &plain(source)));
            if let Some(answer) = ours.as_ref().and_then(|ours| ours.answer(about)) {
                entry("here", answer);
            }
        }
    }
    if let Some(result) = ours::result(method) {
        lines.extend([String::new(), "  accuracy by recipes/methods.yaml, one protocol for all".to_owned()]);
        lines.extend(wrapped(&result, 84).into_iter().map(|line| format!("    {:<10}  {line}", "")));
    }
    lines.push(String::new());
    lines.push(match ours {
        Some(ours) => format!("  here: recipes/{}.yaml", ours.recipe),
        None => "  No recipe follows this protocol here.".to_owned(),
    });
    lines.join("\n")
}

/// A place in words.
fn plain(source: &Source) -> String {
    match source {
        Source::Code { repository, file, place } => {
            let place = if place.is_empty() { String::new() } else { format!(": {place}") };
            format!("{}@{} {file}{place}", repository.name, repository.short())
        }
        Source::Paper(paper) => (*paper).to_owned(),
    }
}

/// The places of a section, each once, in the order in which they are first named.
#[derive(Default)]
struct Places(Vec<Source>);

impl Places {
    /// The numbers of the statement's places, as they stand behind it: `[1, 2]`.
    fn of(&mut self, statement: &Statement) -> String {
        let mut number = |source: &Source| {
            let known = self.0.iter().position(|place| place == source);
            known.unwrap_or_else(|| {
                self.0.push(*source);
                self.0.len() - 1
            }) + 1
        };
        let numbers: Vec<String> = statement.sources.iter().map(|source| number(source).to_string()).collect();
        format!("[{}]", numbers.join(", "))
    }

    /// The list below a section.
    fn list(&self) -> impl Iterator<Item = String> {
        self.0.iter().enumerate().map(|(at, source)| match source {
            Source::Code { repository, file, place } => {
                let place = if place.is_empty() { String::new() } else { format!(": {place}") };
                let (name, commit) = (repository.name, repository.commit);
                let link = format!("https://github.com/{name}/blob/{commit}/{file}");
                format!("{}. {name}@{}, [{file}]({link}){place}", at + 1, repository.short())
            }
            Source::Paper(paper) => format!("{}. {paper}", at + 1),
        })
    }
}

/// What `--json` has of a method.
pub fn data(method: &Method) -> Value {
    let place = |source: &Source| match source {
        Source::Code { repository, file, place } => {
            json!({"repository": repository.name, "commit": repository.commit, "file": file, "place": place})
        }
        Source::Paper(paper) => json!({ "paper": paper }),
    };
    let statement = |of: &Statement| {
        json!({"about": of.about.words(), "text": of.text, "effect": of.effect,
               "sources": of.sources.iter().map(place).collect::<Vec<_>>()})
    };
    let published = method.protocol.map(|protocol: Protocol| {
        json!({
            "chosen_on": protocol.selection.words(), "test_tasks": protocol.test_tasks,
            "test_frames": protocol.test_frames.words(), "transductive": protocol.transduction.words(),
            "trained_with": protocol.shots.words(),
            "statements": protocol.statements.iter().map(statement).collect::<Vec<_>>(),
        })
    });
    let here = ours(method).filter(|_| method.protocol.is_some()).map(|ours| {
        let answer = |about: About| ours.answer(about).map(|text| json!({"about": about.words(), "text": text}));
        json!({"recipe": ours.recipe, "answers": About::ALL.into_iter().filter_map(answer).collect::<Vec<_>>()})
    });
    json!({"method": method.name, "title": method.title, "published": published, "here": here,
           "accuracy": ours::result(method)})
}

/// docs/audit.md
pub fn page() -> String {
    let mut out = vec![
        "# Audit".to_owned(),
        String::new(),
        "How the public code of each method chooses its weights, trains and tests, and what our recipes do. Each statement names \
         the repository, the commit and the file that it stands in, so that anybody can check it."
            .to_owned(),
        String::new(),
        "`cargo xtask regenerate` writes this page from the tables in `components/src/methods`; `maclip audit` shows the \
         summary, and `maclip audit strm` one method. [Methods](methods.md) says what each one is made of, and \
         [Comparison](comparison.md) has their numbers by one protocol."
            .to_owned(),
        String::new(),
        row(&HEADS.map(str::to_owned)),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    for method in methods() {
        let mut cells = summary(method);
        cells[0] = format!("[{}](#{})", method.title, anchor(method));
        out.push(row(&cells));
    }
    out.push(row(&study()));
    out.push(String::new());
    out.extend(WORDS.iter().map(|(head, meaning)| format!("- {head}: {meaning}")));
    out.push("- –: no few-shot protocol was published.".to_owned());
    out.push("- maclip: `recipes/methods.yaml`, by which all methods are compared here. The recipes in the folder of a method \
              follow its public code instead, but choose on val classes or take the last weights."
        .to_owned());
    out.extend([String::new(), EFFECTS.to_owned()]);
    methods().into_iter().for_each(|method| section(method, &mut out));
    out.join("\n")
}

fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

fn section(method: &Method, out: &mut Vec<String>) {
    out.extend([String::new(), format!("## {}", method.title), String::new()]);
    let Some(protocol) = method.protocol else { return out.push(NO_PROTOCOL.to_owned()) };
    let ours = ours(method);
    out.push(match &ours {
        Some(Ours { recipe, .. }) => format!("Here: [{recipe}](../recipes/{recipe}.yaml)."),
        None => "No recipe follows this protocol here.".to_owned(),
    });
    out.extend([String::new(), "| | published | our recipe |".to_owned(), "|---|---|---|".to_owned()]);
    let mut places = Places::default();
    let asked = About::ALL.into_iter().filter(|about| *about != About::Finding);
    for statement in asked.flat_map(|about| protocol.about(about)) {
        let answer = ours.as_ref().and_then(|ours| ours.answer(statement.about)).unwrap_or("–");
        let text = format!("{} {}", statement.text, places.of(statement));
        out.push(row(&[statement.about.words().to_owned(), text, answer.to_owned()]));
    }
    if let Some(result) = ours::result(method) {
        let study = "[one protocol for all](comparison.md#all-methods)";
        out.push(row(&["accuracy".to_owned(), "–".to_owned(), format!("by {study}: {result}")]));
    }
    let findings: Vec<&Statement> = protocol.about(About::Finding).collect();
    if !findings.is_empty() {
        out.extend([String::new(), "| finding | effect |".to_owned(), "|---|---|".to_owned()]);
    }
    for finding in findings {
        let text = format!("{} {}", finding.text, places.of(finding));
        out.push(row(&[text, finding.effect.unwrap_or("not measured").to_owned()]));
    }
    out.extend([String::new(), "Places:".to_owned(), String::new()]);
    out.extend(places.list());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_statement_has_a_repository_a_commit_and_a_file() {
        for method in methods() {
            for code in method.code {
                assert!(code.name.split('/').count() == 2 && whole(code.commit), "{}: {code:?}", method.name);
            }
            let Some(protocol) = method.protocol else { continue };
            for statement in protocol.statements {
                let text = statement.text;
                assert!(text.ends_with('.') && !statement.sources.is_empty(), "{}: {text}", method.name);
                assert!(statement.effect.is_none() || statement.about == About::Finding, "{}: {text}", method.name);
                for source in statement.sources {
                    let fits = match source {
                        Source::Code { repository, file, .. } => {
                            repository.name.split('/').count() == 2
                                && whole(repository.commit)
                                && file.contains('.')
                                && !file.starts_with('/')
                        }
                        // Only a method without public code rests on its paper.
                        Source::Paper(paper) => paper.starts_with("arXiv ") && method.code.is_empty(),
                    };
                    assert!(fits, "{}: {text}: {source:?}", method.name);
                }
            }
            for about in About::ALL.into_iter().filter(|about| *about != About::Finding) {
                assert_eq!(protocol.about(about).count(), 1, "{}: {about:?}", method.name);
            }
            let effects = protocol.statements.iter().filter_map(|statement| statement.effect);
            for effect in effects {
                let how = effect.contains("measured)") || effect.contains("computed)");
                assert!(how, "{}: {effect}: was it computed or measured?", method.name);
            }
        }
    }

    /// 40 hex digits.
    fn whole(commit: &str) -> bool {
        commit.len() == 40 && commit.chars().all(|digit| digit.is_ascii_hexdigit())
    }

    #[test]
    fn the_summary_fits_a_terminal() {
        let text = text();
        let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= 120, "{longest} columns");
        assert!(methods().iter().all(|method| text.contains(method.title)));
        let long = methods().into_iter().map(method_text).collect::<Vec<_>>().join("\n");
        let links = |line: &str| line.contains("    where  ") || line.contains("              ");
        assert!(long.lines().all(|line| line.chars().count() <= 120 || links(line)));
    }
}
