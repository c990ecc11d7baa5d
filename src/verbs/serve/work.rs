//! The workers: they encode examples and answer queries, several at a time.

use super::desk::{Answer, Classes, Desk, Example, Job, Learned, Source};
use super::names::class_name;
use super::problem::Problem;
use super::uploads::Upload;
use crate::recognition::answers::{Answers, Query};
use crate::recognition::asked::Asked;
use axum::http::StatusCode;
use maclip_components::datasets::paths::class;
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::engine::classify::calibration::Calibration;
use maclip_framework::engine::classify::timeline::Windows;
use maclip_framework::engine::classify::{Classifier, Kept, Ready, SupportClass, best_two, frames};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::file_hash;
use maclip_framework::progress::{Progress, Validated, stop_requested};
use maclip_reports::{recognised, trust};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a worker that has nothing to do looks whether the server stops.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The shortest time between two reports of one piece of work.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// The model, and what it has learned of the examples.
pub struct Bench<'a> {
    ready: &'a Ready,
    kept: Option<Kept<'a>>,
    /// Whether a linear head is fitted to the examples.
    fit: bool,
    /// Share of the examples that "none of these" may refuse.
    refuse: f64,
    /// Of the newest revision that was looked at; an error where its examples cannot be learned.
    learned: Mutex<Option<(u64, Known<'a>)>>,
}

/// What is known of the examples of one revision, or why nothing is.
type Known<'a> = std::result::Result<Arc<Class<'a>>, String>;

/// Examples that were learned.
struct Class<'a> {
    classifier: Classifier<'a>,
    calibration: Calibration,
    /// The classes as they were; their files stay as long as this does.
    classes: Classes,
}

impl<'a> Bench<'a> {
    pub fn new(ready: &'a Ready, kept: Option<Kept<'a>>, fit: bool, refuse: f64) -> Self {
        Self { ready, kept, fit, refuse, learned: Mutex::default() }
    }

    fn source(&self) -> ClipSource<'a> {
        let Ready { model, clips, geometry, device, .. } = self.ready;
        ClipSource::new(ClipLoader { clips, geometry, device, store: None }, model, None)
    }

    /// The frames of a clip as a picture, which also shows whether it can be read.
    ///
    /// # Errors
    /// Where it cannot.
    pub fn frames(&self, clip: &str) -> Result<Vec<u8>> {
        self.ready.clips.dataset.ready(clip)?;
        frames(&self.source(), clip)
    }

    /// Makes the clips of `--support` examples, on `workers` threads.
    ///
    /// # Errors
    /// Where one cannot be read, or the program is asked to stop.
    pub fn give(&self, desk: &Desk, support: Vec<SupportClass>, workers: usize, progress: &dyn Progress) -> Result<()> {
        let mut all = Vec::new();
        for SupportClass { name, clips, .. } in support {
            let name = class_name(&name).map_err(|problem| problem.of(&name))?;
            all.extend(clips.into_iter().map(|clip| (name.clone(), clip)));
        }
        progress.begin("examples", 0, all.len() as u64);
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = |clip: &str| -> Result<_> {
            if stop_requested() {
                return Err(Error::Interrupted);
            }
            let path = Path::new(clip);
            let sha256 = path.is_file().then(|| file_hash(path)).transpose()?;
            let found = (self.frames(clip)?, sha256);
            progress.at(done.fetch_add(1, Ordering::Relaxed) as u64 + 1, "");
            Ok(found)
        };
        let part = || -> Result<Vec<_>> {
            let mut found = Vec::new();
            while let at = next.fetch_add(1, Ordering::Relaxed)
                && let Some((_, clip)) = all.get(at)
            {
                // The others end too.
                found.push((at, one(clip).inspect_err(|_| next.store(all.len(), Ordering::Relaxed))?));
            }
            Ok(found)
        };
        let mut read = std::thread::scope(|scope| -> Result<Vec<_>> {
            let parts: Vec<_> = (0..workers).map(|_| scope.spawn(part)).collect();
            let parts = parts
                .into_iter()
                .map(|part| part.join().unwrap_or_else(|_| Err(Error::failed("the program failed at an example"))));
            Ok(parts.collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
        })?;
        progress.end();
        read.sort_by_key(|(at, _)| *at);
        for ((class, clip), (_, (frames, sha256))) in all.into_iter().zip(read) {
            desk.add(&class, Source::Given(clip.clone(), sha256), frames).map_err(|problem| problem.of(&clip))?;
        }
        Ok(())
    }

    /// What is known of the classes as they are now. Where another worker is learning them, this waits for it.
    fn learned(&self, desk: &Desk) -> Result<Arc<Class<'a>>> {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let (classes, ..) = desk.classes();
        if let Some((revision, found)) = learned.as_ref()
            && *revision == classes.revision
        {
            return found.clone().map_err(Error::failed);
        }
        // What was known before is wrong now, and its features take memory.
        *learned = None;
        let revision = classes.revision;
        desk.learning();
        let found = self.learn(classes, desk);
        if let Err(Error::Interrupted) = found {
            return Err(Error::Interrupted);
        }
        let found = found.map(Arc::new).map_err(|error| error.reason());
        desk.learned(match &found {
            Ok(class) => class.told(revision),
            Err(problem) => Learned { revision, problem: Some(problem.clone()), ..Learned::default() },
        });
        *learned = Some((revision, found.clone()));
        found.map_err(Error::failed)
    }

    fn learn(&self, classes: Classes, desk: &Desk) -> Result<Class<'a>> {
        let clips = |examples: &Vec<Example>| examples.iter().map(|example| example.source.clip().to_owned()).collect();
        let support = classes.examples.iter().map(|(name, examples)| class(name, clips(examples))).collect();
        let reporter = Reporter::new(desk, None);
        let Ready { model, prompt, .. } = self.ready;
        let named = |error: Error| named(error, classes.examples.values().flatten().map(|example| &example.source));
        let classifier =
            Classifier::new(model.clone(), self.source(), &**prompt, support, self.kept.as_ref(), &reporter)
                .map_err(named)?;
        let classifier = if self.fit { classifier.fitted()? } else { classifier };
        let left_out = classifier.leave_one_out(&reporter)?;
        let calibration = Calibration::of(&left_out, classifier.classes().len(), self.refuse);
        Ok(Class { classifier, calibration, classes })
    }

    /// Does what is asked for until the server stops.
    pub fn work(&self, desk: &Desk, jobs: &Mutex<Receiver<Job>>) {
        while !stop_requested() {
            let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(LOOK_EVERY);
            match next {
                Ok(job) => self.job(desk, job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn job(&self, desk: &Desk, job: Job) {
        match job {
            Job::Learn => {
                desk.taken();
                // The desk is told what goes wrong; fewer than two classes are not worth an attempt.
                if desk.classes().0.examples.len() > 1 {
                    _ = guarded(|| self.learned(desk));
                }
            }
            // Nobody would be told what became of it.
            Job::Example { done, .. } if done.is_closed() => {}
            Job::Example { class, upload, done } => {
                let source = Source::Sent(Arc::new(upload));
                let found = guarded(|| self.frames(source.clip()));
                let found = found.map_err(|error| {
                    let reason = named(error, std::iter::once(&source)).reason();
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
                });
                // Whoever sent it may be gone.
                _ = done.send(found.and_then(|frames| desk.add(&class, source, frames)));
            }
            Job::Query { cancelled, .. } if cancelled.load(Ordering::SeqCst) => {}
            Job::Query { id, upload, windows, cancelled } => {
                desk.begin(id);
                let reporter = Reporter::new(desk, Some((id, cancelled)));
                let answer = guarded(|| self.answer(desk, &upload, windows, &reporter));
                let sent = Source::Sent(Arc::new(upload));
                desk.finish(id, answer.map_err(|error| named(error, std::iter::once(&sent))));
            }
        }
    }

    fn answer(&self, desk: &Desk, upload: &Upload, windows: Option<Windows>, reporter: &Reporter) -> Result<Answer> {
        let clip = upload.clip();
        let class = self.learned(desk)?;
        let Class { classifier, calibration, .. } = &*class;
        reporter.goes_on()?;
        self.ready.clips.dataset.ready(clip)?;
        let mut asked = match windows {
            Some(windows) => Asked::in_windows(classifier, calibration, windows, None, clip, reporter)?,
            None => {
                let answers = classifier.classify(&[clip])?;
                reporter.goes_on()?;
                let answer = answers.first().ok_or_else(|| Error::failed("there is no answer"))?;
                let mut asked = Asked::of(clip, answer, Some(calibration));
                let mut look = classifier.look(clip, best_two(&asked.probabilities).0.0)?;
                look.nearest = class.name_of(&look.nearest);
                asked.look = Some(look);
                asked
            }
        };
        asked.path.clone_from(&upload.name);
        let names: Vec<&str> = classifier.classes().iter().map(|class| class.name.as_str()).collect();
        let html = recognised(&names, &asked.on_page())?;
        let answers = class.answers(vec![Query::new(&asked, &names)]);
        Ok(Answer { json: answers.json(), html, csv: answers.csv(), segments: asked.segments })
    }
}

impl Class<'_> {
    fn answers(&self, queries: Vec<Query>) -> Answers {
        let names: Vec<String> = self.classes.examples.keys().cloned().collect();
        let examples = self.classes.examples.values().map(Vec::len).sum();
        Answers::new(names, Some((self.calibration.clone(), examples)), queries, Vec::new())
    }

    fn told(&self, revision: u64) -> Learned {
        let answers = self.answers(Vec::new());
        let html = trust(&self.calibration);
        Learned {
            revision,
            leave_one_out: answers.json()["leave_one_out"].take(),
            warnings: answers.warnings(),
            problem: html.as_ref().err().map(Error::reason),
            html: html.unwrap_or_default(),
        }
    }

    /// What people call an example.
    fn name_of(&self, clip: &str) -> String {
        let examples: BTreeMap<&str, &str> =
            self.classes.examples.values().flatten().map(|e| (e.source.clip(), e.source.name())).collect();
        examples.get(clip).map_or_else(|| clip.to_owned(), |name| (*name).to_owned())
    }
}

/// The same error, with what people call the clips in place of where they lie.
fn named<'s>(error: Error, sources: impl Iterator<Item = &'s Source>) -> Error {
    if let Error::Interrupted = error {
        return error;
    }
    let mut reason = error.reason();
    for source in sources {
        reason = reason.replace(source.clip(), source.name());
    }
    Error::failed(reason)
}

/// A panic in one piece of work is a failure of that alone.
fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::failed("the program failed at this clip")))
}

/// Tells listeners how far a piece of work is.
struct Reporter<'d> {
    desk: &'d Desk,
    /// The query, and whether it is cancelled; none where examples are learned.
    query: Option<(u64, Arc<AtomicBool>)>,
    phase: Mutex<(String, u64, Instant)>,
}

impl<'d> Reporter<'d> {
    fn new(desk: &'d Desk, query: Option<(u64, Arc<AtomicBool>)>) -> Self {
        Self { desk, query, phase: Mutex::new((String::new(), 0, Instant::now())) }
    }

    fn query(&self) -> Option<u64> {
        self.query.as_ref().map(|(id, _)| *id)
    }

    /// An error where the work shall end.
    fn goes_on(&self) -> Result<()> {
        if self.stopped() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

impl Progress for Reporter<'_> {
    fn begin(&self, phase: &str, done: u64, total: u64) {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner) = (phase.to_owned(), total, Instant::now());
        self.desk.at(self.query(), phase, done, total);
    }

    fn at(&self, done: u64, _: &str) {
        let mut now = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if done >= now.1 || now.2.elapsed() >= REPORT_EVERY {
            now.2 = Instant::now();
            self.desk.at(self.query(), &now.0, done, now.1);
        }
    }

    fn validated(&self, _: &[Validated]) {}

    fn end(&self) {}

    fn note(&self, _: &str) {}

    fn stopped(&self) -> bool {
        let cancelled = self.query.as_ref().is_some_and(|(_, cancelled)| cancelled.load(Ordering::SeqCst));
        cancelled || stop_requested()
    }
}
