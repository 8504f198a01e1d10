//! What to do about an upgrade of a runtime, by what it breaks and what it costs.

use record::{
    changes::{Change, RecordsCompared},
    determinism::AspectMeasured,
    upgrade::{Ratio, Speed, UpgradeAdvice},
};

/// A speed below this part of what it was is a reason to look, where it was lower in every round.
const SLOWER: f64 = 0.9;
/// Memory or load time above this part of what it was, likewise.
const MORE: f64 = 1.15;
/// A case that moved by more than this part of its limit, although it stays within.
const DRIFTED: f64 = 0.5;

/// What changes of cases come to, and the words that stand behind their number.
const OF_CASES: [(Change, UpgradeAdvice, &str); 5] = [
    (Change::Broken, UpgradeAdvice::Breaking, "left their limits or end in another way"),
    (Change::Gone, UpgradeAdvice::Breaking, "are not supported any more"),
    (Change::Changed, UpgradeAdvice::Review, "were outside their limits and are so in another way"),
    (
        Change::Fixed,
        UpgradeAdvice::Review,
        "were outside their limits and are within: look for expectations that are stale now",
    ),
    (Change::New, UpgradeAdvice::Review, "are supported now"),
];

/// A number that an upgrade can make worse.
struct Cost {
    name: &'static str,
    of: fn(&Speed) -> Option<Ratio>,
    is_worse: fn(&Ratio) -> bool,
    /// What the ratio is a part of.
    whole: &'static str,
}

fn is_slower(ratio: &Ratio) -> bool {
    ratio.ratio < SLOWER && ratio.spread.1 < 1.0
}

fn is_more(ratio: &Ratio) -> bool {
    ratio.ratio > MORE && ratio.spread.0 > 1.0
}

const COSTS: [Cost; 4] = [
    Cost { name: "prefill", of: |speed| speed.prefill, is_worse: is_slower, whole: "the speed" },
    Cost { name: "decode", of: |speed| speed.decode, is_worse: is_slower, whole: "the speed" },
    Cost { name: "load", of: |speed| speed.load, is_worse: is_more, whole: "what it was" },
    Cost { name: "memory", of: |speed| speed.memory, is_worse: is_more, whole: "what it was" },
];

fn cases(count: usize) -> String {
    if count == 1 { "1 case".into() } else { format!("{count} cases") }
}

/// What to do about an upgrade, and why: at least one reason. Determinism is before and after.
pub fn advise(
    comparison: &RecordsCompared,
    speed: &[Speed],
    determinism: &[Vec<AspectMeasured>; 2],
) -> (UpgradeAdvice, Vec<String>) {
    let mut reasons = of_cases(comparison);
    reasons.extend(of_costs(speed).chain(of_determinism(determinism)).map(|words| (UpgradeAdvice::Review, words)));
    if comparison.rows.is_empty() {
        let words = "nothing was compared: no case is left, or neither side can run any";
        reasons.push((UpgradeAdvice::Review, words.into()));
    }
    if reasons.is_empty() {
        let words = "every case is the same to the bit or within its limits, and nothing is slower";
        reasons.push((UpgradeAdvice::Safe, words.into()));
    }
    let advice = reasons.iter().map(|(advice, _)| *advice).max().unwrap_or(UpgradeAdvice::Safe);
    (advice, reasons.into_iter().map(|(_, words)| words).collect())
}

fn of_cases(comparison: &RecordsCompared) -> Vec<(UpgradeAdvice, String)> {
    let mut reasons = Vec::new();
    for (change, advice, words) in OF_CASES {
        let count = comparison.count(change);
        if count > 0 {
            reasons.push((advice, format!("{} {words}", cases(count))));
        }
    }
    let drifted = comparison.of(Change::Within).into_iter().filter(|row| row.drift() > DRIFTED).count();
    if drifted > 0 {
        reasons.push((UpgradeAdvice::Review, format!("{} moved by more than half of their limit", cases(drifted))));
    }
    reasons
}

fn of_costs(speed: &[Speed]) -> impl Iterator<Item = String> {
    speed.iter().flat_map(|of_model| {
        COSTS.iter().filter_map(|Cost { name, of, is_worse, whole }| match of(of_model) {
            None => Some(format!("{name} of {} could not be measured on both sides", of_model.model)),
            Some(ratio) if is_worse(&ratio) => Some(format!("{name} of {} is {:.2} of {whole}", of_model.model, ratio.ratio)),
            Some(_) => None,
        })
    })
}

/// Aspects that were the same to the bit and are not.
fn of_determinism([before, after]: &[Vec<AspectMeasured>; 2]) -> impl Iterator<Item = String> {
    after.iter().filter(|new| !new.holds()).filter_map(|new| {
        let AspectMeasured { subject, settings, aspect, .. } = new;
        let same = |old: &&AspectMeasured| old.aspect == *aspect && old.settings == *settings && old.subject == *subject;
        let old = before.iter().find(same)?;
        let words = format!("{subject} {settings} was the same to the bit {}: {} now", aspect.words(), new.words());
        old.holds().then_some(words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::determinism::Aspect;
    use vocabulary::{Settings, SubjectId};

    /// What was promised to users to the bit, and is not kept, is a reason to look; what was never kept is none.
    #[test]
    fn determinism_that_is_lost_is_a_reason() {
        let subject = SubjectId::new("fake", "cpu").unwrap();
        let measured = |aspect, nmse| {
            let mut measured = AspectMeasured::nothing(&subject, Settings::Strict, aspect);
            measured.count(nmse);
            measured
        };
        let kept = || vec![measured(Aspect::InAProcess, None), measured(Aspect::AcrossThreads, Some(1e-6))];
        let lost = || vec![measured(Aspect::InAProcess, Some(1e-7)), measured(Aspect::AcrossThreads, Some(1e-3))];
        let reasons = |before, after| of_determinism(&[before, after]).collect::<Vec<_>>();
        assert!(reasons(kept(), kept()).is_empty());
        assert!(reasons(lost(), kept()).is_empty());
        let reasons = reasons(kept(), lost());
        assert_eq!(reasons.len(), 1, "{reasons:?}");
        assert!(reasons[0].starts_with("fake@cpu strict was the same to the bit in a process: 1 of 1 differ"), "{reasons:?}");
    }
}
