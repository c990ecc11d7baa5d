//! `maclip classify --support FOLDER NEW…`: what new clips show, by a few examples of each class.

use crate::recognition::answers::{Answers, Query};
use crate::recognition::asked::{Asked, seconds, share};
use crate::recognition::model::{Model, model_words, recipe_of};
use crate::terminal::arguments::Changes;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say, say_data, tell};
use clap::Args;
use maclip_components::datasets::paths::Paths;
use maclip_components::datasets::readers::video::Decoder;
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::engine::classify::calibration::Calibration;
use maclip_framework::engine::classify::timeline::{Windows, srt};
use maclip_framework::engine::classify::{Answer, Classifier, Kept, Ready, best_two, zero_shot};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::engine::inputs;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{check_output, write_output};
use maclip_framework::progress::Progress;
use maclip_reports::{Classified, classified};
use std::path::{Path, PathBuf};

/// Recognise clips by a few examples of each class, or by the names of the classes
#[derive(Args)]
pub struct Arguments {
    /// Clips to recognise: videos, folders of frames, or folders that hold some
    new: Vec<PathBuf>,
    /// Examples: a folder with a folder of clips for each class, or a text file with a line `PATH,CLASS` for each clip
    #[arg(long, value_name = "FOLDER", required_unless_present = "classes", conflicts_with = "classes")]
    support: Option<PathBuf>,
    /// Names of the classes, separated by commas, where there are no examples
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    classes: Vec<String>,
    #[command(flatten)]
    model: Model,
    /// Fit a linear head to the examples; it then decides, and alignments only tell what is none of the classes
    #[arg(long, conflicts_with = "classes")]
    fit: bool,
    /// Share of the examples, each left out once, that "none of these" may refuse; with 0, nothing is refused
    #[arg(long, value_name = "SHARE", default_value_t = 0.05, value_parser = share, conflicts_with = "classes")]
    refuse: f64,
    /// Recognise parts of long videos, in windows of this length, such as 2s
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "classes")]
    window: Option<f64>,
    /// From the start of a window to that of the next [default: a quarter of a window]
    #[arg(long, value_name = "TIME", value_parser = seconds, requires = "window")]
    stride: Option<f64>,
    /// Frames per second of clips that do not say it, such as folders of frames
    #[arg(long, value_name = "NUMBER", requires = "window", value_parser = rate)]
    fps: Option<f64>,
    /// One JSON object on stdout
    #[arg(long, conflicts_with_all = ["csv", "srt"])]
    json: bool,
    /// A line for each clip, or each segment, on stdout, in CSV
    #[arg(long, conflicts_with = "srt")]
    csv: bool,
    /// The segments of one video on stdout, as subtitles
    #[arg(long, requires = "window")]
    srt: bool,
    /// Write a page with the frames, the nearest examples and alignments
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    changes: Changes,
    /// Folder of all runs; what is kept for the next call goes to its `.cache`
    #[arg(long, value_name = "DIR", default_value = "runs")]
    runs: PathBuf,
}

crate::verb!("classify", 25, Arguments, classify);

fn rate(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (1e-3..=1e5).contains(value));
    value.ok_or_else(|| "a number of frames per second, such as 25".to_owned())
}

fn classify(arguments: Arguments) -> Result<()> {
    if arguments.new.is_empty() && arguments.support.is_none() {
        return Err(
            Error::failed("there is no clip to recognise").help("give videos, folders of frames, or folders of them")
        );
    }
    let windows =
        arguments.window.map(|window| Windows::new(window, arguments.stride.unwrap_or(window / 4.0))).transpose()?;
    let paths = Paths::new(Decoder::default());
    // What is wrong with the clips is told before the model is read.
    let support = arguments.support.as_deref().map(|folder| paths.support(folder)).transpose()?;
    let mut new: Vec<String> = Vec::new();
    for path in &arguments.new {
        new.extend(paths.clips(path)?);
    }
    if arguments.srt && new.len() != 1 {
        return Err(Error::failed(format!("`--srt` is for one video, and these are {} clips", new.len()))
            .help("use `--csv` or `--json` for several"));
    }
    if let Some(page) = &arguments.html {
        check_output(page)?;
        let examples = support.iter().flat_map(|(classes, _)| classes).flat_map(|class| &class.clips);
        let same = |clip: &&String| {
            page.canonicalize().is_ok_and(|page| Path::new(clip).canonicalize().is_ok_and(|clip| clip == page))
        };
        if let Some(clip) = examples.chain(&new).find(same) {
            return Err(Error::failed(format!("`--html` would overwrite the clip {clip}")).help("give another file"));
        }
    }
    let progress = Console::new();
    stop_on_ctrl_c(&progress)?;
    let (recipe, name) = recipe_of(&arguments.model, &arguments.changes, &progress)?;
    inputs::provide(&recipe, &progress)?;
    let Ready { model, clips, prompt, geometry, device, identity } =
        Ready::new(&recipe, arguments.model.run()?.as_deref(), Box::new(paths), option_env!("MACLIP_COMMIT"))?;
    let words = model_words(&recipe, &name);
    let caches = recipe.compute.caches(&arguments.runs);
    let examples = support.iter().flat_map(|(classes, _)| classes).flat_map(|class| &class.clips);
    examples.chain(&new).try_for_each(|clip| clips.dataset.ready(clip))?;
    let loader = ClipLoader { clips: &clips, geometry: &geometry, device: &device, store: None };
    let source = ClipSource::new(loader, &model, None);
    let mut asked = Found::default();
    let answers = match support {
        None => {
            let names: Vec<&str> = arguments.classes.iter().map(|name| name.trim()).collect();
            check_names(&names)?;
            asked.each(&new, |part| {
                let found = zero_shot(&model, &source, &*prompt, &names, part)?;
                Ok(part.iter().zip(found).map(|(path, answer)| Asked::of(path, &answer, None)).collect())
            })?;
            asked.answers(&names, None)
        }
        Some((classes, notes)) => {
            notes.iter().for_each(|note| progress.note(note));
            let examples = classes.iter().map(|class| class.clips.len()).sum();
            let kept = recipe.compute.feature_cache.then(|| Kept::new(caches.join("classify"), &clips, &identity));
            let mut classifier = Classifier::new(model, source, &*prompt, classes, kept.as_ref(), &progress)?;
            if arguments.fit {
                classifier = classifier.fitted()?;
            }
            let left_out = classifier.leave_one_out(&progress)?;
            let calibration = Calibration::of(&left_out, classifier.classes().len(), arguments.refuse);
            ask(&arguments, &classifier, &calibration, windows, &new, &mut asked, &progress)?;
            let names: Vec<&str> = classifier.classes().iter().map(|class| class.name.as_str()).collect();
            asked.answers(&names, Some((calibration, examples)))
        }
    };
    answers.warnings().iter().for_each(|warning| tell(format!("warning: {warning}")));
    if let Some(file) = &arguments.html {
        let warnings = answers.warnings();
        let page = Classified {
            model: words.clone(),
            classes: answers.classes.iter().map(String::as_str).collect(),
            support: answers.examples(),
            calibration: answers.calibration(),
            warnings: &warnings,
            clips: asked.asked.iter().map(Asked::on_page).collect(),
        };
        write_output(file, classified(&page)?.as_bytes())?;
    }
    match () {
        () if arguments.json => say_data(answers.json()),
        () if arguments.csv => say_data(answers.csv()),
        () if arguments.srt => asked.asked.first().map_or(Ok(()), |only| say_data(srt(&only.segments).trim_end())),
        () => answers.text(&words).iter().try_for_each(say),
    }?;
    match asked.failed.len() {
        0 => Ok(()),
        count => Err(Error::failed(format!("{count} of {} clips could not be recognised", new.len()))),
    }
}

/// Clips that are opened and encoded at once.
const CLIPS_AT_ONCE: usize = 8;

fn check_names(names: &[&str]) -> Result<()> {
    let problem = match names {
        _ if names.len() < 2 => "`--classes` needs two names at least, separated by commas".to_owned(),
        _ if names.iter().any(|name| name.is_empty()) => "`--classes` has an empty name".to_owned(),
        _ => match (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
            Some(at) => format!("`--classes` names {} twice", names[at]),
            None => return Ok(()),
        },
    };
    Err(Error::failed(problem).help("such as `--classes \"walking,sitting down\"`"))
}

/// What was found so far.
#[derive(Default)]
struct Found {
    asked: Vec<Asked>,
    /// Clips that cannot be read, each with the reason.
    failed: Vec<(String, String)>,
}

impl Found {
    /// Asks all clips, several at once. Where one of them cannot be read, the others of its part are asked alone, so
    /// that each has an answer or a reason of its own.
    fn each(&mut self, clips: &[String], ask: impl Fn(&[&str]) -> Result<Vec<Asked>>) -> Result<()> {
        for part in clips.chunks(CLIPS_AT_ONCE) {
            let part: Vec<&str> = part.iter().map(String::as_str).collect();
            match ask(&part) {
                Ok(found) => self.asked.extend(found),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(_) => part.iter().try_for_each(|clip| self.one(clip, ask(&[clip])))?,
            }
        }
        Ok(())
    }

    fn one(&mut self, clip: &str, found: Result<Vec<Asked>>) -> Result<()> {
        match found {
            Ok(found) => self.asked.extend(found),
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                tell(&error);
                self.failed.push((clip.to_owned(), error.to_string()));
            }
        }
        Ok(())
    }

    fn answers(&self, names: &[&str], calibration: Option<(Calibration, usize)>) -> Answers {
        let queries = self.asked.iter().map(|asked| Query::new(asked, names)).collect();
        Answers::new(names.iter().map(|name| (*name).to_owned()).collect(), calibration, queries, self.failed.clone())
    }
}

fn ask(
    arguments: &Arguments,
    classifier: &Classifier,
    calibration: &Calibration,
    windows: Option<Windows>,
    new: &[String],
    found: &mut Found,
    progress: &dyn Progress,
) -> Result<()> {
    let Some(windows) = windows else {
        progress.begin("classify", 0, new.len() as u64);
        found.each(new, |part| {
            if maclip_framework::progress::stop_requested() {
                return Err(Error::Interrupted);
            }
            let answers = classifier.classify(part)?;
            let looked = |(path, answer): (&&str, Answer)| {
                let mut asked = Asked::of(path, &answer, Some(calibration));
                if arguments.html.is_some() {
                    asked.look = Some(classifier.look(path, best_two(&asked.probabilities).0.0)?);
                }
                Ok(asked)
            };
            part.iter().zip(answers).map(looked).collect()
        })?;
        progress.end();
        return Ok(());
    };
    for path in new {
        let asked = Asked::in_windows(classifier, calibration, windows, arguments.fps, path, progress);
        found.one(path, asked.map(|asked| vec![asked]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!(
            check_names(&["walk"]).is_err()
                && check_names(&["walk", "walk"]).is_err()
                && check_names(&["a", "b"]).is_ok()
        );
    }
}
