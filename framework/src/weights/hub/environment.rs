//! The environment variables that Python's `huggingface_hub` reads, with the same meaning.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where the hub is, where its files are kept, and how to ask for them.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    /// The folder of the cache, which holds `models--OWNER--NAME`.
    pub cache: PathBuf,
    /// The address of the hub, without a slash at its end.
    pub endpoint: String,
    /// The variable that forbids to fetch anything, if one does.
    pub offline: Option<&'static str>,
    /// The user's token, with the place that it comes from; or what is wrong with it.
    pub token: std::result::Result<Option<Token>, String>,
    /// The proxies for addresses that begin with `http:` and with `https:`.
    pub proxies: [Option<Variable>; 2],
    /// Hosts that are asked without one, with commas between.
    pub no_proxy: String,
    /// A file of certificates to trust in place of the usual ones.
    pub certificates: Option<PathBuf>,
}

/// An environment variable that is set.
#[derive(Clone, Debug)]
pub(super) struct Variable {
    pub name: &'static str,
    pub value: String,
}

/// A secret: it is sent to the hub alone, and shown nowhere.
#[derive(Clone)]
pub(super) struct Token {
    pub value: String,
    /// In words that follow "the token", such as "of HF_TOKEN".
    pub from: String,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the token {}", self.from)
    }
}

impl Environment {
    /// That of this process.
    pub fn now() -> Self {
        Self::of(&|name| std::env::var_os(name))
    }

    fn of(variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        // An empty variable is one that is not set.
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        // What is no text is no value of any of them, and is refused as such where it matters.
        let text = |name: &str| get(name).map(|value| value.to_string_lossy().into_owned());
        let user = get("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let folder = |name: &str| {
            get(name).map(PathBuf::from).map(|path| path.strip_prefix("~").map_or(path.clone(), |rest| user.join(rest)))
        };
        let general = folder("XDG_CACHE_HOME").unwrap_or_else(|| user.join(".cache"));
        let home = folder("HF_HOME").unwrap_or_else(|| general.join("huggingface"));
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let endpoint = text("HF_ENDPOINT").map(|text| text.trim_end_matches('/').to_owned());
        let is_on = |name: &str| {
            text(name).is_some_and(|text| ["1", "ON", "YES", "TRUE"].contains(&text.to_uppercase().as_str()))
        };
        let offline = if get("HF_HUB_OFFLINE").is_some() { "HF_HUB_OFFLINE" } else { "TRANSFORMERS_OFFLINE" };
        let own = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(|name| {
            let value = text(name)?.trim().to_owned();
            Some(Token { value, from: format!("of {name}") }).filter(|token| !token.value.is_empty())
        });
        let file = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
        let token = match (is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN"), own) {
            (true, _) => Ok(None),
            (false, Some(token)) => Ok(Some(token)),
            (false, None) => token_in(&file),
        };
        let token = token.and_then(|token| match token {
            Some(odd) if !odd.value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Err(format!("the token {} has a character in it that no token has", odd.from))
            }
            usual => Ok(usual),
        });
        let first =
            |names: [&'static str; 4]| names.into_iter().find_map(|name| Some(Variable { name, value: text(name)? }));
        let proxies = [
            first(["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
            first(["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]),
        ];
        Self {
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.unwrap_or_else(|| "https://huggingface.co".to_owned()),
            offline: is_on(offline).then_some(offline),
            token,
            proxies,
            no_proxy: text("no_proxy").or_else(|| text("NO_PROXY")).unwrap_or_default(),
            certificates: folder("SSL_CERT_FILE"),
        }
    }
}

/// The token that `hf auth login` wrote; `None` where nobody logged in.
fn token_in(file: &Path) -> std::result::Result<Option<Token>, String> {
    let bytes = match crate::files::read_regular(file, 1 << 12) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("the token in {} cannot be read: {error}", file.display())),
    };
    let value = String::from_utf8_lossy(&bytes).trim().to_owned();
    Ok(Some(Token { value, from: format!("in {}", file.display()) }).filter(|token| !token.value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Environment {
        Environment::of(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    #[test]
    fn the_cache_is_where_python_has_it() {
        let cache = |variables: &[(&str, &str)]| with(variables).cache.display().to_string();
        assert_eq!(cache(&[("HOME", "/u")]), "/u/.cache/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x")]), "/x/huggingface/hub");
        assert_eq!(cache(&[("HOME", "/u"), ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/h")]), "/u/h/hub");
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old")]), "/old");
        assert_eq!(cache(&[("HF_HOME", "/h"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/c")]), "/c");
        assert_eq!(cache(&[("HOME", "/u"), ("HF_HOME", "")]), "/u/.cache/huggingface/hub");
    }

    #[test]
    fn a_token_comes_from_a_variable_or_the_file_of_the_login() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        assert!(with(&[("HF_HOME", home)]).token.unwrap().is_none());
        std::fs::write(folder.path().join("token"), "hf_of_the_file\n").unwrap();
        let token = |variables: &[(&str, &str)]| with(variables).token.unwrap().map(|token| token.value);
        assert_eq!(token(&[("HF_HOME", home)]).as_deref(), Some("hf_of_the_file"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_TOKEN", " own\n")]).as_deref(), Some("own"));
        assert_eq!(token(&[("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]), None);
        let shown = format!("{:?}", with(&[("HF_HOME", home), ("HF_TOKEN", "secret")]));
        assert!(!shown.contains("secret") && shown.contains("the token of HF_TOKEN"), "{shown}");
    }

    #[test]
    fn what_is_no_token_is_told_and_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().to_str().unwrap();
        let wrong = |token: &str| with(&[("HF_HOME", home), ("HF_TOKEN", token)]).token.unwrap_err();
        for token in ["ab\ncd", "gef\u{e9}", "two words"] {
            assert_eq!(wrong(token), "the token of HF_TOKEN has a character in it that no token has");
        }
        let bytes = |name: &str| {
            let value = std::os::unix::ffi::OsStringExt::from_vec(b"bad\xff".to_vec());
            (name == "HF_TOKEN").then_some(value)
        };
        assert!(Environment::of(&bytes).token.unwrap_err().contains("HF_TOKEN"));
        // A file that is there and cannot be read.
        std::fs::create_dir(folder.path().join("token")).unwrap();
        let error = with(&[("HF_HOME", home)]).token.unwrap_err();
        assert!(error.contains(home) && error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn a_proxy_belongs_to_a_scheme() {
        let names = |variables: &[(&str, &str)]| with(variables).proxies.map(|proxy| proxy.map(|proxy| proxy.name));
        assert_eq!(names(&[]), [None, None]);
        assert_eq!(names(&[("HTTPS_PROXY", "p")]), [None, Some("HTTPS_PROXY")]);
        assert_eq!(names(&[("HTTP_PROXY", "p"), ("ALL_PROXY", "q")]), [Some("HTTP_PROXY"), Some("ALL_PROXY")]);
        assert_eq!(names(&[("https_proxy", "p"), ("HTTPS_PROXY", "q")]), [None, Some("https_proxy")]);
    }

    #[test]
    fn a_switch_is_on_for_the_words_that_python_takes() {
        for (value, on) in [("1", true), ("true", true), ("Yes", true), ("ON", true), ("0", false), ("off", false)] {
            assert_eq!(with(&[("HF_HUB_OFFLINE", value)]).offline.is_some(), on, "{value}");
        }
        assert_eq!(with(&[("TRANSFORMERS_OFFLINE", "1")]).offline, Some("TRANSFORMERS_OFFLINE"));
        assert_eq!(with(&[]).offline, None);
        assert_eq!(with(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]).offline, None);
        assert_eq!(with(&[("HF_ENDPOINT", "http://m/x//")]).endpoint, "http://m/x");
    }
}
