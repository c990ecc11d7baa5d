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
    assert_eq!(load("t", &torch(&dict(&[("a", whole)]), &[f32::NAN; 6])).unwrap().tensors[0].2.values.len(), 6);
}

#[test]
fn training_checkpoints_and_prefixes_are_understood() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.bin");
    let weight = || tensor("FloatStorage", "0", 2, 0, &[2], &[1]);
    let state =
        [&dict(&[("module.a", weight()), ("module.b", weight())])[..], &dict(&[("_metadata", int(1))]), b"b"].concat();
    let others = [("epoch", int(3)), ("lr", b"G\0\0\0\0\0\0\0\0".to_vec()), ("loss", b"](K\x01NIe".to_vec())];
    for part in ["model", "state_dict"] {
        let root = dict(&[&others[..2], &[(part, state.clone())]].concat());
        std::fs::write(&path, torch(&root, &[3., 4.])).unwrap();
        let checkpoint = read(&path).unwrap();
        assert_eq!(checkpoint.metadata, BTreeMap::from([("taken_from".to_owned(), part.to_owned())]));
        assert_eq!(checkpoint.tensors.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(checkpoint.tensors["b"].values, [3., 4.]);
        assert_eq!(checkpoint.dtypes["a"], "F32");
        assert_eq!(checkpoint.format.to_string(), "torch zip archive");
        assert_eq!(checkpoint.sha256, sha256(&std::fs::read(&path).unwrap()));
    }
    std::fs::write(&path, torch(&dict(&[("module.a", weight()), ("b", weight())]), &[3., 4.])).unwrap();
    assert_eq!(read(&path).unwrap().tensors.keys().collect::<Vec<_>>(), ["b", "module.a"]);
    assert!(refused(&dict(&others[..2])).contains("epoch is a whole number"));
    assert!(
        refused(&dict(&[("model", dict(&[("a", weight()), ("x", int(1))]))])).contains("in model, x is a whole number")
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
