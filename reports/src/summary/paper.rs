//! Numbers that a recipe expects beside those that were measured.

use crate::settings::Settings;
use maclip_framework::recipe::expectation::Expectation;

/// A number that the recipe expects, beside the measured mean.
#[derive(Clone, Debug)]
pub struct Paper {
    pub expectation: Expectation,
    /// Why the two are no comparison, such as other data or weights.
    pub elsewhere: Option<String>,
}

impl Paper {
    /// Those of a recipe that are of `metric`.
    pub fn of(settings: &Settings, metric: Option<&str>) -> Vec<Self> {
        let paper = |expectation: &Expectation| Self {
            expectation: expectation.clone(),
            elsewhere: settings.setting.as_ref().and_then(|setting| expectation.elsewhere(setting)),
        };
        settings.expect.iter().filter(|expect| metric.is_none_or(|metric| expect.metric == metric)).map(paper).collect()
    }
}
