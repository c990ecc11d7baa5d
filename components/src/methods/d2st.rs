//! The registration of the method: see the fields of [`Method`].

use super::findings;
use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "qizhongtan/D2ST-Adapter", commit: "44387fae1149226125481d5f1e1fa1589936e132" };

/// The commit that brought the code.
const READ: Repository =
    Repository { name: "qizhongtan/D2ST-Adapter", commit: "a5d3a5f83d44ee1006a3a457a4b752e4d53dfa64" };

/// Settings of SSv2-Small.
const SSV2_SMALL: &str = "config/ssv2_small/ViT_SSv2_small.yaml";

inventory::submit! {
    Method {
        name: "d2st",
        title: "D²ST-Adapter",
        paper: "Pei et al., ICCV 2025. Behind every block of a frozen CLIP an adapter attends to a few points of the clip, dense in \
                space and dense in time; the bidirectional mean Hausdorff metric; on some data sets a loss over all training \
                classes.",
        code: &[CODE],
        slots: "backbone: {type: clip_vit, architecture: ViT-B/16, features: class_token}\n\
                adapter: {type: d2st, ratio: 0.25, heads: 4, groups: 4}\n\
                alignment: {type: bi_mhm, shots: mean_features, cosine: normalized}\n\
                objective: {type: with_class_loss, objective: {type: metric}, of: clips, weight: 2.0}",
        recipes: &["methods/d2st"],
        compared: &[
            Compared {
                what: "one path: points, samples, output, gradients",
                cases: &["d2st.attention_spatial", "d2st.attention_temporal", "d2st.attention_spatial_published"],
                error: 0.1,
            },
            Compared {
                what: "the adapter of a block, and its gradients",
                cases: &["d2st.adapter_published_kernels", "d2st.adapter_small_kernels"],
                error: 0.13,
            },
            Compared {
                what: "from pixels to losses with two and three blocks, and the gradients of all that is trained",
                cases: &["d2st.tower_2_blocks", "d2st.tower_3_blocks_small_kernels"],
                error: 0.18,
            },
            Compared {
                what: "the adapter behind a stage of a ResNet, and its gradients",
                cases: &["d2st.adapter_resnet_last_stage"],
                error: 0.15,
            },
            Compared { what: "head and losses", cases: &["d2st.head_1shot", "d2st.head_3shot"], error: 0.036 },
        ],
        left_out: &[
            "All tensors have weight decay. There, the norms of the offsets have none, and on ResNet-50 neither have \
             those before the two paths.",
            "Test frames are random on SSv2, HMDB51 and UCF101 there, and in the recipes of this folder.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Fixed,
            test_tasks: Some(10_000),
            test_frames: TestFrames::RandomButKinetics,
            transduction: Transduction::None,
            transduction_here: Transduction::None,
            shots: TrainedShots::One,
            statements: &[
                Statement::new(
                    About::Selection,
                    "Every VAL_FRE_ITER tasks of a GPU the weights are saved and evaluated on 10,000 episodes of the \
                     test classes. Each of two GPUs has half of the tasks, and VAL_FRE_ITER is half of them on every \
                     data set: that is once, at the last task, and these weights are tested. The reader knows the \
                     lists `train` and `test`; `val` is never read.",
                    &[
                        READ.at("runs/train_net_few_shot.py", "train_few_shot, train_epoch"),
                        READ.at("datasets/base/builder.py", "get_sampler"),
                        READ.at("datasets/base/few_shot_dataset.py", "_get_dataset_list_name, __len__"),
                        READ.at("utils/checkpoint.py", "get_last_checkpoint"),
                        READ.at(SSV2_SMALL, "VAL_FRE_ITER, NUM_TRAIN_TASKS, NUM_GPUS"),
                    ],
                ),
                Statement::new(
                    About::Training,
                    "Tasks of two GPUs together: SSv2-Full 120,000, SSv2-Small 40,000, HMDB51 and Kinetics 3,000, \
                     UCF101 2,400, and on ResNet-50 HMDB51 and UCF101 8,000, Kinetics 10,000; 16 tasks a step; one \
                     shot whatever the test has, one query of each class.",
                    &[
                        READ.at(SSV2_SMALL, "TRAIN; the other data sets are beside it"),
                        READ.at("datasets/base/builder.py", "get_sampler"),
                        READ.at("datasets/base/few_shot_dataset.py", "__len__"),
                    ],
                ),
                Statement::new(
                    About::Optimizer,
                    "Adam with coupled weight decay 1e-3; rates 1e-3, on Kinetics and UCF101 5e-4, and with ResNet-50 \
                     2e-3; warm-up, then factors at milestones.",
                    &[
                        READ.at("models/utils/optimizer.py", "construct_optimizer"),
                        READ.at("config/run.yaml", "OPTIMIZER"),
                        READ.at(SSV2_SMALL, "SOLVER; the other data sets are beside it"),
                    ],
                ),
                Statement::new(
                    About::Frames,
                    "8; side 256, crop of 224; queries mirrored, on SSv2 too, and with other colours: brightness, \
                     contrast and saturation 0.5, hue 0.25, grey 0.3. COLOR_AUG is off and holds for supports alone.",
                    &[
                        READ.at("datasets/base/few_shot_dataset.py", "_config_transform"),
                        READ.at("config/run.yaml", "AUGMENTATION"),
                        READ.at(SSV2_SMALL, "DATA, AUGMENTATION"),
                    ],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class; the same weights at 1 and 5 shots (TEST.SHOT: [1, 5]).",
                    &[READ.at(SSV2_SMALL, "TEST"), READ.at("runs/test_net_few_shot.py", "test_epoch")],
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
                    "No: a query meets the means of the supports alone.",
                    &[CODE.at("models/base/adapter.py", "")],
                ),
                Statement::finding(
                    "Beside the adapters, `class_embedding`, `temporal_embedding` and `ln_post` of CLIP are trained.",
                    Some("8,448 of 7,282,752 trained parameters without the classifier (computed)"),
                    &[READ.at("runs/train_net_few_shot.py", "train_few_shot")],
                ),
                Statement::finding(
                    "The loss of a task is divided by BATCH_SIZE, 2, and then summed over BATCH_SIZE_PER_TASK, 8, \
                     tasks.",
                    Some("4 times the mean; Adam divides the scale out (computed)"),
                    &[READ.at("runs/train_net_few_shot.py", "train_epoch"), READ.at(SSV2_SMALL, "TRAIN")],
                ),
                Statement::finding(
                    "The weight decay in the settings of a data set, 5e-4 in SOLVER, is read nowhere: the optimizer is \
                     built from OPTIMIZER, which has 1e-3.",
                    None,
                    &[
                        READ.at("models/utils/optimizer.py", "construct_optimizer"),
                        READ.at("config/run.yaml", "OPTIMIZER"),
                        READ.at(SSV2_SMALL, "SOLVER"),
                    ],
                ),
                findings::unseen_end(&[READ.at("datasets/base/base_dataset.py", "_interval_based_sampling")]),
                findings::dropped_gradients(&[READ.at("runs/train_net_few_shot.py", "train_epoch")]),
            ],
        }),
    }
}
