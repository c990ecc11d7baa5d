//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code that was read: that of CLIP-SPM, which has a form of it.
const CODE: Repository = Repository { name: "hnlxy/CLIP-SPM", commit: "63f436152a67ad87a39d667a25032ebece3589cf" };

inventory::submit! {
    Method {
        name: "soap",
        title: "SOAP",
        paper: "Huang et al., ACM MM 2024. Three gates on the pixels of a clip before the backbone: in space and time, on \
                colours, and on motion; then TRX.",
        code: &[CODE],
        slots: "backbone: {type: resnet, architecture: resnet50}\n\
                adapter: {type: soap, spans: [1, 2, 3], reduced: 16, tower: trained}\n\
                alignment: {type: trx, cardinalities: [2, 3], width: 1152, position_scale: 0.1, shots: joint}\n\
                objective: {type: metric}",
        recipes: &["methods/soap/ssv2_full_5w1s", "methods/soap"],
        compared: &[
            Compared {
                what: "the gates on pixels, and their gradients",
                cases: &["soap.priors", "soap.priors_three_spans"],
                error: 0.019,
            },
        ],
        left_out: &[
            "The public code that was read is that of CLIP-SPM. There the motion is the difference of a frame's \
             convolution and the same frame.",
            "The convolutions of the motion gate are trained. There they are in no list of parameters; `as_published: \
             true` does so.",
            "A loss on the distance of classes is left out: its factor there is drawn anew in every step.",
            "Batch norms keep the statistics of the checkpoint. There, each training batch has its own.",
            "Dropout masks are drawn from other random numbers; the rates are those of the code.",
        ],
        protocol: Some(Protocol {
            selection: Selection::TestLogged,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "While it trains, the reader takes the list `test` where `val` is asked for. Every VAL_FREQ tasks \
                     the weights are tested on it, and the best are kept as `checkpoint_best.pt`. The settings of \
                     UCF101 name these for the test; those of SSv2 name `checkpoint_last.pt`, which this commit \
                     does not write.",
                    &[
                        CODE.at("video_reader.py", "VideoDataset.read_dir"),
                        CODE.at("run/main_run.py", "Learner.run"),
                        CODE.at("configs/soap/ssv2_otam.yaml", "TEST_MODEL_PATH"),
                        CODE.at("configs/soap/ucf.yaml", "TEST_MODEL_PATH"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "16 tasks a step: SSv2-Full 75,000, UCF101 20,000; four queries of each class; one shot.",
                    &[CODE.at("configs/soap/ssv2_otam.yaml", "TRAIN"), CODE.at("configs/soap/ucf.yaml", "TRAIN")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD with momentum 0.9 and weight decay 1e-3, rate 1e-3 (SSv2) and 1e-4 (UCF101), on the sum over \
                     queries.",
                    &[
                        CODE.at("run/main_run.py", "Learner.__init__"),
                        CODE.at("configs/base.yaml", "SOLVER"),
                        CODE.at("configs/soap/ssv2_otam.yaml", "SOLVER"),
                        CODE.at("configs/soap/ucf.yaml", "SOLVER"),
                    ],
                ),
                Statement::new(
                    About::Frames,
                    "8; short side 256, crop of 224; pixels from 0 to 1; mirrored, but not on SSv2.",
                    &[CODE.at("video_reader.py", "VideoDataset.setup_transforms")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks (UCF101 3,000), one query of each class. One setting, SHOT, holds for training and \
                     test.",
                    &[
                        CODE.at("configs/soap/ssv2_otam.yaml", "TEST"),
                        CODE.at("configs/soap/ucf.yaml", "TEST"),
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
                    "No: each query meets the supports alone.",
                    &[CODE.at("models/model_soap.py", "CNN_SOAP")],
                ),
                Statement::finding(
                    "The modules of the motion gate are kept in a plain list. They are in no list of parameters: they \
                     keep their random start and are not in the checkpoint.",
                    Some("84 parameters in each of three modules (computed); trained both ways, accuracy is 0.3 ± 0.3 points \
                     higher with the fault (measured)"),
                    &[CODE.at("models/model_soap.py", "SOAP.__init__")],
                ),
                Statement::finding(
                    "The motion is the difference of the convolution of a frame and the same frame.",
                    None,
                    &[CODE.at("models/model_soap.py", "HMEM.forward")],
                ),
                Statement::finding(
                    "The factor in the loss on the distance of classes is drawn anew in every call, and this loss is \
                     not divided by the tasks of a step, as the other is.",
                    Some("16 times the weight beside the other loss (computed)"),
                    &[CODE.at("models/model_soap.py", "cls_d"), CODE.at("run/main_run.py", "Learner._loss_and_acc")],
                ),
                Statement::finding(
                    "With more than one GPU, the code asks for modules that this model does not have, and stops.",
                    None,
                    &[CODE.at("models/model_soap.py", "CNN_SOAP.distribute_model")],
                ),
            ],
        }),
    }
}
