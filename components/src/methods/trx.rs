//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository = Repository { name: "tobyperrett/trx", commit: "390c20aa8ed7e309ae4949464fdcf015c4009329" };

/// A later repository of the same author.
const FSAR: Repository =
    Repository { name: "tobyperrett/few-shot-action-recognition", commit: "3687f3a972b496d5010f879a4b0dce7c1ac408ea" };

/// The commit of the training loop and the reader that were read.
const READ: Repository = Repository { name: "tobyperrett/trx", commit: "8e717b49b0cdbcc372264f4acd3c94fef52a9d7a" };

/// The commit of the text that was read.
const README: Repository = Repository { name: "tobyperrett/trx", commit: "135539f12f6be6e57a1f1c96c6a832837edd382e" };

inventory::submit! {
    Method {
        name: "trx",
        title: "TRX",
        paper: "Perrett et al., CVPR 2021. Ordered tuples of a query's frames attend to those of all shots of a class.",
        code: &[CODE, FSAR],
        slots: "backbone: {type: resnet, architecture: resnet50, pixels: raw}\n\
                adapter: {type: full}\n\
                alignment: {type: trx, cardinalities: [2, 3], width: 1152, position_scale: 0.1, shots: joint}\n\
                objective: {type: metric}",
        recipes: &["methods/trx"],
        compared: &[
            Compared {
                what: "distances and gradients, tuples of two and of two and three. The largest error is in a gradient that is \
                       zero but for rounding: the bias of the values cancels",
                cases: &["trx_2_3", "trx_fsar_2"],
                error: 0.96,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["trx_8"],
                error: 0.0,
            },
            Compared {
                what: "pictures: resize and crop (within one grey level)",
                cases: &["trx_short_side_40x57"],
                error: 1.0,
            },
        ],
        left_out: &[
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Frames come from the clip. There, they were stored as JPEG.",
            "Dropout masks are drawn from other random numbers; the rate is 0.1, as there.",
            "The number of tasks is not in the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Fixed,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "The weights at the iterations of `--test_iters` are tested, by default at 75,000 for SSv2-Full; \
                     the last are saved too. There are lists for training and test; for val classes one writes \
                     another pair.",
                    &[
                        READ.at("run.py", "Learner.run, Learner.parse_command_line"),
                        README.at("README.md", "Use with our framework"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "16 tasks a step; five queries of each class; five shots by default.",
                    &[READ.at("run.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3, on the sum over queries.",
                    &[READ.at("run.py", "Learner.__init__"), CODE.at("utils.py", "loss")],
                ),
                Statement::new(
                    About::Frames,
                    "8; short side 256, crop of 224; mirrored, on SSv2 too.",
                    &[READ.at("video_reader.py", "VideoDataset.setup_transforms")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. One option, `--shot`, holds for training and test.",
                    &[
                        READ.at("run.py", "Learner.parse_command_line"),
                        READ.at("video_reader.py", "VideoDataset.__getitem__"),
                    ],
                ),
                Statement::new(
                    About::TestFrames,
                    "Eight frames at equal distances, from the second to the last but one.",
                    &[READ.at("video_reader.py", "VideoDataset.get_seq")],
                ),
                Statement::new(
                    About::Transduction,
                    "No: each query meets the supports alone.",
                    &[CODE.at("model.py", "TemporalCrossTransformer")],
                ),
                Statement::finding(
                    "The loss is the sum over the queries of a task, not the mean.",
                    Some("with 25 queries a step is 25 times that of a mean (computed)"),
                    &[CODE.at("utils.py", "loss")],
                ),
                Statement::finding(
                    "The layer norm of the values is built and never used.",
                    Some("2,304 parameters for each cardinality (computed)"),
                    &[CODE.at("model.py", "TemporalCrossTransformer")],
                ),
                Statement::finding(
                    "Videos of fewer than eight frames are left out without a word.",
                    None,
                    &[READ.at("video_reader.py", "VideoDataset.read_dir")],
                ),
            ],
        }),
    }
}
