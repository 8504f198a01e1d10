//! Which faults a model can have: of what its file says, of its tensors, and of the steps of its pass.

use crate::faults::{
    Fault, Kind,
    files::{Edit, Number},
    known,
    steps::Step,
};
use gguf::{File, Value, WeightType};
use machine::Error;
use reference::{
    Weights, architectures,
    layers::{Block, FeedForward, Mixer, Model as Loaded, SelfAttention},
    operations::{Activation, Norm, NormKind, Rotary},
};
use smith::Recipe;

/// Numbers that a file may leave to its architecture, and what a runtime would be wrong to take.
const LEFT_TO_THE_ARCHITECTURE: &[(&[&str], &str, Number)] = &[
    (&["gemma3"], "attention.sliding_window_pattern", Number::Count(5)),
    (&["gemma3"], "rope.freq_base_swa", Number::Real(11_000.0)),
    (&["gemma3"], "final_logit_softcapping", Number::Real(30.0)),
    (&["gemma2"], "attention.sliding_window_pattern", Number::Count(3)),
    (STRETCHED, "rope.scaling.attn_factor", Number::Real(1.1)),
];

/// Architectures that have a factor on what rotates.
const STRETCHED: &[&str] =
    &["llama", "qwen2", "qwen3", "qwen3moe", "phi2", "phi3", "glm4", "lfm2", "smollm3", "olmo2", "granite"];

/// Tensors that are of one shape, and easily taken for each other.
const MIXED_UP: [(&str, &str); 6] = [
    ("ffn_gate.weight", "ffn_up.weight"),
    ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
    ("attn_norm.weight", "ffn_norm.weight"),
    ("attn_q_norm.weight", "attn_k_norm.weight"),
    ("attn_k.weight", "attn_v.weight"),
    ("post_attention_norm.weight", "post_ffw_norm.weight"),
];

/// A step, its name, and whether a model has it.
type StepRow = (Step, &'static str, fn(&Loaded<'_>) -> bool);

/// The faults of steps: what is wrong, in words, and which models can have it. To add one, add it to [`Step`] and here.
const STEPS: &[StepRow] = &[
    (Step::ChunkSeesItsFuture, "a chunk after the first sees all of its own tokens", |_| true),
    (Step::ChunkWithoutCache, "a chunk after the first does not see the cache", |_| true),
    (Step::DecodeLostToChunks, "chunks do not see what single tokens left in the cache", |_| true),
    (Step::StaleCache, "a cleared session still has its old keys and values", |_| true),
    (Step::SeesNext, "positions see one position ahead", |_| true),
    (Step::BlindToItself, "positions do not see themselves", |_| true),
    (Step::ScoresUnscaled, "attention scores are not scaled", |_| true),
    (Step::ScoresScaledTwice, "attention scores are scaled twice", |_| true),
    (Step::NoActivation, "the activation is left out", |_| true),
    (Step::OtherActivation, "SiLU instead of GELU, or the other way round", |_| true),
    (Step::HeadsInterleaved, "query heads take the wrong key heads", shares_heads),
    (Step::WindowBy(1), "windows are one position too wide", has_window),
    (Step::WindowBy(-1), "windows are one position too narrow", has_window),
    (Step::NoWindow, "windows are ignored", has_window),
    (Step::NoWindowInDecode, "windows are ignored in calls of one token", has_window),
    (Step::ScoresUncapped, "attention scores are not capped", caps_scores),
    (Step::OtherPairs, "halves rotate together instead of adjacent elements, or the other way round", rotates),
    (Step::NoRotation, "nothing rotates", rotates),
    (Step::RotationReversed, "everything rotates the other way", rotates),
    (Step::HalfPrecisionRotation, "angles, sines and cosines are in f16", rotates),
    (Step::HalfPrecisionFrequencies, "frequencies are in f16", rotates),
    (Step::PositionsFromOne, "positions begin at 1", rotates),
    (Step::PositionsByCall, "positions begin again with every call", rotates),
    (Step::MagnitudeForgotten, "the factor on what rotates is forgotten", has_magnitude),
    (Step::OtherFrequencies, "frequencies of long prompts are taken for short ones", has_long_frequencies),
    (Step::ConvolutionForgets, "a convolution forgets what was before a chunk", has_convolution),
    (Step::ConvolutionReversed, "a convolution has its factors in the other order", has_convolution),
    (Step::GeluByErrorFunction, "GELU by the error function instead of its tanh form", has_gelu),
    (Step::ExpertsUnnormalised, "the weights of the chosen experts are not divided by their sum", has_experts),
    (Step::ExpertsEqual, "all chosen experts weigh the same", has_experts),
    (Step::ExpertsReversed, "the least likely experts are chosen", has_experts),
    (Step::EmbeddingUnscaled, "embeddings are not scaled", |model| model.embedding.scale.to_bits() != 1f64.to_bits()),
    (Step::LogitsUncapped, "logits are not capped", |model| model.finish.soft_cap.is_some()),
    (Step::LogitsMultiplied, "logits are multiplied by what they should be divided by", |model| model.finish.divisor.is_some()),
    (Step::MeanKept, "norms do not subtract the mean", |model| model.norm.kind == NormKind::Layer),
];

/// Norms that can be skipped, by the ends of their names.
const NORMS: [&str; 8] = [
    "attn_norm",
    "attn_q_norm",
    "attn_k_norm",
    "post_attention_norm",
    "ffn_norm",
    "post_ffw_norm",
    "output_norm",
    "token_embd_norm",
];

fn fault(name: &str, meaning: &str, kind: Kind) -> Fault {
    Fault { name: name.into(), meaning: meaning.into(), kind }
}

/// Every fault that a model can have.
///
/// # Errors
/// Where the bytes are no model the reference knows.
pub(super) fn faults_of(bytes: &[u8]) -> Result<Vec<Fault>, Error> {
    let broken = |why: String| Error::input("a tiny model", why, "report this as a bug");
    let file = File::lenient(bytes).map_err(|finding| broken(finding.to_string()))?;
    let mut faults = keys(&file).map_err(|finding| broken(finding.to_string()))?;
    faults.extend(tensors(&file));
    let weights = Weights::new(file).map_err(|refusal| broken(super::words(refusal)))?;
    let model = architectures::load(&weights).map_err(|refusal| broken(super::words(refusal)))?;
    faults.extend(steps(&model));
    Ok(faults)
}

/// The faults of these names that a model can have.
///
/// # Errors
/// Where the model has no such fault.
pub(super) fn named(bytes: &[u8], names: &[String]) -> Result<Vec<Fault>, Error> {
    let mut all = faults_of(bytes)?;
    all.extend(known::faults());
    let find = |name: &String| {
        let found = all.iter().find(|fault| fault.name == *name).cloned();
        found.ok_or_else(|| Error::input(name, "the model has no such fault", "`ggauge faults --verbose` lists them"))
    };
    names.iter().map(find).collect()
}

/// Every number of the file nudged, and those that it leaves to the architecture.
fn keys(file: &File<'_>) -> Result<Vec<Fault>, gguf::Finding> {
    let architecture = file.architecture()?;
    let mut faults = Vec::new();
    let own = format!("{architecture}.");
    let has = |suffix: &str| file.metadata().get(&format!("{own}{suffix}")).is_some();
    let mut add = |suffix: &str, number: Number, meaning: String| {
        faults.push(fault(&format!("key:{suffix}"), &meaning, Kind::File(Edit::Key(suffix.into(), number))));
    };
    for (key, value) in file.metadata().iter() {
        let key = key.to_string();
        let Some(suffix) = key.strip_prefix(&own) else { continue };
        let Some((number, words)) = nudged(suffix, &value) else { continue };
        add(suffix, number, format!("{suffix} is {words}"));
    }
    for (architectures, suffix, number) in LEFT_TO_THE_ARCHITECTURE {
        if architectures.contains(&architecture) && !has(suffix) {
            add(suffix, *number, format!("{suffix}, which the file does not give, is {number:?}"));
        }
    }
    if has("rope.scaling.type") {
        let keys = ["rope.scaling.type", "rope.scaling.factor"].map(String::from).to_vec();
        faults.push(fault("scaling-ignored", "positions are not stretched", Kind::File(Edit::WithoutKeys(keys))));
    }
    faults.push(fault("last-layer-left-out", "the last layer is left out", Kind::File(Edit::WithoutLastLayer)));
    Ok(faults)
}

/// A number of the file that is off, with words for it; `None` where it is no number, or one that faults of steps are about.
fn nudged(suffix: &str, value: &Value<'_>) -> Option<(Number, String)> {
    let (number, words) = match *value {
        Value::U32(_) if ["block_count", "attention.sliding_window"].contains(&suffix) => return None,
        Value::U32(value) => {
            let nudged = match suffix {
                "expert_used_count" => value - 1,
                "rope.dimension_count" | "attention.head_count_kv" => value / 2,
                "attention.head_count" | "rope.scaling.original_context_length" => value * 2,
                _ => value + 1,
            };
            (Number::Count(nudged), format!("{nudged} instead of {value}"))
        }
        Value::F32(value) => {
            let nudged = if suffix.ends_with("epsilon") { value * 10.0 } else { value * 1.1 };
            (Number::Real(nudged), format!("{nudged} instead of {value}"))
        }
        Value::Bool(value) => (Number::Flag(!value), format!("{} instead of {value}", !value)),
        _ => return None,
    };
    Some((number, words))
}

/// A tensor's name without the number of its layer.
fn part_of(name: &str) -> String {
    match name.strip_prefix("blk.").and_then(|rest| rest.split_once('.')) {
        Some((_, part)) => part.into(),
        None => name.into(),
    }
}

fn parts(file: &File<'_>) -> Vec<(String, usize, WeightType)> {
    let mut parts: Vec<(String, usize, WeightType)> = Vec::new();
    for tensor in file.tensors() {
        let part = part_of(&tensor.name.to_string());
        if !parts.iter().any(|(known, ..)| *known == part) {
            parts.push((part, tensor.dimensions.len(), tensor.weight_type));
        }
    }
    parts
}

fn tensors(file: &File<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let parts = parts(file);
    let has = |name: &str| parts.iter().any(|(part, ..)| part == name);
    for (part, dimensions, _) in &parts {
        if *dimensions > 1 {
            faults.push(fault(
                &format!("rows-off-by-one:{part}"),
                &format!("the rows of {part} are off by one"),
                Kind::File(Edit::RowsOffByOne(part.clone())),
            ));
        } else if part.rsplit_once('.').is_some_and(|(_, kind)| kind == "bias") {
            let edit = Edit::Constant(part.clone(), 0.0);
            faults.push(fault(&format!("forgotten:{part}"), &format!("{part} is forgotten"), Kind::File(edit)));
        } else {
            let edit = Edit::Constant(part.clone(), 1.0);
            faults.push(fault(&format!("ones:{part}"), &format!("{part} is taken for ones"), Kind::File(edit)));
        }
    }
    if has("output.weight") {
        faults.push(fault("tied", "the embedding is taken for the output", Kind::File(Edit::Tied)));
    } else {
        let meaning = "the output is not the embedding, but off by one row";
        faults.push(fault("not-tied", meaning, Kind::File(Edit::NotTied)));
    }
    for (a, b) in MIXED_UP {
        if has(a) && has(b) {
            let meaning = format!("{a} and {b} are taken for each other");
            faults.push(fault(&format!("swapped:{a}"), &meaning, Kind::File(Edit::Swapped(a, b))));
        }
    }
    faults
}

/// A block's nibbles swapped, in every matrix that has blocks.
pub(super) fn nibbles(bytes: &[u8]) -> Result<Vec<Fault>, Error> {
    let broken = |finding: gguf::Finding| Error::input("a tiny model", finding, "report this as a bug");
    let file = File::lenient(bytes).map_err(broken)?;
    let in_blocks = parts(&file).into_iter().filter(|(.., weight_type)| weight_type.is_quantized());
    let made = in_blocks.map(|(part, ..)| {
        let meaning = format!("one block of {part} has the halves of its bytes swapped");
        fault(&format!("nibbles-swapped:{part}"), &meaning, Kind::File(Edit::NibblesSwapped(part.clone())))
    });
    Ok(made.collect())
}

fn steps(model: &Loaded<'_>) -> Vec<Fault> {
    let fault = |step: Step, meaning: String| Fault { name: step.name(), meaning, kind: Kind::Step(step) };
    let of_steps = STEPS.iter().filter(|(.., can_have)| can_have(model)).map(|&(step, meaning, _)| fault(step, meaning.into()));
    let norms = NORMS.into_iter().filter(|norm| has_norm(model, norm));
    of_steps.chain(norms.map(|norm| fault(Step::NormSkipped(norm), format!("{norm} is skipped")))).collect()
}

fn attentions<'m>(model: &'m Loaded<'_>) -> impl Iterator<Item = &'m SelfAttention<'m>> {
    model.blocks.iter().filter_map(|block| if let Mixer::Attention(attention) = &block.mixer { Some(attention) } else { None })
}

fn rotaries<'m>(model: &'m Loaded<'_>) -> impl Iterator<Item = &'m Rotary> {
    attentions(model).filter_map(|attention| attention.rotary.as_ref())
}

fn shares_heads(model: &Loaded<'_>) -> bool {
    attentions(model).any(|a| a.attention.kv_heads > 1 && a.attention.kv_heads < a.attention.heads)
}

fn has_window(model: &Loaded<'_>) -> bool {
    attentions(model).any(|a| a.attention.window.is_some())
}

fn caps_scores(model: &Loaded<'_>) -> bool {
    attentions(model).any(|a| a.attention.soft_cap.is_some())
}

fn rotates(model: &Loaded<'_>) -> bool {
    rotaries(model).next().is_some()
}

fn has_magnitude(model: &Loaded<'_>) -> bool {
    rotaries(model).any(|rotary| rotary.magnitude.to_bits() != 1f64.to_bits())
}

fn has_long_frequencies(model: &Loaded<'_>) -> bool {
    rotaries(model).any(|rotary| rotary.long.is_some())
}

fn has_convolution(model: &Loaded<'_>) -> bool {
    model.blocks.iter().any(|block| matches!(block.mixer, Mixer::Convolution(_)))
}

fn has_gelu(model: &Loaded<'_>) -> bool {
    let is_gelu = |forward: &FeedForward<'_>| {
        matches!(
            forward,
            FeedForward::Gated { activation: Activation::GeluTanh, .. }
                | FeedForward::Plain { activation: Activation::GeluTanh, .. }
        )
    };
    model.blocks.iter().any(|block| is_gelu(&block.feed_forward))
}

fn has_experts(model: &Loaded<'_>) -> bool {
    model.blocks.iter().any(|block| matches!(block.feed_forward, FeedForward::Experts { .. }))
}

fn has_norm(model: &Loaded<'_>, name: &str) -> bool {
    let ends = |norm: &Norm| norm.name == name || norm.name.ends_with(&format!(".{name}"));
    let of_block = |block: &Block<'_>| {
        let around =
            [&block.mixer_norms, &block.feed_forward_norms].into_iter().flat_map(|norms| [&norms.before, &norms.after]);
        let of_heads = match &block.mixer {
            Mixer::Attention(attention) => attention.norms.as_ref().is_some_and(|norms| norms.iter().any(ends)),
            Mixer::Convolution(_) => false,
        };
        of_heads || around.flatten().any(ends)
    };
    ends(&model.norm) || model.blocks.iter().any(of_block)
}

/// Why a fault changes nothing, where that can be proved.
pub(super) fn equivalent(recipe: &Recipe, fault: &Fault) -> Option<&'static str> {
    let model = recipe.model();
    match &fault.kind {
        Kind::Step(Step::PositionsFromOne) => {
            Some("scores depend on the distance of two positions alone, which does not change (Su et al., arXiv 2104.09864)")
        }
        Kind::File(Edit::Key(key, _)) => match key.as_str() {
            "rope.freq_base" | "rope.scaling.attn_factor" if model.contains("rotates=0") => {
                Some("nothing rotates in this model (rope.scaling.finetuned is false)")
            }
            "context_length" => Some("it bounds the length of prompts and takes no part in the pass"),
            "vocab_size" => Some("it repeats the number of rows of the embedding, which is what is used"),
            "feed_forward_length" if model.starts_with("qwen3moe") => {
                Some("experts have a width of their own, expert_feed_forward_length; the dense width is not used")
            }
            "rope.scaling.original_context_length" if model.contains("linear") => {
                Some("linear stretching is the same at every length")
            }
            _ => None,
        },
        _ => None,
    }
}
