//! The one thing that must be known of a frame and that `ffmpeg-next` does not tell, and so the only `unsafe` of this crate.
#![allow(unsafe_code)]

use ffmpeg_next::frame;

/// Whether the decoder made up a part of `frame`, because data were damaged or missing: its `decode_error_flags`.
pub(super) fn concealed(frame: &frame::Video) -> bool {
    // SAFETY: `frame` owns an `AVFrame` that FFmpeg allocated, and keeps it as long as it is borrowed here; nobody writes
    // to it meanwhile, because that takes a `&mut`. A frame for which there was no memory has no planes, and is not looked
    // at: `planes` would already have met the null pointer. Only a plain integer is read.
    unsafe { (*frame.as_ptr()).decode_error_flags != 0 }
}
