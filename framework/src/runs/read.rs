//! Reading record files: JSON, and JSON lines.

use crate::error::{Error, Result};
use crate::files::{TEXT, read_regular};
use serde::de::DeserializeOwned;
use std::path::Path;

/// A JSON file as a value; `None` where the file does not exist.
///
/// # Errors
/// Where the file cannot be read, or is not the JSON of a `T`.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match read_regular(path, TEXT) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            Error::failed(format!("{} cannot be read: {error}", path.display())).help(
                "repair the file or move it away; `maclip run` writes it again and goes on from the newest checkpoint",
            )
        }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path, error)),
    }
}

/// The records of an append-only file, one JSON object a line; empty where the file does not exist. A last line without
/// a line end was cut by a crash; it is left out.
///
/// # Errors
/// Where the file cannot be read, or a line is not the JSON of a `T`. The message names the line.
pub(crate) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let mut records = Vec::new();
    each_line(path, |line| {
        records.push(serde_json::from_str(line).map_err(|error| error.to_string())?);
        Ok(())
    })?;
    Ok(records)
}

/// Calls `take` with every line of an append-only file; not at all where the file does not exist. A last line without a
/// line end was cut by a crash; it is left out.
///
/// # Errors
/// Where the file cannot be read, or `take` refuses a line. The message names the line.
pub fn each_line(path: &Path, mut take: impl FnMut(&str) -> std::result::Result<(), String>) -> Result<()> {
    let text = read_regular(path, TEXT).and_then(|bytes| String::from_utf8(bytes).map_err(std::io::Error::other));
    let text = match text {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("read", path, error)),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().enumerate().try_for_each(|(number, line)| {
        take(line).map_err(|reason| {
            Error::failed(format!("{}:{}: {reason}", path.display(), number + 1))
                .help("repair the line, or remove it and all after it: the run then goes on from an earlier checkpoint")
        })
    })
}
