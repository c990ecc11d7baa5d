//! The registration of the method: see the fields of [`Method`].

use super::findings;
use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "alibaba-mmai-research/MoLo", commit: "f7f73b6dd8cba446b414b1c47652ab26033bc88e" };

/// The repository of CLIP-FSAR, by the same authors, which has the settings and the training loop too.
const SETTINGS: Repository =
    Repository { name: "alibaba-mmai-research/CLIP-FSAR", commit: "460aee453a6776cc4ff468e9285bfeaa172f25eb" };

/// Settings of SSv2-Small.
const SSV2_SMALL: &str = "configs/projects/MoLo/ssv2_small/MoLo_SSv2_Small_5shot_v1.yaml";

/// Settings of Kinetics.
const KINETICS: &str = "configs/projects/MoLo/kinetics100/MoLo_K100_5shot_v1.yaml";

inventory::submit! {
    Method {
        name: "molo",
        title: "MoLo",
        paper: "Wang et al., CVPR 2023. Frames and their changes in time, each with a class token behind a transformer \
                layer; contrasts of class tokens with frames; a decoder that must show how the pixels change.",
        code: &[CODE],
        slots: "backbone: {type: resnet, architecture: resnet50, pixels: slowfast}\n\
                adapter: {type: full}\n\
                prototype: {type: molo, heads: 8, hidden: 2048}\n\
                alignment: {type: molo, motion: 0.3}\n\
                objective: {type: molo, class_weight: 0.8, reconstruction_weight: 0.4, objective: {type: weighted_distances,\n\
                  own: 1, weights: {s2q: 0.05, q2s: 0.05, s2q_motion: 0.05, q2s_motion: 0.05}}}",
        recipes: &["methods/molo"],
        compared: &[
            Compared {
                what: "both branches, five logits, class logits, decoder, all losses, gradients",
                cases: &["molo.molo_train_1shot", "molo.molo_train_kinetics"],
                error: 0.2,
            },
            Compared {
                what: "the same with fixed statistics of the decoder, without a loss",
                cases: &["molo.molo_eval_2shot"],
                error: 0.21,
            },
        ],
        left_out: &[
            "The decoder runs in training alone. There it runs in the test too, where nothing reads it.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "All tensors have weight decay. There, most norms have none.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::TestLogged,
            test_tasks: Some(10_000),
            test_frames: TestFrames::RandomButKinetics,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::One,
            statements: &[
                Statement::new(
                    About::Selection,
                    "Every VAL_FRE_ITER tasks the weights are saved and evaluated on 10,000 episodes of the test \
                     classes: on SSv2-Small 20 times, on Kinetics 250 times. The code does not say which of the saved \
                     weights are reported.",
                    &[
                        CODE.at("runs/train_net_few_shot.py", "train_few_shot"),
                        SETTINGS.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        SETTINGS.at(SSV2_SMALL, "VAL_FRE_ITER"),
                        SETTINGS.at(KINETICS, "VAL_FRE_ITER"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of one GPU of four: SSv2-Full 50,000, SSv2-Small 20,000, Kinetics 5,000, HMDB51 2,000, \
                     UCF101 6,000; 16 tasks a step; six queries of each class; one shot, also for the test with five.",
                    &[SETTINGS.at(SSV2_SMALL, "TRAIN; the other data sets are beside it")],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay; warm-up, then factors at milestones.",
                    &[SETTINGS.at(SSV2_SMALL, "SOLVER")],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224; queries mirrored and with other colours. Random erasing is in the list, \
                     and no setting turns it on.",
                    &[
                        SETTINGS.at(SSV2_SMALL, "DATA, AUGMENTATION"),
                        SETTINGS.at("datasets/base/ssv2_few_shot.py", "_config_transform"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. The settings for five shots train with one (SHOT: 1, \
                     SHOT_TEST: 5).",
                    &[SETTINGS.at(SSV2_SMALL, "TRAIN"), SETTINGS.at(KINETICS, "TRAIN")],
                ),
                Statement::new(
                    About::TestFrames,
                    "One frame at random in each of eight equal parts of a clip, in the test as in training, where \
                     SAMPLING_RATE is above 40. It is 50 on SSv2-Small. On Kinetics it is 35: eight frames at equal \
                     distances.",
                    &[
                        SETTINGS.at("datasets/base/base_dataset.py", "_interval_based_sampling"),
                        SETTINGS.at(SSV2_SMALL, "SAMPLING_RATE"),
                        SETTINGS.at(KINETICS, "SAMPLING_RATE"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: a query meets the means of the supports alone.",
                    &[CODE.at("models/base/few_shot.py", "CNN_BiMHM_MoLo")],
                ),
                Statement::finding(
                    "The loss of the decoder is not divided by BATCH_SIZE, 4, as the other losses are.",
                    Some("its weight is 4 times what RECONS_COFF says beside the others (computed)"),
                    &[SETTINGS.at("runs/train_net_few_shot.py", "train_epoch")],
                ),
                Statement::finding(
                    "Maps of 7 by 7 and images of 224 by 224 are fixed in the code, for every backbone.",
                    None,
                    &[CODE.at("models/base/few_shot.py", "CNN_BiMHM_MoLo")],
                ),
                findings::early_rate(&[SETTINGS.at("runs/train_net_few_shot.py", "train_epoch")]),
            ],
        }),
    }
}
