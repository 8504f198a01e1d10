//! Cases by the names of what they are made of, of which nothing need be there: what expectations are held against.

use vocabulary::{Case, Schedule, Settings, SubjectId};

/// What the cases of a model are told by.
#[derive(Debug, Clone)]
pub struct ModelNames<'a> {
    /// The model in case ids.
    pub model: &'a str,
    /// The weight type in case ids.
    pub weights: &'a str,
    /// The architecture, by which patterns know it too.
    pub architecture: &'a str,
}

impl<'a> ModelNames<'a> {
    /// The model's cases on a prompt, in all settings, each with the architecture.
    pub fn cases(&self, prompt: &str, schedules: &[Schedule], subjects: &[SubjectId]) -> Vec<(Case, &'a str)> {
        let case = |settings, schedule, subject: &SubjectId| Case {
            model: self.model.into(),
            weights: self.weights.into(),
            prompt: prompt.into(),
            schedule,
            settings,
            subject: subject.clone(),
        };
        let mut cases = Vec::new();
        for settings in Settings::ALL {
            for &schedule in schedules {
                cases.extend(subjects.iter().map(|subject| (case(settings, schedule, subject), self.architecture)));
            }
        }
        cases
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_not_there_has_cases() {
        let names = ModelNames { model: "m", weights: "f32", architecture: "llama" };
        let subjects = ["candle@cpu".parse().unwrap(), "llama-cpp@cpu".parse().unwrap()];
        let cases = names.cases("p", &[Schedule::SingleShot], &subjects);
        let told: Vec<_> = cases.iter().map(|(case, architecture)| format!("{case} {architecture}")).collect();
        assert_eq!(
            told,
            [
                "m/f32/p/single-shot/default/candle@cpu llama",
                "m/f32/p/single-shot/default/llama-cpp@cpu llama",
                "m/f32/p/single-shot/strict/candle@cpu llama",
                "m/f32/p/single-shot/strict/llama-cpp@cpu llama"
            ]
        );
    }
}
