//! Dataset `video_list`: clips that lists name, in the forms in which people have them.
//!
//! Source: the lists of mmaction2, Kinetics, Something-Something V2, TRX and WebDataset; see `formats`. Here belongs
//! what the options are and how a clip is opened. Not here: how a list is written (`formats`), which clips a split has
//! (`index`), where they lie (`find`), and archives and arrays, which have files of their own beside this folder.

mod find;
mod formats;
mod index;
mod label_lines;
mod labels;
mod look;
mod read;
mod segment;
#[cfg(test)]
mod tests;

use super::archives::{ArchiveReader, Archives, Content, Packed, PackedRequest};
use super::class_split::{ClassDraw, ClassSplits, SplitOptions};
use super::class_text::{ClassText, folded};
use super::policy::Policy;
use super::readers::video::Decoder;
use super::readers::{DECODER, FileRequest, Readers, parts};
use find::Place;
use formats::{Between, Format};
use index::{Clip, Index, Wanted, place};
use maclip_framework::error::{Error, Result};
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component, Facts, Problems};
use maclip_framework::slots::dataset::{
    Choose, Dataset, Features, FilePart, Frames, Listing, Opened, ReadyFeatures, Request, Split, Take, Timeline,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A list of clips.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListOptions {
    /// The list: a text file, a zip file, or tar shards such as `shards/{000..003}.tar`.
    file: PathBuf,
    /// How it is written. `auto` finds out, and the result records which form it took and why.
    #[serde(default)]
    format: Format,
    /// The sign between two columns, such as `","`; `" "` stands for any number of blanks. `null` finds out.
    #[serde(default)]
    delimiter: Option<String>,
}

/// Options of the dataset `video_list`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct VideoListConfig {
    /// Where the clips are: a folder in any of the usual layouts, a zip file, tar shards such as
    /// `shards/{000..003}.tar`, or a safetensors file with an array for each clip. `null` is the folder of each list.
    root: Option<PathBuf>,
    /// The list of the train split.
    train: Option<ListOptions>,
    /// The list of the val split.
    val: Option<ListOptions>,
    /// The list of the test split.
    test: Option<ListOptions>,
    /// The list of all splits that have none of their own. Which clip is in which split is said by `splits`,
    /// `split_file` or `draw`, or by a column `split`.
    all: Option<ListOptions>,
    /// The file with the names of the classes, where lists have numbers: a name in each line, lines `0,NAME`, or JSON
    /// as `something-something-v2-labels.json`.
    labels: Option<PathBuf>,
    /// The classes of each split by name. Only their clips count, whatever list they are in.
    splits: Option<ClassSplits>,
    /// The classes of each split, in place of `splits`: a YAML or JSON file with the lists train, val and test, or a
    /// folder with train.txt, val.txt and test.txt, one class a line.
    split_file: Option<PathBuf>,
    /// Draws the classes of each split with a seed, in place of `splits`.
    draw: Option<ClassDraw>,
    /// What the clips are.
    clips: Content,
    /// The class text for prompts, by class name. The text of a class that is not named here is its own name, see
    /// `class_text`.
    class_names: BTreeMap<String, String>,
    /// How the text of a class is made of its name.
    class_text: ClassText,
    /// What happens to clips of the lists that are not there.
    missing: Policy,
    /// What happens to clips that are there and cannot be read.
    broken: Policy,
    /// What decodes the clips that are videos. The frames are the same.
    decoder: Decoder,
    /// The name pattern of the frames where folders of frames hold several, such as `img_*` beside `flow_x_*`: the name
    /// without its extension, with `*` in the place of each number.
    pattern: Option<String>,
    /// Whether splits may have classes and clips in common; the result records it. Otherwise that is an error.
    allow_shared: bool,
    /// Whether classes have a direction, such as left and right, that a mirror image would change.
    directed: bool,
}

register!(dyn Dataset, VideoListConfig, name: "video_list",
    summary: "clips that lists name: mmaction2, Kinetics, SSv2, CSV, zip files, WebDataset, arrays of features",
    paper: None, stability: Stable,
    usage: "{all: {file: data/clips.csv}, draw: {train: 7, val: 2, test: 5}}");

impl VideoListConfig {
    fn lists(&self) -> [(&'static str, Option<&ListOptions>); 4] {
        let [train, val, test, all] = [&self.train, &self.val, &self.test, &self.all].map(Option::as_ref);
        [("train", train), ("val", val), ("test", test), ("all", all)]
    }

    fn split_options(&self) -> SplitOptions {
        let Self { splits, split_file, draw, .. } = self.clone();
        SplitOptions { splits, split_file, draw }
    }
}

impl Component for VideoListConfig {
    type Slot = dyn Dataset;

    fn validate(&self, problems: &mut Problems) {
        self.split_options().validate(problems);
        for (name, list) in self.lists() {
            let Some(list) = list else { continue };
            if let Some(Err(what)) = list.delimiter.as_deref().map(Between::of) {
                problems.push(&format!("{name}.delimiter"), what);
            }
        }
        let own = [&self.train, &self.val, &self.test].iter().all(|list| list.is_some());
        problems.when(own && self.all.is_some(), "all", "has no effect: train, val and test have lists of their own");
        if let Some((class, _)) = self.class_names.iter().find(|(_, text)| text.trim().is_empty()) {
            problems.push("class_names", format!("gives `{class}` an empty text; leave it out to use its name"));
        }
    }

    fn required_inputs(&self, problems: &mut Problems) {
        let none = self.lists().iter().all(|(_, list)| list.is_none());
        problems.when(
            none,
            "all",
            "is missing, and so are train, val and test: name a list of clips, such as `all: {file: clips.csv}`",
        );
        for (name, list) in self.lists() {
            let empty = list.is_some_and(|list| list.file.as_os_str().is_empty());
            problems.when(empty, &format!("{name}.file"), "is empty: name the list");
        }
        let empty = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.as_os_str().is_empty());
        problems.when(empty(&self.root), "root", "is empty: say where the clips are, or leave it out");
        problems.when(empty(&self.labels), "labels", "is empty: name the file, or leave it out");
        Readers::with(self.decoder).required_inputs(problems);
    }

    fn describe(&self, facts: &mut Facts) {
        facts.directed = Some(self.directed);
        facts.gives_features = self.clips == Content::Features;
    }

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        let mut readers = Readers::with(self.decoder);
        readers.images.pattern.clone_from(&self.pattern);
        Ok(Box::new(VideoList { options: self, readers, cache: Mutex::default() }))
    }
}

/// Clips that lists name.
///
/// Files are read when something is asked for the first time, so a recipe can be checked on a machine without the data.
struct VideoList {
    options: VideoListConfig,
    readers: Readers,
    cache: Mutex<Cache>,
}

/// What was found on disk; a run asks for the same clips again and again.
#[derive(Default)]
struct Cache {
    index: Option<Arc<Index>>,
    listings: HashMap<Split, Listing>,
}

impl VideoList {
    /// The cache holds only finished entries, so it is sound even after a panic elsewhere.
    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn index(&self) -> Result<Arc<Index>> {
        if let Some(index) = &self.cache().index {
            return Ok(index.clone());
        }
        let options = &self.options;
        let classes = options.split_options();
        let wanted = Wanted {
            root: options.root.as_ref(),
            lists: [options.train.as_ref(), options.val.as_ref(), options.test.as_ref()],
            all: options.all.as_ref(),
            labels: options.labels.as_ref(),
            classes: &classes,
            content: options.clips,
        };
        // Not under the lock: reading lists takes long.
        let index = Arc::new(index::make(&wanted)?);
        self.cache().index = Some(index.clone());
        Ok(index)
    }

    fn with<T>(&self, id: &str, work: impl FnOnce(&Clip, &Place) -> Result<T>) -> Result<T> {
        let index = self.index()?;
        let clip = index.clip(id).ok_or_else(|| Error::failed(format!("the lists name no clip `{id}`")))?;
        work(clip, place(clip)?)
    }

    fn text(&self, name: &str) -> String {
        let given = self.options.class_names.iter().find(|(class, _)| folded(class) == folded(name));
        given.map_or_else(|| self.options.class_text.of(name), |(_, text)| text.clone())
    }
}

impl ReadyFeatures for VideoList {
    fn features(&self, id: &str, choose: &Choose) -> Result<Features> {
        self.with(id, |clip, place| {
            let failed = |why: String| Error::failed(format!("clip {id}: {why}")).help(LATE);
            let (array, bytes) = self.array(place).map_err(failed)?;
            let part = segment::of(clip.span, &Timeline::of(array.frames)).map_err(failed)?;
            let indices: Vec<usize> = choose(&part.timeline)?.into_iter().map(|index| part.first + index).collect();
            let values = array.rows(&bytes, &indices).map_err(failed)?;
            Ok(Features { width: array.width, values })
        })
    }
}

impl Dataset for VideoList {
    fn list(&self, split: Split) -> Result<Listing> {
        if let Some(listing) = self.cache().listings.get(&split) {
            return Ok(listing.clone());
        }
        let index = self.index()?;
        let made = index.split(split)?;
        let listing = self.listing(split, made);
        self.cache().listings.insert(split, listing.clone());
        Ok(listing)
    }

    fn frame_count(&self, id: &str) -> Result<usize> {
        self.with(id, |clip, place| {
            let timeline = match place {
                _ if self.options.clips == Content::Features => {
                    Timeline::of(self.array(place).map_err(|why| Error::failed(format!("clip {id}: {why}")))?.0.frames)
                }
                Place::Disk(path) => self.readers.timeline(path)?,
                Place::Packed(archives, name) => {
                    let reader = ArchiveReader { archives, readers: &self.readers };
                    reader.timeline(id, packed(archives, name)?)?
                }
                Place::Array(..) => return Err(no_pixels(id)),
            };
            let part = segment::of(clip.span, &timeline).map_err(|why| Error::failed(format!("clip {id}: {why}")))?;
            Ok(part.timeline.frames)
        })
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let request = Request { clip, choose: &|_| Ok(indices.to_vec()), each: &Ok };
        let opened = self.read(&[request]).pop();
        opened.ok_or_else(|| Error::failed(format!("no reader answered for clip {clip}")))?.map(|opened| opened.frames)
    }

    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        type At = (Option<formats::Span>, Place);
        let found: Vec<Result<At>> = requests
            .iter()
            .map(|request| self.with(request.clip, |clip, place| Ok((clip.span, place.clone()))))
            .collect();
        let span = |at: usize| found[at].as_ref().ok().and_then(|(span, _)| *span);
        let chooses: Vec<Box<Choose>> =
            requests.iter().enumerate().map(|(at, request)| segment::choose(span(at), request)).collect();
        let mut outcomes: Vec<Option<Result<Opened>>> = requests.iter().map(|_| None).collect();
        let (mut disk, mut packs): (Vec<usize>, Vec<usize>) = Default::default();
        for (at, found) in found.iter().enumerate() {
            match found {
                Ok((_, Place::Disk(_))) => disk.push(at),
                Ok((_, Place::Packed(..))) => packs.push(at),
                Ok((_, Place::Array(..))) => outcomes[at] = Some(Err(no_pixels(requests[at].clip))),
                Err(_) => {}
            }
        }
        let files: Vec<FileRequest> = (disk.iter())
            .filter_map(|&at| match &found[at] {
                Ok((_, Place::Disk(path))) => {
                    Some(FileRequest { path, choose: &*chooses[at], each: requests[at].each })
                }
                _ => None,
            })
            .collect();
        disk.iter().zip(self.readers.read_files(&files)).for_each(|(&at, outcome)| outcomes[at] = Some(outcome));
        // Clips of one archive together: their videos are decoded side by side.
        while let Some(Ok((_, Place::Packed(archives, _)))) = packs.first().map(|at| &found[*at]) {
            let same =
                |at: &usize| matches!(&found[*at], Ok((_, Place::Packed(other, _))) if Arc::ptr_eq(other, archives));
            let (these, others): (Vec<usize>, Vec<usize>) = packs.iter().partition(|at| same(at));
            let reader = ArchiveReader { archives, readers: &self.readers };
            let mut asked = Vec::new();
            for &at in &these {
                let Ok((_, Place::Packed(_, name))) = &found[at] else { continue };
                match packed(archives, name) {
                    Ok(clip) => {
                        let Request { clip: id, each, .. } = requests[at];
                        asked.push((at, PackedRequest { id, clip, choose: &*chooses[at], each }));
                    }
                    Err(error) => outcomes[at] = Some(Err(error)),
                }
            }
            let each: Vec<PackedRequest> = asked.iter().map(|(_, request)| *request).collect();
            asked.iter().zip(reader.read(&each)).for_each(|((at, _), outcome)| outcomes[*at] = Some(outcome));
            packs = others;
        }
        let finish = |((request, found), outcome): ((&Request, Result<At>), Option<Result<Opened>>)| {
            let (span, clip) = (found?.0, request.clip);
            let opened = outcome.unwrap_or_else(|| Err(Error::failed(format!("clip {clip} was not read"))));
            let opened = opened.map_err(|error| error.help(LATE))?;
            segment::opened(span, opened).map_err(|why| Error::failed(format!("clip {clip}: {why}")))
        };
        requests.iter().zip(found).zip(outcomes).map(finish).collect()
    }

    fn stream(&self, id: &str, take: &mut Take) -> Result<Timeline> {
        self.with(id, |clip, place| match (clip.span, place) {
            (None, Place::Disk(path)) => self.readers.stream(path, take),
            (None, Place::Packed(archives, name)) => {
                ArchiveReader { archives, readers: &self.readers }.stream(id, packed(archives, name)?, take)
            }
            (_, Place::Array(..)) => Err(no_pixels(id)),
            (Some(_), _) => {
                let timeline = Timeline::of(self.frame_count(id)?);
                let all: Vec<usize> = (0..timeline.frames).collect();
                for part in all.chunks(32) {
                    for (&index, image) in part.iter().zip(self.open(id, part)?.into_images()) {
                        take(&timeline, index, image)?;
                    }
                }
                Ok(timeline)
            }
        })
    }

    fn files(&self, id: &str) -> Result<Vec<FilePart>> {
        self.with(id, |clip, place| {
            let mut files = match place {
                Place::Disk(path) if self.options.clips == Content::Features => vec![path.clone().into()],
                Place::Disk(path) => parts(self.readers.files(path))?,
                Place::Packed(archives, name) => archives.parts(packed(archives, name)?)?,
                Place::Array(file, name) => match file.array(name) {
                    Some(Ok(array)) => {
                        let (path, range) = (file.path.clone(), Some(array.range.clone()));
                        vec![FilePart { path, range, section: String::new() }]
                    }
                    _ => return Err(Error::failed(format!("clip {id}: no array {name}"))),
                },
            };
            if let Some(span) = clip.span {
                files.iter_mut().for_each(|part| part.section = span.to_string());
            }
            Ok(files)
        })
    }

    fn decoder(&self, _: &str) -> &'static str {
        DECODER
    }

    fn ready(&self, id: &str) -> Result<()> {
        self.with(id, |_, place| match place {
            Place::Disk(path) => self.readers.ready(path),
            Place::Packed(archives, name) => match packed(archives, name)? {
                Packed::Video(_) => self.readers.ready_for_videos(),
                _ => Ok(()),
            },
            Place::Array(..) => Ok(()),
        })
    }

    fn skips_broken(&self) -> bool {
        self.options.broken == Policy::Skip
    }

    fn allows_shared(&self) -> bool {
        self.options.allow_shared
    }

    fn features(&self) -> Option<&dyn ReadyFeatures> {
        (self.options.clips == Content::Features).then_some(self as &dyn ReadyFeatures)
    }
}

fn packed<'a>(archives: &'a Archives, name: &str) -> Result<&'a Packed> {
    archives.clips().get(name).ok_or_else(|| Error::failed(format!("{} has no clip {name}", archives.label())))
}

/// What helps where a clip that seemed whole cannot be read.
const LATE: &str = "bring it back or repair it, or take its line out of the list. `maclip prepare` decodes every clip \
                    once and names all that are broken, and with --set dataset.broken=skip it leaves them out";

fn no_pixels(id: &str) -> Error {
    Error::failed(format!("clip {id} is an array of features, and has no frames"))
        .help("say `dataset.clips: features` with `backbone: {type: precomputed, width: WIDTH}`")
}
