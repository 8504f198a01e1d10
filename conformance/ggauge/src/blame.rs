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

use crate::record::Judgement;
use vocabulary::Outcome;

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
        (Outcome::Unsupported { reason }, _) => settled(Judgement::Unsupported, reason.clone()),
        (Outcome::Completed { .. }, Ok(())) => None,
        (Outcome::Completed { .. }, Err(Outcome::Unsupported { reason })) => settled(Judgement::Unsupported, reason.clone()),
        (Outcome::Completed { .. }, Err(other)) => {
            settled(Judgement::Vacuous, format!("the reference gave nothing: {}", words(other)))
        }
        (Outcome::Rejected(rejection), Err(Outcome::Rejected(truth)))
            if rejection.stage == truth.stage && rejection.class == truth.class =>
        {
            settled(Judgement::Pass, format!("the reference rejects it too: {}", truth.message))
        }
        (Outcome::Rejected(_), Err(Outcome::Unsupported { reason })) => {
            let who = format!("{}, and whether that is right the reference does not know: {reason}", words(subject));
            settled(Judgement::Unsupported, who)
        }
        (Outcome::Rejected(_), Err(other @ Outcome::Rejected(_))) => {
            let both = format!("{}; the reference: {}", words(subject), words(other));
            settled(Judgement::Vacuous, format!("both refuse it, not for the same reason: {both}"))
        }
        (Outcome::Rejected(_), Err(other)) => {
            settled(Judgement::Vacuous, format!("{}; the reference gave nothing: {}", words(subject), words(other)))
        }
        // Whatever is done to a runtime, it answers.
        (ended, reference) => Some(Settled { judgement: Judgement::Fail, reason: words(ended), blamed: reference.is_ok() }),
    }
}

/// An outcome in words.
pub fn words(outcome: &Outcome) -> String {
    match outcome.detail() {
        Some(detail) => format!("{}: {detail}", outcome.summary()),
        None => outcome.summary(),
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
}
