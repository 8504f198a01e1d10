//! The parts that models are built of: linear maps, attention, feed-forward blocks, and the block that joins them.
//!
//! An architecture chooses among these; how they are wired stands here once.

use crate::{
    Matrix, Rows,
    operations::{Activation, Attention, Convolution, Embedding, Finish, Norm, Operations, Rotary, Router},
};

impl Matrix<'_> {
    /// The product with every row of `inputs`: `rows` outputs a position.
    pub fn multiply(&self, inputs: &Rows, operations: &dyn Operations) -> Rows {
        let mut outputs = self.multiply_part(0, self.rows, &self.rounded(inputs, operations), operations.addition());
        outputs.iter_mut().for_each(|row| operations.outputs(row));
        outputs
    }

    /// `inputs`, rounded the way a product with this matrix rounds them.
    pub fn rounded(&self, inputs: &Rows, operations: &dyn Operations) -> Rows {
        let mut inputs = inputs.clone();
        inputs.iter_mut().for_each(|row| operations.inputs(self.weight_type, row));
        inputs
    }
}

/// `W x + b`.
pub struct Linear<'a> {
    /// The matrix.
    pub matrix: Matrix<'a>,
    /// Added to each output, where there is one.
    pub bias: Option<Vec<f64>>,
}

impl Linear<'_> {
    /// The map of every row.
    pub fn of(&self, x: &Rows, operations: &dyn Operations) -> Rows {
        let mut y = self.matrix.multiply(x, operations);
        if let Some(bias) = &self.bias {
            for row in y.iter_mut() {
                row.iter_mut().zip(bias).for_each(|(y, bias)| *y += bias);
                operations.outputs(row);
            }
        }
        y
    }
}

/// Attention with everything around it: projections, norms of queries and keys, rotation, cache.
pub struct SelfAttention<'a> {
    /// To queries.
    pub query: Linear<'a>,
    /// To keys.
    pub key: Linear<'a>,
    /// To values.
    pub value: Linear<'a>,
    /// From the heads' outputs back to the stream.
    pub output: Linear<'a>,
    /// Of queries and keys before they rotate, where the model has them: of each head, or of all heads together.
    pub norms: Option<[Norm; 2]>,
    /// The rotation, where the layer has one.
    pub rotary: Option<Rotary>,
    /// Heads, scale and window.
    pub attention: Attention,
}

impl SelfAttention<'_> {
    fn of(&self, x: &Rows, operations: &dyn Operations) -> Rows {
        let mut queries = self.query.of(x, operations);
        let mut keys = self.key.of(x, operations);
        let mut values = self.value.of(x, operations);
        if let Some([of_queries, of_keys]) = &self.norms {
            operations.norm(of_queries, &mut queries);
            operations.norm(of_keys, &mut keys);
        }
        if let Some(rotary) = &self.rotary {
            operations.rotate(rotary, &mut queries, self.attention.head);
            operations.rotate(rotary, &mut keys, self.attention.head);
        }
        keys.iter_mut().for_each(|row| operations.cached(row));
        values.iter_mut().for_each(|row| operations.cached(row));
        let attended = operations.attend(&self.attention, &queries, &keys, &values);
        self.output.of(&attended, operations)
    }
}

/// A gated short convolution: of `b, c, x = W_in h`, the convolution of `b * x` is multiplied by `c` and goes through `W_out`.
pub struct ShortConvolution<'a> {
    /// To `b`, `c` and `x`.
    pub input: [Matrix<'a>; 3],
    /// Along the positions.
    pub convolution: Convolution,
    /// Back to the stream.
    pub output: Matrix<'a>,
}

impl ShortConvolution<'_> {
    fn of(&self, h: &Rows, operations: &dyn Operations) -> Rows {
        let [b, c, mut x] = self.input.map(|matrix| matrix.multiply(h, operations));
        x.multiply(&b);
        operations.steps(&mut x.data);
        let mut convolved = operations.convolve(&self.convolution, &x);
        operations.steps(&mut convolved.data);
        convolved.multiply(&c);
        operations.steps(&mut convolved.data);
        self.output.multiply(&convolved, operations)
    }
}

/// What mixes positions in a block.
#[expect(clippy::large_enum_variant, reason = "a model has few blocks, and most of them attend")]
pub enum Mixer<'a> {
    /// Attention.
    Attention(SelfAttention<'a>),
    /// A short convolution.
    Convolution(ShortConvolution<'a>),
}

impl Mixer<'_> {
    fn of(&self, x: &Rows, operations: &dyn Operations) -> Rows {
        match self {
            Self::Attention(attention) => attention.of(x, operations),
            Self::Convolution(convolution) => convolution.of(x, operations),
        }
    }
}

/// What works on each position alone.
pub enum FeedForward<'a> {
    /// `W_down (f(W_gate x) * W_up x)`. Shazeer, arXiv 2002.05202.
    Gated {
        /// To what goes through the activation.
        gate: Linear<'a>,
        /// To what is multiplied by it.
        up: Linear<'a>,
        /// Back to the stream.
        down: Linear<'a>,
        /// `f`.
        activation: Activation,
    },
    /// `W_down f(W_up x)`.
    Plain {
        /// To what goes through the activation.
        up: Linear<'a>,
        /// Back to the stream.
        down: Linear<'a>,
        /// `f`.
        activation: Activation,
    },
    /// Gated feed-forward blocks of which every position goes to a few.
    Experts {
        /// To the score of each expert.
        scores: Matrix<'a>,
        /// The choice.
        router: Router,
        /// The experts.
        experts: Vec<FeedForward<'a>>,
    },
}

impl FeedForward<'_> {
    fn of(&self, x: &Rows, operations: &dyn Operations) -> Rows {
        match self {
            Self::Gated { gate, up, down, activation } => {
                let mut gated = gate.of(x, operations);
                let up = up.of(x, operations);
                gated.data.iter_mut().for_each(|x| *x = operations.activate(*activation, *x));
                operations.steps(&mut gated.data);
                gated.multiply(&up);
                operations.steps(&mut gated.data);
                down.of(&gated, operations)
            }
            Self::Plain { up, down, activation } => {
                let mut hidden = up.of(x, operations);
                hidden.data.iter_mut().for_each(|x| *x = operations.activate(*activation, *x));
                operations.steps(&mut hidden.data);
                down.of(&hidden, operations)
            }
            Self::Experts { scores, router, experts } => {
                let scores = scores.multiply(x, operations);
                let routes: Vec<_> = scores.iter().map(|scores| operations.route(router, scores)).collect();
                let mut outputs = Rows::zeros(x.len(), x.width);
                for (index, expert) in experts.iter().enumerate() {
                    let weight = |route: &[(usize, f64)]| route.iter().find(|(chosen, _)| *chosen == index).map(|(_, w)| *w);
                    let mine: Vec<(usize, f64)> =
                        routes.iter().enumerate().filter_map(|(at, route)| Some((at, weight(route)?))).collect();
                    if mine.is_empty() {
                        continue;
                    }
                    let inputs = Rows { width: x.width, data: mine.iter().flat_map(|(at, _)| x.row(*at)).copied().collect() };
                    let results = expert.of(&inputs, operations);
                    for ((at, weight), result) in mine.iter().zip(results.iter()) {
                        let addition = operations.addition();
                        outputs.row_mut(*at).iter_mut().zip(result).for_each(|(sum, x)| *sum = addition.add(*sum, *weight, *x));
                    }
                }
                outputs
            }
        }
    }
}

impl FeedForward<'_> {
    /// Its activation functions: one, or one for each expert.
    fn activations(&self) -> Vec<Activation> {
        match self {
            Self::Gated { activation, .. } | Self::Plain { activation, .. } => vec![*activation],
            Self::Experts { experts, .. } => experts.iter().flat_map(Self::activations).collect(),
        }
    }
}

/// The norms around a part of a block, where the model has them.
#[derive(Default)]
pub struct Norms {
    /// Of what goes in.
    pub before: Option<Norm>,
    /// Of what comes out, before it is added to the stream.
    pub after: Option<Norm>,
}

impl Norms {
    /// A norm of what goes in alone.
    pub fn before(norm: Norm) -> Self {
        Self { before: Some(norm), after: None }
    }
}

/// How the two parts of a block follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// The feed-forward part sees the stream with the attention part's result.
    Sequential,
    /// Both parts see the same normed stream, and both results are added to it.
    Parallel,
}

/// One layer: `h += scale * after(mix(before(h)))`, then the same with the feed-forward part.
pub struct Block<'a> {
    /// Around the mixer.
    pub mixer_norms: Norms,
    /// Attention, or what stands in its place.
    pub mixer: Mixer<'a>,
    /// Around the feed-forward part; a parallel block uses the mixer's.
    pub feed_forward_norms: Norms,
    /// The feed-forward part.
    pub feed_forward: FeedForward<'a>,
    /// Factor on what is added to the stream.
    pub residual_scale: f64,
    /// How the parts follow each other.
    pub wiring: Wiring,
}

impl Block<'_> {
    fn apply(&self, h: &mut Rows, operations: &dyn Operations) {
        let normed = |norms: &Norms, h: &Rows| norms.before.as_ref().map_or_else(|| h.clone(), |norm| norm.of(h, operations));
        let add = |h: &mut Rows, norms: &Norms, mut x: Rows| {
            if let Some(norm) = &norms.after {
                operations.norm(norm, &mut x);
            }
            x.data.iter_mut().for_each(|x| *x *= self.residual_scale);
            operations.steps(&mut x.data);
            h.add(&x);
            operations.steps(&mut h.data);
        };
        let x = normed(&self.mixer_norms, h);
        add(h, &self.mixer_norms, self.mixer.of(&x, operations));
        let x = if self.wiring == Wiring::Parallel { x } else { normed(&self.feed_forward_norms, h) };
        add(h, &self.feed_forward_norms, self.feed_forward.of(&x, operations));
    }
}

/// A loaded model.
pub struct Model<'a> {
    /// The way in.
    pub embedding: Embedding<'a>,
    /// The layers.
    pub blocks: Vec<Block<'a>>,
    /// The last norm.
    pub norm: Norm,
    /// From the last norm to the logits.
    pub output: Matrix<'a>,
    /// What is done to the logits after that.
    pub finish: Finish,
    /// The longest prompt the model allows.
    pub context_length: usize,
}

impl Model<'_> {
    /// The activation functions of all feed-forward parts.
    pub fn activations(&self) -> impl Iterator<Item = Activation> {
        self.blocks.iter().flat_map(|block| block.feed_forward.activations())
    }

    /// True where a feed-forward part has experts.
    pub fn has_experts(&self) -> bool {
        self.blocks.iter().any(|block| matches!(block.feed_forward, FeedForward::Experts { .. }))
    }

    /// Takes a prompt, which begins at position 0, through all layers and the last norm: one row a position.
    pub fn hidden(&self, tokens: &[u32], operations: &dyn Operations) -> Rows {
        let mut h = operations.embed(&self.embedding, tokens);
        for block in &self.blocks {
            block.apply(&mut h, operations);
        }
        operations.norm(&self.norm, &mut h);
        h
    }

    /// The logits of a prompt: one row a position. For models whose logits fit in memory.
    pub fn logits(&self, tokens: &[u32], operations: &dyn Operations) -> Rows {
        let mut logits = self.output.multiply(&self.hidden(tokens, operations), operations);
        for row in logits.iter_mut() {
            row.iter_mut().enumerate().for_each(|(token, x)| *x = operations.logit(&self.finish, token, *x));
        }
        logits
    }
}
