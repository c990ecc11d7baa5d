//! `hmdb51`: the 51 classes of HMDB51 with all of their 6,766 clips, from films and the web.
//!
//! Source: Kuehne et al., ICCV 2011; the class split is that of ARN (Zhang et al., ECCV 2020). The published lists hold
//! every clip of their classes, so the class folders alone say as much.

use super::listed::{Benchmark, benchmark};
use maclip_framework::register;
use maclip_framework::slots::dataset::Dataset;

benchmark!(/// Options of `hmdb51`.
    Hmdb51, BENCHMARK);

register!(dyn Dataset, Hmdb51, name: "hmdb51",
    summary: "the 51 classes of HMDB51, 31/10/10",
    paper: Some("ARN, ECCV 2020"), stability: Stable, usage: "{root: data/hmdb51}");

pub(super) const BENCHMARK: Benchmark = Benchmark {
    name: "hmdb51",
    classes: [TRAIN, VAL, TEST],
    fewest: [102, 102, 103],
    directed: false,
    youtube: false,
    whole: true,
    published: &["tobyperrett/trx", "tobyperrett/few-shot-action-recognition", "alibaba-mmai-research/CLIP-FSAR"],
};

const TRAIN: &[&str] = &[
    "brush_hair",
    "catch",
    "chew",
    "clap",
    "climb",
    "climb_stairs",
    "dive",
    "draw_sword",
    "dribble",
    "drink",
    "fall_floor",
    "flic_flac",
    "handstand",
    "hug",
    "jump",
    "kiss",
    "pullup",
    "punch",
    "push",
    "ride_bike",
    "ride_horse",
    "shake_hands",
    "shoot_bow",
    "situp",
    "stand",
    "sword",
    "sword_exercise",
    "throw",
    "turn",
    "walk",
    "wave",
];

const VAL: &[&str] =
    &["cartwheel", "eat", "golf", "hit", "laugh", "shoot_ball", "shoot_gun", "smile", "somersault", "swing_baseball"];

const TEST: &[&str] = &["fencing", "kick", "kick_ball", "pick", "pour", "pushup", "run", "sit", "smoke", "talk"];
