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
const SSV2_SMALL: &str = "configs/projects/hyrsmplusplus/ssv2_small/HyRSMplusplus_SSv2_Small_1shot_v1.yaml";

/// Settings of Kinetics.
const KINETICS: &str = "configs/projects/hyrsmplusplus/kinetics100/HyRSMplusplus_K100_5shot_v1.yaml";

inventory::submit! {
    Method {
        name: "hyrsm_plus_plus",
        title: "HyRSM++",
        paper: "Wang et al., 2023 (arXiv 2301.03330). HyRSM with a loss that keeps frames near in time alike and frames \
                far apart different.",
        code: &[CODE],
        slots: "backbone: {type: resnet, architecture: resnet50, pixels: slowfast}\n\
                adapter: {type: full}\n\
                prototype: {type: hyrsm, heads: 8, feature_divisor: 10, position_scale: 1, average_shots: after}\n\
                alignment: {type: bi_mhm, cosine: normalized, shots: mean_distances}\n\
                objective: {type: temporal_coherence, weight: 0.3, window: 1, sigma: 51, balance: 10,\n\
                  objective: {type: with_class_loss, objective: {type: metric}, weight: 0.6}}",
        recipes: &["methods/hyrsm_plus_plus"],
        compared: &[
            Compared {
                what: "heads with one and several shots: distances, class logits, all losses, the targets of the temporal loss, \
                       gradients",
                cases: &["hyrsm_plus_plus.1shot_ssv2", "hyrsm_plus_plus.1shot_kinetics_window3", "hyrsm_plus_plus.1shot_class_two_shots", "hyrsm_plus_plus.5shot_ssv2", "hyrsm_plus_plus.5shot_hmdb"],
                error: 0.038,
            },
        ],
        left_out: &[
            "The heads for unlabelled clips are not here.",
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
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "Every VAL_FRE_ITER tasks the weights are saved and evaluated on 10,000 episodes of the test \
                     classes: on SSv2-Small 20 times, on Kinetics with five shots 75 times. The code does not say \
                     which of the saved weights are reported.",
                    &[
                        CODE.at("runs/train_net_few_shot.py", "train_few_shot"),
                        SETTINGS.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        SETTINGS.at(SSV2_SMALL, "VAL_FRE_ITER"),
                        SETTINGS.at(KINETICS, "VAL_FRE_ITER"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of one GPU of four: SSv2-Full 40,000, SSv2-Small 20,000, Kinetics 1,500, HMDB51 2,000, UCF101 \
                     2,500; 16 tasks a step; 7, 6, 5, 4 and 3 queries of each class for one to five shots, each \
                     trained apart.",
                    &[
                        SETTINGS.at(SSV2_SMALL, "TRAIN; the other data sets and numbers of shots are beside it"),
                        SETTINGS.at(KINETICS, "TRAIN"),
                    ],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay; warm-up, then factors at milestones; rate 1e-4 on SSv2-Small, \
                     2.2e-5 on Kinetics.",
                    &[SETTINGS.at(SSV2_SMALL, "SOLVER"), SETTINGS.at(KINETICS, "SOLVER")],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224; queries mirrored and with other colours.",
                    &[SETTINGS.at(SSV2_SMALL, "DATA, AUGMENTATION")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. Each number of shots has its settings and its training.",
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
                    "No: relations are computed for the supports and one query at a time.",
                    &[CODE.at("models/base/few_shot.py", "CNN_HyRSM_plusplus_1shot, CNN_HyRSM_plusplus_5shot")],
                ),
                findings::early_rate(&[SETTINGS.at("runs/train_net_few_shot.py", "train_epoch")]),
                Statement::finding(
                    "BATCH_SIZE, which divides the loss, is 4 with one shot on SSv2-Small, and 1 with five shots on \
                     Kinetics.",
                    Some("4 times the loss, which Adam divides out; the weight decay is a quarter beside it (computed)"),
                    &[SETTINGS.at(SSV2_SMALL, "BATCH_SIZE"), SETTINGS.at(KINETICS, "BATCH_SIZE")],
                ),
            ],
        }),
    }
}
