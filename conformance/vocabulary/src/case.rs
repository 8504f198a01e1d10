//! What is run: subjects, schedules, settings, and the case that names one of each.

use serde::{Deserialize, Serialize};
use std::{fmt, ops::Range, str::FromStr};

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

/// How a prompt's tokens are fed to a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// All tokens in one call.
    SingleShot,
    /// One call a token.
    TokenByToken,
}

impl Schedule {
    /// Every schedule, in the order tables show them.
    pub const ALL: [Self; 2] = [Self::SingleShot, Self::TokenByToken];

    /// The name as it stands in case ids.
    pub fn name(self) -> &'static str {
        match self {
            Self::SingleShot => "single-shot",
            Self::TokenByToken => "token-by-token",
        }
    }

    /// The calls for a prompt of `len` tokens, as ranges of positions.
    pub fn calls(self, len: usize) -> impl Iterator<Item = Range<usize>> {
        let step = match self {
            Self::SingleShot => len.max(1),
            Self::TokenByToken => 1,
        };
        (0..len).step_by(step).map(move |start| start..(start + step).min(len))
    }
}

/// How exactly a runtime is asked to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
        }
    }
}

macro_rules! named {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl FromStr for $type {
            type Err = String;

            fn from_str(name: &str) -> Result<Self, String> {
                let found = Self::ALL.into_iter().find(|known| known.name() == name);
                found.ok_or_else(|| format!("`{name}` is none of {}", Self::ALL.map(Self::name).join(", ")))
            }
        }
    };
}
named!(Schedule);
named!(Settings);

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
        let calls = |schedule: Schedule, len| schedule.calls(len).collect::<Vec<_>>();
        assert_eq!(calls(Schedule::SingleShot, 3), vec![0..3; 1]);
        assert_eq!(calls(Schedule::TokenByToken, 3), [0..1, 1..2, 2..3]);
        assert!(calls(Schedule::SingleShot, 0).is_empty());
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
