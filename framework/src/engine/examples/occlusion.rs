//! What an answer depends on: parts of the query's frames are covered, one at a time.
//!
//! Source: Zeiler and Fergus, arXiv 1311.2901, section 4.2.

use crate::clips::loader::ClipLoader;
use crate::engine::evaluation::{CLIPS_PER_BATCH, EpisodeEncoding};
use crate::model::few_shot::{Encoded, FewShotModel};
use crate::progress::stop_requested;
use crate::runs::examples::Occlusion;
use crate::slots::Scope;
use crate::slots::adapter::Branch;
use crate::slots::draws::without_draws;
use burn::tensor::Tensor;

/// A query of an encoded episode.
pub struct Query<'a> {
    pub encoding: &'a EpisodeEncoding,
    /// Its position among the queries.
    pub at: usize,
    /// Its pixels, as [`ClipLoader::open`] gives them.
    pub pixels: &'a [u8],
    /// Support clips of each class.
    pub shot: usize,
    /// The class that it was taken for.
    pub prediction: usize,
}

/// How much the probability of the query's predicted class falls where one of the `side`² cells of one frame is
/// covered. `None` where the clips of an episode see each other in the tower, so that all of them would have to be
/// encoded for every cell, where the frames have fewer than `side` pixels, and after a request to stop.
pub fn occluded(model: &FewShotModel, loader: &ClipLoader, query: &Query, side: usize) -> Option<Occlusion> {
    let size = loader.geometry.image_size;
    if model.adapter.scope() == Scope::Episode || side == 0 || side > size {
        return None;
    }
    let frames = query.pixels.len() / (size * size * 3);
    let cells: Vec<(usize, usize)> = (0..frames).flat_map(|frame| (0..side * side).map(move |c| (frame, c))).collect();
    let mean = loader.geometry.mean.map(|value| (value * 255.0).round() as u8);
    let probability = |clip: Option<&Encoded>| {
        let EpisodeEncoding { support, query: queries, class_text } = query.encoding;
        let queries = clip.map_or_else(|| queries.clone(), |clip| replaced(queries, query.at, clip));
        let scores = model.scores(support.clone(), queries, class_text.clone(), query.shot);
        let all = model.objective.probabilities(&scores);
        all.narrow(1, query.at, 1).narrow(2, query.prediction, 1).into_scalar::<f32>()
    };
    let whole = without_draws(|| probability(None));
    let mut falls = Vec::new();
    for cells in cells.chunks(CLIPS_PER_BATCH) {
        if stop_requested() {
            return None;
        }
        let covered: Vec<Vec<u8>> =
            cells.iter().map(|&(frame, cell)| covered(query.pixels, size, frame, (cell, side), mean)).collect();
        let part = without_draws(|| {
            let given = model.encode(model.prefix(loader.tensor(&covered)), &Branch::Query);
            let clips = model.query_prototypes(given);
            (0..cells.len()).map(|at| whole - probability(Some(&row(&clips, at)))).collect::<Vec<f32>>()
        });
        falls.extend(part);
    }
    // Adding 0 makes −0 a plain 0.
    let falls: Vec<f32> = falls.into_iter().map(|fall| (fall * 1e4).round() / 1e4 + 0.0).collect();
    Some(Occlusion { side, falls: falls.chunks(side * side).map(<[f32]>::to_vec).collect() })
}

/// The clip `pixels` with one cell of one frame in the colour `mean`. `cell` counts the `side`² cells row by row.
fn covered(pixels: &[u8], size: usize, frame: usize, (cell, side): (usize, usize), mean: [u8; 3]) -> Vec<u8> {
    let part = |at: usize| at * size / side..(at + 1) * size / side;
    let mut pixels = pixels.to_vec();
    for y in part(cell / side) {
        for x in part(cell % side) {
            let at = ((frame * size + y) * size + x) * 3;
            pixels[at..at + 3].copy_from_slice(&mean);
        }
    }
    pixels
}

/// Clip number `at` alone.
fn row(clips: &Encoded, at: usize) -> Encoded {
    let of = |values: &Tensor<3>| values.clone().narrow(0, at, 1);
    Encoded { frames: of(&clips.frames), given: of(&clips.given), prototypes: of(&clips.prototypes) }
}

/// `clips` with `other` in the place of clip number `at`.
fn replaced(clips: &Encoded, at: usize, other: &Encoded) -> Encoded {
    let of = |values: &Tensor<3>, other: &Tensor<3>| {
        let [_, t, e] = values.dims();
        values.clone().slice_assign([at..at + 1, 0..t, 0..e], other.clone())
    };
    Encoded {
        frames: of(&clips.frames, &other.frames),
        given: of(&clips.given, &other.given),
        prototypes: of(&clips.prototypes, &other.prototypes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_covered_and_nothing_else() {
        // Two frames of 5 × 5 pixels in four cells: of two and three pixels along a side.
        let (size, mean) = (5, [9, 8, 7]);
        let clip = vec![100; 2 * size * size * 3];
        let all: Vec<Vec<u8>> = (0..4).map(|cell| covered(&clip, size, 1, (cell, 2), mean)).collect();
        let changed = |pixels: &Vec<u8>| -> Vec<usize> {
            (0..2 * size * size).filter(|at| pixels[at * 3..at * 3 + 3] == mean).collect()
        };
        assert_eq!(changed(&all[0]), [25, 26, 30, 31]);
        assert_eq!(changed(&all[1]), [27, 28, 29, 32, 33, 34]);
        // Together they cover the second frame, each pixel once.
        let mut together: Vec<usize> = all.iter().flat_map(changed).collect();
        together.sort_unstable();
        assert_eq!(together, (25..50).collect::<Vec<_>>());
    }
}
