//! `maclip serve`: clips are recognised over HTTP, on a page and by an API.
//!
//! Requests are answered by `http`, computed by the workers of `work`, and both meet at the `desk`. Clips that are sent
//! lie in a folder of `uploads`, and no path that a request names is ever opened.

mod desk;
mod form;
mod http;
mod names;
mod pieces;
mod problem;
mod uploads;
mod work;

use crate::recognition::model::{Model, model_words, recipe_of};
use crate::terminal::arguments::Changes;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say_data, tell};
use clap::Args;
use desk::Desk;
use maclip_components::datasets::paths::Paths;
use maclip_components::datasets::readers::video::Decoder;
use maclip_framework::engine::classify::{Kept, Ready};
use maclip_framework::engine::inputs;
use maclip_framework::error::{Error, Result};
use maclip_framework::progress::{Progress, request_stop};
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use uploads::Uploads;
use work::Bench;

/// Recognise clips over HTTP on this machine: a page to drop clips on, and an API
#[derive(Args)]
pub struct Arguments {
    /// Examples to begin with: a folder with a folder of clips for each class, or a text file with a line `PATH,CLASS`
    #[arg(long, value_name = "FOLDER")]
    support: Option<PathBuf>,
    #[command(flatten)]
    model: Model,
    /// Fit a linear head to the examples; it then decides, and alignments only tell what is none of the classes
    #[arg(long)]
    fit: bool,
    /// Share of the examples, each left out once, that "none of these" may refuse; with 0, nothing is refused
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = crate::recognition::asked::share)]
    refuse: f64,
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8765)]
    port: u16,
    /// Clips that are worked on at once [default: as many as processors, four at most]
    #[arg(long, value_name = "NUMBER")]
    workers: Option<NonZeroUsize>,
    /// The largest clip that is taken, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    clip_limit_mb: u64,
    /// All clips that are held at once, in megabytes
    #[arg(long, value_name = "MB", default_value_t = 8192, value_parser = clap::value_parser!(u64).range(1..=1 << 24))]
    total_limit_mb: u64,
    #[command(flatten)]
    changes: Changes,
    /// Folder of all runs; what is kept for the next call goes to its `.cache`
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
}

crate::verb!("serve", 26, Arguments, serve);

/// Clips that may wait; a request beyond is told to come again.
const WAITING: usize = 64;

fn serve(arguments: Arguments) -> Result<()> {
    let Arguments { support, model, fit, refuse, port, workers, clip_limit_mb, total_limit_mb, changes, runs } =
        arguments;
    let paths = Paths::new(Decoder::default());
    // What is wrong with the examples or the port is told before the model is read.
    let support = support.as_deref().map(|folder| paths.support(folder)).transpose()?;
    let listener = TcpListener::bind(("127.0.0.1", port)).map_err(|error| {
        Error::failed(format!("cannot listen at port {port}: {error}")).help("give another one with `--port`")
    })?;
    let address = listener.local_addr().map_err(|error| Error::failed(format!("the port has no address: {error}")))?;
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let (recipe, name) = recipe_of(&model, &changes, &progress)?;
    inputs::provide(&recipe, &progress)?;
    let ready = Ready::new(&recipe, model.run()?.as_deref(), Box::new(paths), option_env!("MACLIP_COMMIT"))?;
    let caches = recipe.compute.caches(&runs).join("classify");
    let kept = recipe.compute.feature_cache.then(|| Kept::new(caches, &ready.clips, &ready.identity));
    let bench = Bench::new(&ready, kept, fit, refuse);
    let uploads = Uploads::new(clip_limit_mb << 20, total_limit_mb << 20)?;
    let (sender, jobs) = mpsc::sync_channel(WAITING);
    let desk = Arc::new(Desk::new(model_words(&recipe, &name), uploads, sender));
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = workers.map_or(processors.min(4), NonZeroUsize::get);
    if let Some((classes, notes)) = support {
        notes.iter().for_each(|note| progress.note(note));
        bench.give(&desk, classes, workers, &progress)?;
    }
    let jobs = Mutex::new(jobs);
    tell(format!("model {}; classes and answers are gone when this ends; Ctrl-C ends it", desk.model));
    say_data(format!("http://127.0.0.1:{}", address.port()))?;
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| bench.work(&desk, &jobs));
        }
        let served = http::serve(Arc::clone(&desk), listener);
        request_stop();
        served
    })
}
