//! GPUs that are emulated on the CPU: which they are, and what is spared them.

use record::SubjectRecord;
use std::collections::BTreeSet;
use supply::prompts::Prompt;
use vocabulary::SubjectId;

/// Those of a run. They take seconds a token.
#[derive(Debug, Clone, Default)]
pub struct Emulated(BTreeSet<SubjectId>);

impl Emulated {
    /// Those whose workers say so.
    pub fn among(records: &[SubjectRecord]) -> Self {
        let emulated = records.iter().filter(|record| record.description.software);
        Self(emulated.map(|record| record.subject.clone()).collect())
    }

    /// True for one of them.
    pub fn has(&self, subject: &SubjectId) -> bool {
        self.0.contains(subject)
    }

    /// True where a subject gets a prompt: these get the short ones.
    pub fn gets(&self, subject: &SubjectId, prompt: &Prompt) -> bool {
        prompt.short || !self.has(subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::{Description, Settings};

    #[test]
    fn they_get_the_short_prompts() {
        let [real, emulated] = ["candle@cuda0", "llama-cpp@vulkan0"].map(|id| id.parse::<SubjectId>().unwrap());
        let record = |subject: &SubjectId, software| SubjectRecord {
            subject: subject.clone(),
            settings: Settings::Strict,
            description: Description { software, ..Description::default() },
            unavailable: None,
        };
        let found = Emulated::among(&[record(&real, false), record(&emulated, true)]);
        let [short, long] = [true, false].map(|short| Prompt { name: "p".into(), tokens: vec![1], short });
        assert!(found.gets(&real, &short) && found.gets(&real, &long) && found.gets(&emulated, &short));
        assert!(!found.gets(&emulated, &long));
    }
}
