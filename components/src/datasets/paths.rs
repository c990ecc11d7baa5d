//! Clips that are named by their path: what a person gives to be recognised, and the examples of each class.
//!
//! It lists no splits, so no recipe names it.

use super::class_text::class_text;
use super::readers::entries::{Entries, entries, found};
use super::readers::video::Decoder;
use super::readers::{DECODER, Readers, parts};
use maclip_framework::engine::classify::SupportClass;
use maclip_framework::error::{Error, Result};
use maclip_framework::files::{file_hash, read_regular};
use maclip_framework::slots::dataset::{Dataset, FilePart, Frames, Listing, Opened, Request, Split, Take, Timeline};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Videos and folders of frames anywhere on disk. The identifier of a clip is its path.
pub struct Paths {
    readers: Readers,
}

/// The largest list of support clips, in bytes.
const LARGEST_LIST: u64 = 64 << 20;

const LAYOUT: &str = "give a folder with a folder for each class, and in it videos or folders of frames: \
                      SUPPORT/wave/1.mp4; or a text file with a line `PATH,CLASS` for each clip";

impl Paths {
    /// Clips whose videos `decoder` decodes.
    pub fn new(decoder: Decoder) -> Self {
        Self { readers: Readers::with(decoder) }
    }

    /// The classes of a support folder, or of a list file, in the order of their names. Also sentences about what lies
    /// beside the clips and is passed over.
    ///
    /// # Errors
    /// Where there are no two classes, a class has no clip, a name is not UTF-8, or a line names no clip.
    pub fn support(&self, path: &Path) -> Result<(Vec<SupportClass>, Vec<String>)> {
        let mut notes = Vec::new();
        let classes = if path.is_dir() { folders(path, &mut notes)? } else { listed(path)? };
        if classes.len() < 2 {
            let only = classes.first().map_or("none".to_owned(), |class| format!("one ({})", class.name));
            return Err(Error::failed(format!(
                "{}: two classes at least are needed, and there is {only}",
                path.display()
            ))
            .help(LAYOUT));
        }
        for class in &classes {
            for clip in &class.clips {
                self.look(clip)?;
            }
        }
        self.check_copies(&classes, &mut notes)?;
        Ok((classes, notes))
    }

    /// Clips with the same content. In one class they make the answers look better than they are: where one is left
    /// out, the other is still there. In two classes they are an error.
    fn check_copies(&self, classes: &[SupportClass], notes: &mut Vec<String>) -> Result<()> {
        let mut known: HashMap<Vec<[u8; 32]>, (&str, &str)> = HashMap::new();
        for class in classes {
            for clip in &class.clips {
                let files = self.readers.files(Path::new(clip))?;
                let content = files.iter().map(|file| file_hash(file)).collect::<Result<Vec<_>>>()?;
                match known.get(&content) {
                    Some((name, other)) if *name != class.name => {
                        return Err(Error::failed(format!(
                            "{clip} is an example of {}, and {other}, which is the same clip, of {name}",
                            class.name
                        ))
                        .help("remove one of them"));
                    }
                    Some((_, other)) => notes.push(format!(
                        "{clip} is the same clip as {other}: where one is left out, the other is still there, so the \
                         answers look better than they are"
                    )),
                    None => _ = known.insert(content, (&class.name, clip)),
                }
            }
        }
        Ok(())
    }

    /// The clips that `path` names: a video, a folder of frames, or all clips of a folder, and of the folders in it.
    /// Whether they can be read is seen when they are asked.
    ///
    /// # Errors
    /// Where there is no clip.
    pub fn clips(&self, path: &Path) -> Result<Vec<String>> {
        let clips = match path.is_dir() {
            true => below(path, 2)?,
            false => vec![text(path)?],
        };
        if clips.is_empty() {
            let inside = entries(path)?;
            return Err(Error::failed(format!("{} holds no clip, only {}", path.display(), found(&inside)))
                .help("give videos, folders of frames, or a folder that holds some"));
        }
        match clips.iter().find(|clip| !Path::new(clip).exists()) {
            Some(clip) => Err(Error::failed(format!("there is no clip {clip}"))),
            None => Ok(clips),
        }
    }

    /// An error where the clip cannot be used, as far as that is seen without decoding it.
    fn look(&self, clip: &str) -> Result<()> {
        let path = Path::new(clip);
        if !path.exists() {
            return Err(Error::failed(format!("there is no clip {clip}")));
        }
        self.readers.check(path).map(drop).map_err(|reason| Error::failed(format!("clip {clip}: {reason}")))
    }
}

/// A class that answers call `name`, with its examples; prompts get the words of the name.
pub fn class(name: &str, clips: Vec<String>) -> SupportClass {
    SupportClass { name: name.to_owned(), text: class_text(name), clips }
}

/// The clips of a folder: itself, where it holds frames; or the videos and the folders in it, so deep.
fn below(folder: &Path, deep: usize) -> Result<Vec<String>> {
    let inside = entries(folder)?;
    if let Some(name) = inside.not_utf8.first() {
        return Err(Error::failed(format!("{}: the name {name} is not UTF-8", folder.display())).help("rename it"));
    }
    if has_frames(&inside) {
        return Ok(vec![text(folder)?]);
    }
    let mut clips = inside.videos.iter().map(|name| text(&folder.join(name))).collect::<Result<Vec<_>>>()?;
    if deep > 0 {
        for name in &inside.folders {
            clips.extend(below(&folder.join(name), deep - 1)?);
        }
    }
    Ok(clips)
}

fn has_frames(inside: &Entries) -> bool {
    !inside.jpegs.is_empty() || !inside.pngs.is_empty()
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).ok_or_else(|| Error::failed(format!("{} is not UTF-8", path.display())))
}

fn folders(root: &Path, notes: &mut Vec<String>) -> Result<Vec<SupportClass>> {
    let inside = entries(root)?;
    if let Some(name) = inside.not_utf8.first() {
        return Err(Error::failed(format!("{}: the name {name} is not UTF-8", root.display())).help("rename it"));
    }
    if !inside.videos.is_empty() {
        let count = inside.videos.len();
        notes.push(format!("{}: {count} videos in no class folder are passed over", root.display()));
    }
    let mut class = |name: &String| {
        let folder = root.join(name);
        let of_class = entries(&folder)?;
        if has_frames(&of_class) {
            let what = found(&of_class);
            return Err(Error::failed(format!("the class folder {} holds {what}", folder.display()))
                .help("put the frames of each clip into a folder of its own inside the class folder"));
        }
        let clips = below(&folder, 1)?;
        if !of_class.others.is_empty() {
            notes.push(format!(
                "{}: {} files are no clips and are passed over",
                folder.display(),
                of_class.others.len()
            ));
        }
        if clips.is_empty() {
            let what = found(&of_class);
            return Err(
                Error::failed(format!("the class folder {} holds no clip, only {what}", folder.display())).help(LAYOUT)
            );
        }
        Ok(self::class(name, clips))
    };
    let classes = inside.folders.iter().map(&mut class).collect::<Result<Vec<_>>>()?;
    if classes.is_empty() {
        return Err(
            Error::failed(format!("{} holds no class folder, only {}", root.display(), found(&inside))).help(LAYOUT)
        );
    }
    Ok(classes)
}

/// The classes of a list with a line for each clip: its path, a comma, tab or blank, and its class. Paths are relative
/// to the list. A first line that begins with `path`, empty lines and lines that begin with `#` are no clips.
fn listed(path: &Path) -> Result<Vec<SupportClass>> {
    let bytes = read_regular(path, LARGEST_LIST).map_err(|error| Error::io("read", path, error))?;
    let content = String::from_utf8(bytes)
        .map_err(|_| Error::failed(format!("{} is not a text file", path.display())).help(LAYOUT))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut classes: Vec<SupportClass> = Vec::new();
    for (at, line) in content.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        let first = line.split([',', '\t', ' ']).next().unwrap_or_default().trim_matches('"');
        if line.is_empty() || line.starts_with('#') || (at == 0 && first.eq_ignore_ascii_case("path")) {
            continue;
        }
        let place = || format!("{}:{}", path.display(), at + 1);
        // A cell in quotes, as spreadsheets write it.
        let bare = |cell: &str| {
            let cell = cell.trim();
            let inside = cell.strip_prefix('"').and_then(|cell| cell.strip_suffix('"'));
            inside.map_or_else(|| cell.to_owned(), |cell| cell.replace("\"\"", "\""))
        };
        let parts = [',', '\t', ' '].iter().find_map(|separator| line.rsplit_once(*separator));
        let (clip, class) = parts
            .map(|(clip, class)| (bare(clip), bare(class)))
            .filter(|(a, b)| !a.is_empty() && !b.is_empty())
            .ok_or_else(|| {
                Error::failed(format!("{}: a line must have a path and a class, and this is {line:?}", place()))
                    .help(LAYOUT)
            })?;
        let (clip, class) = (text(&folder.join(clip))?, class.as_str());
        if !Path::new(&clip).exists() {
            return Err(Error::failed(format!("{}: there is no clip {clip}", place())));
        }
        if let Some(known) = classes.iter().find(|known| known.clips.contains(&clip)) {
            return Err(Error::failed(format!("{}: clip {clip} is an example of {} already", place(), known.name)));
        }
        match classes.iter_mut().find(|known| known.name == class) {
            Some(known) => known.clips.push(clip),
            None => classes.push(self::class(class, vec![clip])),
        }
    }
    classes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(classes)
}

impl Dataset for Paths {
    fn list(&self, _: Split) -> Result<Listing> {
        Ok(Listing::default())
    }

    fn ready(&self, clip: &str) -> Result<()> {
        self.readers.ready(Path::new(clip))
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        Ok(self.readers.timeline(Path::new(clip))?.frames)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let request = Request { clip, choose: &|_| Ok(indices.to_vec()), each: &Ok };
        self.read(&[request]).remove(0).map(|opened| opened.frames)
    }

    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        self.readers.read(requests, |clip| Ok(PathBuf::from(clip)))
    }

    fn stream(&self, clip: &str, take: &mut Take) -> Result<Timeline> {
        self.readers.stream(Path::new(clip), take)
    }

    fn files(&self, clip: &str) -> Result<Vec<FilePart>> {
        parts(self.readers.files(Path::new(clip)))
    }

    fn decoder(&self, _: &str) -> &'static str {
        DECODER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jpeg_encoder::{ColorType, Encoder};

    /// A folder of three frames of one grey each.
    fn clip(folder: &Path) {
        std::fs::create_dir_all(folder).unwrap();
        // No two clips have the same bytes.
        let own = folder.to_str().unwrap().bytes().map(u32::from).sum::<u32>() % 40;
        for at in 0..3u8 {
            let mut bytes = Vec::new();
            Encoder::new(&mut bytes, 90).encode(&[at * 40 + own as u8; 16 * 16 * 3], 16, 16, ColorType::Rgb).unwrap();
            std::fs::write(folder.join(format!("{at}.jpg")), bytes).unwrap();
        }
    }

    #[test]
    fn support_is_folders_or_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let (root, paths) = (folder.path(), Paths::new(Decoder::default()));
        let missing = paths.support(root).unwrap_err().to_string();
        assert!(missing.contains("no class folder, only nothing"), "{missing}");
        clip(&root.join("waveHand/a"));
        assert!(paths.support(root).unwrap_err().to_string().contains("there is one (waveHand)"));
        clip(&root.join("run/b"));
        clip(&root.join("run/a"));
        let (classes, notes) = paths.support(root).unwrap();
        let seen: Vec<_> = classes.iter().map(|c| (c.name.as_str(), c.text.as_str(), c.clips.len())).collect();
        assert_eq!(seen, [("run", "run", 2), ("waveHand", "wave Hand", 1)]);
        assert!(notes.is_empty());

        let list = root.join("list.csv");
        std::fs::write(&list, "path,class\n# a comment\nrun/a,\"go fast\"\n\"run/b\"\tstay\n\nwaveHand/a stay\n")
            .unwrap();
        let (classes, _) = paths.support(&list).unwrap();
        let seen: Vec<_> = classes.iter().map(|c| (c.name.as_str(), c.clips.len())).collect();
        assert_eq!(seen, [("go fast", 1), ("stay", 2)]);
    }

    #[test]
    fn a_folder_of_folders_holds_clips() {
        let folder = tempfile::tempdir().unwrap();
        let (root, paths) = (folder.path(), Paths::new(Decoder::default()));
        clip(&root.join("x/a"));
        clip(&root.join("y/b"));
        assert_eq!(paths.clips(root).unwrap().len(), 2);
        assert_eq!(paths.clips(&root.join("x/a")).unwrap().len(), 1);
        std::fs::create_dir(root.join("empty")).unwrap();
        assert!(paths.clips(&root.join("empty")).unwrap_err().to_string().contains("holds no clip, only nothing"));
        let mut seen = Vec::new();
        let timeline = paths.stream(paths.clips(&root.join("x")).unwrap()[0].as_str(), &mut |_, index, image| {
            seen.push((index, image.pixels[0]));
            Ok(())
        });
        assert_eq!(timeline.unwrap().frames, 3);
        assert_eq!(seen.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(seen[0].1 < seen[1].1 && seen[1].1 < seen[2].1);
    }
}
