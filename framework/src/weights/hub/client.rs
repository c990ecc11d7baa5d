//! Questions to the hub: which commit and files a revision has, and the bytes of one file.
//!
//! Redirects are followed here and not by the crate, because a token goes to the hub alone: its files often lie
//! elsewhere.

use super::address::Address;
use super::environment::{Environment, Token, Variable};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::header::{self, HeaderMap};
use ureq::http::{StatusCode, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy, ProxyProtocol};

/// Most bytes of a list of files.
const LISTING: u64 = 64 << 20;
/// Most redirects from a file's address to its bytes.
const REDIRECTS: usize = 10;
/// How long a connection may take, and how long a server may be silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// An error, and whether the same question may be answered later.
pub(super) struct Failure {
    pub error: Error,
    pub again: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, again: false }
    }
}

/// What the hub says about one revision.
#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    /// Its commit.
    pub sha: String,
    /// Its files.
    #[serde(default)]
    pub siblings: Vec<Listed>,
}

/// One file of a revision.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Listed {
    /// Its path.
    #[serde(rename = "rfilename")]
    pub name: String,
    size: Option<u64>,
    /// SHA-1 of git's object, which for a large file is not the file.
    #[serde(rename = "blobId")]
    object: Option<String>,
    /// Of a large file.
    lfs: Option<Large>,
}

#[derive(Clone, Debug, Deserialize)]
struct Large {
    size: Option<u64>,
    sha256: Option<String>,
}

impl Listed {
    /// Bytes, where the hub says them.
    pub fn size(&self) -> Option<u64> {
        self.lfs.as_ref().map_or(self.size, |large| large.size.or(self.size))
    }

    /// SHA-256 of a large file, SHA-1 of git's object for a small one, where the hub says it.
    pub fn sum(&self) -> Option<&str> {
        match &self.lfs {
            Some(large) => large.sha256.as_deref(),
            None => self.object.as_deref(),
        }
    }
}

/// The bytes of a file, from `start` on.
pub(super) struct Opened {
    pub start: u64,
    /// Bytes of the whole file, where the answer says them.
    pub size: Option<u64>,
    /// The checksum that the hub says, without quotes.
    pub etag: Option<String>,
    pub bytes: Box<dyn Read>,
}

pub(super) struct Client {
    agent: Agent,
    endpoint: Uri,
    /// The endpoint as it was given, for addresses and messages.
    pub place: String,
    token: Option<Token>,
    proxies: Proxies,
}

impl Client {
    /// With `patience` for a connection and for a server that is silent.
    ///
    /// # Errors
    /// Where a variable of the environment has no value that can be used.
    pub fn new(environment: &Environment, patience: Duration) -> Result<Self> {
        let place = environment.endpoint.clone();
        let endpoint = place.parse::<Uri>().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        let endpoint = endpoint.ok_or_else(|| {
            Error::failed(format!("HF_ENDPOINT is `{place}`, which is no address of a server"))
                .help("write it as https://huggingface.co, or leave it out")
        })?;
        let roots = environment.certificates.as_deref().map_or(Ok(RootCerts::WebPki), roots)?;
        let config = Agent::config_builder()
            .user_agent(concat!("maclip/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .max_redirects(0)
            // Chosen for each question: see `Proxies`.
            .proxy(None)
            .timeout_connect(Some(patience))
            .timeout_resolve(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build();
        let token = environment.token.clone().map_err(|why| {
            Error::failed(why).help("log in again with `hf auth login`, or set HF_TOKEN as the hub shows it")
        })?;
        Ok(Self { agent: config.into(), endpoint, place, token, proxies: Proxies::new(environment)? })
    }

    /// The commit of the address's revision, with its files.
    pub fn listing(&self, address: &Address) -> std::result::Result<Listing, Failure> {
        let (repository, revision) = (&address.repository, encoded(address.revision()).replace('/', "%2F"));
        let url = format!("{}/api/models/{repository}/revision/{revision}?blobs=true", self.place);
        let Answer { status, headers, at, body, .. } = self.get(&url, 0)?;
        if !status.is_success() {
            return Err(self.refusal(status, &headers, address, None, &at));
        }
        let bytes = body.into_with_config().limit(LISTING).read_to_vec().map_err(|error| lost(&url, &error))?;
        let odd = |why: String| {
            Error::failed(format!("{url} is not answered as the hub does: {why}"))
                .help("HF_ENDPOINT must name the Hugging Face hub or a mirror of it")
        };
        let listing: Listing = serde_json::from_slice(&bytes).map_err(|error| odd(error.to_string()))?;
        match super::cache::is_commit(&listing.sha) {
            true => Ok(listing),
            false => Err(odd(format!("`{}` is no commit", listing.sha)).into()),
        }
    }

    /// `file` of `commit`, from byte `from` on or, where the server cannot do so, from its beginning.
    pub fn open(&self, address: &Address, commit: &str, file: &str, from: u64) -> std::result::Result<Opened, Failure> {
        let url = format!("{}/{}/resolve/{commit}/{}", self.place, address.repository, encoded(file));
        let Answer { status, headers, of_hub, at, body } = self.get(&url, from)?;
        let length = number(&headers, header::CONTENT_LENGTH.as_str());
        let (start, size) = match status {
            StatusCode::OK => (0, length),
            StatusCode::PARTIAL_CONTENT => {
                let range = headers.get(header::CONTENT_RANGE).and_then(|value| value.to_str().ok());
                let range = range.and_then(range_of).ok_or_else(|| Failure {
                    error: Error::failed(format!("{url} was answered with a part of the file that has no place in it")),
                    again: false,
                })?;
                (range.0, range.1)
            }
            // More is here than there.
            StatusCode::RANGE_NOT_SATISFIABLE if from > 0 => return self.open(address, commit, file, 0),
            other => return Err(self.refusal(other, &headers, address, Some(file), &at)),
        };
        let size = number(&of_hub, "x-linked-size").or(size);
        let etag = text(&of_hub, "x-linked-etag").or_else(|| text(&of_hub, header::ETAG.as_str()));
        let etag = etag.map(|etag| etag.trim_start_matches("W/").trim_matches('"').to_owned());
        Ok(Opened { start, size, etag, bytes: Box::new(body.into_reader()) })
    }

    /// Asks `url` and follows its redirects.
    fn get(&self, url: &str, from: u64) -> std::result::Result<Answer, Failure> {
        let odd = |url: &str, what: &str| Failure::from(Error::failed(format!("{url} {what}")));
        let mut uri: Uri = url.parse().map_err(|_| odd(url, "is no address of a file"))?;
        let mut of_hub = HeaderMap::new();
        for _ in 0..=REDIRECTS {
            let own = same_place(&uri, &self.endpoint);
            let mut request = self.agent.get(uri.clone()).header(header::ACCEPT_ENCODING, "identity");
            if let Some(token) = self.token.as_ref().filter(|_| own) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.value));
            }
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            let request = request.config().proxy(self.proxies.of(&uri)).build();
            let response = request.call().map_err(|error| self.unreached(&uri, &error))?;
            let (parts, body) = response.into_parts();
            if own {
                // The last ETag is that of the file; of the rest, the first answer is about the file.
                for (name, value) in &parts.headers {
                    match name == header::ETAG {
                        true => drop(of_hub.insert(name, value.clone())),
                        false => drop(of_hub.entry(name).or_insert_with(|| value.clone())),
                    }
                }
            }
            if !parts.status.is_redirection() {
                return Ok(Answer { status: parts.status, headers: parts.headers, of_hub, at: uri, body });
            }
            let to = parts.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
            let next = to.and_then(|to| joined(&uri, to)).ok_or_else(|| odd(url, "leads to no address"))?;
            if uri.scheme_str() == Some("https") && next.scheme_str() != Some("https") {
                return Err(odd(url, &format!("leads to {}, where nothing is encrypted", place(&next))));
            }
            uri = next;
        }
        Err(odd(url, &format!("leads on more than {REDIRECTS} times")))
    }

    /// A server that cannot be reached.
    fn unreached(&self, uri: &Uri, error: &ureq::Error) -> Failure {
        // The crate gives some of these as errors of the connection.
        let certificate =
            matches!(error, ureq::Error::Rustls(_) | ureq::Error::Tls(_)) || error.to_string().contains("certificate");
        let help = match certificate {
            true => "SSL_CERT_FILE names a file of certificates to trust, such as that of a company's proxy",
            false => {
                "check the network, HTTPS_PROXY and HF_ENDPOINT; without a network, give the path of a file, or copy \
                 the cache of another machine and set HF_HUB_OFFLINE=1"
            }
        };
        Failure {
            error: Error::failed(format!("cannot reach {}: {error}", place(uri))).help(help),
            again: !certificate,
        }
    }

    /// An answer that is none, in words. `file` is what was asked for; without it, a list of files was. `at` is the
    /// address that answered.
    fn refusal(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        address: &Address,
        file: Option<&str>,
        at: &Uri,
    ) -> Failure {
        let (repository, revision) = (&address.repository, address.revision());
        let page = format!("{}/{repository}", self.place);
        let login = "set HF_TOKEN, or log in with `hf auth login`";
        let http = format!(
            "HTTP {}{}",
            status.as_u16(),
            status.canonical_reason().map(|reason| format!(" {reason}")).unwrap_or_default()
        );
        let code = text(headers, "x-error-code").unwrap_or_default();
        let said = text(headers, "x-error-message").map(|text| format!("; it says: {text}")).unwrap_or_default();
        if let Some(file) = file.filter(|_| !same_place(at, &self.endpoint)) {
            let place = place(at);
            // The address holds for a short time, and is another one with each question.
            let error = Error::failed(format!("{place}, where the hub keeps {file}, does not give it ({http})"));
            let error = error.help("try again; if it stays so, a proxy or a filter of the network may be in between");
            return Failure { error, again: true };
        }
        let url = format!("{}{}", place(at), at.path());
        let (what, help) = match (status.as_u16(), &*code) {
            (401 | 403, "GatedRepo") => (
                format!("{repository} is given only to those who have accepted its licence"),
                format!("accept it at {page}, and give the token of that account: {login}"),
            ),
            (401 | 403, _) => match &self.token {
                Some(token) => (
                    format!("the token {} may not read {repository}, or there is no such repository", token.from),
                    format!(
                        "look at {page}: is the name right, is there a licence to accept, and is the token still valid?"
                    ),
                ),
                None => (
                    format!("{repository} needs a token, or there is no such repository"),
                    format!(
                        "look at {page}: is the name right? For a private one, or one with a licence to accept, {login}"
                    ),
                ),
            },
            (404, "RepoNotFound") => (
                format!("there is no repository {repository}, or it is private"),
                format!("look at {page}; for a private one, {login}"),
            ),
            (404, "RevisionNotFound") => {
                let slash = match &address.file {
                    Some(file) => {
                        let own = revision.replace('/', "%2F");
                        format!("; if {file} belongs to its name, write `{own}%2F{}`", file.replace('/', "%2F"))
                    }
                    None => String::new(),
                };
                let help = format!("{page}/commits/main lists its revisions{slash}");
                (format!("{repository} has no revision {revision}"), help)
            }
            (404, _) => match file {
                Some(file) => (
                    format!("{repository} has no file {file} at {revision}"),
                    format!("{page}/tree/main lists its files"),
                ),
                None => (
                    format!("there is no repository {repository}, or it has no revision {revision}"),
                    format!("look at {page}"),
                ),
            },
            (408 | 429, _) => (
                "the hub asks to wait".to_owned(),
                format!("try again in some minutes; who has a token may ask more often: {login}"),
            ),
            (500..=599, _) => {
                ("the hub has a fault of its own".to_owned(), "try again later: what is here already stays".to_owned())
            }
            _ => ("the hub does not give it".to_owned(), format!("look at {page}, and at HF_ENDPOINT")),
        };
        let again = matches!(status.as_u16(), 408 | 429 | 500..=599);
        Failure { error: Error::failed(format!("{what} ({http} of {url}{said})")).help(help), again }
    }
}

/// The last answer to a question.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    /// The headers of the hub itself.
    of_hub: HeaderMap,
    /// The address that answered.
    at: Uri,
    body: Body,
}

/// The proxies of the environment.
struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    /// Knows the hosts that are asked without one.
    without: Option<Proxy>,
}

impl Proxies {
    fn new(environment: &Environment) -> Result<Self> {
        let made = |variable: &Option<Variable>| {
            let Some(Variable { name, value }) = variable else { return Ok(None) };
            Proxy::new(value).map(Some).map_err(|error| {
                // The value may have a password in it.
                Error::failed(format!("{name} is no proxy that can be used: {error}"))
                    .help("write it as http://HOST:PORT or socks5://HOST:PORT, or unset it")
            })
        };
        let [http, https] = &environment.proxies;
        let hosts = environment.no_proxy.split(',').map(str::trim).filter(|host| !host.is_empty());
        let without = hosts.fold(Proxy::builder(ProxyProtocol::Http).host("unused"), |proxy, host| {
            // A name stands for the hosts below it too.
            let host = host.trim_start_matches('.');
            proxy.no_proxy(host).no_proxy(&format!("*.{host}"))
        });
        Ok(Self { http: made(http)?, https: made(https)?, without: without.build().ok() })
    }

    /// The proxy for a question to `uri`.
    fn of(&self, uri: &Uri) -> Option<Proxy> {
        let proxy = if uri.scheme_str() == Some("https") { &self.https } else { &self.http };
        proxy.clone().filter(|_| !self.without.as_ref().is_some_and(|without| without.is_no_proxy(uri)))
    }
}

/// A connection that ended while something was read from it.
fn lost(url: &str, error: &ureq::Error) -> Failure {
    let error = Error::failed(format!("the answer of {url} cannot be read: {error}"));
    Failure { error: error.help("try again"), again: true }
}

/// The certificates in a file.
fn roots(path: &Path) -> Result<RootCerts> {
    let bad = |why: String| {
        Error::failed(format!("SSL_CERT_FILE names {}: {why}", path.display()))
            .help("give a file of certificates in PEM, or leave it out")
    };
    let bytes = crate::files::read_regular(path, 16 << 20).map_err(|error| bad(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&bytes) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(error.to_string()))? {
            found.push(certificate);
        }
    }
    match found.is_empty() {
        true => Err(bad("it holds no certificates".to_owned())),
        false => Ok(RootCerts::Specific(Arc::new(found))),
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.trim().parse().ok()
}

/// Start, and length of the whole, of `bytes 5-9/10`.
fn range_of(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, whole) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, _) = range.split_once('-')?;
    Some((start.trim().parse().ok()?, whole.trim().parse().ok()))
}

fn same_place(a: &Uri, b: &Uri) -> bool {
    let port = |uri: &Uri| uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    let host = |uri: &Uri| uri.host().map(str::to_ascii_lowercase);
    a.scheme_str() == b.scheme_str() && host(a) == host(b) && port(a) == port(b)
}

/// Scheme and host.
fn place(uri: &Uri) -> String {
    format!("{}://{}", uri.scheme_str().unwrap_or_default(), uri.authority().map_or("", |authority| authority.as_str()))
}

/// Where `to`, the `Location` of an answer of `from`, leads.
fn joined(from: &Uri, to: &str) -> Option<Uri> {
    let to = to.split('#').next()?;
    let whole = if to.contains("://") {
        to.to_owned()
    } else if let Some(rest) = to.strip_prefix("//") {
        format!("{}://{rest}", from.scheme_str()?)
    } else if to.starts_with('/') {
        format!("{}{to}", place(from))
    } else {
        let (folder, _) = from.path().rsplit_once('/')?;
        format!("{}{folder}/{to}", place(from))
    };
    whole.parse().ok().filter(|uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")))
}

/// A path as an address has it.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_may_be_relative() {
        let from: Uri = "https://hub/a/b/resolve/c/model.bin?x=1".parse().unwrap();
        for (to, whole) in [
            ("https://cdn/x?y=1&z=%2F", "https://cdn/x?y=1&z=%2F"),
            ("/api/resolve-cache/x", "https://hub/api/resolve-cache/x"),
            ("//cdn/x", "https://cdn/x"),
            ("other.bin", "https://hub/a/b/resolve/c/other.bin"),
        ] {
            assert_eq!(joined(&from, to).unwrap().to_string(), whole, "{to}");
        }
        assert_eq!(joined(&from, "ftp://cdn/x"), None);
        assert_eq!(joined(&from, "file:///etc/passwd"), None);
    }

    #[test]
    fn a_token_belongs_to_one_place() {
        let same = |a: &str, b: &str| same_place(&a.parse().unwrap(), &b.parse().unwrap());
        assert!(same("https://huggingface.co/x", "https://HuggingFace.co:443"));
        assert!(!same("http://huggingface.co/x", "https://huggingface.co"));
        assert!(!same("https://cdn-lfs.huggingface.co/x", "https://huggingface.co"));
        assert!(!same("http://127.0.0.1:81/x", "http://127.0.0.1:80"));
        assert!(!same("https://huggingface.co.evil.org/x", "https://huggingface.co"));
    }

    #[test]
    fn a_question_takes_the_proxy_of_its_scheme() {
        let mut environment = Environment::now();
        let set = |name, value: &str| Some(Variable { name, value: value.to_owned() });
        environment.proxies = [set("HTTP_PROXY", "http://plain:1"), set("ALL_PROXY", "socks5://all:2")];
        environment.no_proxy = "inner.org, .other.org,127.0.0.1".to_owned();
        let proxies = Proxies::new(&environment).unwrap();
        let port = |uri: &str| proxies.of(&uri.parse().unwrap()).map(|proxy| proxy.port());
        assert_eq!((port("http://hub.org/x"), port("https://hub.org/x")), (Some(1), Some(2)));
        for host in ["inner.org", "a.inner.org", "other.org", "b.other.org", "127.0.0.1:80"] {
            assert_eq!(port(&format!("http://{host}/x")), None, "{host}");
        }
        assert!(port("http://notinner.org/x").is_some());
        for wrong in ["garbage::x", "ftp://host:1"] {
            environment.proxies = [set("HTTP_PROXY", wrong), None];
            let error = Proxies::new(&environment).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains("HTTP_PROXY is no proxy"), "{wrong}: {error}");
        }
    }

    #[test]
    fn ranges_and_names_are_read_and_written() {
        assert_eq!(range_of("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range_of("bytes 5-9/*"), Some((5, None)));
        assert_eq!((range_of("bytes */10"), range_of("5-9/10")), (None, None));
        assert_eq!(encoded("a b/c#d?.bin"), "a%20b/c%23d%3F.bin");
    }

    #[test]
    fn a_large_file_has_its_own_checksum_and_not_that_of_its_pointer() {
        let listing: Listing = serde_json::from_str(
            r#"{"sha": "c", "private": false, "siblings": [
                {"rfilename": "config.json", "size": 12, "blobId": "e9"},
                {"rfilename": "m.bin", "size": 134, "blobId": "aa",
                    "lfs": {"size": 99, "sha256": "bb", "pointerSize": 134}},
                {"rfilename": "bare"}]}"#,
        )
        .unwrap();
        let found: Vec<_> = listing.siblings.iter().map(|file| (file.size(), file.sum())).collect();
        assert_eq!(found, [(Some(12), Some("e9")), (Some(99), Some("bb")), (None, None)]);
    }
}
