//! Event files: TFRecords of protobuf messages, each with a checksum, so that a file that was cut is still read.
//!
//! A record is its length (u64), the masked CRC-32C of that, the message, and the masked CRC-32C of the message; all
//! little-endian. Source: `tensorflow/core/lib/io/record_writer.h` and `tensorflow/core/lib/hash/crc32c.h`.

use super::messages::{Event, SessionLog, What};
use crate::error::{Error, Result};
use crate::files::{open_own, unix_seconds};
use crate::runs::store::{Records, RunStore};
use prost::Message;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest message that is read back. A picture of examples has some hundred kilobytes.
const LONGEST: u64 = 64 << 20;
const PREFIX: &str = "events.out.tfevents.";

/// CRC-32C in the form in which it is kept beside the data that it is of.
fn masked(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// `event` as one record.
fn record(event: &Event) -> Vec<u8> {
    let message = event.encode_to_vec();
    let length = (message.len() as u64).to_le_bytes();
    let sums = [masked(&length).to_le_bytes(), masked(&message).to_le_bytes()];
    [&length[..], &sums[0], &message, &sums[1]].concat()
}

/// The next event of a file with `left` bytes, and the length of its record. `None` at the end, and where the rest is cut or
/// damaged.
fn next(file: &mut impl Read, left: u64) -> Option<(Event, u64)> {
    let mut head = [0; 12];
    file.read_exact(&mut head).ok()?;
    let (length, sum) = head.split_at(8);
    let bytes = u64::from_le_bytes(length.try_into().ok()?);
    if masked(length).to_le_bytes() != *sum || bytes > LONGEST || bytes + 16 > left {
        return None;
    }
    let mut message = vec![0; usize::try_from(bytes).ok()?];
    let mut end = [0; 4];
    file.read_exact(&mut message).and_then(|()| file.read_exact(&mut end)).ok()?;
    if masked(&message).to_le_bytes() != end {
        return None;
    }
    Some((Event::decode(message.as_slice()).ok()?, bytes + 16))
}

/// The event files of `folder`, the oldest first, with the numbers in their names.
fn files(folder: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = std::fs::read_dir(folder).map_err(|error| Error::io("read", folder, error))?;
    let number = |path: &PathBuf| -> Option<u64> {
        path.file_name()?.to_str()?.strip_prefix(PREFIX)?.strip_suffix(".maclip")?.parse().ok()
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut found: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    Ok(found)
}

/// The event files of a run directory, to go on with.
pub struct EventFiles {
    folder: PathBuf,
    /// The number of the next file.
    number: u64,
    /// The first step that is not in the files yet.
    from: i64,
    file: Option<Records>,
}

impl EventFiles {
    /// Whether a whole event in the files of `store` is what `asked` looks for.
    pub fn any(store: &RunStore, asked: impl Fn(&Event) -> bool) -> Result<bool> {
        for (_, path) in files(store.path())? {
            let failed = |error| Error::io("read", &path, error);
            let file = open_own(&path, false).map_err(failed)?;
            let mut left = file.metadata().map_err(failed)?.len();
            let mut reader = BufReader::new(file);
            while let Some((event, bytes)) = next(&mut reader, left) {
                if asked(&event) {
                    return Ok(true);
                }
                left -= bytes;
            }
        }
        Ok(false)
    }

    /// Finds the files of `store` and shows each event to `keep`. The first that it refuses is removed with all that
    /// follows in its file, and so is what was cut or damaged: a curve must not have a second end.
    pub fn open(store: &RunStore, from: u64, mut keep: impl FnMut(&Event) -> bool) -> Result<Self> {
        let mut number = unix_seconds();
        for (own, path) in files(store.path())? {
            number = number.max(own + 1);
            let failed = |what: &str, error| Error::io(what, &path, error);
            let file = open_own(&path, true).map_err(|error| failed("read", error))?;
            let length = file.metadata().map_err(|error| failed("read", error))?.len();
            let mut reader = BufReader::new(&file);
            let (mut end, mut kept) = (0, false);
            while let Some((event, bytes)) = next(&mut reader, length - end) {
                let values = matches!(event.what, Some(What::Summary(_)));
                if values && !keep(&event) {
                    break;
                }
                kept |= values;
                end += bytes;
            }
            if !kept {
                std::fs::remove_file(&path).map_err(|error| failed("remove", error))?;
            } else if end < length {
                file.set_len(end).map_err(|error| failed("cut", error))?;
            }
        }
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        Ok(Self { folder: store.path().to_owned(), number, from, file: None })
    }

    /// Appends an event, in one write. The first one makes a new file: a reader that has an older one open never sees it
    /// grow after it was cut.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        if self.file.is_none() {
            let mut file = Records::create(self.folder.join(format!("{PREFIX}{:010}.maclip", self.number)))?;
            let at = |step: i64, what: What| Event { wall_time: event.wall_time, step, what: Some(what) };
            let version = at(0, What::FileVersion("brain.Event:2".to_owned()));
            let begins = at(self.from, What::Session(SessionLog { status: SessionLog::START }));
            file.write(&[record(&version), record(&begins)].concat())?;
            self.file = Some(file);
        }
        self.file.as_mut().map_or(Ok(()), |file| file.write(&record(event)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::messages::{Kind, Summary, Value};
    use super::*;

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check value of CRC-32C (RFC 3720, B.4, and the catalogue of Greg Cook), and 32 zeros of the RFC.
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        // Zero fields are left out, so only the text is there.
        let event = Event { wall_time: 0.0, step: 0, what: Some(What::FileVersion("brain.Event:2".to_owned())) };
        let message = event.encode_to_vec();
        assert_eq!(message, [&[0x1a, 13][..], b"brain.Event:2"].concat(), "field 3, a text of 13 bytes");
    }

    fn scalar(step: i64) -> Event {
        let value = Value { tag: "x".to_owned(), metadata: None, kind: Some(Kind::Scalar(step as f32)) };
        Event { wall_time: 1.5, step, what: Some(What::Summary(Summary { value: vec![value] })) }
    }

    /// The steps of all values in the files of `folder`, file by file.
    fn steps(folder: &Path) -> Vec<Vec<i64>> {
        let each = |(_, path): (u64, PathBuf)| {
            let bytes = std::fs::read(path).unwrap();
            let (mut rest, mut found) = (bytes.as_slice(), Vec::new());
            loop {
                let left = rest.len() as u64;
                let Some((event, _)) = next(&mut rest, left) else { return found };
                if matches!(event.what, Some(What::Summary(_))) {
                    found.push(event.step);
                }
            }
        };
        files(folder).unwrap().into_iter().map(each).collect()
    }

    #[test]
    fn later_events_and_damaged_ones_are_cut_before_a_file_of_its_own_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let open = |from: u64, last: i64| EventFiles::open(&store, from, |event| event.step <= last).unwrap();
        let mut first = open(1, 0);
        (1..=5).for_each(|step| first.append(&scalar(step)).unwrap());
        assert_eq!(steps(folder.path()), [[1, 2, 3, 4, 5]]);
        let mut second = open(4, 3);
        (4..=6).for_each(|step| second.append(&scalar(step)).unwrap());
        assert_eq!(steps(folder.path()), [[1, 2, 3], [4, 5, 6]]);
        // Killed within a record: what is whole stays, and nothing is written behind the cut.
        let (_, newest) = files(folder.path()).unwrap().pop().unwrap();
        let bytes = std::fs::read(&newest).unwrap();
        for cut in 1..40 {
            std::fs::write(&newest, &bytes[..bytes.len() - cut]).unwrap();
            assert_eq!(
                steps(folder.path())[1],
                if cut <= record(&scalar(6)).len() { [4, 5].to_vec() } else { vec![4] }
            );
        }
        std::fs::write(&newest, &bytes[..bytes.len() - 3]).unwrap();
        let mut third = open(6, 5);
        third.append(&scalar(6)).unwrap();
        assert_eq!(steps(folder.path()), [vec![1, 2, 3], vec![4, 5], vec![6]]);
        // A changed byte ends the file there.
        let (_, oldest) = files(folder.path()).unwrap().remove(0);
        let mut bytes = std::fs::read(&oldest).unwrap();
        let last = bytes.len() - 6;
        bytes[last] ^= 1;
        std::fs::write(&oldest, bytes).unwrap();
        drop(open(7, 6));
        assert_eq!(steps(folder.path()), [vec![1, 2], vec![4, 5], vec![6]]);
        // Begun again: nothing is left.
        drop(open(1, 0));
        assert_eq!(files(folder.path()).unwrap(), []);
    }
}
