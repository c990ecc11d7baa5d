//! The body of a form, piece by piece: no more of it is held than its next piece needs.

use super::problem::{Problem, Reply};
use axum::body::{BodyDataStream, Bytes};
use axum::extract::multipart::{Field, MultipartError};
use axum::http::StatusCode;
use axum::{BoxError, Error};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;
use tokio_stream::Stream;

/// The longest wait for the next bytes of a form.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most bytes between two pieces: the head of a file, or what stands before the first one.
const HEAD: usize = 64 << 10;

/// Lets the parser have the next bytes of a body when it cannot go on without, and counts them: it holds all that it
/// has read and not given out.
#[derive(Default)]
pub struct Gate {
    open: AtomicBool,
    /// Bytes since the last piece.
    since: AtomicUsize,
}

/// A body behind a gate.
pub struct Gated {
    pub body: BodyDataStream,
    pub gate: Arc<Gate>,
}

impl Stream for Gated {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.gate.open.load(Ordering::Relaxed) {
            // The gate opens in `Gate::piece`, which asks again at once.
            return Poll::Pending;
        }
        if self.gate.since.load(Ordering::Relaxed) > HEAD {
            return Poll::Ready(Some(Err(Error::new("too long").into())));
        }
        let next = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.gate.open.store(false, Ordering::Relaxed);
            self.gate.since.fetch_add(bytes.len(), Ordering::Relaxed);
        }
        next.map_err(Into::into)
    }
}

impl Gate {
    /// The next piece, which `read` gives.
    pub async fn piece<T>(&self, read: impl Future<Output = Result<T, MultipartError>>) -> Reply<T> {
        let mut read = pin!(read);
        let fed = poll_fn(|context| {
            loop {
                if let Poll::Ready(found) = read.as_mut().poll(context) {
                    return Poll::Ready(found);
                }
                // Where it was open already, nothing has come, and the body wakes this when something does.
                if self.open.swap(true, Ordering::Relaxed) {
                    return Poll::Pending;
                }
            }
        });
        let found = timeout(PATIENCE, fed).await.map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, format!("nothing came for {} seconds", PATIENCE.as_secs()))
        })?;
        let long = self.since.swap(0, Ordering::Relaxed) > HEAD;
        found.map_err(|error| {
            let damage = match long {
                true => format!("the head of a file is longer than {} kB", HEAD >> 10),
                false => format!("the form is damaged: {error}"),
            };
            Problem::new(StatusCode::BAD_REQUEST, damage).help("send a file as `curl -F clip=@FILE` does")
        })
    }
}

/// The bytes of a file.
pub struct Content<'f> {
    pub field: Field<'f>,
    pub gate: &'f Gate,
    /// Whether the rest of the form is not read.
    pub over: &'f mut bool,
}

impl Content<'_> {
    /// The next bytes. `None` at the end.
    ///
    /// # Errors
    /// Where the connection breaks, or the form is damaged.
    pub async fn chunk(&mut self) -> Reply<Option<Bytes>> {
        let next = self.gate.piece(self.field.chunk()).await;
        *self.over |= next.is_err();
        next
    }

    /// Nothing more of the form is read.
    pub fn leave(&mut self) {
        *self.over = true;
    }
}
