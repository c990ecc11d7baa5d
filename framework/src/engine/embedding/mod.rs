//! Clips of the test as points of a plane, before the training and after it.
//!
//! Here belongs which clips these are, how their features are computed and brought into a plane.
//! Not here: the types of the file (`runs::embedding`), and the figure (the crate `maclip-reports`).

mod plane;

use crate::clips::loader::View;
use crate::engine::evaluation::{CLIPS_PER_BATCH, encodes_every_episode};
use crate::engine::features::ClipSource;
use crate::error::{Error, Result};
use crate::model::few_shot::{Encoded, FewShotModel, time_average};
use crate::progress::stop_requested;
use crate::runs::embedding::{EmbeddedClip, Embedding, Map, Stage};
use crate::slots::adapter::Branch;
use crate::slots::dataset::Class;
use crate::slots::draws::without_draws;
use crate::slots::explanation::normalize;
use plane::{principal, tsne};

/// The first clips of each of `classes`, about `count` together and as many of each, by `before`, the model without any
/// training, and by `after`, the one that is tested. Both must be without autodiff (`valid()`). Without `before`,
/// nothing was trained, and there is one map.
///
/// # Errors
/// Where a clip cannot be opened, the features of a clip depend on the episode that it is in, and
/// [`Error::Interrupted`] after a request to stop.
pub fn embedding(
    (before, after): (Option<&FewShotModel>, &FewShotModel),
    source: &ClipSource,
    classes: &[Class],
    count: usize,
) -> Result<Embedding> {
    if encodes_every_episode(after, &*source.loader().clips.frames) {
        return Err(Error::failed("the features of a clip depend on the episode that it is in"));
    }
    let each = (count / classes.len().max(1)).max(1);
    let clips = classes.iter().flat_map(|class| {
        class.clips.iter().take(each).map(|id| EmbeddedClip { id: id.clone(), class: class.name.clone() })
    });
    let clips: Vec<EmbeddedClip> = clips.collect();
    let mut maps = Vec::new();
    for (stage, model) in [(Stage::Before, before), (Stage::After, Some(after))] {
        let Some(model) = model else { continue };
        maps.push(map(stage, features(stage, model, source, &clips)?, &clips)?);
    }
    Ok(Embedding { format: Embedding::FORMAT, clips, maps })
}

/// Unit vectors of all clips.
fn features(stage: Stage, model: &FewShotModel, source: &ClipSource, clips: &[EmbeddedClip]) -> Result<Vec<Vec<f32>>> {
    let mut rows = Vec::new();
    for clips in clips.chunks(CLIPS_PER_BATCH) {
        if stop_requested() {
            return Err(Error::Interrupted);
        }
        let ids: Vec<&str> = clips.iter().map(|clip| clip.id.as_str()).collect();
        let prefix = source.prefixes(&ids, |_| View::Evaluation)?;
        let features = without_draws(|| {
            let given = model.encode(prefix, &Branch::Query);
            let frames = match stage {
                Stage::Before => model.given().feature(given),
                Stage::After => {
                    let Encoded { prototypes, .. } = model.query_prototypes(given);
                    model.compared().feature(prototypes)
                }
            };
            normalize(time_average(frames))
        });
        let width = features.dims()[1];
        let values: Vec<f32> = features.into_data().iter::<f32>().collect();
        rows.extend(values.chunks(width).map(<[f32]>::to_vec));
    }
    Ok(rows)
}

fn map(stage: Stage, rows: Vec<Vec<f32>>, clips: &[EmbeddedClip]) -> Result<Map> {
    let (pca, variance) = principal(&rows);
    let tsne = tsne(&rows, &pca)?;
    let rounded = |points: Vec<[f32; 2]>| points.into_iter().map(|point| point.map(four)).collect();
    Ok(Map {
        stage,
        nearest_is_same_class: same_class(&rows, clips),
        pca: rounded(pca),
        variance: variance.map(|share| (share * 1e4).round() / 1e4),
        tsne: rounded(tsne),
    })
}

/// Four decimals; adding 0 makes −0 a plain 0.
fn four(value: f32) -> f32 {
    (value * 1e4).round() / 1e4 + 0.0
}

/// See [`Map::nearest_is_same_class`].
fn same_class(rows: &[Vec<f32>], clips: &[EmbeddedClip]) -> f64 {
    let cosine = |a: usize, b: usize| rows[a].iter().zip(&rows[b]).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let nearest = |at: usize| {
        let others = (0..rows.len()).filter(move |other| *other != at);
        others.max_by(|a, b| cosine(at, *a).total_cmp(&cosine(at, *b)))
    };
    let same = |at: &usize| nearest(*at).is_some_and(|other| clips[other].class == clips[*at].class);
    (0..rows.len()).filter(same).count() as f64 / rows.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_other_clip_decides() {
        let rows = vec![vec![1.0, 0.0], vec![0.96, 0.28], vec![0.0, 1.0], vec![0.28, 0.96]];
        let of = |classes: [&str; 4]| -> Vec<EmbeddedClip> {
            classes.iter().map(|class| EmbeddedClip { id: String::new(), class: (*class).to_owned() }).collect()
        };
        assert_eq!(same_class(&rows, &of(["a", "a", "b", "b"])), 1.0);
        assert_eq!(same_class(&rows, &of(["a", "a", "b", "c"])), 0.5);
        assert_eq!(same_class(&rows[..1], &of(["a", "a", "b", "b"])), 0.0);
    }
}
