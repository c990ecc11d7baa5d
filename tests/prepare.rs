//! `maclip prepare` and the clip store: what it keeps is what would be decoded, and no damage, kill or full disk
//! changes that.

mod common;

use common::{clip, command, fails, find, ok, quoted, root, tree, with_mount};
use serde_json::Value;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A verb on `recipes/benchmarks/frames_5w1s.yaml` with the frames in `<folder>/frames`, small, and `more`.
fn arguments(verb: &str, folder: &Path, runs: &str, more: &[&str]) -> Vec<String> {
    let root = format!("dataset.root={}", folder.join("frames").display());
    let mut all: Vec<String> = [verb, "recipes/benchmarks/frames_5w1s.yaml", "--runs"].map(str::to_owned).into();
    all.push(folder.join(runs).display().to_string());
    let sets = [
        &root,
        "task.train.steps=3",
        "task.train.validate_every_steps=3",
        "task.validation.episodes=10",
        "task.test.episodes=20",
        // What a run reads of the store must not come from elsewhere.
        "compute.feature_cache=false",
        // Draws frames and what is cut out of them.
        "augment={type: random_crop, scale: 0.7}",
    ];
    all.extend(sets.iter().flat_map(|set| ["--set".to_owned(), (*set).to_owned()]));
    all.extend(more.iter().map(|word| (*word).to_owned()));
    all
}

fn words(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

/// Runs `maclip prepare … --json` and gives what it tells.
fn prepare(folder: &Path, runs: &str, more: &[&str]) -> Value {
    let mut all = arguments("prepare", folder, runs, more);
    all.push("--json".to_owned());
    serde_json::from_str(&ok(&words(&all))).unwrap()
}

/// What a run trained and tested, to compare.
fn results(folder: &Path, runs: &str, more: &[&str]) -> [Option<String>; 3] {
    ok(&words(&arguments("run", folder, runs, more)));
    ["train.jsonl", "validation.jsonl", "episodes.jsonl"].map(|file| {
        let text = find(&folder.join(runs), file);
        assert!(text.as_ref().is_some_and(|text| !text.is_empty()), "{file}");
        text
    })
}

/// The results where every clip is decoded whenever it is needed.
fn decoded(folder: &Path) -> [Option<String>; 3] {
    results(folder, "decoded", &["--set", "clip_store.use=false"])
}

fn packs(runs: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(runs.join(".cache/clips")).unwrap();
    let mut packs: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

/// Removes the runs in `folder` and keeps the caches.
fn forget_runs(runs: &Path) {
    let _ = std::fs::remove_dir_all(runs.join("frames_5w1s"));
}

fn set(arguments: &str) -> [&str; 2] {
    ["--set", arguments]
}

/// Numbers that look random, from a seed.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn a_run_on_kept_clips_is_a_run_on_decoded_ones() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let want = decoded(folder);
    let dry = prepare(folder, "runs", &["--dry-run"]);
    // 60 clips, of which every fourth was decoded to see how large they are; 8 frames of 40×48 pixels, and a table.
    assert_eq!(dry[0]["missing"], 45, "{dry}");
    let bytes = dry[0]["estimated_bytes"].as_u64().unwrap();
    assert!((45 * 8 * 40 * 48 * 3..=45 * (8 * 40 * 48 * 3 + 200)).contains(&bytes), "{dry}");
    let first = prepare(folder, "runs", &[]);
    assert_eq!(
        (&first[0]["clips"], &first[0]["found"], &first[0]["kept"]),
        (&60.into(), &15.into(), &45.into()),
        "{first}"
    );
    let second = prepare(folder, "runs", &[]);
    assert_eq!((&second[0]["found"], &second[0]["kept"]), (&60.into(), &0.into()), "{second}");
    assert_eq!(results(folder, "runs", &[]), want);
    // A run fills the store by itself.
    assert_eq!(results(folder, "alone", &[]), want);
    assert_eq!(prepare(folder, "alone", &[])[0]["found"], 60);
    // Without the frames: what is kept is enough to know what is missing.
    std::fs::rename(folder.join("frames"), folder.join("away")).unwrap();
    fails(1, &words(&arguments("prepare", folder, "runs", &[])), &["frames"]);
}

#[test]
fn another_file_sampler_or_size_is_another_key() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let kept = |more: &[&str]| prepare(folder, "runs", more)[0]["kept"].as_u64().unwrap();
    assert_eq!(kept(&[]), 60);
    assert_eq!(kept(&[]), 0);
    // Every frame of the train clips is kept, whatever picks among them; of the others those that evaluation looks at.
    assert_eq!(kept(&set("frames.count=4")), 40);
    assert_eq!(kept(&set("resize={type: short_side, side: 20}")), 60);
    assert_eq!(kept(&set("resize={type: short_side, side: 21}")), 60);
    // Without augmentation clips are kept as the backbone wants them.
    assert_eq!(kept(&set("augment={type: none}")), 60);
    assert_eq!(kept(&set("clip_store.format=jpeg")), 60);
    let store = folder.join("elsewhere");
    assert_eq!(kept(&set(&format!("clip_store.folder={}", store.display()))), 60);
    assert!(std::fs::read_dir(&store).unwrap().count() > 0);

    // One frame of one clip becomes another; its size and its time stay.
    let frame = folder.join("frames/test/test_class_1/clip 2/00000005.jpg");
    let other = folder.join("frames/test/test_class_1/clip 3/00000006.jpg");
    let (time, before) = (std::fs::metadata(&frame).unwrap().modified().unwrap(), std::fs::read(&frame).unwrap());
    let mut after = std::fs::read(other).unwrap();
    after.resize(before.len().max(after.len()), 0xff);
    std::fs::write(&frame, &after).unwrap();
    OpenOptions::new().write(true).open(&frame).unwrap().set_modified(time).unwrap();
    let want = decoded(folder);
    assert_eq!(results(folder, "runs", &[]), want);
}

#[test]
fn jpeg_gives_the_same_from_the_store_and_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let jpeg = set("clip_store.format=jpeg");
    let fresh = results(folder, "fresh", &[jpeg, set("clip_store.use=false")].concat());
    let kept = prepare(folder, "runs", &jpeg);
    assert!(kept[0]["bytes"].as_u64().unwrap() < 60 * 8 * 40 * 48 * 3 / 3, "{kept}");
    assert_eq!(results(folder, "runs", &jpeg), fresh);
    assert_ne!(decoded(folder), fresh, "quality 95 changes some pixel");
}

/// Any byte flipped, any cut, anything appended: the results stay, and the store is whole again afterwards.
#[test]
fn damage_is_never_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let want = decoded(folder);
    prepare(folder, "runs", &[]);
    let runs = folder.join("runs");
    let mut numbers = Numbers(7);
    for round in 0..6 {
        let before = packs(&runs);
        let pack = OpenOptions::new().read(true).write(true).open(&before[0]).unwrap();
        let size = pack.metadata().unwrap().len();
        match round {
            // In many places, in the heads and tables at the beginning, from one place to the end.
            0 | 1 => (0..40 * (1 + round)).for_each(|_| flip(&pack, numbers.below(size))),
            2 => (0..400).for_each(|at| flip(&pack, at)),
            3 => (numbers.below(size)..size).step_by(97).for_each(|at| flip(&pack, at)),
            4 => pack.set_len(numbers.below(size)).unwrap(),
            _ => pack.write_all_at(&[0xa5; 5000], size).unwrap(),
        }
        forget_runs(&runs);
        assert_eq!(results(folder, "runs", &[]), want, "round {round}");
        let filled = prepare(folder, "runs", &["--verify"]);
        let found = filled.as_array().unwrap().last().unwrap();
        assert_eq!(found["found"].as_u64().unwrap() + found["kept"].as_u64().unwrap(), 60, "round {round}: {filled}");
        let again = prepare(folder, "runs", &["--verify"]);
        assert_eq!(
            (&again[0]["damaged"], &again[0]["lost_bytes"], &again[1]["kept"]),
            (&0.into(), &0.into(), &0.into()),
            "{again}"
        );
    }
    // Nothing there at all.
    packs(&runs).iter().for_each(|pack| std::fs::remove_file(pack).unwrap());
    std::fs::write(runs.join(".cache/clips/1f-7.pack"), "").unwrap();
    forget_runs(&runs);
    assert_eq!(results(folder, "runs", &[]), want);
}

fn flip(file: &std::fs::File, at: u64) {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

#[test]
fn prepare_that_is_killed_ten_times_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (part, split) in ["train", "val", "test"].into_iter().enumerate() {
        for class in 0..5 {
            let place = |at: usize| folder.join(format!("frames/{split}/{split}_{class}/{at}"));
            (0..4).for_each(|at| clip(&place(at), class, 4 * part + at, 60));
        }
    }
    let started = Instant::now();
    prepare(folder, "once", &[]);
    let whole = started.elapsed();
    let mut numbers = Numbers(started.elapsed().as_nanos() as u64);
    let all = arguments("prepare", folder, "runs", &[]);
    for _ in 0..10 {
        let mut child = command(&words(&all)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(numbers.below(whole.as_micros() as u64)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let filled = prepare(folder, "runs", &[]);
    assert_eq!(filled[0]["found"].as_u64().unwrap() + filled[0]["kept"].as_u64().unwrap(), 60, "{filled}");
    let verified = prepare(folder, "runs", &["--verify"]);
    assert_eq!((&verified[0]["damaged"], &verified[1]["found"]), (&0.into(), &60.into()), "{verified}");
    assert_eq!(results(folder, "runs", &[]), decoded(folder));
}

#[test]
fn several_processes_fill_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let all = arguments("prepare", folder, "runs", &[]);
    let mut children: Vec<_> =
        (0..4).map(|_| command(&words(&all)).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()).collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let verified = prepare(folder, "runs", &["--verify"]);
    assert_eq!((&verified[0]["damaged"], &verified[1]["found"]), (&0.into(), &60.into()), "{verified}");
    assert_eq!(results(folder, "runs", &[]), decoded(folder));
}

#[test]
fn clips_without_room_are_decoded_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    // Half of them, 46 kB each.
    let limit = set("clip_store.limit_gb=0.0014");
    let told = ok(&words(&arguments("prepare", folder, "runs", &limit)));
    assert!(told.contains("are decoded whenever they are needed: there is no room"), "{told}");
    let size: u64 = packs(&folder.join("runs")).iter().map(|pack| pack.metadata().unwrap().len()).sum();
    assert!((1_000_000..=1_400_000).contains(&size), "{size}");
    assert_eq!(results(folder, "runs", &limit), decoded(folder));
    // A second time nothing is decoded to see that it can be.
    let again = prepare(folder, "runs", &limit);
    assert_eq!((&again[0]["kept"], &again[0]["clips"]), (&0.into(), &60.into()), "{again}");
    // What is new is looked at all the same.
    (0..3).for_each(|at| undecodable(&folder.join(format!("frames/test/test_class_{at}/new"))));
    let new = prepare(folder, "runs", &limit);
    assert_eq!(new[0]["broken"].as_array().unwrap().len(), 3, "{new}");
    // With room, all that can be are kept.
    let (found, kept) =
        (again[0]["found"].as_u64().unwrap(), prepare(folder, "runs", &[])[0]["kept"].as_u64().unwrap());
    assert!(0 < found && found < 60 && found + kept == 60, "{found} + {kept}");
}

#[test]
fn files_of_others_stay_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let store = folder.join("runs/.cache/clips");
    std::fs::create_dir_all(&store).unwrap();
    let elsewhere = folder.join("elsewhere");
    std::fs::write(&elsewhere, "of another program").unwrap();
    // A pack of git, a file with a name of ours and another content, links to files elsewhere, and a pipe.
    std::fs::write(store.join("pack-0123456789abcdef0123456789abcdef01234567.pack"), "PACK").unwrap();
    std::fs::write(store.join("1f-7.pack"), vec![b'x'; 100_000]).unwrap();
    std::os::unix::fs::symlink(&elsewhere, store.join("1f-8.pack")).unwrap();
    std::os::unix::fs::symlink(folder.join("made/through/a/link"), store.join("1f-9.pack")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(store.join("1f-10.pack")).status().unwrap().success());
    let others = || {
        let names = ["pack-0123456789abcdef0123456789abcdef01234567.pack", "1f-7.pack"];
        let read = |path: PathBuf| std::fs::read(path).unwrap();
        let own: Vec<Vec<u8>> = names.map(|name| read(store.join(name))).into();
        (
            own,
            read(elsewhere.clone()),
            std::fs::read_link(store.join("1f-8.pack")).unwrap(),
            folder.join("made").exists(),
        )
    };
    let before = others();
    let filled = prepare(folder, "runs", &["--verify"]);
    assert!(filled.as_array().unwrap().last().unwrap()["kept"] == 60, "{filled}");
    prepare(folder, "runs", &["--prune", "--yes"]);
    // Room is made by removing what nobody used for long: not that of others either.
    let old = std::time::SystemTime::now() - Duration::from_secs(86_400);
    OpenOptions::new().write(true).open(store.join("1f-7.pack")).unwrap().set_modified(old).unwrap();
    prepare(folder, "runs", &set("clip_store.limit_gb=0.0001"));
    results(folder, "runs", &[]);
    assert!(others() == before);
}

#[test]
fn what_a_recipe_does_not_use_goes_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    prepare(folder, "runs", &[]);
    let size = |told: &Value, of: &str| told[0][of].as_u64().unwrap();
    let none = prepare(folder, "runs", &["--prune"]);
    assert_eq!(size(&none, "removed"), 0, "{none}");
    prepare(folder, "runs", &set("resize={type: short_side, side: 20}"));
    let told = prepare(folder, "runs", &["--prune"]);
    assert!(size(&told, "removed") == 60 && size(&told, "bytes_after") < size(&told, "bytes_before"), "{told}");
    // It only told.
    assert_eq!(prepare(folder, "runs", &set("resize={type: short_side, side: 20}"))[0]["found"], 60);
    // What a killed prune leaves behind goes too.
    let part = packs(&folder.join("runs"))[0].with_extension("pack.part");
    std::fs::write(&part, [1; 4000]).unwrap();
    let done = prepare(folder, "runs", &["--prune", "--yes"]);
    assert!(!part.exists());
    assert_eq!(size(&done, "removed"), 60, "{done}");
    let on_disk: u64 = packs(&folder.join("runs")).iter().map(|pack| pack.metadata().unwrap().len()).sum();
    assert_eq!(on_disk, size(&done, "bytes_after"));
    assert_eq!(prepare(folder, "runs", &[])[0]["found"], 60);
    assert_eq!(results(folder, "runs", &[]), decoded(folder));
}

/// PNGs with a sound header and end, and nothing sensible between: only decoding shows it.
fn undecodable(folder: &Path) {
    std::fs::create_dir(folder).unwrap();
    let header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x30\0\0\0\x28\x08\x02\0\0\0\x37\xe5\xee\x26";
    let data = b"\0\0\0\x04IDATjunkjunk\0\0\0\0IEND\xaeB`\x82";
    (1..=8).for_each(|at| std::fs::write(folder.join(format!("{at}.png")), [&header[..], data].concat()).unwrap());
}

#[test]
fn clips_that_cannot_be_decoded_stop_or_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let bad = folder.join("frames/test/test_class_2/clip 1");
    std::fs::remove_dir_all(&bad).unwrap();
    undecodable(&bad);
    let strict = set("dataset.broken=fail");
    let clip = "test_class_2/clip 1";
    fails(1, &words(&arguments("prepare", folder, "strict", &strict)), &[clip, "damaged PNG", "dataset.broken=skip"]);
    fails(1, &words(&arguments("run", folder, "strict", &strict)), &[clip, "damaged PNG", "skipped_test.json"]);
    let told = prepare(folder, "runs", &[]);
    assert!(told[0]["broken"][0][0].as_str().unwrap().ends_with(clip), "{told}");
    results(folder, "runs", &[]);
    let manifest = find(&folder.join("runs"), "manifest.json").unwrap();
    assert!(manifest.contains("1 clip of split test left out"), "{manifest}");
    assert!(!find(&folder.join("runs"), "episodes.jsonl").unwrap().contains(clip));
}

#[test]
fn a_full_disk_ends_the_keeping_and_not_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let want = decoded(folder);
    let small = folder.join("small");
    std::fs::create_dir(&small).unwrap();
    let store = format!("clip_store.folder={}", small.display());
    let all = arguments("run", folder, "runs", &set(&store));
    let maclip = env!("CARGO_BIN_EXE_maclip");
    // Room for a third of the clips; then a file beside them takes what is left while there is none to spare.
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs '{small}' && export NO_COLOR=1\n\
         '{maclip}' {}; echo \"code: $?\"; ls -s '{small}'",
        quoted(&words(&all)),
        small = small.display(),
    );
    let Some(output) = with_mount(&small, &script) else { return };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("code: 0") && said.contains(".pack") && said.contains("nearly full"), "{said}");
    let found = ["train.jsonl", "validation.jsonl", "episodes.jsonl"].map(|file| find(&folder.join("runs"), file));
    assert_eq!(found, want);
    // Full to the last byte before anything is kept.
    let script = format!(
        "mount -t tmpfs -o size=1m tmpfs '{small}' && export NO_COLOR=1; cat /dev/zero > '{small}/other' 2>/dev/null\n\
         '{maclip}' {}; echo \"code: $?\"",
        quoted(&words(&arguments("prepare", folder, "runs", &set(&store)))),
        small = small.display(),
    );
    let output = with_mount(&small, &script).unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("code: 0") && said.contains("60 of 60 clips are decoded whenever"), "{said}");
}

#[test]
fn a_store_that_may_only_be_read_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tree(&folder.join("frames"));
    let want = decoded(folder);
    let store = folder.join("store");
    let keep = format!("clip_store.folder={}", store.display());
    prepare(folder, "runs", &set(&keep));
    let script = format!(
        "mount --bind '{store}' '{store}' && mount -o remount,ro,bind '{store}' && export NO_COLOR=1\n\
         '{maclip}' {}; echo \"code: $?\"",
        quoted(&words(&arguments("run", folder, "runs", &set(&keep)))),
        store = store.display(),
        maclip = env!("CARGO_BIN_EXE_maclip"),
    );
    let Some(output) = with_mount(&store, &script) else { return };
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("code: 0") && !said.contains("decode "), "{said}");
    let found = ["train.jsonl", "validation.jsonl", "episodes.jsonl"].map(|file| find(&folder.join("runs"), file));
    assert_eq!(found, want);
}

#[test]
fn what_has_no_clips_to_keep_says_so() {
    let told =
        ok(&["prepare", "recipes/quickstart.yaml", "--runs", tempfile::tempdir().unwrap().path().to_str().unwrap()]);
    assert!(told.contains("made by code"), "{told}");
    let off = ["prepare", "recipes/quickstart.yaml", "--set", "clip_store.use=false"];
    fails(1, &off, &["keeps no clips", "clip_store.use"]);
    let task = ["prepare", "recipes/pretrain/shapes_clip.yaml"];
    assert!(root().join(task[1]).is_file());
    fails(1, &task, &["decodes no clips"]);
}
