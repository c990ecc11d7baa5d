//! Slot `dataset`.
mod frame_folder;
mod shapes_in_motion;
