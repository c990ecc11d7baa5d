//! Clips that are asked, and their answers.

use super::{Clips, Here, LOOK_EVERY};
use crate::recognition::answers::Query;
use crate::recognition::asked::seconds;
use crate::verbs::serve::desk::{self, Answer, Desk, State};
use crate::verbs::serve::form::Form;
use crate::verbs::serve::problem::{Problem, Reply};
use axum::Json;
use axum::extract::{Path, Query as Parameters, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use maclip_framework::engine::classify::timeline::{Windows, srt};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

/// How a clip is asked.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asking {
    /// Answer in windows of this length, such as `2s`: the timeline of a long video.
    window: Option<String>,
    /// From the start of a window to that of the next, such as `0.5s`; a quarter of a window where it is left out.
    stride: Option<String>,
    /// Whether to wait for the answer.
    #[serde(default)]
    wait: bool,
}

/// A clip that was asked.
#[derive(Serialize, ToSchema)]
pub struct Asked {
    id: u64,
    file: String,
    state: State,
    /// What is being done.
    phase: String,
    /// How much of it is done.
    done: u64,
    /// How much there is of it.
    of: u64,
    /// As `maclip classify --json` prints it; null before it is there.
    #[schema(value_type = Option<Answered>)]
    answer: Option<Value>,
    /// Why there is none.
    reason: Option<String>,
}

/// The answer, as `maclip classify --json` prints it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes the JSON that `Answers::json` makes")]
struct Answered {
    /// One clip.
    queries: Vec<Query>,
    #[schema(value_type = Object)]
    leave_one_out: Value,
    warnings: Vec<String>,
    failed: Vec<Value>,
}

fn told(desk: &Desk, id: u64) -> Reply<Asked> {
    let found = desk.query(id)?;
    let answer = found.answer.map(|answer| answer.json.clone());
    let desk::Query { id, file, state, phase, done, of, reason, .. } = found;
    Ok(Asked { id, file, state, phase, done, of, answer, reason })
}

/// Cancels a query when whoever waits for its answer goes away.
struct Waiting<'d> {
    desk: &'d Desk,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.desk.query(self.id).is_ok_and(|query| query.state < State::Done) {
            // It may have been cancelled meanwhile.
            _ = self.desk.cancel(self.id);
        }
    }
}

/// Asks what a clip shows.
///
/// The form's first file is the clip. 202 with the query's number; with `wait=true`, 200 with the answer, or 422 where
/// there can be none. Who waits and goes away has cancelled the query.
#[utoipa::path(post, path = "/api/queries",
    params(Asking),
    request_body(content_type = "multipart/form-data", content = Clips),
    responses(
        (status = 200, description = "The answer", body = Asked),
        (status = 202, description = "It is waiting", body = Asked),
        (status = "4XX", description = "What is wrong", body = Problem),
        (status = 507, description = "No room for the clip", body = Problem)
    )
)]
pub async fn ask(
    Shared(desk): Here,
    Parameters(asking): Parameters<Asking>,
    mut form: Form,
) -> Reply<(StatusCode, Json<Asked>)> {
    let bad = |what: String| Problem::new(StatusCode::BAD_REQUEST, what);
    let time = |name: &str, text: &Option<String>| {
        let read = text.as_deref().map(seconds).transpose();
        read.map_err(|wanted| bad(format!("`{name}` must be {wanted}")))
    };
    let (window, stride) = (time("window", &asking.window)?, time("stride", &asking.stride)?);
    let windows = match (window, stride) {
        (None, Some(_)) => return Err(bad("`stride` needs a `window`".to_owned())),
        (None, None) => None,
        (Some(window), stride) => {
            Some(Windows::new(window, stride.unwrap_or(window / 4.0)).map_err(|error| bad(error.reason()))?)
        }
    };
    let (_, upload) = form.next(&desk.uploads).await?.ok_or_else(Problem::no_file)?;
    let upload = upload?;
    form.end().await;
    let id = desk.ask(upload, windows)?;
    if !asking.wait {
        return Ok((StatusCode::ACCEPTED, Json(told(&desk, id)?)));
    }
    let _waiting = Waiting { desk: &desk, id };
    let mut messages = desk.listen();
    loop {
        let gone = |_| Problem::new(StatusCode::GONE, format!("query {id} was cancelled"));
        let now = told(&desk, id).map_err(gone)?;
        match now.state {
            State::Queued | State::Working => _ = timeout(LOOK_EVERY, messages.recv()).await,
            State::Done => return Ok((StatusCode::OK, Json(now))),
            State::Failed | State::Cancelled => return Err(unanswered(now.reason)),
        }
    }
}

/// There is no answer, and there will be none.
fn unanswered(reason: Option<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason.unwrap_or_else(|| "there is no answer".to_owned()))
}

/// Cancels a query that has no answer yet, or forgets its answer.
#[utoipa::path(delete, path = "/api/queries/{id}",
    params(("id" = u64, Path,)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
pub async fn cancel(Shared(desk): Here, Path(id): Path<u64>) -> Reply<StatusCode> {
    desk.cancel(id).map(|()| StatusCode::NO_CONTENT)
}

/// How far a query is, and its answer.
#[utoipa::path(get, path = "/api/queries/{id}",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "How far it is", body = Asked),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
pub async fn query(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Json<Asked>> {
    told(&desk, id).map(Json)
}

fn answer(desk: &Desk, id: u64) -> Reply<Arc<Answer>> {
    let query = desk.query(id)?;
    query.answer.ok_or_else(|| match query.state {
        State::Queued | State::Working => {
            Problem::new(StatusCode::CONFLICT, format!("query {id} has no answer yet")).help("ask again a little later")
        }
        State::Done | State::Failed | State::Cancelled => unanswered(query.reason),
    })
}

/// The answer as a part of the page: frames, the nearest example, and their alignment.
#[utoipa::path(get, path = "/api/queries/{id}/answer.html",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "A part of a page", content_type = "text/html", body = String),
        (status = "4XX", description = "What is wrong", body = Problem)
    )
)]
pub async fn shown(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Html<String>> {
    Ok(Html(answer(&desk, id)?.html.clone()))
}

/// The timeline of a long video as subtitles.
#[utoipa::path(get, path = "/api/queries/{id}/answer.srt",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "Subtitles", content_type = "application/x-subrip", body = String),
        (status = "4XX", description = "What is wrong", body = Problem)
    )
)]
pub async fn subtitles(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
    let answer = answer(&desk, id)?;
    if answer.segments.is_empty() {
        return Err(Problem::new(StatusCode::CONFLICT, format!("query {id} was not asked in windows"))
            .help("ask with `?window=2s`"));
    }
    Ok(([(header::CONTENT_TYPE, "application/x-subrip; charset=utf-8")], srt(&answer.segments)).into_response())
}

/// The answer as CSV.
#[utoipa::path(get, path = "/api/queries/{id}/answer.csv",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "A table", content_type = "text/csv", body = String),
        (status = "4XX", description = "What is wrong", body = Problem)
    )
)]
pub async fn table(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], answer(&desk, id)?.csv.clone()).into_response())
}
