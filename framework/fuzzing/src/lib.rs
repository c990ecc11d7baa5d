//! Damaged inputs for the tests of readers: whatever a file holds, reading it ends with a value or with an error, and
//! soon.
//!
//! A test calls [`each`] with valid inputs of its format. Each of them is damaged in many ways: bits and bytes changed,
//! numbers set to extremes, parts cut, doubled, moved, and mixed with those of another input. A test run takes 2,000
//! inputs of each format. `MACLIP_FUZZ=1000000 cargo test --release --workspace fuzz` takes a million of each.
//!
//! The inputs are the same in every run. One that a reader could not stand is written to a file, and belongs among the
//! valid inputs of the test from then on.
#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// Inputs of a format in a usual test run.
const USUAL: u64 = 2_000;
/// No reader may take longer for an input of some kilobytes.
const LONGEST: Duration = Duration::from_secs(5);

/// Calls `read` with damaged copies of `seeds`, after the seeds themselves. `format` is a name for messages.
///
/// # Panics
/// Where `read` panics or takes too long, with the name of the file that has the input; where there is no seed, and
/// where `MACLIP_FUZZ` is no number.
pub fn each(format: &str, seeds: &[&[u8]], read: impl Fn(&[u8])) {
    assert!(!seeds.is_empty(), "{format} has no valid input to begin with");
    let count = std::env::var("MACLIP_FUZZ").map_or(USUAL, |count| count.parse().expect("MACLIP_FUZZ is a number"));
    let mut draw = Draw(0x9e37_79b9_7f4a_7c15 ^ seeds.len() as u64);
    seeds.iter().for_each(|seed| once(format, seed, &read));
    for _ in 0..count {
        let input = damaged(seeds, &mut draw);
        once(format, &input, &read);
    }
}

fn once(format: &str, input: &[u8], read: &impl Fn(&[u8])) {
    let started = Instant::now();
    let ended = catch_unwind(AssertUnwindSafe(|| read(input)));
    let why = match ended {
        Err(_) => "panics",
        Ok(()) if started.elapsed() > LONGEST => "takes too long",
        Ok(()) => return,
    };
    let file = std::env::temp_dir().join(format!("maclip-fuzz-{format}-{}.bin", std::process::id()));
    let kept = std::fs::write(&file, input).map_or_else(|error| error.to_string(), |()| file.display().to_string());
    panic!("reading {format} {why} with an input of {} bytes: {kept}", input.len());
}

/// Reproducible numbers (xorshift64*).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    /// A number below `end`; 0 where `end` is 0.
    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end.max(1)
    }
}

/// What numbers in damaged files are like: all kinds of limits.
const EXTREMES: [u64; 12] =
    [0, 1, 2, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
/// What structures of text are made of.
const TEXT: &[u8] = b"{}[]\",:\n\r\t -+.eE0123456789\\/\0";

fn damaged(seeds: &[&[u8]], draw: &mut Draw) -> Vec<u8> {
    let mut input = seeds[draw.below(seeds.len())].to_vec();
    // Mostly one or two changes: many would only test the first bytes of the format.
    let most = 1 << draw.below(4);
    let changes = 1 + draw.below(most);
    for _ in 0..changes {
        change(&mut input, seeds, draw);
    }
    input
}

fn change(input: &mut Vec<u8>, seeds: &[&[u8]], draw: &mut Draw) {
    let at = draw.below(input.len());
    let most = 1 << draw.below(12);
    let length = (1 + draw.below(most)).min(input.len() - at);
    match draw.below(9) {
        _ if input.is_empty() => input.push(draw.next() as u8),
        0 => input[at] ^= 1 << draw.below(8),
        1 => input[at] = draw.next() as u8,
        2 => input[at] = TEXT[draw.below(TEXT.len())],
        3 => {
            let number = EXTREMES[draw.below(EXTREMES.len())];
            let width = [1, 2, 4, 8][draw.below(4)].min(input.len() - at);
            match draw.below(2) {
                0 => input[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]),
                _ => input[at..at + width].copy_from_slice(&number.to_be_bytes()[8 - width..]),
            }
        }
        4 => input.truncate(at),
        5 => drop(input.drain(at..at + length)),
        6 => {
            let part = input[at..at + length].to_vec();
            let to = draw.below(input.len() + 1);
            input.splice(to..to, part);
        }
        7 => {
            let other = seeds[draw.below(seeds.len())];
            let from = draw.below(other.len());
            input.truncate(at);
            input.extend(&other[from..]);
        }
        _ => {
            let digits = EXTREMES[draw.below(EXTREMES.len())].to_string();
            input.splice(at..at + length.min(digits.len()), digits.into_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::HashSet;

    #[test]
    fn inputs_differ_and_are_the_same_in_every_run() {
        let all = || {
            let seen = RefCell::new(Vec::new());
            each("numbers", &[b"12345678", b"{}"], |input| seen.borrow_mut().push(input.to_vec()));
            seen.into_inner()
        };
        let first = all();
        assert!(first == all() && first.len() as u64 >= USUAL);
        let different: HashSet<&Vec<u8>> = first.iter().collect();
        assert!(different.len() > first.len() / 2, "{}", different.len());
    }

    #[test]
    fn a_reader_that_panics_is_told_with_its_input() {
        let found = catch_unwind(|| {
            each("numbers", &[b"12345678"], |input| assert!(input.len() > 3, "a short one"));
        });
        let text = found.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("reading numbers panics with an input of"), "{text}");
        let file = text.rsplit(": ").next().unwrap().to_owned();
        assert!(std::fs::read(&file).unwrap().len() <= 3);
        std::fs::remove_file(file).unwrap();
    }
}
