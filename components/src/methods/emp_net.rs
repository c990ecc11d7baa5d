//! The registration of the method: see the fields of [`Method`].

use super::findings;
use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository = Repository { name: "cong-wu/EMP-Net", commit: "b4dc006edcd2f1bc356e8c6869fdfbb6ec654435" };

/// The commit of the training loop.
const READ: Repository = Repository { name: "cong-wu/EMP-Net", commit: "55e8db0828def0e258ae52d2f178910f2ebab832" };

/// The commit of the model.
const MODEL: Repository = Repository { name: "cong-wu/EMP-Net", commit: "7508c2936b98333c467550f588e3bfa9c4721d32" };

/// The commit of the settings.
const SETTINGS: Repository = Repository { name: "cong-wu/EMP-Net", commit: "3dfd2e76485846d60854c39108f4bdaf47099b47" };

/// The repository of CLIP-FSAR, whose code base it is, for the reader.
const READER: Repository =
    Repository { name: "alibaba-mmai-research/CLIP-FSAR", commit: "30cf0a8cf5287a56a9f37bfceb28e82be776fc5d" };

/// Settings of Kinetics.
const KINETICS: &str = "configs/projects/EMP_Net/kinetics100/EMP_Net_K100_1shot_v1.yaml";

/// Settings of SSv2-Small.
const SSV2_SMALL: &str = "configs/projects/EMP_Net/ssv2_small/EMP_Net_SSv2_Small_5shot_v1.yaml";

inventory::submit! {
    Method {
        name: "emp_net",
        title: "EMP-Net",
        paper: "Wu et al., ECCV 2024. Tokens of three blocks of a frozen CLIP are compared at three levels, patches, frames and class \
                tokens, by OTAM and by the class text; the prediction is the mean of six probabilities.",
        code: &[CODE],
        slots: "prompt: {type: action_clip, average: features}\n\
                prototype: {type: emp_net, after: [4, 8, 12], heads: 4}\n\
                alignment: {type: emp_net, lambda: 0.5}\n\
                objective: {type: emp_net, patches: 49, frames: 2}",
        recipes: &["methods/emp_net"],
        compared: &[
            Compared {
                what: "everything behind the tower in training: six probabilities, prediction, loss, gradients (dropout 0)",
                cases: &["emp_net.train_1shot"],
                error: 0.13,
            },
            Compared {
                what: "the same in the test, with one and two shots and the mean of two sentences; the lookup of texts as published",
                cases: &["emp_net.eval_1shot_templates", "emp_net.eval_2shot_merge_before",
                    "emp_net.eval_2shot_shuffled_published_lookup"],
                error: 0.034,
            },
        ],
        left_out: &[
            "There, the text of a class is looked up among the first five supports of a shuffled episode, so that with five shots \
             1.46 of five classes are compared with the text of class 0. Here that is the option `as_published`, which is off; \
             there every episode is shuffled anew, and here all are shuffled in one way.",
            "In training, one of 16 sentences is drawn for each task there. Here it is their mean, as in the test.",
            "No clip is mirrored or gets other colours. There, the settings ask for both, for support clips alone.",
            "All tensors have weight decay. There, most norms have none.",
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::TestLogged,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Random,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "Every VAL_FRE_ITER tasks the weights are saved and evaluated on 10,000 episodes of the test \
                     classes: on Kinetics ten times. The code does not say which of the saved weights are reported.",
                    &[
                        READ.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        SETTINGS.at(KINETICS, "VAL_FRE_ITER"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of one GPU of two: SSv2-Full 40,000, SSv2-Small 10,000, elsewhere 5,000; 8 tasks a step; \
                     five queries of each class; with the shots of the test.",
                    &[CODE.at(SSV2_SMALL, "TRAIN; the other data sets are beside it")],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay 5e-5; rate 1e-3 on SSv2, 1e-4 elsewhere; warm-up, then factors \
                     0.1 and 0.01.",
                    &[CODE.at(SSV2_SMALL, "SOLVER; the other data sets are beside it")],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224. The settings have SUPPORT_QUERY_DIFF_SUPPORT, with which CLIP-FSAR's \
                     reader mirrors supports and changes their colours, and not those of queries.",
                    &[
                        SETTINGS.at(KINETICS, "DATA, AUGMENTATION"),
                        READER.at("datasets/base/ssv2_few_shot.py", "Ssv2_few_shot.__getitem__"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class. Each number of shots has its settings and its training.",
                    &[SETTINGS.at(KINETICS, "TRAIN"), SETTINGS.at(SSV2_SMALL, "TRAIN")],
                ),
                Statement::new(
                    About::TestFrames,
                    "One frame at random in each of eight equal parts of a clip, in the test as in training, where \
                     SAMPLING_RATE is above 40. It is 50 in all settings.",
                    &[
                        MODEL.at("datasets/base/base_dataset.py", "_interval_based_sampling"),
                        SETTINGS.at(KINETICS, "SAMPLING_RATE"),
                        SETTINGS.at(SSV2_SMALL, "SAMPLING_RATE"),
                    ],
                ),
                Statement::new(
                    About::Transduction,
                    "No: a query meets the supports and the class texts alone.",
                    &[MODEL.at("models/base/few_shot.py", "forward of the head EMP_Net")],
                ),
                Statement::finding(
                    "The text of each class is looked up among the first five supports of an episode, which is \
                     shuffled. Where a class is not among them, it is compared with the text of class 0, in training \
                     and in the test.",
                    Some("with five shots, 1.46 of five classes on average; all five right in 5.9 % of the episodes \
                     (computed); trained both ways with five shots, accuracy is 1.5 ± 0.6 points lower with the fault, \
                     by seed 3.6, 0.5 and 0.3 (measured)"),
                    &[MODEL.at("models/base/few_shot.py", "forward of the head EMP_Net")],
                ),
                Statement::finding(
                    "The cross-entropy takes probabilities: the softmax is computed twice.",
                    None,
                    &[
                        MODEL.at("models/base/few_shot.py", "forward of the head EMP_Net"),
                        READ.at("runs/train_net_few_shot.py", "train_epoch"),
                    ],
                ),
                Statement::finding(
                    "The number of classes of an episode is fixed in the code: five.",
                    None,
                    &[MODEL.at("models/base/few_shot.py", "forward of the head EMP_Net")],
                ),
                Statement::finding(
                    "The settings give the weight decay in SOLVER, 5e-5. The optimizer reads it in OPTIMIZER.",
                    None,
                    &[MODEL.at("models/utils/optimizer.py", "construct_optimizer"), SETTINGS.at(KINETICS, "SOLVER")],
                ),
                findings::early_rate(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
                findings::dropped_gradients(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
            ],
        }),
    }
}
