//! Published methods: which components make one, and how what is here relates to its public code.
//!
//! A method is no component. Its registration is a table of facts, from which `docs/methods.md`, `docs/audit.md`,
//! `maclip describe` and `maclip audit` are made; the golden test holds the errors that it states.

use super::protocol::{Protocol, Repository};

/// A published method. Registered with `inventory::submit!`.
#[derive(Debug)]
pub struct Method {
    /// The name that recipes and records use, such as `clip_fsar`.
    pub name: &'static str,
    /// The name that papers use, such as `CLIP-FSAR`.
    pub title: &'static str,
    /// Authors, where it was published, and what it does, in one or two sentences.
    pub paper: &'static str,
    /// Repositories with public code, each with the commit that was read.
    pub code: &'static [Repository],
    /// Its slots in YAML, with published sizes. What is left out has its default.
    pub slots: &'static str,
    /// Shipped recipes: names, or folders, below `recipes/`. Where one stands by its name, it is the one of the audit.
    pub recipes: &'static [&'static str],
    /// What was compared with other code.
    pub compared: &'static [Compared],
    /// What is not as published, or not known, and why.
    pub left_out: &'static [&'static str],
    /// How its public code, or its paper, trains, chooses and tests; `None` where no few-shot protocol was published.
    pub protocol: Option<Protocol>,
}

/// A comparison with numbers that other code computed.
#[derive(Debug)]
pub struct Compared {
    /// What was compared, in words.
    pub what: &'static str,
    /// Ids of the golden cases.
    pub cases: &'static [&'static str],
    /// The largest error of these cases, as a part of the case's tolerance; on `flex` or LibTorch, whichever is larger.
    pub error: f64,
}

inventory::collect!(Method);

/// All methods, by title.
pub fn methods() -> Vec<&'static Method> {
    let mut all: Vec<&Method> = inventory::iter::<Method>().collect();
    all.sort_by_key(|method| method.title.to_lowercase());
    all
}
