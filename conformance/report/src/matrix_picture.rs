//! The picture of a matrix: for each subject, models against weight types and models against ways of feeding, and a colour for what came of
//! it. Reads nothing but the Record.

use crate::grid::{self, Grid, Measures};
use machine::Error;
use plotters::style::RGBColor;
use record::{ComparisonRecord, Record};
use std::collections::BTreeMap;
use vocabulary::{Judgement, Oracle, SubjectId};

/// Models with fewer weight types than this have a row among schedules alone.
const FEW: usize = 3;

/// What a cell's colour says, from the best to the worst, with the words of the legend.
const KINDS: [(&str, RGBColor); 6] = [
    ("pass", RGBColor(46, 125, 50)),
    ("expected fail: a known divergence", RGBColor(255, 179, 0)),
    ("unsupported", RGBColor(205, 205, 205)),
    ("unexpected pass", RGBColor(124, 77, 255)),
    ("vacuous", RGBColor(60, 60, 60)),
    ("fail", RGBColor(183, 28, 28)),
];

fn kind(judgement: Judgement) -> usize {
    match judgement {
        Judgement::Pass => 0,
        Judgement::ExpectedFail => 1,
        Judgement::Unsupported => 2,
        Judgement::UnexpectedPass => 3,
        Judgement::Vacuous => 4,
        Judgement::Fail => 5,
    }
}

/// The Record as SVG, the same bytes for the same Record.
///
/// # Errors
/// Where the drawing library fails, which it does not for text.
pub fn svg(record: &Record) -> Result<String, Error> {
    let against_truth = || record.comparisons.iter().filter(|comparison| comparison.oracle == Oracle::Reference);
    let mut subjects: Vec<&SubjectId> = against_truth().map(|comparison| &comparison.candidate).collect();
    subjects.sort();
    subjects.dedup();
    let mut weights: Vec<&str> = Vec::new();
    for comparison in against_truth() {
        if !weights.contains(&comparison.weights.as_str()) {
            weights.push(&comparison.weights);
        }
    }
    // In the order of the models, which is the order people know.
    weights.sort_by_key(|name| record.models.iter().position(|model| model.weights == *name));
    let mut grids = Vec::new();
    for subject in subjects {
        let mine: Vec<&ComparisonRecord> = against_truth().filter(|comparison| comparison.candidate == *subject).collect();
        let by_weights = grid(format!("{subject}, weights"), &mine, |c| c.weights.clone(), &weights, FEW);
        let feeds = |c: &ComparisonRecord| format!("{} {}", c.prompt, c.schedule);
        let mut names: Vec<(usize, String, String)> =
            mine.iter().map(|c| (c.prompt.len(), c.prompt.clone(), feeds(c))).collect();
        names.sort();
        names.dedup();
        let names: Vec<&str> = names.iter().map(|(.., name)| name.as_str()).collect();
        grids.push(by_weights);
        grids.push(grid(format!("{subject}, prompts and schedules"), &mine, feeds, &names, 1));
    }
    grid::svg(&grids, &KINDS, &Measures { labels: 330, top: 190, column: 24 })
}

/// Models with at least so many cells against what `column` says of a comparison; of several in one cell the worst.
fn grid(
    title: String,
    comparisons: &[&ComparisonRecord],
    column: impl Fn(&ComparisonRecord) -> String,
    columns: &[&str],
    least: usize,
) -> Grid {
    let mut rows: BTreeMap<&str, Vec<Option<usize>>> = BTreeMap::new();
    for comparison in comparisons {
        let cells = rows.entry(&comparison.model).or_insert_with(|| vec![None; columns.len()]);
        let name = column(comparison);
        if let Some(cell) = columns.iter().position(|known| *known == name).and_then(|place| cells.get_mut(place)) {
            *cell = (*cell).max(Some(kind(comparison.judgement)));
        }
    }
    let enough = |cells: &[Option<usize>]| cells.iter().flatten().count() >= least.min(columns.len());
    let rows = rows.into_iter().filter(|(_, cells)| enough(cells));
    let rows = rows.map(|(model, cells)| (model.to_owned(), cells)).collect();
    Grid { title, columns: columns.iter().map(ToString::to_string).collect(), rows }
}
