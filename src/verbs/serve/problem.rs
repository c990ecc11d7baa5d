//! What a request gets that cannot be answered.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maclip_framework::error::Error;
use serde::Serialize;
use utoipa::ToSchema;

/// A clip that is no example.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Refused {
    /// What it was called; empty where the form broke before that was known.
    pub file: String,
    pub reason: String,
}

/// What is wrong, and the way out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What is wrong, in one line.
    error: String,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<String>,
    /// Of several clips, why each is refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
    #[serde(skip)]
    status: StatusCode,
}

/// What a request gets.
pub type Reply<T> = Result<T, Problem>;

/// Seconds after which a client that was sent away may come again.
const COME_AGAIN_S: &str = "2";

impl Problem {
    pub fn new(status: StatusCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), help: None, refused: Vec::new(), status }
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong, without the way out.
    pub fn reason(&self) -> &str {
        &self.error
    }

    /// As an error of the program, about `what`.
    pub fn of(&self, what: &str) -> Error {
        let error = Error::failed(format!("{what}: {}", self.error));
        match &self.help {
            Some(help) => error.help(help.clone()),
            None => error,
        }
    }

    /// The same, and `more` about it.
    pub fn and(mut self, more: &str) -> Self {
        self.error = format!("{}; {more}", self.error);
        self
    }

    /// None of several clips was taken; `problems` has what each is called, and at least one.
    pub fn all(problems: Vec<(String, Self)>) -> Self {
        let alike = problems.windows(2).all(|two| two[0].1.status == two[1].1.status);
        let status = problems.first().filter(|_| alike).map_or(StatusCode::UNPROCESSABLE_ENTITY, |(_, one)| one.status);
        let refused: Vec<Refused> =
            problems.into_iter().map(|(file, problem)| Refused { file, reason: problem.error }).collect();
        let reasons: Vec<&str> = refused.iter().map(|one| one.reason.as_str()).collect();
        let error = format!("none of {} clips was taken: {}", refused.len(), reasons.join("; "));
        Self { refused, ..Self::new(status, error) }
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
