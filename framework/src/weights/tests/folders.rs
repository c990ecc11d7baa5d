//! Folders, shards and what lies beside a file.

use super::*;
use crate::error::Error;
use crate::files::{sha256, write_atomically};

fn tensors(names: &[&str]) -> BTreeMap<String, HostTensor> {
    let tensor = |name: &&str| ((*name).to_owned(), HostTensor { shape: vec![1], values: vec![name.len() as f32] });
    names.iter().map(tensor).collect()
}

fn failure(path: &Path) -> String {
    match read(path) {
        Err(error @ Error::Failed { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn folders_are_read_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str, names: &[&str]| {
        let bytes = serialize(&tensors(names), &BTreeMap::new(), ElementType::F32).unwrap();
        write_atomically(&path(name), &bytes).unwrap();
        bytes
    };
    assert!(failure(folder.path()).contains("has no model.safetensors"));
    std::fs::write(path("pytorch_model.bin"), sample()).unwrap();
    assert_eq!(read(folder.path()).unwrap().format, Format::TorchZip);
    std::fs::write(path("config.json"), "{\"model_type\": \"clip\"}").unwrap();

    let index = |map: &str| {
        std::fs::write(path("model.safetensors.index.json"), format!("{{\"weight_map\": {{{map}}}}}")).unwrap()
    };
    index(r#""a": "1.safetensors", "bb": "2.safetensors", "ccc": "1.safetensors""#);
    let second = write("2.safetensors", &["bb"]);
    assert!(failure(folder.path()).contains("1 of the 2 files"));
    assert!(failure(folder.path()).contains(": 1.safetensors"));
    let first = write("1.safetensors", &["a", "ccc"]);
    for place in [folder.path().to_owned(), path("model.safetensors.index.json")] {
        let checkpoint = read(&place).unwrap();
        assert_eq!(checkpoint.format, Format::ShardedSafetensors);
        assert_eq!(checkpoint.tensors, tensors(&["a", "bb", "ccc"]));
        assert_eq!(checkpoint.files, [path("1.safetensors"), path("2.safetensors")]);
        assert_eq!(checkpoint.sha256, sha256(&[first.clone(), second.clone()].concat()));
        assert_eq!(checkpoint.configs[0].json["model_type"], "clip");
        assert_eq!(checkpoint.configs[0].sha256, sha256(b"{\"model_type\": \"clip\"}"));
    }
    write("2.safetensors", &["a", "bb"]);
    assert!(failure(folder.path()).contains("has the tensor a, as a file before it"));
    write("2.safetensors", &["b"]);
    assert!(failure(folder.path()).contains("2.safetensors has no tensor bb"));
    std::fs::write(path("2.safetensors"), sample()).unwrap();
    assert!(failure(folder.path()).contains("another format"));
    for outside in ["../1.safetensors", "/etc/passwd", "a/1.safetensors", "..", ""] {
        index(&format!(r#""a": "{outside}""#));
        assert!(failure(folder.path()).contains("not a file name"));
    }
    index("");
    assert!(failure(folder.path()).contains("no tensors"));

    write("model.safetensors", &["a"]);
    let checkpoint = read(folder.path()).unwrap();
    assert_eq!((checkpoint.format, checkpoint.dtypes["a"]), (Format::Safetensors, "F32"));
    std::fs::write(path("config.json"), "{").unwrap();
    assert!(failure(folder.path()).contains("config.json is not JSON"));
    // Beside a file it may be of something else, so it is passed over, and that is said.
    let beside = read(&path("model.safetensors")).unwrap();
    assert!(beside.configs.is_empty() && beside.notes[0].contains("config.json is not JSON"), "{:?}", beside.notes);
    assert!(failure(&path("config.json")).contains("give the folder"));
    write("model.safetensors", &[]);
    assert!(failure(&path("model.safetensors")).contains("holds no tensors"));
    assert!(failure(&path("absent")).contains("absent"));
}

#[test]
fn folders_with_other_names_are_read_where_one_file_can_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let write = |name: &str| {
        let bytes = serialize(&tensors(&[name]), &BTreeMap::new(), ElementType::F32).unwrap();
        write_atomically(&path(name), &bytes).unwrap();
    };
    for name in ["optimizer.bin", "training_args.bin", "notes.txt"] {
        std::fs::write(path(name), "").unwrap();
    }
    write("model.fp16.safetensors");
    let read_folder = || read(folder.path()).unwrap();
    assert_eq!(read_folder().files, [path("model.fp16.safetensors")]);
    assert!(read_folder().notes[0].contains("model.fp16.safetensors"));
    write("mine.safetensors");
    let message = failure(folder.path());
    assert!(
        message.contains("mine.safetensors, model.fp16.safetensors") && message.contains("the file itself"),
        "{message}"
    );
    // The usual names decide, and say nothing.
    write("open_clip_model.safetensors");
    assert_eq!((read_folder().files, read_folder().notes), (vec![path("open_clip_model.safetensors")], Vec::new()));
    std::fs::write(path("open_clip_config.json"), "{}").unwrap();
    std::fs::write(path("preprocessor_config.json"), "{}").unwrap();
    let names = |read: StateDict| read.configs.into_iter().map(|config| config.name).collect::<Vec<_>>();
    assert_eq!(names(read_folder()), ["open_clip_config.json", "preprocessor_config.json"]);
    assert_eq!(names(read(&path("mine.safetensors")).unwrap()), names(read_folder()));
}

#[test]
fn a_model_in_a_hugging_face_cache_is_its_main_revision() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = serialize(&tensors(&["a"]), &BTreeMap::new(), ElementType::F32).unwrap();
    for revision in ["123", "456"] {
        let path = folder.path().join("snapshots").join(revision);
        std::fs::create_dir_all(&path).unwrap();
        write_atomically(&path.join("model.safetensors"), &bytes).unwrap();
    }
    assert!(failure(folder.path()).contains("snapshots/REVISION"));
    std::fs::create_dir(folder.path().join("refs")).unwrap();
    std::fs::write(folder.path().join("refs/main"), "456\n").unwrap();
    let found = read(folder.path()).unwrap();
    assert_eq!(found.files, [folder.path().join("snapshots/456/model.safetensors")]);
    assert!(found.notes[0].contains("snapshots/456"), "{:?}", found.notes);
    std::fs::write(folder.path().join("refs/main"), "../../123").unwrap();
    assert!(failure(folder.path()).contains("has no model.safetensors"));
}

#[test]
fn sparse_files_above_the_limit_are_refused_unread() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(MAX_BYTES + 1).unwrap();
    assert!(failure(file.path()).contains("8192 MiB"));
}
