//! `maclip classify --support FOLDER NEW…`: what new clips show, by a few examples of each class.

mod answers;
mod model;

use crate::terminal::arguments::Changes;
use crate::terminal::progress::{Console, stop_on_ctrl_c};
use crate::terminal::{say, tell};
use answers::{Answers, Query};
use clap::Args;
use maclip_components::datasets::paths::Paths;
use maclip_components::datasets::readers::video::Decoder;
use maclip_framework::clips::loader::ClipLoader;
use maclip_framework::engine::classify::calibration::Calibration;
use maclip_framework::engine::classify::timeline::{Segment, Windows, segments, srt};
use maclip_framework::engine::classify::{Answer, Classifier, Kept, Look, Ready, best_two, zero_shot};
use maclip_framework::engine::features::ClipSource;
use maclip_framework::engine::inputs;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{check_output, write_output};
use maclip_framework::progress::Progress;
use maclip_reports::{Classified, ClassifiedClip, classified};
use model::{Model, recipe_of};
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

/// `2s`, `500ms` or `2` as seconds.
fn seconds(text: &str) -> std::result::Result<f64, String> {
    let (number, scale) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(number), _) => (number, 1e-3),
        (None, Some(number)) => (number, 1.0),
        (None, None) => (text, 1.0),
    };
    let value = number.trim().parse::<f64>().ok().map(|value| value * scale);
    value
        .filter(|value| *value > 0.0 && value.is_finite())
        .ok_or_else(|| "a time above 0, such as 2s or 500ms".to_owned())
}

fn rate(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (1e-3..=1e5).contains(value));
    value.ok_or_else(|| "a number of frames per second, such as 25".to_owned())
}

fn share(text: &str) -> std::result::Result<f64, String> {
    let value = text.parse::<f64>().ok().filter(|value| (0.0..1.0).contains(value));
    value.ok_or_else(|| "a share from 0 to below 1, such as 0.05".to_owned())
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
        Ready::new(&recipe, arguments.model.run.as_deref(), Box::new(paths), option_env!("MACLIP_COMMIT"))?;
    let parts = recipe.components();
    let parts =
        ["backbone", "adapter", "prototype", "alignment"].map(|slot| parts.get(slot).map_or("none", String::as_str));
    let words = format!("{name}: {}", parts.into_iter().filter(|part| *part != "none").collect::<Vec<_>>().join(", "));
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
        () if arguments.json => say(answers.json()),
        () if arguments.csv => say(answers.csv()),
        () if arguments.srt => asked.asked.first().map_or(Ok(()), |only| say(srt(&only.segments).trim_end())),
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

/// A clip that was asked, and what was found.
struct Asked {
    path: String,
    probabilities: Vec<f64>,
    unknown: bool,
    /// How well the nearest class fits; not of windows.
    fit: Option<f64>,
    segments: Vec<Segment>,
    look: Option<Look>,
}

impl Asked {
    fn of(path: &str, answer: &Answer, calibration: Option<&Calibration>) -> Self {
        let probabilities = match calibration {
            Some(calibration) => calibration.calibrated(&answer.probabilities),
            None => answer.probabilities.clone(),
        };
        let unknown = calibration.is_some_and(|calibration| calibration.refuses(answer.fit()));
        Self {
            path: path.to_owned(),
            probabilities,
            unknown,
            fit: Some(answer.fit()),
            segments: Vec::new(),
            look: None,
        }
    }

    fn on_page(&self) -> ClassifiedClip<'_> {
        let Self { path, probabilities, unknown, segments, look, .. } = self;
        ClassifiedClip { path, probabilities, unknown: *unknown, segments, look: look.as_ref() }
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    asked: Vec<Asked>,
    /// Clips that cannot be read, each with the reason.
    failed: Vec<(String, String)>,
}

impl Found {
    /// Asks all clips, several at once. Where one of them cannot be read, the others of its part are asked alone, so that
    /// each has an answer or a reason of its own.
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
        let query = |asked: &Asked| {
            Query::new(&asked.path, names, &asked.probabilities, asked.unknown, asked.fit, &asked.segments)
        };
        let queries = self.asked.iter().map(query).collect();
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
    let names: Vec<&str> = classifier.classes().iter().map(|class| class.name.as_str()).collect();
    for path in new {
        let asked = in_windows(classifier, calibration, windows, arguments.fps, path, &names, progress);
        found.one(path, asked.map(|asked| vec![asked]))?;
    }
    Ok(())
}

fn in_windows(
    classifier: &Classifier,
    calibration: &Calibration,
    windows: Windows,
    fps: Option<f64>,
    path: &str,
    names: &[&str],
    progress: &dyn Progress,
) -> Result<Asked> {
    let (answers, timeline) = classifier.windows(path, windows, fps, calibration, progress)?;
    let fps = timeline.fps.ok_or_else(|| Error::failed(format!("{path} has no frame rate")))?;
    let segments = segments(&answers, names, calibration, timeline.frames, fps);
    let count = answers.len().max(1) as f64;
    let mean = |class: usize| answers.iter().map(|answer| answer.probabilities[class]).sum::<f64>() / count;
    let unknown = !segments.is_empty() && segments.iter().all(|segment| segment.class.is_none());
    let probabilities = (0..names.len()).map(mean).collect();
    Ok(Asked { path: path.to_owned(), probabilities, unknown, fit: None, segments, look: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(["2s", "0.5s", "500ms", "3"].map(|text| seconds(text).unwrap()), [2.0, 0.5, 0.5, 3.0]);
        assert!(["", "0", "-1s", "2 minutes", "inf", "nan"].iter().all(|text| seconds(text).is_err()));
        assert!(share("1").is_err() && share("0").is_ok());
        assert!(
            check_names(&["walk"]).is_err()
                && check_names(&["walk", "walk"]).is_err()
                && check_names(&["a", "b"]).is_ok()
        );
    }
}
