//! The example of the card: how this very model is used in Python.

use maclip_framework::runs::model_folder::ModelConfig;

/// A program for `ma_clip.py` and `otam.py`. Its clips have `shot` examples of each class.
pub fn python(config: &ModelConfig, shot: usize) -> String {
    let otam = metric(config) == "otam";
    let backbone = if config.backbone.file.is_some() { "" } else { ", backbone=\"FILE\"" };
    let mut lines = vec!["import torch".to_owned(), "from ma_clip import load".to_owned()];
    lines.extend(otam.then(|| "from otam import distances".to_owned()));
    lines.extend([String::new(), format!("model = load(\".\"{backbone})")]);
    let texts = !config.classes.is_empty();
    if texts {
        lines.push(
            "texts = torch.stack([model.text(c[\"tokens\"]) for c in model.config[\"classes\"].values()])".to_owned(),
        );
    }
    if texts && shot > 1 {
        lines.push(format!("texts = texts.repeat_interleave({shot}, 0)  # the clips of a class follow one another"));
    }
    let count = if shot > 1 { format!("classes * {shot}") } else { "classes".to_owned() };
    lines.push("# clips are frames in 0..1, less the config's mean, divided by its std".to_owned());
    lines.push(format!(
        "support = model.support(clips{})  # [{count}, frames, 3, size, size] -> [{count}, frames, width]",
        if texts { ", texts" } else { "" }
    ));
    lines.push("query = model.query(queries)".to_owned());
    if otam {
        let shots = if shot > 1 { format!(", shots={shot}") } else { String::new() };
        lines.push("metric = model.config[\"slots\"][\"alignment\"]".to_owned());
        lines.push(format!("found = distances(query, support, metric{shots})  # the smallest names the class"));
    }
    let told = match otam {
        true => String::new(),
        false => format!(
            "\nIts metric, `{}`, is not in this folder: these are the features that it compares.\n",
            metric(config)
        ),
    };
    format!("```python\n{}\n```\n{told}", lines.join("\n"))
}

fn metric(config: &ModelConfig) -> &str {
    config.slots.get("alignment").and_then(|options| options["type"].as_str()).unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use maclip_framework::runs::model_folder::ClassText;
    use serde_json::json;

    #[test]
    fn the_example_has_the_texts_shots_and_metric_of_its_model() {
        let config = |alignment: &str, texts: bool| ModelConfig {
            slots: json!({"alignment": {"type": alignment}}).as_object().cloned().unwrap_or_default(),
            classes: texts.then(|| ("run".to_owned(), ClassText::default())).into_iter().collect(),
            ..ModelConfig::default()
        };
        let one = python(&config("otam", true), 1);
        assert!(one.contains("model.support(clips, texts)") && one.contains("backbone=\"FILE\""), "{one}");
        assert!(one.contains("distances(query, support, metric)") && !one.contains("repeat"), "{one}");
        let five = python(&config("otam", true), 5);
        assert!(five.contains("repeat_interleave(5, 0)") && five.contains("metric, shots=5)"), "{five}");
        let bare = python(&config("bi_mhm", false), 1);
        assert!(
            !bare.contains("text") && !bare.contains("distances") && bare.contains("Its metric, `bi_mhm`"),
            "{bare}"
        );
    }
}
