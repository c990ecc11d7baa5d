//! Damaged files of weights.

use super::*;
use maclip_fuzzing::each;

#[test]
fn fuzz_torch_files() {
    let nested = dict(&[("model", dict(&[("a", tensor("FloatStorage", "0", 6, 0, &[2, 3], &[3, 1]))]))]);
    let nested = torch(&nested, &[1., 2., 3., 4., 5., 6.]);
    let one = archive(&[("m/data.pkl", &pickle(&dict(&[]))[..])]);
    each("torch", &[&sample(), &legacy(), &nested, &wide(one)], |bytes| {
        drop(load("damaged", bytes, Choice::default()))
    });
}

#[test]
fn fuzz_safetensors() {
    let tensors: BTreeMap<String, HostTensor> = [("a.weight", 3), ("b", 2)]
        .map(|(name, rows)| (name.to_owned(), HostTensor { shape: vec![rows, 2], values: vec![0.5; 2 * rows] }))
        .into();
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    let ours = safetensors_file::serialize(&tensors, &metadata, ElementType::F32).unwrap();
    let header = br#"{"x":{"dtype":"BF16","shape":[2,1],"data_offsets":[0,4]},"y":{"dtype":"I64","shape":[],"data_offsets":[4,12]}}"#;
    let theirs = [&(header.len() as u64).to_le_bytes()[..], header, &[1; 12]].concat();
    each("safetensors", &[&ours, &theirs], |bytes| drop(load("damaged", bytes, Choice::default())));
}
