//! What comes with the program: the shipped recipes, which `maclip init` writes, and the book, which `maclip docs`
//! prints.

use maclip_language::{Arguments, Diagnostics, Document, Embedded, Node, load_from, read_str};
use std::path::{Path, PathBuf};

include!(concat!(env!("OUT_DIR"), "/recipes.rs"));

/// A shipped recipe.
pub struct Shipped {
    /// Its path below `recipes/`, without `.yaml`.
    pub name: &'static str,
    /// The file as it is.
    pub text: &'static str,
}

/// The shipped recipes as files, which extend one another.
pub const FILES: Embedded = Embedded { prefix: "shipped:", text };

/// The text of the recipe at `path` below `recipes/`.
fn text(path: &str) -> Option<&'static str> {
    let name = path.strip_suffix(".yaml")?;
    RECIPES.iter().find(|recipe| recipe.name == name).map(|recipe| recipe.text)
}

impl Shipped {
    /// The file below `recipes/`.
    pub fn file(&self) -> PathBuf {
        PathBuf::from(format!("{}.yaml", self.name))
    }

    /// The recipe with what it extends, and with the changes of a command line.
    pub fn load(&self, changes: &Arguments) -> Result<Document, Diagnostics> {
        load_from(&FILES, &self.file(), changes)
    }

    /// The folder that its runs go to, where no option names another.
    pub fn runs(&self) -> Option<PathBuf> {
        let document = self.load(&Arguments::default()).ok()?;
        Some(Path::new("runs").join(document.root.at("name")?.as_str()?))
    }

    /// The first sentence of the comment before its first key, without the line for editors.
    pub fn summary(&self) -> String {
        let comments = self.text.lines().take_while(|line| line.starts_with('#'));
        let lines = comments.map(|line| line.trim_start_matches('#').trim()).filter(|line| !line.contains("$schema="));
        let text = lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        text.split_once(". ").map_or(text.clone(), |(first, _)| format!("{first}."))
    }

    /// Its tree, without what it extends.
    pub fn tree(&self) -> Option<Node> {
        read_str(self.name, self.text).ok()
    }
}

/// A chapter of the book, a file of `docs/`.
pub struct Topic {
    /// Name of the file, without `.md`.
    pub name: &'static str,
    /// The whole file, in Markdown.
    pub text: &'static str,
}

impl Topic {
    /// The heading.
    pub fn title(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches('#').trim()
    }

    /// The first sentence, which says what the chapter is for.
    pub fn summary(&self) -> String {
        let lines = self.text.lines().skip(1).skip_while(|line| line.trim().is_empty());
        let paragraph = lines.take_while(|line| !line.trim().is_empty()).collect::<Vec<_>>().join(" ");
        paragraph.split_once(". ").map_or(paragraph.clone(), |(first, _)| format!("{first}."))
    }
}

/// The recipe called `name`, with or without `.yaml` and `recipes/`. The folder can be left out: then it is the one in
/// the fewest folders, where only one is.
pub fn find(name: &str) -> Option<&'static Shipped> {
    let short = name.strip_prefix("recipes/").unwrap_or(name);
    let short = short.strip_suffix(".yaml").unwrap_or(short);
    let exact = RECIPES.iter().find(|recipe| recipe.name == short);
    let alike = || named_as(Path::new(short)).filter(|_| !short.contains('/'));
    let depth = |recipe: &&Shipped| recipe.name.matches('/').count();
    let fewest = alike().map(|recipe| depth(&recipe)).min();
    let mut first = alike().filter(|recipe| Some(depth(recipe)) == fewest);
    exact.or_else(|| first.next().filter(|_| first.next().is_none()))
}

/// Shipped recipes whose file has the same name as that of `path`, in any folder: recipes move, and their names stay.
pub fn named_as(path: &Path) -> impl Iterator<Item = &'static Shipped> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    RECIPES.iter().filter(move |recipe| recipe.name.rsplit('/').next() == Some(stem.as_str()))
}

/// Names of the recipes that say `type: component` for `slot`, in a variant too.
pub fn using(slot: &str, component: &str) -> Vec<&'static str> {
    let uses = |tree: &Node| {
        let chosen = tree.at(slot).and_then(|node| node.at("type"));
        let dotted = tree.as_map().and_then(|map| map.get(&format!("{slot}.type")));
        chosen.or(dotted).and_then(Node::as_str) == Some(component)
    };
    let names = |recipe: &&Shipped| {
        recipe.tree().is_some_and(|tree| {
            let variants = tree.at("study.variants").and_then(Node::as_map);
            uses(&tree) || variants.is_some_and(|variants| variants.iter().any(|variant| uses(&variant.value)))
        })
    };
    RECIPES.iter().filter(names).map(|recipe| recipe.name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_found_by_any_form_of_their_name() {
        for name in ["quickstart", "recipes/quickstart.yaml", "quickstart.yaml"] {
            assert_eq!(find(name).unwrap().name, "quickstart");
        }
        assert_eq!(find("hmdb51_5w1s").unwrap().name, "benchmarks/hmdb51_5w1s");
        assert_eq!(find("trx").unwrap().name, "methods/trx", "others are in parts");
        let benchmark = find("methods/trx/hmdb51_5w1s").unwrap();
        assert_eq!(benchmark.name, "methods/trx/hmdb51_5w1s");
        assert!(find("gone").is_none());
        assert!(RECIPES.iter().all(|recipe| recipe.tree().is_some() && recipe.summary().len() > 10));
        // Every part that a shipped recipe extends is in the program too.
        for recipe in RECIPES {
            let problems = recipe.load(&Arguments::default()).err();
            assert!(problems.is_none(), "{}: {}", recipe.name, problems.unwrap());
        }
        assert_eq!(find("quickstart").unwrap().runs(), Some(PathBuf::from("runs/quickstart")));
        assert!(using("alignment", "otam").contains(&"quickstart"));
        assert!(using("alignment", "mean_cosine").contains(&"quickstart"));
    }
}
