//! Dataset `noise`: random clips in memory, so that no disk and no decoder is measured.

use maclip_framework::error::Result;
use maclip_framework::random::Stream;
use maclip_framework::register;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::dataset::{Class, Dataset, Frames, Listing, Split};
use serde::{Deserialize, Serialize};

/// Classes of each split, and clips of each class: 240 clips, as many as the peer has.
const CLASSES: usize = 24;
const CLIPS: usize = 10;
/// Frames T of a clip.
pub const FRAMES: usize = 8;

/// 24 classes of 10 random clips in each split, made when they are opened.
#[derive(Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Noise {
    /// Side of a frame in pixels.
    side: usize,
}

register!(dyn Dataset, Noise, name: "noise", summary: "random clips for benchmarks", paper: None,
    stability: Experimental, usage: "{side: 48}");

impl Component for Noise {
    type Slot = dyn Dataset;

    fn build(self, _: &BuildContext) -> Result<Box<dyn Dataset>> {
        let length = self.side * self.side * 3;
        // A pool to cut frames from: drawing every pixel anew would be what is measured.
        let mut rng = Stream::new(1, "noise").at(0);
        let pool = (0..(length + 4096).div_ceil(8)).flat_map(|_| rng.bits().to_le_bytes()).collect();
        Ok(Box::new(Pool { side: self.side, pool }))
    }
}

struct Pool {
    side: usize,
    pool: Vec<u8>,
}

impl Dataset for Pool {
    fn list(&self, split: Split) -> Result<Listing> {
        let classes = (0..CLASSES).map(|class| Class {
            name: format!("{} {class}", split.name()),
            clips: (0..CLIPS).map(|clip| format!("{}/{class}/{clip}", split.name())).collect(),
        });
        Ok(Listing { classes: classes.collect(), ..Listing::default() })
    }

    fn frame_count(&self, _: &str) -> Result<usize> {
        Ok(FRAMES)
    }

    fn open(&self, clip: &str, indices: &[usize]) -> Result<Frames> {
        let length = self.side * self.side * 3;
        let images = indices.iter().map(|&index| {
            let from = Stream::new(index as u64, clip).at(0).below(self.pool.len() - length);
            self.pool[from..from + length].to_vec()
        });
        Ok(Frames { height: self.side, width: self.side, images: images.collect() })
    }
}

/// The words of the class names, for the vocabulary of a text tower.
pub fn words() -> impl Iterator<Item = String> {
    ["train", "val", "test"].into_iter().map(str::to_owned).chain((0..CLASSES).map(|class| class.to_string()))
}
