//! A server on loopback that speaks the hub's layout, a second one for its large files, and a small CLIP to serve.

use safetensors::tensor::{Dtype, TensorView};
use serde_json::json;
use sha1::{Digest, Sha1};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};

pub const REPOSITORY: &str = "test/tiny-clip";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const WEIGHTS: &str = "open_clip_model.safetensors";
pub const TOKEN: &str = "hf_not_to_be_seen_elsewhere";

/// One question to a server.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Whether it was asked of the place of large files.
    pub store: bool,
    pub path: String,
    /// The first byte that was asked for.
    pub from: Option<usize>,
    pub authorization: Option<String>,
}

/// Sends a status, headers, the body or a part of it, and says the length of the whole.
type Send<'a> = dyn FnMut(&str, &str, &[u8], usize) -> std::io::Result<()> + 'a;

/// How the servers behave.
#[derive(Default)]
pub struct Mood {
    /// Answers everything with this status and this value of `X-Error-Code`.
    pub refuse: Option<(u16, &'static str)>,
    /// The store closes a connection after so many bytes, as often as this.
    pub cut: Option<(usize, usize)>,
    /// The store, and not the hub itself, answers with this status.
    pub store_refuses: Option<u16>,
    /// The store gives other bytes.
    pub damaged: bool,
    /// The store answers a question for a part with the whole.
    pub no_parts: bool,
}

pub struct Hub {
    pub endpoint: String,
    address: [SocketAddr; 2],
    shared: Arc<Shared>,
}

struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    store: String,
    mood: Mutex<Mood>,
    asked: Mutex<Vec<Asked>>,
    closed: Mutex<bool>,
}

impl Hub {
    /// Serves `files` by name as the repository [`REPOSITORY`]. Those that end with `.safetensors` are large files, and
    /// lie in another place.
    pub fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let [own, store] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let address = [own.local_addr().unwrap(), store.local_addr().unwrap()];
        let shared = Arc::new(Shared {
            files: files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.clone())).collect(),
            store: format!("http://{}", address[1]),
            mood: Mutex::default(),
            asked: Mutex::default(),
            closed: Mutex::default(),
        });
        for (listener, store) in [(own, false), (store, true)] {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                for stream in listener.incoming() {
                    if *shared.closed.lock().unwrap() {
                        return;
                    }
                    let (shared, stream) = (Arc::clone(&shared), stream.unwrap());
                    // A client that goes away in the middle is what some tests are about.
                    std::thread::spawn(move || drop(shared.answer(stream, store)));
                }
            });
        }
        Self { endpoint: format!("http://{}", address[0]), address, shared }
    }

    /// The small CLIP with its config, in open_clip's form.
    pub fn with_clip() -> Self {
        Self::new(&[(WEIGHTS, tiny_clip()), ("open_clip_config.json", config()), ("README.md", b"# tiny".to_vec())])
    }

    pub fn mood(&self) -> MutexGuard<'_, Mood> {
        self.shared.mood.lock().unwrap()
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    pub fn sha256(&self, file: &str) -> String {
        hex(&Sha256::digest(&self.shared.files[file]))
    }

    /// `maclip` with `arguments`, with this hub and the cache in `home`.
    pub fn command(&self, home: &Path, arguments: &[&str]) -> Command {
        let mut command = super::command(arguments);
        command.env("HF_HOME", home).env("HF_ENDPOINT", &self.endpoint);
        command
    }

    pub fn maclip(&self, home: &Path, arguments: &[&str]) -> super::Ran {
        super::finish(self.command(home, arguments).output().unwrap())
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        *self.shared.closed.lock().unwrap() = true;
        // Each listener wakes up once more, sees that it is over and closes its port.
        self.address.iter().for_each(|address| drop(TcpStream::connect(address)));
    }
}

impl Shared {
    fn answer(&self, stream: TcpStream, store: bool) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let path = line.split_whitespace().nth(1).unwrap_or_default().to_owned();
        let head_only = line.starts_with("HEAD ");
        let (mut from, mut authorization) = (None, None);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let (name, value) = line.trim().split_once(": ").unwrap_or_default();
            match name.to_ascii_lowercase().as_str() {
                "range" => from = value.trim_start_matches("bytes=").trim_end_matches('-').parse().ok(),
                "authorization" => authorization = Some(value.to_owned()),
                _ => {}
            }
        }
        self.asked.lock().unwrap().push(Asked { store, path: path.clone(), from, authorization });
        let mut send = |status: &str, headers: &str, body: &[u8], length: usize| -> std::io::Result<()> {
            let mut stream = &stream;
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n");
            stream.write_all(head.as_bytes())?;
            if !head_only {
                stream.write_all(body)?;
            }
            stream.flush()?;
            // The client closes first, so that nothing that was sent is lost.
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        };
        if let Some((status, code)) = self.mood.lock().unwrap().refuse {
            return send(&format!("{status} no"), &format!("X-Error-Code: {code}\r\n"), b"no", 2);
        }
        if let Some(status) = self.mood.lock().unwrap().store_refuses.filter(|_| store) {
            return send(&format!("{status} no"), "", b"no", 2);
        }
        if store {
            return self.give(&path, from, &mut send);
        }
        let path = path.split('?').next().unwrap_or_default();
        if path.starts_with(&format!("/api/models/{REPOSITORY}/revision/")) {
            let revision = path.rsplit('/').next().unwrap_or_default();
            if !["main", "v1", COMMIT].contains(&revision) {
                return send("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", b"", 0);
            }
            let body = self.listing().to_string();
            return send("200 OK", "Content-Type: application/json\r\n", body.as_bytes(), body.len());
        }
        let file = ["main", COMMIT]
            .into_iter()
            .find_map(|revision| path.strip_prefix(&format!("/{REPOSITORY}/resolve/{revision}/")));
        match file.and_then(|file| Some((file, self.files.get(file)?))) {
            Some((file, bytes)) if is_large(file) => {
                let sum = hex(&Sha256::digest(bytes));
                let headers = format!(
                    "Location: {}/{file}?signed=1\r\nX-Repo-Commit: {COMMIT}\r\nX-Linked-Etag: \"{sum}\"\r\n\
                     X-Linked-Size: {}\r\nETag: \"of-the-redirect\"\r\n",
                    self.store,
                    bytes.len()
                );
                send("302 Found", &headers, b"", 0)
            }
            Some((_, bytes)) => {
                let headers = format!("X-Repo-Commit: {COMMIT}\r\nETag: \"{}\"\r\n", git(bytes));
                send("200 OK", &headers, bytes, bytes.len())
            }
            None => send("404 Not Found", "X-Error-Code: EntryNotFound\r\n", b"", 0),
        }
    }

    /// A large file of the store.
    fn give(&self, path: &str, from: Option<usize>, send: &mut Send) -> std::io::Result<()> {
        let name = path.trim_start_matches('/').split('?').next().unwrap_or_default();
        let mut bytes = self.files[name].clone();
        let mut mood = self.mood.lock().unwrap();
        if mood.damaged {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
        let from = from.filter(|_| !mood.no_parts);
        let rest = &bytes[from.unwrap_or(0)..];
        let cut = mood.cut.as_mut().filter(|(_, times)| *times > 0).map(|(after, times)| {
            *times -= 1;
            *after
        });
        drop(mood);
        let sent = &rest[..cut.unwrap_or(rest.len()).min(rest.len())];
        match from {
            Some(from) => {
                let range = format!("Content-Range: bytes {from}-{}/{}\r\n", bytes.len() - 1, bytes.len());
                send("206 Partial Content", &range, sent, rest.len())
            }
            None => send("200 OK", "", sent, rest.len()),
        }
    }

    fn listing(&self) -> serde_json::Value {
        let file = |(name, bytes): (&String, &Vec<u8>)| match is_large(name) {
            true => {
                let sum = hex(&Sha256::digest(bytes));
                let lfs = json!({"sha256": sum, "size": bytes.len(), "pointerSize": 134});
                json!({"rfilename": name, "size": bytes.len(), "blobId": git(b"pointer"), "lfs": lfs})
            }
            false => json!({"rfilename": name, "size": bytes.len(), "blobId": git(bytes)}),
        };
        json!({"id": REPOSITORY, "sha": COMMIT, "siblings": self.files.iter().map(file).collect::<Vec<_>>()})
    }
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

fn git(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// open_clip's config of [`tiny_clip`]. Its heads are not width / 64, so a reader without the config would guess them
/// wrongly.
pub fn config() -> Vec<u8> {
    json!({"model_cfg": {
        "embed_dim": 16, "quick_gelu": true,
        "vision_cfg": {"image_size": 32, "patch_size": 16, "width": 32, "head_width": 8, "layers": 2},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }})
    .to_string()
    .into_bytes()
}

/// A CLIP with OpenAI's names: two blocks of width 32 for images of 32 pixels, one of width 16 for texts.
pub fn tiny_clip() -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = Vec::new();
    let mut add = |name: &str, shape: &[usize]| shapes.push((name.to_owned(), shape.to_vec()));
    for (tower, width, layers) in [("visual.", 32, 2), ("", 16, 1)] {
        for layer in 0..layers {
            let block = |name: &str| format!("{tower}transformer.resblocks.{layer}.{name}");
            for norm in ["ln_1", "ln_2"] {
                add(&block(&format!("{norm}.weight")), &[width]);
                add(&block(&format!("{norm}.bias")), &[width]);
            }
            add(&block("attn.in_proj_weight"), &[3 * width, width]);
            add(&block("attn.in_proj_bias"), &[3 * width]);
            add(&block("attn.out_proj.weight"), &[width, width]);
            add(&block("attn.out_proj.bias"), &[width]);
            add(&block("mlp.c_fc.weight"), &[4 * width, width]);
            add(&block("mlp.c_fc.bias"), &[4 * width]);
            add(&block("mlp.c_proj.weight"), &[width, 4 * width]);
            add(&block("mlp.c_proj.bias"), &[width]);
        }
    }
    add("visual.conv1.weight", &[32, 3, 16, 16]);
    add("visual.class_embedding", &[32]);
    add("visual.positional_embedding", &[5, 32]);
    for norm in ["visual.ln_pre", "visual.ln_post"] {
        add(&format!("{norm}.weight"), &[32]);
        add(&format!("{norm}.bias"), &[32]);
    }
    add("visual.proj", &[32, 16]);
    add("token_embedding.weight", &[49408, 16]);
    add("positional_embedding", &[77, 16]);
    add("ln_final.weight", &[16]);
    add("ln_final.bias", &[16]);
    add("text_projection", &[16, 16]);
    add("logit_scale", &[]);
    let mut state = 7_u32;
    let mut value = |norm: bool| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (f64::from(state >> 8) / f64::from(1 << 24) - 0.5) as f32;
        if norm { 1.0 + 0.1 * noise } else { 0.3 * noise }
    };
    let filled: Vec<(String, Vec<usize>, Vec<u8>)> = shapes
        .into_iter()
        .map(|(name, shape)| {
            let norm = name.contains("ln_") && name.ends_with("weight");
            let count: usize = shape.iter().product();
            let bytes = (0..count).flat_map(|_| value(norm).to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = filled
        .iter()
        .map(|(name, shape, bytes)| (name.as_str(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}
