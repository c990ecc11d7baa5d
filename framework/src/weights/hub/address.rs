//! Addresses of weights on the hub: `hf:openai/clip-vit-base-patch16@REVISION/FILE`.

use crate::error::{Error, Result};
use std::fmt;

/// What an address begins with.
const SCHEME: &str = "hf:";
/// The form of an address, for messages.
const FORM: &str = "write `hf:OWNER/NAME`, `hf:OWNER/NAME@REVISION` or `hf:OWNER/NAME/FILE`, such as \
                    `hf:openai/clip-vit-base-patch16`";
/// The revision that an address without one means.
const MAIN: &str = "main";
/// Most characters of a repository's name on the hub.
const LONGEST: usize = 96;

/// A repository of weights, its revision, and maybe one file in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `OWNER/NAME`.
    pub repository: String,
    /// A branch, a tag or a commit; `None` is `main`.
    pub revision: Option<String>,
    /// The path of a file in the repository; `None` means the usual one.
    pub file: Option<String>,
}

impl Address {
    /// Whether `source` is an address and no path. A file of such a name is given as `./hf:…`.
    pub fn is_one(source: &str) -> bool {
        source.starts_with(SCHEME)
    }

    /// The address that `source` is; `None` where it is none.
    ///
    /// # Errors
    /// Where it begins like an address and has another form.
    pub fn of(source: &str) -> Result<Option<Self>> {
        let Some(rest) = source.strip_prefix(SCHEME) else { return Ok(None) };
        let wrong = |what: String| Error::failed(format!("`{source}` is no address on the hub: {what}")).help(FORM);
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        let (owner, rest) = rest.split_once('/').ok_or_else(|| wrong("the owner or the name is missing".to_owned()))?;
        let end = rest.find(['@', '/']).unwrap_or(rest.len());
        let (name, mut rest) = rest.split_at(end);
        let repository = format!("{owner}/{name}");
        if !is_name(owner) || !is_name(name) || repository.len() > LONGEST {
            return Err(wrong(format!("`{repository}` is no name of a repository")));
        }
        let mut revision = None;
        if let Some(after) = rest.strip_prefix('@') {
            // The only revisions of the hub with slashes in them; of others, `%2F` stands for a slash.
            let own =
                after.strip_prefix("refs/").map(|own| "refs/".len() + own.find('/').map_or(own.len(), |at| at + 1));
            let from = own.unwrap_or_default();
            let end = after[from..].find('/').map_or(after.len(), |at| from + at);
            let text = after[..end].replace("%2F", "/").replace("%2f", "/");
            if !text.split('/').all(is_name) {
                return Err(wrong(format!("`{text}` is no name of a revision")));
            }
            (revision, rest) = (Some(text), &after[end..]);
        }
        let file = rest.strip_prefix('/').map(str::to_owned);
        if let Some(file) = file.as_ref().filter(|file| !is_path(file)) {
            return Err(wrong(format!("`{file}` is no path of a file in a repository")));
        }
        Ok(Some(Self { repository, revision, file }))
    }

    /// The revision, `main` where none was given.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }
}

/// A part of a repository's or a revision's name.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    !text.is_empty() && text.chars().all(allowed) && !text.starts_with(['.', '-']) && !text.contains("..")
}

/// A path below the repository's folder that cannot lead out of it.
pub(super) fn is_path(text: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', ':']);
    text.split('/').all(part) && !text.chars().any(char::is_control)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}", self.repository)?;
        self.revision.iter().try_for_each(|revision| write!(f, "@{}", escaped(revision)))?;
        self.file.iter().try_for_each(|file| write!(f, "/{file}"))
    }
}

/// A revision as an address has it.
fn escaped(revision: &str) -> String {
    if revision.starts_with("refs/") { revision.to_owned() } else { revision.replace('/', "%2F") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_repository_a_revision_and_a_file() {
        let parts = |source: &str| {
            let address = Address::of(source).unwrap().unwrap();
            assert_eq!(Address::of(&address.to_string()).unwrap().unwrap(), address, "{source}");
            (address.repository.clone(), address.revision().to_owned(), address.file.unwrap_or_default())
        };
        let own = |parts: [&str; 3]| (parts[0].to_owned(), parts[1].to_owned(), parts[2].to_owned());
        for (source, expected) in [
            ("hf:a/b", ["a/b", "main", ""]),
            ("hf://a/b", ["a/b", "main", ""]),
            ("hf:a/b.c-d_e@v1.0", ["a/b.c-d_e", "v1.0", ""]),
            ("hf:a/b/model.bin", ["a/b", "main", "model.bin"]),
            ("hf:a/b@v1/sub/model.bin", ["a/b", "v1", "sub/model.bin"]),
            ("hf:a/b@v1.0+cu128", ["a/b", "v1.0+cu128", ""]),
            ("hf:a/b@refs/pr/12/model.bin", ["a/b", "refs/pr/12", "model.bin"]),
            ("hf:a/b@refs/pr/12", ["a/b", "refs/pr/12", ""]),
            ("hf:a/b@work%2Fnew/c", ["a/b", "work/new", "c"]),
        ] {
            assert_eq!(parts(source), own(expected), "{source}");
        }
        for source in ["weights.pt", "./hf:a/b", "builtin:shapes_clip", "https://huggingface.co/a/b"] {
            assert_eq!(Address::of(source).unwrap(), None, "{source}");
        }
    }

    #[test]
    fn what_leads_out_of_the_cache_is_no_address() {
        for source in [
            "hf:",
            "hf:gpt2",
            "hf:/b",
            "hf:a/",
            "hf:../b",
            "hf:a/..",
            "hf:a/b@",
            "hf:a/b@..",
            "hf:a/b@x%2F..%2Fy",
            "hf:a/b@-x",
            "hf:a/b/",
            "hf:a/b/../c",
            "hf:a/b//c",
            "hf:a/b/c\u{1b}[2J",
            "hf:a b/c",
            "hf:a/b?x",
            "hf:a/b@refs/",
            "hf:a/b@refs//x",
        ] {
            let error = Address::of(source).unwrap_err().to_string();
            assert!(error.contains("is no address on the hub") && error.contains("hf:OWNER/NAME"), "{source}: {error}");
        }
        let long = format!("hf:a/{}", "b".repeat(LONGEST));
        assert!(Address::of(&long).is_err());
    }
}
