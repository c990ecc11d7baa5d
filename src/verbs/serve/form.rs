//! The form of a request, read piece by piece: no more of it is held than its next piece needs.

use super::names::file_name;
use super::problem::{Problem, Reply};
use super::uploads::{Upload, Uploads};
use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
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

/// A form, and where its reader is.
pub struct Form {
    parts: Multipart,
    gate: Arc<Gate>,
    /// Whether the rest is not read.
    over: bool,
}

/// Lets the parser have the next bytes of a body when it cannot go on without, and counts them: it holds all that it
/// has read and not given out.
#[derive(Default)]
struct Gate {
    open: AtomicBool,
    /// Bytes since the last piece.
    since: AtomicUsize,
}

struct Gated {
    body: BodyDataStream,
    gate: Arc<Gate>,
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
    async fn piece<T>(&self, read: impl Future<Output = Result<T, MultipartError>>) -> Reply<T> {
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

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = MultipartRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let gate = Arc::<Gate>::default();
        let gated = |body: Body| Body::from_stream(Gated { body: body.into_data_stream(), gate: Arc::clone(&gate) });
        let parts = Multipart::from_request(request.map(gated), state).await?;
        Ok(Self { parts, gate, over: false })
    }
}

impl Form {
    /// The next file: what it is called, and the clip. `None` after the last one.
    ///
    /// # Errors
    /// Where the connection breaks, or the form is damaged. A clip that is refused, as it is too large or no video, is
    /// no error of the form.
    pub async fn next(&mut self, uploads: &Uploads) -> Reply<Option<(String, Reply<Upload>)>> {
        let Self { parts, gate, over } = self;
        while !*over {
            let Some(field) = gate.piece(parts.next_field()).await? else { break };
            let name = file_name(field.file_name(), field.headers().get(header::CONTENT_DISPOSITION));
            let mut content = Content { field, gate, over: &mut *over };
            if let Some(name) = name {
                let received = uploads.file(content, &name).await;
                return Ok(Some((name, received)));
            }
            while content.chunk().await?.is_some() {}
        }
        Ok(None)
    }

    /// Reads what stands behind the file that was wanted. That whoever sent it goes away is only noticed where the request
    /// was read to its end.
    pub async fn end(self) {
        let Self { mut parts, gate, .. } = self;
        _ = gate.piece(parts.next_field()).await;
    }
}

/// The bytes of a file.
pub struct Content<'f> {
    field: Field<'f>,
    gate: &'f Gate,
    over: &'f mut bool,
}

impl Content<'_> {
    /// The next bytes. `None` at the end.
    ///
    /// # Errors
    /// As [`Form::next`].
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    const START: &str = "--ENDS\r\nContent-Disposition: form-data; name=\"clip\"";

    /// A body that gives `part` again and again after `first`, and counts what is taken.
    struct Endless(Option<Bytes>, Bytes, Arc<AtomicU64>);

    impl Stream for Endless {
        type Item = Result<Bytes, BoxError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let next = self.0.take().unwrap_or_else(|| self.1.clone());
            self.2.fetch_add(next.len() as u64, Ordering::Relaxed);
            Poll::Ready(Some(Ok(next)))
        }
    }

    fn form_of(body: Body) -> Form {
        let request = Request::post("/").header(header::CONTENT_TYPE, "multipart/form-data; boundary=ENDS");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Form::from_request(request.body(body).unwrap(), &())).unwrap()
    }

    fn next(form: &mut Form, uploads: &Uploads) -> Reply<Option<(String, Reply<Upload>)>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(form.next(uploads))
    }

    #[test]
    fn what_has_no_end_is_not_held() {
        // Below what axum takes of a body by default.
        let uploads = Uploads::new(1 << 18, 1 << 21).unwrap();
        let many_small = format!("{START}\r\n\r\nv\r\n").repeat(100);
        for (first, part) in [("", "a".repeat(4096)), (START, "a".repeat(4096)), (START, "a: b\r\n".repeat(1000))] {
            let taken = Arc::<AtomicU64>::default();
            let body = Endless(Some(first.to_owned().into()), part.into(), Arc::clone(&taken));
            let error = next(&mut form_of(Body::from_stream(body)), &uploads).err().expect("an error");
            assert!(error.reason().contains("the head of a file is longer than 64 kB"), "{}", error.reason());
            assert!(taken.load(Ordering::Relaxed) < 1 << 17);
        }
        // The parser gets no more than it has use for: of many small parts in one piece, none is read ahead.
        let taken = Arc::<AtomicU64>::default();
        let first = format!("{many_small}{START}; filename=\"a.mp4\"\r\n\r\n");
        let length = first.len() as u64;
        let body = Endless(Some(first.into()), vec![0; 1 << 16].into(), Arc::clone(&taken));
        let (name, refused) = next(&mut form_of(Body::from_stream(body)), &uploads).unwrap().unwrap();
        let reason = refused.err().expect("a refusal").reason().to_owned();
        assert!(name == "a.mp4" && reason.starts_with("a.mp4 is larger than"), "{name}: {reason}");
        assert!(taken.load(Ordering::Relaxed) < length + (5 << 18));
    }

    #[test]
    fn files_come_in_their_order_and_what_is_no_file_is_passed_over() {
        let uploads = Uploads::new(1 << 20, 1 << 21).unwrap();
        // A text that is longer than a head may be.
        let text = format!("{START}\r\n\r\n{}\r\n", "v".repeat(1 << 17));
        let file = |name: &str| format!("{START}; filename=\"{name}\"\r\n\r\nbytes\r\n");
        let whole = format!("{text}{}{text}{}--ENDS--\r\n", file("a.mp4"), file("b.mp4"));
        let mut form = form_of(Body::from(whole.clone()));
        let mut names = Vec::new();
        while let Some((name, upload)) = next(&mut form, &uploads).unwrap() {
            assert!(upload.is_ok());
            names.push(name);
        }
        assert_eq!(names, ["a.mp4", "b.mp4"]);
        let cut = next(&mut form_of(Body::from(whole[..1000].to_owned())), &uploads).err().expect("an error");
        assert!(cut.reason().contains("damaged"), "{}", cut.reason());
    }
}
