//! The model card: README.md with the YAML head that hubs read.

use super::shared;
use maclip_framework::error::Result;
use maclip_framework::recipe::expectation::TestResult;
use maclip_framework::runs::directory::RunDirectory;
use maclip_framework::runs::model_folder::{ModelConfig, ModelFolder};
use maclip_language::{Node, printable};
use serde_json::{Value, json};

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

    fn dataset(&self) -> &str {
        self.directory.manifest.components.get("dataset").map_or("unknown", String::as_str)
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
            self.notes()?,
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
            "datasets": [self.dataset()],
            "metrics": ["accuracy"],
        });
        if let (None, Some(map)) = (self.license, head.as_object_mut()) {
            map.insert("license_name".to_owned(), json!("not-chosen-by-the-exporter"));
        }
        if let (Some(test), Some(map)) = (&self.config.test, head.as_object_mut()) {
            map.insert("model-index".to_owned(), json!([{"name": self.title(), "results": [self.indexed(test)]}]));
        }
        head
    }

    fn indexed(&self, test: &TestResult) -> Value {
        let name = format!(
            "accuracy in %, 95 % interval ± {} over {} episodes, one training (seed {})",
            percent(test.ci95),
            test.episodes,
            self.config.run.seed
        );
        let task = format!("{}-way {}-shot action recognition", test.way, test.shot);
        json!({
            "task": {"type": "video-classification", "name": task},
            "dataset": {"type": self.dataset(), "name": self.dataset(), "split": "test"},
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
        format!(
            "## Results\n\n\
             | test | accuracy, 95 % interval | episodes |\n|---|---|---|\n\
             | {}, {}-way {}-shot | {:.2} ± {:.2} % | {} |\n\n\
             It is one training with seed {}. The interval is over the test episodes: it does not say how much another\n\
             seed would change the number. No checkpoint was chosen by it.\n{measured}",
            self.dataset(),
            test.way,
            test.shot,
            100.0 * test.value,
            100.0 * test.ci95,
            test.episodes,
            self.config.run.seed,
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
        let argument = if backbone.file.is_some() { "" } else { ", backbone=\"FILE\"" };
        let forward = match self.not_covered {
            Some(why) => format!(
                "There is no `ma_clip.py` in this folder: {why}.\n\
                 `{}` has the trained tensors and `{}` their options.\n",
                ModelFolder::TENSORS,
                ModelFolder::CONFIG
            ),
            None => format!(
                "In Python, with torch and safetensors alone:\n\n```python\nimport torch\nfrom ma_clip import load\n\
                 from otam import distances\n\n\
                 model = load(\".\"{argument})\n\
                 texts = torch.stack([model.text(c[\"tokens\"]) for c in model.config[\"classes\"].values()])\n\
                 support = model.support(clips, texts)  # [classes, frames, 3, size, size], less mean, divided by std\n\
                 metric = model.config[\"slots\"][\"alignment\"]\n\
                 found = distances(model.query(queries), support, metric)  # the smallest names the class\n```\n\n\
                 `python check.py . [BACKBONE]` compares it with features that were computed at the export.\n"
            ),
        };
        let peft = match self.kind("adapter") {
            "lora" => {
                "\nThe folder `peft` is the same LoRA for PEFT: `PeftModel.from_pretrained(clip, \"FOLDER/peft\")`, where\n\
                 `clip` is a `CLIPModel` of transformers with this backbone.\n"
            }
            _ => "",
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
        let manifest = &self.directory.manifest;
        let lists: String = manifest.lists.iter().map(|(split, sum)| format!("| {split} | `{sum}` |\n")).collect();
        let lists = match lists.is_empty() {
            true => String::new(),
            false => format!("\n| split | SHA-256 of its classes and clips |\n|---|---|\n{lists}"),
        };
        let classes: Vec<String> = self.config.classes.keys().take(NAMED).map(|name| printable(name)).collect();
        let more = self.config.classes.len().saturating_sub(classes.len());
        let more = if more > 0 { format!(", and {more} more") } else { String::new() };
        let classes = match classes.is_empty() || self.directory.test().is_none() {
            true => String::new(),
            false => format!("\nClasses of the test: {}{more}.\n", classes.join(", ")),
        };
        let left_out = self.directory.left_out()?.len();
        let left_out = match left_out {
            0 => String::new(),
            count => format!("\n{count} clips could not be used and were left out.\n"),
        };
        Ok(format!("## Data\n\nTrained and tested on `{}`.\n{lists}{classes}{left_out}", self.dataset()))
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

    fn notes(&self) -> Result<String> {
        let manifest = &self.directory.manifest;
        let notes: String =
            manifest.notes.iter().map(|note| format!("- {}\n", shared(note).replace('\n', " "))).collect();
        let notes = if notes.is_empty() { String::new() } else { format!("\n{notes}") };
        let config = &self.config;
        Ok(format!(
            "## How it was made\n\nmaclip {}, run `{}`, seed {}.\n{notes}",
            config.maclip_version, config.run.hash, config.run.seed
        ))
    }
}
