//! Reads and builds what a run would, without training: `validate --deep`.

use super::FewShot;
use super::lists::Skipped;
use burn::tensor::Device;
use maclip_framework::engine::training::Stepper;
use maclip_framework::error::{Error, Result};
use maclip_framework::model::few_shot::{FewShotModel, class_texts};
use maclip_framework::recipe::Recipe;
use maclip_framework::slots::dataset::{Class, Split};
use maclip_framework::slots::frames::FrameSampler;
use maclip_framework::slots::optimizer::Optimizer;
use maclip_framework::slots::prompt::Prompt;
use maclip_language::{Diagnostic, Severity, codes};

/// How many clips that cannot be opened are named.
const NAMED: usize = 3;

impl FewShot {
    pub(super) fn look(&self, recipe: &Recipe, device: &Device) -> Vec<Diagnostic> {
        let mut found = Vec::new();
        let classes = self.look_at_data(recipe, device, &mut found);
        let names: Vec<&str> = classes.iter().flatten().flatten().map(|class| class.name.as_str()).collect();
        if let Err(error) = self.look_at_model(recipe, device, &names, &mut found) {
            let path =
                if error.to_string().contains("optimizer.groups") { "optimizer.groups" } else { "backbone.weights" };
            found.push(recipe.diagnostic(codes::MODEL, path, &error));
        }
        found
    }

    /// The lists, their episodes, and the first clip of every class.
    fn look_at_data(&self, recipe: &Recipe, device: &Device, found: &mut Vec<Diagnostic>) -> Option<[Vec<Class>; 3]> {
        // A diagnostic has one line.
        let problem = |path: &str, error: &Error| {
            let diagnostic = recipe.diagnostic(codes::DATA, path, error);
            let message = diagnostic.message.replace(":\n  ", ": ").replace("\n  ", "; ").replace('\n', "; ");
            Diagnostic { message, ..diagnostic }
        };
        let build = recipe.context(device);
        let clips = match self.clips(recipe, &build) {
            Ok(clips) => clips,
            Err(error) => {
                found.push(problem("dataset", &error));
                return None;
            }
        };
        // What is wrong with the model is told by itself.
        let model = FewShotModel::build(recipe, &recipe.sizes_context(), clips.frames.count());
        let lists = match self.lists(&*clips.dataset, recipe, &model) {
            Ok(lists) => lists,
            Err(error) => {
                // The place of the error says whose lists these are.
                let of_the_test = self.source(Split::Test);
                let tested = of_the_test != "dataset"
                    && matches!(&error, Error::Failed { place, .. } if *place == recipe.place(of_the_test));
                found.push(problem(if tested { of_the_test } else { "dataset.root" }, &error));
                return None;
            }
        };
        let small = lists.check(self, recipe);
        for Skipped { note, strict, split, .. } in lists.skipped() {
            let place = recipe.diagnostic(codes::DATA, self.source(split), &Error::failed(note));
            found.push(if strict { place } else { Diagnostic { severity: Severity::Warning, ..place } });
        }
        for note in lists.passed_over() {
            let place = problem("dataset", &Error::failed(note.clone()));
            found.push(Diagnostic { severity: Severity::Warning, ..place });
        }
        if let Err(error) = small {
            found.push(problem("dataset.root", &error));
            return Some(lists.into_classes());
        }
        for (role, path, list) in
            [(Split::Val, "task.validation", &self.validation), (Split::Test, "task.test", &self.test)]
        {
            if role == Split::Val && !lists.trains {
                continue;
            }
            if let Err(error) = list.episodes(self.shape(role), role, lists.classes()[role as usize]) {
                found.push(problem(path, &error));
            }
        }
        let first = Split::ALL
            .into_iter()
            .zip(lists.classes())
            .flat_map(|(role, classes)| classes.iter().filter_map(move |class| Some((role, class.clips.first()?))));
        let failed = first.filter_map(|(role, clip)| Some((role, clips.look(clip).err()?)));
        found.extend(failed.take(NAMED).map(|(role, error)| problem(self.source(role), &error)));
        Some(lists.into_classes())
    }

    /// The model with its weights, the texts of all classes, and the optimizer's groups.
    fn look_at_model(
        &self,
        recipe: &Recipe,
        device: &Device,
        names: &[&str],
        found: &mut Vec<Diagnostic>,
    ) -> Result<()> {
        let build = recipe.build_context(device)?;
        let frames = recipe.build::<dyn FrameSampler>(&build)?.count();
        let model = FewShotModel::build(recipe, &build, frames);
        for note in build.notes() {
            let place = recipe.diagnostic(codes::MODEL, "backbone.weights", &Error::failed(note));
            found.push(Diagnostic { severity: Severity::Warning, ..place });
        }
        let model = model?;
        let prompt = recipe.build::<dyn Prompt>(&build)?;
        if !names.is_empty() {
            class_texts(&model, &*prompt, names, device)?;
        }
        if maclip_framework::model::parameters::count(&model).trainable > 0 {
            Stepper::new(&*recipe.build::<dyn Optimizer>(&build)?, &model)?;
        }
        Ok(())
    }
}
