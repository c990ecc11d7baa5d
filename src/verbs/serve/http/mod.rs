//! Requests and their answers. The description at `/api/openapi.json` is made from the same lines as the routes.

mod examples;
mod queries;

use super::desk::{CLASSES, Desk, EXAMPLES, Message};
use super::problem::Problem;
use axum::body::to_bytes;
use axum::extract::{DefaultBodyLimit, Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::stop_requested;
use maclip_reports::{SERVE_SCRIPT, serve_page};
use serde::Serialize;
use std::convert::Infallible;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::sleep;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

type Here = Shared<Arc<Desk>>;

/// How often is looked whether the server shall stop, and whether an answer is there.
const LOOK_EVERY: Duration = Duration::from_millis(100);
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
        .routes(routes!(examples::classes))
        .routes(routes!(examples::add, examples::remove_class))
        .routes(routes!(examples::remove_clip))
        .routes(routes!(examples::frames))
        .routes(routes!(examples::trusted))
        .routes(routes!(queries::ask))
        .routes(routes!(queries::query, queries::cancel))
        .routes(routes!(queries::shown))
        .routes(routes!(queries::subtitles))
        .routes(routes!(queries::table))
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

/// The form of a request that sends clips.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `Form` reads")]
struct Clips {
    /// Videos. Each is a file, and what its part of the form is called does not matter.
    #[schema(value_type = Vec<String>, format = Binary)]
    clip: Vec<u8>,
}

/// Lets requests through that were meant for this server: another page in the same browser can send some too, under
/// its own name, or under a name that it has had resolved to this address.
async fn guard(port: u16, request: Request, next: Next) -> Response {
    let mut response = match allowed(request.headers(), port) {
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

/// Whether a request with these headers was meant for the server at `port`. Names of hosts have no case, and the port
/// of HTTP is left out.
fn allowed(headers: &HeaderMap, port: u16) -> bool {
    let own = |host: &str| {
        let (name, given) = host.rsplit_once(':').unwrap_or((host, "80"));
        given.parse() == Ok(port) && ["127.0.0.1", "localhost"].iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let of = |name| headers.get(name).map(HeaderValue::to_str);
    let host = matches!(of(header::HOST), Some(Ok(host)) if own(host));
    let from = |origin: &str| {
        let host = origin.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
        host.is_some_and(|(_, host)| own(host))
    };
    host && of(header::ORIGIN).is_none_or(|origin| origin.is_ok_and(from))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_meant_for_this_host_and_port() {
        let asked = |port: u16, host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            allowed(&headers, port)
        };
        assert!(asked(8765, "127.0.0.1:8765", None) && asked(8765, "LOCALHOST:8765", Some("http://localhost:8765")));
        assert!(asked(80, "localhost", Some("http://127.0.0.1")) && asked(80, "127.0.0.1:80", None));
        assert!(!asked(8765, "localhost", None) && !asked(80, "localhost:8765", None));
        assert!(!asked(8765, "localhost:08765x", None) && !asked(8765, "a.localhost:8765", None));
        let foreign = ["http://example.org", "http://localhost:80", "https://localhost:8765", "null", "localhost:8765"];
        assert!(foreign.iter().all(|origin| !asked(8765, "localhost:8765", Some(origin))));
        assert!(!allowed(&HeaderMap::new(), 80));
    }
}
