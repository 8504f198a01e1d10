//! What the outcomes of a subject and of the reference come to, before any number is looked at, and who is to blame.
//!
//! Blame is for the reference to give: only where it took the file and gave its logits is a subject that did not wrong *against the exact
//! reference*. A subject that ends instead of answering fails whatever the reference says, by itself.
//!
//! | subject, reference:  | completed       | unsupported | rejects likewise | rejects otherwise | gave nothing else |
//! |----------------------|-----------------|-------------|------------------|-------------------|-------------------|
//! | unsupported          | unsupported     | unsupported | unsupported      | unsupported       | unsupported       |
//! | completed            | compare         | unsupported | -                | vacuous           | vacuous           |
//! | rejects              | fail, blamed    | unsupported | pass             | vacuous           | vacuous           |
//! | crashes, hangs, ...  | fail, blamed    | fail        | -                | fail              | fail              |
//!
//! "Likewise" is at the same stage and of the same class. What both refuse for different reasons is no agreement, and says of neither that
//! it is wrong: nothing was compared.
//!
//! Of two subjects, in either order, where "not known" is a refusal of which the reference does not know whether it is right:
//!
//! |                      | completed       | unsupported | rejects likewise | rejects otherwise | crashes, ... |
//! |----------------------|-----------------|-------------|------------------|-------------------|--------------|
//! | completed            | compare         | unsupported | -                | fail              | fail         |
//! | unsupported          | unsupported     | unsupported | unsupported      | unsupported       | unsupported  |
//! | rejects              | fail            | unsupported | pass             | vacuous           | fail         |
//! | rejects, not known   | unsupported     | unsupported | pass             | unsupported       | fail         |
//! | crashes, hangs, ...  | fail            | unsupported | -                | fail              | fail         |

use vocabulary::{Judgement, Outcome, SubjectId};

/// What two outcomes come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The judgement.
    pub judgement: Judgement,
    /// Why.
    pub reason: String,
    /// The subject is wrong against the exact reference.
    pub blamed: bool,
}

/// What the outcomes of a subject and of the reference come to; `None` where both completed, and numbers decide.
pub fn settle(subject: &Outcome, reference: Result<(), &Outcome>) -> Option<Settled> {
    let settled = |judgement, reason| Some(Settled { judgement, reason, blamed: false });
    match (subject, reference) {
        (Outcome::Completed { .. }, Ok(())) => None,
        (Outcome::Unsupported { reason }, _) | (Outcome::Completed { .. }, Err(Outcome::Unsupported { reason })) => {
            settled(Judgement::Unsupported, reason.clone())
        }
        (Outcome::Completed { .. }, Err(other)) => {
            settled(Judgement::Vacuous, format!("the reference gave nothing: {}", other.words()))
        }
        (Outcome::Rejected(rejection), Err(Outcome::Rejected(truth)))
            if rejection.stage == truth.stage && rejection.class == truth.class =>
        {
            settled(Judgement::Pass, format!("the reference rejects it too: {}", truth.message))
        }
        (Outcome::Rejected(_), Err(Outcome::Unsupported { reason })) => {
            let who = format!("{}, and whether that is right the reference does not know: {reason}", subject.words());
            settled(Judgement::Unsupported, who)
        }
        (Outcome::Rejected(_), Err(other @ Outcome::Rejected(_))) => {
            let both = format!("{}; the reference: {}", subject.words(), other.words());
            settled(Judgement::Vacuous, format!("both refuse it, not for the same reason: {both}"))
        }
        (Outcome::Rejected(_), Err(other)) => {
            settled(Judgement::Vacuous, format!("{}; the reference gave nothing: {}", subject.words(), other.words()))
        }
        // Whatever is done to a runtime, it answers.
        (ended, reference) => Some(Settled { judgement: Judgement::Fail, reason: ended.words(), blamed: reference.is_ok() }),
    }
}

/// One of two subjects that are held against each other.
#[derive(Debug, Clone, Copy)]
pub struct PairSide<'a> {
    /// The subject.
    pub subject: &'a SubjectId,
    /// Its outcome.
    pub outcome: &'a Outcome,
    /// What it was judged against the reference, and why; `None` where it was not.
    pub alone: Option<(Judgement, &'a str)>,
}

impl PairSide<'_> {
    fn words(&self) -> String {
        format!("{}: {}", self.subject, self.outcome.words())
    }

    /// Why it is not known whether it is right to refuse, where it is not.
    fn not_known(&self) -> Option<&str> {
        match (self.outcome, self.alone) {
            (Outcome::Rejected(_), Some((Judgement::Unsupported, reason))) => Some(reason),
            _ => None,
        }
    }
}

/// What the outcomes of two subjects come to; `None` where both completed, and numbers decide. Neither is blamed for it.
pub fn settle_pair(a: &PairSide<'_>, b: &PairSide<'_>) -> Option<Settled> {
    use Outcome::{Completed, Rejected, Unsupported};
    let settled = |judgement, reason| Some(Settled { judgement, reason, blamed: false });
    let both = || format!("{}; {}", a.words(), b.words());
    let not_known = || [a, b].into_iter().find_map(|side| Some(format!("{}: {}", side.subject, side.not_known()?)));
    match (a.outcome, b.outcome) {
        (Completed { .. }, Completed { .. }) => None,
        (Unsupported { reason }, _) | (_, Unsupported { reason }) => settled(Judgement::Unsupported, reason.clone()),
        (Rejected(of_a), Rejected(of_b)) if of_a.stage == of_b.stage && of_a.class == of_b.class => {
            settled(Judgement::Pass, format!("both reject it: {}", of_b.message))
        }
        (Completed { .. } | Rejected(_), Completed { .. } | Rejected(_)) if let Some(reason) = not_known() => {
            settled(Judgement::Unsupported, reason)
        }
        (Rejected(_), Rejected(_)) => {
            settled(Judgement::Vacuous, format!("both refuse it, not for the same reason: {}", both()))
        }
        _ => settled(Judgement::Fail, both()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocabulary::{Rejection, RejectionClass, Stage};

    fn rejected(stage: Stage, class: RejectionClass) -> Outcome {
        Outcome::Rejected(Rejection { stage, class, message: "no".into() })
    }

    #[test]
    fn every_pair_of_outcomes() {
        use Judgement::{Fail, Pass, Unsupported, Vacuous};
        let unsupported = Outcome::Unsupported { reason: "cannot".into() };
        let completed = Outcome::Completed { positions: 3 };
        let (rejects, otherwise) =
            (rejected(Stage::Load, RejectionClass::Incomplete), rejected(Stage::Load, RejectionClass::Malformed));
        let later = rejected(Stage::Evaluate, RejectionClass::Incomplete);
        let ends = [
            Outcome::Crashed { signal: 11 },
            Outcome::Aborted,
            Outcome::Exited { code: 3 },
            Outcome::TimedOut { limit_milliseconds: 1000 },
            Outcome::OutOfMemory { limit_bytes: 1 << 20 },
        ];
        let of = |subject: &Outcome, reference: Result<(), &Outcome>| {
            settle(subject, reference).map(|settled| (settled.judgement, settled.blamed))
        };
        let references = [Ok(()), Err(&unsupported), Err(&rejects), Err(&otherwise), Err(&later), Err(&ends[0])];
        for reference in references {
            assert_eq!(of(&unsupported, reference), Some((Unsupported, false)));
            for end in &ends {
                assert_eq!(of(end, reference), Some((Fail, reference.is_ok())), "{end:?} {reference:?}");
            }
        }
        let nothing = |judgement| Some((judgement, false));
        let row = |subject: &Outcome| references.map(|reference| of(subject, reference));
        let told = [nothing(Unsupported), nothing(Vacuous), nothing(Vacuous), nothing(Vacuous), nothing(Vacuous)];
        assert_eq!(row(&completed), [&[None][..], &told].concat()[..]);
        let told = [nothing(Unsupported), nothing(Pass), nothing(Vacuous), nothing(Vacuous), nothing(Vacuous)];
        assert_eq!(row(&rejects), [&[Some((Fail, true))][..], &told].concat()[..]);
    }

    #[test]
    fn every_pair_of_two_subjects() {
        use Judgement::{Fail, Pass, Unsupported, Vacuous};
        let [first, second] = ["candle@cpu", "llama-cpp@cpu"].map(|name| name.parse::<SubjectId>().unwrap());
        let completed = Outcome::Completed { positions: 3 };
        let unsupported = Outcome::Unsupported { reason: "cannot".into() };
        let rejects = rejected(Stage::Load, RejectionClass::Incomplete);
        let otherwise = rejected(Stage::Load, RejectionClass::Malformed);
        let later = rejected(Stage::Evaluate, RejectionClass::Incomplete);
        let crashes = Outcome::Crashed { signal: 11 };
        let columns = [&completed, &unsupported, &rejects, &otherwise, &later, &crashes];
        let not_known = Some((Unsupported, "the reference does not know it"));
        let row = |outcome, alone| {
            columns.map(|other| {
                let a = PairSide { subject: &first, outcome, alone };
                let b = PairSide { subject: &second, outcome: other, alone: Some((Pass, "")) };
                let settled = settle_pair(&a, &b);
                let judgement = settled.as_ref().map(|settled| settled.judgement);
                assert_eq!(settle_pair(&b, &a).map(|settled| settled.judgement), judgement, "{outcome:?} {other:?}");
                if let Some(Settled { judgement, reason, blamed }) = settled {
                    assert!(!blamed);
                    let names = [&first, &second].iter().all(|name| reason.contains(&name.to_string()));
                    assert!(names || !matches!(judgement, Fail | Vacuous), "who did what: {reason}");
                }
                judgement
            })
        };
        let all = |judgements: [Judgement; 6]| judgements.map(Some);
        let mut compared = all([Pass, Unsupported, Fail, Fail, Fail, Fail]);
        compared[0] = None;
        assert_eq!(row(&completed, None), compared);
        assert_eq!(row(&unsupported, None), all([Unsupported; 6]));
        assert_eq!(row(&rejects, None), all([Fail, Unsupported, Pass, Vacuous, Vacuous, Fail]));
        assert_eq!(row(&rejects, not_known), all([Unsupported, Unsupported, Pass, Unsupported, Unsupported, Fail]));
        assert_eq!(row(&crashes, None), all([Fail, Unsupported, Fail, Fail, Fail, Fail]));
        assert_eq!(row(&crashes, not_known), row(&crashes, None), "whoever is asked answers");
    }
}
