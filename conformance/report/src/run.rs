//! What people read: the table of a Record, its totals, and what to do next. Reads nothing but the Record.

use printable::{Page, Piece, Ruled, short};
use record::{ComparisonRecord, Record, SubjectRecord};
use vocabulary::{Check, Judgement, Measurement, Oracle, Relation, SubjectId, Verdict};

/// How the report is drawn.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Colours, for terminals.
    pub color: bool,
    /// A row for every comparison instead of one for each model, subject and schedule.
    pub verbose: bool,
}

pub(crate) fn painted(words: &str, judgement: Judgement, style: Style) -> Piece {
    if !style.color {
        return words.into();
    }
    Piece::painted(words, |words| match judgement {
        Judgement::Pass => words.green(),
        Judgement::ExpectedFail => words.yellow(),
        Judgement::Unsupported => words.dim(),
        _ => words.red().bold(),
    })
}

/// Comparisons that share a row of the table: everything but the prompt is equal.
struct Row<'a> {
    comparisons: Vec<&'a ComparisonRecord>,
}

impl<'a> Row<'a> {
    fn first(&self) -> &'a ComparisonRecord {
        self.comparisons[0]
    }

    fn belongs(&self, other: &ComparisonRecord) -> bool {
        let key = |c: &ComparisonRecord| {
            let subjects = (c.candidate.clone(), c.against.clone());
            (c.oracle as u8, c.relation, c.model.clone(), c.weights.clone(), c.schedule, c.settings, subjects)
        };
        let first = self.first();
        key(first) == key(other) && first.judgement == other.judgement
    }

    /// The measurement of `check` nearest to or furthest beyond its limit.
    fn worst(&self, check: Check) -> Option<Measurement> {
        let of = |comparison: &&ComparisonRecord| match &comparison.verdict {
            Some(Verdict::Measured { checks, .. }) => checks.iter().find(|m| m.check == check).copied(),
            _ => None,
        };
        let all = self.comparisons.iter().filter_map(of);
        // NaN sorts above every number.
        all.max_by(|a, b| a.ratio().abs().total_cmp(&b.ratio().abs()))
    }

    /// Positions: with equal likeliest token, with a margin above the noise, and all.
    fn top_one(&self) -> (u64, u64, u64) {
        self.comparisons.iter().fold((0, 0, 0), |(equal, judged, all), comparison| match &comparison.verdict {
            Some(Verdict::Measured { positions, top_one_judged, top_one_equal, .. }) => {
                (equal + top_one_equal, judged + top_one_judged, all + positions)
            }
            _ => (equal, judged, all),
        })
    }
}

fn rows(record: &Record, verbose: bool) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for comparison in &record.comparisons {
        match rows.iter_mut().find(|row| !verbose && row.belongs(comparison)) {
            Some(row) => row.comparisons.push(comparison),
            None => rows.push(Row { comparisons: vec![comparison] }),
        }
    }
    rows
}

fn against_limit(measurement: Option<Measurement>) -> String {
    measurement.map_or_else(|| "-".into(), |m| format!("{} / {}", short(m.measured), short(m.limit)))
}

/// The table: for each model a block of rows, each measured against its limit.
pub fn table(record: &Record, style: Style) -> Page {
    let mut out = Page::default();
    for model in &record.models {
        let what = if style.verbose { "prompt" } else { "prompts" };
        let mut table = Ruled::new(["compared", "fed", what, "NMSE / limit", "KL max / limit", "top-1 (judged)", "judgement"]);
        let all = rows(record, style.verbose);
        let of_model = all.iter().filter(|row| row.first().model == model.name && row.first().weights == model.weights);
        let mut count = 0;
        for row in of_model {
            count += 1;
            let first = row.first();
            let (equal, judged, positions) = row.top_one();
            let compared = match first.oracle {
                Oracle::Reference => format!("{} {}", first.candidate, first.settings),
                Oracle::Differential => format!("  {} ~ {}", first.against, first.candidate),
                Oracle::Metamorphic => format!("  {} ~ {}", first.candidate, first.relation.map_or("", Relation::name)),
                Oracle::Together => format!("  {} {}, all together", first.candidate, first.settings),
            };
            let nmse = match row.worst(Check::OverNoise) {
                Some(factor) => format!("{:.2} / {:.2} x noise", factor.measured, factor.limit),
                None => against_limit(row.worst(Check::Nmse)),
            };
            let prompts = if style.verbose { first.prompt.clone() } else { row.comparisons.len().to_string() };
            let top_one = if positions == 0 || first.oracle == Oracle::Together {
                "-".into()
            } else {
                format!("{equal}/{positions} ({judged})")
            };
            let mut judgement = painted(first.judgement.words(), first.judgement, style);
            let mut blamed: Vec<String> = row.comparisons.iter().flat_map(|c| &c.blame).map(ToString::to_string).collect();
            blamed.sort();
            blamed.dedup();
            // A row against the truth can blame nobody but its own subject.
            if !blamed.is_empty() && first.oracle == Oracle::Differential {
                judgement = judgement.and(format_args!(": {}", blamed.join(", ")));
            }
            table.row([
                compared.into(),
                first.schedule.into(),
                prompts.into(),
                nmse.into(),
                against_limit(row.worst(Check::KlMax)).into(),
                top_one.into(),
                judgement,
            ]);
        }
        table.right([2, 3, 4, 5]);
        if count > 0 {
            writeln!(out, "{} {} ({}, sha256 {})", model.name, model.weights, model.architecture, short_hash(&model.sha256));
            out.table(&table);
            out.blank();
        }
    }
    out
}

fn short_hash(sha256: &str) -> &str {
    printable::short_digest(sha256)
}

/// Why each row that did not pass is what it is, and the command that runs it again.
pub fn findings(record: &Record, style: Style) -> Page {
    let mut out = Page::default();
    let mut reasons_given: Vec<&str> = Vec::new();
    for row in rows(record, false) {
        let first = row.first();
        if first.judgement == Judgement::Pass {
            continue;
        }
        let reason = first.reason.as_deref();
        // One reason often holds for many rows: of those that judge nothing, each row more says nothing more.
        let is_said_once = !first.judgement.is_bad() || first.judgement == Judgement::Vacuous;
        if is_said_once && reason.is_some_and(|reason| reasons_given.contains(&reason)) {
            continue;
        }
        let alike = |c: &&ComparisonRecord| c.judgement == Judgement::Vacuous && c.reason.as_deref() == reason;
        let alike = match first.judgement {
            Judgement::Vacuous if reason.is_some() => record.comparisons.iter().filter(alike).count(),
            _ => row.comparisons.len(),
        };
        let more = match alike.saturating_sub(1) {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        reasons_given.extend(reason);
        let judgement = painted(first.judgement.words(), first.judgement, style);
        out.line_of("", &judgement, format_args!(": {}{more}", first.id));
        if let Some(words) = explain(first) {
            writeln!(out, "    {words}");
        }
        let names: Vec<_> = first.blame.iter().map(ToString::to_string).collect();
        match first.oracle {
            Oracle::Metamorphic if !names.is_empty() => {
                writeln!(out, "    not the same as without the change: {}", names.join(", "));
            }
            _ if !names.is_empty() => writeln!(out, "    wrong against the exact reference: {}", names.join(", ")),
            Oracle::Differential if first.judgement == Judgement::Fail => {
                writeln!(out, "    {}", nobody_blamed(record, first));
            }
            _ => {}
        }
        if let Some(reason) = reason {
            writeln!(out, "    {reason}");
        }
        if let Some(issue) = &first.issue {
            writeln!(out, "    {issue}");
        }
        if first.judgement.is_bad() {
            out.next("    ", &first.reproduce);
        }
        out.blank();
    }
    out
}

/// Why of two subjects that differ neither is said to be wrong.
fn nobody_blamed(record: &Record, pair: &ComparisonRecord) -> &'static str {
    let alone = |side: &SubjectId| {
        let same = |c: &&ComparisonRecord| {
            (&c.model, &c.weights, &c.prompt, c.schedule, c.settings)
                == (&pair.model, &pair.weights, &pair.prompt, pair.schedule, pair.settings)
        };
        let of_side = |c: &&ComparisonRecord| c.oracle == Oracle::Reference && c.candidate == *side;
        record.comparisons.iter().filter(of_side).find(same)
    };
    let passes = |side| alone(side).is_none_or(|comparison| comparison.judgement == Judgement::Pass);
    if passes(&pair.candidate) && passes(&pair.against) {
        "neither side is outside its own limit against the reference"
    } else {
        "the reference does not say which of them is wrong"
    }
}

/// The deciding check of a comparison in words, where it has a verdict.
pub(crate) fn explain(comparison: &ComparisonRecord) -> Option<String> {
    let verdict = comparison.verdict.as_ref()?;
    Some(match (verdict, verdict.decisive()) {
        (Verdict::Vacuous { reason }, _) => format!("nothing was compared: {reason}"),
        (_, Some(Measurement { check: Check::Outcome, .. })) => match comparison.oracle {
            // The reason says who did not.
            Oracle::Differential => "they did not both give logits".into(),
            Oracle::Reference | Oracle::Metamorphic | Oracle::Together => "it did not give logits".into(),
        },
        (_, Some(decisive)) => {
            let place = decisive.position.map_or_else(String::new, |position| format!(" at position {position}"));
            let relation = if decisive.holds() { "within" } else { "beyond" };
            format!(
                "{} is {}{place}, {relation} its limit of {}",
                decisive.check,
                short(decisive.measured),
                short(decisive.limit)
            )
        }
        (_, None) => "nothing was measured".into(),
    })
}

/// One line of totals.
pub fn totals(record: &Record, style: Style) -> Piece {
    let totals = record.totals();
    let part = |judgement: Judgement| {
        let count = totals.get(&judgement)?;
        Some(painted(&format!("{count} {}", judgement.words()), judgement, style))
    };
    let parts: Vec<Piece> = Judgement::ALL.into_iter().filter_map(part).collect();
    if parts.is_empty() { "nothing was compared".into() } else { Piece::list(&parts) }
}

/// Subjects that took no part, and why.
pub fn absent(record: &Record) -> Page {
    let words =
        |subject: &SubjectRecord| subject.unavailable.as_ref().map(|why| format!("not run: {} ({why})", subject.subject));
    let mut lines: Vec<String> = record.subjects.iter().filter_map(words).collect();
    // Once for each setting is once too often.
    lines.sort();
    lines.dedup();
    let mut out = Page::default();
    for line in lines {
        writeln!(out, "{line}");
    }
    out
}

/// The whole report.
pub fn report(record: &Record, style: Style) -> Page {
    let mut out = table(record, style);
    out.append(&findings(record, style));
    out.append(&absent(record));
    out.line_of("", &totals(record, style), "");
    out
}

/// The list that `ggauge subjects` prints.
pub fn subjects(subjects: &[SubjectRecord]) -> Page {
    let mut out = Page::default();
    for record in subjects {
        let description = &record.description;
        writeln!(out, "{} ({})", record.subject, record.settings);
        if let Some(reason) = &record.unavailable {
            writeln!(out, "    unsupported here: {reason}");
            continue;
        }
        let software = if description.software { ", software: emulated on the CPU" } else { "" };
        for (name, value) in [
            ("runtime", description.runtime.clone()),
            ("device", format!("{}{software}", description.device)),
            ("driver", description.driver.clone()),
            ("features", description.features.join(", ")),
        ] {
            if !value.is_empty() {
                writeln!(out, "    {name}: {value}");
            }
        }
    }
    out
}
