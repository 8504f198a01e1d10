//! What was executed, judged: outcomes and transcripts in, comparisons out. Nothing here starts a process, reads a clock, or knows a file but
//! transcripts that are there.

mod exponential;
mod judged;
pub mod oracle;
pub mod settle;
mod sums;
pub mod together;

use crate::answer::{Answer, bad_transcript, outcome_of};
use judged::{Judged, not_completed};
use machine::Error;
use oracle::Incomparable;
use policy::Expectations;
use record::{ComparisonRecord, ModelRecord};
use settle::{PairSide, settle, settle_pair};
use std::collections::BTreeMap;
use vocabulary::{Case, Judgement, Limits, Noise, Oracle, Outcome, Relation, Schedule, SubjectId, transcript::Reader};

/// A case that was executed: its logits or what else became of it, and what it is allowed.
pub struct Executed {
    /// The case.
    pub case: Case,
    /// What it gave.
    pub answer: Answer<Reader>,
    /// How far its rounding moves the reference, or why that is not known.
    pub noise: Result<Noise, String>,
    /// The limits made from that, where some are calibrated.
    pub limits: Option<Limits>,
}

/// A case that was executed once more under a change that must not matter.
pub struct Trial {
    /// The subject of the case.
    pub subject: SubjectId,
    /// The change.
    pub relation: Relation,
    /// What came of it, or why it was not executed.
    pub changed: Result<Changed, String>,
}

/// What a case gave under a change.
pub struct Changed {
    /// How the prompt was fed.
    pub schedule: Schedule,
    /// What it gave.
    pub answer: Answer<Reader>,
    /// How far it may be off the unchanged case; `None` where no bit may differ, or where no limits are calibrated.
    pub limits: Option<Limits>,
}

/// Cases of one model, prompt and schedule, all executed.
pub struct ExecutedGroup<'a> {
    /// The model.
    pub model: &'a ModelRecord,
    /// What the reference gave.
    pub exact: &'a Answer<Reader>,
    /// The cases, in the order of the plan.
    pub executed: &'a [Executed],
    /// Subjects that are held against each other.
    pub pairs: &'a [(SubjectId, SubjectId)],
    /// Cases that were executed under changes.
    pub trials: &'a [Trial],
}

/// What judges.
pub struct Judge<'a> {
    /// The known divergences.
    pub expectations: &'a Expectations,
    /// The command that runs a case again: its model, the case, and the filter that keeps it.
    pub reproduce: &'a dyn Fn(&ModelRecord, &Case, &str) -> String,
}

impl Judge<'_> {
    /// Judges a group: each case against the truth, pairs against each other, and cases against themselves under changes.
    ///
    /// # Errors
    /// Where two expectations match a case equally well.
    pub fn judge(&self, group: &ExecutedGroup<'_>) -> Result<Vec<ComparisonRecord>, Error> {
        let mut comparisons = Vec::new();
        let mut alone = BTreeMap::new();
        for executed in group.executed {
            let judged = self.against_reference(group, executed)?;
            comparisons.push(self.of_reference(group, executed, &judged));
            alone.insert(executed.case.subject.clone(), judged);
        }
        let find = |id: &SubjectId| group.executed.iter().find(|executed| executed.case.subject == *id);
        for (a, b) in group.pairs {
            if let (Some(a), Some(b)) = (find(a), find(b)) {
                comparisons.push(self.of_pair(group, a, b, against_each_other(a, b, &alone)));
            }
        }
        for trial in group.trials {
            if let Some(executed) = find(&trial.subject) {
                let judged = self.against_itself(group, executed, trial)?;
                comparisons.push(self.of_trial(group, executed, trial, judged));
            }
        }
        Ok(comparisons)
    }

    fn against_reference(&self, group: &ExecutedGroup<'_>, executed: &Executed) -> Result<Judged, Error> {
        let Executed { case, answer, noise, limits } = executed;
        let architecture = &group.model.architecture;
        let expectation = self.expectations.find(case, architecture)?;
        let mut outcome = outcome_of(answer);
        let measured = match (group.exact, answer, limits) {
            (Ok(exact), Ok(transcript), Some(_)) => Some(oracle::compare(transcript, exact)),
            _ => None,
        };
        if let Some(Err(Incomparable::Candidate(why))) = &measured {
            outcome = bad_transcript(why);
        }
        let over_noise = match (&measured, noise) {
            (Some(Ok(measured)), Ok(noise)) => measured.over(noise),
            _ => None,
        };
        let settled = settle(&outcome, group.exact.as_ref().map(|_| ()));
        let mut judged = match (settled, measured, limits) {
            (Some(settled), ..) => Judged::settled(settled, &case.subject),
            (None, _, None) if let Err(why) = noise => Judged::nothing(Judgement::Vacuous, why),
            (None, Some(measured), Some(limits)) => {
                Judged::measured(measured.map(|measured| measured.verdict(limits))).blaming(&case.subject)
            }
            (None, ..) => {
                let why = format!("no limits are calibrated for {} in {} settings", case.subject, case.settings);
                Judged::nothing(Judgement::Unsupported, &why)
            }
        };
        if let Some(expectation) = expectation {
            if judged.judgement == Judgement::Pass && expectation.may_hide(case, architecture) {
                judged.reason = Some(format!("smaller than the noise here: {}", expectation.reason.trim()));
            } else {
                let met = expectation.is_met_by(&outcome, judged.verdict.as_ref());
                judged.apply(expectation, met);
            }
        }
        Ok(Judged { over_noise, ..judged })
    }

    /// Holds a case under a change against what it was.
    fn against_itself(&self, group: &ExecutedGroup<'_>, executed: &Executed, trial: &Trial) -> Result<Judged, Error> {
        let unsupported = |why: &str| Ok(Judged::nothing(Judgement::Unsupported, why));
        let before = match &executed.answer {
            Ok(transcript) => transcript,
            Err(outcome) => return unsupported(&format!("nothing to hold it against: {}", outcome.words())),
        };
        let changed = match &trial.changed {
            Ok(changed) => changed,
            Err(why) => return unsupported(why),
        };
        let compared = match (&changed.answer, &changed.limits) {
            (Err(Outcome::Unsupported { reason }), _) => return unsupported(reason),
            (Err(_), _) => Ok(not_completed()),
            (Ok(transcript), _) if trial.relation.is_exact() => oracle::identical(transcript, before),
            (Ok(_), None) => return unsupported("there are no limits for it"),
            (Ok(transcript), Some(limits)) => oracle::compare(transcript, before).map(|measured| measured.verdict(limits)),
        };
        let mut outcome = outcome_of(&changed.answer);
        let verdict = match compared {
            // Both were written by this subject.
            Err(Incomparable::Candidate(why) | Incomparable::Truth(why)) => {
                outcome = bad_transcript(why);
                not_completed()
            }
            Err(why) => return Ok(Judged::nothing(Judgement::Vacuous, &why.to_string())),
            Ok(verdict) => verdict,
        };
        let mut judged = Judged::measured(Ok(verdict)).blaming(&executed.case.subject);
        if judged.judgement == Judgement::Fail {
            if !matches!(outcome, Outcome::Completed { .. }) {
                judged.reason = Some(outcome.words());
            }
            self.expect_of_trial(group, executed, trial.relation, changed.schedule, &outcome, &mut judged)?;
        }
        Ok(judged)
    }

    /// A failure under a change may be a known divergence: one about the relation, or one that is there in one schedule and not in the other.
    #[expect(clippy::too_many_arguments, reason = "a trial is a case, its change, and what came of both")]
    fn expect_of_trial(
        &self,
        group: &ExecutedGroup<'_>,
        executed: &Executed,
        relation: Relation,
        schedule: Schedule,
        outcome: &Outcome,
        judged: &mut Judged,
    ) -> Result<(), Error> {
        let (case, architecture) = (&executed.case, &group.model.architecture);
        let about_relation = self.expectations.find_trial(case, architecture, relation)?;
        // What is wrong in one schedule and not in another need not be equal. What is wrong in both is still the same.
        let changed = Case { schedule, ..case.clone() };
        let about_schedule = if schedule == case.schedule {
            None
        } else {
            let before = self.expectations.find(case, architecture)?;
            self.expectations.find(&changed, architecture)?.or(before)
        };
        if let Some(expectation) = about_relation.or(about_schedule)
            && expectation.is_met_by(outcome, judged.verdict.as_ref())
        {
            judged.apply(expectation, true);
        }
        Ok(())
    }
}

/// Holds `b` against `a`; `alone` is what each was judged against the reference.
fn against_each_other(a: &Executed, b: &Executed, alone: &BTreeMap<SubjectId, Judged>) -> Judged {
    let mut outcomes = [a, b].map(|side| outcome_of(&side.answer));
    let measured = match (&a.answer, &b.answer, &a.limits, &b.limits) {
        (Ok(of_a), Ok(of_b), Some(limits_a), Some(limits_b)) => {
            Some(oracle::compare(of_b, of_a).map(|measured| measured.verdict(&Limits::of_pair(limits_a, limits_b))))
        }
        _ => None,
    };
    match &measured {
        Some(Err(Incomparable::Truth(why))) => outcomes[0] = bad_transcript(why),
        Some(Err(Incomparable::Candidate(why))) => outcomes[1] = bad_transcript(why),
        _ => {}
    }
    let side = |of: &'_ Executed, outcome| {
        let alone = alone.get(&of.case.subject);
        (of.case.subject.clone(), outcome, alone.map(|alone| (alone.judgement, alone.reason.clone().unwrap_or_default())))
    };
    let [of_a, of_b] = outcomes;
    let sides = [side(a, of_a), side(b, of_b)];
    let [of_a, of_b] = sides.each_ref().map(|(subject, outcome, alone)| PairSide {
        subject,
        outcome,
        alone: alone.as_ref().map(|(judgement, reason)| (*judgement, reason.as_str())),
    });
    let mut judged = match (settle_pair(&of_a, &of_b), measured) {
        // Neither is to blame for what both did.
        (Some(settled), _) => Judged::settled(settled, &b.case.subject),
        (None, Some(measured)) => Judged::measured(measured),
        (None, None) => {
            // Where nothing was compared with the truth, its reason is the reason here.
            let vacuous = |side: &Executed| alone.get(&side.case.subject).filter(|c| c.judgement == Judgement::Vacuous);
            let reason = [a, b].into_iter().find_map(|side| vacuous(side)?.reason.clone());
            Judged::nothing(Judgement::Unsupported, reason.as_deref().unwrap_or("there are no limits for both"))
        }
    };
    // Two that differ say nothing about who is wrong; the reference does. And two are not right together where one of them is wrong alone, however
    // little that shows between them.
    let sides = [a, b].into_iter().filter_map(|side| alone.get(&side.case.subject));
    let wrong: Vec<_> = sides.filter(|side| matches!(side.judgement, Judgement::Fail | Judgement::ExpectedFail)).collect();
    let is_wrong = judged.judgement == Judgement::Pass && judged.verdict.is_some() && !wrong.is_empty();
    if is_wrong || judged.judgement == Judgement::Fail {
        judged.judgement = Judgement::Fail;
        judged.blame = wrong.iter().flat_map(|side| side.blame.clone()).collect();
        if let [side, ..] = wrong[..]
            && wrong.iter().all(|side| side.judgement == Judgement::ExpectedFail)
        {
            judged.judgement = Judgement::ExpectedFail;
            judged.reason.clone_from(&side.reason);
            judged.issue.clone_from(&side.issue);
        } else if is_wrong {
            judged.reason =
                Some("within what both are allowed together, which is more than what one of them is allowed alone".into());
        }
    }
    judged
}

/// What comparisons are called, and how they are run again.
impl Judge<'_> {
    fn of_reference(&self, group: &ExecutedGroup<'_>, executed: &Executed, judged: &Judged) -> ComparisonRecord {
        let (id, against) = (executed.case.to_string(), crate::subjects::exact_reference());
        let reproduce = (self.reproduce)(group.model, &executed.case, &id);
        let comparison = judged.clone().record(Oracle::Reference, id, &executed.case, against, reproduce);
        ComparisonRecord { noise: executed.noise.as_ref().ok().map(|noise| noise.scale), ..comparison }
    }

    fn of_pair(&self, group: &ExecutedGroup<'_>, a: &Executed, b: &Executed, judged: Judged) -> ComparisonRecord {
        let (candidate, against) = (&b.case.subject, &a.case.subject);
        let id = b.case.to_string();
        let prefix = id.strip_suffix(&candidate.to_string()).unwrap_or(&id);
        let reproduce = (self.reproduce)(group.model, &b.case, &format!("{prefix}{{{against},{candidate}}}"));
        judged.record(Oracle::Differential, format!("{prefix}{against}~{candidate}"), &b.case, against.clone(), reproduce)
    }

    fn of_trial(&self, group: &ExecutedGroup<'_>, executed: &Executed, trial: &Trial, judged: Judged) -> ComparisonRecord {
        let id = format!("{}~{}", executed.case, trial.relation.name());
        let reproduce = (self.reproduce)(group.model, &executed.case, &id);
        let comparison = judged.record(Oracle::Metamorphic, id, &executed.case, executed.case.subject.clone(), reproduce);
        ComparisonRecord { relation: Some(trial.relation), ..comparison }
    }
}
