//! Which faults there are for a model, and which of them the matrix notices.

use crate::{
    faults::{
        Fault, Kind, evaluate,
        files::{Edit, Number},
        steps::Step,
        transcript,
    },
    matrix,
};
use gguf::{File, Value, WeightType};
use harness::{allowance, judge::oracle, progress, subjects};
use indicatif::ProgressBar;
use machine::Error;
use policy::{Expectations, Tolerances};
use rayon::prelude::*;
use reference::{
    Rounding, Rows, Weights, architectures,
    layers::{FeedForward, Mixer},
    operations::{Activation, NormKind},
};
use serde::{Deserialize, Serialize};
use smith::Recipe;
use std::{collections::BTreeSet, path::Path};
use supply::{
    models::{self, Model},
    prompts::Prompt,
};
use vocabulary::{Case, Limits, Scale, Schedule, Settings, SubjectId, Verdict};

/// What became of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Found {
    /// Some cell fails.
    Noticed {
        /// The first case that fails.
        by: String,
        /// How many times its limit was measured there.
        #[serde(with = "vocabulary::number")]
        ratio: f64,
    },
    /// An implementation with this fault refuses the file.
    Refused {
        /// Why.
        reason: String,
    },
    /// It changes nothing, for a reason that can be proved.
    Equivalent {
        /// The reason.
        reason: String,
    },
    /// No cell fails.
    Escaped {
        /// The case that comes nearest to its limit.
        nearest: String,
        /// How near.
        #[serde(with = "vocabulary::number")]
        ratio: f64,
    },
}

/// One fault in one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    /// The model.
    pub model: String,
    /// The fault's name.
    pub fault: String,
    /// What is wrong, in words.
    pub meaning: String,
    /// What became of it.
    #[serde(flatten)]
    pub found: Found,
    /// True where a quantised cell notices it too.
    pub in_quantized: bool,
}

/// Tries every fault on every model of the matrix.
///
/// # Errors
/// Where a model cannot be made or the reference cannot run it.
pub fn survey(
    filter: Option<&str>,
    tolerances: &Tolerances,
    expectations: &Expectations,
    progress: &ProgressBar,
) -> Result<Vec<Row>, Error> {
    let mut recipes = matrix::recipes(WeightType::F32);
    recipes.retain(|recipe| filter.is_none_or(|part| recipe.model().contains(part)));
    progress::count(progress, recipes.len() as u64);
    let mut rows = Vec::new();
    for recipe in recipes {
        progress.set_message(recipe.model());
        let exact = Bench::new(&recipe, tolerances, expectations)?;
        let quantized = Bench::new(&in_type(&recipe, WeightType::Q4_K)?, tolerances, expectations)?;
        let faults = faults_of(&exact.bytes)?;
        let of_recipe: Vec<Row> = faults
            .par_iter()
            .map(|fault| {
                let found = exact.find(fault);
                let in_quantized = matches!(quantized.find(fault), Found::Noticed { .. } | Found::Refused { .. });
                let found = match equivalent(&recipe, fault) {
                    Some(reason) if !matches!(found, Found::Noticed { .. }) => Found::Equivalent { reason: reason.into() },
                    _ => found,
                };
                // What hides below the noise of F32 cells and shows in quantised ones is noticed all the same.
                let found =
                    if let (Found::Escaped { .. }, true) = (&found, in_quantized) { quantized.find(fault) } else { found };
                Row { model: recipe.model(), fault: fault.name.clone(), meaning: fault.meaning.clone(), found, in_quantized }
            })
            .collect();
        rows.extend(of_recipe);
        // Faults that only codes of blocks can have.
        let in_small_blocks = Bench::new(&in_type(&recipe, WeightType::Q4_0)?, tolerances, expectations)?;
        let of_blocks = nibbles(&in_small_blocks.bytes)?;
        rows.extend(
            of_blocks
                .into_par_iter()
                .map(|fault| Row {
                    model: recipe.model(),
                    found: in_small_blocks.find(&fault),
                    fault: fault.name,
                    meaning: fault.meaning,
                    in_quantized: true,
                })
                .collect::<Vec<_>>(),
        );
        progress.inc(1);
    }
    Ok(rows)
}

/// How many faults there are to try on every model of the matrix.
///
/// # Errors
/// As [`survey`].
pub fn count() -> Result<usize, Error> {
    let mut count = 0;
    for recipe in matrix::recipes(WeightType::F32) {
        count += faults_of(&models::build(&recipe)?)?.len();
        count += nibbles(&models::build(&in_type(&recipe, WeightType::Q4_0)?)?)?.len();
    }
    Ok(count)
}

fn in_type(recipe: &Recipe, weights: WeightType) -> Result<Recipe, Error> {
    let text = format!("{}/{weights}@{}", recipe.model(), recipe.seed);
    text.parse().map_err(|error: smith::InvalidRecipe| Error::input(&text, error.why, "report this as a bug"))
}

/// Cells of one model, with their truth and their limits.
struct Bench {
    bytes: Vec<u8>,
    cells: Vec<Cell>,
}

/// One prompt on one subject: what it computes when nothing is wrong, and what it may differ by.
struct Cell {
    case: Case,
    prompt: Prompt,
    rounding: Rounding,
    truth: Vec<(u64, Vec<f32>)>,
    limits: Limits,
}

impl Bench {
    fn new(recipe: &Recipe, tolerances: &Tolerances, expectations: &Expectations) -> Result<Self, Error> {
        let model = Model::planned(recipe, Path::new(""))?;
        let bytes = models::build(recipe)?;
        let failed = |refusal| Error::input(recipe, format!("{refusal:?}"), "report this as a bug");
        let mut cells = Vec::new();
        for prompt in matrix::prompts(recipe) {
            let exact = evaluate(&bytes, &[], &prompt.tokens, Schedule::SingleShot, Rounding::EXACT).map_err(failed)?;
            let truth = transcript(&exact);
            for settings in Settings::ALL.into_iter().rev() {
                for subject in fast_subjects() {
                    let case = Case {
                        model: recipe.model(),
                        weights: recipe.weights.name().into(),
                        prompt: prompt.name.clone(),
                        schedule: Schedule::SingleShot,
                        settings,
                        subject: subject.clone(),
                    };
                    // A subject that is known to be wrong on this model notices nothing.
                    if expectations.find(&case, &model.architecture)?.is_some() {
                        continue;
                    }
                    let rounding = subjects::rounding(&subject, settings, Schedule::SingleShot);
                    let run = |rounding| evaluate(&bytes, &[], &prompt.tokens, Schedule::SingleShot, rounding).map_err(failed);
                    let why = |why| Error::input(recipe, why, "report this as a bug");
                    let scale = allowed(rounding, &truth, run, why)?;
                    let key = allowance::key(&subject, rounding, &model.architecture, model.family);
                    if let Some(limits) = tolerances.limits(&key, &scale) {
                        cells.push(Cell { case, prompt: prompt.clone(), rounding, truth: truth.clone(), limits });
                    }
                }
            }
        }
        Ok(Self { bytes, cells })
    }

    /// Tries a fault on every cell, until one fails.
    fn find(&self, fault: &Fault) -> Found {
        let mut nearest = (String::new(), 0.0);
        for cell in &self.cells {
            for schedule in schedules(fault, &cell.prompt) {
                let case = Case { schedule, ..cell.case.clone() }.to_string();
                let faults = std::slice::from_ref(fault);
                let rows = match evaluate(&self.bytes, faults, &cell.prompt.tokens, schedule, cell.rounding) {
                    Ok(rows) => rows,
                    Err(refusal) => return Found::Refused { reason: words(refusal) },
                };
                let mut candidate = transcript(&rows);
                if cell.case.subject.runtime() == "candle" {
                    // It gives the last position of each call.
                    let last: BTreeSet<u64> =
                        schedule.calls(cell.prompt.tokens.len()).into_iter().map(|call| call.end as u64 - 1).collect();
                    candidate.retain(|(position, _)| last.contains(position));
                }
                let Ok(compared) = oracle::compare_rows_of(&candidate, &cell.truth) else { continue };
                let verdict = compared.verdict(&cell.limits);
                let ratio = verdict.decisive().map_or(0.0, vocabulary::Measurement::ratio);
                if !verdict.holds() {
                    return Found::Noticed { by: case, ratio };
                }
                if ratio >= nearest.1 {
                    nearest = (case, ratio);
                }
            }
        }
        Found::Escaped { nearest: nearest.0, ratio: nearest.1 }
    }
}

fn words(refusal: vocabulary::Refusal) -> String {
    match refusal {
        vocabulary::Refusal::Rejected(rejection) => rejection.message,
        vocabulary::Refusal::Unsupported(reason) => reason,
        vocabulary::Refusal::Transcript(error) => error.to_string(),
    }
}

/// The subjects that the whole matrix is run on.
fn fast_subjects() -> Vec<SubjectId> {
    subjects::known().into_iter().filter(|subject| subject.device_kind() == "cpu" && subject.runtime() != "reference").collect()
}

/// The schedules of the matrix that a fault could show in.
fn schedules(fault: &Fault, prompt: &Prompt) -> Vec<Schedule> {
    match fault.kind {
        Kind::Step(step) if step.depends_on_calls() => matrix::schedules(prompt),
        _ => vec![Schedule::SingleShot],
    }
}

fn fault(name: &str, meaning: &str, kind: Kind) -> Fault {
    Fault { name: name.into(), meaning: meaning.into(), kind }
}

/// Every fault that a model can have.
///
/// # Errors
/// Where the bytes are no model the reference knows.
pub fn faults_of(bytes: &[u8]) -> Result<Vec<Fault>, Error> {
    let broken = |why: String| Error::input("a tiny model", why, "report this as a bug");
    let file = File::lenient(bytes).map_err(|finding| broken(finding.to_string()))?;
    let mut faults = keys(&file).map_err(|finding| broken(finding.to_string()))?;
    faults.extend(tensors(&file));
    let weights = Weights::new(file).map_err(|refusal| broken(words(refusal)))?;
    let model = architectures::load(&weights).map_err(|refusal| broken(words(refusal)))?;
    faults.extend(steps(&model));
    Ok(faults)
}

fn keys(file: &File<'_>) -> Result<Vec<Fault>, gguf::Finding> {
    let architecture = file.architecture()?;
    let mut faults = Vec::new();
    let own = format!("{architecture}.");
    let mut add = |suffix: &str, number: Number, meaning: String| {
        faults.push(fault(&format!("key:{suffix}"), &meaning, Kind::File(Edit::Key(suffix.into(), number))));
    };
    for (key, value) in file.metadata().iter() {
        let key = key.to_string();
        let Some(suffix) = key.strip_prefix(&own) else { continue };
        match value {
            Value::U32(_) if suffix == "block_count" => {}
            Value::U32(value) => {
                let nudged = match suffix {
                    "attention.sliding_window" => continue,
                    "expert_used_count" => value - 1,
                    "rope.dimension_count" | "attention.head_count_kv" => value / 2,
                    "attention.head_count" | "rope.scaling.original_context_length" => value * 2,
                    _ => value + 1,
                };
                add(suffix, Number::Count(nudged), format!("{suffix} is {nudged} instead of {value}"));
            }
            Value::F32(value) => {
                let nudged = if suffix.ends_with("epsilon") { value * 10.0 } else { value * 1.1 };
                add(suffix, Number::Real(nudged), format!("{suffix} is {nudged} instead of {value}"));
            }
            Value::Bool(value) => add(suffix, Number::Flag(!value), format!("{suffix} is {} instead of {value}", !value)),
            _ => {}
        }
    }
    // Numbers that the file leaves to the architecture.
    let defaults: &[(&str, Number)] = match architecture {
        "gemma3" => &[
            ("attention.sliding_window_pattern", Number::Count(5)),
            ("rope.freq_base_swa", Number::Real(11_000.0)),
            ("final_logit_softcapping", Number::Real(30.0)),
        ],
        "gemma2" => &[("attention.sliding_window_pattern", Number::Count(3))],
        "llama" | "qwen2" | "qwen3" | "qwen3moe" | "phi2" | "phi3" | "glm4" | "lfm2" | "smollm3" | "olmo2" | "granite" => {
            &[("rope.scaling.attn_factor", Number::Real(1.1))]
        }
        _ => &[],
    };
    for (suffix, number) in defaults {
        if file.metadata().get(&format!("{own}{suffix}")).is_none() {
            add(suffix, *number, format!("{suffix}, which the file does not give, is {number:?}"));
        }
    }
    let has = |suffix: &str| file.metadata().get(&format!("{own}{suffix}")).is_some();
    if has("rope.scaling.type") {
        let keys = ["rope.scaling.type", "rope.scaling.factor"].map(String::from).to_vec();
        faults.push(fault("scaling-ignored", "positions are not stretched", Kind::File(Edit::WithoutKeys(keys))));
    }
    faults.push(fault("last-layer-left-out", "the last layer is left out", Kind::File(Edit::WithoutLastLayer)));
    Ok(faults)
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
    for (a, b) in [
        ("ffn_gate.weight", "ffn_up.weight"),
        ("ffn_gate_exps.weight", "ffn_up_exps.weight"),
        ("attn_norm.weight", "ffn_norm.weight"),
        ("attn_q_norm.weight", "attn_k_norm.weight"),
        ("attn_k.weight", "attn_v.weight"),
        ("post_attention_norm.weight", "post_ffw_norm.weight"),
    ] {
        if has(a) && has(b) {
            let meaning = format!("{a} and {b} are taken for each other");
            faults.push(fault(&format!("swapped:{a}"), &meaning, Kind::File(Edit::Swapped(a, b))));
        }
    }
    faults
}

/// A block's nibbles swapped, in every matrix that has blocks.
fn nibbles(bytes: &[u8]) -> Result<Vec<Fault>, Error> {
    let broken = |finding: gguf::Finding| Error::input("a tiny model", finding, "report this as a bug");
    let file = File::lenient(bytes).map_err(broken)?;
    let in_blocks = parts(&file).into_iter().filter(|(.., weight_type)| weight_type.is_quantized());
    let made = in_blocks.map(|(part, ..)| {
        let meaning = format!("one block of {part} has the halves of its bytes swapped");
        fault(&format!("nibbles-swapped:{part}"), &meaning, Kind::File(Edit::NibblesSwapped(part.clone())))
    });
    Ok(made.collect())
}

fn steps(model: &reference::layers::Model<'_>) -> Vec<Fault> {
    let mut steps: Vec<(Step, &str)> = vec![
        (Step::ChunkSeesItsFuture, "a chunk after the first sees all of its own tokens"),
        (Step::ChunkWithoutCache, "a chunk after the first does not see the cache"),
        (Step::DecodeLostToChunks, "chunks do not see what single tokens left in the cache"),
        (Step::StaleCache, "a cleared session still has its old keys and values"),
        (Step::SeesNext, "positions see one position ahead"),
        (Step::BlindToItself, "positions do not see themselves"),
        (Step::ScoresUnscaled, "attention scores are not scaled"),
        (Step::ScoresScaledTwice, "attention scores are scaled twice"),
        (Step::NoActivation, "the activation is left out"),
        (Step::OtherActivation, "SiLU instead of GELU, or the other way round"),
    ];
    let attentions: Vec<_> = model
        .blocks
        .iter()
        .filter_map(|block| if let Mixer::Attention(attention) = &block.mixer { Some(attention) } else { None })
        .collect();
    if attentions.iter().any(|a| a.attention.kv_heads > 1 && a.attention.kv_heads < a.attention.heads) {
        steps.push((Step::HeadsInterleaved, "query heads take the wrong key heads"));
    }
    if attentions.iter().any(|a| a.attention.window.is_some()) {
        steps.extend([
            (Step::WindowBy(1), "windows are one position too wide"),
            (Step::WindowBy(-1), "windows are one position too narrow"),
            (Step::NoWindow, "windows are ignored"),
            (Step::NoWindowInDecode, "windows are ignored in calls of one token"),
        ]);
    }
    if attentions.iter().any(|a| a.attention.soft_cap.is_some()) {
        steps.push((Step::ScoresUncapped, "attention scores are not capped"));
    }
    let rotaries = || attentions.iter().filter_map(|a| a.rotary.as_ref());
    if rotaries().next().is_some() {
        steps.extend([
            (Step::OtherPairs, "halves rotate together instead of adjacent elements, or the other way round"),
            (Step::NoRotation, "nothing rotates"),
            (Step::RotationReversed, "everything rotates the other way"),
            (Step::HalfPrecisionRotation, "angles, sines and cosines are in f16"),
            (Step::HalfPrecisionFrequencies, "frequencies are in f16"),
            (Step::PositionsFromOne, "positions begin at 1"),
            (Step::PositionsByCall, "positions begin again with every call"),
        ]);
    }
    if rotaries().any(|rotary| rotary.magnitude.to_bits() != 1f64.to_bits()) {
        steps.push((Step::MagnitudeForgotten, "the factor on what rotates is forgotten"));
    }
    if rotaries().any(|rotary| rotary.long.is_some()) {
        steps.push((Step::OtherFrequencies, "frequencies of long prompts are taken for short ones"));
    }
    if model.blocks.iter().any(|block| matches!(block.mixer, Mixer::Convolution(_))) {
        steps.extend([
            (Step::ConvolutionForgets, "a convolution forgets what was before a chunk"),
            (Step::ConvolutionReversed, "a convolution has its factors in the other order"),
        ]);
    }
    let forwards = || model.blocks.iter().map(|block| &block.feed_forward);
    let is_gelu = |forward: &FeedForward<'_>| {
        matches!(
            forward,
            FeedForward::Gated { activation: Activation::GeluTanh, .. }
                | FeedForward::Plain { activation: Activation::GeluTanh, .. }
        )
    };
    if forwards().any(is_gelu) {
        steps.push((Step::GeluByErrorFunction, "GELU by the error function instead of its tanh form"));
    }
    if forwards().any(|forward| matches!(forward, FeedForward::Experts { .. })) {
        steps.extend([
            (Step::ExpertsUnnormalised, "the weights of the chosen experts are not divided by their sum"),
            (Step::ExpertsEqual, "all chosen experts weigh the same"),
            (Step::ExpertsReversed, "the least likely experts are chosen"),
        ]);
    }
    if model.embedding.scale.to_bits() != 1f64.to_bits() {
        steps.push((Step::EmbeddingUnscaled, "embeddings are not scaled"));
    }
    if model.finish.soft_cap.is_some() {
        steps.push((Step::LogitsUncapped, "logits are not capped"));
    }
    if model.finish.divisor.is_some() {
        steps.push((Step::LogitsMultiplied, "logits are multiplied by what they should be divided by"));
    }
    if model.norm.kind == NormKind::Layer {
        steps.push((Step::MeanKept, "norms do not subtract the mean"));
    }
    for name in [
        "attn_norm",
        "attn_q_norm",
        "attn_k_norm",
        "post_attention_norm",
        "ffn_norm",
        "post_ffw_norm",
        "output_norm",
        "token_embd_norm",
    ] {
        if has_norm(model, name) {
            steps.push((Step::NormSkipped(name), "a norm is skipped"));
        }
    }
    let named = steps.into_iter().map(|(step, meaning)| {
        let name = match step {
            Step::NormSkipped(norm) => format!("norm-skipped:{norm}"),
            Step::WindowBy(by) => format!("window-by:{by:+}"),
            other => kebab(&format!("{other:?}")),
        };
        let meaning = if let Step::NormSkipped(norm) = step { format!("{norm} is skipped") } else { meaning.to_owned() };
        Fault { name, meaning, kind: Kind::Step(step) }
    });
    named.collect()
}

fn has_norm(model: &reference::layers::Model<'_>, name: &str) -> bool {
    let ends = |norm: &reference::operations::Norm| norm.name == name || norm.name.ends_with(&format!(".{name}"));
    let of_block = |block: &reference::layers::Block<'_>| {
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

fn kebab(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Why a fault changes nothing, where that can be proved.
fn equivalent(recipe: &Recipe, fault: &Fault) -> Option<&'static str> {
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

/// The faults of these names that a model can have.
///
/// # Errors
/// Where the model has no such fault.
pub fn named(bytes: &[u8], names: &[String]) -> Result<Vec<Fault>, Error> {
    let mut all = faults_of(bytes)?;
    all.extend(super::known::faults());
    let find = |name: &String| {
        let found = all.iter().find(|fault| fault.name == *name).cloned();
        found.ok_or_else(|| Error::input(name, "the model has no such fault", "`ggauge faults --verbose` lists them"))
    };
    names.iter().map(find).collect()
}

/// How far a rounding, or what else an implementation may do, moves the logits that `run` gives from the truth.
fn allowed(
    rounding: Rounding,
    truth: &[(u64, Vec<f32>)],
    run: impl Fn(Rounding) -> Result<Rows, Error>,
    why: impl Fn(String) -> Error,
) -> Result<Scale, Error> {
    let moved = |rounding| {
        Ok(oracle::compare_rows_of(&transcript(&run(rounding)?), truth).map_err(String::from).map_err(&why)?.scale())
    };
    let scale: Scale = moved(rounding)?;
    rounding.floor().map_or(Ok(scale), |floor| Ok(scale.at_least(moved(floor)?)))
}

/// Holds what a subject gave in `case` against the reference with faults, at the subject's own limits.
///
/// # Errors
/// Where the model has no such faults, the reference does not run with them, or there are no limits for the subject.
pub fn against(
    recipe: &Recipe,
    faults: &[String],
    case: &Case,
    prompt: &Prompt,
    tolerances: &Tolerances,
    rows: &[(u64, Vec<f32>)],
) -> Result<Verdict, Error> {
    let why = |why: String| Error::input(case, why, "`ggauge faults --verbose` lists the faults of a model");
    let model = Model::planned(recipe, Path::new(""))?;
    let bytes = models::build(recipe)?;
    let faults = named(&bytes, faults)?;
    let rounding = subjects::rounding(&case.subject, case.settings, case.schedule);
    let run = |faults: &[Fault], rounding| {
        evaluate(&bytes, faults, &prompt.tokens, case.schedule, rounding).map_err(|refusal| why(words(refusal)))
    };
    let truth = transcript(&run(&[], Rounding::EXACT)?);
    let scale = allowed(rounding, &truth, |rounding| run(&[], rounding), why)?;
    let key = allowance::key(&case.subject, rounding, &model.architecture, model.family);
    let limits = tolerances.limits(&key, &scale).ok_or_else(|| why("there are no limits for it".into()))?;
    let faulty = transcript(&run(&faults, Rounding::EXACT)?);
    Ok(oracle::compare_rows_of(rows, &faulty).map_err(String::from).map_err(why)?.verdict(&limits))
}
