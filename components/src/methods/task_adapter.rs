//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "bedman367/Task-Adapter", commit: "178b21a7c6527a5e6ff4a28f0473419c0e9c133b" };

/// The code of Task-Adapter++, which has its visual part too.
const PLUS_PLUS: Repository =
    Repository { name: "Jaulin-Bage/Task-Adapter-pp", commit: "3a29783a443250a17f990149bd0c0e61984f2ccb" };

/// The commit of the commands.
const README: Repository =
    Repository { name: "bedman367/Task-Adapter", commit: "04d755d091df61fd3a6b7a94bbc41edc5cf9548c" };

inventory::submit! {
    Method {
        name: "task_adapter",
        title: "Task-Adapter",
        paper: "Cao et al., ACM MM 2024. Adapters, and attention across the clips of an episode, in the last blocks of a frozen \
                CLIP; the score is the product of a visual cosine and a text cosine. Transductive: a clip sees the other queries.",
        code: &[CODE, PLUS_PLUS],
        slots: "adapter: {type: task_adapter, ratio: 0.25, at: {last: 6}, scale: 1, across: branch}\n\
                alignment: {type: mean_cosine, shots: mean_features, cosine: normalized}\n\
                objective: {type: product, scale: 64}",
        recipes: &["methods/task_adapter"],
        compared: &[
            Compared {
                what: "tower on supports and queries, and its gradients",
                cases: &["task_adapter_last2"],
                error: 0.05,
            },
            Compared {
                what: "frames that are taken from a clip, in training and in the test",
                cases: &["segments_task_adapter", "segments_task_adapter_training"],
                error: 0.0,
            },
        ],
        left_out: &[
            "All frames of a clip have the same crop in training. There, each frame has its own.",
            "All clips of a branch see each other. There, with two GPUs, a clip sees those on the same GPU.",
            "The product score was compared with a case computed by hand, not with the public code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Validation,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::Queries,
            transduction_here: Transduction::Queries,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "The best weights on 1,000 tasks of `val.txt`, looked at after every epoch, are tested.",
                    &[CODE.at("run.py", "train, main"), CODE.at("utils.py", "parse_args")],
                ),
                Statement::new(
                    About::Training,
                    "2,000 tasks on Kinetics, HMDB51 and UCF101, 20,000 on SSv2-Small, 50,000 on SSv2-Full; one a \
                     step; one query of each class; with the shots of the test.",
                    &[README.at("README.md", "Running Example"), CODE.at("utils.py", "parse_args")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3.",
                    &[CODE.at("run.py", "train"), CODE.at("utils.py", "parse_args")],
                ),
                Statement::new(
                    About::Frames,
                    "8; square of 257, crop of 224, drawn anew for each frame.",
                    &[CODE.at("dataset.py", "TransformLoader, SubVideoDataset.__getitem__")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class.",
                    &[CODE.at("utils.py", "parse_args"), CODE.at("run.py", "test")],
                ),
                Statement::new(
                    About::TestFrames,
                    "The middle of each of eight equal parts.",
                    &[CODE.at("dataset.py", "SubVideoDataset.__getitem__")],
                ),
                Statement::new(
                    About::Transduction,
                    "Yes: all queries of an episode go through the tower in one call, in which the clips attend to \
                     each other. There is one query of each class, so the call has every class once.",
                    &[CODE.at("models.py", "TaskAdapter.forward"), CODE.at("module_adapter.py", "")],
                ),
                Statement::finding(
                    "With several GPUs the clips of a call are divided among them, and a clip sees those on its own \
                     GPU: the result depends on the number of GPUs. The default is two.",
                    None,
                    &[CODE.at("models.py", "MetaTemplate.distribute_backbone"), CODE.at("utils.py", "parse_args")],
                ),
                Statement::finding(
                    "One list of class texts serves both benchmarks of SSv2. It has the 100 classes of SSv2-Small, \
                     and is read for SSv2-Full too, which has other classes.",
                    None,
                    &[
                        CODE.at("models.py", "TaskAdapter.__init__"),
                        CODE.at("utils.py", "smsm_cls"),
                        CODE.at("tools/annotations_smsm_otam.py", ""),
                    ],
                ),
            ],
        }),
    }
}
