//! The stand-in's forward pass: Llama, in single precision, a token at a time.

use crate::RotationPairs;
use ggauge::{Refusal, subject::RejectionClass};
use gguf::{File, Finding, WeightType};

/// A matrix, one row an output.
struct Matrix {
    columns: usize,
    data: Vec<f32>,
}

impl Matrix {
    fn row(&self, index: usize) -> &[f32] {
        self.data.chunks_exact(self.columns).nth(index).unwrap_or_default()
    }

    fn times(&self, x: &[f32]) -> Vec<f32> {
        self.data.chunks_exact(self.columns).map(|row| dot(row, x)).collect()
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn silu(x: f32) -> f32 {
    x / (1.0 + (-x).exp())
}

struct Layer {
    attention_norm: Matrix,
    queries: Matrix,
    keys: Matrix,
    values: Matrix,
    attention_output: Matrix,
    feed_forward_norm: Matrix,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// A row a position.
type Rows = Vec<Vec<f32>>;

/// The keys and values of each layer.
#[derive(Default)]
pub(crate) struct Cache(Vec<(Rows, Rows)>);

/// A model in memory.
pub(crate) struct Llama {
    pub(crate) context_length: usize,
    pairs: RotationPairs,
    /// Elements of a head.
    head: usize,
    /// Query heads on each head of keys.
    group: usize,
    epsilon: f32,
    base: f32,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Matrix,
    /// The embedding where the file has no other.
    output: Option<Matrix>,
}

fn malformed(message: impl ToString) -> Refusal {
    Refusal::load(RejectionClass::Malformed, message.to_string())
}

/// A file that is read.
struct Source<'a>(File<'a>);

impl Source<'_> {
    fn count(&self, key: &str) -> Result<Option<usize>, Refusal> {
        let key = format!("llama.{key}");
        Ok(self.0.metadata().u64(&key).map_err(malformed)?.and_then(|count| usize::try_from(count).ok()))
    }

    fn real(&self, key: &str) -> Result<Option<f32>, Refusal> {
        Ok(self.0.metadata().f64(&format!("llama.{key}")).map_err(malformed)?.map(|real| real as f32))
    }

    fn matrix(&self, name: &str) -> Result<Option<Matrix>, Refusal> {
        let Some(tensor) = self.0.tensor(name) else { return Ok(None) };
        if tensor.weight_type != WeightType::F32 {
            return Err(Refusal::Unsupported(format!(
                "{name} is of type {}; this runtime has F32 alone",
                tensor.weight_type.name()
            )));
        }
        let data = self.0.data(tensor).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Some(Matrix { columns: tensor.row_len() as usize, data }))
    }
}

fn needed<T>(found: Result<Option<T>, Refusal>, name: &str) -> Result<T, Refusal> {
    found?.ok_or_else(|| Refusal::load(RejectionClass::Incomplete, format!("the file has no {name}")))
}

impl Llama {
    pub(crate) fn read(bytes: &[u8], pairs: RotationPairs) -> Result<Self, Refusal> {
        // The strict reader has seen to it that tensors have the shapes that the keys say.
        let file = File::strict(bytes).map_err(|finding: Finding| malformed(finding))?;
        let architecture = file.architecture().map_err(malformed)?;
        if architecture != "llama" {
            return Err(Refusal::Unsupported(format!("the architecture {architecture}")));
        }
        let source = Source(file);
        let count = |key: &str| needed(source.count(key), key);
        let matrix = |name: &str| needed(source.matrix(name), name);
        if source.count("expert_count")?.unwrap_or(0) > 0 || source.0.tensor("rope_freqs.weight").is_some() {
            return Err(Refusal::Unsupported("experts, and factors on the rotation".into()));
        }
        let heads = count("attention.head_count")?;
        let key_heads = source.count("attention.head_count_kv")?.unwrap_or(heads);
        if heads == 0 || key_heads == 0 || !heads.is_multiple_of(key_heads) {
            return Err(malformed(format!("{heads} heads on {key_heads}")));
        }
        let layer = |index: usize| -> Result<Layer, Refusal> {
            let part = |name: &str| matrix(&format!("blk.{index}.{name}.weight"));
            Ok(Layer {
                attention_norm: part("attn_norm")?,
                queries: part("attn_q")?,
                keys: part("attn_k")?,
                values: part("attn_v")?,
                attention_output: part("attn_output")?,
                feed_forward_norm: part("ffn_norm")?,
                gate: part("ffn_gate")?,
                up: part("ffn_up")?,
                down: part("ffn_down")?,
            })
        };
        Ok(Self {
            context_length: count("context_length")?,
            pairs,
            head: source.count("attention.key_length")?.unwrap_or(count("embedding_length")? / heads),
            group: heads / key_heads,
            epsilon: needed(source.real("attention.layer_norm_rms_epsilon"), "epsilon")?,
            base: source.real("rope.freq_base")?.unwrap_or(10_000.0),
            embedding: matrix("token_embd.weight")?,
            layers: (0..count("block_count")?).map(layer).collect::<Result<_, Refusal>>()?,
            norm: matrix("output_norm.weight")?,
            output: source.matrix("output.weight")?,
        })
    }

    pub(crate) fn vocabulary_size(&self) -> usize {
        self.embedding.data.len() / self.embedding.columns.max(1)
    }

    /// Feeds a token at the position behind those that the cache has.
    pub(crate) fn logits(&self, cache: &mut Cache, token: usize) -> Vec<f32> {
        cache.0.resize_with(self.layers.len(), Default::default);
        let mut x = self.embedding.row(token).to_vec();
        for (layer, (keys, values)) in self.layers.iter().zip(&mut cache.0) {
            let position = keys.len();
            let normed = self.normed(&x, &layer.attention_norm);
            keys.push(self.rotated(layer.keys.times(&normed), position));
            values.push(layer.values.times(&normed));
            let queries = self.rotated(layer.queries.times(&normed), position);
            add(&mut x, &layer.attention_output.times(&self.attended(&queries, keys, values)));
            let normed = self.normed(&x, &layer.feed_forward_norm);
            let gated: Vec<f32> =
                layer.gate.times(&normed).iter().zip(layer.up.times(&normed)).map(|(gate, up)| silu(*gate) * up).collect();
            add(&mut x, &layer.down.times(&gated));
        }
        self.output.as_ref().unwrap_or(&self.embedding).times(&self.normed(&x, &self.norm))
    }

    fn normed(&self, x: &[f32], gain: &Matrix) -> Vec<f32> {
        let factor = 1.0 / (dot(x, x) / x.len() as f32 + self.epsilon).sqrt();
        x.iter().zip(&gain.data).map(|(x, gain)| x * factor * gain).collect()
    }

    /// Turns the pairs of every head, each at its own speed.
    fn rotated(&self, mut heads: Vec<f32>, position: usize) -> Vec<f32> {
        for head in heads.chunks_exact_mut(self.head) {
            for pair in 0..self.head / 2 {
                let angle = position as f32 * self.base.powf(-2.0 * pair as f32 / self.head as f32);
                let (sin, cos) = angle.sin_cos();
                let (a, b) = match self.pairs {
                    RotationPairs::Neighbours => (2 * pair, 2 * pair + 1),
                    RotationPairs::Halves => (pair, pair + self.head / 2),
                };
                (head[a], head[b]) = (head[a] * cos - head[b] * sin, head[a] * sin + head[b] * cos);
            }
        }
        heads
    }

    fn attended(&self, queries: &[f32], keys: &[Vec<f32>], values: &[Vec<f32>]) -> Vec<f32> {
        let mut out = Vec::with_capacity(queries.len());
        for (index, query) in queries.chunks_exact(self.head).enumerate() {
            let of = |row: &Vec<f32>| row.chunks_exact(self.head).nth(index / self.group).unwrap_or_default().to_vec();
            let scale = 1.0 / (self.head as f32).sqrt();
            let scores: Vec<f32> = keys.iter().map(|key| dot(query, &of(key)) * scale).collect();
            let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = scores.iter().map(|score| (score - most).exp()).collect();
            let total: f32 = weights.iter().sum();
            let mut mixed = vec![0.0; self.head];
            for (weight, value) in weights.iter().zip(values) {
                mixed.iter_mut().zip(of(value)).for_each(|(sum, value)| *sum += weight / total * value);
            }
            out.extend(mixed);
        }
        out
    }
}

fn add(x: &mut [f32], more: &[f32]) {
    x.iter_mut().zip(more).for_each(|(x, more)| *x += more);
}
