//! What a resize must hold.

use super::{built, choice, ok, variants};
use burn::tensor::Device;
use maclip_framework::images::Image;
use maclip_framework::registry::{BuildContext, Component};
use maclip_framework::slots::resize::Resize;

/// What a resize claims of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traits {
    /// Options, in YAML without braces, that are tried beside those of the registration.
    pub also: &'static [&'static str],
}

/// Holds the resize with configuration `C` to its contract.
///
/// # Panics
/// Where a property or a claim does not hold.
pub fn holds<C: Component<Slot = dyn Resize>>(traits: Traits) {
    for options in variants::<C>(traits.also) {
        let choice = choice::<C>(options);
        let resize = built::<C>(options, &BuildContext::new(1, Device::flex()));
        let mut identity = true;
        for (width, height) in [(1, 1), (40, 30), (30, 40), (33, 33), (1, 50)] {
            let [once, again] = [(); 2].map(|()| ok(resize.apply(image(width, height)), &choice));
            let size = once.width * once.height * 3;
            assert!(once.pixels.len() == size && size > 0, "{choice}: an image of {width} × {height} stays one");
            // Training, evaluation and the clip store share what comes out.
            assert!(once == again, "{choice}: nothing is drawn");
            identity &= once == image(width, height);
        }
        assert_eq!(identity, resize.identity(), "{choice}: whether images stay as they are, and `identity`");
    }
}

fn image(width: usize, height: usize) -> Image {
    let pixels = (0..width * height).flat_map(|at| [at * 5, at / 3, at % 251].map(|v| v as u8)).collect();
    Image { width, height, pixels }
}
