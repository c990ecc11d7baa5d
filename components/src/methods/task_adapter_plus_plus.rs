//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::protocol::{
    About, Protocol, Repository, Selection, Statement, TestFrames, TrainedShots, Transduction,
};
use maclip_framework::registry::{Compared, Method};

/// The public code.
const CODE: Repository =
    Repository { name: "Jaulin-Bage/Task-Adapter-pp", commit: "3a29783a443250a17f990149bd0c0e61984f2ccb" };

inventory::submit! {
    Method {
        name: "task_adapter_plus_plus",
        title: "Task-Adapter++",
        paper: "Cao et al., arXiv 2505.06002. Task-Adapter, with order adapters in the text tower that see the sub-actions of a \
                class together, and frames that are compared with these sub-actions in their order. Transductive: a clip and \
                its score see the other queries.",
        code: &[CODE],
        slots: "prompt: {type: descriptions, template: \"A video of action about {class}: {sentence}\"}\n\
                adapter: {type: task_adapter, ratio: 0.25, at: {last: 2}, scale: 1, across: branch, text_at: {last: 8}}\n\
                alignment: {type: mean_cosine, shots: mean_features, cosine: normalized}\n\
                objective: {type: sub_action_product, scale: 64, sub_actions: 3}",
        recipes: &["methods/task_adapter_plus_plus"],
        compared: &[
            Compared {
                what: "a block of the text tower with an order adapter, and all its gradients",
                cases: &["task_adapter_pp.order_block"],
                error: 0.03,
            },
            Compared {
                what: "text tower from token ids, and the gradients of the order adapters",
                cases: &["task_adapter_pp.text_order_adapters", "task_adapter_pp.text_one_block"],
                error: 0.051,
            },
            Compared {
                what: "image tower from pixels, and its gradients",
                cases: &["task_adapter_pp.visual_last_block"],
                error: 0.062,
            },
            Compared {
                what: "scores, product, loss, prediction and gradients, with the product as published and with the right one",
                cases: &["task_adapter_pp.alignment_1shot", "task_adapter_pp.alignment_5shot",
                    "task_adapter_pp.alignment_ssv2_full"],
                error: 0.015,
            },
        ],
        left_out: &[
            "The product there multiplies a transposed matrix, so that the score of a query depends on its label. Here that is \
             the option `as_published`, which is off.",
            "Numbers are in 32 bit. There, scores, text features and order adapters are in 16 bit.",
            "All frames of a clip have the same crop in training. There, each frame has its own.",
            "All clips of a branch see each other. There, with three GPUs, a clip sees those on the same GPU.",
        ],
        protocol: Some(Protocol {
            selection: Selection::Test,
            test_tasks: Some(10_000),
            test_frames: TestFrames::Fixed,
            transduction: Transduction::QueriesAndLabel,
            transduction_here: Transduction::Queries,
            shots: TrainedShots::AsTested,
            statements: &[
                Statement::new(
                    About::Selection,
                    "`val_file` is `test.txt` for all five data sets: the best weights on 1,000 tasks of the test \
                     classes are kept and tested.",
                    &[CODE.at("run.py", "val_file")],
                ),
                Statement::new(
                    About::Training,
                    "10,000 tasks, one a step, on every data set; one query of each class; with the shots of the \
                     test.",
                    &[CODE.at("run.py", ""), CODE.at("config.yaml", "")],
                ),
                Statement::new(
                    About::Optimizer,
                    "SGD without momentum, rate 1e-3. A schedule is built, and never stepped.",
                    &[CODE.at("run.py", "MultiStepLR")],
                ),
                Statement::new(
                    About::Frames,
                    "8; square of 257, crop of 224, drawn anew for each frame.",
                    &[CODE.at("dataset.py", "")],
                ),
                Statement::new(
                    About::Test,
                    "10,000 tasks, one query of each class.",
                    &[CODE.at("config.yaml", "test_episode")],
                ),
                Statement::new(
                    About::TestFrames,
                    "The middle of each of eight equal parts.",
                    &[CODE.at("dataset.py", "")],
                ),
                Statement::new(
                    About::Transduction,
                    "Yes, in three ways. All queries go through the tower in one call, in which the clips attend to \
                     each other; the alignment attends across the queries; and the score of a query depends on its \
                     place, that is on its label: see the findings.",
                    &[CODE.at("module_adapter.py", ""), CODE.at("models.py", "")],
                ),
                Statement::finding(
                    "The score of the texts is [class, query] and is multiplied, element by element, with the visual \
                     score [query, class]. With one query of each class both are 5 by 5: query q and class c get the \
                     cosine of query q and class c, times the fit of the text of q's true class and query c. With two \
                     queries of each class the code stops with an error of sizes.",
                    Some("accuracy is 0.9 to 7.0 points higher with the fault, in a simulation with five classes, 2,000 \
                     episodes and five settings of noise (computed); not measured on data: the episodes here shuffle their \
                     queries, so that a place tells no label"),
                    &[CODE.at("models.py", ""), CODE.at("run.py", "")],
                ),
                Statement::finding(
                    "Scores, their product and the loss are rounded to 16 bit.",
                    Some("a step of the product near 0.2 is 1.2e-4, 0.008 after the factor 64 (computed)"),
                    &[CODE.at("utils.py", "cosine_similarity")],
                ),
                Statement::finding(
                    "The order adapters are parameters of 16 bit under SGD without a scaled loss.",
                    None,
                    &[CODE.at("module_sem_adapter.py", "convert_weights")],
                ),
                Statement::finding(
                    "With several GPUs the clips of a call are divided among them, and a clip sees those on its own \
                     GPU: the result depends on the number of GPUs. The setting is three.",
                    None,
                    &[CODE.at("models.py", ""), CODE.at("config.yaml", "num_gpus")],
                ),
                Statement::finding(
                    "Attention across the sub-actions of a class mixes what is at the same place of a sentence, also \
                     the padding of a shorter one.",
                    None,
                    &[CODE.at("module_sem_adapter.py", "")],
                ),
            ],
        }),
    }
}
