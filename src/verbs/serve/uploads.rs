//! Clips that were sent, on disk under names of our own. What a request calls a file is only shown.

use super::pieces::Content;
use super::problem::{Problem, Reply};
use axum::http::StatusCode;
use maclip_components::datasets::readers::{VIDEO_EXTENSIONS, is_video};
use maclip_framework::error::{Error, Result};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::{TempDir, TempPath};

/// So many times the limit is read of a clip that is too large.
const READ_ON: u64 = 4;

/// A folder of clips that is removed when the server ends.
pub struct Uploads {
    folder: TempDir,
    /// The most bytes of one clip.
    clip_limit: u64,
    /// The most bytes of all clips together.
    total_limit: u64,
    held: Arc<AtomicU64>,
}

/// A clip that was sent. Its file is removed when nothing holds it any more.
pub struct Upload {
    /// What the request called it; no path.
    pub name: String,
    pub sha256: [u8; 32],
    path: TempPath,
    bytes: u64,
    held: Arc<AtomicU64>,
}

impl Upload {
    /// The file, as an identifier of a clip.
    pub fn clip(&self) -> &str {
        // The folder is UTF-8, see `Uploads::new`, and so are the names in it.
        self.path.to_str().unwrap_or_default()
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.held.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Uploads {
    /// # Errors
    /// Where no folder can be made.
    pub fn new(clip_limit: u64, total_limit: u64) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("maclip-serve-").tempdir();
        let folder = folder.map_err(|error| Error::io("make a folder in", &std::env::temp_dir(), error))?;
        if folder.path().to_str().is_none() {
            return Err(Error::failed("the folder of temporary files is not UTF-8").help("set TMPDIR to another one"));
        }
        Ok(Self { folder, clip_limit, total_limit, held: Arc::default() })
    }

    /// The most bytes of one clip, and of all clips together.
    pub fn limits(&self) -> (u64, u64) {
        (self.clip_limit, self.total_limit)
    }

    /// The clip that a form gives as a file called `name`.
    ///
    /// # Errors
    /// Where it is refused, as it is too large or no video, or the form is damaged.
    pub async fn file(&self, mut content: Content<'_>, name: &str) -> Reply<Upload> {
        // What is refused is read all the same: who sends it listens only then, and the next file comes after it.
        let mut refused = (!is_video(name)).then(|| {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, format!("{name} is no video by its name"))
                .help(format!("known are {}", VIDEO_EXTENSIONS.join(", ")))
        });
        let ending = name.rsplit('.').next().filter(|_| refused.is_none()).unwrap_or_default();
        let file = tempfile::Builder::new().prefix("clip-").suffix(&format!(".{ending}")).tempfile_in(&self.folder);
        let file = file.map_err(|error| {
            content.leave();
            self.full(&error)
        });
        let (mut file, path) = file?.into_parts();
        let mut upload =
            Upload { name: name.to_owned(), sha256: [0; 32], path, bytes: 0, held: Arc::clone(&self.held) };
        let mut hash = Sha256::new();
        let mut seen: u64 = 0;
        while let Some(chunk) = content.chunk().await? {
            let size = chunk.len() as u64;
            seen += size;
            if seen > self.clip_limit.saturating_mul(READ_ON) {
                refused = refused.map(|problem| problem.and("the form was not read further"));
                content.leave();
                break;
            }
            if refused.is_some() {
                continue;
            }
            if seen > self.clip_limit {
                let what = format!("{name} is larger than {} MB", self.clip_limit >> 20);
                refused = Some(
                    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what)
                        .help("cut it, or start the server with a larger `--clip-limit-mb`"),
                );
                continue;
            }
            upload.bytes += size;
            if self.held.fetch_add(size, Ordering::SeqCst) + size > self.total_limit {
                let what = format!("all clips together are larger than {} MB", self.total_limit >> 20);
                refused = Some(
                    Problem::new(StatusCode::INSUFFICIENT_STORAGE, what)
                        .help("remove examples, or start the server with a larger `--total-limit-mb`"),
                );
                continue;
            }
            hash.update(&chunk);
            refused = file.write_all(&chunk).err().map(|error| self.full(&error));
        }
        upload.sha256 = hash.finalize().into();
        match (refused, seen) {
            (Some(problem), _) => Err(problem),
            (None, 0) => Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("{name} is empty"))),
            (None, _) => Ok(upload),
        }
    }

    fn full(&self, error: &std::io::Error) -> Problem {
        Problem::new(StatusCode::INSUFFICIENT_STORAGE, format!("the clip cannot be kept: {error}"))
            .help("make room in the folder of temporary files, or set TMPDIR to another one")
    }
}
