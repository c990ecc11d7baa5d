//! Memory that a kernel fills, and pointers that threads share.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// `len` values that the caller writes before anybody reads them.
///
/// # Safety
/// Every value is written before it is read.
#[allow(clippy::uninit_vec)]
pub unsafe fn buffer(len: usize) -> Vec<f32> {
    let mut values = Vec::with_capacity(len);
    // Safety: the capacity is there, every bit pattern is an `f32`, and the caller writes before reading.
    unsafe { values.set_len(len) };
    values
}

/// Where threads write. Each writes places of its own.
#[derive(Clone, Copy)]
pub struct Out(*mut f32);

// Safety: a plain address. Who writes through it says why no two threads write the same place.
unsafe impl Send for Out {}
unsafe impl Sync for Out {}

impl Out {
    /// The start of `values`.
    pub fn new(values: &mut [f32]) -> Self {
        Self(values.as_mut_ptr())
    }

    /// This address.
    pub fn from_raw(start: *mut f32) -> Self {
        Self(start)
    }

    /// The address of value `index`.
    ///
    /// # Safety
    /// There is such a value.
    pub unsafe fn at(self, index: usize) -> *mut f32 {
        unsafe { self.0.add(index) }
    }
}

/// Where threads read.
#[derive(Clone, Copy)]
pub struct In(*const f32);

// Safety: a plain address that is only read from.
unsafe impl Send for In {}
unsafe impl Sync for In {}

impl In {
    /// The start of `values`.
    pub fn new(values: &[f32]) -> Self {
        Self(values.as_ptr())
    }

    /// This address.
    pub fn from_raw(start: *const f32) -> Self {
        Self(start)
    }

    /// The address of value `index`.
    ///
    /// # Safety
    /// There is such a value.
    pub unsafe fn at(self, index: usize) -> *const f32 {
        unsafe { self.0.add(index) }
    }
}

thread_local! {
    /// Buffers of this thread that nobody uses at the moment.
    static SPARE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer whose values are anything. When it is dropped, its thread keeps it for the next one: the system would clear
/// fresh pages each time.
pub struct Scratch(Vec<f32>);

impl Scratch {
    /// Of at least `len` values: the smallest spare buffer that is large enough, or else a new one in place of the
    /// largest.
    pub fn new(len: usize) -> Self {
        let spare = SPARE.with_borrow_mut(|spare| {
            let fits = (0..spare.len()).filter(|&i| spare[i].len() >= len).min_by_key(|&i| spare[i].len());
            let chosen = fits.or_else(|| (0..spare.len()).max_by_key(|&i| spare[i].len()));
            chosen.map(|i| spare.swap_remove(i))
        });
        Self(spare.filter(|values| values.len() >= len).unwrap_or_else(|| vec![0.0; len]))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.0);
        // The spare buffers of a thread that ends are gone already.
        let _ = SPARE.try_with(|spare| spare.borrow_mut().push(values));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}
