//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "1a9105323b3e8cbf51a3ea59768a3d4618bd884f" };

/// The commit of the training loop.
const MAIN: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "3384897dd89702827775577bfa184ce739534e04" };

/// The commit of the model.
const MODEL: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "2e07a3585a4724e79594817315ce46972c55ec36" };

/// The commit of the reader.
const READER: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "b48251490dc0f8716bf6e5973e5cf1697356c7df" };

/// The commit of the settings that train SSv2-Full with five shots.
const TRAIN_5: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "42a2ae5b2e2c2ccdf539c7c5a6c3658fa540ee08" };

/// The commit of the settings that test SSv2-Full with five shots.
const TEST_5: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "41b33c51a292a8aa84ad62685c5928a35de8d58c" };

/// The commit of the settings that test Kinetics.
const TEST_K: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "44f27ed0be7fc53593c2cf18695c014a7ba74fb1" };

/// The commit of the settings that train UCF101 with five shots.
const TRAIN_U5: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "70c7c3247113c607f116b764a198ce5c856dec8d" };

/// The commit of the settings that test UCF101 with five shots.
const TEST_U5: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "ec4b443975e5544725f27ed9728725236575eef0" };

/// The commit of the settings that test UCF101 with one shot.
const TEST_U1: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "4551aa25b885fe95d7d0c12462ed1ea412f68e0c" };

/// The commit of the groups of parameters and their rates.
const RATES: Repository =
    Repository { name: "yaozhang0417/TS-FSAR", commit: "e24b34dbd79e5d3943d847453a3a7633a5aa55fc" };

/// Settings that train on SSv2-Full with five shots.
const TRAINING: &str = "configs/ssv2_full/Metatrain_5shot.yaml";

/// Settings of Kinetics.
const KINETICS: &str = "configs/kinetics100/Metatest_1shot.yaml";

/// Settings that test on SSv2-Full with five shots.
const TESTING: &str = "configs/ssv2_full/Metatest_5shot.yaml";

/// Settings that train on UCF101 with five shots.
const UCF_TRAINING: &str = "configs/ucf101/Metatrain_5shot.yaml";

/// Settings that test on UCF101 with five shots.
const UCF_TESTING: &str = "configs/ucf101/Metatest_5shot.yaml";

inventory::submit! {
    Method {
        name: "ts_fsar",
        title: "TS-FSAR",
        paper: "AAAI 2026. A side network reads the tokens of all blocks of a frozen CLIP; frames are distance covariances of its \
                patches, matched by a matrix of the episode; losses with texts and a divergence from CLIP's own logits.",
        code: &[CODE],
        slots: "prompt: {type: descriptions}\n\
                prototype: {type: ts_fsar, blocks: 12, width: 256, heads: 4, temporal: [6, 8, 10], alpha: 0.4}\n\
                alignment: {type: ts_dcm}\n\
                objective: {type: ts_fsar, vision_weight: 1, class_weight: 1, side_weight: 1, distillation_weight: 6}",
        recipes: &["methods/ts_fsar"],
        compared: &[
            Compared {
                what: "distance covariance, and its gradient",
                cases: &["ts_fsar.alpha_distance_covariance"],
                error: 0.31,
            },
            Compared {
                what: "a block of the side network, over tokens and over time, and its gradients",
                cases: &["ts_fsar.side_block_space", "ts_fsar.side_block_time"],
                error: 0.058,
            },
            Compared {
                what: "matching of frames, with one and three shots, and its gradients",
                cases: &["ts_fsar.ts_dcm_1shot", "ts_fsar.ts_dcm_3shot"],
                error: 0.11,
            },
            Compared {
                what: "everything behind the tower: losses and the gradients of all that is trained (dropout 0), prediction",
                cases: &["ts_fsar.train_1shot", "ts_fsar.train_2shot_kinetics", "ts_fsar.predict_1shot",
                    "ts_fsar.predict_5shot"],
                error: 0.34,
            },
        ],
        left_out: &[
            "The side network starts from the exact principal components of CLIP's blocks. There, large matrices get \
             components from a randomised algorithm, and an error in it leaves PyTorch's start in place.",
            "Numbers are in 32 bit. There, 16 bit in training, with a scaled loss.",
            "The exponents of the prediction differ by data set and number of shots there, and were chosen on test classes. The \
             recipes have them.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Test,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Random,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "The loader of the validation is built for `test`, and the best weights on it are kept as \
                     `model_best.pth`. On SSv2-Full that is 25 evaluations. The settings of the test load \
                     `best_checkpoint.pth`, which the code does not write.",
                    &[
                        MAIN.at("main.py", "main, train_epoch"),
                        READER.at("datasets/video_few_shot.py", "_get_dataset_list_name"),
                        TRAIN_5.at(TRAINING, "VAL_FRE_ITER"),
                        TEST_5.at(TESTING, "PRETRAIN_MODEL_PATH"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "SSv2-Full 50,000 tasks, elsewhere 10,000; one a step; five queries of each class; with the shots \
                     of the test.",
                    &[TRAIN_5.at(TRAINING, "TRAIN"), TEST_K.at(KINETICS, "TRAIN")],
                ),
                Statement::new(
                    About::Optimizer,
                    "AdamW, weight decay 0.1, cosine to 0; rates 5e-5 to 3e-4 for the matrix, the side network and \
                     the classifier; the attention over the frames of CLIP has the rate of the side network on SSv2 \
                     and half of it elsewhere; 16 bit in training.",
                    &[
                        TRAIN_5.at(TRAINING, "SOLVER"),
                        TRAIN_U5.at(UCF_TRAINING, "SOLVER"),
                        RATES.at("utils/optimizer.py", "construct_optimizer"),
                        MAIN.at("main.py", "main, train_epoch"),
                    ],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224; mirrored on HMDB51, UCF101 and Kinetics, supports and queries alike, \
                     but not on SSv2.",
                    &[
                        TRAIN_5.at(TRAINING, "DATA, AUGMENTATION"),
                        TEST_K.at(KINETICS, "RANDOM_FLIP"),
                        READER.at("datasets/video_few_shot.py", "_config_transform"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. Each number of shots has its settings and its training.",
                    &[TEST_5.at(TESTING, "TRAIN"), TEST_K.at(KINETICS, "TRAIN")],
                ),
                Statement::new(
                    About::TestFrames,
                    "One frame at random in each of eight equal parts of a clip, in the test as in training: \
                     SAMPLING_RATE is 50.",
                    &[
                        CODE.at("datasets/base_dataset.py", ""),
                        TEST_5.at(TESTING, "SAMPLING_RATE"),
                        TEST_K.at(KINETICS, "SAMPLING_RATE"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: the matching matrix of a query is made from the query and the supports.",
                    &[MODEL.at("trainers/ts_fsar.py", "TS_DCM.forward")],
                ),
                Statement::finding(
                    "The exponents that weigh the three parts of the prediction differ by data set and number of \
                     shots. Twice, with five shots, the settings of the test have other ones than those that chose \
                     the weights: on SSv2-Full .7, .05 and .25 for .8, .05 and .15, on UCF101 .4, .5 and .1 for .15, \
                     .8 and .05.",
                    None,
                    &[
                        TRAIN_5.at(TRAINING, "FUSE_VISION, FUSE_CLIP, FUSE_SIDE"),
                        TEST_5.at(TESTING, "FUSE_VISION, FUSE_CLIP, FUSE_SIDE"),
                        TRAIN_U5.at(UCF_TRAINING, "FUSE_VISION, FUSE_CLIP, FUSE_SIDE"),
                        TEST_U5.at(UCF_TESTING, "FUSE_VISION, FUSE_CLIP, FUSE_SIDE"),
                    ],
                ),
                Statement::finding(
                    "The settings that test UCF101 with one shot load the weights that were trained with five.",
                    None,
                    &[TEST_U1.at("configs/ucf101/Metatest_1shot.yaml", "PRETRAIN_MODEL_PATH")],
                ),
                Statement::finding(
                    "The key LOGITS_T is in the settings and read nowhere; the temperature of the divergence is KD_T.",
                    None,
                    &[TRAIN_5.at(TRAINING, "LOGITS_T, KD_T"), MODEL.at("trainers/ts_fsar.py", "TS_FSAR.__init__")],
                ),
                Statement::finding(
                    "Where the start from CLIP's weights fails, the error is swallowed and the random start stays.",
                    None,
                    &[CODE.at("trainers/model.py", "")],
                ),
            ],
        }),
    }
}
