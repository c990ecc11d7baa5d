//! What a request gets that cannot be answered.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// What is wrong, and the way out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What is wrong, in one line.
    error: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    #[serde(skip)]
    status: StatusCode,
}

/// What a request gets.
pub type Reply<T> = Result<T, Problem>;

/// Seconds after which a client that was sent away may come again.
const COME_AGAIN_S: &str = "2";

impl Problem {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), help: None, status }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, without the way out.
    pub fn reason(&self) -> &str {
        &self.error
    }

    /// Whether the rest of a form cannot be taken either.
    pub fn ends(&self) -> bool {
        [
            StatusCode::REQUEST_TIMEOUT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::INSUFFICIENT_STORAGE,
            StatusCode::BAD_REQUEST,
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::SERVICE_UNAVAILABLE,
        ]
        .contains(&self.status)
    }

    /// A form without a file.
    pub fn no_file() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "the form has no file")
            .help("send `multipart/form-data` with a file, such as `curl -F clip=@FILE`")
    }

    /// No such thing, such as a class or a query.
    pub fn missing(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("there is no {what}"))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let busy = self.status == StatusCode::TOO_MANY_REQUESTS;
        let mut response = (self.status, Json(self)).into_response();
        if busy {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(COME_AGAIN_S));
        }
        response
    }
}
