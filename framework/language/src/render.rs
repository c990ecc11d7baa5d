//! Diagnostics as text, with the source line and a mark under it.

use crate::diagnostic::{Diagnostic, Severity};
use crate::origin::{Origin, byte_range};
use crate::printable::printable;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// A long line is cut by the renderer, but only after it has measured all of it.
const LONGEST_LINE: usize = 10_000;

pub(super) fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let message = printable(&diagnostic.message);
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let mut group = Group::with_title(level.primary_title(message).id(diagnostic.code));
    let origin = diagnostic.origin.as_deref();
    let mut notes: Vec<String> = origin.map(Origin::brought_by).into_iter().flatten().map(str::to_owned).collect();
    match origin.map(Origin::written) {
        Some(Origin::File(place)) => {
            let line = place.source.line(place.line).unwrap_or_default();
            if line.len() > LONGEST_LINE {
                notes.push(format!("at {}:{}:{}", place.source.name, place.line, place.column));
            } else {
                let start = place.column.saturating_sub(1);
                let span = start..start + place.length.unwrap_or(1).max(1);
                group = group.element(snippet(line, place.line, &place.source.name, span, &diagnostic.label));
            }
            if let Some((line, column)) = place.used_at {
                notes.push(format!("brought here by an alias or merge key at {}:{line}:{column}", place.source.name));
            }
        }
        Some(Origin::Argument { option, argument, span }) => {
            let prefix = format!("{option} ");
            let line = format!("{prefix}{argument}");
            let span = span.start + prefix.len()..span.end + prefix.len();
            group = group.element(snippet(&line, 1, "command line", span, &diagnostic.label));
        }
        Some(Origin::Default | Origin::Via { .. }) | None => {
            notes.extend((!diagnostic.label.is_empty()).then(|| diagnostic.label.to_string()))
        }
    }
    if !diagnostic.path.is_empty() {
        group = group.element(Level::NOTE.message(format!("in the recipe: {}", printable(&diagnostic.path))));
    }
    for note in notes {
        group = group.element(Level::NOTE.message(printable(&note)));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(printable(help)));
    }
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

fn snippet<'a>(
    line: &str,
    number: usize,
    name: &str,
    characters: Range<usize>,
    label: &str,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    // A tab or control character would move the mark away from what it points at.
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut span = byte_range(&line, characters);
    if span.is_empty() {
        span.end = byte_range(&line, 0..line[..span.start].chars().count() + 1).end;
    }
    let annotation = AnnotationKind::Primary.span(span);
    let annotation = if label.is_empty() { annotation } else { annotation.label(printable(label)) };
    Snippet::source(line).line_start(number).path(printable(name)).annotation(annotation)
}
