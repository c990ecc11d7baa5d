//! What a folder holds, in natural order.

use super::is_video;
use super::passed_over::extension;
use maclip_framework::error::{Error, Result};
use std::cmp::Ordering;
use std::fs;
use std::path::Path;

pub(in crate::datasets) const JPEG_EXTENSIONS: &[&str] = &["jpg", "jpeg"];
pub(in crate::datasets) const PNG_EXTENSIONS: &[&str] = &["png"];

/// Entries of a folder in natural order.
#[derive(Default)]
pub(in crate::datasets) struct Entries {
    pub(in crate::datasets) folders: Vec<String>,
    pub(in crate::datasets) jpegs: Vec<String>,
    pub(in crate::datasets) pngs: Vec<String>,
    pub(in crate::datasets) videos: Vec<String>,
    /// Other files.
    pub(in crate::datasets) others: Vec<String>,
    /// Names that are not UTF-8, with a sign in the place of each byte that is no character.
    pub(in crate::datasets) not_utf8: Vec<String>,
}

pub(in crate::datasets) const NOT_UTF8: &str = "the name is not UTF-8";

/// The text of an error without the prefix that it gets when it is shown on its own.
pub(in crate::datasets) fn message(error: &Error) -> String {
    match error {
        Error::Failed { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// What a folder holds, for messages.
pub(in crate::datasets) fn found(inside: &Entries) -> String {
    let folders = match inside.folders.as_slice() {
        [] => String::new(),
        few if few.len() <= 6 => format!("{} folders ({})", few.len(), few.join(", ")),
        many => format!("{} folders ({}, …)", many.len(), many[..6].join(", ")),
    };
    let count = |n: usize, what: &str| if n == 0 { String::new() } else { format!("{n} {what}") };
    let (jpegs, pngs) = (count(inside.jpegs.len(), "JPEG files"), count(inside.pngs.len(), "PNG files"));
    let videos = count(inside.videos.len(), "videos");
    let mut kinds: Vec<String> = inside.others.iter().map(|name| extension(name)).collect();
    kinds.sort();
    kinds.dedup();
    kinds.truncate(6);
    let others = match inside.others.len() {
        0 => String::new(),
        all => format!("{all} other files ({})", kinds.join(", ")),
    };
    let parts = [folders, videos, jpegs, pngs, others];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "nothing".to_string() } else { parts.join(", ") }
}

/// Folders and files in `folder`, without hidden ones. Links are followed one step; nothing is walked recursively, so
/// a loop of links cannot trap the reader.
pub(in crate::datasets) fn entries(folder: &Path) -> Result<Entries> {
    let failed = |error| Error::io("read the folder", folder, error);
    let mut all = Entries::default();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let Some(name) = name.to_str() else {
            all.not_utf8.push(name.to_string_lossy().into_owned());
            continue;
        };
        let kind = entry.file_type().map_err(failed)?;
        let is_dir =
            if kind.is_symlink() { fs::metadata(entry.path()).is_ok_and(|m| m.is_dir()) } else { kind.is_dir() };
        if is_dir {
            all.folders.push(name.to_string());
        } else if has_extension(name, JPEG_EXTENSIONS) {
            all.jpegs.push(name.to_string());
        } else if has_extension(name, PNG_EXTENSIONS) {
            all.pngs.push(name.to_string());
        } else if is_video(name) {
            all.videos.push(name.to_string());
        } else {
            all.others.push(name.to_string());
        }
    }
    for names in [&mut all.folders, &mut all.jpegs, &mut all.pngs, &mut all.videos, &mut all.others] {
        names.sort_by(|a, b| natural(a, b));
    }
    all.not_utf8.sort();
    Ok(all)
}

pub(in crate::datasets) fn has_extension(name: &str, wanted: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

/// Order of names in which runs of digits count as numbers, so that `img2` comes before `img10`.
pub(in crate::datasets) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let (Some(x), Some(y)) = (left.first(), right.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (x, y) = (take_number(&mut left), take_number(&mut right));
            // Without leading zeros, the longer number is the larger one; no number is too long for that.
            x.len().cmp(&y.len()).then(x.cmp(y))
        } else {
            let order = x.cmp(y);
            (left, right) = (&left[1..], &right[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    // `1` and `01` are the same number, but two names.
    left.len().cmp(&right.len()).then_with(|| a.cmp(b))
}

/// Splits the digits off the front of `text` and returns them without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    *text = rest;
    let zeros = number.iter().position(|&byte| byte != b'0').unwrap_or(number.len());
    &number[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_natural_order_takes_digits_as_numbers() {
        let mut names = ["10", "b", "2", "a10c", "a9", "a10b", "02", "a", "99999999999999999999999", "1e3"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1e3", "02", "2", "10", "99999999999999999999999", "a", "a9", "a10b", "a10c", "b"]);
    }
}
