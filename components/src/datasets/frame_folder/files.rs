//! Names, order and state of the files below a root.

use maclip_framework::error::{Error, Result};
use maclip_framework::images;
use std::cmp::Ordering;
use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Entries of a folder in natural order.
#[derive(Default)]
pub(super) struct Entries {
    pub(super) folders: Vec<String>,
    pub(super) jpegs: Vec<String>,
    /// PNG files, which are not read but worth a hint.
    pub(super) pngs: usize,
    /// Other files.
    pub(super) others: usize,
    /// Names that are not UTF-8, written as well as it goes.
    pub(super) not_utf8: Vec<String>,
}

pub(super) const NOT_UTF8: &str = "the name is not UTF-8";

/// The text of an error without the prefix that it gets when it is shown on its own.
pub(super) fn message(error: &Error) -> String {
    match error {
        Error::Failed { message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// What a folder holds, for messages.
pub(super) fn found(inside: &Entries) -> String {
    let folders = match inside.folders.as_slice() {
        [] => String::new(),
        few if few.len() <= 6 => format!("{} folders ({})", few.len(), few.join(", ")),
        many => format!("{} folders ({}, …)", many.len(), many[..6].join(", ")),
    };
    let count = |n: usize, what: &str| if n == 0 { String::new() } else { format!("{n} {what}") };
    let (jpegs, pngs) = (count(inside.jpegs.len(), "JPEG files"), count(inside.pngs, "PNG files"));
    let parts = [folders, jpegs, pngs, count(inside.others, "other files")];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { "nothing".to_string() } else { parts.join(", ") }
}

/// Folders and files in `folder`, without hidden ones. Links are followed one step; nothing is walked recursively, so
/// a loop of links cannot trap the reader.
pub(super) fn entries(folder: &Path) -> Result<Entries> {
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
        } else if has_extension(name, &["jpg", "jpeg"]) {
            all.jpegs.push(name.to_string());
        } else if has_extension(name, &["png"]) {
            all.pngs += 1;
        } else {
            all.others += 1;
        }
    }
    all.folders.sort_by(|a, b| natural(a, b));
    all.jpegs.sort_by(|a, b| natural(a, b));
    all.not_utf8.sort();
    Ok(all)
}

fn has_extension(name: &str, wanted: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| wanted.iter().any(|wanted| extension.eq_ignore_ascii_case(wanted)))
}

/// Bytes read from the start of a frame. The header of a plain frame is far shorter.
const HEAD: usize = 16 << 10;
/// Bytes at the end of a frame in which its end marker must lie.
const TAIL: usize = 4 << 10;

/// Checks the header and the end of a JPEG without reading what lies between: enough to find truncated files at
/// the cost of two short reads each.
pub(super) fn check_frame(path: &Path) -> Result<images::JpegHeader> {
    let failed = |error| Error::io("read", path, error);
    // Opening a pipe would wait forever.
    let size = fs::metadata(path).map_err(failed)?;
    if !size.is_file() {
        return Err(Error::failed("not a regular file"));
    }
    let size = size.len();
    if size == 0 {
        return Err(Error::failed("the file is empty"));
    }
    let mut file = fs::File::open(path).map_err(failed)?;
    let mut head = Vec::with_capacity(HEAD);
    file.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let header = match images::jpeg_header(&head) {
        // Metadata may push the header beyond the part that was read.
        Err(_) if size > HEAD as u64 => {
            file.read_to_end(&mut head).map_err(failed)?;
            images::jpeg_header(&head)?
        }
        header => header?,
    };
    let tail = if head.len() as u64 >= size {
        head.split_off(head.len().saturating_sub(TAIL))
    } else {
        let mut tail = Vec::with_capacity(TAIL);
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL as u64))).map_err(failed)?;
        file.read_to_end(&mut tail).map_err(failed)?;
        tail
    };
    if !images::has_end_of_image(&tail) {
        return Err(Error::failed("the JPEG is truncated: its end marker is missing"));
    }
    Ok(header)
}

/// Order of names in which runs of digits count as numbers, so that `img2` comes before `img10`.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
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

/// A class folder's name as a person would say it.
pub(super) fn class_text(folder: &str) -> String {
    let letters: Vec<char> = folder.chars().filter(|c| !"[](){}<>".contains(*c)).collect();
    let mut text = String::new();
    for (i, &c) in letters.iter().enumerate() {
        let after_lower = i > 0 && letters[i - 1].is_lowercase();
        let before_lower =
            i > 0 && letters[i - 1].is_uppercase() && letters.get(i + 1).is_some_and(|n| n.is_lowercase());
        if c.is_uppercase() && (after_lower || before_lower) {
            text.push(' ');
        }
        text.push(if c == '_' { ' ' } else { c });
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if words.is_empty() { folder.to_string() } else { words.join(" ") }
}
