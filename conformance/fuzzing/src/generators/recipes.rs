//! A random valid model, how it is run and on what.

use gguf::WeightType;
use smith::{Architecture, Parameter, Recipe};
use vocabulary::{Schedule, Settings};

/// Values that a count or a switch is drawn from. What does not fit the other numbers is no recipe, and costs nothing.
const COUNTS: [u32; 14] = [0, 1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 64, 128];
/// Factors on the default of a number that need not be whole: far from it, models compute what nobody's do, and noise is all there is.
const FACTORS: [f64; 8] = [0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 4.0, 10.0];
/// Values where that default is 0.
const REALS: [f64; 4] = [0.5, 2.0, 5.0, 500.0];
/// The most hyper-parameters that differ from their defaults.
const CHANGES: usize = 3;
/// The longest prompt: beyond the windows that recipes have.
const LONGEST_PROMPT: usize = 24;

/// A model, how it is run, and on what.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeCase {
    /// The model.
    pub recipe: Recipe,
    /// How its prompt is fed.
    pub schedule: Schedule,
    /// How exactly the runtimes compute.
    pub settings: Settings,
    /// The prompt's length.
    pub len: usize,
}

impl RecipeCase {
    /// The case that an input stands for; `None` where its numbers do not fit each other. Zeros are the first architecture as it is.
    pub fn draw(input: &[u8]) -> Option<Self> {
        let byte = |at: usize| usize::from(input.get(at).copied().unwrap_or(0));
        let architecture = *Architecture::ALL.get(byte(0) % Architecture::ALL.len())?;
        // Half of them exact, because there the limits are close.
        let weights = match byte(1) {
            0..128 => WeightType::F32,
            number => *Recipe::WEIGHTS.get(number % Recipe::WEIGHTS.len())?,
        };
        let len = 1 + byte(2) % LONGEST_PROMPT;
        let schedules = Schedule::all(len);
        let schedule = *schedules.get(byte(3) % schedules.len())?;
        let settings = if byte(4) & 1 == 0 { Settings::Strict } else { Settings::Default };
        // Seeds of tests, and none that limits were measured with.
        let seed = byte(5);
        let parameters: Vec<Parameter> = architecture.parameters().collect();
        let mut text = architecture.name().to_owned();
        let mut have = Vec::new();
        for change in 0..CHANGES.min(byte(6) % (CHANGES + 1)) {
            let parameter = parameters.get(byte(7 + 2 * change) % parameters.len())?;
            let number = byte(8 + 2 * change);
            if have.contains(&parameter.name) {
                continue;
            }
            have.push(parameter.name);
            let value = match parameter.words.get(number % parameter.words.len().max(1)) {
                Some(word) => (*word).to_owned(),
                None if !parameter.is_real => COUNTS.get(number % COUNTS.len())?.to_string(),
                None if parameter.default == 0.0 => REALS.get(number % REALS.len())?.to_string(),
                None => (parameter.default * FACTORS.get(number % FACTORS.len())?).to_string(),
            };
            text = format!("{text}+{}={value}", parameter.name);
        }
        let recipe = format!("{text}/{weights}@{seed}").parse().ok()?;
        Some(Self { recipe, schedule, settings, len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_and_nothing_are_a_model_as_it_is_and_many_inputs_are_recipes() {
        for input in [&[][..], &[0; 16]] {
            assert_eq!(RecipeCase::draw(input).unwrap().recipe, "llama/f32@0".parse().unwrap());
        }
        // A fixed stream of bytes (a linear congruential generator).
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let drawn = (0..1000).filter(|_| RecipeCase::draw(&std::array::from_fn::<u8, 16, _>(|_| next())).is_some()).count();
        assert!(drawn > 300, "{drawn} of 1000 inputs are recipes");
    }
}
