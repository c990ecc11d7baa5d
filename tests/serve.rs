//! `maclip serve`: classes and answers over HTTP, what is refused, many requests at once, and the page in a browser.

mod common;

use common::needs::no_ffmpeg;
use common::scripts::asked;
use common::videos::{CLASSES, videos, write_marked};
use common::{command, fails, ok};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A folder with two examples of each class, `support/a/0.mp4`, and a new clip of each, `new/a.mp4`.
struct Clips {
    folder: tempfile::TempDir,
}

const NAMES: [&str; CLASSES] = ["a", "b", "c", "d", "e"];

impl Clips {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (video, name) in videos(folder.path()).iter().zip(NAMES) {
            for number in 0..2 {
                let path = folder.path().join(format!("support/{name}/{number}.mp4"));
                write_marked(&path, video, &format!("{name}{number}"));
            }
            write_marked(&folder.path().join(format!("new/{name}.mp4")), video, "new");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A server that ends with the test.
struct Server {
    child: Child,
    address: String,
    /// Where it keeps what is sent.
    temporary: tempfile::TempDir,
}

impl Server {
    fn start(clips: &Clips, more: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let runs = clips.path("runs");
        let words = [&["serve", "--port", "0", "--runs", runs.to_str().unwrap()], more].concat();
        let mut command = command(&words);
        command.env("TMPDIR", temporary.path()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").expect("an address").to_owned();
        Self { child, address, temporary }
    }

    fn send(&self, head: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        let host = if head.contains("Host:") { String::new() } else { format!("Host: {}\r\n", self.address) };
        let (request, headers) = head.split_once('\n').unwrap_or((head, ""));
        let head =
            format!("{request} HTTP/1.1\r\n{host}{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        assert!(!head.to_lowercase().contains("transfer-encoding: chunked"), "{head}");
        (status, answer[end + 4..].to_vec())
    }

    fn json(&self, head: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.send(head, body);
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&body))))
    }

    /// The query of this number, once it has this state.
    fn query(&self, id: u64, state: &str) -> Value {
        let began = Instant::now();
        loop {
            let (_, now) = self.json(&format!("GET /api/queries/{id}"), b"");
            if now["state"] == state {
                return now;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "{now}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// `POST path` with one file.
    fn post(&self, path: &str, name: &str, bytes: &[u8]) -> (u16, Value) {
        self.post_all(path, &[(name, bytes)])
    }

    /// `POST path` with several files.
    fn post_all(&self, path: &str, files: &[(&str, &[u8])]) -> (u16, Value) {
        let head = format!("POST {path}\nContent-Type: multipart/form-data; boundary=ENDS\r\n");
        let mut body = Vec::new();
        for (name, bytes) in files {
            let first = "--ENDS\r\nContent-Disposition: form-data; name=\"clip\"";
            body.extend(format!("{first}; filename=\"{name}\"\r\n\r\n").bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        self.json(&head, &[&body[..], b"--ENDS--\r\n"].concat())
    }

    fn post_file(&self, path: &str, file: &Path) -> (u16, Value) {
        self.post(path, file.file_name().unwrap().to_str().unwrap(), &std::fs::read(file).unwrap())
    }

    /// Both examples of each class.
    fn teach(&self, clips: &Clips) {
        for name in NAMES {
            for number in 0..2 {
                let file = clips.path(&format!("support/{name}/{number}.mp4"));
                let (status, added) = self.post_file(&format!("/api/classes/{name}/clips"), &file);
                assert!(status == 201 && added["added"][0]["file"] == format!("{number}.mp4"), "{status} {added}");
            }
        }
    }

    /// Asks the server to end, as Ctrl-C does; its exit code.
    fn stop(mut self) -> Option<i32> {
        let kill = std::process::Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let code = self.child.wait().unwrap().code();
        let left: Vec<_> = self.temporary.path().read_dir().unwrap().collect();
        assert!(left.is_empty(), "what was sent is still there: {left:?}");
        code
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[test]
fn clips_that_are_sent_get_the_answers_of_classify() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let server = Server::start(&clips, &[]);
    server.teach(&clips);
    let new = clips.path("new/c.mp4");
    let (status, answer) = server.post_file("/api/queries?wait=true", &new);
    assert_eq!(status, 200, "{answer}");
    let support = clips.path("support").display().to_string();
    let runs = clips.path("runs").display().to_string();
    let said = ok(&["classify", "--support", &support, new.to_str().unwrap(), "--runs", &runs, "--json"]);
    let mut said: Value = serde_json::from_str(&said).unwrap();
    said["queries"][0]["path"] = "c.mp4".into();
    assert_eq!(answer["answer"], said);
    assert_eq!(said["queries"][0]["predicted"], "c");

    // The same clip in windows has a timeline, in every form.
    let (status, asked) = server.post_file("/api/queries?window=0.2s&stride=0.1s", &new);
    assert_eq!(status, 202, "{asked}");
    let place = format!("/api/queries/{}", asked["id"]);
    let done = server.query(asked["id"].as_u64().unwrap(), "done");
    assert!(!done["answer"]["queries"][0]["segments"].as_array().unwrap().is_empty(), "{done}");
    let text = |path: &str| String::from_utf8(server.send(&format!("GET {path}"), b"").1).unwrap();
    assert!(text(&format!("{place}/answer.srt")).contains("00:00:00,000 --> "));
    assert!(text(&format!("{place}/answer.csv")).starts_with("path,start,end"));
    assert!(text(&format!("{place}/answer.html")).contains("class=\"reel\""));

    // Examples have pictures; without its last one a class is gone.
    let (_, classes) = server.json("GET /api/classes", b"");
    assert_eq!(classes["classes"].as_array().unwrap().len(), CLASSES, "{classes}");
    let id = &classes["classes"][0]["clips"][0]["id"];
    assert!(server.send(&format!("GET /api/clips/{id}/frames.jpg"), b"").1.starts_with(&[0xff, 0xd8]));
    assert_eq!(server.send(&format!("DELETE /api/clips/{id}"), b"").0, 204);
    assert_eq!(server.send("DELETE /api/classes/b/clips", b"").0, 204);
    let (_, classes) = server.json("GET /api/classes", b"");
    let names: Vec<&str> = classes["classes"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a", "c", "d", "e"]);
    let (_, answer) = server.post_file("/api/queries?wait=true", &new);
    assert_eq!(answer["answer"]["queries"][0]["classes"].as_object().unwrap().len(), 4, "{answer}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let server = Server::start(&clips, &["--clip-limit-mb", "1", "--total-limit-mb", "2"]);
    let good = std::fs::read(clips.path("support/a/0.mp4")).unwrap();
    let class = "/api/classes/a/clips";
    let wrong = |(status, body): (u16, Value), expected: u16, words: &str| {
        assert!(status == expected && body["error"].as_str().is_some_and(|e| e.contains(words)), "{status} {body}");
    };
    wrong(server.post("/api/queries", "a.mp4", &good), 409, "two classes at least are needed, and there is none");
    wrong(server.post(class, "a.txt", &good), 415, "no video by its name");
    wrong(server.post(class, "a.mp4", b""), 422, "a.mp4 is empty");
    wrong(server.post(class, "a.mp4", b"#EXTM3U\n/etc/passwd\n"), 422, "clip a.mp4: ");
    wrong(server.post(class, "a.mp4", &vec![0; 3 << 20]), 413, "larger than 1 MB");
    wrong(server.post(&format!("/api/classes/{}/clips", "x".repeat(101)), "a.mp4", &good), 400, "1 to 100 characters");
    wrong(server.post("/api/classes/../clips", "a.mp4", &good), 400, "cannot be called `..`");
    wrong(server.post("/api/classes/%e2%80%8b/clips", "a.mp4", &good), 400, "no character that is seen");
    let endless = format!("--ENDS\r\nContent-Disposition: form-data; name=\"{}", "x".repeat(1 << 17));
    let form = "Content-Type: multipart/form-data; boundary=ENDS\r\n";
    wrong(server.json(&format!("POST /api/queries\n{form}"), endless.as_bytes()), 400, "longer than 64 kB");
    // Of several files, each that is refused is told, and what was taken stays.
    let large = vec![0; 3 << 19];
    let (status, refused) = server.post_all(class, &[("a.txt", b"a"), ("b.mp4", b"")]);
    assert_eq!(refused["refused"].as_array().unwrap().len(), 2, "{refused}");
    wrong((status, refused), 422, "none of 2 clips was taken: a.txt is no video by its name");
    let (status, told) =
        server.post_all("/api/classes/%20z/clips", &[("a.mp4", &good), ("b.mp4", &large), ("c.mp4", b"")]);
    assert!(status == 201 && told["added"].as_array().unwrap().len() == 1, "{status} {told}");
    let reasons: Vec<&str> =
        told["refused"].as_array().unwrap().iter().map(|r| r["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["b.mp4 is larger than 1 MB", "c.mp4 is empty"]);
    assert_eq!(server.send("DELETE /api/classes/z%20/clips", b"").0, 204);
    // A name that leads elsewhere is only a name.
    let (status, added) = server.post(class, "../../../tmp/a.mp4", &good);
    assert!(status == 201 && added["added"][0]["file"] == "a.mp4", "{added}");
    wrong(server.post("/api/classes/b/clips", "b.mp4", &good), 409, "the same clip as a.mp4, an example of a");
    wrong(server.post("/api/queries?window=fast", "a.mp4", &good), 400, "`window` must be a time above 0");
    wrong(server.post("/api/queries?stride=1s", "a.mp4", &good), 400, "needs a `window`");
    wrong(server.post("/api/queries?window=1s&stride=2s", "a.mp4", &good), 400, "longer than a window");
    wrong(server.json("POST /api/queries\nContent-Type: text/plain\r\n", b"x"), 400, "boundary");
    wrong(server.json("GET /api/queries/99", b""), 404, "no query 99");
    wrong(server.json("GET /api/clips/99/frames.jpg", b""), 404, "no example 99");
    wrong(server.json("DELETE /api/classes/z/clips", b""), 404, "no class z");
    wrong(server.json("GET /api/../etc/passwd", b""), 404, "no such page");
    wrong(server.json("PUT /api/model", b""), 405, "method not allowed");
    // Other pages of the same browser, and names that lead here.
    wrong(server.json("GET /api/model\nHost: example.org\r\n", b""), 403, "another page");
    wrong(server.json("GET /api/model\nOrigin: http://example.org\r\n", b""), 403, "another page");

    let port = server.address.rsplit(':').next().unwrap().to_owned();
    fails(1, &["serve", "--port", &port], &["cannot listen at port", "--port"]);
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn fifty_requests_side_by_side_have_the_answers_of_one() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let support = clips.path("support").display().to_string();
    let server = Server::start(&clips, &["--support", &support, "--fit"]);
    let alone: Vec<Value> = NAMES
        .iter()
        .map(|name| {
            let (status, answer) = server.post_file("/api/queries?wait=true", &clips.path(&format!("new/{name}.mp4")));
            assert_eq!(status, 200, "{answer}");
            answer["answer"]["queries"][0].clone()
        })
        .collect();
    std::thread::scope(|scope| {
        for number in 0..50 {
            let (server, clips, alone) = (&server, &clips, &alone[number % CLASSES]);
            scope.spawn(move || {
                let file = clips.path(&format!("new/{}.mp4", NAMES[number % CLASSES]));
                let (status, answer) = server.post_file("/api/queries?wait=true", &file);
                assert_eq!(status, 200, "{answer}");
                assert_eq!(&answer["answer"]["queries"][0], alone);
            });
        }
    });
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn who_listens_is_told_what_happens() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let support = clips.path("support").display().to_string();
    let server = Server::start(&clips, &["--support", &support, "--workers", "1"]);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "content-type: text/event-stream"));
    let (_, asked) = server.post_file("/api/queries?window=0.2s&stride=0.1s", &clips.path("new/a.mp4"));
    let mut seen: Vec<Value> = Vec::new();
    for line in lines {
        let Some(data) = line.strip_prefix("data: ") else { continue };
        seen.push(serde_json::from_str(data).unwrap());
        let last = seen.last().unwrap();
        if last["event"] == "query" && last["state"] == "done" {
            break;
        }
    }
    let of = |event: &str, query: &Value| {
        seen.iter().filter(|m| m["event"] == event && &m["query"] == query && m["of"].as_u64() > Some(0)).count()
    };
    let states: Vec<&str> = seen
        .iter()
        .filter(|m| m["event"] == "query" && m["id"] == asked["id"])
        .map(|m| m["state"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["queued", "working", "done"]);
    assert!(of("progress", &asked["id"]) > 0, "{seen:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_query_that_nobody_wants_any_more_is_not_worked_on() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let support = clips.path("support").display().to_string();
    let server = Server::start(&clips, &["--support", &support, "--workers", "1"]);
    // A clip of `--support` is an example like any other.
    let (status, told) = server.post_file("/api/classes/b/clips", &clips.path("support/a/0.mp4"));
    assert!(status == 409 && told["error"].as_str().unwrap().contains("an example of a"), "{status} {told}");
    let new = clips.path("new/a.mp4");
    let number = |answer: &Value| answer["id"].as_u64().unwrap();
    let first = number(&server.post_file("/api/queries", &new).1);
    // Whoever waits for these goes away as soon as they are sent.
    let many = "/api/queries?wait=true&window=0.2s&stride=0.04s";
    let bytes = std::fs::read(&new).unwrap();
    for _ in 0..20 {
        let (head, end) =
            ("--E\r\nContent-Disposition: form-data; name=\"c\"; filename=\"a.mp4\"\r\n\r\n", "\r\n--E--\r\n");
        let length = head.len() + bytes.len() + end.len();
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let host = &server.address;
        let form = "Content-Type: multipart/form-data; boundary=E";
        write!(stream, "POST {many} HTTP/1.1\r\nHost: {host}\r\n{form}\r\nContent-Length: {length}\r\n\r\n").unwrap();
        stream.write_all(&[head.as_bytes(), &bytes, end.as_bytes()].concat()).unwrap();
    }
    // One is cancelled by its number.
    let cancelled = number(&server.post_file("/api/queries?window=0.2s&stride=0.04s", &new).1);
    assert_eq!(server.send(&format!("DELETE /api/queries/{cancelled}"), b"").0, 204);
    assert_eq!(server.send(&format!("DELETE /api/queries/{cancelled}"), b"").0, 404);
    let (status, last) = server.post_file("/api/queries?wait=true", &new);
    assert_eq!(status, 200, "{last}");
    let (_, done) = server.json(&format!("GET /api/queries/{first}"), b"");
    assert_eq!(done["state"], "done", "{done}");
    let known = (first + 1..number(&last)).filter(|id| server.send(&format!("GET /api/queries/{id}"), b"").0 != 404);
    assert!(known.count() < 10, "most were given up before their turn came");

    // What can have no answer says why, in whatever form it is asked for.
    let junk = b"#EXTM3U\n/etc/passwd\n";
    let (status, told) = server.post("/api/queries?wait=true", "junk.mp4", junk);
    assert!(status == 422 && told["error"].as_str().unwrap().contains("junk.mp4"), "{status} {told}");
    let junk = number(&server.post("/api/queries", "junk.mp4", junk).1);
    server.query(junk, "failed");
    let (status, told) = server.json(&format!("GET /api/queries/{junk}/answer.html"), b"");
    assert!(status == 422 && told["error"].as_str().unwrap().contains("junk.mp4"), "{status} {told}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn every_address_of_the_api_is_described() {
    if no_ffmpeg() {
        return;
    }
    let server = Server::start(&Clips::new(), &[]);
    let (_, described) = server.json("GET /api/openapi.json", b"");
    let paths = described["paths"].as_object().unwrap();
    assert!(described["openapi"].as_str().unwrap().starts_with("3.") && paths.len() == 12, "{paths:?}");
    assert!(described["components"]["schemas"]["Query"]["properties"]["predicted"].is_object(), "{described}");
    for (path, methods) in paths {
        for (method, about) in methods.as_object().unwrap() {
            let parameters = about["parameters"].as_array().cloned().unwrap_or_default();
            for parameter in &parameters {
                let name = parameter["name"].as_str().unwrap();
                let of_path = path.contains(&format!("{{{name}}}"));
                assert_eq!(parameter["in"], if of_path { "path" } else { "query" }, "{method} {path}: {parameter}");
                assert!(of_path || parameter["required"] != true, "{method} {path}: {parameter}");
            }
            let named = |name: &str| parameters.iter().any(|parameter| parameter["name"] == name);
            assert!(path.split('{').skip(1).all(|part| named(part.split('}').next().unwrap())), "{method} {path}");
            if method == "post" {
                let form = &about["requestBody"]["content"]["multipart/form-data"]["schema"];
                let name = form["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
                let clip = &described["components"]["schemas"][name]["properties"]["clip"];
                assert!(clip["type"] == "array" && clip["items"]["format"] == "binary", "{path}: {clip}");
            }
        }
    }
    let asked = described["paths"]["/api/queries"]["post"]["parameters"].as_array().unwrap();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn clips_are_dropped_on_the_page_and_answered() {
    if no_ffmpeg() {
        return;
    }
    let clips = Clips::new();
    let server = Server::start(&clips, &[]);
    let address = format!("http://{}", server.address);
    let paths = ["support", "new/b.mp4", "new/c.mp4"].map(|name| clips.path(name).display().to_string());
    let [support, clip, video] = &paths;
    let Some((code, told)) = asked("python3", "serve_check.py", &[&address, support, clip, video]) else { return };
    assert_eq!(code, 0, "{told}");
    assert_eq!(server.stop(), Some(0));
}
