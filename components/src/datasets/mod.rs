//! Slot `dataset`.
mod class_split;
mod class_text;
mod folder;
mod frame_folder;
mod hmdb51;
mod kinetics100;
mod listed;
pub mod readers;
mod shapes_in_motion;
mod ssv2_full;
mod ssv2_small;
mod ucf101;
mod video_folder;
