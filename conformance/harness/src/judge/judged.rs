//! What a comparison came to, put together once.

use super::{oracle::Incomparable, settle::Settled};
use policy::Expectation;
use record::ComparisonRecord;
use vocabulary::{Case, Check, Judgement, Measurement, Oracle, OverNoise, SubjectId, Verdict};

#[derive(Debug, Clone)]
pub(super) struct Judged {
    pub(super) judgement: Judgement,
    pub(super) verdict: Option<Verdict>,
    /// Who is wrong.
    pub(super) blame: Vec<SubjectId>,
    pub(super) reason: Option<String>,
    pub(super) issue: Option<String>,
    /// All positions together, where the truth has them.
    pub(super) over_noise: Option<OverNoise>,
}

/// The verdict of a case that gave no logits.
pub(super) fn not_completed() -> Verdict {
    let check = Measurement { check: Check::Outcome, measured: 1.0, limit: 0.0, position: None };
    Verdict::Measured { checks: vec![check], positions: 0, top_one_judged: 0, top_one_equal: 0, slope: 0.0 }
}

impl Judged {
    /// Nothing was measured, and why.
    pub(super) fn nothing(judgement: Judgement, why: &str) -> Self {
        Self { judgement, verdict: None, blame: Vec::new(), reason: Some(why.into()), issue: None, over_noise: None }
    }

    /// What outcomes alone decide.
    pub(super) fn settled(settled: Settled, subject: &SubjectId) -> Self {
        Self {
            judgement: settled.judgement,
            verdict: (settled.judgement == Judgement::Fail).then(not_completed),
            blame: if settled.blamed { vec![subject.clone()] } else { Vec::new() },
            reason: Some(settled.reason),
            issue: None,
            over_noise: None,
        }
    }

    /// What numbers decide, or why there are none.
    pub(super) fn measured(verdict: Result<Verdict, Incomparable>) -> Self {
        match verdict {
            Ok(verdict) => {
                let judgement = if verdict.holds() { Judgement::Pass } else { Judgement::Fail };
                Self { judgement, verdict: Some(verdict), blame: Vec::new(), reason: None, issue: None, over_noise: None }
            }
            Err(why) => {
                let reason = why.to_string();
                let verdict = Some(Verdict::Vacuous { reason: reason.clone() });
                Self { verdict, ..Self::nothing(Judgement::Vacuous, &reason) }
            }
        }
    }

    /// The subject is to blame for a failure.
    pub(super) fn blaming(mut self, subject: &SubjectId) -> Self {
        if self.judgement == Judgement::Fail {
            self.blame = vec![subject.clone()];
        }
        self
    }

    /// Applies an expectation that matches: a failure that is as expected is one, anything else that was judged is not.
    pub(super) fn apply(&mut self, expectation: &Expectation, met: bool) {
        self.judgement = match (self.judgement, met) {
            (Judgement::Unsupported, _) => return,
            (_, true) => Judgement::ExpectedFail,
            (Judgement::Pass, false) => Judgement::UnexpectedPass,
            (other, false) => other,
        };
        if self.judgement != Judgement::Fail && self.judgement != Judgement::Vacuous {
            self.reason = Some(expectation.reason.trim().replace('\n', " "));
            self.issue.clone_from(&expectation.issue);
        }
    }

    /// As it stands in a Record.
    #[expect(clippy::too_many_arguments, reason = "a record has all of it")]
    pub(super) fn record(
        self,
        oracle: Oracle,
        id: String,
        case: &Case,
        against: SubjectId,
        reproduce: String,
    ) -> ComparisonRecord {
        ComparisonRecord {
            id,
            oracle,
            model: case.model.clone(),
            weights: case.weights.clone(),
            prompt: case.prompt.clone(),
            schedule: case.schedule,
            settings: case.settings,
            candidate: case.subject.clone(),
            against,
            relation: None,
            noise: None,
            over_noise: self.over_noise,
            verdict: self.verdict,
            judgement: self.judgement,
            blame: self.blame,
            reason: self.reason,
            issue: self.issue,
            reproduce,
        }
    }
}
