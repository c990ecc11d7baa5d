//! Clips recognised by the names of the classes alone.

use super::{Answer, finite, view};
use crate::engine::features::ClipSource;
use crate::error::{Error, Result};
use crate::model::few_shot::{FewShotModel, text_cosines, time_average};
use crate::slots::Scope;
use crate::slots::adapter::Branch;
use crate::slots::prompt::Prompt;
use burn::tensor::Tensor;

/// Answers for clips that have class texts and no examples: cosines with the texts, as CLIP classifies images. The
/// distance of a class is 1 − cosine.
///
/// # Errors
/// Where the backbone has no text tower, a clip cannot be opened, or a number is not finite.
pub fn zero_shot(
    model: &FewShotModel,
    source: &ClipSource,
    prompt: &dyn Prompt,
    texts: &[&str],
    clips: &[&str],
) -> Result<Vec<Answer>> {
    if model.adapter.scope() == Scope::Episode {
        return Err(Error::failed("the adapter looks across the clips of an episode, and names alone make none")
            .help("give examples with `--support`, or choose another adapter"));
    }
    // CLIP's own temperature, the exponential of its learned logit scale.
    const SCALE: f64 = 100.0;
    let of_class = |name: &&str| Ok(prompt.average().of(model.backbone.encode_texts(&prompt.sentences(name)?)?));
    let texts = Tensor::cat(texts.iter().map(of_class).collect::<Result<Vec<Tensor<2>>>>()?, 0);
    let texts = if texts.is_autodiff() { texts.inner() } else { texts };
    let frames = model.encode(source.prefixes(clips, |at| view(source, clips[at]))?, &Branch::Query);
    let cosines = text_cosines(time_average(frames).unsqueeze(), texts.unsqueeze());
    let [_, _, w] = cosines.dims();
    let cosines: Vec<f64> = cosines.into_data().iter::<f64>().collect();
    let answer = |row: &[f64]| {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = row.iter().map(|cosine| (SCALE * (cosine - top)).exp()).collect();
        let sum: f64 = powers.iter().sum();
        Answer {
            distances: row.iter().map(|cosine| 1.0 - cosine).collect(),
            probabilities: powers.into_iter().map(|power| power / sum).collect(),
        }
    };
    let answers: Vec<Answer> = cosines.chunks(w).map(answer).collect();
    finite(&answers)?;
    Ok(answers)
}
