//! Weights by name, `hf:OWNER/NAME`: fetched from a hub on loopback, run from its cache, and what is refused.

mod common;

use common::hub::{Asked, COMMIT, Hub, REPOSITORY, TOKEN, WEIGHTS};
use common::{Ran, SMALL, clip, command, fails, ok, run_directory};
use safetensors::SafeTensors;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::process::Stdio;

const SOURCE: &str = "hf:test/tiny-clip";

/// A folder for the cache and for runs.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The value of HF_HOME.
    fn path(&self) -> PathBuf {
        self.0.path().join("home")
    }

    fn repository(&self) -> PathBuf {
        self.path().join("hub/models--test--tiny-clip")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    fn runs(&self) -> String {
        self.0.path().join("runs").to_str().unwrap().to_owned()
    }

    /// Files of the repository that are no links.
    fn blobs(&self) -> Vec<String> {
        let Ok(entries) = self.repository().join("blobs").read_dir() else { return Vec::new() };
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Expects exit 1 and the words on standard error.
fn refused(ran: &Ran, words: &[&str]) {
    assert_eq!(ran.code, Some(1), "{}\n{}", ran.stdout, ran.stderr);
    for word in words {
        assert!(ran.stderr.contains(word), "`{word}` is not in:\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
}

fn good(ran: &Ran) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.stdout, ran.stderr);
}

/// The questions for bytes of large files.
fn of_store(asked: &[Asked]) -> Vec<Option<usize>> {
    asked.iter().filter(|asked| asked.store).map(|asked| asked.from).collect()
}

/// A few steps and episodes with the weights of the hub, frozen.
fn small_run(runs: &str) -> Vec<&str> {
    let mut arguments = vec!["run", "recipes/quickstart.yaml", "--runs", runs, "--only", "frozen_clip"];
    arguments.extend(SMALL);
    arguments.extend(["--set", "backbone.weights=hf:test/tiny-clip"]);
    arguments
}

#[test]
fn weights_are_fetched_and_then_run_from_the_cache_without_the_server() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let ran = hub.maclip(&home.path(), &["weights", "fetch", SOURCE, "--json"]);
    good(&ran);
    let said: Value = serde_json::from_str(&ran.stdout).unwrap();
    let sum = hub.sha256(WEIGHTS);
    let pinned = format!("{SOURCE}@{COMMIT}/{WEIGHTS}");
    assert_eq!(said["pinned"], Value::from(pinned.clone()));
    assert_eq!(said["path"].as_str(), home.snapshot().to_str());
    assert_eq!(said["files"][0]["sha256"], Value::from(sum.clone()));
    // The layout of Python's library: links to blobs, the commit of the branch, and what the repository has not.
    assert_eq!(std::fs::read_link(home.snapshot().join(WEIGHTS)).unwrap(), Path::new("../../blobs").join(&sum));
    assert_eq!(std::fs::read_to_string(home.repository().join("refs/main")).unwrap(), COMMIT);
    let absent = home.repository().join(".no_exist").join(COMMIT);
    assert!(absent.join("config.json").is_file() && absent.join("preprocessor_config.json").is_file());
    assert!(!home.snapshot().join("README.md").exists(), "only what is read is fetched");
    // What is there is not fetched again.
    hub.asked();
    good(&hub.maclip(&home.path(), &["weights", "fetch", SOURCE]));
    assert_eq!(of_store(&hub.asked()), []);

    let endpoint = hub.endpoint.clone();
    drop(hub);
    let gone = |arguments: &[&str], offline: bool| {
        let mut command = command(arguments);
        command.env("HF_HOME", home.path()).env("HF_ENDPOINT", &endpoint);
        if offline {
            command.env("HF_HUB_OFFLINE", "1");
        }
        common::finish(command.output().unwrap())
    };
    let runs = home.runs();
    good(&gone(&small_run(&runs), true));
    let run = run_directory(Path::new(&runs), "quickstart", "frozen_clip");
    let manifest: Value = serde_json::from_slice(&std::fs::read(run.join("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["weights"][SOURCE], Value::from(sum.clone()));
    assert_eq!(manifest["pinned"][SOURCE], Value::from(pinned.clone()));
    // The config decided the heads; it has an address too, so that another machine with another cache is no other run.
    assert!(manifest["weights"][format!("{SOURCE}/open_clip_config.json")].is_string(), "{manifest:#}");
    assert_eq!(manifest["settings"]["backbone.vision_heads"], "4 (open_clip_config.json)");
    assert!(ok(&["runs", "show", run.to_str().unwrap()]).contains(&pinned));
    let inspected = gone(&["weights", "inspect", SOURCE, "--json"], false);
    good(&inspected);
    let found: Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!((&found["pinned"], &found["sha256"]), (&Value::from(pinned.clone()), &Value::from(sum)));
    // The address of this very content is the same weights.
    good(&gone(&["weights", "inspect", &pinned], true));
    // A run that is done needs neither the network nor the cache.
    std::fs::remove_dir_all(home.path()).unwrap();
    let again = gone(&small_run(&runs), true);
    good(&again);
    assert!(again.stderr.contains("done already") && again.stderr.contains("is not in the cache"), "{}", again.stderr);
}

#[test]
fn a_run_fetches_what_it_needs_and_a_check_does_not() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let runs = home.runs();
    let set = ["recipes/quickstart.yaml", "--set", "backbone.weights=hf:test/tiny-clip"];
    let valid = hub.maclip(&home.path(), &[&["validate"], &set[..]].concat());
    good(&valid);
    assert!(
        valid.stdout.contains("is not here yet") && valid.stdout.contains("maclip weights fetch hf:test/tiny-clip")
    );
    let json = hub.maclip(&home.path(), &[&["validate", "--json"], &set[..]].concat());
    assert!(json.stdout.contains(r#""not_fetched":["hf:test/tiny-clip"]"#), "{}", json.stdout);
    let deep = hub.maclip(&home.path(), &[&["validate", "--deep", "--runs", &runs], &set[..]].concat());
    assert_eq!(deep.code, Some(2), "{}", deep.stderr);
    assert!(deep.stderr.contains("maclip weights fetch hf:test/tiny-clip"), "{}", deep.stderr);
    refused(&hub.maclip(&home.path(), &[&["plan"], &set[..]].concat()), &["maclip weights fetch hf:test/tiny-clip"]);
    let mut offline = hub.command(&home.path(), &small_run(&runs));
    let offline = common::finish(offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    refused(
        &offline,
        &["is not in the cache", "`maclip weights fetch hf:test/tiny-clip` fetches it, without HF_HUB_OFFLINE"],
    );
    assert!(hub.asked().is_empty(), "none of these uses the network");

    let ran = hub.maclip(&home.path(), &small_run(&runs));
    good(&ran);
    assert!(ran.stderr.contains(WEIGHTS) && ran.stderr.contains("MB) of test/tiny-clip"), "{}", ran.stderr);
    let asked = hub.asked();
    assert_eq!(of_store(&asked), [None]);
    assert_eq!(asked.iter().filter(|asked| asked.path.starts_with("/api/")).count(), 1);
    good(&hub.maclip(&home.path(), &small_run(&runs)));
    assert!(hub.asked().is_empty(), "what is in the cache is not asked for");

    for (at, name) in ["jump", "run"].into_iter().enumerate() {
        for number in 0..3 {
            clip(&home.0.path().join(format!("support/{name}/{number}")), at, number, 8);
        }
    }
    let support = home.0.path().join("support");
    let (new, support) = (support.join("jump/0"), support.to_str().unwrap().to_owned());
    let other = Home::new();
    let classify =
        ["classify", "--support", &support, "--runs", &runs, "--weights", SOURCE, "--json", new.to_str().unwrap()];
    let answer = hub.maclip(&other.path(), &classify);
    good(&answer);
    assert!(serde_json::from_str::<Value>(&answer.stdout).unwrap()["queries"][0]["predicted"].is_string());
    assert_eq!(of_store(&hub.asked()), [None]);
}

#[test]
fn a_broken_connection_is_continued_and_a_damaged_file_refused() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let fetch = ["weights", "fetch", SOURCE];
    let part = home.repository().join("blobs").join(format!("{}.incomplete", hub.sha256(WEIGHTS)));
    // As often as it takes until the program gives up.
    hub.mood().cut = Some((700_000, 1));
    hub.mood().refuse = None;
    let cut_once = hub.maclip(&home.path(), &fetch);
    good(&cut_once);
    assert!(cut_once.stderr.contains("going on after 700 kB"), "{}", cut_once.stderr);
    assert_eq!(of_store(&hub.asked()), [None, Some(700_000)]);

    let home = Home::new();
    let part_of = |home: &Home| home.repository().join("blobs").join(part.file_name().unwrap());
    hub.mood().cut = Some((0, usize::MAX));
    std::fs::create_dir_all(part_of(&home).parent().unwrap()).unwrap();
    std::fs::write(part_of(&home), &common::hub::tiny_clip()[..500_000]).unwrap();
    refused(&hub.maclip(&home.path(), &fetch), &["the connection ended", "the same command goes on from there"]);
    assert_eq!(std::fs::metadata(part_of(&home)).unwrap().len(), 500_000, "the part stays");
    assert!(!home.snapshot().join(WEIGHTS).exists() && !home.repository().join("refs/main").exists());
    hub.asked();
    hub.mood().cut = None;
    let continued = hub.maclip(&home.path(), &fetch);
    good(&continued);
    assert!(
        continued.stderr.contains("500 kB of open_clip_model.safetensors are here already"),
        "{}",
        continued.stderr
    );
    assert_eq!(of_store(&hub.asked()), [Some(500_000)]);
    assert!(!part_of(&home).exists());

    // A part of something else, and a server that gives no parts.
    for (no_parts, asked) in [(false, vec![Some(9), None]), (true, vec![Some(9)])] {
        let home = Home::new();
        std::fs::create_dir_all(part_of(&home).parent().unwrap()).unwrap();
        std::fs::write(part_of(&home), b"something").unwrap();
        hub.mood().no_parts = no_parts;
        good(&hub.maclip(&home.path(), &fetch));
        assert_eq!(of_store(&hub.asked()), asked, "no parts: {no_parts}");
        let whole = std::fs::read(home.snapshot().join(WEIGHTS)).unwrap();
        assert!(whole == common::hub::tiny_clip(), "the bytes of the file");
    }
    hub.mood().no_parts = false;

    let home = Home::new();
    hub.mood().damaged = true;
    let damaged = hub.maclip(&home.path(), &fetch);
    refused(&damaged, &["is damaged", &hub.sha256(WEIGHTS), "nothing of it was kept"]);
    assert_eq!(home.blobs(), Vec::<String>::new());
    assert!(!home.snapshot().exists());

    // A blob that was damaged later: reading it says so, and fetching mends it.
    hub.mood().damaged = false;
    good(&hub.maclip(&home.path(), &fetch));
    let blob = home.repository().join("blobs").join(hub.sha256(WEIGHTS));
    let mut bytes = std::fs::read(&blob).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    std::fs::write(&blob, bytes).unwrap();
    refused(
        &hub.maclip(&home.path(), &["weights", "inspect", SOURCE]),
        &["is damaged: its checksum is", "fetches it again"],
    );
    let mended = hub.maclip(&home.path(), &fetch);
    good(&mended);
    assert!(mended.stderr.contains("is damaged, and is fetched again"), "{}", mended.stderr);
    good(&hub.maclip(&home.path(), &["weights", "inspect", SOURCE]));
}

#[test]
fn a_run_keeps_its_weights_when_the_branch_moves() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let runs = home.runs();
    good(&hub.maclip(&home.path(), &small_run(&runs)));
    let run = run_directory(Path::new(&runs), "quickstart", "frozen_clip");
    let run = run.to_str().unwrap();
    drop(hub);
    // As Python does it, which has fetched a config of the new commit alone.
    let moved = "d".repeat(40);
    std::fs::write(home.repository().join("refs/main"), &moved).unwrap();
    std::fs::create_dir_all(home.repository().join("snapshots").join(&moved)).unwrap();
    let offline = |arguments: &[&str]| {
        let mut command = command(arguments);
        common::finish(command.env("HF_HOME", home.path()).env("HF_HUB_OFFLINE", "1").output().unwrap())
    };
    for again in [&["verify", run][..], &["test", run, "--set", "task.test.seed=7"], &small_run(&runs)] {
        let ran = offline(again);
        good(&ran);
        if again[0] != "run" {
            let told = format!("hf:test/tiny-clip is another commit now; the run was made of {SOURCE}@{COMMIT}/");
            assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        }
    }
    // Also a test that was stopped before it had noted what it reads.
    let folder = Path::new(&runs).join("quickstart");
    let tested = folder.read_dir().unwrap().map(|entry| entry.unwrap().path());
    let tested = tested.filter(|path| path.join("status.json").exists()).find(|path| path != Path::new(run)).unwrap();
    std::fs::remove_file(tested.join("status.json")).unwrap();
    let manifest = tested.join("manifest.json");
    let mut content: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert!(content["pinned"][SOURCE].as_str().unwrap().contains(COMMIT));
    content["pinned"] = serde_json::json!({});
    std::fs::write(&manifest, content.to_string()).unwrap();
    good(&offline(&["test", run, "--set", "task.test.seed=7"]));
    let content: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert!(content["pinned"][SOURCE].as_str().unwrap().contains(COMMIT), "{content:#}");
    // A new run is of what the branch is now.
    let other = home.0.path().join("other").to_str().unwrap().to_owned();
    refused(&offline(&small_run(&other)), &["hf:test/tiny-clip is not in the cache"]);
}

#[test]
fn an_address_is_the_same_file_whatever_the_cache_has() {
    let mut other = common::hub::tiny_clip();
    *other.last_mut().unwrap() ^= 1;
    let files = [
        (WEIGHTS, common::hub::tiny_clip()),
        ("finetuned.safetensors", other),
        ("open_clip_config.json", common::hub::config()),
    ];
    let (hub, home) = (Hub::new(&files), Home::new());
    let sum = |ran: &Ran| {
        good(ran);
        serde_json::from_str::<Value>(&ran.stdout).unwrap()["sha256"].as_str().unwrap().to_owned()
    };
    let inspect = ["weights", "inspect", SOURCE, "--json"];
    good(&hub.maclip(&home.path(), &["weights", "fetch", &format!("{SOURCE}/finetuned.safetensors")]));
    let mut offline = hub.command(&home.path(), &inspect);
    let offline = common::finish(offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert_eq!(sum(&offline), hub.sha256("finetuned.safetensors"));
    assert!(offline.stdout.contains("which would come first, is not known"), "{}", offline.stdout);
    assert_eq!(sum(&hub.maclip(&home.path(), &inspect)), hub.sha256(WEIGHTS));
    // Now it is known, and nobody is asked again.
    hub.asked();
    assert_eq!(sum(&hub.maclip(&home.path(), &inspect)), hub.sha256(WEIGHTS));
    assert!(hub.asked().is_empty());
}

#[test]
fn two_at_once_fetch_one_file_once() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let both = [(); 2].map(|()| {
        let mut command = hub.command(&home.path(), &["weights", "fetch", SOURCE]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    });
    for child in both {
        good(&common::finish(child.wait_with_output().unwrap()));
    }
    assert_eq!(of_store(&hub.asked()), [None]);
}

#[test]
fn weights_in_several_files_are_fetched_with_their_index() {
    let whole = common::hub::tiny_clip();
    let whole = SafeTensors::deserialize(&whole).unwrap();
    let file = |name: &str| if name.starts_with("visual.") { "model-1.safetensors" } else { "model-2.safetensors" };
    let shard = |shard: &str| {
        let views = whole.tensors().into_iter().filter(|(name, _)| file(name) == shard);
        safetensors::serialize(views, None).unwrap()
    };
    let map: Value =
        whole.names().iter().map(|name| ((*name).to_owned(), file(name).into())).collect::<Map<_, _>>().into();
    let files = [
        ("model.safetensors.index.json", serde_json::json!({ "weight_map": map }).to_string().into_bytes()),
        ("model-1.safetensors", shard("model-1.safetensors")),
        ("model-2.safetensors", shard("model-2.safetensors")),
        ("open_clip_config.json", common::hub::config()),
    ];
    let (hub, home) = (Hub::new(&files), Home::new());
    let inspected = hub.maclip(&home.path(), &["weights", "inspect", SOURCE]);
    good(&inspected);
    assert!(inspected.stdout.contains("safetensors in several files"), "{}", inspected.stdout);
    assert_eq!(of_store(&hub.asked()).len(), 2);
    let second = home.snapshot().join("model-2.safetensors");
    let mut damaged = std::fs::read(&second).unwrap();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(&second, damaged).unwrap();
    refused(
        &hub.maclip(&home.path(), &["weights", "inspect", SOURCE]),
        &["model-2.safetensors is damaged", "fetches it again"],
    );
    good(&hub.maclip(&home.path(), &["weights", "fetch", SOURCE]));
    // Without one of them, the weights are not there.
    std::fs::remove_file(home.snapshot().join("model-2.safetensors")).unwrap();
    good(&hub.maclip(&home.path(), &["weights", "inspect", SOURCE]));
    assert_eq!(of_store(&hub.asked()), [None], "its blob was there, but for the damaged one");
    assert!(home.snapshot().join("model-2.safetensors").exists());
}

#[test]
fn a_refusal_is_said_in_words_with_the_way_out() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    let fetch = |source: &str| hub.maclip(&home.path(), &["weights", "fetch", source]);
    let page = format!("{}/{REPOSITORY}", hub.endpoint);
    for (status, code, words) in [
        (401, "", vec!["HTTP 401 Unauthorized", "needs a token, or there is no such repository", "HF_TOKEN", &page]),
        (403, "GatedRepo", vec!["HTTP 403 Forbidden", "accepted its licence", "accept it at", &page]),
        (404, "RepoNotFound", vec!["HTTP 404 Not Found", "there is no repository test/tiny-clip"]),
        (500, "", vec!["HTTP 500 Internal Server Error", "a fault of its own", "try again later"]),
        (429, "", vec!["HTTP 429 Too Many Requests", "asks to wait"]),
    ] {
        hub.mood().refuse = Some((status, code));
        hub.asked();
        refused(&fetch(SOURCE), &words);
        let asked = hub.asked().len();
        // What may pass is asked for again, and nothing else is.
        assert_eq!(asked > 1, status == 500 || status == 429, "{status}: asked {asked} times");
    }
    let mut with_token = hub.command(&home.path(), &["weights", "fetch", SOURCE]);
    hub.mood().refuse = Some((401, ""));
    let with_token = common::finish(with_token.env("HF_TOKEN", TOKEN).output().unwrap());
    refused(&with_token, &["the token of HF_TOKEN may not read test/tiny-clip"]);
    assert!(!with_token.stderr.contains(TOKEN), "{}", with_token.stderr);
    hub.mood().refuse = None;
    refused(&fetch("hf:test/tiny-clip@v9"), &["test/tiny-clip has no revision v9"]);
    refused(&fetch("hf:test/tiny-clip@work/new"), &["has no revision work", "write `work%2Fnew`"]);
    for status in [403, 404] {
        hub.mood().store_refuses = Some(status);
        let ran = fetch(SOURCE);
        refused(&ran, &["where the hub keeps open_clip_model.safetensors, does not give it", &status.to_string()]);
        assert!(!ran.stderr.contains("HF_TOKEN"), "{}", ran.stderr);
    }
    hub.mood().store_refuses = None;
    refused(&fetch("hf:test/tiny-clip/gone.bin"), &["has no file gone.bin", WEIGHTS]);
    refused(&fetch("hf:test/other"), &["HTTP 404"]);
    good(&fetch("hf:test/tiny-clip@v1/open_clip_model.safetensors"));
    assert!(home.repository().join("refs/v1").is_file() && !home.repository().join("refs/main").exists());
    let with = |name: &str, value: &str| {
        let mut command = hub.command(&home.path(), &["weights", "fetch", SOURCE]);
        common::finish(command.env(name, value).output().unwrap())
    };
    refused(&with("http_proxy", "garbage::x"), &["http_proxy is no proxy that can be used"]);
    refused(&with("HF_TOKEN", "two\nlines"), &["the token of HF_TOKEN has a character", "hf auth login"]);
    // It is for https, and this hub is not.
    good(&with("HTTPS_PROXY", "http://127.0.0.1:1"));
    // What is here already is no network's business.
    good(&with("HF_HUB_OFFLINE", "1"));
    let endpoint = hub.endpoint.clone();
    drop(hub);
    let run = |endpoint: &str, name: &str| {
        let mut command = command(&["weights", "fetch", name]);
        common::finish(command.env("HF_HOME", home.path()).env("HF_ENDPOINT", endpoint).output().unwrap())
    };
    refused(&run(&endpoint, SOURCE), &["cannot reach http://127.0.0.1", "check the network"]);
    refused(&run("nowhere", SOURCE), &["HF_ENDPOINT is `nowhere`"]);
}

#[test]
fn a_token_goes_to_the_hub_and_not_to_the_place_of_its_files() {
    let hub = Hub::with_clip();
    let of = |home: &Home, variable: Option<&str>| {
        let mut command = hub.command(&home.path(), &["weights", "fetch", SOURCE]);
        command.envs(variable.map(|value| ("HF_TOKEN", value)));
        let ran = common::finish(command.output().unwrap());
        good(&ran);
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN));
        let (store, own): (Vec<Asked>, Vec<Asked>) = hub.asked().into_iter().partition(|asked| asked.store);
        assert!(!store.is_empty() && store.iter().all(|asked| asked.authorization.is_none()), "{store:?}");
        let mut sent: Vec<Option<String>> = own.into_iter().map(|asked| asked.authorization).collect();
        sent.dedup();
        sent
    };
    assert_eq!(of(&Home::new(), None), [None]);
    assert_eq!(of(&Home::new(), Some(TOKEN)), [Some(format!("Bearer {TOKEN}"))]);
    let home = Home::new();
    std::fs::create_dir_all(home.path()).unwrap();
    std::fs::write(home.path().join("token"), "hf_of_the_login\n").unwrap();
    assert_eq!(of(&home, None), [Some("Bearer hf_of_the_login".to_owned())]);
}

#[test]
fn a_cache_with_the_weights_alone_is_used_and_completed() {
    let (hub, home) = (Hub::with_clip(), Home::new());
    // As `hf_hub_download(…, "open_clip_model.safetensors")` leaves it.
    let (sum, repository) = (hub.sha256(WEIGHTS), home.repository());
    for folder in ["blobs", "refs"] {
        std::fs::create_dir_all(repository.join(folder)).unwrap();
    }
    std::fs::create_dir_all(home.snapshot()).unwrap();
    std::fs::write(repository.join("refs/main"), COMMIT).unwrap();
    std::fs::write(repository.join("blobs").join(&sum), common::hub::tiny_clip()).unwrap();
    std::os::unix::fs::symlink(Path::new("../../blobs").join(&sum), home.snapshot().join(WEIGHTS)).unwrap();
    let mut offline = hub.command(&home.path(), &["weights", "inspect", SOURCE]);
    let offline = common::finish(offline.env("HF_HUB_OFFLINE", "1").output().unwrap());
    // Without the config, nothing says the heads, and width / 64 is none.
    assert_eq!(offline.code, Some(1), "{}\n{}", offline.stdout, offline.stderr);
    assert!(offline.stdout.contains("was read without config.json, open_clip_config.json"), "{}", offline.stdout);
    let ran = hub.maclip(&home.path(), &["weights", "inspect", SOURCE]);
    good(&ran);
    assert!(ran.stdout.contains("open_clip_config.json"), "{}", ran.stdout);
    assert_eq!(of_store(&hub.asked()), [], "the weights are not fetched again");
    assert!(home.snapshot().join("open_clip_config.json").is_file());
}

#[test]
fn the_list_names_weights_that_recipes_take() {
    let listed: Value = serde_json::from_str(&ok(&["weights", "list", "--json"])).unwrap();
    let all = listed["weights"].as_array().unwrap();
    let b16 = all.iter().find(|known| known["weights"] == "hf:openai/clip-vit-base-patch16").unwrap();
    assert_eq!((&b16["parameters"], &b16["image_size"]), (&Value::from(149_620_737), &Value::from(224)));
    assert_eq!((&b16["repository"], &b16["licence"]), (&"openai/clip-vit-base-patch16".into(), &"MIT".into()));
    for owner in ["openai/", "laion/", "wkcn/TinyCLIP"] {
        assert!(all.iter().any(|known| known["repository"].as_str().unwrap().starts_with(owner)), "{owner}");
    }
    let table = ok(&["weights", "list"]);
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("ViT-B/16") && table.contains("151 M") && table.contains("DataComp"), "{table}");
    // Their sizes are known without a file.
    for known in all.iter().filter(|known| known["backbone"] == "clip_vit") {
        let set = format!("backbone.weights={}", known["weights"].as_str().unwrap());
        let plan: Value =
            serde_json::from_str(&ok(&["plan", "recipes/methods/frozen_clip.yaml", "--json", "--set", &set])).unwrap();
        assert_eq!(plan["plans"][0]["plan"]["params"]["total"], known["parameters"], "{set}");
    }
    for (written, meant) in
        [("ViT-B-16-openai", "hf:openai/clip-vit-base-patch16"), ("openai/clip-vit-base", "hf:openai/clip-vit-base")]
    {
        fails(1, &["weights", "inspect", written], &["No such file", &format!("write `{meant}`")]);
    }
    fails(2, &["weights", "fetch", "ViT-B-16-opnai"], &["ViT-B-16-openai", "maclip weights list"]);
}

#[test]
fn a_recipe_without_weights_says_how_to_get_them_in_one_line() {
    let said = fails(2, &["validate", "recipes/kinetics_5w5s.yaml"], &["CLIP_WEIGHTS"]);
    let line = said.lines().find(|line| line.contains("`weights` is missing")).unwrap();
    assert!(line.contains("`hf:openai/clip-vit-base-patch16`, which is fetched"), "{line}");
    let b32 = fails(2, &["validate", "recipes/benchmarks/kinetics_5w1s_b32.yaml"], &["CLIP_B32_WEIGHTS"]);
    assert!(b32.contains("hf:openai/clip-vit-base-patch32"), "{b32}");
    let wrong = ["validate", "recipes/quickstart.yaml", "--set", "backbone.weights=hf:clip"];
    fails(2, &wrong, &["is no address on the hub", "hf:OWNER/NAME"]);
}
