//! Progress on stderr: bars with the time left on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{Progress, request_stop, stop_requested};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Makes Ctrl-C end the work after the step that is being done, and a second one at once.
pub fn stop_on_ctrl_c() -> Result<()> {
    ctrlc::set_handler(|| {
        if stop_requested() {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; once more stops at once");
        request_stop();
    })
    .map_err(|error| Error::failed(format!("cannot listen for Ctrl-C: {error}")))
}

pub struct Console {
    terminal: bool,
    phase: Mutex<Option<Phase>>,
}

struct Phase {
    name: String,
    total: u64,
    first: u64,
    started: Instant,
    printed: Instant,
    bar: Option<ProgressBar>,
}

impl Console {
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), phase: Mutex::new(None) }
    }
}

impl Progress for Console {
    fn begin(&self, phase: &str, done: u64, total: u64) {
        let bar = self.terminal.then(|| {
            let bar = ProgressBar::new(total).with_position(done);
            // The template is a constant; should it ever be wrong, a bar without style is still a bar.
            if let Ok(style) = ProgressStyle::with_template("  {prefix:<7} {bar:28} {pos}/{len}  {eta} left  {msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(phase.to_owned());
            bar
        });
        let now = Instant::now();
        let phase = Phase { name: phase.to_owned(), total, first: done, started: now, printed: now, bar };
        if let Ok(mut current) = self.phase.lock() {
            *current = Some(phase);
        }
    }

    fn at(&self, done: u64, state: &str) {
        let Ok(mut current) = self.phase.lock() else { return };
        let Some(phase) = current.as_mut() else { return };
        match &phase.bar {
            Some(bar) => {
                // Workers report in any order; a bar does not go back.
                bar.set_position(bar.position().max(done));
                bar.set_message(state.to_owned());
            }
            None if phase.printed.elapsed() >= LINE_EVERY => {
                phase.printed = Instant::now();
                let rate = (done - phase.first) as f64 / phase.started.elapsed().as_secs_f64();
                let left = if rate > 0.0 { (phase.total - done) as f64 / rate } else { 0.0 };
                eprintln!("  {} {done}/{}, {left:.0} s left {state}", phase.name, phase.total);
            }
            None => {}
        }
    }

    fn end(&self) {
        let Ok(mut current) = self.phase.lock() else { return };
        if let Some(phase) = current.take() {
            if let Some(bar) = phase.bar {
                bar.finish_and_clear();
            }
            eprintln!("  {:<7} {:.1} s", phase.name, phase.started.elapsed().as_secs_f64());
        }
    }

    fn note(&self, text: &str) {
        eprintln!("  {text}");
    }
}
