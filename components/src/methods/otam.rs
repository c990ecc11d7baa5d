//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// Public code, not by the authors.
const CODE: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "3687f3a972b496d5010f879a4b0dce7c1ac408ea" };

/// The commit of the training loop.
const RUN: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "528349f539ec4a6a4ee232691228a4d06a82461e" };

/// The commit of the example commands.
const EXAMPLES: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "b6011beedf6fa3a0d74bdcfe87ef1a6d0e1d9502" };

/// The commit of the reader.
const READER: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "0b5b5b88a34e821ca9e445206f4e7aa9ef1370b6" };

/// The commit of the script that stores frames.
const STORED: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "2772d58e491ed48aaf2f94aef27932f135b2d194" };

inventory::submit! {
    Method {
        name: "otam",
        title: "OTAM",
        paper: "Cao et al., CVPR 2020. Frames of query and support are aligned in order, by a soft minimum over paths. The \
                authors' code is not public.",
        code: &[CODE],
        slots: "backbone: {type: resnet, architecture: resnet50, pixels: raw}\n\
                adapter: {type: full}\n\
                alignment: {type: otam, lambda: 0.1, shots: mean_distances, cosine: plus_epsilon}\n\
                objective: {type: metric}",
        recipes: &["methods/otam/ssv2_full_5w1s", "methods/otam"],
        compared: &[
            Compared {
                what: "distances of episodes and their gradients, one shot and three",
                cases: &["otam_fsar_1shot", "otam_fsar_3shot"],
                error: 0.035,
            },
            Compared {
                what: "alignment of cost matrices, square and not",
                cases: &["otam_matrix_fsar", "otam_matrix_fsar_uneven"],
                error: 0.062,
            },
            Compared {
                what: "the baseline TSN of that code: cosine, and squared distance",
                cases: &["tsn_fsar_cosine", "tsn_fsar_squared"],
                error: 0.0075,
            },
            Compared { what: "frames that are taken from a clip", cases: &["linspace_fsar"], error: 0.0 },
        ],
        left_out: &[
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Frames come from the clip. There, they were stored as JPEG.",
        ],
        protocol: Some(Protocol {
            selection: Selection::ValidationOrLast,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "With `--val_iters`, the best weights on 1,000 tasks of val classes are tested. Its default is no \
                     iteration; then the last weights are tested.",
                    &[RUN.at("run.py", "Learner.run, Learner.parse_command_line")],
                ),
                Statement::new(
                    About::Training,
                    "50,000 tasks, one a step; five queries of each class; with the shots of the test.",
                    &[EXAMPLES.at("scripts/examples.md", ""), RUN.at("run.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3.",
                    &[RUN.at("run.py", "Learner.__init__")],
                ),
                Statement::new(
                    About::Frames,
                    "8; stored as squares of 256, crop of 224; mirrored, on SSv2 too.",
                    &[
                        READER.at("video_reader.py", "VideoDataset.setup_transforms"),
                        STORED.at("scripts/extract_ssv2.py", ""),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. One option, `--shot`, holds for training and test.",
                    &[RUN.at("run.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::TestFrames,
                    "Eight frames at equal distances, from the first to the last.",
                    &[READER.at("video_reader.py", "VideoDataset.load_and_transform_paths")],
                ),
                Statement::new(
                    About::Transduction,
                    "No: each query is aligned with the supports alone.",
                    &[CODE.at("model.py", "CNN_OTAM")],
                ),
                Statement::finding(
                    "The first row of the alignment is a plain sum. The paper takes the soft minimum there too; a \
                     comment in the code says that training is faster so.",
                    None,
                    &[CODE.at("model.py", "OTAM_cum_dist")],
                ),
            ],
        }),
    }
}
