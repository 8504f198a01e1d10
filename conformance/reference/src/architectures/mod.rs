//! One module an architecture, each a specification of its forward pass. To add one, write its module and list it in [`load`].

mod gemma3;
mod llama;

use crate::{Matrix, Rounding, Rows, Weights};
use vocabulary::Refusal;

/// The forward pass of one loaded model.
pub trait Architecture: Send + Sync {
    /// Takes a prompt, which begins at position 0, through all layers and the last norm: one row a position.
    fn hidden(&self, tokens: &[u32], rounding: Rounding) -> Rows;

    /// The matrix from the last norm to the logits.
    fn output(&self) -> Matrix<'_>;

    /// What is done to a logit after the output matrix.
    fn logit(&self, x: f64) -> f64 {
        x
    }

    /// The longest prompt the model allows.
    fn context_length(&self) -> usize;
}

/// The architectures the reference knows.
pub const KNOWN: [&str; 2] = ["gemma3", "llama"];

/// Reads the model that `weights` holds.
///
/// # Errors
/// [`Refusal::Unsupported`] for an architecture, key or tensor the reference does not know; a rejection where something is missing.
pub fn load<'a>(weights: &Weights<'a>) -> Result<Box<dyn Architecture + 'a>, Refusal> {
    let model: Box<dyn Architecture + 'a> = match weights.architecture() {
        "llama" => Box::new(llama::Llama::load(weights)?),
        "gemma3" => Box::new(gemma3::Gemma3::load(weights)?),
        other => {
            let known = KNOWN.join(", ");
            return Err(Refusal::Unsupported(format!("the reference has no architecture `{other}`; it has {known}")));
        }
    };
    weights.finish()?;
    Ok(model)
}

/// The embeddings of `tokens`, each multiplied by `scale`.
fn embed(table: &Matrix<'_>, tokens: &[u32], scale: f64) -> Rows {
    let data = tokens.iter().flat_map(|&token| table.row(token as usize)).map(|x| x * scale).collect();
    Rows { width: table.columns, data }
}

/// Heads and sizes of an attention layer, as every architecture's keys give them.
struct Heads {
    heads: usize,
    kv_heads: usize,
    head: usize,
}

impl Heads {
    fn load(weights: &Weights<'_>, width: usize) -> Result<Self, Refusal> {
        let heads = weights.count("attention.head_count")?;
        let kv_heads = weights.count_or("attention.head_count_kv", heads)?;
        let head = weights.count_or("attention.key_length", width / heads)?;
        let value = weights.count_or("attention.value_length", head)?;
        if kv_heads == 0 || head == 0 || !heads.is_multiple_of(kv_heads) || !head.is_multiple_of(2) || value != head {
            return Err(Refusal::Unsupported(format!(
                "{heads} query heads on {kv_heads} key heads of {head} (values {value}) are no layout the reference knows"
            )));
        }
        Ok(Self { heads, kv_heads, head })
    }
}

/// The factor on positions that `rope.scaling.*` asks for: 1, or the inverse of a linear factor.
fn linear_scaling(weights: &Weights<'_>) -> Result<f64, Refusal> {
    // A factor of 0 means none, as in llama.cpp.
    let factor = Some(weights.real_or("rope.scaling.factor", 1.0)?).filter(|&factor| factor != 0.0).unwrap_or(1.0);
    match weights.text("rope.scaling.type")? {
        None | Some("linear") => Ok(1.0 / factor),
        Some("none") => Ok(1.0),
        Some(other) => Err(Refusal::Unsupported(format!("the reference does not know rope scaling `{other}`"))),
    }
}
