//! One module an architecture, each a specification of its forward pass: which parts of `layers` it has, and what its keys mean.
//! To add one, write its module and list it in `ARCHITECTURES`.
//!
//! Names of keys and tensors are those of the GGUF specification and of llama.cpp's `llama-arch.cpp`.

mod gemma2;
mod gemma3;
mod glm4;
mod granite;
mod lfm2;
mod llama;
mod olmo2;
mod phi2;
mod phi3;
mod qwen2;
mod qwen3;
mod qwen3moe;
mod smollm3;

use crate::{
    Matrix, Weights,
    layers::{Block, FeedForward, Linear, Mixer, Model, Norms, SelfAttention, Wiring},
    neutral::Neutral,
    operations::{Activation, Attention, Embedding, Finish, Norm, NormKind, Pairs, Rotary, Router},
};
use Activation::{GeluTanh, Silu};
use std::f64::consts::PI;
use vocabulary::{Refusal, RejectionClass};

type Load = for<'a> fn(&Weights<'a>) -> Result<Model<'a>, Refusal>;

/// The architectures the reference knows, and the activation of each, for whoever has no model yet.
const ARCHITECTURES: [(&str, Activation, Load); 13] = [
    ("gemma2", GeluTanh, gemma2::load),
    ("gemma3", GeluTanh, gemma3::load),
    ("glm4", Silu, glm4::load),
    ("granite", Silu, granite::load),
    ("lfm2", Silu, lfm2::load),
    ("llama", Silu, llama::load),
    ("olmo2", Silu, olmo2::load),
    ("phi2", GeluTanh, phi2::load),
    ("phi3", Silu, phi3::load),
    ("qwen2", Silu, qwen2::load),
    ("qwen3", Silu, qwen3::load),
    ("qwen3moe", Silu, qwen3moe::load),
    ("smollm3", Silu, smollm3::load),
];

/// The names of the architectures the reference knows.
pub fn known() -> impl Iterator<Item = &'static str> {
    ARCHITECTURES.into_iter().map(|(name, ..)| name)
}

/// True for an architecture whose feed-forward part has GELU, which some runtimes look up in a table.
pub fn has_gelu(name: &str) -> bool {
    ARCHITECTURES.iter().any(|(known, activation, _)| *known == name && *activation == GeluTanh)
}

/// Reads the model that `weights` holds.
///
/// # Errors
/// [`Refusal::Unsupported`] for an architecture, key or tensor the reference does not know; a rejection where something is
/// missing.
pub fn load<'a>(weights: &Weights<'a>) -> Result<Model<'a>, Refusal> {
    let name = weights.architecture();
    let Some((_, activation, load)) = ARCHITECTURES.iter().find(|(known, ..)| *known == name) else {
        let known = known().collect::<Vec<_>>().join(", ");
        return Err(Refusal::Unsupported(format!("the reference has no architecture `{name}`; it has {known}")));
    };
    let model = load(weights)?;
    weights.finish(model.has_experts())?;
    debug_assert!(model.activations().all(|own| own == *activation), "the row of {name} has another activation than its model");
    Ok(model)
}

/// What every architecture's keys say, and reading the parts of a layer by it.
struct Loader<'w, 'a> {
    weights: &'w Weights<'a>,
    /// `embedding_length`: the width of the stream.
    width: usize,
    /// `block_count`.
    layers: usize,
    /// `attention.head_count`.
    heads: usize,
    /// `attention.head_count_kv`; as many as queries where there is none.
    kv_heads: usize,
    /// `attention.key_length`; the width over the heads where there is none.
    head: usize,
    norm_kind: NormKind,
    epsilon: f64,
}

impl<'w, 'a> Loader<'w, 'a> {
    fn new(weights: &'w Weights<'a>, norm_kind: NormKind) -> Result<Self, Refusal> {
        let layers = weights.count("block_count")?;
        let heads = weights.count("attention.head_count")?;
        let kv_heads = weights.count_or("attention.head_count_kv", heads)?;
        Self::with_heads(weights, norm_kind, layers, heads, kv_heads)
    }

    /// For layers that do not all have the same number of heads for keys and values: the largest.
    fn with_heads(
        weights: &'w Weights<'a>,
        norm_kind: NormKind,
        layers: usize,
        heads: usize,
        kv_heads: usize,
    ) -> Result<Self, Refusal> {
        let width = weights.count("embedding_length")?;
        let shared = if width.is_multiple_of(heads) { width / heads } else { 0 };
        let head = weights.count_or("attention.key_length", shared)?;
        let value = weights.count_or("attention.value_length", shared)?;
        if layers > weights.tensor_count() {
            // No layer is without tensors, and a count from a hostile file can be anything.
            return Err(Refusal::load(
                RejectionClass::Incomplete,
                format!("{layers} layers in {} tensors", weights.tensor_count()),
            ));
        }
        if kv_heads == 0 || head == 0 || !heads.is_multiple_of(kv_heads) || !head.is_multiple_of(2) || value != head {
            return Err(Refusal::Unsupported(format!(
                "{heads} query heads on {kv_heads} key heads of {head} (values {value}) are no layout the reference knows"
            )));
        }
        let epsilon = weights.real(match norm_kind {
            NormKind::RootMeanSquare => "attention.layer_norm_rms_epsilon",
            NormKind::Layer => "attention.layer_norm_epsilon",
        })?;
        let vocabulary_size = weights.vocabulary_size()?;
        if weights.count_or("vocab_size", vocabulary_size)? != vocabulary_size {
            return Err(Refusal::Unsupported("vocab_size and the embedding do not have the same number of tokens".into()));
        }
        if epsilon < 0.0 {
            return Err(Refusal::Unsupported(format!("an epsilon of {epsilon}")));
        }
        // Of sliding layers, whose heads are of the size of all others; and what other architectures may scale scores by.
        for suffix in ["attention.key_length_swa", "attention.value_length_swa"] {
            weights.neutral_at(suffix, [head as f64]);
        }
        weights.neutral_at("attention.scale", [0.0, 1.0 / (head as f64).sqrt()]);
        Ok(Self { weights, width, layers, heads, kv_heads, head, norm_kind, epsilon })
    }

    /// A block for each layer.
    fn blocks(&self, block: impl Fn(Layer<'_, 'w, 'a>) -> Result<Block<'a>, Refusal>) -> Result<Vec<Block<'a>>, Refusal> {
        (0..self.layers).map(|index| block(Layer { loader: self, index })).collect()
    }

    /// The rotation that the keys `rope.*` ask for: its base, how positions are stretched, and `rope.scaling.attn_factor` on
    /// what rotates. A factor without a type is a linear one, and the type `none` takes a factor back, as in llama.cpp.
    fn rotary(&self, pairs: Pairs) -> Result<Rotary, Refusal> {
        let base = self.weights.positive("rope.freq_base")?.unwrap_or(10_000.0);
        self.rotary_of(pairs, base)
    }

    /// The same with frequencies divided by `rope_freqs`, where the file has them.
    fn rotary_with_factors(&self, pairs: Pairs) -> Result<Rotary, Refusal> {
        let rotary = self.rotary(pairs)?;
        let factors = self.weights.optional_vector("rope_freqs.weight", rotary.frequencies.len())?;
        Ok(rotary.divided(factors.as_deref()))
    }

    fn rotary_of(&self, pairs: Pairs, base: f64) -> Result<Rotary, Refusal> {
        let weights = self.weights;
        // The second is the name of old; the first takes its place.
        let factor = match weights.optional_real("rope.scaling.factor")? {
            None => weights.nonzero("rope.scale_linear")?,
            factor => factor.filter(|&factor| factor != 0.0),
        };
        let factor = factor.unwrap_or(1.0);
        let magnitude = weights.positive("rope.scaling.attn_factor")?.unwrap_or(1.0);
        let rotary = Rotary { magnitude, ..Rotary::plain(pairs, self.rotary_dimensions()?, base) };
        match weights.text("rope.scaling.type")? {
            _ if factor < 0.0 => Err(Refusal::Unsupported(format!("positions stretched by {factor}"))),
            None | Some("linear") => Ok(rotary.stretched(factor)),
            Some("none") => Ok(rotary),
            // Its factors are tensors, which the architectures that have them read.
            Some("longrope") if factor == 1.0 => Ok(rotary),
            Some("yarn") if base > 1.0 => {
                // What a configuration says of the factor on what rotates, where it is what follows anyway. llama.cpp does not
                // read it here.
                weights.neutral_at("rope.scaling.yarn_attn_factor", [1.0, yarn_magnitude(factor)]);
                Ok(rotary.by_yarn(factor, base, self.context_before_stretching()?))
            }
            Some(other) => Err(Refusal::Unsupported(format!(
                "the reference does not know rope scaling `{other}` by {factor} of base {base}"
            ))),
        }
    }

    /// The context that the model had before its positions were stretched. 0 is as good as no number, as in llama.cpp.
    fn context_before_stretching(&self) -> Result<usize, Refusal> {
        match self.weights.count_or("rope.scaling.original_context_length", 0)? {
            0 => self.weights.count("context_length"),
            context => Ok(context),
        }
    }

    /// Which layers see a sliding window, and how far: `attention.sliding_window`, and `attention.sliding_window_pattern`,
    /// which says of each layer whether it does, or is a number of which every so many layers, counted from 1, is global.
    /// Without a window all layers are.
    fn windows(&self, window: usize, pattern: usize) -> Result<Vec<Option<usize>>, Refusal> {
        let (weights, key) = (self.weights, "attention.sliding_window_pattern");
        let window = weights.count_or("attention.sliding_window", window)?;
        let slides = if let Some(slides) = weights.flags_by_layer(key, self.layers)? {
            if window > 0 && !slides.contains(&true) {
                return Err(Refusal::Unsupported("windows of which no layer has one".into()));
            }
            slides
        } else {
            let pattern = weights.count_or(key, pattern)?;
            if window > 0 && pattern < 2 {
                // llama.cpp takes 0 for windows everywhere, and ends on 1, which leaves none.
                return Err(Refusal::Unsupported(format!("windows with a pattern of {pattern}")));
            }
            (0..self.layers).map(|index| !(index + 1).is_multiple_of(pattern)).collect()
        };
        Ok(slides.into_iter().map(|slides| (slides && window > 0).then_some(window)).collect())
    }

    fn rotary_dimensions(&self) -> Result<usize, Refusal> {
        let dimensions = self.weights.count_or("rope.dimension_count", self.head)?;
        if dimensions == 0 || dimensions > self.head || !dimensions.is_multiple_of(2) {
            return Err(Refusal::Unsupported(format!("a rotation of {dimensions} of {} elements", self.head)));
        }
        self.weights.neutral_at("rope.dimension_count_swa", [dimensions as f64]);
        Ok(dimensions)
    }

    /// Refuses a rotation of less than whole heads, as llama.cpp's graphs for these architectures do.
    fn whole_heads(&self) -> Result<(), Refusal> {
        let dimensions = self.weights.count_or("rope.dimension_count", self.head)?;
        if dimensions == self.head {
            return Ok(());
        }
        Err(Refusal::Unsupported(format!("a rotation of {dimensions} of {} elements", self.head)))
    }

    /// Attention over everything before, with the usual scale.
    fn attention(&self) -> Attention {
        let scale = 1.0 / (self.head as f64).sqrt();
        Attention { heads: self.heads, kv_heads: self.kv_heads, head: self.head, scale, window: None, soft_cap: None }
    }

    fn norm(&self, name: &str, len: usize) -> Result<Norm, Refusal> {
        let gain = self.weights.vector(&format!("{name}.weight"), len)?;
        let bias = match self.norm_kind {
            NormKind::RootMeanSquare => None,
            NormKind::Layer => Some(self.weights.vector(&format!("{name}.bias"), len)?),
        };
        Ok(Norm { name: name.into(), kind: self.norm_kind, gain, bias, epsilon: self.epsilon })
    }

    /// The model of `blocks`, with the embedding as the output matrix where it has none of its own.
    fn model(&self, blocks: Vec<Block<'a>>) -> Result<Model<'a>, Refusal> {
        self.model_with(blocks, "output_norm", Output::Either)
    }

    fn model_with(&self, blocks: Vec<Block<'a>>, last_norm: &str, output: Output) -> Result<Model<'a>, Refusal> {
        let vocabulary_size = self.weights.vocabulary_size()?;
        let table = self.weights.matrix("token_embd.weight", self.width, vocabulary_size)?;
        let own = || self.weights.matrix("output.weight", self.width, vocabulary_size).map(Some);
        let (output, bias) = match output {
            Output::Tied => (None, None),
            Output::Either => (self.weights.optional_matrix("output.weight", self.width, vocabulary_size)?, None),
            Output::Own => (own()?, None),
            Output::OwnWithBias => (own()?, Some(self.weights.vector("output.bias", vocabulary_size)?)),
        };
        Ok(Model {
            embedding: Embedding { table, scale: 1.0 },
            blocks,
            norm: self.norm(last_norm, self.width)?,
            output: output.unwrap_or(table),
            finish: Finish { bias, ..Finish::default() },
            context_length: self.weights.count("context_length")?,
        })
    }
}

/// Where an architecture's output matrix is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Output {
    /// It is the embedding.
    Tied,
    /// It is `output.weight`, or the embedding where there is none.
    Either,
    /// It is `output.weight`.
    Own,
    /// It is `output.weight`, and there is `output.bias`.
    OwnWithBias,
}

/// One layer's tensors.
#[derive(Clone, Copy)]
struct Layer<'l, 'w, 'a> {
    loader: &'l Loader<'w, 'a>,
    index: usize,
}

impl<'a> Layer<'_, '_, 'a> {
    fn name(&self, part: &str) -> String {
        format!("blk.{}.{part}", self.index)
    }

    fn norm(&self, part: &str) -> Result<Norm, Refusal> {
        self.norm_of(part, self.loader.width)
    }

    fn norm_of(&self, part: &str, len: usize) -> Result<Norm, Refusal> {
        self.loader.norm(&self.name(part), len)
    }

    /// Norms of each query head and of each key head.
    fn head_norms(&self) -> Result<Option<[Norm; 2]>, Refusal> {
        let head = self.loader.head;
        Ok(Some([self.norm_of("attn_q_norm", head)?, self.norm_of("attn_k_norm", head)?]))
    }

    /// Norms before attention and after it.
    fn attention_norms(&self) -> Result<Norms, Refusal> {
        Ok(Norms { before: Some(self.norm("attn_norm")?), after: Some(self.norm("post_attention_norm")?) })
    }

    /// Norms before the feed-forward part and after it.
    fn feed_forward_norms(&self) -> Result<Norms, Refusal> {
        Ok(Norms { before: Some(self.norm("ffn_norm")?), after: Some(self.norm("post_ffw_norm")?) })
    }

    fn matrix(&self, part: &str, inputs: usize, outputs: usize) -> Result<Matrix<'a>, Refusal> {
        self.loader.weights.matrix(&format!("{}.weight", self.name(part)), inputs, outputs)
    }

    /// A linear map without a bias.
    fn plain(&self, part: &str, inputs: usize, outputs: usize) -> Result<Linear<'a>, Refusal> {
        Ok(Linear { matrix: self.matrix(part, inputs, outputs)?, bias: None })
    }

    /// A linear map with a bias where the file has one.
    fn linear(&self, part: &str, inputs: usize, outputs: usize) -> Result<Linear<'a>, Refusal> {
        let bias = self.loader.weights.optional_vector(&format!("{}.bias", self.name(part)), outputs)?;
        Ok(Linear { bias, ..self.plain(part, inputs, outputs)? })
    }

    /// Linear maps that the file holds as one, in the order of their outputs.
    fn fused<const N: usize>(&self, part: &str, inputs: usize, outputs: [usize; N]) -> Result<[Linear<'a>; N], Refusal> {
        let all = self.linear(part, inputs, outputs.iter().sum())?;
        let mut first = 0;
        Ok(outputs.map(|count| {
            let matrix = all.matrix.part(first, count);
            let bias = all.bias.as_ref().map(|bias| bias[first..first + count].to_vec());
            first += count;
            Linear { matrix, bias }
        }))
    }

    /// Attention over everything before, whose projections are one tensor or three.
    fn attention(&self, rotary: &Rotary) -> Result<SelfAttention<'a>, Refusal> {
        let Loader { weights, width, heads, kv_heads, head, .. } = *self.loader;
        let fused = weights.has(&format!("{}.weight", self.name("attn_qkv")));
        let (queries, keys) = (heads * head, kv_heads * head);
        let [query, key, value] = if fused {
            self.fused("attn_qkv", width, [queries, keys, keys])?
        } else {
            [self.linear("attn_q", width, queries)?, self.linear("attn_k", width, keys)?, self.linear("attn_v", width, keys)?]
        };
        Ok(SelfAttention {
            query,
            key,
            value,
            output: self.plain("attn_output", queries, width)?,
            norms: None,
            rotary: Some(rotary.clone()),
            attention: self.loader.attention(),
        })
    }

    /// The same with a bias on the way back, where the file has one.
    fn attention_with_biases(&self, rotary: &Rotary) -> Result<SelfAttention<'a>, Refusal> {
        let Loader { width, heads, head, .. } = *self.loader;
        Ok(SelfAttention { output: self.linear("attn_output", heads * head, width)?, ..self.attention(rotary)? })
    }

    /// A gated feed-forward part of three tensors.
    fn gated(&self, activation: Activation) -> Result<FeedForward<'a>, Refusal> {
        self.gated_of(Self::plain, activation)
    }

    /// The same with biases, where the file has them.
    fn gated_with_biases(&self, activation: Activation) -> Result<FeedForward<'a>, Refusal> {
        self.gated_of(Self::linear, activation)
    }

    fn gated_of(
        &self,
        linear: impl Fn(&Self, &str, usize, usize) -> Result<Linear<'a>, Refusal>,
        activation: Activation,
    ) -> Result<FeedForward<'a>, Refusal> {
        let (width, hidden) = (self.loader.width, self.loader.weights.count("feed_forward_length")?);
        Ok(FeedForward::Gated {
            gate: linear(self, "ffn_gate", width, hidden)?,
            up: linear(self, "ffn_up", width, hidden)?,
            down: linear(self, "ffn_down", hidden, width)?,
            activation,
        })
    }

    /// A gated feed-forward part whose tensor `ffn_up` holds the gate and after it what the gate is multiplied with.
    fn gated_in_one(&self, activation: Activation) -> Result<FeedForward<'a>, Refusal> {
        let (width, hidden) = (self.loader.width, self.loader.weights.count("feed_forward_length")?);
        let both = self.matrix("ffn_up", width, 2 * hidden)?;
        let [gate, up] = [0, hidden].map(|first| Linear { matrix: both.part(first, hidden), bias: None });
        Ok(FeedForward::Gated { gate, up, down: self.plain("ffn_down", hidden, width)?, activation })
    }

    /// `expert_count` gated feed-forward parts of `hidden`, of which each position goes to `expert_used_count`.
    fn experts(&self, hidden: usize, activation: Activation) -> Result<FeedForward<'a>, Refusal> {
        let Loader { weights, width, .. } = *self.loader;
        let count = weights.count("expert_count")?;
        let used = weights.count("expert_used_count")?;
        if used > count || hidden == 0 {
            return Err(Refusal::Unsupported(format!("{used} of {count} experts of width {hidden}")));
        }
        let name = |part: &str| format!("{}.weight", self.name(part));
        let gates = weights.matrices(&name("ffn_gate_exps"), width, hidden, count)?;
        let ups = weights.matrices(&name("ffn_up_exps"), width, hidden, count)?;
        let downs = weights.matrices(&name("ffn_down_exps"), hidden, width, count)?;
        let plain = |matrix| Linear { matrix, bias: None };
        let expert =
            |((gate, up), down)| FeedForward::Gated { gate: plain(gate), up: plain(up), down: plain(down), activation };
        Ok(FeedForward::Experts {
            scores: weights.matrix(&name("ffn_gate_inp"), width, count)?,
            router: Router { used, normalized: true, scale: 1.0 },
            experts: gates.into_iter().zip(ups).zip(downs).map(expert).collect(),
        })
    }

    /// A block with a norm before each part and none after: Llama's.
    fn pre_norm(&self, mixer: Mixer<'a>, feed_forward: FeedForward<'a>) -> Result<Block<'a>, Refusal> {
        Ok(Block {
            mixer_norms: Norms::before(self.norm("attn_norm")?),
            mixer,
            feed_forward_norms: Norms::before(self.norm("ffn_norm")?),
            feed_forward,
            residual_scale: 1.0,
            wiring: Wiring::Sequential,
        })
    }
}

impl Rotary {
    /// With positions divided by `factor`. Chen et al., arXiv 2306.15595.
    fn stretched(mut self, factor: f64) -> Self {
        self.frequencies.iter_mut().for_each(|frequency| *frequency /= factor);
        self
    }

    /// With frequencies divided one by one, where the model has divisors for them.
    fn divided(mut self, factors: Option<&[f64]>) -> Self {
        for (frequency, factor) in self.frequencies.iter_mut().zip(factors.into_iter().flatten()) {
            *frequency /= factor;
        }
        self
    }

    /// Stretched by `factor` where a pair turns less than once in the `context` that the model was trained on, as it was where
    /// it turns more than 32 times, and in between in proportion; what rotates times `1 + 0.1 ln(factor)`. Peng et al., arXiv
    /// 2309.00071, whose ramp begins and ends at whole pairs in the authors' code and in ggml. As in ggml,
    /// `rope.scaling.attn_factor` comes on top.
    fn by_yarn(mut self, factor: f64, base: f64, context: usize) -> Self {
        let dimensions = 2.0 * self.frequencies.len() as f64;
        let pair_that_turns = |times: f64| dimensions * (context as f64 / (times * 2.0 * PI)).ln() / (2.0 * base.ln());
        let low = pair_that_turns(32.0).floor().max(0.0);
        let high = pair_that_turns(1.0).ceil().min(dimensions - 1.0);
        for (pair, frequency) in self.frequencies.iter_mut().enumerate() {
            let ramp = ((pair as f64 - low) / (high - low).max(0.001)).clamp(0.0, 1.0);
            *frequency = *frequency * (1.0 - ramp) + *frequency / factor * ramp;
        }
        // A context that was not stretched needs no correction.
        self.magnitude *= yarn_magnitude(factor);
        self
    }
}

/// `YaRN`'s factor on what rotates.
fn yarn_magnitude(factor: f64) -> f64 {
    1.0 + 0.1 * factor.max(1.0).ln()
}
