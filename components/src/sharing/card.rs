//! The model card: README.md with the YAML head that hubs read.

use super::example;
use super::places::Known;
use maclip_framework::error::Result;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::{ModelConfig, ModelFolder};
use maclip_framework::runs::provenance::StartConfig;
use maclip_language::{Node, first_of, printable};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a card is made of.
pub struct Card<'a> {
    /// The config beside it.
    pub config: &'a ModelConfig,
    /// The run that was exported.
    pub directory: &'a RunDirectory,
    /// The text of `recipe.yaml`.
    pub recipe: &'a str,
    /// Licence of the weights, where the exporter has chosen one.
    pub license: Option<&'a str>,
    /// Why there is no forward pass in plain PyTorch, where there is none.
    pub not_covered: Option<&'a str>,
    /// Why there are no files for PEFT, where the adapter is LoRA and there are none.
    pub no_peft: Option<&'a str>,
    /// Examples of each class.
    pub shot: usize,
    /// What notes do not say.
    pub places: &'a Known,
}

/// Most classes that are named.
const NAMED: usize = 100;

fn percent(value: f64) -> f64 {
    (1e4 * value).round() / 100.0
}

impl Card<'_> {
    fn kind(&self, slot: &str) -> &str {
        self.config.slots.get(slot).and_then(|options| options["type"].as_str()).unwrap_or("none")
    }

    /// The dataset of the test.
    fn tested(&self) -> &str {
        self.config.data.tested.as_deref().unwrap_or("unknown")
    }

    fn is_trained(&self) -> bool {
        self.config.run.trained_sha256.is_some()
    }

    fn title(&self) -> String {
        format!("{}, {}", self.config.run.name, self.config.run.variant)
    }

    /// The whole text.
    ///
    /// # Errors
    /// Where records of the run cannot be read.
    pub fn text(&self) -> Result<String> {
        let head = Node::from_json(&self.head()).to_yaml();
        let parts = [
            format!("---\n{}---\n", head),
            self.about(),
            self.results(),
            self.load(),
            self.data()?,
            self.licence(),
            self.notes(),
            format!("## Recipe\n\n```yaml\n{}```\n", self.recipe),
        ];
        Ok(parts.join("\n"))
    }

    fn head(&self) -> Value {
        let mut tags = vec!["few-shot-learning", "action-recognition", "video-classification", "clip", "maclip"];
        let adapter = self.kind("adapter");
        tags.extend((adapter != "none").then_some(adapter));
        let mut head = json!({
            "license": self.license.unwrap_or("other"),
            "library_name": "maclip",
            "pipeline_tag": "video-classification",
            "tags": tags,
            "metrics": ["accuracy"],
        });
        let data = &self.config.data;
        let datasets: BTreeSet<&String> = data.trained.iter().chain(&data.tested).collect();
        if let (false, Some(map)) = (datasets.is_empty(), head.as_object_mut()) {
            map.insert("datasets".to_owned(), json!(datasets));
        }
        if let (None, Some(map)) = (self.license, head.as_object_mut()) {
            map.insert("license_name".to_owned(), json!("not-chosen-by-the-exporter"));
        }
        if let (Some(test), Some(map)) = (&self.config.test, head.as_object_mut()) {
            map.insert("model-index".to_owned(), json!([{"name": self.title(), "results": [self.indexed(test)]}]));
        }
        head
    }

    fn indexed(&self, test: &TestResult) -> Value {
        let training = match self.is_trained() {
            true => format!("one training (seed {})", self.config.run.seed),
            false => "nothing trained".to_owned(),
        };
        let (interval, episodes) = (percent(test.ci95), test.episodes);
        let name = format!("accuracy in %, 95 % interval ± {interval} over {episodes} episodes, {training}");
        let task = format!("{}-way {}-shot action recognition", test.way, test.shot);
        json!({
            "task": {"type": "video-classification", "name": task},
            "dataset": {"type": self.tested(), "name": self.tested(), "split": "test"},
            "metrics": [{"type": test.metric, "value": percent(test.value), "name": name}],
        })
    }

    fn about(&self) -> String {
        let slots = ["backbone", "adapter", "prototype", "alignment", "objective", "frames", "prompt"];
        let rows: String = slots.iter().map(|slot| format!("| {slot} | `{}` |\n", self.kind(slot))).collect();
        let parameters = self.directory.params.as_ref().map_or_else(String::new, |params| {
            format!("It has {} trained parameters of {}.\n\n", params.trainable, params.total)
        });
        format!(
            "# {}\n\n\
             A few-shot action recognition model: it names clips of classes that it has not seen in training, by a few\n\
             examples of each.\n{parameters}\
             | part | component |\n|---|---|\n{rows}\
             | frames of a clip | {} |\n| image | {size} × {size} pixels |\n",
            self.title(),
            self.config.frames,
            size = self.config.image.size,
        )
    }

    fn results(&self) -> String {
        let Some(test) = &self.config.test else {
            return "## Results\n\nNo test of these weights comes with them.\n".to_owned();
        };
        let measured = match self.directory.test() {
            Some(_) => "",
            None => "The number was measured before these weights were imported and exported again.\n",
        };
        let training = match self.is_trained() {
            true => format!(
                "It is one training with seed {}. The interval is over the test episodes: it does not say how much another\n\
                 seed would change the number. No checkpoint was chosen by it.\n",
                self.config.run.seed
            ),
            false => "Nothing was trained. The interval is over the test episodes.\n".to_owned(),
        };
        format!(
            "## Results\n\n\
             | test | accuracy, 95 % interval | episodes |\n|---|---|---|\n\
             | {}, {}-way {}-shot | {:.2} ± {:.2} % | {} |\n\n\
             {training}{measured}",
            self.tested(),
            test.way,
            test.shot,
            100.0 * test.value,
            100.0 * test.ci95,
            test.episodes,
        )
    }

    fn load(&self) -> String {
        let backbone = &self.config.backbone;
        let files: Vec<String> =
            backbone.weights.iter().map(|(name, sum)| format!("- `{name}`, SHA-256 `{sum}`\n")).collect();
        let where_from = match &backbone.file {
            Some(file) => format!("The frozen backbone is in `{file}`, with OpenAI's names. It was read from:\n\n"),
            None => {
                let told =
                    "The frozen backbone is not in this folder. It was read from the file below; any other is refused:";
                format!("{told}\n\n")
            }
        };
        let forward = match self.not_covered {
            Some(why) => format!(
                "There is no `ma_clip.py` in this folder: {why}.\n\
                 `{}` has the trained tensors and `{}` their options.\n",
                ModelFolder::TENSORS,
                ModelFolder::CONFIG
            ),
            None => format!(
                "In Python, with torch and safetensors alone:\n\n{}\n\
                 `python check.py . [BACKBONE]` compares it with features that were computed at the export.\n",
                example::python(self.config, self.shot)
            ),
        };
        let peft = match (self.kind("adapter"), self.no_peft) {
            (_, Some(why)) => format!("\nThere is no folder `peft`: {why}.\n"),
            ("lora", None) => "\nThe folder `peft` is the same LoRA for PEFT: `PeftModel.from_pretrained(clip, \
                               \"FOLDER/peft\")`, where\n`clip` is a `CLIPModel` of transformers with this backbone.\n"
                .to_owned(),
            _ => String::new(),
        };
        format!(
            "## Load it\n\nWith maclip:\n\n```sh\n\
             maclip import FOLDER                 # a run: for classify --run, test, run --from\n\
             maclip run RECIPE --from FOLDER      # train on, on other classes\n```\n\n\
             {forward}{peft}\n{where_from}{}",
            files.concat()
        )
    }

    fn data(&self) -> Result<String> {
        let data = &self.config.data;
        let lists: String = data.lists.iter().map(|(split, sum)| format!("| {split} | `{sum}` |\n")).collect();
        let lists = match lists.is_empty() {
            true => String::new(),
            false => format!("\n| split | SHA-256 of its classes and clips |\n|---|---|\n{lists}"),
        };
        let classes = first_of(self.config.classes.keys().map(|name| printable(name)), NAMED, ", ");
        let classes = match classes.is_empty() || self.directory.test().is_none() {
            true => String::new(),
            false => format!("\nClasses of the test: {classes}.\n"),
        };
        let left_out = self.directory.left_out()?.len();
        let left_out = match left_out {
            0 => String::new(),
            count => format!("\n{count} clips could not be used and were left out.\n"),
        };
        let used = match (&data.trained, &data.tested) {
            (Some(trained), Some(tested)) if trained == tested => format!("Trained and tested on `{trained}`.\n"),
            (Some(trained), Some(tested)) => format!("Trained on `{trained}`, tested on `{tested}`.\n"),
            (Some(trained), None) => format!("Trained on `{trained}`.\n"),
            (None, Some(tested)) => format!("Tested on `{tested}`.\n"),
            (None, None) => "What it was trained on is not known.\n".to_owned(),
        };
        Ok(format!("## Data\n\n{used}{lists}{classes}{left_out}"))
    }

    fn licence(&self) -> String {
        let weights = match self.license {
            Some(license) => format!("The trained weights are under `{license}`."),
            None => {
                "The exporter has not chosen a licence for the trained weights. Ask before you use them.".to_owned()
            }
        };
        format!(
            "## Licence\n\n{weights}\n\
             The backbone and the clips that it was trained on have licences of their own, which hold for what is made of\n\
             them too: look at their sources.\n"
        )
    }

    fn notes(&self) -> String {
        let manifest = &self.directory.manifest;
        let notes: String =
            manifest.notes.iter().map(|note| format!("- {}\n", self.places.without(note).replace('\n', " "))).collect();
        let notes = if notes.is_empty() { String::new() } else { format!("\n{notes}") };
        let config = &self.config;
        let start = config.run.start.as_ref().map_or_else(String::new, |StartConfig { name, sha256 }| {
            format!("The training began with the trained weights of `{}`, SHA-256 `{sha256}`.\n", printable(name))
        });
        format!(
            "## How it was made\n\nmaclip {}, run `{}`, seed {}.\n{start}{notes}",
            config.maclip_version, config.run.hash, config.run.seed
        )
    }
}
