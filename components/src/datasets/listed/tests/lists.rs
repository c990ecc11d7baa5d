//! Lists in every form, and the published ones where they are at hand.

use super::super::lists::{self, Line, key, parse};
use super::*;
use crate::needs;

#[test]
fn lines_of_every_form_are_read() {
    let lists = [
        (Train, "air drumming/ID\n", 0, "ID"),
        (Train, "\u{feff}# CMN\r\n\r\nHurling_(Sport)/a b.mp4\r\n", 1, "a b.mp4"),
        (Train, "hurling sport/x", 1, "x"),
        (Train, "train1//train_256/hurling_(sport)/ID.mp4", 1, "train_256/hurling_(sport)/ID.mp4"),
        (Train, "train0//air_drumming/ID.mkv", 0, "air_drumming/ID.mkv"),
        (Val, "val0/78687", 0, "78687"),
        (Test, "Test0//78687", 0, "78687"),
        (Test, "Closing something/78687", 0, "78687"),
        (Test, "handstand-pushups/v_HandStandPushups_g01_c01", 1, "v_HandStandPushups_g01_c01"),
    ];
    for (split, text, class, path) in lists {
        let lines = parse(text.as_bytes(), split, &SMALL).unwrap();
        assert_eq!(lines, [Line { class, path: path.to_owned() }], "{text}");
    }
}

#[test]
fn lines_that_cannot_be_meant_are_refused_with_their_number() {
    let lists: [(&[u8], usize, &str); 17] = [
        (b"train0/a\ntrain0/\xff\n", 2, "not UTF-8"),
        (b"\xff\xfet\0r\0", 1, "not UTF-8"),
        (b"# x\n\ntrain0 a", 3, "without a slash"),
        (b"/train0/a", 1, "absolute"),
        (b"train0///etc/a", 1, "absolute"),
        (b"train0/../../a", 1, "leads out of the root"),
        (b"../a", 1, "leads out of the root"),
        (b"train0//x/..\\..\\a", 1, "leads out of the root"),
        (b"train0/", 1, "names no clip"),
        (b"train0//a//b", 1, "empty part"),
        (b"train0/a\r\ntrain0//a\r\n", 2, "already in line 1"),
        (b"air drumming/a.mp4\ntrain1/a\nair_drumming/a.avi", 3, "already in line 1"),
        (b"train2/a", 1, "out of range: split train of small has 0 to 1"),
        (b"train99999999999999999999/a", 1, "out of range"),
        (b"test0/a", 1, "no class `test0`; `test0` is a class of split test"),
        (b"train0/a\nHandstandPushups/a", 2, "`HandstandPushups` is a class of split test"),
        (b"air druming/a", 1, "no class `air druming`; did you mean `air drumming`?"),
    ];
    for (bytes, line, reason) in lists {
        let wrong = parse(bytes, Train, &SMALL).unwrap_err();
        let message = [Some(wrong.reason), wrong.help].into_iter().flatten().collect::<Vec<_>>().join("; ");
        assert_eq!(wrong.line, line, "{message}");
        assert!(message.contains(reason), "{message}");
    }
}

#[test]
fn fuzz_lists() {
    let seeds: [&[u8]; 4] = [
        b"train0//air_drumming/ID.mkv\ntrain1//hurling_sport/b.mp4\n",
        "\u{feff}# CMN\r\n\r\nHurling_(Sport)/a b.mp4\r\n".as_bytes(),
        b"air drumming/ID\nhurling sport/x\n",
        b"train1//train_256/hurling_(sport)/ID.mp4 12 1\n",
    ];
    maclip_fuzzing::each("lists", &seeds, |bytes| {
        // A path that is read stays below the root.
        for Line { path, .. } in
            [Train, Val, Test].into_iter().filter_map(|split| parse(bytes, split, &SMALL).ok()).flatten()
        {
            let path = std::path::Path::new(&path);
            assert!(
                path.components().all(|part| matches!(part, std::path::Component::Normal(_))),
                "{}",
                path.display()
            );
        }
    });
}

#[test]
fn lists_are_found_by_their_published_names() {
    for name in ["train.list", "trainlist03.txt", "trainlist07.txt", "trainlist.txt", "train.txt", "train_few_shot.txt"]
    {
        let dir = tempfile::tempdir().unwrap();
        for other in ["trainlist3.txt", "train_few_shot.txt~", "val.txt", "retrain.txt"] {
            write(dir.path(), other, "no");
        }
        fs::create_dir(dir.path().join("train")).unwrap();
        write(dir.path(), name, "train0/a\n");
        let list = lists::read(dir.path(), Train, &SMALL).unwrap();
        assert_eq!((list.file.as_str(), list.lines.len()), (name, 1));
        // From sha256sum.
        assert_eq!(list.sum, "67887358934db86266bcf5a363dd72cd8c16c5e068ba3f9947b4e7c4930537f6");
    }
    let dir = tempfile::tempdir().unwrap();
    let message = |split| lists::read(dir.path(), split, &SMALL).unwrap_err().to_string();
    assert!(message(Train).contains("no list of split train") && message(Train).contains("somebody/lists"));
    write(dir.path(), "train.txt", "train0/a\n\ntrain7/a");
    assert!(message(Train).contains(&format!("{}:3: ", dir.path().join("train.txt").display())), "{}", message(Train));
    write(dir.path(), "train.list", "");
    assert!(message(Train).contains("several lists of split train: train.list, train.txt"), "{}", message(Train));
    write(dir.path(), "val.txt", "# nothing\n");
    assert!(message(Val).contains("names no clip"));
}

#[test]
fn published_lists_are_read_whole() {
    let Some(folder) = needs::data("MACLIP_SPLITS", "") else { return };
    // Clips: counted from the lists with wc -l.
    let lists = [
        ("clipfsar/kinetics100", &kinetics100::BENCHMARK, [6400, 1200, 2400]),
        ("clipfsar/ssv2_full", &ssv2_full::BENCHMARK, [67013, 1926, 2857]),
        ("clipfsar/ssv2_small", &ssv2_small::BENCHMARK, [6400, 1200, 2400]),
        ("clipfsar/hmdb51", &hmdb51::BENCHMARK, [4280, 1194, 1292]),
        ("clipfsar/ucf101", &ucf101::BENCHMARK, [9154, 1421, 2745]),
        ("perrett/ssv2_OTAM", &ssv2_full::BENCHMARK, [67013, 1926, 2857]),
        ("perrett/hmdb_ARN", &hmdb51::BENCHMARK, [4280, 1194, 1292]),
        ("perrett/ucf_ARN", &ucf101::BENCHMARK, [9154, 1421, 2745]),
    ];
    let mut ids: HashMap<(&str, Split), Vec<String>> = HashMap::new();
    for (path, benchmark, sizes) in lists {
        for split in Split::ALL {
            let list = lists::read(&folder.join(path), split, benchmark).unwrap();
            assert_eq!(list.lines.len(), sizes[split as usize], "{path} {}", split.name());
            let mut classes = vec![Vec::new(); benchmark.names(split).len()];
            for line in &list.lines {
                // Where the path names a class, it is the one of the id.
                if let Some(class) = line.parts().0.rsplit('/').next().filter(|class| !class.is_empty()) {
                    assert_eq!(key(class), key(benchmark.names(split)[line.class]));
                }
                classes[line.class].push((line.path.clone(), Err(String::new())));
            }
            assert_eq!(classes.iter().map(Vec::len).min(), Some(benchmark.fewest[split as usize]), "{path}");
            let named = classes.into_iter().enumerate().flat_map(|(class, clips)| {
                index::named(benchmark.names(split)[class], clips).into_iter().map(|clip| clip.id)
            });
            let named: Vec<String> = named.collect();
            assert_eq!(named.iter().collect::<HashSet<_>>().len(), named.len());
            // Both authors' lists come to the same clips under the same names.
            if let Some(first) = ids.insert((benchmark.name, split), named.clone()) {
                assert_eq!(first, named, "{path}");
            }
        }
    }
}

#[test]
fn published_lists_find_real_clips() {
    let (Some(folder), Some(root)) = (needs::data("MACLIP_SPLITS", ""), needs::data("MACLIP_DATA", "ssv2_frames"))
    else {
        return;
    };
    // Ten clips each of the first five classes of train and test of SSv2-Full. In `val` lie clips of its train list.
    for lists in ["clipfsar/ssv2_full", "perrett/ssv2_OTAM"] {
        let data = |lists: Option<PathBuf>| {
            let skip = |settings: &mut Settings| (settings.lists, settings.missing) = (lists, Policy::Skip);
            listed(&ssv2_full::BENCHMARK, &root, skip)
        };
        let published = data(Some(folder.join(lists)));
        let sorted = |data: &Listed, split| {
            let mut classes = list(data, split).classes;
            classes.iter_mut().for_each(|class| class.clips.sort());
            classes
        };
        for split in [Train, Test] {
            let classes = sorted(&data(None), split);
            assert_eq!(classes.iter().map(|class| class.clips.len()).collect::<Vec<_>>(), [10; 5]);
            assert_eq!(sorted(&published, split), classes, "{lists}");
        }
        assert!(refusal(&published, Val).contains("none of the 1926 clips in the list of split val"));
    }
}
