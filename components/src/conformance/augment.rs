//! What an augmentation must hold.

use super::{built, choice, variants};
use burn::tensor::Device;
use maclip_framework::random::{Rng, Stream};
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::augment::Augment;
use maclip_framework::slots::dataset::Frames;

/// What an augmentation claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
    /// Frames become others in evaluation too, such as the centre where training cuts out a random part.
    pub changes_evaluation: bool,
}

/// Draws of a clip in training.
const DRAWS: u64 = 50;

/// Holds the augmentation with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Augment>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let augment = built::<C>(options, &BuildContext::new(1, Device::flex()));
        let stream = Stream::new(1, "augment");
        let apply = |rng: Option<&mut Rng>| {
            let frames = augment.apply(clip(), rng);
            assert_eq!(frames.images.len(), clip().images.len(), "{choice}: as many frames as before");
            let size = frames.height * frames.width * 3;
            assert!(frames.images.iter().all(|image| image.len() == size && size > 0), "{choice}: frames of one size");
            let alike = frames.images.iter().all(|image| *image == frames.images[0]);
            assert!(alike, "{choice}: equal frames of a clip stay equal");
            frames
        };
        let evaluated = apply(None);
        assert!(evaluated == apply(None), "{choice}: evaluation is the same every time");
        let changed = evaluated != clip();
        assert_eq!(changed, traits.changes_evaluation, "{choice}: whether evaluation changes frames");
        let mut identity = !changed;
        for draw in 0..DRAWS {
            let trained = apply(Some(&mut stream.at(draw)));
            assert!(trained == apply(Some(&mut stream.at(draw))), "{choice}: the draws alone decide");
            identity &= trained == clip();
        }
        assert_eq!(identity, augment.identity(), "{choice}: whether frames stay as they are, and `identity`");
    }
}

/// Three equal frames of 40 × 30 pixels in many colours.
fn clip() -> Frames {
    let (width, height) = (40, 30);
    let image: Vec<u8> = (0..width * height).flat_map(|at| [at * 5, at / 3, at % 251].map(|v| v as u8)).collect();
    Frames { height, width, images: vec![image; 3] }
}
