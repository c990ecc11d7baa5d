//! Torch files written out by hand, hostile ones among them, and folders.

mod folders;
mod fuzz;
mod hostile;
mod pickled;
mod torch;

use super::*;
use pickled::{dict, pickle, tensor};

/// A zip archive of stored entries.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut bytes, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let header = bytes.len() as u32;
        let size = (content.len() as u32).to_le_bytes();
        let mut common = vec![10, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        common.extend(crc32fast::hash(content).to_le_bytes());
        common.extend([size, size].concat());
        common.extend((name.len() as u32).to_le_bytes());
        bytes.extend([b"PK\x03\x04", &common[..], name.as_bytes(), content].concat());
        directory
            .extend([b"PK\x01\x02\x0a\x00", &common[..], &[0; 10], &header.to_le_bytes(), name.as_bytes()].concat());
    }
    let count = (entries.len() as u16).to_le_bytes();
    let (length, start) = ((directory.len() as u32).to_le_bytes(), (bytes.len() as u32).to_le_bytes());
    bytes.extend(directory);
    bytes.extend([b"PK\x05\x06\0\0\0\0", &count[..], &count, &length, &start, &[0, 0]].concat());
    bytes
}

/// The archive of one entry, with the 64-bit forms of its directory.
fn wide(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.split_off(bytes.len() - 22);
    let number = |at: usize| u64::from(u32::from_le_bytes(end[at..at + 4].try_into().unwrap()));
    let (start, length) = (number(16), number(12));
    let at = start as usize;
    let sizes = [bytes[at + 24..at + 28].to_vec(), vec![0; 4], bytes[at + 20..at + 24].to_vec(), vec![0; 4]].concat();
    bytes.extend([&[9, 0, 1, 0, 7, 1, 0, 24, 0][..], &sizes, &[0; 8]].concat());
    bytes[at + 20..at + 28].fill(0xff);
    bytes[at + 42..at + 46].fill(0xff);
    bytes[at + 30] = 5 + 28;
    let record = bytes.len() as u64;
    bytes.extend([b"PK\x06\x06", &44u64.to_le_bytes()[..], &[0; 12], &[1u64.to_le_bytes(); 2].concat()].concat());
    bytes.extend([(length + 33).to_le_bytes(), start.to_le_bytes()].concat());
    bytes.extend([b"PK\x06\x07\0\0\0\0", &record.to_le_bytes()[..], &[1, 0, 0, 0]].concat());
    bytes.extend([b"PK\x05\x06\0\0\0\0", &[0xff; 12][..], &[0, 0]].concat());
    bytes
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A torch file whose storage 0 holds `values`.
fn torch(root: &[u8], values: &[f32]) -> Vec<u8> {
    let (data, storage) = (pickle(root), floats(values));
    archive(&[("m/data.pkl", &data[..]), ("m/byteorder", b"little"), ("m/data/0", &storage)])
}

fn sample() -> Vec<u8> {
    let weight = tensor("FloatStorage", "0", 6, 0, &[2, 3], &[3, 1]);
    let turned = tensor("FloatStorage", "0", 6, 1, &[2, 2], &[1, 3]);
    torch(&dict(&[("weight", weight), ("turned", turned)]), &[1., 2., 3., 4., 5., 6.])
}

fn loaded(bytes: &[u8]) -> BTreeMap<String, (&'static str, Vec<usize>, Vec<f32>)> {
    let tensors = load("test.pt", bytes, Choice::default()).unwrap().tensors.into_iter();
    tensors.map(|(name, dtype, tensor)| (name, (dtype, tensor.shape, tensor.values))).collect()
}

fn message(bytes: &[u8]) -> String {
    let Err(error) = load("odd.pt", bytes, Choice::default()) else { panic!("this was read") };
    assert!(error.to_string().contains("odd.pt"), "{error}");
    error.to_string()
}

/// A file of the format before torch 1.6.
fn legacy() -> Vec<u8> {
    let magic = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
    let machine = dict(&[("protocol_version", pickled::int(1001)), ("little_endian", b"\x88".to_vec())]);
    let root =
        dict(&[("a", tensor("HalfStorage", "7", 2, 0, &[2], &[1])), ("b", tensor("LongStorage", "9", 1, 0, &[], &[]))]);
    let keys = [b"](", &pickled::text("7")[..], &pickled::text("9"), b"e"].concat();
    let halves = [2u64.to_le_bytes().to_vec(), vec![0x00, 0x3c, 0x00, 0xc0]].concat();
    let longs = [1u64.to_le_bytes(), 5i64.to_le_bytes()].concat();
    let head = [pickle(magic), pickle(&pickled::int(1001)), pickle(&machine), pickle(&root), pickle(&keys)].concat();
    [head, halves, longs].concat()
}

/// The error of a torch file with this root.
fn refused(root: &[u8]) -> String {
    message(&torch(root, &[1., 2., 3., 4., 5., 6.]))
}
