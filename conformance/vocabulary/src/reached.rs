//! How far a runtime came with a file: what fuzzers count, so that nobody takes a run that never left the first check for a good one.

/// The furthest stage that was completed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::VariantArray)]
pub enum Reached {
    /// The header was refused.
    Nothing,
    /// The header was read, and the model refused.
    Header,
    /// The model was loaded with its tensor data, and the first token refused.
    Loaded,
    /// One token was evaluated, and the second refused.
    OneToken,
    /// Two tokens were evaluated.
    TwoTokens,
}

impl Reached {
    /// Every stage.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The stage in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Nothing => "header refused",
            Self::Header => "model refused",
            Self::Loaded => "loaded, first token refused",
            Self::OneToken => "one token, second refused",
            Self::TwoTokens => "two tokens evaluated",
        }
    }
}
