//! mimalloc, set for the work of this project.

use libmimalloc_sys::{mi_option_set_default, mi_option_t};

/// mimalloc's `mi_option_purge_delay`, which the bindings do not name.
const PURGE_DELAY: mi_option_t = 15;

/// Lets mimalloc keep what is freed for the next tensors, instead of giving it back to the system after a second: a
/// step at the size of ViT-B/32 takes longer than that, and the system would clear gigabytes of fresh pages in each
/// one. The environment variable `MIMALLOC_PURGE_DELAY` (milliseconds) stands above this.
pub fn keep_pages() {
    // Safety: the option exists, and mimalloc reads it whenever something is freed.
    unsafe { mi_option_set_default(PURGE_DELAY, -1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libmimalloc_sys::mi_option_get;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // Safety: reading an option.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "mimalloc's own default, which no option beside it has");
        keep_pages();
        assert_eq!(delay(), -1);
    }
}
