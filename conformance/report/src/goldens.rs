//! What differs from goldens, for people.

use printable::Page;
use record::goldens::{CaseDiffers, Differs, GoldenCheck, GoldenDifference};

/// Differences of one case that are listed.
const SHOWN: usize = 4;

/// One line, and below it what differs.
pub fn report(check: &GoldenCheck) -> Page {
    let GoldenCheck { compared, without, differ } = check;
    let none = if *without > 0 { format!(", {without} more cases have none") } else { String::new() };
    let mut out = Page::of(format_args!("{} of {compared} goldens differ{none}", differ.len()));
    for case in differ {
        out.append(&explain(case));
    }
    out
}

/// What differs from one golden.
pub fn explain(case: &CaseDiffers) -> Page {
    let mut out = Page::default();
    out.blank();
    writeln!(out, "{}", case.case);
    match &case.how {
        Differs::NoGolden => writeln!(out, "    has no golden"),
        Differs::Moved { differences, limit } => {
            for GoldenDifference { place, old, new, times_limit } in differences.iter().take(SHOWN) {
                let times = times_limit.map_or_else(String::new, |times| format!(" ({times:.1} x its limit)"));
                writeln!(out, "    {place}: {old}, now {new}{times}");
            }
            writeln!(out, "    {} differences; a logit may move by {limit:.2e}", differences.len());
        }
    }
    out
}
