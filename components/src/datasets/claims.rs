//! Rows of a list that come to one file. A clip counts once, so one row at most may have it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What tells one file or folder from another, behind whatever links and spellings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Identity {
    /// Its device and its number there.
    Number(u64, u64),
    /// Its path, where the file system says nothing, or its name in an archive.
    Path(PathBuf),
}

impl Identity {
    pub fn of(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(about) => Identity::Number(about.dev(), about.ino()),
            Err(_) => Identity::Path(path.to_path_buf()),
        }
    }
}

/// A row that was found.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    /// Its number.
    pub row: usize,
    pub file: Identity,
    /// The part of the file, where it is not the whole.
    pub part: Option<String>,
    /// Its path in the list.
    pub path: &'a str,
    /// Whether the file lies there.
    pub own: bool,
}

/// What becomes of rows that come to one file, by their numbers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// A row whose own path is not there, and the row whose own path its file is.
    pub lost: Vec<(usize, usize)>,
    /// Two rows of which neither has the better claim to their file.
    pub twice: Vec<(usize, usize)>,
}

/// Settles which row has which file. Several parts of a file belong to rows with its path; where it is the path of
/// none, to rows with one path.
pub(super) fn settle(claims: &[Claim]) -> Settled {
    let mut of_file: HashMap<&Identity, Vec<&Claim>> = HashMap::new();
    claims.iter().for_each(|claim| of_file.entry(&claim.file).or_default().push(claim));
    let mut settled = Settled::default();
    for claims in of_file.into_values().filter(|claims| claims.len() > 1) {
        let (owners, others): (Vec<&Claim>, Vec<&Claim>) = claims.into_iter().partition(|claim| claim.own);
        if let Some(owner) = owners.first() {
            settled.lost.extend(others.iter().map(|claim| (claim.row, owner.row)));
        }
        let rest = if owners.is_empty() { others } else { owners };
        let mut parts: HashMap<&Option<String>, usize> = HashMap::new();
        for claim in &rest {
            if let Some(first) = parts.get(&claim.part) {
                settled.twice.push((*first, claim.row));
            } else if !claim.own && claim.path != rest[0].path {
                settled.twice.push((rest[0].row, claim.row));
            } else {
                parts.insert(&claim.part, claim.row);
            }
        }
    }
    settled.lost.sort_unstable();
    settled.twice.sort_unstable_by_key(|(first, second)| (*second, *first));
    settled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_go_to_the_row_whose_path_it_is() {
        let rows = [
            ("a", None, "x/a", true),
            ("a", None, "y/a", false),
            ("b", None, "x/b", false),
            ("b", None, "y/b", false),
            ("c", None, "c", true),
            ("c", None, "x//c", true),
            ("c", None, "z/c", false),
            ("d", None, "d", false),
            // Parts.
            ("e", Some("0-2"), "e", true),
            ("e", Some("2-4"), "./e", true),
            ("e", Some("4-6"), "y/e", false),
            ("f", Some("0-2"), "x/f", false),
            ("f", Some("2-4"), "x/f", false),
            ("f", Some("4-6"), "y/f", false),
        ];
        let claim = |(row, (file, part, path, own)): (usize, (&str, Option<&str>, &'static str, bool))| Claim {
            row,
            file: Identity::Path(file.into()),
            part: part.map(str::to_owned),
            path,
            own,
        };
        let claims: Vec<Claim> = rows.into_iter().enumerate().map(claim).collect();
        let expected = Settled { lost: vec![(1, 0), (6, 4), (10, 8)], twice: vec![(2, 3), (4, 5), (11, 13)] };
        assert_eq!(settle(&claims), expected);
    }
}
