//! Event files: TFRecords of protobuf messages, each with a checksum, so that a file that was cut is still read.
//!
//! A record is its length (u64), the masked CRC-32C of that, the message, and the masked CRC-32C of the message; all
//! little-endian. Source: `tensorflow/core/lib/io/record_writer.h` and `tensorflow/core/lib/hash/crc32c.h`.

use super::messages::{Event, SessionLog, What};
use crate::error::{Error, Result};
use crate::files::{open_own, unix_seconds};
use crate::runs::store::{Records, RunStore};
use prost::Message;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest message that is read back. A picture of examples has some hundred kilobytes.
const LONGEST: u64 = 64 << 20;
/// What the names of event files begin with.
pub const PREFIX: &str = "events.out.tfevents.";

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

/// What is at one place of a file.
enum Found {
    /// An event, and the length of its record.
    Whole(Event, u64),
    /// A record of this length with a changed byte. What follows it can be read.
    Damaged(u64),
    /// The end of the file, or a record that was cut: nothing behind it can be read.
    End,
}

/// What is at the place of a file that `file` stands at, with `left` bytes from there on.
fn next(file: &mut impl Read, left: u64) -> Found {
    let mut head = [0; 12];
    if file.read_exact(&mut head).is_err() {
        return Found::End;
    }
    let (length, sum) = head.split_at(8);
    let bytes = length.try_into().map_or(u64::MAX, u64::from_le_bytes);
    if masked(length).to_le_bytes() != *sum || bytes > LONGEST || bytes + 16 > left {
        return Found::End;
    }
    let (mut message, mut end) = (vec![0; bytes as usize], [0; 4]);
    if file.read_exact(&mut message).and_then(|()| file.read_exact(&mut end)).is_err() {
        return Found::End;
    }
    match Event::decode(message.as_slice()) {
        Ok(event) if masked(&message).to_le_bytes() == end => Found::Whole(event, bytes + 16),
        _ => Found::Damaged(bytes + 16),
    }
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

/// What becomes of an event that is in the files already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Keep,
    /// This event alone goes.
    Drop,
    /// It goes with all that follows in its file.
    Cut,
}

/// What is kept of one file.
struct Part {
    path: PathBuf,
    /// Where the last event that is kept ends.
    end: u64,
    /// Where events lie that are dropped.
    dropped: BTreeSet<u64>,
    /// Whether one before `end` is dropped or damaged.
    holes: bool,
}

impl Part {
    /// Shows each event with values in the file at `path` to `judge`.
    fn read(path: PathBuf, file: &File, length: u64, mut judge: impl FnMut(&Event) -> Verdict) -> Self {
        let mut part = Self { path, end: 0, dropped: BTreeSet::new(), holes: false };
        let (mut reader, mut at, mut hole) = (BufReader::new(file), 0, false);
        loop {
            match next(&mut reader, length - at) {
                Found::End => return part,
                Found::Damaged(bytes) => (at, hole) = (at + bytes, true),
                Found::Whole(event, bytes) => {
                    if let Some(What::Summary(_)) = event.what {
                        match judge(&event) {
                            Verdict::Keep => (part.end, part.holes) = (at + bytes, hole),
                            Verdict::Drop => hole = part.dropped.insert(at),
                            Verdict::Cut => return part,
                        }
                    }
                    at += bytes;
                }
            }
        }
    }
}

/// The events of several files that are kept, in their order.
struct Kept {
    parts: VecDeque<Part>,
    open: Option<(BufReader<File>, Part, u64)>,
}

impl Kept {
    fn next(&mut self) -> Result<Option<Event>> {
        loop {
            let Some((reader, part, at)) = &mut self.open else {
                let Some(part) = self.parts.pop_front() else { return Ok(None) };
                let file = open_own(&part.path, false).map_err(|error| Error::io("read", &part.path, error))?;
                self.open = Some((BufReader::new(file), part, 0));
                continue;
            };
            let place = *at;
            match next(reader, part.end - place) {
                Found::End => self.open = None,
                Found::Damaged(bytes) => *at += bytes,
                Found::Whole(event, bytes) => {
                    *at += bytes;
                    if matches!(event.what, Some(What::Summary(_))) && !part.dropped.contains(&place) {
                        return Ok(Some(event));
                    }
                }
            }
        }
    }
}

/// One file in the making, in place of all that are there: a reader wants the steps of a curve in their order.
struct Rewriting {
    kept: Kept,
    held: Option<Event>,
    file: Records,
    /// Of the files that are replaced, the oldest first.
    paths: Vec<PathBuf>,
}

impl Rewriting {
    /// A hidden name, as TensorBoard reads every file that is called like an event file.
    const ASIDE: &str = ".events.tmp";

    /// Copies the kept events before `step`.
    fn copy(&mut self, step: Option<i64>) -> Result<()> {
        loop {
            self.held = match self.held.take() {
                None => self.kept.next()?,
                held => held,
            };
            match self.held.take_if(|event| step.is_none_or(|step| event.step < step)) {
                Some(event) => self.file.write(&record(&event))?,
                None => return Ok(()),
            }
        }
    }
}

/// The event files of a run directory, to go on with.
pub struct EventFiles {
    folder: PathBuf,
    /// The number of the next file.
    number: u64,
    /// The first step that is not in the files yet.
    from: i64,
    file: Option<Records>,
    parts: Vec<Part>,
    rewriting: Option<Rewriting>,
}

impl EventFiles {
    /// Whether the files of `store` are whole and have an event that `asked` looks for.
    pub fn whole_with(store: &RunStore, asked: impl Fn(&Event) -> bool) -> Result<bool> {
        let mut there = false;
        for (_, path) in files(store.path())? {
            let failed = |error| Error::io("read", &path, error);
            let file = open_own(&path, false).map_err(failed)?;
            let mut left = file.metadata().map_err(failed)?.len();
            let mut reader = BufReader::new(file);
            while let Found::Whole(event, bytes) = next(&mut reader, left) {
                there |= asked(&event);
                left -= bytes;
            }
            if left > 0 {
                return Ok(false);
            }
        }
        Ok(there)
    }

    /// Finds the files of `store` and shows each event with values to `judge`. What it cuts is removed, and so is what
    /// lies behind the last event that is kept: a curve must not have a second end.
    pub fn open(store: &RunStore, from: u64, mut judge: impl FnMut(&Event) -> Verdict) -> Result<Self> {
        let mut number = unix_seconds();
        let mut parts = Vec::new();
        for (own, path) in files(store.path())? {
            number = number.max(own + 1);
            let failed = |what: &str, error| Error::io(what, &path, error);
            let file = open_own(&path, true).map_err(|error| failed("read", error))?;
            let length = file.metadata().map_err(|error| failed("read", error))?.len();
            let part = Part::read(path.clone(), &file, length, &mut judge);
            if part.end == 0 {
                std::fs::remove_file(&path).map_err(|error| failed("remove", error))?;
                continue;
            }
            if part.end < length {
                file.set_len(part.end).map_err(|error| failed("cut", error))?;
            }
            parts.push(part);
        }
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        Ok(Self { folder: store.path().to_owned(), number, from, file: None, parts, rewriting: None })
    }

    /// Whether an event before a kept one is dropped or damaged: the files must be written anew.
    pub fn holes(&self) -> bool {
        self.parts.iter().any(|part| part.holes)
    }

    /// From here to [`EventFiles::settle`], events that are appended go to their places between those that are kept.
    /// They come in the order of their steps. `time` is when the run began.
    pub fn rewrite(&mut self, time: f64) -> Result<()> {
        let paths = self.parts.iter().map(|part| part.path.clone()).collect();
        let kept = Kept { parts: self.parts.drain(..).collect(), open: None };
        let file = self.begin(&self.folder.join(Rewriting::ASIDE), time, 0)?;
        self.rewriting = Some(Rewriting { kept, held: None, file, paths });
        Ok(())
    }

    /// Puts the file that was written anew in the place of the others.
    pub fn settle(&mut self) -> Result<()> {
        let Some(mut rewriting) = self.rewriting.take() else { return Ok(()) };
        rewriting.copy(None)?;
        let Some((first, others)) = rewriting.paths.split_first() else { return Ok(()) };
        // Killed between two of these steps, the next process finds events twice, and drops the later ones.
        std::fs::rename(self.folder.join(Rewriting::ASIDE), first)
            .map_err(|error| Error::io("replace", first, error))?;
        others.iter().try_for_each(|path| std::fs::remove_file(path).map_err(|error| Error::io("remove", path, error)))
    }

    /// A new file at `path`, with what stands at the beginning of each.
    fn begin(&self, path: &Path, wall_time: f64, from: i64) -> Result<Records> {
        let mut file = Records::create(path.to_owned())?;
        let at = |step: i64, what: What| Event { wall_time, step, what: Some(what) };
        let version = at(0, What::FileVersion("brain.Event:2".to_owned()));
        let begins = at(from, What::Session(SessionLog { status: SessionLog::START }));
        file.write(&[record(&version), record(&begins)].concat())?;
        Ok(file)
    }

    /// Appends an event, in one write. The first one makes a new file: a reader that has an older one open never sees
    /// it grow after it was cut.
    pub fn append(&mut self, event: &Event) -> Result<()> {
        if let Some(rewriting) = &mut self.rewriting {
            rewriting.copy(Some(event.step))?;
            return rewriting.file.write(&record(event));
        }
        if self.file.is_none() {
            let path = self.folder.join(format!("{PREFIX}{:010}.maclip", self.number));
            self.file = Some(self.begin(&path, event.wall_time, self.from)?);
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
                let Found::Whole(event, _) = next(&mut rest, left) else { return found };
                if matches!(event.what, Some(What::Summary(_))) {
                    found.push(event.step);
                }
            }
        };
        files(folder).unwrap().into_iter().map(each).collect()
    }

    /// Cuts what is after step `last`.
    fn until(last: i64) -> impl FnMut(&Event) -> Verdict {
        move |event| if event.step <= last { Verdict::Keep } else { Verdict::Cut }
    }

    #[test]
    fn later_events_and_damaged_ones_are_cut_before_a_file_of_its_own_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let open = |from: u64, last: i64| EventFiles::open(&store, from, until(last)).unwrap();
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

    #[test]
    fn what_is_missing_between_kept_events_goes_to_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = RunStore::open(folder.path()).unwrap();
        let mut first = EventFiles::open(&store, 1, until(0)).unwrap();
        (1..=4).for_each(|step| first.append(&scalar(step)).unwrap());
        let mut second = EventFiles::open(&store, 5, until(4)).unwrap();
        (5..=8).for_each(|step| second.append(&scalar(step)).unwrap());
        // A byte of step 6, the third but last record: what follows it is still read.
        let (_, newest) = files(folder.path()).unwrap().pop().unwrap();
        let mut bytes = std::fs::read(&newest).unwrap();
        let place = bytes.len() - 2 * record(&scalar(6)).len() - 6;
        bytes[place] ^= 1;
        std::fs::write(&newest, bytes).unwrap();
        assert!(!EventFiles::whole_with(&store, |event| event.step == 8).unwrap());
        let judge = |event: &Event| if event.step == 2 { Verdict::Drop } else { Verdict::Keep };
        let mut files_now = EventFiles::open(&store, 9, judge).unwrap();
        assert!(files_now.holes());
        files_now.rewrite(1.5).unwrap();
        [2, 6].iter().for_each(|step| files_now.append(&scalar(*step)).unwrap());
        files_now.settle().unwrap();
        files_now.append(&scalar(9)).unwrap();
        assert_eq!(steps(folder.path()), [(1..=8).collect(), vec![9]]);
        assert!(EventFiles::whole_with(&store, |event| event.step == 8).unwrap());
        assert!(!EventFiles::open(&store, 9, until(9)).unwrap().holes());
        // A later file that is all dropped is removed, and is no hole.
        let mut seen = 0;
        let once = |event: &Event| {
            if event.step > 8 {
                Verdict::Drop
            } else {
                seen = event.step;
                Verdict::Keep
            }
        };
        assert!(!EventFiles::open(&store, 9, once).unwrap().holes());
        assert_eq!((steps(folder.path()), seen), (vec![(1..=8).collect::<Vec<i64>>()], 8));
    }
}
