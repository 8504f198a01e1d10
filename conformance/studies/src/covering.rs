//! Samples of a product in which every pair of levels of two factors stands at least once.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use std::collections::BTreeSet;

/// A level of a factor, both by index.
type Level = (usize, usize);
/// Levels of two factors, that of the first factor first.
type Pair = (Level, Level);

/// Rows of one level for each factor such that every pair of levels of two factors stands in some row. Greedy: each row takes the
/// pair that is missing first, in an order that the seed decides, and adds the levels that cover most of what is missing.
pub(crate) fn rows(levels: &[usize], seed: u64) -> Vec<Vec<usize>> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs: Vec<(u64, Pair)> = pairs(levels).map(|pair| (random.next_u64(), pair)).collect();
    pairs.sort_unstable();
    let mut missing: BTreeSet<Pair> = pairs.iter().map(|(_, pair)| *pair).collect();
    let mut rows = Vec::new();
    for (_, (first, second)) in pairs {
        if !missing.contains(&(first, second)) {
            continue;
        }
        let mut row = vec![first, second];
        for (factor, &levels) in levels.iter().enumerate() {
            if factor == first.0 || factor == second.0 {
                continue;
            }
            let gain = |level: usize| row.iter().filter(|&&other| missing.contains(&pair(other, (factor, level)))).count();
            // Of levels that cover as much, not always the same.
            let start = random.next_u64() as usize % levels.max(1);
            row.extend((start..levels).chain(0..start).max_by_key(|&level| gain(level)).map(|level| (factor, level)));
        }
        row.sort_unstable();
        for (index, &a) in row.iter().enumerate() {
            for &b in row.iter().skip(index + 1) {
                missing.remove(&(a, b));
            }
        }
        rows.push(row.into_iter().map(|(_, level)| level).collect());
    }
    rows
}

/// Two levels in the order of their factors.
fn pair(a: Level, b: Level) -> Pair {
    if a < b { (a, b) } else { (b, a) }
}

/// Every pair of levels of two factors.
fn pairs(levels: &[usize]) -> impl Iterator<Item = Pair> {
    let of_factor = move |factor: usize| (0..levels[factor]).map(move |level| (factor, level));
    let later = move |first: usize| (first + 1..levels.len()).flat_map(of_factor);
    (0..levels.len()).flat_map(move |first| of_factor(first).flat_map(move |a| later(first).map(move |b| (a, b))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_covers_every_pair_and_follows_from_its_seed() {
        let levels = [24, 28, 16, 2, 11];
        let sample = rows(&levels, 7);
        for first in 0..levels.len() {
            for second in first + 1..levels.len() {
                for a in 0..levels[first] {
                    for b in 0..levels[second] {
                        assert!(sample.iter().any(|row| row[first] == a && row[second] == b), "{first}={a} {second}={b}");
                    }
                }
            }
        }
        // Not much more than the product of the two largest, which no sample can do without.
        assert!(sample.len() < 24 * 28 * 5 / 4, "{}", sample.len());
        assert_eq!(sample, rows(&levels, 7));
        assert_ne!(sample, rows(&levels, 8));
    }
}
