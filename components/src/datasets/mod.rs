//! Slot `dataset`: clips, classes and splits, one file or folder for each dataset.
//!
//! Here too: what reads videos and folders of images (`readers`), and layouts that several datasets share (`folder`,
//! `listed`). Not here: which frames of a clip are taken (frames) and what size they get (resizes).
mod archives;
mod arrays;
mod claims;
mod class_split;
mod class_text;
mod folder;
mod frame_folder;
mod hmdb51;
mod kinetics100;
mod listed;
pub mod paths;
mod policy;
pub mod readers;
mod shapes_in_motion;
mod ssv2_full;
mod ssv2_small;
mod ucf101;
mod video_folder;
mod video_list;

pub(crate) use class_text::folded;
