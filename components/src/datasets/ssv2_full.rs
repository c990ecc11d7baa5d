//! `ssv2_full`: 100 classes of Something-Something V2 with all of their clips. Classes differ in how things move, less
//! in how they look.
//!
//! Source: the lists of OTAM (Cao et al., CVPR 2020), 67,013/1,926/2,857 clips. The paper names 77,500/1,926/2,854; no
//! published list has those. The names of the val classes are not published: they are `val0` to `val11` until `labels`
//! or `class_names` says more.

use super::listed::{Benchmark, benchmark};
use maclip_framework::register;
use maclip_framework::slots::dataset::Dataset;
use std::path::PathBuf;

benchmark!(/// Options of `ssv2_full`.
    Ssv2Full, BENCHMARK, {
    /// The label files of Something-Something V2 (JSON arrays of `{"id": …, "template": …}`): one file, or the folder
    /// that holds `…train.json` and `…validation.json`. The class text of a class without a published name is the
    /// template of its clips.
    labels: Option<PathBuf>,
});

register!(dyn Dataset, Ssv2Full, name: "ssv2_full",
    summary: "100 classes of Something-Something V2 with all clips, 64/12/24, from published lists",
    paper: Some("OTAM, CVPR 2020"), stability: Stable, usage: "{root: data/ssv2_full, lists: lists/ssv2_full}");

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "ssv2_full",
    classes: [TRAIN, VAL, TEST],
    fewest: [156, 56, 17],
    directed: true,
    youtube: false,
    whole: false,
    published: &["tobyperrett/trx", "tobyperrett/few-shot-action-recognition", "alibaba-mmai-research/CLIP-FSAR"],
};

const TRAIN: &[&str] = &[
    "Bending [something] until it breaks",
    "Closing [something]",
    "Covering [something] with [something]",
    "Dropping [something] behind [something]",
    "Dropping [something] in front of [something]",
    "Dropping [something] into [something]",
    "Folding [something]",
    "Holding [something]",
    "Holding [something] next to [something]",
    "Letting [something] roll along a flat surface",
    "Letting [something] roll down a slanted surface",
    "Lifting a surface with [something] on it but not enough for it to slide down",
    "Lifting [something] with [something] on it",
    "Moving away from [something] with your camera",
    "Moving [something] across a surface until it falls down",
    "Moving [something] and [something] closer to each other",
    "Moving [something] and [something] so they collide with each other",
    "Moving [something] down",
    "Moving [something] up",
    "Plugging [something] into [something]",
    "Poking a hole into [something soft]",
    "Poking [something] so lightly that it doesn't or almost doesn't move",
    "Poking [something] so that it falls over",
    "Pouring [something] into [something]",
    "Pouring [something] into [something] until it overflows",
    "Pouring [something] onto [something]",
    "Pretending to be tearing [something that is not tearable]",
    "Pretending to close [something] without actually closing it",
    "Pretending to pick [something] up",
    "Pretending to put [something] next to [something]",
    "Pretending to spread air onto [something]",
    "Pretending to take [something] out of [something]",
    "Pulling [something] onto [something]",
    "Pulling two ends of [something] so that it gets stretched",
    "Pulling two ends of [something] so that it separates into two pieces",
    "Pushing [something] from left to right",
    "Pushing [something] off of [something]",
    "Pushing [something] so that it falls off the table",
    "Pushing [something] so that it slightly moves",
    "Putting [number of] [something] onto [something]",
    "Putting [something] and [something] on the table",
    "Putting [something] onto a slanted surface but it doesn't glide down",
    "Putting [something] onto [something]",
    "Putting [something similar to other things that are already on the table]",
    "Showing a photo of [something] to the camera",
    "Showing [something] behind [something]",
    "[Something] colliding with [something] and both are being deflected",
    "Spilling [something] next to [something]",
    "Spilling [something] onto [something]",
    "Spinning [something] that quickly stops spinning",
    "Spreading [something] onto [something]",
    "Squeezing [something]",
    "Stuffing [something] into [something]",
    "Taking [something] from [somewhere]",
    "Tearing [something] into two pieces",
    "Tilting [something] with [something] on it slightly so it doesn't fall down",
    "Tilting [something] with [something] on it until it falls off",
    "Tipping [something] with [something in it] over, so [something in it] falls out",
    "Turning the camera downwards while filming [something]",
    "Turning the camera left while filming [something]",
    "Turning the camera upwards while filming [something]",
    "Twisting (wringing) [something] wet until water comes out",
    "Twisting [something]",
    "Uncovering [something]",
];

const VAL: &[&str] =
    &["val0", "val1", "val2", "val3", "val4", "val5", "val6", "val7", "val8", "val9", "val10", "val11"];

const TEST: &[&str] = &[
    "Approaching [something] with your camera",
    "Digging [something] out of [something]",
    "Dropping [something] next to [something]",
    "Dropping [something] onto [something]",
    "Failing to put [something] into [something] because [something] does not fit",
    "Lifting up one end of [something] without letting it drop down",
    "Picking [something] up",
    "Poking a stack of [something] without the stack collapsing",
    "Pouring [something] out of [something]",
    "Pretending to open [something] without actually opening it",
    "Pretending to put [something] behind [something]",
    "Pretending to put [something] into [something]",
    "Pretending to put [something] underneath [something]",
    "Pretending to sprinkle air onto [something]",
    "Pulling [something] from left to right",
    "Pulling [something] out of [something]",
    "Pushing [something] from right to left",
    "Removing [something], revealing [something] behind",
    "Showing [something] next to [something]",
    "Showing that [something] is empty",
    "Spilling [something] behind [something]",
    "Taking [something] out of [something]",
    "Throwing [something] in the air and letting it fall",
    "Tipping [something] over",
];
