//! Files that must be refused: of other kinds, damaged, and made to do harm.

use super::pickled::{call, dict, global, int, pickle, tensor, text};
use super::*;

fn tensor_refused(count: i64, offset: i64, shape: &[i64], strides: &[i64]) -> String {
    refused(&dict(&[("a", tensor("FloatStorage", "0", count, offset, shape, strides))]))
}

#[test]
fn what_is_not_a_plain_state_dict_is_refused_by_name() {
    let evil = call("posix", "system", &[text("true")]);
    assert!(refused(&dict(&[("a", evil)])).contains("posix.system"));
    assert!(refused(&[text("builtins"), text("eval"), b"\x93".to_vec()].concat()).contains("builtins.eval"));
    assert!(refused(&global("torch.nn.modules.linear", "Linear")).contains("torch.nn.modules.linear.Linear"));
    assert!(refused(&global("torch", "ComplexFloatStorage")).contains("dense"));
    assert!(refused(&tensor("FloatStorage", "0", 6, 0, &[6], &[1])).contains("holds a tensor, not a state dict"));
    assert!(refused(&dict(&[("a", b"]".to_vec())])).contains("a is a list"));
    let one = || tensor("FloatStorage", "0", 6, 0, &[1], &[1]);
    assert!(refused(&dict(&[("a", one()), ("a", one())])).contains("a is there twice"));
    assert!(refused(&[b"}".to_vec(), int(1), one(), b"s".to_vec()].concat()).contains("a whole number is a key"));
    assert!(refused(&dict(&[("a", tensor("FloatStorage", "1", 6, 0, &[6], &[1]))])).contains("data/1 is missing"));
    assert!(refused(b"}Pstorage\n").contains("protocol 0"));
    assert!(message(&pickle(&dict(&[("a", int(1))]))).contains("torch.save did not write"));
    assert!(message(b"").contains("is empty"));
    assert!(message(b"version https://git-lfs.github.com/spec/v1\n").contains("git lfs pull"));
    assert!(message(b"<!DOCTYPE html>").contains("web page"));
    assert!(message(b"{\"model_type\": {}}").contains("JSON"));
    assert!(message(b"       {}").contains("JSON"));
    assert!(message(&[0; 600]).contains("neither"));

    let data = pickle(&dict(&[]));
    let script = archive(&[("m/data.pkl", &data), ("m/constants.pkl", b""), ("m/code/__torch__.py", b"")]);
    assert!(message(&script).contains("torch.jit.load(\"odd.pt\", map_location=\"cpu\")"));
    let big = archive(&[("m/data.pkl", &data), ("m/byteorder", b"big")]);
    assert!(message(&big).contains("big-endian"));
    assert!(message(&archive(&[("a.npy", b"")])).contains("not a torch checkpoint"));
    assert!(message(&archive(&[])).contains("not a torch checkpoint"));
    assert!(message(&archive(&[("a/data.pkl", &data), ("b/data.pkl", &data)])).contains("not a torch checkpoint"));
}

#[test]
fn tensors_stay_within_their_storage_and_the_file() {
    assert!(tensor_refused(6, 1, &[6], &[1]).contains("out of its storage"));
    assert!(tensor_refused(6, 0, &[2, 3], &[4, 1]).contains("out of its storage"));
    assert!(tensor_refused(6, 0, &[i64::MAX, i64::MAX], &[1, 0]).contains("values"));
    assert!(tensor_refused(6, 0, &[1 << 40], &[0]).contains("values"));
    assert!(tensor_refused(6, 0, &[2], &[i64::MAX]).contains("out of its storage"));
    assert!(tensor_refused(6, i64::MAX, &[1], &[1]).contains("out of its storage"));
    assert!(tensor_refused(7, 0, &[1], &[1]).contains("has not its 28 bytes"));
    assert!(tensor_refused(i64::MAX, 0, &[1], &[1]).contains("not a plain tensor"));
    for (count, offset, shape, stride) in [(-1, 0, 1, 1), (6, -1, 1, 1), (6, 0, -1, 1), (6, 0, 1, -1)] {
        assert!(tensor_refused(count, offset, &[shape], &[stride]).contains("not a plain tensor"));
    }
    assert!(tensor_refused(6, 0, &[1, 1], &[1]).contains("not a plain tensor"));
    assert!(tensor_refused(6, 0, &[1; 65], &[1; 65]).contains("not a plain tensor"));
    // Many tensors over one storage.
    let all = tensor("FloatStorage", "0", 6, 0, &[1 << 16, 6], &[0, 1]);
    let names: Vec<String> = (0..100).map(|number| number.to_string()).collect();
    let items: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (&name[..], all.clone())).collect();
    assert!(refused(&dict(&items)).contains("values"));
}

#[test]
fn hostile_pickles_are_errors() {
    let long = |opcode: &[u8], times: usize| opcode.repeat(times);
    assert!(refused(&long(b"N", 1 << 17)).contains("deeper"));
    assert!(refused(&long(b"(", 1 << 17)).contains("marks"));
    assert!(refused(&long(b"N0", 1 << 21)).contains("steps"));
    assert!(refused(&[b"N".to_vec(), long(b"\x94", (1 << 20) + 1)].concat()).contains("memo"));
    // Lists in each other, and a list in itself.
    assert!(refused(&[long(b"]", 60_000), long(b"a", 59_999)].concat()).contains("a list, not a state dict"));
    assert!(refused(b"]q\x00h\x00a").contains("a list, not a state dict"));
    assert!(refused(b"}q\x00X\x01\0\0\0ah\x00s").contains("a is a dict"));
    let parameter = call("torch._utils", "_rebuild_parameter", &[b"h\x00".to_vec(), b"N".to_vec(), b"N".to_vec()]);
    assert!(refused(&[b"Nq\x000", &dict(&[("a", parameter)])[..]].concat()).contains("another form"));
    for odd in [
        &b""[..],
        b"0",
        b"t",
        b"u",
        b"R",
        b"Q",
        b"s",
        b"a",
        b"b",
        b"e",
        b"d",
        b"2",
        b"q\x00",
        b"h\x00",
        b"(0",
        b"(N",
        b"\x85",
        b"Nb",
        b"NR",
        b"}(Nu",
        b"}NNa",
        b"]NNs",
        b"X\xff\xff\xff\xff",
        b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x8e\0\0\0\0\xff\xff\xff\xff",
        b"X\x01\0\0\0\xff",
        b"\x8b\xff\xff\xff\xff",
        b"\x8a\x0a",
        b"I1x\n",
        b"I",
        b"c\n",
        b"c\xff\n\n",
        b"g-1\n",
        b"\x80\x06",
        b"\x95",
        b"i",
        b"o",
        b"\x82\x01",
        b"\x92",
        b"\x97",
        b"NN\x93",
        b"r\xff\xff\xff\xff",
        b"ccollections\nOrderedDict\n]\x85R",
        b"cx",
        b"\xff",
    ] {
        refused(odd);
    }
    let after = archive(&[("m/data.pkl", &[pickle(&dict(&[])), vec![0]].concat())]);
    assert!(message(&after).contains("follow the pickle"));
}

#[test]
fn hostile_archives_are_errors() {
    let whole = sample();
    assert!(message(&whole[..whole.len() - 1]).contains("no directory"));
    let data = pickle(&dict(&[]));
    let twice = archive(&[("m/data.pkl", &data), ("m/data/0", b"1"), ("m/data/0", b"2")]);
    assert!(message(&twice).contains("m/data/0 is there twice"));
    // Changes a field of the last entry's directory record, counted from the name.
    let changed = |field: usize, value: &[u8]| {
        let mut bytes = archive(&[
            ("m/data.pkl", &pickle(&dict(&[("a", tensor("ByteStorage", "0", 1, 0, &[1], &[1]))]))),
            ("m/data/0", b"1"),
        ]);
        let at = bytes.len() - 22 - "m/data/0".len() - 46 + field;
        bytes[at..at + value.len()].copy_from_slice(value);
        message(&bytes)
    };
    assert!(changed(8, &[1]).contains("encrypted"));
    assert!(changed(10, &[8]).contains("compressed"));
    assert!(changed(16, &[1]).contains("checksum"));
    assert!(changed(20, &[0xff; 4]).contains("damaged"));
    assert!(changed(20, &[0xff, 0xff, 0xff, 0x7f]).contains("damaged"));
    assert!(changed(24, &[0xff, 0xff, 0xff, 0x7f]).contains("compressed"));
    assert!(changed(28, &[0xff, 0xff]).contains("damaged"));
    assert!(changed(42, &[1]).contains("damaged"));
    let mut many = whole.clone();
    let at = many.len() - 12;
    many[at..at + 2].copy_from_slice(&[0xff, 0xff]);
    assert!(message(&many).contains("of 65535 is damaged"));
    // An entry inside of another: the second one's place is that of a copy of it, in the first one's data.
    let copy = archive(&[("m/data/1", b"1")]);
    let mut nested = archive(&[("m/data.pkl", &data), ("m/data/0", &copy[..39]), ("m/data/1", b"1")]);
    let place = nested.windows(39).position(|part| part == &copy[..39]).unwrap() as u32;
    let at = nested.len() - 22 - "m/data/1".len() - 4;
    nested[at..at + 4].copy_from_slice(&place.to_le_bytes());
    assert!(message(&nested).contains("overlap"));
    // Places and counts of 64 bits.
    let wide = wide(archive(&[("m/data.pkl", &data)]));
    assert!(load("wide", &wide, Choice::default()).is_ok());
    for field in [32, 40, 48, 56 + 8] {
        let mut bytes = wide.clone();
        let at = bytes.len() - 22 - 20 - 56 + field;
        bytes[at..at + 8].copy_from_slice(&[0xff; 8]);
        assert!(message(&bytes).contains("whole zip archive"));
    }
}

#[test]
fn flipped_and_cut_torch_files_never_panic() {
    for mut bytes in [sample(), legacy()] {
        assert!(load("whole", &bytes, Choice::default()).is_ok());
        for cut in 0..bytes.len() {
            assert!(load("cut", &bytes[..cut], Choice::default()).is_err());
        }
        for at in 0..bytes.len() {
            let old = bytes[at];
            for new in (0..8).map(|bit| old ^ 1 << bit).chain([!old, 0, 0xff, b'(', b'Q', b'R']) {
                bytes[at] = new;
                let _ = load("flipped", &bytes, Choice::default());
            }
            bytes[at] = old;
        }
    }
}
