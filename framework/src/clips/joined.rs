//! Two datasets as one: training and validation classes of the first, test classes of the second.

use crate::error::{Error, Result};
use crate::slots::dataset::{
    CaptionedImages, Choose, Dataset, Features, FilePart, Frames, Listing, Opened, ReadyFeatures, Request, Split, Take,
    Timeline,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;

/// What comes before the identifier of a test clip that the other dataset has too.
const OTHER: &str = "test_on/";

/// The splits train and val of one dataset and the split test of another, for a test across datasets.
///
/// Clips keep their identifiers, so that a list of test episodes is the same wherever the training was. Only a test
/// clip whose identifier the first dataset has too is called `test_on/…`.
pub struct Joined {
    /// That of the training, and that of the test.
    datasets: [Box<dyn Dataset>; 2],
    /// The clips of the test, each with its identifier in its own dataset.
    tests: OnceLock<HashMap<String, String>>,
}

impl Joined {
    /// Training and validation on `trained`, and test on `tested`.
    ///
    /// # Errors
    /// Where the clips of one are ready features and those of the other are pixels.
    pub fn new(trained: Box<dyn Dataset>, tested: Box<dyn Dataset>) -> Result<Self> {
        let datasets = [trained, tested];
        let kinds = datasets.each_ref().map(|dataset| match dataset.features() {
            Some(_) => "ready features",
            None => "videos or frames",
        });
        let [first, second] = kinds;
        if first != second {
            return Err(Error::failed(format!(
                "the clips of the training are {first} and those of the test are {second}: no backbone takes both"
            )));
        }
        Ok(Self { datasets, tests: OnceLock::new() })
    }

    fn trained(&self) -> &dyn Dataset {
        &*self.datasets[0]
    }

    fn tested(&self) -> &dyn Dataset {
        &*self.datasets[1]
    }

    /// The clips of the test, with their identifiers in their own dataset.
    fn tests(&self) -> Result<&HashMap<String, String>> {
        if let Some(tests) = self.tests.get() {
            return Ok(tests);
        }
        // Where the first dataset cannot be listed, that is an error as soon as a training needs it.
        let others: HashSet<String> = [Split::Train, Split::Val]
            .into_iter()
            .filter_map(|split| self.trained().list(split).ok())
            .flat_map(|listing| listing.classes.into_iter().flat_map(|class| class.clips))
            .collect();
        let listing = self.tested().list(Split::Test)?;
        let skipped = listing.skipped.into_iter().map(|(clip, _)| clip);
        let clips = listing.classes.into_iter().flat_map(|class| class.clips).chain(skipped);
        let named =
            clips.map(|clip| (if others.contains(&clip) { format!("{OTHER}{clip}") } else { clip.clone() }, clip));
        Ok(self.tests.get_or_init(|| named.collect()))
    }

    /// Number of the dataset of `clip`, and its identifier there.
    fn place<'a>(&'a self, clip: &'a str) -> Result<(usize, &'a str)> {
        Ok(self.tests()?.get(clip).map_or((0, clip), |own| (1, own)))
    }

    /// The dataset of `clip`, and its identifier there.
    fn of<'a>(&'a self, clip: &'a str) -> Result<(&'a dyn Dataset, &'a str)> {
        self.place(clip).map(|(number, clip)| (&*self.datasets[number], clip))
    }
}

impl Dataset for Joined {
    fn list(&self, split: Split) -> Result<Listing> {
        if split != Split::Test {
            return self.trained().list(split);
        }
        let names: BTreeMap<&str, &str> =
            self.tests()?.iter().map(|(name, own)| (own.as_str(), name.as_str())).collect();
        let named = |clip: &mut String| {
            if let Some(name) = names.get(clip.as_str()) {
                *clip = (*name).to_owned();
            }
        };
        let mut listing = self.tested().list(Split::Test)?;
        listing.classes.iter_mut().flat_map(|class| &mut class.clips).for_each(named);
        listing.skipped.iter_mut().map(|(clip, _)| clip).for_each(named);
        Ok(listing)
    }

    fn frame_count(&self, clip: &str) -> Result<usize> {
        let (dataset, clip) = self.of(clip)?;
        dataset.frame_count(clip)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let (dataset, clip) = self.of(clip)?;
        dataset.open(clip, indices)
    }

    fn read(&self, requests: &[Request]) -> Vec<Result<Opened>> {
        // Each dataset gets its own requests together.
        let mut results: Vec<Option<Result<Opened>>> = requests.iter().map(|_| None).collect();
        let mut places: [(Vec<usize>, Vec<Request>); 2] = Default::default();
        for (at, request) in requests.iter().enumerate() {
            match self.place(request.clip) {
                Ok((number, clip)) => {
                    let (of, requests) = &mut places[number];
                    of.push(at);
                    requests.push(Request { clip, choose: request.choose, each: request.each });
                }
                Err(error) => results[at] = Some(Err(error)),
            }
        }
        for ((at, requests), dataset) in places.iter().zip(&self.datasets) {
            for (at, result) in at.iter().zip(dataset.read(requests)) {
                results[*at] = Some(result);
            }
        }
        let missing = || Err(Error::failed("the dataset did not answer the request"));
        results.into_iter().map(|result| result.unwrap_or_else(missing)).collect()
    }

    fn stream(&self, clip: &str, take: &mut Take) -> Result<Timeline> {
        let (dataset, clip) = self.of(clip)?;
        dataset.stream(clip, take)
    }

    fn files(&self, clip: &str) -> Result<Vec<FilePart>> {
        let (dataset, clip) = self.of(clip)?;
        dataset.files(clip)
    }

    fn decoder(&self, clip: &str) -> &'static str {
        // Of a clip without a place, the files are asked first, and that is an error.
        self.of(clip).map_or("none", |(dataset, clip)| dataset.decoder(clip))
    }

    fn ready(&self, clip: &str) -> Result<()> {
        let (dataset, clip) = self.of(clip)?;
        dataset.ready(clip)
    }

    fn skips_broken(&self) -> bool {
        self.trained().skips_broken() && self.tested().skips_broken()
    }

    fn allows_shared(&self) -> bool {
        self.trained().allows_shared()
    }

    fn features(&self) -> Option<&dyn ReadyFeatures> {
        self.trained().features().map(|_| self as &dyn ReadyFeatures)
    }

    fn captions(&self) -> Option<&dyn CaptionedImages> {
        self.trained().captions()
    }
}

impl ReadyFeatures for Joined {
    fn features(&self, clip: &str, choose: &Choose) -> Result<Features> {
        let (dataset, clip) = self.of(clip)?;
        let ready = dataset.features().ok_or_else(|| Error::failed(format!("clip {clip} is no ready feature")))?;
        ready.features(clip, choose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slots::dataset::Class;

    /// Clips of one frame whose only pixel says which dataset they are of.
    struct Pixel(u8, [(Split, &'static [&'static str]); 2]);

    impl Dataset for Pixel {
        fn list(&self, split: Split) -> Result<Listing> {
            let of = self.1.iter().filter(|(of, _)| *of == split);
            let class = |(_, clips): &(Split, &[&str])| Class {
                name: format!("{split:?} {}", self.0),
                clips: clips.iter().map(|clip| (*clip).to_owned()).collect(),
            };
            Ok(Listing { classes: of.map(class).collect(), ..Listing::default() })
        }

        fn frame_count(&self, clip: &str) -> Result<usize> {
            let known = self.1.iter().any(|(_, clips)| clips.contains(&clip));
            known.then_some(1).ok_or_else(|| Error::failed(format!("no clip {clip}")))
        }

        fn open(&self, clip: &str, _: &[usize]) -> Result<Frames> {
            self.frame_count(clip)?;
            Ok(Frames { height: 1, width: 1, images: vec![vec![self.0; 3]] })
        }

        fn decoder(&self, _: &str) -> &'static str {
            if self.0 == 1 { "one" } else { "two" }
        }
    }

    fn joined() -> Joined {
        let first = Pixel(1, [(Split::Train, &["a", "b"]), (Split::Test, &["c"])]);
        let second = Pixel(2, [(Split::Train, &["d"]), (Split::Test, &["b", "c"])]);
        Joined::new(Box::new(first), Box::new(second)).unwrap()
    }

    #[test]
    fn a_test_clip_keeps_its_name_unless_the_training_has_it() {
        let joined = joined();
        let clips = |split| joined.list(split).unwrap().classes.into_iter().flat_map(|class| class.clips);
        assert_eq!(clips(Split::Train).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(clips(Split::Val).count(), 0);
        assert_eq!(clips(Split::Test).collect::<Vec<_>>(), ["test_on/b", "c"]);
    }

    #[test]
    fn each_clip_is_read_from_its_dataset() {
        let joined = joined();
        for (clip, pixel, decoder) in [("a", 1, "one"), ("b", 1, "one"), ("test_on/b", 2, "two"), ("c", 2, "two")] {
            assert_eq!(joined.open(clip, &[0]).unwrap().images[0][0], pixel, "{clip}");
            assert_eq!(joined.decoder(clip), decoder, "{clip}");
        }
        let choose = |_: &Timeline| Ok(vec![0]);
        let each = |image| Ok(image);
        let requests = ["c", "a", "d", "test_on/b"].map(|clip| Request { clip, choose: &choose, each: &each });
        let read = joined.read(&requests);
        let pixels: Vec<Option<u8>> =
            read.iter().map(|read| read.as_ref().ok().map(|opened| opened.frames.images[0][0])).collect();
        assert_eq!(pixels, [Some(2), Some(1), None, Some(2)], "the second dataset's training clips are not there");
    }
}
