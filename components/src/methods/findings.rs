//! Findings about code that several repositories share.

use maclip_framework::registry::protocol::{Source, Statement};

/// The rate of the code base of HyRSM, which falls earlier than its settings say.
pub const fn early_rate(sources: &'static [Source]) -> Statement {
    Statement::finding(
        "The rate is looked up at floor(e) + e, where e is the number of tasks divided by STEPS_ITER, so it falls earlier \
         than STEPS says.",
        Some("a milestone at 4 is met after 2 times STEPS_ITER tasks, one at 6 after 3 times (computed)"),
        sources,
    )
}

/// What the code base of HyRSM does with a loss that is not a number.
pub const fn dropped_gradients(sources: &'static [Source]) -> Statement {
    Statement::finding(
        "When the loss of one task is not a number, the gradients that were gathered for the step so far are dropped, and \
         training goes on.",
        None,
        sources,
    )
}

/// Frames that the reader of HyRSM's code base never takes.
pub const fn unseen_end(sources: &'static [Source]) -> Statement {
    Statement::finding(
        "Where SAMPLING_RATE is 35 and a clip has fewer than 280 frames at 12 frames a second, frames are taken evenly from \
         the first to 35 before the last, so the end of the clip is never seen.",
        Some("the last 35 frames of such a clip (computed)"),
        sources,
    )
}
