//! Every kind of problem that a recipe can have. A code never changes its meaning; new kinds get new numbers.

/// One kind of problem, as `maclip explain` shows it.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Code {
    /// Such as `MC001`.
    pub code: &'static str,
    /// What is wrong, in one line.
    pub title: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do.
    pub resolution: &'static str,
    /// A recipe or command that has the problem.
    pub example: &'static str,
}

/// The entry of `code`, in upper or lower case; `None` for a code that does not exist.
pub fn explain(code: &str) -> Option<&'static Code> {
    TABLE.iter().find(|known| known.code.eq_ignore_ascii_case(code))
}

macro_rules! codes {
    ($($name:ident $code:literal $title:literal cause $cause:literal resolution $resolution:literal example $example:literal;)*) => {
        $(#[doc = $title] pub const $name: &str = $code;)*
        /// All codes, in the order of their numbers.
        pub const TABLE: &[Code] = &[$(Code {
            code: $code, title: $title, cause: $cause, resolution: $resolution, example: $example,
        }),*];
    };
}

codes! {
    UNREADABLE "MC001" "a file cannot be read"
        cause "The file is missing, is a directory, is not UTF-8 text, may not be read, or is larger than 5 MB."
        resolution "Check the path. It is relative to the current directory; the path of an `extends` is relative to \
            the file that it is in. A name without `.yaml`, such as `quickstart`, is that of a recipe in the program: \
            `maclip init` lists them. Save the file as UTF-8. A checkpoint goes to `backbone.weights`, not in the \
            recipe's place."
        example "maclip run recipes/quikstart.yaml";
    SYNTAX "MC002" "a file is not valid YAML, repeats a key, or exceeds the size and depth limits"
        cause "The text cannot be read as YAML 1.2: an indent with a tab, an open bracket, a colon inside an unquoted \
            string, a key that appears twice in one map, or aliases that multiply without bound. Trees deeper than 32 \
            levels are refused."
        resolution "Look at the line and the one above it. Quote strings that hold `: `, ` #`, `{`, `[`, `*`, `&`, `!` \
            or `%`."
        example "alignment:\n  type: otam\n  type: bi_mhm";
    EXTENDS "MC003" "an `extends` entry is malformed, leads back to itself, or names a file that cannot be used"
        cause "`extends` takes the path of another recipe, or a list of them, each relative to the file that it is in. \
            The chain must end: two files cannot extend each other."
        resolution "Correct the path, or remove one `extends` of the circle that the message shows."
        example "extends: {base: quickstart.yaml}";
    ARGUMENT "MC004" "a `--set` or `--unset` argument, or the path of a change, is malformed"
        cause "`--set` needs `path.to.key=value` with the value in YAML; `--unset` needs a path. A path goes through \
            maps by key and through lists by `[0]`; it cannot go through a number or a string, or beyond the end of a \
            list."
        resolution "Quote the argument for the shell: `--set 'task.test={episodes: 100}'`. `list[+]` adds an item. \
            `extends` cannot be set."
        example "maclip run recipes/quickstart.yaml --set alignment.lambda";
    INTERPOLATION "MC005" "a `${…}` is malformed, refers to nothing, or refers to itself"
        cause "`${path.in.recipe}` must lead to a value of the same recipe, and `${env:NAME}` to an environment \
            variable that is set. `~/` needs the environment variable HOME. `recipe:` can only be used in a recipe \
            that is a file."
        resolution "Correct the path, set the variable, or give a default: `${env:NAME:-value}`. `$${` writes a plain \
            `${`."
        example "dataset: {type: frame_folder, root: \"${env:FRAMES}\"}";
    WRONG_TYPE "MC006" "a value has the wrong type"
        cause "The option wants another kind of value: a number in quotes or with a unit is a string; `yes`, `no`, \
            `on` and `off` are strings, as in YAML 1.2; a component is a map with its `type`."
        resolution "Write what the message expects: `true`, `5`, `1e-4`, `[1, 2]`, `{type: otam}`. \
            `maclip describe slot/name` shows each option's type."
        example "optimizer: {type: adamw, learning_rate: 1e-4 per step}";
    UNKNOWN_KEY "MC007" "a key is not known here"
        cause "The key is misspelt, is one level too high or too low, or belongs to another component. It would be \
            ignored, and the run would not be what its recipe says."
        resolution "Use one of the names that the message lists. `maclip describe slot/name` explains them."
        example "adapter: {type: multimodal, ratoi: 0.25}";
    UNKNOWN_NAME "MC008" "a name is not known here"
        cause "In this binary, no component of this slot or no choice of this option has this name."
        resolution "`maclip list SLOT` shows the components. A component of your own needs its `mod` line in \
            components/src/<slot>s/mod.rs."
        example "alignment: {type: otan}";
    MISSING_KEY "MC009" "a required key is missing"
        cause "A recipe needs a `name`, a `dataset` and a `backbone`; a component needs its `type`; a few options have \
            no default."
        resolution "Add the key. `maclip init` writes a whole recipe to start from."
        example "dataset: {variant: motion}";
    OUT_OF_RANGE "MC010" "a value has the right type but is not allowed"
        cause "The number is outside the option's range, the list is empty or repeats an item, or the name cannot be \
            used."
        resolution "`maclip describe slot/name` shows the range of each option."
        example "task: {type: few_shot, way: 1}";
    STRUCTURE "MC011" "the parts of the recipe do not fit together"
        cause "Each part is right by itself, but they cannot work together: class texts without a text tower, tuples \
            of more frames than a clip has, more classes in an episode than the split has, a slot that the task does \
            not use."
        resolution "Change one of the parts that the message names."
        example "alignment: {type: trx, cardinalities: [9]}";
    NO_EFFECT "MC012" "a change from the command line has no effect"
        cause "Every variant of the study sets the same key again, the key to unset does not exist, or the variant to \
            change does not exist. The run would be the same without the argument."
        resolution "Change the variants: `--set study.variants.NAME.path=value`; or run without the study: \
            `--unset study`."
        example "maclip run recipes/ablations/modules.yaml --set seed=5";
    STUDY "MC013" "a study cannot be expanded"
        cause "`study` holds `seeds`, `variants`, `axes`, `without` and `exclude`. Something in it is empty, appears \
            twice, names something that does not exist, or leaves no run."
        resolution "`maclip run RECIPE --dry-run` shows the runs that a study expands to."
        example "study: {without: [backbone]}";
    DROPPED "MC014" "a changed `type` drops options that the new component does not have"
        cause "A recipe, variant or argument changes the component of a slot. Options that both components have, with \
            the same kind of value, stay; the others belong to the old component alone. This is a note of `validate`."
        resolution "There is nothing to do. If an option was meant to stay, give it again beside the new `type`."
        example "maclip validate recipes/quickstart.yaml --set alignment.type=bi_mhm";
    DATA "MC015" "the data is not as the recipe needs it"
        cause "`validate --deep` lists the clips of every split and opens one of each class: a folder is missing, a \
            split has too few classes or clips, a list does not fit its file, or a clip cannot be read."
        resolution "Correct the folder or list that the message names. `broken: skip` leaves out clips that cannot be \
            read, and counts them."
        example "maclip validate recipes/benchmarks/frames_5w1s.yaml --deep --set dataset.root=nowhere";
    MODEL "MC016" "the model cannot be built"
        cause "`validate --deep` reads the weights and builds the whole model: a file is missing, damaged or of \
            another architecture, or a parameter group names no parameter."
        resolution "`maclip weights inspect FILE` shows what a checkpoint contains; `maclip plan RECIPE` shows the \
            model without weights."
        example "maclip validate recipes/quickstart.yaml --deep --set backbone.weights=gone.safetensors";
    DEVICE "MC017" "the device cannot be used"
        cause "This binary was built without the device, or `validate --deep`, which computes a small product on it, \
            found that it is not there, that its driver or library is missing, or that it lacks the recipe's \
            precision."
        resolution "`maclip doctor` shows what this binary was built with and what it finds."
        example "maclip validate recipes/quickstart.yaml --set device=tch:cuda:0";
    DISK "MC018" "there is too little space on the disk"
        cause "The folder of the runs cannot be written, or has less free space than checkpoints and records may need."
        resolution "Choose another folder with `--runs DIR`. Kept features need space too: `compute.cache_folder` says \
            where they are kept, and `compute.cache_limit_gb` how much they may take."
        example "maclip validate recipes/quickstart.yaml --deep --runs /proc";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_count_up_and_every_page_says_something() {
        for (at, code) in TABLE.iter().enumerate() {
            assert_eq!(code.code, format!("MC{:03}", at + 1));
            assert!([code.title, code.cause, code.resolution, code.example].iter().all(|text| text.len() > 10));
            assert_eq!(explain(&code.code.to_lowercase()).unwrap().title, code.title);
        }
    }
}
