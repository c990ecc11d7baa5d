//! The peer's side of a measurement: scripts/peer_step.py in a process of its own.

use crate::Measured;
use crate::cases::{Case, WAY};
use maclip_framework::recipe::device::is_processor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// One way to run the peer.
pub struct Peer {
    /// `eager` or `compiled`.
    pub name: &'static str,
    /// Where compiled code is kept between measurements, so that only the first one compiles.
    kept: PathBuf,
}

/// The peers that `MACLIP_BENCH_PEERS` names; none where `MACLIP_PEER` does not say which model. `folder` is for
/// compiled code, where `TORCHINDUCTOR_CACHE_DIR` names no other.
pub fn chosen(folder: &Path) -> Vec<Peer> {
    if std::env::var_os("MACLIP_PEER").is_none() {
        return Vec::new();
    }
    let kept = std::env::var_os("TORCHINDUCTOR_CACHE_DIR").map_or_else(|| folder.join("compiled"), PathBuf::from);
    let names = crate::variable("MACLIP_BENCH_PEERS", "eager,compiled");
    let known = |name: &str| {
        let found = ["eager", "compiled"].into_iter().find(|known| *known == name.trim());
        found.unwrap_or_else(|| panic!("MACLIP_BENCH_PEERS: `{name}` is neither `eager` nor `compiled`"))
    };
    names.split(',').map(|name| Peer { name: known(name), kept: kept.clone() }).collect()
}

/// How long one measurement of a peer may take, with its compilation.
pub fn limit() -> Duration {
    let seconds = crate::variable("MACLIP_BENCH_PEER_LIMIT", "600");
    Duration::from_secs(seconds.parse().expect("MACLIP_BENCH_PEER_LIMIT is a number of seconds"))
}

impl Peer {
    /// One measurement of `case`; `None` where it does not end within [`limit`].
    pub fn measure(&self, case: &Case, threads: usize) -> Option<Measured> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peer_step.py");
        let mut command = Command::new(crate::variable("MACLIP_PYTHON", "python3"));
        command.arg(script).args([case.kind.name(), "--arch", case.arch]);
        let numbers = [
            ("--way", WAY),
            ("--shot", case.shot),
            ("--query", case.query),
            ("--episodes", case.episodes),
            ("--warm-up", case.warm_up),
            ("--count", case.count),
            ("--threads", threads),
        ];
        for (option, value) in numbers {
            command.args([option.to_owned(), value.to_string()]);
        }
        if self.name == "compiled" {
            // The number of threads is part of the code.
            let kept = self.kept.join(format!("{threads}-threads"));
            command.arg("--compile").env("TORCHINDUCTOR_CACHE_DIR", kept);
        }
        command.args(["--precision", &crate::precision()]);
        command.args(["--device", if is_processor(&crate::device()) { "cpu" } else { "cuda" }]);
        Measured::within(command.env("OMP_NUM_THREADS", threads.to_string()), limit())
    }
}
