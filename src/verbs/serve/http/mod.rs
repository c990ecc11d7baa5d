//! Requests and their answers. The description at `/api/openapi.json` is made from the same lines as the routes.

use super::desk::{Answer, CLASSES, Clip, Desk, EXAMPLES, Job, Message, State};
use super::problem::{Problem, Reply};
use super::uploads::Upload;
use crate::recognition::answers::Query;
use crate::recognition::asked::seconds;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Multipart, Path, Query as Parameters, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use maclip_framework::engine::classify::timeline::{Windows, srt};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::stop_requested;
use maclip_reports::{SERVE_SCRIPT, serve_page};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Here = Shared<Arc<Desk>>;

/// How often is looked whether the server shall stop, and whether an answer is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest name of a class, in characters.
const NAME: usize = 100;
/// What a page may load: nothing that is not from here.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[derive(OpenApi)]
#[openapi(info(
    title = "maclip serve",
    description = "Clips are recognised by a few examples of each class. Examples and answers are gone when the server \
                   ends. Errors have an `error` and mostly a `help`."
))]
struct Description;

/// Answers requests at `listener` until the program is asked to stop.
///
/// # Errors
/// Where the server cannot be started.
pub fn serve(desk: Arc<Desk>, listener: TcpListener) -> Result<()> {
    let cannot = |error: std::io::Error| Error::failed(format!("the server cannot be started: {error}"));
    let page = serve_page(&desk.model)?;
    let router = router(desk, page, listener.local_addr().map_err(cannot)?.port())?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(cannot)?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(cannot)?;
        let stopped = async {
            while !stop_requested() {
                sleep(LOOK_EVERY).await;
            }
        };
        // Listeners to events never go away by themselves, so nobody is waited for.
        tokio::select! {
            served = axum::serve(listener, router) => served.map_err(cannot),
            () = stopped => Ok(()),
        }
    })
}

fn router(desk: Arc<Desk>, page: String, port: u16) -> Result<Router> {
    let (api, description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(model))
        .routes(routes!(classes))
        .routes(routes!(add, remove_class))
        .routes(routes!(remove_clip))
        .routes(routes!(frames))
        .routes(routes!(trusted))
        .routes(routes!(ask))
        .routes(routes!(query))
        .routes(routes!(shown))
        .routes(routes!(subtitles))
        .routes(routes!(table))
        .routes(routes!(events))
        .split_for_parts();
    let description =
        description.to_json().map_err(|error| Error::failed(format!("the API's description: {error}")))?;
    let description = move || async move { ([(header::CONTENT_TYPE, "application/json")], description.clone()) };
    let script = || async { ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], SERVE_SCRIPT) };
    let router = api
        .route("/", axum::routing::get(move || async move { Html(page.clone()) }))
        .route("/serve.js", axum::routing::get(script))
        .route("/api/openapi.json", axum::routing::get(description))
        .fallback(|| async { Problem::missing("such page").help("the API is described at /api/openapi.json") })
        // Clips have a limit of their own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn(move |request: Request, next: Next| guard(port, request, next)))
        .with_state(desk);
    Ok(router)
}

/// Lets requests through that were meant for this server: another page in the same browser can send some too, under
/// its own name, or under a name that it has had resolved to this address.
async fn guard(port: u16, request: Request, next: Next) -> Response {
    let allowed = |headers: &HeaderMap| {
        let own = [format!("127.0.0.1:{port}"), format!("localhost:{port}")];
        let of = |name| headers.get(name).map(HeaderValue::to_str);
        let host = matches!(of(header::HOST), Some(Ok(host)) if own.iter().any(|own| own == host));
        let from = of(header::ORIGIN);
        let origin = from
            .is_none_or(|from| from.is_ok_and(|from| own.iter().any(|own| from.strip_prefix("http://") == Some(own))));
        host && origin
    };
    let mut response = match allowed(request.headers()) {
        true => next.run(request).await,
        false => {
            Problem::new(StatusCode::FORBIDDEN, "this request comes from another page, or was sent to another host")
                .help(format!("ask http://127.0.0.1:{port}"))
                .into_response()
        }
    };
    if response.status().is_client_error() && !is_json(&response) {
        response = plain(response).await;
    }
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn is_json(response: &Response) -> bool {
    response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
}

/// What the library says of a request that reaches no handler, as a problem like all others.
async fn plain(response: Response) -> Response {
    const LONGEST: usize = 1 << 12;
    let (parts, body) = response.into_parts();
    let said = to_bytes(body, LONGEST).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let reason = parts.status.canonical_reason().unwrap_or("refused").to_lowercase();
    let said = if said.is_empty() { reason } else { said };
    let problem = Problem::new(parts.status, said).help("the API is described at /api/openapi.json");
    let mut response = problem.into_response();
    // Such as the methods that are allowed.
    response.headers_mut().extend(parts.headers.into_iter().filter(|(name, _)| name.as_ref() == Some(&header::ALLOW)));
    response
}

/// The model, and what the server takes.
#[derive(Serialize, ToSchema)]
struct Model {
    /// The recipe and its components.
    model: String,
    /// Of the program.
    version: &'static str,
    /// The most bytes of one clip.
    clip_limit: u64,
    /// The most bytes of all clips together.
    total_limit: u64,
    /// The most classes.
    classes: usize,
    /// The most examples of a class.
    examples: usize,
}

/// What recognises, and what may be sent.
#[utoipa::path(get, path = "/api/model",
    responses(
        (status = 200, description = "The model and the limits", body = Model)
    )
)]
async fn model(Shared(desk): Here) -> Json<Model> {
    let (clip_limit, total_limit) = desk.uploads.limits();
    let model = desk.model.clone();
    let version = env!("CARGO_PKG_VERSION");
    Json(Model { model, version, clip_limit, total_limit, classes: CLASSES, examples: EXAMPLES })
}

/// A class and its examples.
#[derive(Serialize, ToSchema)]
struct Class {
    name: String,
    clips: Vec<Clip>,
}

/// All classes, and what their examples say about the answers.
#[derive(Serialize, ToSchema)]
struct Classes {
    /// Grows with every change.
    revision: u64,
    classes: Vec<Class>,
    /// Whether examples are being encoded.
    learning: bool,
    /// Whether the examples below `leave_one_out` are those of this revision.
    current: bool,
    /// Why there can be no answers.
    problem: Option<String>,
    /// What the examples say about the answers, as `maclip classify --json` has it; null before they are encoded.
    #[schema(value_type = Object)]
    leave_one_out: Value,
    /// What a person must know before they believe the answers.
    warnings: Vec<String>,
}

/// Classes and examples.
#[utoipa::path(get, path = "/api/classes",
    responses(
        (status = 200, description = "All classes", body = Classes)
    )
)]
async fn classes(Shared(desk): Here) -> Json<Classes> {
    let (now, learned, learning) = desk.classes();
    let current = learned.revision == now.revision;
    let clip = |example: &super::desk::Example| Clip { id: example.id, file: example.source.name().to_owned() };
    let class =
        |(name, examples): (&String, &Vec<_>)| Class { name: name.clone(), clips: examples.iter().map(clip).collect() };
    Json(Classes {
        revision: now.revision,
        classes: now.examples.iter().map(class).collect(),
        learning,
        current,
        problem: learned.problem,
        leave_one_out: learned.leave_one_out,
        warnings: learned.warnings,
    })
}

/// Clips that became examples, and those that did not.
#[derive(Serialize, ToSchema)]
struct Added {
    added: Vec<Clip>,
    refused: Vec<Refused>,
}

/// A clip that is no example.
#[derive(Serialize, ToSchema)]
struct Refused {
    file: String,
    reason: String,
}

/// Makes clips examples of a class, which is made where it is not there.
///
/// The form's files are videos. Each is opened before it is taken. 201 where one was taken at least.
#[utoipa::path(post, path = "/api/classes/{class}/clips",
    params(("class" = String, Path,)),
    request_body(content_type = "multipart/form-data", content = Object),
    responses(
        (status = 201, description = "One was taken at least", body = Added),
        (status = "4XX", description = "What is wrong", body = Problem),
        (status = 507, description = "No room for the clip", body = Problem)
    )
)]
async fn add(Shared(desk): Here, Path(class): Path<String>, mut form: Multipart) -> Reply<(StatusCode, Json<Added>)> {
    let class = class.trim().to_owned();
    let clean = !class.chars().any(char::is_control) && (1..=NAME).contains(&class.chars().count());
    if !clean {
        return Err(Problem::new(StatusCode::BAD_REQUEST, format!("a class has a name of 1 to {NAME} characters")));
    }
    let mut outcome = Added { added: Vec::new(), refused: Vec::new() };
    let mut last = None;
    while let Some((file, received)) = desk.uploads.next(&mut form).await? {
        let taken = match received {
            Ok(upload) => example(&desk, &class, upload).await,
            Err(problem) => Err(problem),
        };
        match taken {
            Ok(clip) => outcome.added.push(clip),
            Err(problem) if problem.ends() => return Err(problem),
            Err(problem) => {
                outcome.refused.push(Refused { file, reason: problem.reason().to_owned() });
                last = Some(problem);
            }
        }
    }
    match (outcome.added.is_empty(), last) {
        (true, None) => Err(Problem::no_file()),
        // Of several, the body says why each was refused.
        (true, Some(problem)) if outcome.refused.len() == 1 => Err(problem),
        (true, _) => Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(outcome))),
        (false, _) => Ok((StatusCode::CREATED, Json(outcome))),
    }
}

async fn example(desk: &Desk, class: &str, upload: Upload) -> Reply<Clip> {
    let (done, added) = oneshot::channel();
    desk.send(Job::Example { class: class.to_owned(), upload, done })?;
    added.await.unwrap_or_else(|_| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping")))
}

/// Takes a class away.
#[utoipa::path(delete, path = "/api/classes/{class}/clips",
    params(("class" = String, Path,)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
async fn remove_class(Shared(desk): Here, Path(class): Path<String>) -> Reply<StatusCode> {
    desk.remove(Some(&class), None).map(|()| StatusCode::NO_CONTENT)
}

/// Takes an example away.
#[utoipa::path(delete, path = "/api/clips/{id}",
    params(("id" = u64, Path,)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
async fn remove_clip(Shared(desk): Here, Path(id): Path<u64>) -> Reply<StatusCode> {
    desk.remove(None, Some(id)).map(|()| StatusCode::NO_CONTENT)
}

/// The frames of an example that the model looks at, side by side.
#[utoipa::path(get, path = "/api/clips/{id}/frames.jpg",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "A picture", content_type = "image/jpeg", body = Vec<u8>),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
async fn frames(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
    let (now, ..) = desk.classes();
    let found = now.examples.into_values().flatten().find(|example| example.id == id);
    let frames = found.ok_or_else(|| Problem::missing(&format!("example {id}")))?.frames;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], frames.to_vec()).into_response())
}

/// How far answers can be trusted, as a part of the page.
#[utoipa::path(get, path = "/api/classes/trust.html",
    responses(
        (status = 200, description = "A part of a page", content_type = "text/html", body = String)
    )
)]
async fn trusted(Shared(desk): Here) -> Html<String> {
    Html(desk.classes().1.html)
}

/// How a clip is asked.
#[derive(Deserialize, IntoParams)]
struct Asking {
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
struct Asked {
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
    let super::desk::Query { id, file, state, phase, done, of, reason, .. } = found;
    Ok(Asked { id, file, state, phase, done, of, answer, reason })
}

/// Asks what a clip shows.
///
/// The form's first file is the clip. 202 with the query's number; with `wait=true`, 200 with the answer, or 422 where
/// there can be none.
#[utoipa::path(post, path = "/api/queries",
    params(Asking),
    request_body(content_type = "multipart/form-data", content = Object),
    responses(
        (status = 200, description = "The answer", body = Asked),
        (status = 202, description = "It is waiting", body = Asked),
        (status = "4XX", description = "What is wrong", body = Problem),
        (status = 507, description = "No room for the clip", body = Problem)
    )
)]
async fn ask(
    Shared(desk): Here,
    Parameters(asking): Parameters<Asking>,
    mut form: Multipart,
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
    let (_, upload) = desk.uploads.next(&mut form).await?.ok_or_else(Problem::no_file)?;
    let id = desk.ask(upload?, windows)?;
    let mut messages = desk.listen();
    loop {
        let now = told(&desk, id)?;
        match asking.wait && now.state < State::Done {
            true => _ = timeout(LOOK_EVERY, messages.recv()).await,
            false => {
                let status = match now.state {
                    State::Queued | State::Working => StatusCode::ACCEPTED,
                    State::Done => StatusCode::OK,
                    State::Failed => StatusCode::UNPROCESSABLE_ENTITY,
                };
                return Ok((status, Json(now)));
            }
        }
    }
}

/// How far a query is, and its answer.
#[utoipa::path(get, path = "/api/queries/{id}",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "How far it is", body = Asked),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
async fn query(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Json<Asked>> {
    told(&desk, id).map(Json)
}

fn answer(desk: &Desk, id: u64) -> Reply<Arc<Answer>> {
    desk.query(id)?.answer.ok_or_else(|| Problem::new(StatusCode::CONFLICT, format!("query {id} has no answer yet")))
}

/// The answer as a part of the page: frames, the nearest example, and their alignment.
#[utoipa::path(get, path = "/api/queries/{id}/answer.html",
    params(("id" = u64, Path,)),
    responses(
        (status = 200, description = "A part of a page", content_type = "text/html", body = String),
        (status = "4XX", description = "What is wrong", body = Problem)
    )
)]
async fn shown(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Html<String>> {
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
async fn subtitles(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
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
async fn table(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], answer(&desk, id)?.csv.clone()).into_response())
}

/// What happens, as server-sent events: each has a `Message` as JSON.
#[utoipa::path(get, path = "/api/events",
    responses(
        (status = 200, description = "A message for each event", content_type = "text/event-stream", body = Message),
    )
)]
async fn events(Shared(desk): Here) -> Sse<impl Stream<Item = std::result::Result<Event, Infallible>>> {
    // Who is too slow misses messages of progress; states can be asked for.
    let messages = BroadcastStream::new(desk.listen());
    let event = |message: std::result::Result<Message, _>| Some(Ok(Event::default().json_data(message.ok()?).ok()?));
    Sse::new(messages.filter_map(event)).keep_alive(KeepAlive::default())
}
