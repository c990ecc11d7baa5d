//! Progress on standard error: a live view with the time left on a terminal, plain lines elsewhere.

use super::sparkline::sparkline;
use super::tell;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{Progress, Validated, request_stop, stop_requested};
use maclip_reports::format::{percent, percent_interval, rough_duration};
use std::io::IsTerminal;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Seconds between plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Validations that the live view shows: with them its widest line fits into 80 columns.
const CURVE_WIDTH: usize = 16;
/// Begins with an empty line: the `^C` that a terminal writes goes below the view and moves it up, so that its first
/// line stays.
const BAR: &str = "\n  {prefix:<7} {bar:20} {pos}/{len}  {eta} left  {wide_msg}";
const TEXT: &str = "  {prefix:<7} {wide_msg}";

/// Makes the first Ctrl-C end the work after the current step, and the second one end it at once.
pub fn stop_on_ctrl_c(console: &Console) -> Result<()> {
    let screen = console.screen.clone();
    ctrlc::set_handler(move || {
        if stop_requested() {
            // The program ends here, even if the view cannot be removed.
            let _ = screen.as_ref().map(MultiProgress::clear);
            std::process::exit(130);
        }
        print(screen.as_ref(), "stopping after this step; once more stops at once");
        request_stop();
    })
    .map_err(|error| Error::failed(format!("cannot listen for Ctrl-C: {error}")))
}

/// Lets each signal to end, also a repeated one, end the work after its step, with a checkpoint: for a process that is
/// told both by its parent and by what tells the parent.
///
/// # Errors
/// Where the system does not allow it.
pub fn stop_on_signals() -> Result<()> {
    ctrlc::set_handler(request_stop).map_err(|error| Error::failed(format!("cannot listen for signals: {error}")))
}

/// A line that stays, above the live view where there is one.
fn print(screen: Option<&MultiProgress>, line: &str) {
    match screen {
        Some(screen) => screen.suspend(|| tell(line)),
        None => tell(line),
    }
}

pub struct Console {
    /// The live view; `None` where stderr is no terminal, or one that cannot move its cursor.
    screen: Option<MultiProgress>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: Option<Phase>,
    study: Option<Study>,
}

/// The place of a run among those of its study.
struct Study {
    number: usize,
    runs: usize,
    /// Estimated seconds for all runs when this one began.
    left: Option<f64>,
    began: Instant,
}

struct Phase {
    name: String,
    total: u64,
    first: u64,
    started: Instant,
    printed: Instant,
    live: Option<Live>,
}

/// The lines of a phase in the live view. They disappear with their phase.
struct Live {
    bar: ProgressBar,
    study: Option<ProgressBar>,
    /// From the first validation on.
    curve: Option<ProgressBar>,
}

impl Live {
    fn begin(screen: &MultiProgress, phase: &str, done: u64, total: u64, study: Option<&Study>) -> Self {
        let bar = dressed(screen.add(ProgressBar::no_length()), BAR, phase).with_position(done);
        bar.set_length(total);
        bar.reset_eta();
        let study = study.map(|now| {
            let line = dressed(screen.add(ProgressBar::no_length()), TEXT, "study");
            line.set_message(now.text());
            line
        });
        Self { bar, study, curve: None }
    }

    fn at(&self, done: u64, state: &str, study: Option<&Study>) {
        // Workers report in any order; a bar does not go back.
        self.bar.set_position(self.bar.position().max(done));
        self.bar.set_message(state.to_owned());
        if let (Some(line), Some(study)) = (&self.study, study) {
            line.set_message(study.text());
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let lines = [Some(&self.bar), self.study.as_ref(), self.curve.as_ref()];
        lines.into_iter().flatten().for_each(ProgressBar::finish_and_clear);
    }
}

/// A line with its style. It must be on the screen already; otherwise it would draw itself below the others.
fn dressed(line: ProgressBar, template: &str, prefix: &str) -> ProgressBar {
    // The templates are constants; should one ever be wrong, a line without style is still a line.
    if let Ok(style) = ProgressStyle::with_template(template) {
        line.set_style(style);
    }
    line.set_prefix(prefix.to_owned());
    line
}

impl Study {
    /// `run 3 of 12, about 25 min left for all`
    fn text(&self) -> String {
        let left = self.left.map(|left| (left - self.began.elapsed().as_secs_f64()).max(0.0));
        let left = left.map_or_else(String::new, |left| format!(", about {} left for all", rough_duration(left)));
        format!("run {} of {}{left}", self.number, self.runs)
    }
}

impl Phase {
    /// `test 9/40, 41 s left`, and `text`. Of a phase that has not moved yet nobody knows how long it takes.
    fn line(&self, done: u64, text: &str) -> String {
        let rate = done.saturating_sub(self.first) as f64 / self.started.elapsed().as_secs_f64();
        let left = self.total.saturating_sub(done) as f64 / rate;
        let left = if rate > 0.0 { format!(", {} left", rough_duration(left)) } else { String::new() };
        format!("{} {done}/{}{left} {text}", self.name, self.total).trim_end().to_owned()
    }
}

/// `61.2 ± 1.0 at step 150, best`, or with the best one so far where this one is not the best. `None` where nothing was
/// validated.
fn newest(curve: &[Validated]) -> Option<String> {
    let now = curve.last()?;
    let best = match curve.iter().rev().find(|record| record.best) {
        Some(best) if best.step == now.step => ", best".to_owned(),
        Some(best) => format!(", best {} at step {}", percent(best.accuracy), best.step),
        None => String::new(),
    };
    Some(format!("{} at step {}{best}", percent_interval(now.accuracy, now.ci95), now.step))
}

impl Console {
    pub fn new() -> Self {
        let moves = std::env::var_os("TERM").is_none_or(|name| name != "dumb");
        let screen = (std::io::stderr().is_terminal() && moves).then(MultiProgress::new);
        Self { screen, state: Mutex::default() }
    }

    /// Run `number` of `runs` begins. All runs that are left may take `left` seconds from here.
    pub fn study(&self, number: usize, runs: usize, left: Option<f64>) {
        self.state().study = (runs > 1).then(|| Study { number, runs, left, began: Instant::now() });
    }

    /// Removes from the view a phase that was ended by an error.
    pub fn clear(&self) {
        self.state().phase = None;
    }

    /// The state, also after a panic of a worker: it is good enough to be shown.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Console {
    fn begin(&self, phase: &str, done: u64, total: u64) {
        let state = &mut *self.state();
        // First, so that the old phase is gone from the view before the new one appears.
        state.phase = None;
        let live = self.screen.as_ref().map(|screen| Live::begin(screen, phase, done, total, state.study.as_ref()));
        let now = Instant::now();
        state.phase = Some(Phase { name: phase.to_owned(), total, first: done, started: now, printed: now, live });
    }

    fn at(&self, done: u64, text: &str) {
        let state = &mut *self.state();
        let Some(phase) = state.phase.as_mut() else { return };
        match &phase.live {
            Some(live) => live.at(done, text, state.study.as_ref()),
            None if phase.printed.elapsed() >= LINE_EVERY => {
                phase.printed = Instant::now();
                tell(format!("  {}", phase.line(done, text)));
            }
            None => {}
        }
    }

    fn validated(&self, curve: &[Validated]) {
        let Some(newest) = newest(curve) else { return };
        let mut state = self.state();
        match (&self.screen, state.phase.as_mut().and_then(|phase| phase.live.as_mut())) {
            (Some(screen), Some(live)) => {
                let values: Vec<f64> = curve.iter().map(|record| record.accuracy).collect();
                let line = live.curve.get_or_insert_with(|| {
                    dressed(screen.insert_after(&live.bar, ProgressBar::no_length()), TEXT, "val")
                });
                line.set_message(format!("{}  {newest}", sparkline(&values, CURVE_WIDTH)));
            }
            _ => tell(format!("  val accuracy {newest}")),
        }
    }

    fn end(&self) {
        let Some(Phase { name, started, live, .. }) = self.state().phase.take() else { return };
        let curve = live.as_ref().and_then(|live| Some(live.curve.as_ref()?.message()));
        drop(live);
        if let Some(curve) = curve {
            tell(format!("  {:<7} {curve}", "val"));
        }
        tell(format!("  {name:<7} {:.1} s", started.elapsed().as_secs_f64()));
    }

    fn note(&self, text: &str) {
        print(self.screen.as_ref(), &format!("  {text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64, accuracy: f64, best: bool) -> Validated {
        Validated { step, accuracy, ci95: 0.01, best }
    }

    #[test]
    fn a_validation_is_shown_beside_the_best() {
        let curve = [record(50, 0.5, true), record(100, 0.612, true), record(150, 0.6, false)];
        assert_eq!(newest(&curve[..2]).unwrap(), "61.2 ± 1.0 at step 100, best");
        assert_eq!(newest(&curve).unwrap(), "60.0 ± 1.0 at step 150, best 61.2 at step 100");
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn a_plain_line_says_the_time_left_once_something_is_done() {
        let now = Instant::now();
        let started = now.checked_sub(Duration::from_secs(100)).unwrap();
        let phase = Phase { name: "runs".to_owned(), total: 6, first: 2, started, printed: now, live: None };
        assert_eq!(phase.line(2, "a, b"), "runs 2/6 a, b");
        assert_eq!(phase.line(4, ""), "runs 4/6, 100 s left");
    }

    #[test]
    fn a_study_shows_the_time_left_where_it_is_known() {
        let began = Instant::now();
        let study = |left| Study { number: 3, runs: 12, left, began };
        assert_eq!(study(None).text(), "run 3 of 12");
        assert_eq!(study(Some(1500.0)).text(), "run 3 of 12, about 25 min left for all");
        assert_eq!(study(Some(-5.0)).text(), "run 3 of 12, about 0 s left for all");
    }
}
