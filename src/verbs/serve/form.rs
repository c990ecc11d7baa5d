//! The form of a request: its files, one after the other.

use super::names::file_name;
use super::pieces::{Content, Gate, Gated};
use super::problem::Reply;
use super::uploads::{Upload, Uploads};
use axum::body::Body;
use axum::extract::multipart::{Multipart, MultipartRejection};
use axum::extract::{FromRequest, Request};
use axum::http::header;
use std::sync::Arc;

/// A form, and where its reader is.
pub struct Form {
    parts: Multipart,
    gate: Arc<Gate>,
    /// Whether the rest is not read.
    over: bool,
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

    /// Reads what stands behind the file that was wanted. The server notices a closed connection only after it has read
    /// the whole request.
    pub async fn end(self) {
        let Self { mut parts, gate, .. } = self;
        _ = gate.piece(parts.next_field()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::BoxError;
    use axum::body::Bytes;
    use std::pin::Pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll};
    use tokio_stream::Stream;

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
