//! The numbers that a recipe can change, with their defaults. Groups that several architectures have stand here.

use std::fmt;

/// A hyper-parameter of an architecture: a number, a switch (0 or 1), or one of several words.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Parameter {
    /// Its name in recipes.
    pub name: &'static str,
    /// Its value where the recipe gives none. A word's value is its place among `words`.
    pub default: f64,
    /// The words it can be, if it is not a number.
    pub words: &'static [&'static str],
    /// False for counts and switches, which are whole.
    pub is_real: bool,
    /// What it means.
    pub meaning: &'static str,
}

impl Parameter {
    /// A count or a switch.
    pub(crate) const fn new(name: &'static str, default: f64, meaning: &'static str) -> Self {
        Self { name, default, words: &[], is_real: false, meaning }
    }

    /// A number that need not be whole.
    pub(crate) const fn real(name: &'static str, default: f64, meaning: &'static str) -> Self {
        Self { name, default, words: &[], is_real: true, meaning }
    }

    /// The value that a text in a recipe stands for.
    pub(crate) fn parse(&self, text: &str) -> Result<f64, String> {
        if !self.words.is_empty() {
            let place = self.words.iter().position(|word| *word == text);
            return place.map(|place| place as f64).ok_or_else(|| format!("{} is one of {}", self.name, self.words.join(", ")));
        }
        let value: f64 = text.parse().map_err(|error| format!("{}: {error}", self.name))?;
        // Counts beyond this make files that nobody wants, and numbers that are none make no model.
        if !(value.is_finite() && (0.0..=1e9).contains(&value)) {
            return Err(format!("{} is a number from 0 to 1000000000", self.name));
        }
        if !self.is_real && value.fract() != 0.0 {
            return Err(format!("{} is a whole number", self.name));
        }
        Ok(value)
    }

    /// A value as recipes have it.
    pub(crate) fn text(&self, value: f64) -> String {
        self.words.get(value as usize).map_or_else(|| value.to_string(), |word| (*word).to_owned())
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.text(self.default))
    }
}

/// What every architecture has.
pub(crate) const SIZES: &[Parameter] = &[
    Parameter::new("layers", 2.0, "number of layers"),
    Parameter::new("width", 0.0, "width of the stream; 0: 64, or the length of a block where that is more"),
    Parameter::new("heads", 4.0, "query heads"),
    Parameter::new("kv-heads", 2.0, "key and value heads"),
    Parameter::new("hidden", 0.0, "width of the feed-forward part; 0: twice the width of a block's least stream"),
    Parameter::new("context", 512.0, "longest prompt"),
];

/// Of architectures whose heads can be of any size.
pub(crate) const HEAD: Parameter = Parameter::new("head", 0.0, "elements of a head; 0: width over heads");

/// The rotary embedding.
pub(crate) const ROTATION: &[Parameter] = &[
    Parameter::real("rope-base", 10_000.0, "base of the frequencies"),
    Parameter {
        name: "rope-scaling",
        default: 0.0,
        words: &["none", "linear", "yarn"],
        is_real: false,
        meaning: "how positions are stretched: none, linear, yarn",
    },
    Parameter::real("rope-factor", 4.0, "by how much positions are stretched"),
    Parameter::new("rope-context", 16.0, "context before stretching"),
    Parameter::real("rope-magnitude", 1.0, "factor on what rotates"),
];

/// Of architectures that rotate part of each head.
pub(crate) const ROTATED: Parameter = Parameter::real("rotated", 0.5, "part of each head that rotates");

/// Of architectures with root-mean-square norms, and layer norms.
pub(crate) const EPSILON: Parameter = Parameter::real("epsilon", 1e-5, "epsilon of the norms");

/// Of architectures whose output may be the embedding.
pub(crate) const TIED: Parameter = Parameter::new("tied", 0.0, "1: the output is the embedding");

/// Of architectures that may have biases on queries, keys and values.
pub(crate) const BIASES: Parameter = Parameter::new("biases", 0.0, "1: queries, keys and values have biases");

/// Of architectures with sliding windows.
pub(crate) const WINDOW: Parameter = Parameter::new("window", 16.0, "positions that a sliding layer sees; 0: all");

/// Of mixtures of experts.
pub(crate) const EXPERTS: &[Parameter] = &[
    Parameter::new("experts", 0.0, "number of experts; 0: none, one dense feed-forward part"),
    Parameter::new("experts-used", 2.0, "experts that a position goes to"),
];
