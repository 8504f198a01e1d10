//! Each operation against its closed form.

use super::*;
use crate::{Rounding, rows::dot};
use approx::assert_relative_eq;
use std::f64::consts::{FRAC_PI_2, LN_2};

fn rows(width: usize, data: &[f64]) -> Rows {
    Rows { width, data: data.into() }
}

#[test]
fn norms_in_closed_form() {
    // The root mean square of (3, 4) is sqrt(12.5).
    let norm = |kind, gain: [f64; 2], bias: Option<[f64; 2]>, epsilon| {
        Norm { name: String::new(), kind, gain: gain.into(), bias: bias.map(Into::into), epsilon }
            .of(&rows(2, &[3.0, 4.0]), &Rounding::EXACT)
    };
    let x = norm(NormKind::RootMeanSquare, [1.0, 2.0], None, 0.0);
    assert_relative_eq!(x.data[0], 3.0 / 12.5f64.sqrt());
    assert_relative_eq!(x.data[1], 8.0 / 12.5f64.sqrt());
    // With an epsilon as large as the mean square, the result shrinks by the root of 2.
    assert_relative_eq!(norm(NormKind::RootMeanSquare, [1.0, 1.0], None, 12.5).data[0], 3.0 / 5.0);
    // The mean is 3.5 and the standard deviation 0.5, whatever was there before; then gain and bias.
    let x = norm(NormKind::Layer, [1.0, 2.0], Some([10.0, 20.0]), 0.0);
    assert_relative_eq!(x.data[0], 9.0);
    assert_relative_eq!(x.data[1], 22.0);
}

#[test]
fn softmax_in_closed_form() {
    let mut scores = [0.0, LN_2, f64::NEG_INFINITY];
    softmax(&mut scores);
    assert_relative_eq!(scores[0], 1.0 / 3.0, epsilon = 1e-15);
    assert_relative_eq!(scores[1], 2.0 / 3.0, epsilon = 1e-15);
    assert_eq!(scores[2], 0.0);
    // A constant shift changes nothing, even one that would overflow exp.
    let mut shifted = [1e4, 1e4 + LN_2];
    softmax(&mut shifted);
    assert_relative_eq!(shifted[1], 2.0 / 3.0, epsilon = 1e-12);
}

#[test]
fn activations_in_closed_form() {
    // sigmoid(ln 3) is 3/4.
    assert_relative_eq!(Activation::Silu.of(3f64.ln()), 0.75 * 3f64.ln());
    assert_eq!(Activation::Silu.of(0.0), 0.0);
    assert_eq!(Activation::GeluTanh.of(0.0), 0.0);
    // GELU(x) - GELU(-x) = x; and the value of PyTorch's gelu(1.0, approximate="tanh").
    assert_relative_eq!(Activation::GeluTanh.of(0.7) - Activation::GeluTanh.of(-0.7), 0.7, epsilon = 1e-15);
    assert_relative_eq!(Activation::GeluTanh.of(1.0), 0.841_191_990_608_276, epsilon = 1e-12);
    assert_relative_eq!(Activation::GeluTanh.of(20.0), 20.0);
}

fn rotary(pairs: Pairs, base: f64) -> Rotary {
    Rotary::plain(pairs, 4, base)
}

#[test]
fn rotary_turns_pairs_by_position_times_frequency() {
    // Frequencies are 1 and base^(-1/2); position 0 does not turn.
    let base = 4.0 / (FRAC_PI_2 * FRAC_PI_2);
    let data = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];
    let (sin, cos) = 1f64.sin_cos();
    let (half_sin, half_cos) = base.powf(-0.5).sin_cos();
    let mut x = rows(4, &data);
    rotary(Pairs::Adjacent, base).apply(&mut x, 4, &Rounding::EXACT);
    assert_eq!(x.row(0), &data[..4]);
    assert_relative_eq!(x.row(1)[0], cos - 2.0 * sin);
    assert_relative_eq!(x.row(1)[1], sin + 2.0 * cos);
    assert_relative_eq!(x.row(1)[3], 3.0 * half_sin + 4.0 * half_cos);
    let mut x = rows(4, &data);
    rotary(Pairs::Halves, base).apply(&mut x, 4, &Rounding::EXACT);
    assert_relative_eq!(x.row(1)[0], cos - 3.0 * sin);
    assert_relative_eq!(x.row(1)[1], 2.0 * half_cos - 4.0 * half_sin);
}

#[test]
fn rotary_leaves_the_rest_of_a_head_and_changes_frequencies_for_long_prompts() {
    let rotary = Rotary { frequencies: vec![1.0], long: Some((1, vec![0.0])), magnitude: 2.0, ..rotary(Pairs::Halves, 1.0) };
    let mut short = rows(4, &[1.0, 2.0, 3.0, 4.0]);
    rotary.apply(&mut short, 4, &Rounding::EXACT);
    assert_eq!(short.data, [2.0, 4.0, 3.0, 4.0]);
    // With two positions the long frequencies hold for both, and nothing turns.
    let mut long = rows(4, &[1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0]);
    rotary.apply(&mut long, 4, &Rounding::EXACT);
    assert_eq!(long.row(0), long.row(1));
}

#[test]
fn rotary_scores_depend_on_distance_alone() {
    let rotary = rotary(Pairs::Halves, 100.0);
    let repeat = |row: [f64; 4]| rows(4, &row.repeat(6));
    let (mut q, mut k) = (repeat([0.3, -1.0, 0.8, 2.0]), repeat([1.1, 0.4, -0.6, 0.9]));
    rotary.apply(&mut q, 4, &Rounding::EXACT);
    rotary.apply(&mut k, 4, &Rounding::EXACT);
    assert_relative_eq!(dot(q.row(3), k.row(1)), dot(q.row(5), k.row(3)), epsilon = 1e-12);
    assert!((dot(q.row(3), k.row(1)) - dot(q.row(3), k.row(2))).abs() > 1e-3);
}

#[test]
fn attention_is_causal_grouped_and_windowed() {
    let attention = Attention { heads: 2, kv_heads: 1, head: 1, scale: 1.0, window: None, soft_cap: None };
    // Keys of 0 give equal weights, so outputs are means of the values seen.
    let (q, k, v) = (rows(2, &[1.0; 6]), rows(1, &[0.0; 3]), rows(1, &[6.0, 12.0, 0.0]));
    assert_eq!(attention.apply(&q, &k, &v, &Rounding::EXACT).data, [6.0, 6.0, 9.0, 9.0, 6.0, 6.0]);
    let windowed = Attention { window: Some(2), ..attention };
    assert_eq!(windowed.apply(&q, &k, &v, &Rounding::EXACT).data, [6.0, 6.0, 9.0, 9.0, 6.0, 6.0]);
    let windowed = Attention { window: Some(1), ..attention };
    assert_eq!(windowed.apply(&q, &k, &v, &Rounding::EXACT).data, [6.0, 6.0, 12.0, 12.0, 0.0, 0.0]);
    // A score of ln 3 against 0 weighs 3 to 1; the scale goes onto the score.
    let q = rows(2, &[0.0, 0.0, 2.0 * 3f64.ln(), 0.0]);
    let scaled = Attention { scale: 0.5, ..attention };
    let out = scaled.apply(&q, &rows(1, &[1.0, 0.0]), &rows(1, &[4.0, 8.0]), &Rounding::EXACT);
    assert_relative_eq!(out.row(1)[0], 5.0, epsilon = 1e-12);
    assert_relative_eq!(out.row(1)[1], 6.0, epsilon = 1e-12);
}

#[test]
fn soft_caps_bend_and_keep_the_sign() {
    assert_eq!(soft_cap(None, 7.0), 7.0);
    assert_relative_eq!(soft_cap(Some(2.0), -1e9), -2.0);
    assert_relative_eq!(soft_cap(Some(2.0), 2.0), 2.0 * 1f64.tanh());
    let finish = Finish { bias: Some(vec![0.0, 3.0]), divisor: Some(2.0), soft_cap: None };
    assert_eq!((finish.of(0, 1.0), finish.of(1, 1.0)), (0.5, 2.0));
}

#[test]
fn experts_are_the_likeliest_and_their_weights_sum_to_one() {
    let scores = [0.0, 3f64.ln(), 6f64.ln(), f64::NEG_INFINITY];
    let router = Router { used: 2, normalized: true, scale: 1.0 };
    let chosen = router.choose(&scores);
    assert_eq!([chosen[0].0, chosen[1].0], [2, 1]);
    assert_relative_eq!(chosen[0].1, 2.0 / 3.0, epsilon = 1e-15);
    let plain = Router { normalized: false, scale: 10.0, ..router }.choose(&scores);
    assert_relative_eq!(plain[1].1, 3.0, epsilon = 1e-14);
}

#[test]
fn convolution_reaches_back_and_no_further() {
    // Two channels: the first adds up its last two positions, the second repeats the one before.
    let convolution = Convolution { kernels: vec![vec![1.0, 1.0], vec![1.0, 0.0]] };
    let out = convolution.apply(&rows(2, &[1.0, 10.0, 2.0, 20.0, 3.0, 30.0]));
    assert_eq!(out.data, [1.0, 0.0, 3.0, 10.0, 5.0, 20.0]);
}
