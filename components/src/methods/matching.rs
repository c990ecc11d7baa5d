//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "jbertrand89/matching_based_fsar", commit: "03e4e405ff94ec24aec89e11951ccb4e8da485a4" };

/// The commit of the training loop that was read.
const READ: Repository =
    Repository { name: "jbertrand89/matching_based_fsar", commit: "052ce258c52147f6d65217ff3ac143b624203d7f" };

inventory::submit! {
    Method {
        name: "matching",
        title: "Matching functions",
        paper: "Bertrand et al., Rethinking matching-based few-shot action recognition, SCIA 2023. Functions from the \
                similarities of frames to a similarity of clips, Chamfer++ among them.",
        code: &[CODE],
        slots: "alignment: {type: chamfer, side: both, shots: joint, cosine: plus_epsilon}",
        recipes: &[],
        compared: &[
            Compared {
                what: "mean, max, Chamfer and Chamfer++ on episodes, and their gradients",
                cases: &["mean", "max", "chamfer", "chamfer_pp"],
                error: 0.074,
            },
            Compared {
                what: "diagonal and linear on cost matrices (independent implementation in PyTorch, float64)",
                cases: &["metrics.t8x5.diagonal", "metrics.t8x5.linear"],
                error: 0.0095,
            },
        ],
        left_out: &["Its backbones, its feature projection and its clips instead of frames are not here: the functions are."],
        protocol: Some(Protocol {
            selection: Selection::Validation,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "The best weights on 1,000 tasks of val classes, looked at every 10,000 tasks on SSv2 and every \
                     1,000 elsewhere.",
                    &[READ.at("run_matching.py", "Learner.run")],
                ),
                Statement::new(
                    About::Training,
                    "150,002 tasks on SSv2, 20,002 elsewhere; 16 tasks a step; five queries of each class; with the \
                     shots of the test.",
                    &[READ.at("run_matching.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3; gradients clipped at a norm of 1,000.",
                    &[READ.at("run_matching.py", "Learner.parse_command_line, Learner.run")],
                ),
                Statement::new(
                    About::Frames,
                    "Features of R(2+1)D, computed before.",
                    &[READ.at("run_matching.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class.",
                    &[READ.at("run_matching.py", "Learner.parse_command_line")],
                ),
                Statement::new(
                    About::TestFrames,
                    "The same for every method: test episodes can be saved with their features and read again.",
                    &[
                        READ.at("run_matching.py", "Learner.compute_accuracies_from_loaded_episodes"),
                        CODE.at("src/evaluation/test_episode_io.py", "save_episode, load_episode"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: each query is matched with the supports alone.",
                    &[CODE.at("src/few_shot_models/matching_based_few_shot_model.py", "")],
                ),
            ],
        }),
    }
}
