//! What is on the page, with links to it.

use super::group::GroupView;
use serde::Serialize;

/// A link, and what lies below it.
#[derive(Debug, Serialize)]
pub struct Entry {
    anchor: String,
    title: String,
    below: Vec<Entry>,
}

impl Entry {
    pub fn new(anchor: &str, title: &str) -> Self {
        Self { anchor: anchor.to_owned(), title: title.to_owned(), below: Vec::new() }
    }

    /// A group with its parts.
    pub fn of(group: &GroupView) -> Self {
        let below =
            group.parts().into_iter().map(|(part, title)| Self::new(&format!("{}-{part}", group.anchor), title));
        Self { below: below.collect(), ..Self::new(&group.anchor, &group.title) }
    }
}
