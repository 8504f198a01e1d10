//! `exp` of many numbers at a time, the same to the bit on every processor.
//!
//! `f64::exp` is a call a number, and which digits come last depends on the C library. This is arithmetic alone, without
//! branches, so that the compiler computes as many side by side as the processor has room for; nothing is fused that is not
//! written as fused, so a processor with more room gives the same bits. Cody and Waite, *Software Manual for the Elementary
//! Functions*, 1980: `x = k ln 2 + r` with `|r| <= ln 2 / 2`, and `exp(x) = 2^k exp(r)`, of which the Taylor polynomial of
//! degree 13 leaves less than 2^-57.

/// No result is further than this from the exact one, relative to it, where that is a normal number.
#[cfg(test)]
const ERROR: f64 = 1e-15;

/// Below this, the least of which `exp` is a normal number, the result is 0: less than 2^-1022 too little.
const LEAST: f64 = -708.396_418_532_264_1;

/// `ln 2` in two parts. The first has 21 bits of zeros at its end, so that its products with `k` are exact.
const LN_2: [f64; 2] = [6.931_471_803_691_238e-1, 1.908_214_929_270_587_7e-10];

/// What pushes a number's fraction out of an f64: `1.5 * 2^52`. Its lowest bits then hold the whole number.
const ROUND: f64 = 6_755_399_441_055_744.0;

/// One over the factorials of 13 and 12, of 11 and 10, and so on.
const TAYLOR: [[f64; 2]; 7] = [
    [1.0 / 6_227_020_800.0, 1.0 / 479_001_600.0],
    [1.0 / 39_916_800.0, 1.0 / 3_628_800.0],
    [1.0 / 362_880.0, 1.0 / 40_320.0],
    [1.0 / 5_040.0, 1.0 / 720.0],
    [1.0 / 120.0, 1.0 / 24.0],
    [1.0 / 6.0, 1.0 / 2.0],
    [1.0, 1.0],
];

/// `exp(x)` of each, for numbers that are not above 0.
#[inline(always)]
pub(super) fn exp_of_none_above_0<const N: usize>(x: [f64; N]) -> [f64; N] {
    // A step at a time for all of them: that is what the compiler takes for arithmetic on vectors.
    let inside = x.map(|x| x.max(LEAST));
    let rounded = inside.map(|x| x * std::f64::consts::LOG2_E + ROUND);
    let mut r = inside;
    for (r, rounded) in r.iter_mut().zip(&rounded) {
        let k = rounded - ROUND;
        *r = (*r - k * LN_2[0]) - k * LN_2[1];
    }
    // Odd and even powers apart: two chains of half the length.
    let (mut odd, mut even) = ([0.0; N], [0.0; N]);
    for [of_odd, of_even] in TAYLOR {
        for at in 0..N {
            let square = r[at] * r[at];
            odd[at] = odd[at] * square + of_odd;
            even[at] = even[at] * square + of_even;
        }
    }
    let mut results = even;
    for at in 0..N {
        results[at] += odd[at] * r[at];
    }
    for ((result, rounded), x) in results.iter_mut().zip(rounded).zip(x) {
        // 2^k: `k` is the lowest bits of `rounded`, and goes into the exponent.
        *result *= f64::from_bits(rounded.to_bits().wrapping_add(1023) << 52);
        if x < LEAST {
            *result = 0.0;
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every 1/1024 of the whole range, and numbers in between that are nothing special.
    #[test]
    fn it_is_exp_within_the_error_stated() {
        let mut worst = 0.0_f64;
        for step in 0..(709 * 1024) {
            for offset in [0.0, 1.0 / 3.0, 0.123_456_789] {
                let x = -(f64::from(step) + offset) / 1024.0;
                let ([ours], exact) = (exp_of_none_above_0([x]), x.exp());
                if x > LEAST {
                    worst = worst.max((ours - exact).abs() / exact);
                } else {
                    assert!(ours == 0.0 && exact < f64::MIN_POSITIVE * 1.001, "{x}");
                }
            }
        }
        // The library's own error is at most a unit of the last digit.
        assert!(worst < ERROR, "{worst:e}");
    }

    #[test]
    fn it_is_exact_where_exp_is_and_0_where_nothing_is_left() {
        assert_eq!(exp_of_none_above_0([0.0, -0.0]), [1.0, 1.0]);
        assert_eq!(exp_of_none_above_0([-709.0, -1e300, f64::NEG_INFINITY]), [0.0; 3]);
        let [least] = exp_of_none_above_0([LEAST]);
        assert!((least / f64::MIN_POSITIVE - 1.0).abs() < 1e-12, "{least:e}");
        // What lies near 0 keeps its digits.
        assert_eq!(exp_of_none_above_0([-1e-9]), [(-1e-9_f64).exp()]);
    }

    /// However many are computed side by side.
    #[test]
    fn the_same_number_gives_the_same_bits_in_every_place() {
        let numbers: [f64; 64] = std::array::from_fn(|at| -(at as f64) * 11.37);
        let together = exp_of_none_above_0(numbers);
        let alone = numbers.map(|number| exp_of_none_above_0([number])[0]);
        assert_eq!(together.map(f64::to_bits), alone.map(f64::to_bits));
    }
}
