//! `maclip classify`: clips by examples, by names, in windows, with a trained run; and what it refuses.

mod common;

use common::own_clips::{ALL, OwnClips};
use common::{clip, command, fails, finish, ok, run_directory};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Names of the folders of examples; the text of the last is `wave hand`.
const CLASSES: [&str; 3] = ["jump", "run", "waveHand"];

struct Clips {
    folder: tempfile::TempDir,
}

impl Clips {
    /// Three classes of `shots` examples, and two new clips of each in `new`.
    fn new(shots: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (class, name) in CLASSES.iter().enumerate() {
            for number in 0..shots {
                clip(&folder.path().join(format!("support/{name}/clip {number}")), class, number, 8);
            }
            for number in 0..2 {
                clip(&folder.path().join(format!("new/{name} {number}")), class, 40 + number, 8);
            }
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// `classify` with the examples and `more`, of which words that begin with `@` are paths below the folder.
    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let own = |word: &&str| word.strip_prefix('@').map_or((*word).to_owned(), |name| self.path(name));
        ["classify", "--support", "@support", "--runs", "@runs"].iter().chain(more).map(own).collect()
    }

    fn json(&self, more: &[&str]) -> Value {
        let arguments = self.arguments(&[more, &["--json"]].concat());
        serde_json::from_str(&ok(&arguments.iter().map(String::as_str).collect::<Vec<_>>())).unwrap()
    }

    fn text(&self, more: &[&str]) -> String {
        ok(&self.arguments(more).iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn fails(&self, more: &[&str], words: &[&str]) {
        fails(1, &self.arguments(more).iter().map(String::as_str).collect::<Vec<_>>(), words);
    }
}

/// Whether the class that the answer names is in the clip's path.
fn right(query: &Value) -> bool {
    query["path"].as_str().unwrap().contains(query["predicted"].as_str().unwrap())
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    entries
        .flat_map(|entry| match entry.unwrap().path() {
            path if path.is_dir() => files(&path),
            path => vec![path],
        })
        .collect()
}

#[test]
fn new_clips_get_the_names_of_the_examples_folders() {
    let clips = Clips::new(4);
    let found = clips.json(&["@new"]);
    let queries = found["queries"].as_array().unwrap();
    assert_eq!(queries.len(), 6);
    assert!(queries.iter().all(right), "{found:#}");
    for query in queries {
        let classes = query["classes"].as_object().unwrap();
        let sum: f64 = classes.values().map(|value| value.as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9 && classes.len() == 3);
        assert_eq!(query["probability"], classes[query["predicted"].as_str().unwrap()]);
        assert!(query["probability"].as_f64() >= query["runner_up_probability"].as_f64());
        assert!(query["unknown"].is_boolean() && query["segments"].as_array().unwrap().is_empty());
    }
    let left_out = &found["leave_one_out"];
    assert_eq!((left_out["clips"].as_u64(), left_out["accuracy"].as_f64()), (Some(12), Some(1.0)));
    assert!(left_out["ci95"].as_f64().unwrap() > 0.1, "12 clips of 12 are no certainty");
    assert!(found["warnings"].as_array().unwrap().is_empty());

    // The second call takes the features of the examples from the first one, with the same answers.
    let kept = clips.folder.path().join("runs/.cache/classify");
    assert_eq!(files(&kept).len(), 12);
    assert_eq!(clips.json(&["@new"]), found);
    assert_eq!(files(&kept).len(), 12);
    // An example that changed is seen.
    clip(&clips.folder.path().join("support/run/clip 0"), 1, 77, 8);
    clips.json(&["@new"]);
    assert_eq!(files(&kept).len(), 13);

    let fitted = clips.json(&["@new", "--fit"]);
    assert!(fitted["queries"].as_array().unwrap().iter().all(right), "{fitted:#}");
    assert_ne!(fitted["queries"], found["queries"]);
    let csv = clips.text(&["@new", "--csv"]);
    assert_eq!(csv.lines().count(), 7);
    assert!(csv.starts_with("path,start,end,predicted,probability,unknown,runner_up,runner_up_probability\n"), "{csv}");
    let text = clips.text(&["@new/run 0"]);
    assert!(text.contains("leave one out") && text.contains("guessing gives 33.3 %"), "{text}");
}

#[test]
fn classes_may_have_different_numbers_of_examples_whatever_the_model_relates() {
    let clips = Clips::new(3);
    for number in 3..5 {
        clip(&clips.folder.path().join(format!("support/run/clip {number}")), 1, number, 8);
    }
    std::fs::remove_dir_all(clips.folder.path().join("support/jump/clip 1")).unwrap();
    for change in [
        "alignment={type: otam}",
        "alignment={type: bi_mhm, shots: joint}",
        "alignment={type: mean_cosine}",
        "frames={type: clip_fsar_segments, count: 4}",
    ] {
        let found = clips.json(&["@new", "--set", change]);
        assert_eq!(found["leave_one_out"]["clips"], 10, "{change}");
        assert_eq!(found, clips.json(&["@new", "--set", change]), "{change}: the same again");
        // What a clip is recognised as does not depend on the clips beside it.
        let alone = clips.json(&["@new/run 1", "--set", change]);
        let among =
            found["queries"].as_array().unwrap().iter().find(|q| q["path"] == alone["queries"][0]["path"]).unwrap();
        assert_eq!(among["predicted"], alone["queries"][0]["predicted"], "{change}");
        let difference = among["probability"].as_f64().unwrap() - alone["queries"][0]["probability"].as_f64().unwrap();
        assert!(difference.abs() < 1e-4, "{change}: {difference}");
    }
}

#[test]
fn what_is_none_of_the_classes_is_refused_and_examples_that_look_alike_are_told() {
    let clips = Clips::new(5);
    // Grey noise, unlike any example.
    let mut seed = 1u32;
    for t in 0..8 {
        let mut pixels = vec![0u8; 48 * 40 * 3];
        pixels.iter_mut().for_each(|value| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (seed >> 24) as u8;
        });
        let path = clips.folder.path().join(format!("noise/{t}.jpg"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        jpeg_encoder::Encoder::new_file(&path, 90)
            .unwrap()
            .encode(&pixels, 48, 40, jpeg_encoder::ColorType::Rgb)
            .unwrap();
    }
    let found = clips.json(&["@noise", "@new"]);
    assert_eq!(found["queries"][0]["unknown"], true, "{found:#}");
    let rates = &found["leave_one_out"]["none_of_these"];
    assert_eq!(rates["known_refused"].as_f64(), Some(1.0 / 16.0), "15 clips leave 16 places for a new one");
    assert!(rates["unknown_refused"]["clips"] == 15);
    assert!(clips.text(&["@noise"]).contains("none of these (nearest: "));

    // Examples of one kind under two names: nothing can tell them apart.
    for class in ["a", "b"] {
        for number in 0..6 {
            let at = if class == "a" { number } else { 6 + number };
            clip(&clips.folder.path().join(format!("alike/{class}/{number}")), 0, at * 7 % 12, 8);
        }
    }
    let arguments = ["classify", "--support", &clips.path("alike"), "--runs", &clips.path("runs")];
    let ran = finish(command(&arguments).output().unwrap());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot be told apart by this model"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn a_long_video_gets_a_timeline() {
    let clips = Clips::new(4);
    // 24 frames of the first class, then 40 of the third, at 8 frames a second.
    let long = clips.folder.path().join("long");
    let mut next = 0;
    for (class, parts) in [(0, 3), (2, 5)] {
        for part in 0..parts {
            let from = clips.folder.path().join("parts");
            clip(&from, class, 20 + part, 8);
            std::fs::create_dir_all(&long).unwrap();
            for t in 1..=8 {
                next += 1;
                std::fs::rename(from.join(format!("{t:08}.jpg")), long.join(format!("{next:08}.jpg"))).unwrap();
            }
        }
    }
    let windows = ["@long", "--window", "1s", "--stride", "0.5s", "--fps", "8", "--refuse", "0"];
    let found = clips.json(&windows);
    let segments = found["queries"][0]["segments"].as_array().unwrap();
    let at = |name: &str, from: f64, to: f64| -> f64 {
        let shared = |s: &Value| (s["end"].as_f64().unwrap().min(to) - s["start"].as_f64().unwrap().max(from)).max(0.0);
        segments.iter().filter(|s| s["predicted"] == name).map(shared).sum()
    };
    assert!(at("jump", 0.0, 3.0) >= 2.0 && at("waveHand", 3.0, 8.0) >= 4.0, "right within a window: {segments:#?}");
    assert_eq!((segments[0]["start"].as_f64(), segments[segments.len() - 1]["end"].as_f64()), (Some(0.0), Some(8.0)));
    assert!(segments.windows(2).all(|pair| pair[0]["end"] == pair[1]["start"]));
    assert_eq!(clips.text(&[&windows[..], &["--csv"]].concat()).lines().count(), segments.len() + 1);
    let srt = clips.text(&[&windows[..], &["--srt"]].concat());
    assert!(srt.starts_with("1\n00:00:00,000 --> "), "{srt}");
    let page = clips.path("page.html");
    clips.text(&[&windows[..], &["--html", "@page.html"]].concat());
    assert!(std::fs::read_to_string(page).unwrap().contains("aria-label=\"Timeline\""));

    clips.fails(&["@long", "--window", "1s"], &["no frame rate", "--fps"]);
    clips.fails(&["@long", "--window", "1s", "--stride", "2s", "--fps", "8"], &["longer than a window"]);
    clips.fails(&["@new", "--window", "1s", "--fps", "8", "--srt"], &["one video", "6 clips"]);
}

#[test]
fn a_trained_run_recognises_with_its_weights() {
    let clips = Clips::new(3);
    let own = OwnClips::new(&ALL, "");
    ok(&own.run(&["--set", "name=mine"]));
    let run = run_directory(Path::new(&own.runs), "mine", "default");
    let found = clips.json(&["@new", "--run", run.to_str().unwrap()]);
    assert_eq!(found["queries"].as_array().unwrap().len(), 6);
    // Its adapters change the answers of the same recipe without them.
    let plain = clips.json(&["@new", "--recipe", &own.recipe, "--set", "adapter={type: none}"]);
    assert_ne!(found["queries"], plain["queries"]);

    clips.fails(&["@new", "--recipe", &own.recipe], &["no trained weights", "--run DIR"]);
    let refused = clips.arguments(&["@new", "--run", run.to_str().unwrap(), "--set", "alignment.lambda=1"]);
    fails(2, &refused.iter().map(String::as_str).collect::<Vec<_>>(), &["alignment.lambda", "`device`"]);
    clips.fails(&["@new", "--recipe", "recipes/quickstart.yaml"], &["is a study of frozen_clip, ma_clip", "--variant"]);
    let frozen = clips.json(&["@new", "--recipe", "recipes/quickstart.yaml", "--variant", "frozen_clip"]);
    assert_eq!(frozen["queries"].as_array().unwrap().len(), 6);
}

#[test]
fn names_alone_are_enough_with_a_text_tower() {
    let clips = Clips::new(1);
    let new = clips.path("new");
    let out = ok(&["classify", &new, "--classes", "a disc moving left,a cup spinning", "--json"]);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["queries"].as_array().unwrap().len(), 6);
    assert_eq!(found["queries"][0]["classes"].as_object().unwrap().len(), 2);
    assert!(found["leave_one_out"].is_null());
    fails(1, &["classify", &new, "--classes", "one"], &["two names"]);
    fails(1, &["classify", "--classes", "a,b"], &["no clip to recognise"]);
}

#[test]
fn examples_that_cannot_be_used_are_told_with_the_way_out() {
    let clips = Clips::new(1);
    let ran =
        finish(command(&clips.arguments(&["@new"]).iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap());
    assert!(ran.code == Some(0) && ran.stderr.contains("every class has one example"), "{}", ran.stderr);
    let one = |support: &str, words: &[&str]| {
        fails(1, &["classify", "--support", &clips.path(support), &clips.path("new")], words);
    };
    one("new", &["the class folder", "a folder of its own"]);
    one("support/run", &["class folder", "holds"]);
    one("gone", &["gone"]);
    clip(&clips.folder.path().join("copies/a/1"), 0, 0, 8);
    clip(&clips.folder.path().join("copies/b/2"), 0, 0, 8);
    one("copies", &["copies/a/1", "the same clip"]);
    clip(&clips.folder.path().join("single/only/1"), 0, 0, 8);
    one("single", &["two classes at least", "there is one (only)"]);
    std::fs::write(clips.path("list.csv"), "path,class\nsupport/run/clip 0,run\nsupport/gone,jump\n").unwrap();
    one("list.csv", &["list.csv:3", "there is no clip"]);
    std::fs::write(clips.path("list.csv"), "support/run/clip 0,run\nsupport/jump/clip 0,jump\n").unwrap();
    ok(&["classify", "--support", &clips.path("list.csv"), &clips.path("new"), "--runs", &clips.path("runs")]);
    clips.fails(&["@gone"], &["there is no clip"]);
    std::fs::write(clips.path("text.mp4"), "not a video").unwrap();
    clips.fails(&["@text.mp4"], &["text.mp4"]);
    clips.fails(&["@new", "--weights", "gone.safetensors"], &["gone.safetensors"]);
    // One clip that breaks costs the others nothing.
    std::fs::write(clips.path("new/run 0/00000003.jpg"), "no picture").unwrap();
    let arguments = clips.arguments(&["@new", "--json"]);
    let ran = finish(command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap());
    let found: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, found["queries"].as_array().unwrap().len()), (Some(1), 5), "{}", ran.stderr);
    assert!(found["failed"][0]["path"].as_str().unwrap().ends_with("run 0"), "{found:#}");
}

#[test]
fn a_page_is_written_over_no_device_and_no_clip() {
    let clips = Clips::new(2);
    clips.fails(&["@new", "--html", "@gone/page.html"], &["there is no folder"]);
    let pipe = clips.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    clips.fails(&["@new", "--html", "@pipe"], &["a pipe or a device"]);
    clips.fails(&["@new", "--html", "@new"], &["a folder"]);
    std::os::unix::fs::symlink(clips.path("page.html"), clips.path("link.html")).unwrap();
    clips.text(&["@new", "--html", "@link.html"]);
    assert!(Path::new(&clips.path("link.html")).is_symlink() && Path::new(&clips.path("page.html")).is_file());
}

#[test]
fn the_page_shows_frames_the_nearest_example_and_the_alignment() {
    let clips = Clips::new(3);
    clips.text(&["@new/run 0", "@new/jump 1", "--html", "@page.html"]);
    // A template writes a slash as an entity.
    let page = std::fs::read_to_string(clips.path("page.html")).unwrap().replace("&#x2f;", "/");
    assert_eq!(page.matches("data:image/jpeg;base64,").count(), 4);
    for word in ["nearest example of", "This clip against run", "Reliability", "left out once each", "<svg"] {
        assert!(page.contains(word), "{word}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("href=\"http"), "it needs no other file");
}
