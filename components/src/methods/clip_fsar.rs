//! The registration of the method: see the fields of [`Method`].

use super::findings;
use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "alibaba-mmai-research/CLIP-FSAR", commit: "30cf0a8cf5287a56a9f37bfceb28e82be776fc5d" };

/// The commit before, which holds the settings and the training loop.
const READ: Repository =
    Repository { name: "alibaba-mmai-research/CLIP-FSAR", commit: "460aee453a6776cc4ff468e9285bfeaa172f25eb" };

/// Settings of SSv2-Small.
const SSV2_SMALL: &str = "configs/projects/CLIPFSAR/ssv2_small/CLIPFSAR_SSv2_Small_5shot_v1.yaml";

inventory::submit! {
    Method {
        name: "clip_fsar",
        title: "CLIP-FSAR",
        paper: "Wang et al., IJCV 2023. A fine-tuned CLIP; the class text joins the support frames in a transformer layer; OTAM; \
                a loss over the texts of all training classes.",
        code: &[CODE],
        slots: "adapter: {type: full}\n\
                prototype: {type: clip_fsar, heads: 8, hidden: 2048}\n\
                alignment: {type: otam, lambda: 0.5, shots: mean_features, cosine: plus_epsilon}\n\
                objective: {type: clip_fsar, text_exponent: 0.0, text_scale: 1.0}",
        recipes: &["methods/clip_fsar"],
        compared: &[
            Compared {
                what: "head in training: distances, losses, gradients (dropout 0)",
                cases: &["clip_fsar_train_1shot", "clip_fsar_train_merge_before", "clip_fsar_train_merge_after",
                    "clip_fsar_train_small_norms"],
                error: 0.11,
            },
            Compared {
                what: "prediction by the metric, and combined with the text",
                cases: &["clip_fsar_combine", "clip_fsar_metric"],
                error: 0.0075,
            },
            Compared {
                what: "its OTAM, λ 0.5 and λ 0.1",
                cases: &["otam_clipfsar_base", "otam_matrix_clipfsar_v2"],
                error: 0.056,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["interval_kinetics", "interval_backwards_short_clips", "segments_ssv2"],
                error: 0.0,
            },
            Compared {
                what: "pictures: resize, crop, normalisation (within half a grey level)",
                cases: &["clip_fsar_square_30x44"],
                error: 0.51,
            },
            Compared { what: "changes of colours", cases: &["color_changes"], error: 0.04 },
        ],
        left_out: &[
            "Batch norms of CLIP's ResNet keep the statistics of the checkpoint. There, each training batch has its own.",
            "All tensors have weight decay. There, most norms have none.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
            "Released settings are for RN50 alone.",
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
                     classes: on SSv2-Small 30 times. The reader knows the lists `train` and `test`; `val` is never \
                     read. The code does not say which of the saved weights are reported.",
                    &[
                        READ.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        CODE.at("datasets/base/ssv2_few_shot.py", "_get_dataset_list_name"),
                        READ.at(SSV2_SMALL, "VAL_FRE_ITER"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of one GPU of four: Kinetics and HMDB51 5,000, UCF101 3,000, SSv2 30,000; 16 tasks a step; \
                     five queries of each class; one shot whatever the test has.",
                    &[READ.at(SSV2_SMALL, "TRAIN; the other data sets are beside it")],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay; rates 2e-6 to 5e-5; warm-up, then factors 0.1 and 0.01.",
                    &[READ.at(SSV2_SMALL, "SOLVER")],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224; queries of Kinetics mirrored and with other colours.",
                    &[
                        READ.at(SSV2_SMALL, "DATA"),
                        READ.at("configs/projects/CLIPFSAR/kinetics100/CLIPFSAR_K100_1shot_v1.yaml", "AUGMENTATION"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. The settings for five shots train with one (SHOT: 1, \
                     SHOT_TEST: 5).",
                    &[READ.at(SSV2_SMALL, "TRAIN")],
                ),
                Statement::new(
                    About::TestFrames,
                    "One frame at random in each of eight equal parts of a clip, in the test as in training, where \
                     SAMPLING_RATE is above 40. It is 50 on SSv2, HMDB51 and UCF101. On Kinetics it is 35: eight \
                     frames at equal distances.",
                    &[
                        READ.at("datasets/base/base_dataset.py", "_interval_based_sampling"),
                        READ.at(SSV2_SMALL, "SAMPLING_RATE"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: a query meets the supports alone.",
                    &[READ.at("models/base/few_shot.py", "CNN_OTAM_CLIPFSAR")],
                ),
                findings::early_rate(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
                findings::dropped_gradients(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
                Statement::finding(
                    "The λ of OTAM is 0.5 in this head, and 0.1 in the head called CNN_OTAM of the same file.",
                    None,
                    &[READ.at("models/base/few_shot.py", "OTAM_cum_dist_v2")],
                ),
            ],
        }),
    }
}
