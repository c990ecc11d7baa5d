//! Torch files that are read.

use super::pickled::{call, dict, global, int, ints, tensor, text, tuple};
use super::*;
use crate::files::sha256;

#[test]
fn torch_zip_files_are_read() {
    let tensors = loaded(&sample());
    assert_eq!(tensors["weight"], ("F32", vec![2, 3], vec![1., 2., 3., 4., 5., 6.]));
    assert_eq!(tensors["turned"], ("F32", vec![2, 2], vec![2., 5., 3., 6.]));
    // The first six floats as other types and forms.
    let whole = tensor("FloatStorage", "0", 6, 0, &[6], &[1]);
    let parameter = call("torch._utils", "_rebuild_parameter", &[whole.clone(), b"\x88".to_vec(), b"N".to_vec()]);
    let storage = [
        &tuple(&[text("storage"), global("torch.storage", "UntypedStorage"), text("0"), text("cpu"), int(24)])[..],
        b"Q",
    ]
    .concat();
    let size = call("torch", "Size", &[ints(&[3])]);
    let none = b"N".to_vec();
    let arguments = [storage, int(1), size, ints(&[4]), none.clone(), none.clone(), global("torch", "uint16"), none];
    let typed = call("torch._utils", "_rebuild_tensor_v3", &arguments);
    let bytes = tensor("ByteStorage", "0", 24, 3, &[2], &[4]);
    let root = dict(&[("parameter", parameter), ("typed", typed), ("bytes", bytes)]);
    let tensors = loaded(&torch(&root, &[1., 2., 3., 4., 5., 6.]));
    assert_eq!(tensors["parameter"].2, [1., 2., 3., 4., 5., 6.]);
    assert_eq!(
        tensors["typed"],
        ("U16", vec![3], vec![f32::from(0x3f80u16), f32::from(0x4040u16), f32::from(0x40a0u16)])
    );
    assert_eq!(tensors["bytes"], ("U8", vec![2], vec![f32::from(0x3fu8), f32::from(0x40u8)]));
    assert_eq!(
        load("t", &torch(&dict(&[("a", whole)]), &[f32::NAN; 6]), Choice::default()).unwrap().tensors[0].2.values.len(),
        6
    );
}

/// What [`read_choice`] makes of a torch file with this root, over a storage of 3 and 4.
fn checkpoint(root: &[u8], choice: Choice) -> Result<StateDict> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    std::fs::write(&path, torch(root, &[3., 4.])).unwrap();
    let read = read_choice(&path, choice);
    if let Ok(read) = &read {
        assert_eq!(read.sha256, sha256(&std::fs::read(&path).unwrap()));
    }
    read
}

/// A dict with one tensor of each name.
fn weights(names: &[&str]) -> Vec<u8> {
    let weight = || tensor("FloatStorage", "0", 2, 0, &[2], &[1]);
    dict(&names.iter().map(|name| (*name, weight())).collect::<Vec<_>>())
}

/// What a training checkpoint has beside its weights.
fn others() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("epoch", int(3)),
        ("lr", b"G\0\0\0\0\0\0\0\0".to_vec()),
        ("loss", b"](K\x01Ne".to_vec()),
        // One tensor, and the states of an optimizer and of random numbers.
        ("best", tensor("FloatStorage", "0", 2, 0, &[], &[])),
        ("optimizer", dict(&[("state", weights(&["layer.weight", "layer.bias"]))])),
        ("rng", weights(&["torch", "cuda"])),
    ]
}

#[test]
fn the_one_dict_of_tensors_is_found_under_any_key() {
    let state = [&weights(&["layer.a", "layer.b"])[..], &dict(&[("_metadata", int(1))]), b"b"].concat();
    for key in ["model", "state_dict", "model_state", "net", "state_dict_ema", "weights of mine"] {
        let root = dict(&[&others()[..], &[(key, state.clone())]].concat());
        let read = checkpoint(&root, Choice::default()).unwrap();
        assert_eq!(read.taken_from.as_deref(), Some(key));
        assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["layer.a", "layer.b"]);
        assert_eq!(read.tensors["layer.b"].values, [3., 4.]);
        assert_eq!(read.dtypes["layer.a"], "F32");
        assert_eq!(read.format.to_string(), "torch zip archive");
        assert!(read.notes[0].contains(&format!("its `{key}`")), "{:?}", read.notes);
        // Keys in each other.
        let root = dict(&[("epoch", int(3)), ("state", dict(&[(key, state.clone())]))]);
        assert_eq!(checkpoint(&root, Choice::default()).unwrap().taken_from, Some(format!("state.{key}")));
    }
    // Names stay as they are, whatever stands before them.
    let read = checkpoint(&weights(&["module.a", "b"]), Choice::default()).unwrap();
    assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["b", "module.a"]);
    assert_eq!(read.taken_from, None);
}

#[test]
fn several_dicts_are_named_and_the_key_or_the_names_choose() {
    let [model, ema] = ["layer.a", "layer.b"].map(|name| weights(&[name]));
    let root = dict(&[&others()[..], &[("model", model.clone()), ("model_ema", ema)]].concat());
    let message = checkpoint(&root, Choice::default()).unwrap_err().to_string();
    for words in ["several dicts of tensors", "`model` (1 tensors), `model_ema` (1 tensors)", "`key`", "--key"] {
        assert!(message.contains(words), "{words} is not in {message}");
    }
    let read = checkpoint(&root, Choice { key: Some("model_ema"), ..Choice::default() }).unwrap();
    assert_eq!(
        (read.tensors.keys().next().unwrap().as_str(), read.taken_from.as_deref()),
        ("layer.b", Some("model_ema"))
    );
    assert!(read.notes[0].contains("not from `model`"), "{:?}", read.notes);
    let suits: &(dyn Fn(&BTreeSet<&str>) -> bool + Sync) = &|names| names.contains("layer.a");
    assert_eq!(checkpoint(&root, Choice { suits, ..Choice::default() }).unwrap().taken_from.as_deref(), Some("model"));
    // One dict under two keys is one dict.
    let twice = [b"}(", &text("a")[..], &model, b"q\x07", &text("b"), b"h\x07u"].concat();
    assert!(checkpoint(&twice, Choice::default()).is_ok());
}

#[test]
fn what_is_no_tensor_is_left_out_and_said() {
    let weight = tensor("FloatStorage", "0", 2, 0, &[2], &[1]);
    let root = dict(&[("model", dict(&[("a.b", weight.clone()), ("x", int(1)), ("y", b"N".to_vec())]))]);
    let read = checkpoint(&root, Choice::default()).unwrap();
    assert_eq!(read.tensors.keys().collect::<Vec<_>>(), ["a.b"]);
    assert!(read.notes[0].contains("left out of") && read.notes[0].contains(": x, y"), "{:?}", read.notes);
    assert!(refused(&dict(&others()[..2])).contains("epoch is a whole number"));
    // A tensor that cannot be read is never left out.
    let odd = call("torch._utils", "_rebuild_parameter", &[b"N".to_vec(), b"N".to_vec(), b"N".to_vec()]);
    assert!(
        refused(&dict(&[("model", dict(&[("a.b", weight), ("x", odd)]))]))
            .contains("in model, x is a tensor of another")
    );
}

#[test]
fn the_old_torch_format_is_read() {
    let bytes = legacy();
    let tensors = loaded(&bytes);
    assert_eq!(tensors["a"], ("F16", vec![2], vec![1.0, -2.0]));
    assert_eq!(tensors["b"], ("I64", vec![], vec![5.0]));
    assert!(message(&[&bytes[..], b"x"].concat()).contains("1 bytes follow"));
    assert!(message(&bytes[..bytes.len() - 1]).contains("ends within storage 9"));
    let flag = bytes.windows(3).position(|part| part == b"\x88u.").unwrap();
    let mut big = bytes.clone();
    big[flag] = 0x89;
    assert!(message(&big).contains("big-endian"));
    let mut huge = bytes;
    let at = huge.len() - 16;
    huge[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(message(&huge).contains("ends within storage 9"));
}
