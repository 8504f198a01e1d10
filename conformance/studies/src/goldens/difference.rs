//! What differs between two goldens of a case, and which of it is noise.

use crate::goldens::golden::{Golden, GoldenNoise, GoldenPosition};
use printable::short;
use record::goldens::GoldenDifference;

/// How far the noise itself may be from what it was: it comes from the reference, whose sums other processors order differently.
const NOISE_AGREES: std::ops::RangeInclusive<f64> = 0.9..=1.1;

impl Golden {
    /// Everything in which this differs from an older one by more than noise can. The limits are the older one's: a build cannot bring
    /// its own.
    pub fn differences(&self, old: &Self) -> Vec<GoldenDifference> {
        let mut all = Vec::new();
        let mut words = |place: &str, old: String, new: String| {
            if old != new {
                all.push(GoldenDifference { place: place.into(), old, new, times_limit: None });
            }
        };
        words("case", old.case.clone(), self.case.clone());
        words("outcome", old.outcome.clone(), self.outcome.clone());
        for change in self.model.changes(&old.model) {
            words(change.part, change.old, change.new);
        }
        words("prompt", format!("{:?}", old.prompt), format!("{:?}", self.prompt));
        match (old.noise, self.noise) {
            (Some(a), Some(b)) if NOISE_AGREES.contains(&(b.limit / a.limit)) => {}
            (a, b) => {
                let shown =
                    |noise: Option<GoldenNoise>| noise.map_or("not known".into(), |noise| format!("{:.3e}", noise.limit));
                words("limit", shown(a), shown(b));
            }
        }
        let listed = |golden: &Self| golden.position.iter().map(|position| position.at).collect::<Vec<_>>();
        words("positions", format!("{:?}", listed(old)), format!("{:?}", listed(self)));
        let limit = old.limit();
        for (before, after) in old.position.iter().zip(&self.position).filter(|(a, b)| a.at == b.at) {
            after.differences(before, limit, &mut all);
        }
        all
    }

    pub(super) fn limit(&self) -> f64 {
        self.noise.map_or(0.0, |noise| noise.limit)
    }

    /// This golden with the digits of an older one wherever they did not leave their limit: what a reviewer is shown is what changed.
    #[must_use]
    pub fn keeping(mut self, old: &Self) -> Self {
        if self.differences(old).is_empty() {
            return old.clone();
        }
        let limit = old.limit();
        let mut moved = self.position.len() != old.position.len();
        for (after, before) in self.position.iter_mut().zip(&old.position).filter(|(a, b)| a.at == b.at) {
            let mut differences = Vec::new();
            after.differences(before, limit, &mut differences);
            moved |= !differences.is_empty();
            if differences.is_empty() {
                after.clone_from(before);
            } else {
                after.keep(before, limit);
            }
        }
        if self.noise.zip(old.noise).is_some_and(|(new, old)| NOISE_AGREES.contains(&(new.limit / old.limit))) {
            self.noise = old.noise;
        }
        if !moved {
            self.continuation.clone_from(&old.continuation);
        }
        self
    }
}

/// True where a number did not leave its limit.
fn agree(old: f64, new: f64, limit: f64) -> bool {
    (old - new).abs() <= limit || (old.is_nan() && new.is_nan()) || old == new
}

impl GoldenPosition {
    fn differences(&self, old: &Self, limit: f64, all: &mut Vec<GoldenDifference>) {
        let place = format!("position {}", self.at);
        if old.fixed.len() != self.fixed.len() {
            let [old, new] = [old, self].map(|position| format!("{} fixed tokens", position.fixed.len()));
            all.push(GoldenDifference { place: place.clone(), old, new, times_limit: None });
        }
        let mut number = |what: String, old: f64, new: f64, limit: f64| {
            if !agree(old, new, limit) {
                let times_limit = Some((new - old).abs() / limit);
                all.push(GoldenDifference { place: format!("{place}, {what}"), old: short(old), new: short(new), times_limit });
            }
        };
        number("log-sum-exp".into(), old.log_sum_exp, self.log_sum_exp, limit);
        // The difference of two logits.
        number("margin".into(), old.margin, self.margin, 2.0 * limit);
        for (index, (&old, &new)) in old.fixed.iter().zip(&self.fixed).enumerate() {
            number(format!("fixed token {}", index + 1), old, new, limit);
        }
        let logit = |position: &Self, id: u32| position.top.iter().find(|(other, ..)| *other == id).map(|(_, logit, _)| *logit);
        let least = |position: &Self| position.top.last().map_or(f64::NAN, |(_, logit, _)| *logit);
        for (id, before, text) in &old.top {
            let name = format!("token {id} {text:?}");
            match logit(self, *id) {
                Some(after) => number(name, *before, after, limit),
                // It is no larger than the last one of the list now.
                None => number(format!("{name}, now at most"), *before, least(self).min(*before), limit),
            }
        }
        for (id, after, text) in self.top.iter().filter(|(id, ..)| logit(old, *id).is_none()) {
            number(format!("token {id} {text:?}, at most"), least(old).min(*after), *after, limit);
        }
        if self.input != old.input {
            all.push(GoldenDifference { place, old: old.input.clone(), new: self.input.clone(), times_limit: None });
        }
    }

    fn keep(&mut self, old: &Self, limit: f64) {
        let keep = |new: &mut f64, old: f64, limit: f64| {
            if agree(old, *new, limit) {
                *new = old;
            }
        };
        keep(&mut self.log_sum_exp, old.log_sum_exp, limit);
        keep(&mut self.margin, old.margin, 2.0 * limit);
        for (new, &old) in self.fixed.iter_mut().zip(&old.fixed) {
            keep(new, old, limit);
        }
        for (id, new, _) in &mut self.top {
            if let Some((_, old, _)) = old.top.iter().find(|(other, ..)| other == id) {
                keep(new, *old, limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::golden::tests::golden;

    type Change<'a> = &'a dyn Fn(&mut Golden);

    /// What each change is found by, the changes by less than noise included.
    #[test]
    fn noise_is_no_difference_and_everything_else_is() {
        let places = |change: Change<'_>| {
            let mut new = golden();
            change(&mut new);
            new.differences(&golden()).into_iter().map(|difference| difference.place).collect::<Vec<_>>().join("; ")
        };
        let none: [Change<'_>; 6] = [
            &|_| {},
            &|new| new.position[1].fixed[3] += 0.1,
            &|new| new.position[1].margin -= 0.2,
            &|new| new.position[0].top = vec![(9, 2.1, String::new()), (7, 2.9, String::new()), (5, 1.6, String::new())],
            &|new| new.continuation = None,
            &|new| new.noise = Some(GoldenNoise { rms: 0.01, limit: 0.13 }),
        ];
        for change in none {
            assert_eq!(places(change), "");
        }
        let some: [(Change<'_>, &str); 13] = [
            (&|new| new.outcome = "aborted".into(), "outcome"),
            (&|new| new.model.tokenizer = "B".into(), "the tokenizer of the model"),
            (&|new| new.model.file = "e".repeat(64), "the model's file, but neither"),
            (&|new| new.prompt.tokens = 5, "prompt"),
            (&|new| new.noise = None, "limit"),
            (&|new| new.noise = Some(GoldenNoise { rms: 0.1, limit: 1.25 }), "limit"),
            (&|new| drop(new.position.pop()), "positions"),
            (&|new| new.position[1].fixed[3] += 0.126, "position 3, fixed token 4"),
            (&|new| new.position[1].fixed[3] = f64::NAN, "position 3, fixed token 4"),
            (&|new| new.position[1].fixed.truncate(7), "position 3"),
            (&|new| new.position[0].log_sum_exp += 0.2, "position 0, log-sum-exp"),
            (&|new| new.position[0].top[1].1 -= 0.2, "position 0, token 9"),
            (&|new| new.position[0].top[0] = (5, 3.0, "a".into()), "position 0, token 7 \" the\", now at most"),
        ];
        for (change, place) in some {
            assert!(places(change).starts_with(place), "{place} is not what `{}` is about", places(change));
        }
    }

    #[test]
    fn what_a_golden_says_of_its_model_is_told_as_it_is() {
        let (mut old, new) = (golden(), golden());
        old.model.tokenizer = "a: b, now c".into();
        let differences = new.differences(&old);
        let tokenizer = GoldenDifference {
            place: "the tokenizer of the model".into(),
            old: "a: b, now c".into(),
            new: "b".into(),
            times_limit: None,
        };
        assert_eq!(differences, [tokenizer]);
    }

    #[test]
    fn on_acceptance_what_did_not_leave_its_limit_keeps_its_digits() {
        let mut new = golden();
        new.position[0].fixed = vec![0.45; 8];
        new.position[1].fixed = vec![0.45; 8];
        new.position[1].fixed[2] = 9.0;
        new.position[1].top[0].1 = 3.05;
        let kept = new.clone().keeping(&golden());
        assert_eq!(kept.position[0], golden().position[0]);
        assert_eq!(kept.position[1].top, golden().position[1].top);
        assert_eq!(kept.position[1].fixed, [0.5, 0.5, 9.0, 0.5, 0.5, 0.5, 0.5, 0.5]);
        new.position[1].fixed[2] = 0.5;
        assert_eq!(new.keeping(&golden()), golden());
    }
}
