//! The registration of the method: see the fields of [`Method`].

use super::findings;
use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "alibaba-mmai-research/HyRSM", commit: "82100b62b34f9efa440b27f2591e10e2d370d8aa" };

/// A later repository of the same authors, which has its head too.
const CLIP_FSAR: Repository =
    Repository { name: "alibaba-mmai-research/CLIP-FSAR", commit: "30cf0a8cf5287a56a9f37bfceb28e82be776fc5d" };

/// The commit of the training loop and the reader.
const READ: Repository =
    Repository { name: "alibaba-mmai-research/HyRSM", commit: "3d88d37c10153145227e712d70a20e561faf8177" };

/// The commit of the settings.
const SETTINGS: Repository =
    Repository { name: "alibaba-mmai-research/HyRSM", commit: "f5743b6e9c19bfe621ec5d6aec24646222ddeeb6" };

/// Settings of SSv2-Small.
const SSV2_SMALL: &str = "configs/projects/hyrsm/ssv2_small/HyRSM_SSv2_Small_5shot_v1.yaml";

/// Settings of Kinetics.
const KINETICS: &str = "configs/projects/hyrsm/kinetics100/HyRSM_K100_1shot_v1.yaml";

inventory::submit! {
    Method {
        name: "hyrsm",
        title: "HyRSM",
        paper: "Wang et al., CVPR 2022. Attention inside each clip and among the clips that a query meets; the bidirectional \
                mean Hausdorff metric; a loss over all training classes.",
        code: &[CODE, CLIP_FSAR],
        slots: "backbone: {type: resnet, architecture: resnet50, pixels: slowfast}\n\
                adapter: {type: full}\n\
                prototype: {type: hyrsm, heads: 8, feature_divisor: 10, position_scale: 1}\n\
                alignment: {type: bi_mhm, cosine: normalized}\n\
                objective: {type: with_class_loss, objective: {type: metric}, of: frames_after_prototype}",
        recipes: &["methods/hyrsm"],
        compared: &[
            Compared {
                what: "head: related features, distances, gradients, with the settings of both repositories",
                cases: &["hyrsm_1shot", "hyrsm_1shot_kinetics", "hyrsm_5shot"],
                error: 0.028,
            },
            Compared {
                what: "Bi-MHM (D2ST-Adapter's code: qizhongtan/D2ST-Adapter, commit 44387fa)",
                cases: &["bi_mhm_d2st"],
                error: 0.011,
            },
        ],
        left_out: &[
            "The loss over all training classes is a component, `with_class_loss`; it was compared with a case computed by hand, \
             not with the public code.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "All tensors have weight decay. There, most norms have none.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
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
                     classes: on SSv2-Small 20 times, on Kinetics 24 times. The code does not say which of the saved \
                     weights are reported.",
                    &[
                        READ.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        SETTINGS.at(SSV2_SMALL, "VAL_FRE_ITER"),
                        SETTINGS.at(KINETICS, "VAL_FRE_ITER"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of one GPU of four: Kinetics 1,200, HMDB51 2,000, UCF101 2,500, SSv2-Small 20,000, \
                     SSv2-Full 40,000; 16 tasks a step, 8 on HMDB51; seven queries of each class with one shot, three with \
                     five.",
                    &[SETTINGS.at(SSV2_SMALL, "TRAIN; the other data sets are beside it")],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay; warm-up, then factors at milestones.",
                    &[SETTINGS.at(SSV2_SMALL, "SOLVER")],
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
                        READ.at("datasets/base/base_dataset.py", "_interval_based_sampling"),
                        SETTINGS.at(SSV2_SMALL, "SAMPLING_RATE"),
                        SETTINGS.at(KINETICS, "SAMPLING_RATE"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: relations are computed for the supports and one query at a time.",
                    &[READ.at("models/base/few_shot.py", "CNN_HyRSM_1shot, CNN_HyRSM_5shot")],
                ),
                findings::early_rate(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
                findings::dropped_gradients(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
                findings::unseen_end(&[
                        READ.at("datasets/base/base_dataset.py", "_interval_based_sampling"),
                        SETTINGS.at(KINETICS, "DATA"),
                    ]),
            ],
        }),
    }
}
