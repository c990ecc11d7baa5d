//! Slot `backbone`.
pub mod clip;
pub mod clip_resnet;
pub mod clip_vit;
pub mod inspect;
pub mod vit;
