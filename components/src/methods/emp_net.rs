//! The registration of the method: see the fields of [`Method`].

use maclip_framework::registry::{Compared, Method};

inventory::submit! {
    Method {
        name: "emp_net",
        title: "EMP-Net",
        paper: "Wu et al., ECCV 2024. Tokens of three blocks of a frozen CLIP are compared at three levels, patches, frames and class \
                tokens, by OTAM and by the class text; the prediction is the mean of six probabilities.",
        code: &[("cong-wu/EMP-Net", "b4dc006")],
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
            "Dropout masks are drawn from other random numbers; its rates are those of the code.",
        ],
        protocol: &[
            ("training", "tasks of one GPU of two: SSv2-Full 40,000, SSv2-Small 10,000, elsewhere 5,000; 8 tasks a step; five queries \
                          of each class; with the shots of the test"),
            ("optimizer", "Adam with coupled weight decay 5e-5; rate 1e-3 on SSv2, 1e-4 elsewhere; warm-up, then factors 0.1 and 0.01"),
            ("frames", "8; side 256, crop of 224"),
            ("chosen on", "10,000 episodes of the test classes"),
            ("test", "10,000 tasks, one query of each class"),
        ],
    }
}
