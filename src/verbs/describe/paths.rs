//! Options by their dotted path, as recipes and `--set` write it: `task.train.steps`, `adapter/lora.rank`.

use super::Subject;
use maclip_framework::registry::options::OptionDoc;
use maclip_framework::registry::slots;

/// An option that a path names, with the component or key that has it.
pub struct At {
    /// `task/few_shot` or `compute`.
    pub of: String,
    pub option: OptionDoc,
}

/// The options that `wanted` names, each with the parts below it. Several components of a slot may have one of that
/// name.
pub fn at(all: &[Subject], wanted: &str) -> Vec<At> {
    let wanted = &normal(wanted);
    let mut found: Vec<At> = Vec::new();
    for subject in all {
        for rest in subject.rests(wanted) {
            found.extend(below(all, subject, rest, 0));
        }
    }
    // `clip_vit.weights` is asked for by the component's name and, below its slot, by no other.
    let mut seen = Vec::new();
    found.retain(|at| {
        let name = (at.of.clone(), at.option.path.clone());
        let new = !seen.contains(&name);
        seen.push(name);
        new
    });
    found
}

/// The paths that begin where `wanted` begins, for a misspelt one.
pub fn near(all: &[Subject], wanted: &str) -> Vec<String> {
    let head = wanted.split('.').next().unwrap_or_default();
    let of_head = all.iter().filter(|subject| subject.heads().iter().any(|known| known == head));
    let paths = of_head.flat_map(Subject::options).map(|option| format!("{head}.{}", option.path));
    let mut found: Vec<String> = Vec::new();
    for path in paths {
        if !found.contains(&path) {
            found.push(path);
        }
    }
    found
}

/// The option `rest` of a subject. Where it is a component itself, such as a schedule, a longer path leads into that.
fn below(all: &[Subject], subject: &Subject, rest: &str, deep: usize) -> Vec<At> {
    /// No component is inside itself more often than this.
    const DEEPEST: usize = 4;
    let options = subject.options();
    let inside = |path: &str| path == rest || path.strip_prefix(rest).is_some_and(|more| more.starts_with('.'));
    let own = options.iter().filter(|option| inside(&normal(&option.path)));
    let mut found: Vec<At> = own.map(|option| At { of: subject.full_name(), option: option.clone() }).collect();
    if deep < DEEPEST {
        for option in &options {
            let more = rest.strip_prefix(&normal(&option.path)).and_then(|more| more.strip_prefix('.'));
            let slot = slots().find(|slot| option.kind.split(' ').any(|word| word == slot.name));
            if let (Some(more), Some(slot)) = (more, slot) {
                let parts = all.iter().filter(|part| matches!(part, Subject::Component(of, _) if *of == slot.name));
                found.extend(parts.flat_map(|part| below(all, part, more, deep + 1)));
            }
        }
    }
    found
}

/// Without places in lists: `expect[0].value` and `expect.value` are one option.
fn normal(path: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for each in path.chars() {
        match each {
            '[' => inside = true,
            ']' => inside = false,
            other if !inside => out.push(other),
            _ => {}
        }
    }
    out.trim_start_matches('.').to_owned()
}

impl Subject {
    /// What a path to one of its options may begin with.
    fn heads(&self) -> Vec<String> {
        match self {
            Subject::Key(key) => vec![key.name.to_owned()],
            Subject::Component(slot, info) => {
                let name = info.name;
                vec![(*slot).to_owned(), name.to_owned(), format!("{slot}/{name}"), format!("{slot}.{name}")]
            }
            Subject::Method(_) => Vec::new(),
        }
    }

    /// What is left of `wanted` behind each of its heads.
    fn rests<'a>(&self, wanted: &'a str) -> Vec<&'a str> {
        let behind = |head: &String| wanted.strip_prefix(head.as_str()).and_then(|rest| rest.strip_prefix('.'));
        self.heads().iter().filter_map(behind).collect()
    }
}
