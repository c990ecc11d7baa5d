//! What the server knows: classes with their examples, clips that were asked, and who waits for what.
//!
//! Handlers of requests and workers meet here and nowhere else. Nothing here computes.

use super::problem::Problem;
use super::uploads::{Upload, Uploads};
use axum::http::StatusCode;
use maclip_framework::engine::classify::timeline::{Segment, Windows};
use maclip_framework::error::Error;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{broadcast, oneshot};
use utoipa::ToSchema;

/// The most classes, and the most examples of one.
pub const CLASSES: usize = 200;
pub const EXAMPLES: usize = 500;
/// Answers that are kept; older ones are forgotten.
const ANSWERS: usize = 100;
/// Messages that a slow listener may be behind.
const MESSAGES: usize = 1024;

/// Work for a worker.
pub enum Job {
    /// Look whether a clip can be read, and make it an example.
    Example { class: String, upload: Upload, done: oneshot::Sender<Result<Clip, Problem>> },
    /// Encode the examples, so that the next query need not wait for it.
    Learn,
    /// Answer the query of this number, as long as it is not `cancelled`.
    Query { id: u64, upload: Upload, windows: Option<Windows>, cancelled: Arc<AtomicBool> },
}

/// What everyone who listens is told.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Message {
    /// Classes, examples, or what is known of them have changed: ask for `/api/classes`.
    Classes { revision: u64 },
    /// A query has another state: ask for `/api/queries/{id}`.
    Query { id: u64, state: State },
    /// How far the work is; `query` is null where examples are encoded.
    Progress { query: Option<u64>, phase: String, done: u64, of: u64 },
}

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Queued,
    Working,
    Done,
    Failed,
    /// It is not known any more.
    Cancelled,
}

/// A clip that is an example.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Clip {
    pub id: u64,
    /// What it was called.
    pub file: String,
}

/// An example: its clip, and what must stay while it is used.
#[derive(Clone)]
pub struct Example {
    pub id: u64,
    pub source: Source,
    /// Its frames side by side, as JPEG.
    pub frames: Arc<Vec<u8>>,
}

/// Where the file of an example comes from.
#[derive(Clone)]
pub enum Source {
    Sent(Arc<Upload>),
    /// A clip of `--support`, with its checksum where it is one file.
    Given(String, Option<[u8; 32]>),
}

impl Source {
    /// Identifier in the dataset.
    pub fn clip(&self) -> &str {
        match self {
            Source::Sent(upload) => upload.clip(),
            Source::Given(path, _) => path,
        }
    }

    /// Of its content.
    fn sha256(&self) -> Option<[u8; 32]> {
        match self {
            Source::Sent(upload) => Some(upload.sha256),
            Source::Given(_, sha256) => *sha256,
        }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        match self {
            Source::Sent(upload) => &upload.name,
            Source::Given(path, _) => path,
        }
    }
}

/// The classes at one moment.
#[derive(Clone, Default)]
pub struct Classes {
    /// Grows with every change.
    pub revision: u64,
    pub examples: BTreeMap<String, Vec<Example>>,
}

/// What the examples say about the answers.
#[derive(Clone, Default)]
pub struct Learned {
    /// Of the classes at this revision.
    pub revision: u64,
    /// As in `maclip classify --json`.
    pub leave_one_out: Value,
    pub warnings: Vec<String>,
    /// For the page.
    pub html: String,
    /// Why there are no answers.
    pub problem: Option<String>,
}

/// An answer, in every form that is asked for.
pub struct Answer {
    /// As `maclip classify --json` prints it.
    pub json: Value,
    /// For the page.
    pub html: String,
    pub csv: String,
    pub segments: Vec<Segment>,
}

/// A clip that was asked.
#[derive(Clone)]
pub struct Query {
    pub id: u64,
    pub file: String,
    pub state: State,
    pub phase: String,
    pub done: u64,
    pub of: u64,
    pub answer: Option<Arc<Answer>>,
    pub reason: Option<String>,
    cancelled: Arc<AtomicBool>,
}

#[derive(Default)]
struct Board {
    classes: Classes,
    learned: Learned,
    learning: bool,
    /// Whether a [`Job::Learn`] is waiting.
    waits: bool,
    queries: BTreeMap<u64, Query>,
    last: u64,
}

pub struct Desk {
    /// The model in a few words.
    pub model: String,
    /// Tells this server from one before it at the same address, whose numbers mean something else.
    pub instance: String,
    pub uploads: Uploads,
    board: Mutex<Board>,
    jobs: SyncSender<Job>,
    messages: broadcast::Sender<Message>,
}

impl Desk {
    pub fn new(model: String, uploads: Uploads, jobs: SyncSender<Job>) -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let instance = format!("{began:x}-{}", std::process::id());
        Self { model, instance, uploads, board: Mutex::default(), jobs, messages: broadcast::channel(MESSAGES).0 }
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing that panics is called while it is held.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn listen(&self) -> broadcast::Receiver<Message> {
        self.messages.subscribe()
    }

    fn tell(&self, message: Message) {
        // Nobody may be listening.
        _ = self.messages.send(message);
    }

    /// Gives work to a worker.
    ///
    /// # Errors
    /// Where as much is waiting as may wait.
    pub fn send(&self, job: Job) -> Result<(), Problem> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many clips are waiting")
                .help("send this one again a little later"),
            TrySendError::Disconnected(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"),
        })
    }

    /// The classes now, what the examples of the last revision say, and whether a newer one is being encoded.
    pub fn classes(&self) -> (Classes, Learned, bool) {
        let board = self.board();
        (board.classes.clone(), board.learned.clone(), board.learning)
    }

    /// An error where `class` can have no more examples, or has this one already, or another class has.
    fn place(board: &Board, class: &str, source: &Source) -> Result<(), Problem> {
        let full = |what: String| Err(Problem::new(StatusCode::CONFLICT, what));
        let examples = &board.classes.examples;
        if !examples.contains_key(class) && examples.len() >= CLASSES {
            return full(format!("there are {CLASSES} classes, and that is the most"));
        }
        if examples.get(class).is_some_and(|of| of.len() >= EXAMPLES) {
            return full(format!("{class} has {EXAMPLES} examples, and that is the most"));
        }
        // Copies among the clips of `--support` are told when it is read.
        if let Source::Given(..) = source {
            return Ok(());
        }
        for (other, examples) in examples {
            if let Some(known) = examples.iter().find(|example| example.source.sha256() == source.sha256()) {
                let (name, same) = (source.name(), known.source.name());
                return full(format!("{name} is the same clip as {same}, an example of {other}"));
            }
        }
        Ok(())
    }

    /// Makes a clip an example of `class`, and has all examples learned again.
    ///
    /// # Errors
    /// Where it is one already, or there are too many.
    pub fn add(&self, class: &str, source: Source, frames: Vec<u8>) -> Result<Clip, Problem> {
        let mut board = self.board();
        Self::place(&board, class, &source)?;
        board.last += 1;
        board.classes.revision += 1;
        let (id, revision) = (board.last, board.classes.revision);
        let clip = Clip { id, file: source.name().to_owned() };
        let example = Example { id, source, frames: Arc::new(frames) };
        board.classes.examples.entry(class.to_owned()).or_default().push(example);
        drop(board);
        self.changed(revision);
        Ok(clip)
    }

    /// Takes a class away, or one example; a class without examples is gone.
    ///
    /// # Errors
    /// Where there is no such.
    pub fn remove(&self, class: Option<&str>, clip: Option<u64>) -> Result<(), Problem> {
        let mut board = self.board();
        let before: usize = board.classes.examples.values().map(Vec::len).sum();
        for (name, examples) in &mut board.classes.examples {
            if class.is_none_or(|class| class == name) {
                examples.retain(|example| clip.is_some_and(|clip| clip != example.id));
            }
        }
        board.classes.examples.retain(|_, examples| !examples.is_empty());
        if board.classes.examples.values().map(Vec::len).sum::<usize>() == before {
            return Err(Problem::missing(&match (class, clip) {
                (Some(class), _) => format!("class {class}"),
                (None, clip) => format!("example {}", clip.unwrap_or_default()),
            }));
        }
        board.classes.revision += 1;
        let revision = board.classes.revision;
        drop(board);
        self.changed(revision);
        Ok(())
    }

    fn changed(&self, revision: u64) {
        self.tell(Message::Classes { revision });
        let waits = std::mem::replace(&mut self.board().waits, true);
        // Where too much is waiting, the next query learns the examples.
        if !waits && self.send(Job::Learn).is_err() {
            self.board().waits = false;
        }
    }

    /// A worker has taken up [`Job::Learn`]: what changes from here on needs another one.
    pub fn taken(&self) {
        self.board().waits = false;
    }

    /// Begins to learn.
    pub fn learning(&self) {
        let mut board = self.board();
        board.learning = true;
        let revision = board.classes.revision;
        drop(board);
        self.tell(Message::Classes { revision });
    }

    pub fn learned(&self, learned: Learned) {
        let revision = learned.revision;
        let mut board = self.board();
        board.learning = false;
        board.learned = learned;
        drop(board);
        self.tell(Message::Classes { revision });
    }

    /// A new query.
    ///
    /// # Errors
    /// Where too much is waiting, or there are no two classes to choose from.
    pub fn ask(&self, upload: Upload, windows: Option<Windows>) -> Result<u64, Problem> {
        let mut board = self.board();
        if board.classes.examples.len() < 2 {
            let have = board.classes.examples.keys().next().map_or("none".to_owned(), |only| format!("one ({only})"));
            return Err(Problem::new(
                StatusCode::CONFLICT,
                format!("two classes at least are needed, and there is {have}"),
            )
            .help("give examples first: POST /api/classes/{class}/clips"));
        }
        board.last += 1;
        let id = board.last;
        let file = upload.name.clone();
        let cancelled = Arc::<AtomicBool>::default();
        self.send(Job::Query { id, upload, windows, cancelled: Arc::clone(&cancelled) })?;
        let (state, phase) = (State::Queued, String::new());
        let query = Query { id, file, state, phase, done: 0, of: 0, answer: None, reason: None, cancelled };
        board.queries.insert(id, query);
        let finished: Vec<u64> =
            board.queries.values().filter(|query| query.state >= State::Done).map(|query| query.id).collect();
        for old in finished.iter().take(finished.len().saturating_sub(ANSWERS)) {
            board.queries.remove(old);
        }
        // Before the board is free: a worker tells nothing of the query earlier.
        self.tell(Message::Query { id, state: State::Queued });
        drop(board);
        Ok(id)
    }

    /// The query of this number.
    ///
    /// # Errors
    /// Where there is none, or it is forgotten.
    pub fn query(&self, id: u64) -> Result<Query, Problem> {
        let found = self.board().queries.get(&id).cloned();
        found.ok_or_else(|| {
            Problem::missing(&format!("query {id}")).help(format!("the last {ANSWERS} answers are kept"))
        })
    }

    /// Forgets a query. Where it has no answer yet, it gets none, and no more work is done for it.
    ///
    /// # Errors
    /// Where there is none, or it is forgotten.
    pub fn cancel(&self, id: u64) -> Result<(), Problem> {
        let found = self.board().queries.remove(&id);
        let query = found.ok_or_else(|| Problem::missing(&format!("query {id}")))?;
        query.cancelled.store(true, Ordering::SeqCst);
        self.tell(Message::Query { id, state: State::Cancelled });
        Ok(())
    }

    pub fn begin(&self, id: u64) {
        if self.update(id, |query| query.state = State::Working) {
            self.tell(Message::Query { id, state: State::Working });
        }
    }

    /// How far the work is, on a query or on the examples.
    pub fn at(&self, query: Option<u64>, phase: &str, done: u64, of: u64) {
        let set = |query: &mut Query| (query.phase, query.done, query.of) = (phase.to_owned(), done, of);
        if query.is_some_and(|id| !self.update(id, set)) {
            return;
        }
        self.tell(Message::Progress { query, phase: phase.to_owned(), done, of });
    }

    pub fn finish(&self, id: u64, outcome: Result<Answer, Error>) {
        let mut state = State::Done;
        let known = self.update(id, |query| {
            match outcome {
                Ok(answer) => query.answer = Some(Arc::new(answer)),
                Err(error) => {
                    state = State::Failed;
                    query.reason = Some(error.reason());
                }
            }
            query.state = state;
        });
        if known {
            self.tell(Message::Query { id, state });
        }
    }

    /// Whether the query is known.
    fn update(&self, id: u64, change: impl FnOnce(&mut Query)) -> bool {
        self.board().queries.get_mut(&id).map(change).is_some()
    }
}
