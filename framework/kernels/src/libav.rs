//! The one thing that must be known of a decoded frame and that `ffmpeg-next` does not tell.

use ffmpeg_next::frame;

/// Whether the decoder made up a part of `frame`, which it has given, because data were damaged or missing: FFmpeg's
/// `decode_error_flags`.
pub fn concealed(frame: &frame::Video) -> bool {
    // Safety: `frame` owns an `AVFrame` that FFmpeg allocated and the decoder has filled, so the pointer is not null.
    // It stays valid while `frame` is borrowed, and nobody writes to it meanwhile, because that takes a `&mut`. Only a
    // plain integer is read.
    unsafe { (*frame.as_ptr()).decode_error_flags != 0 }
}
