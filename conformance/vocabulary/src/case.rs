//! What is run: subjects, schedules, settings, and the case that names one of each.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range, str::FromStr};
use strum::{Display, IntoStaticStr};

/// A runtime on a device, such as `llama-cpp@cpu` or `candle@cuda0`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SubjectId {
    runtime: String,
    device: String,
}

impl SubjectId {
    /// The subject of `runtime` on `device`.
    ///
    /// # Errors
    /// Where either is empty or has a character that does not fit an id: letters, digits, `-`, `_` and `.` do.
    pub fn new(runtime: &str, device: &str) -> Result<Self, String> {
        let fits = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        if fits(runtime) && fits(device) {
            Ok(Self { runtime: runtime.into(), device: device.into() })
        } else {
            Err(format!("`{runtime}@{device}` is not a subject: expected RUNTIME@DEVICE, such as llama-cpp@cpu"))
        }
    }

    /// The runtime's name, such as `llama-cpp`.
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// The device's name, such as `cpu` or `vulkan0`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The kind of its device, without a number: what limits are calibrated for.
    pub fn device_kind(&self) -> &str {
        self.device.trim_end_matches(|c: char| c.is_ascii_digit())
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.runtime, self.device)
    }
}

impl FromStr for SubjectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (runtime, device) = text.split_once('@').unwrap_or((text, ""));
        Self::new(runtime, device)
    }
}

impl TryFrom<String> for SubjectId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SubjectId> for String {
    fn from(id: SubjectId) -> Self {
        id.to_string()
    }
}

/// How a prompt's tokens are fed to a session. What a position's logits are does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Schedule {
    /// All tokens in one call.
    SingleShot,
    /// One call a token.
    TokenByToken,
    /// Two calls, of which the second begins at this position.
    Split(u32),
    /// A quarter of the tokens in one call, a quarter one by one, and the rest in one call that is longer than the first.
    DecodeThenChunk,
    /// All tokens in one call, in a session that has had another prompt and was cleared.
    AfterClear,
    /// All tokens in one call, which has two other sequences beside them.
    Together,
}

impl Schedule {
    /// The two that every run has, in the order tables show them.
    pub const OF_EVERY_RUN: [Self; 2] = [Self::SingleShot, Self::TokenByToken];

    /// Every schedule that a prompt of `len` tokens can be fed by, in the order tables show them.
    pub fn all(len: usize) -> Vec<Self> {
        let mut all = Self::OF_EVERY_RUN.to_vec();
        all.extend((1..len).map(|at| Self::Split(at as u32)));
        if len >= 4 {
            all.push(Self::DecodeThenChunk);
        }
        all.extend([Self::AfterClear, Self::Together]);
        all
    }

    /// The calls for a prompt of `len` tokens, as ranges of positions.
    pub fn calls(self, len: usize) -> Vec<Range<usize>> {
        let ends: Vec<usize> = match self {
            Self::SingleShot | Self::AfterClear | Self::Together => vec![len],
            Self::TokenByToken => (1..=len).collect(),
            Self::Split(at) => vec![(at as usize).min(len), len],
            Self::DecodeThenChunk => {
                let quarter = len / 4;
                (quarter..=2 * quarter).chain([len]).collect()
            }
        };
        let starts = std::iter::once(0).chain(ends.clone());
        starts.zip(ends).map(|(start, end)| start..end).filter(|call| !call.is_empty()).collect()
    }

    /// True where a call of several tokens finds a cache that is not empty.
    pub fn chunks_into_cache(self) -> bool {
        matches!(self, Self::Split(_) | Self::DecodeThenChunk)
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&match self {
            Self::SingleShot => "single-shot".into(),
            Self::TokenByToken => "token-by-token".into(),
            Self::Split(at) => format!("split-{at}"),
            Self::DecodeThenChunk => "decode-then-chunk".into(),
            Self::AfterClear => "after-clear".into(),
            Self::Together => "together".to_owned(),
        })
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name.strip_prefix("split-").map(str::parse) {
            Some(Ok(at)) if at > 0 => return Ok(Self::Split(at)),
            Some(_) => return Err(format!("`{name}` splits nowhere: expected a position after 0, such as split-3")),
            None => {}
        }
        let others = [Self::SingleShot, Self::TokenByToken, Self::DecodeThenChunk, Self::AfterClear, Self::Together];
        let found = others.into_iter().find(|known| known.to_string() == name);
        found.ok_or_else(|| {
            let names = others.map(|known| known.to_string()).join(", ");
            format!("`{name}` is none of {names}, split-1, split-2, ...")
        })
    }
}

impl TryFrom<String> for Schedule {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Schedule> for String {
    fn from(schedule: Schedule) -> Self {
        schedule.to_string()
    }
}

/// What a worker can be started with that must not change a result by more than rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tuning {
    /// Threads, where not as many as the settings say.
    pub threads: Option<u32>,
    /// Tokens that one call of the runtime takes.
    pub batch: Option<u32>,
    /// Tokens that the runtime computes together.
    pub micro_batch: Option<u32>,
}

/// How exactly a runtime is asked to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Settings {
    /// What a user gets who changes nothing but the number of threads.
    Default,
    /// As exact as the runtime can be made.
    Strict,
}

impl Settings {
    /// Every setting.
    pub const ALL: [Self; 2] = [Self::Default, Self::Strict];

    /// The name as it stands in case ids.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

impl FromStr for Settings {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|known| known.name() == name);
        found.ok_or_else(|| format!("`{name}` is none of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// One thing to run. Its display is its id: the filter, the golden's path, the report's anchor and the replay argument.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Case {
    /// A pinned model's name, or the architecture of a generated one.
    pub model: String,
    /// The model's weight type.
    pub weights: String,
    /// The prompt's name.
    pub prompt: String,
    /// How the prompt is fed.
    pub schedule: Schedule,
    /// How exactly the runtime computes.
    pub settings: Settings,
    /// The runtime and its device.
    pub subject: SubjectId,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, weights, prompt, schedule, settings, subject } = self;
        write!(f, "{model}/{weights}/{prompt}/{schedule}/{settings}/{subject}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_cover_the_prompt_once() {
        let calls = |schedule: Schedule, len| schedule.calls(len);
        assert_eq!(calls(Schedule::SingleShot, 3), vec![0..3; 1]);
        assert_eq!(calls(Schedule::TokenByToken, 3), [0..1, 1..2, 2..3]);
        assert_eq!(calls(Schedule::Split(2), 3), [0..2, 2..3]);
        assert_eq!(calls(Schedule::DecodeThenChunk, 8), [0..2, 2..3, 3..4, 4..8]);
        for len in 1..12 {
            for schedule in Schedule::all(len) {
                let calls = calls(schedule, len);
                assert_eq!(calls.iter().flat_map(Clone::clone).collect::<Vec<_>>(), (0..len).collect::<Vec<_>>(), "{schedule}");
            }
        }
        assert!(calls(Schedule::SingleShot, 0).is_empty());
    }

    #[test]
    fn schedules_parse_and_print() {
        for schedule in Schedule::all(6) {
            assert_eq!(schedule.to_string().parse(), Ok(schedule));
        }
        for wrong in ["split-0", "split-x", "split", "Single-Shot", ""] {
            assert!(wrong.parse::<Schedule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn subjects_parse_and_print() {
        let id: SubjectId = "llama-cpp@vulkan0".parse().unwrap();
        assert_eq!((id.runtime(), id.device(), id.to_string().as_str()), ("llama-cpp", "vulkan0", "llama-cpp@vulkan0"));
        for wrong in ["llama-cpp", "@cpu", "a@", "a@b@c", "a/b@cpu"] {
            assert!(wrong.parse::<SubjectId>().is_err(), "{wrong}");
        }
    }
}
