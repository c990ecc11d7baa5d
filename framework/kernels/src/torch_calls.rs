//! Calls of LibTorch that the `tch` crate does not have. torch_calls.cpp is their other side.

use crate::operations::AdamW;
use std::ffi::{CStr, c_char, c_void};
use tch::Tensor as Torch;

/// A tensor of LibTorch behind a pointer: `at::Tensor` in C++.
type Handle = c_void;

unsafe extern "C" {
    fn maclip_torch_gradients(
        result: *const Handle,
        gradient: *const Handle,
        inputs: *const *const Handle,
        count: usize,
        found: *mut *mut Handle,
        message: *mut c_char,
        length: usize,
    ) -> bool;
    fn maclip_torch_adamw(
        weight: *mut Handle,
        gradient: *const Handle,
        first: *mut Handle,
        second: *mut Handle,
        time: *const Handle,
        rate: f64,
        beta_1: f64,
        beta_2: f64,
        weight_decay: f64,
        epsilon: f64,
        message: *mut c_char,
        length: usize,
    ) -> bool;
    fn maclip_torch_allow_tf32(allow: bool);
}

/// Runs `call` with memory for a message.
///
/// # Panics
/// With that message where it returns false, as the calls of the `tch` crate do.
fn checked(what: &str, call: impl FnOnce(*mut c_char, usize) -> bool) {
    let mut message = [0u8; 2048];
    if !call(message.as_mut_ptr().cast(), message.len()) {
        let text = CStr::from_bytes_until_nul(&message).map(CStr::to_string_lossy).unwrap_or_default();
        panic!("LibTorch, {what}: {text}");
    }
}

fn handle(tensor: &Torch) -> *const Handle {
    tensor.as_ptr().cast()
}

/// The gradients of `inputs`, of which `result` was computed, where `gradient` is that of `result`. Torch's graph is
/// used up.
pub(crate) fn gradients(result: &Torch, gradient: &Torch, inputs: &[&Torch]) -> Vec<Torch> {
    let handles: Vec<*const Handle> = inputs.iter().map(|input| handle(input)).collect();
    let mut found: Vec<*mut Handle> = vec![std::ptr::null_mut(); inputs.len()];
    // SAFETY: every handle is a tensor that lives through the call, and `found` has room for `count` of them.
    checked("a backward pass", |message, length| unsafe {
        let (result, gradient) = (handle(result), handle(gradient));
        maclip_torch_gradients(result, gradient, handles.as_ptr(), handles.len(), found.as_mut_ptr(), message, length)
    });
    // SAFETY: where the call succeeds, each is a new tensor that nobody else has.
    found.into_iter().map(|tensor| unsafe { Torch::from_ptr(tensor.cast()) }).collect()
}

/// A step of AdamW in the memory of weight and moments. `time` is a tensor with the step's number on their device.
pub(crate) fn adamw(weight: &mut Torch, gradient: &Torch, moments: [&mut Torch; 2], time: &Torch, options: AdamW) {
    let [first, second] = moments;
    let AdamW { rate, weight_decay, beta, epsilon, .. } = options;
    let [beta_1, beta_2] = beta.map(f64::from);
    // SAFETY: every handle is a tensor that lives through the call; those that are written are borrowed alone.
    checked("a step of AdamW", |message, length| unsafe {
        maclip_torch_adamw(
            weight.as_mut_ptr().cast(),
            handle(gradient),
            first.as_mut_ptr().cast(),
            second.as_mut_ptr().cast(),
            handle(time),
            rate,
            beta_1,
            beta_2,
            weight_decay,
            f64::from(epsilon),
            message,
            length,
        )
    });
}

/// Whether products of f32 on NVIDIA's cards may be computed in TF32: of each factor ten bits after the leading one,
/// and sums in f32. For the whole process.
pub(crate) fn allow_tf32(allow: bool) {
    // SAFETY: it sets one number of torch's.
    unsafe { maclip_torch_allow_tf32(allow) }
}
