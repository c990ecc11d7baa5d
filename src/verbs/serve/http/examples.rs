//! Classes and their examples.

use super::{Clips, Here};
use crate::verbs::serve::desk::{Clip, Desk, Example, Job};
use crate::verbs::serve::form::Form;
use crate::verbs::serve::names::class_name;
use crate::verbs::serve::problem::{Problem, Refused, Reply};
use crate::verbs::serve::uploads::Upload;
use axum::Json;
use axum::extract::{Path, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa::ToSchema;

/// A class and its examples.
#[derive(Serialize, ToSchema)]
pub struct Class {
    name: String,
    clips: Vec<Clip>,
}

/// All classes, and what their examples say about the answers.
#[derive(Serialize, ToSchema)]
pub struct Classes {
    /// Which server this is: after a restart, numbers mean something else.
    instance: String,
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
pub async fn classes(Shared(desk): Here) -> Json<Classes> {
    let (now, learned, learning) = desk.classes();
    let current = learned.revision == now.revision;
    let clip = |example: &Example| Clip { id: example.id, file: example.source.name().to_owned() };
    let class =
        |(name, examples): (&String, &Vec<_>)| Class { name: name.clone(), clips: examples.iter().map(clip).collect() };
    Json(Classes {
        instance: desk.instance.clone(),
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
pub struct Added {
    added: Vec<Clip>,
    refused: Vec<Refused>,
}

/// Makes clips examples of a class, which is made where it is not there.
///
/// The form's files are videos. Each is opened before it is taken. 201 where one was taken at least.
#[utoipa::path(post, path = "/api/classes/{class}/clips",
    params(("class" = String, Path,)),
    request_body(content_type = "multipart/form-data", content = Clips),
    responses(
        (status = 201, description = "One was taken at least", body = Added),
        (status = "4XX", description = "What is wrong", body = Problem),
        (status = 507, description = "No room for the clip", body = Problem)
    )
)]
pub async fn add(Shared(desk): Here, Path(class): Path<String>, mut form: Form) -> Reply<(StatusCode, Json<Added>)> {
    let class = class_name(&class)?;
    let (mut added, mut problems) = (Vec::new(), Vec::new());
    loop {
        match form.next(&desk.uploads).await {
            Ok(None) => break,
            Ok(Some((file, received))) => {
                let taken = match received {
                    Ok(upload) => example(&desk, &class, upload).await,
                    Err(problem) => Err(problem),
                };
                match taken {
                    Ok(clip) => added.push(clip),
                    Err(problem) => problems.push((file, problem)),
                }
            }
            Err(problem) => {
                problems.push((String::new(), problem));
                break;
            }
        }
    }
    // What was taken is told, whatever came after it.
    if !added.is_empty() {
        let refused = problems.into_iter().map(|(file, problem)| Refused { file, reason: problem.reason().to_owned() });
        return Ok((StatusCode::CREATED, Json(Added { added, refused: refused.collect() })));
    }
    Err(match problems.len() {
        0 => Problem::no_file(),
        1 => problems.remove(0).1,
        _ => Problem::all(problems),
    })
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
        (status = "4XX", description = "There is no such, or its name is none", body = Problem)
    )
)]
pub async fn remove_class(Shared(desk): Here, Path(class): Path<String>) -> Reply<StatusCode> {
    desk.remove(Some(&class_name(&class)?), None).map(|()| StatusCode::NO_CONTENT)
}

/// Takes an example away.
#[utoipa::path(delete, path = "/api/clips/{id}",
    params(("id" = u64, Path,)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such", body = Problem)
    )
)]
pub async fn remove_clip(Shared(desk): Here, Path(id): Path<u64>) -> Reply<StatusCode> {
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
pub async fn frames(Shared(desk): Here, Path(id): Path<u64>) -> Reply<Response> {
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
pub async fn trusted(Shared(desk): Here) -> Html<String> {
    Html(desk.classes().1.html)
}
