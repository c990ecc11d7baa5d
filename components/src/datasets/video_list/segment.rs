//! A clip that is a part of a file: some seconds of a video, or some of its frames.

use super::formats::Span;
use maclip_framework::error::{Error, Result};
use maclip_framework::slots::dataset::{Choose, Opened, Request, Timeline};

/// A part of a file's frames.
pub(super) struct Part {
    /// Its first frame.
    pub first: usize,
    /// Its own length, with the rate of the file.
    pub timeline: Timeline,
}

/// The frames of `whole` that belong to a clip. A frame belongs to a part in seconds if its time is in it, from the
/// start on and before the end; frame n of a video is at n / fps.
///
/// # Errors
/// Where the file has no frame rate or none of these frames, as a text without the name of the clip.
pub(super) fn of(span: Option<Span>, whole: &Timeline) -> std::result::Result<Part, String> {
    // Times of a list have few digits, so a frame at the very border must not fall on the other side of it.
    const BORDER: f64 = 1e-6;
    let (first, end) = match span {
        None => (0, whole.frames),
        Some(Span::Frames(first, end)) => (first, end),
        Some(Span::Seconds(start, end)) => {
            let fps = whole.fps.ok_or_else(|| {
                "it has no frame rate, so its start and end cannot be seconds: say start_frame and end_frame".to_owned()
            })?;
            let frame = |seconds: f64| (seconds * fps - BORDER).ceil().max(0.0) as usize;
            (frame(start), frame(end))
        }
    };
    let end = end.min(whole.frames);
    match span {
        Some(span) if first >= end => Err(format!("the part {span} has no frame: the file has {}", length(whole))),
        _ => Ok(Part { first, timeline: Timeline { frames: end - first, fps: whole.fps } }),
    }
}

fn length(whole: &Timeline) -> String {
    let seconds = whole.fps.map(|fps| format!(" ({:.2} s)", whole.frames as f64 / fps)).unwrap_or_default();
    format!("{} frames{seconds}", whole.frames)
}

/// What a request chooses, among the frames of the whole file.
pub(super) fn choose<'a>(span: Option<Span>, request: &'a Request) -> Box<Choose<'a>> {
    if span.is_none() {
        return Box::new(request.choose);
    }
    Box::new(move |whole: &Timeline| -> Result<Vec<usize>> {
        let part = of(span, whole).map_err(|why| Error::failed(format!("clip {}: {why}", request.clip)))?;
        let mut chosen = (request.choose)(&part.timeline)?;
        let frames = part.timeline.frames;
        if let Some(index) = chosen.iter().find(|&&index| index >= frames) {
            let what = format!("clip {} has {frames} frames; there is no frame {index}", request.clip);
            return Err(Error::failed(what));
        }
        chosen.iter_mut().for_each(|index| *index += part.first);
        Ok(chosen)
    })
}

/// What was opened of the whole file, as a clip of its own.
///
/// # Errors
/// As [`of`].
pub(super) fn opened(span: Option<Span>, mut opened: Opened) -> std::result::Result<Opened, String> {
    if span.is_some() {
        let part = of(span, &opened.timeline)?;
        opened.timeline = part.timeline;
        opened.indices.iter_mut().for_each(|index| *index = index.saturating_sub(part.first));
    }
    Ok(opened)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_list_parts_hold_the_frames_of_their_time() {
        let whole = Timeline { frames: 50, fps: Some(25.0) };
        let part = |span| of(Some(span), &whole).map(|part| (part.first, part.timeline.frames));
        assert_eq!(part(Span::Seconds(0.0, 1.0)).unwrap(), (0, 25));
        assert_eq!(part(Span::Seconds(1.0, 2.0)).unwrap(), (25, 25));
        assert_eq!(part(Span::Seconds(0.05, 0.1)).unwrap(), (2, 1));
        assert_eq!(part(Span::Seconds(1.9, 99.0)).unwrap(), (48, 2));
        assert_eq!(part(Span::Frames(10, 12)).unwrap(), (10, 2));
        assert!(
            part(Span::Seconds(2.0, 3.0)).unwrap_err().contains("2s-3s has no frame: the file has 50 frames (2.00 s)")
        );
        assert!(part(Span::Frames(50, 60)).is_err());
        assert!(of(Some(Span::Seconds(0.0, 1.0)), &Timeline::of(9)).is_err_and(|why| why.contains("start_frame")));
        assert_eq!(of(None, &whole).unwrap().timeline, whole);
    }
}
