//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository = Repository { name: "Anirudh257/strm", commit: "54368fe94ac76d495f018b28a0d8d19dcdc23504" };

/// The commit of the scripts and the first code.
const READ: Repository = Repository { name: "Anirudh257/strm", commit: "134bf78b36c74ea675e236f612008f43f4c37dfe" };

inventory::submit! {
    Method {
        name: "strm",
        title: "STRM",
        paper: "Thatipelli et al., CVPR 2022. Attention among the patches of a frame and a mixer over the frames of a \
                clip; TRX's cross-attention between pairs of frames, and the distance of each pair to the nearest pair of \
                a class.",
        code: &[CODE],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: full}\n\
                prototype: {type: strm, patches: 4}\n\
                alignment: {type: strm, alignment: {type: trx, cardinalities: [2], width: 1152}}\n\
                objective: {type: weighted_distances, weights: {frames: 1, patches: 0.1}}",
        recipes: &["methods/strm"],
        compared: &[
            Compared {
                what: "patch and frame enrichment, and their gradients",
                cases: &["strm.patch_enrichment", "strm.frame_enrichment"],
                error: 0.021,
            },
            Compared {
                what: "the similarity of pairs and of triples, and its gradients",
                cases: &["strm.similarity_pairs", "strm.similarity_triples_1shot"],
                error: 0.023,
            },
            Compared {
                what: "the head from maps: tokens, frames, both distances, loss, gradients",
                cases: &["strm.head_5shot_pairs", "strm.head_1shot_published_pool", "strm.head_pairs_and_triples"],
                error: 0.23,
            },
        ],
        left_out: &[
            "The projection of the similarity is trained, as the paper says. In the public code it is in no list of \
             parameters and keeps its random start; `as_published: true` does so.",
            "In the public code the dropout of the similarity stays on in the test, so its predictions are random. \
             Here it is off.",
            "A layer norm of TRX's values is in the public code and never used: 2,304 parameters for each cardinality. It \
             is here with `unused_norm: true` alone.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
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
                    "The weights at the iterations of `--test_iters` are tested: 75,000 on SSv2, 10,000 elsewhere. \
                     There is no val list.",
                    &[
                        READ.at("run.py", "Learner.run"),
                        READ.at("scripts/run_strm_ssv2.sh", "--test_iters"),
                        READ.at("scripts/run_strm_hmdb.sh", "--test_iters"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "16 tasks a step; 75,010 tasks on SSv2 and 20,010 elsewhere, of which the weights that are tested \
                     have seen 75,000 and 10,000; four queries of each class (Kinetics five); five shots.",
                    &[READ.at("scripts/run_strm_ssv2.sh", ""), READ.at("scripts/run_strm_kin.sh", "")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3 on SSv2 and 1e-4 elsewhere, on the sum over queries.",
                    &[
                        READ.at("run.py", "Learner.__init__"),
                        READ.at("scripts/run_strm_ssv2.sh", "-lr"),
                        READ.at("scripts/run_strm_hmdb.sh", "-lr"),
                    ],
                ),
                Statement::new(
                    About::Frames,
                    "8; short side 256, crop of 224; mirrored, on SSv2 too; pixels from 0 to 1.",
                    &[READ.at("video_reader.py", "VideoDataset.setup_transforms")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. One option, `--shot`, holds for training and test.",
                    &[READ.at("run.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::TestFrames,
                    "Eight frames at equal distances, from the second to the last but one.",
                    &[READ.at("video_reader.py", "VideoDataset.get_seq")],
                ),
                Statement::new(
                    About::Transduction,
                    "No: each query meets the supports alone. Its prediction is random all the same: see the \
                     findings.",
                    &[READ.at("model.py", "CNN_STRM.forward")],
                ),
                Statement::finding(
                    "The modules of the similarity are kept in a plain list. Their projection is in no list of \
                     parameters: it keeps its random start and is not in the checkpoint.",
                    Some("4,195,328 parameters for pairs that are not trained (computed); trained both ways, accuracy differs \
                     by 0.0 ± 0.5 points (measured)"),
                    &[READ.at("model.py", "CNN_STRM.__init__")],
                ),
                Statement::finding(
                    "`eval()` does not reach that list either, so the dropout of the similarity stays on in the test.",
                    Some("two passes over the same clips: the first logits are equal, the second differ by more than their \
                     own size, with random weights (measured)"),
                    &[READ.at("model.py", "CNN_STRM.__init__, DistanceLoss"), READ.at("run.py", "Learner.test")],
                ),
                Statement::finding(
                    "The loss is the sum over the queries of a task, not the mean.",
                    Some("with 20 queries a step is 20 times that of a mean (computed)"),
                    &[CODE.at("utils.py", "loss")],
                ),
                Statement::finding(
                    "The script of Kinetics names the data set `kinetics_cmn`, which the command line does not take.",
                    None,
                    &[
                        READ.at("scripts/run_strm_kin.sh", "--dataset"),
                        READ.at("run.py", "Learner.parse_command_line"),
                    ],
                ),
                Statement::finding(
                    "The layer norm of the values is built and never used.",
                    Some("2,304 parameters for each cardinality (computed)"),
                    &[READ.at("model.py", "TemporalCrossTransformer")],
                ),
            ],
        }),
    }
}
