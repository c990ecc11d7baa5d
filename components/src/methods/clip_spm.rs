//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code, as it was read.
const CODE: Repository = Repository { name: "hnlxy/CLIP-SPM", commit: "63f436152a67ad87a39d667a25032ebece3589cf" };

inventory::submit! {
    Method {
        name: "clip_spm",
        title: "CLIP-SPM",
        paper: "2025 (hnlxy/CLIP-SPM). A token of text guides the frames of each clip, the clips of an episode attend to \
                each other, and the motion of a clip is predicted twice.",
        code: &[CODE],
        slots: "adapter: {type: full}\n\
                prototype: {type: clip_spm, heads: 8, head_width: 256, hidden: 2048}\n\
                alignment: {type: clip_spm, semantic: 0.5}\n\
                objective: {type: motion_consistency, objective: {type: metric}, weight: 0.0008}",
        recipes: &["methods/clip_spm"],
        compared: &[
            Compared {
                what: "the head as published: distances, loss on motion, gradients",
                cases: &["clip_spm.train_1shot", "clip_spm.train_2shot_ucf"],
                error: 0.095,
            },
            Compared {
                what: "the same with another number of queries of each class, which enters through the mean of their texts",
                cases: &["clip_spm.eval_unbalanced"],
                error: 0.034,
            },
        ],
        left_out: &[
            "By default a prediction does not depend on the other queries of its episode. In the public code it does; \
             `as_published: true` does so, and the compared cases are of this form.",
            "By default the factor of the motion stays 1. There it is trained and can only fall.",
            "The mean text there is that of all clips' true classes, queries included. With as many queries of each \
             class it is the mean over the classes, as here.",
            "Losses on text and on consistency are in the paper. The public code computes them and leaves them out of \
             its sum.",
            "A scalar that the public code never uses is held with `objective.as_published` alone.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own from the first \
             evaluation on, after 1,000 tasks.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Test,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::Queries,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "While it trains, the reader takes the list `test` where `val` is asked for. Every VAL_FREQ tasks \
                     the weights are tested on it, the best are kept as `checkpoint_best.pt`, and the settings test \
                     these. On SSv2-Full that is 100 evaluations.",
                    &[
                        CODE.at("video_reader.py", "VideoDataset.read_dir"),
                        CODE.at("run/main_run.py", "Learner.run"),
                        CODE.at("configs/clipspm/ssv2_otam.yaml", "VAL_FREQ, TEST_MODEL_PATH"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "16 tasks a step: SSv2 100,000, others 20,000; four queries of each class; five shots, on \
                     SSv2-Small one.",
                    &[
                        CODE.at("configs/clipspm/ssv2_otam.yaml", "TRAIN; the other data sets are beside it"),
                        CODE.at("configs/clipspm/ssv2_cmn.yaml", "TRAIN"),
                    ],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with betas 0.5 and 0.999; rate 1e-5 and weight decay 5e-5 (SSv2-Full 1.6e-5 and 9.7e-4).",
                    &[
                        CODE.at("run/main_run.py", "Learner.__init__"),
                        CODE.at("configs/clipspm/ssv2_otam.yaml", "SOLVER"),
                    ],
                ),
                Statement::new(
                    About::Frames,
                    "8; short side 256, crop of 224; mirrored, but not on SSv2; pixels from 0 to 1, without CLIP's \
                     mean and standard deviation.",
                    &[
                        CODE.at("video_reader.py", "VideoDataset.setup_transforms, VideoDataset.get_seq"),
                        CODE.at("models/model_clipspm.py", "CNN.get_feats"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. One setting, SHOT, holds for training and test.",
                    &[
                        CODE.at("configs/clipspm/ssv2_otam.yaml", "TEST"),
                        CODE.at("video_reader.py", "VideoDataset.__getitem__"),
                    ],
                ),
                Statement::new(
                    About::TestFrames,
                    "Eight frames at equal distances, from the second to the last but one.",
                    &[CODE.at("video_reader.py", "VideoDataset.get_seq")],
                ),
                Statement::new(
                    About::Transduction,
                    "Yes: the tokens of the classes are means over the supports and over all queries of the episode.",
                    &[CODE.at("models/model_clipspm.py", "CNN.taskM")],
                ),
                Statement::finding(
                    "The mean text that enters the logits is that of the true classes of all clips, queries included.",
                    Some("none where each class has as many queries, as in its test; with other numbers of queries the \
                     logits change (both measured)"),
                    &[CODE.at("models/model_clipspm.py", "CNN.sem, CNN.forward")],
                ),
                Statement::finding(
                    "The losses on text and on consistency are computed and left out of the sum: both are set to 0.",
                    None,
                    &[CODE.at("models/model_clipspm.py", "CNN.cpt_sem")],
                ),
                Statement::finding(
                    "Widths of the gates, their slope and the factor of the text are not in the settings of a data \
                     set. They are lines of the script that starts a run, of which the one of HMDB51 and SSv2-Small \
                     is active; the others are comments.",
                    None,
                    &[CODE.at("run/run.py", "main")],
                ),
                Statement::finding(
                    "The factor of the motion loss, `mo_alpha1`, is trained. The loss it multiplies is never \
                     negative, so training can only lower it.",
                    Some("about one learning rate less in each step (computed); trained both ways, together with the mean \
                     text above, accuracy is 0.4 ± 0.6 points higher with the fault (measured)"),
                    &[CODE.at("models/model_clipspm.py", "CNN.forward")],
                ),
                Statement::finding(
                    "The class loss is a sum over the queries, divided by the number of tasks of a step.",
                    Some("with 20 queries a step is 20 times that of a mean; Adam divides the scale out (computed)"),
                    &[CODE.at("run/main_run.py", "Learner._loss_and_acc")],
                ),
            ],
        }),
    }
}
