//! Memory that a kernel fills, and pointers that threads share.

use std::cell::RefCell;

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

/// Runs `work` with a buffer of at least `len` values, which hold anything. The thread keeps the buffer for the next call: fresh
/// pages would be cleared by the system each time.
pub fn with_scratch<R>(len: usize, work: impl FnOnce(&mut [f32]) -> R) -> R {
    let mut values = SPARE.with_borrow_mut(|spare| spare.pop()).unwrap_or_default();
    if values.len() < len {
        values.resize(len, 0.0);
    }
    let result = work(&mut values[..len]);
    SPARE.with_borrow_mut(|spare| spare.push(values));
    result
}
