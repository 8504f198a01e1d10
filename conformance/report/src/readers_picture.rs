//! The picture of a survey of readers: a row for each vector, a column for each reader, a colour for what it did.

use crate::grid::{self, Grid, Measures};
use machine::Error;
use plotters::style::RGBColor;
use record::readers::{Did, VectorCell, VectorRow};

/// What a cell's colour says, from the best to the worst, with the words of the legend.
const KINDS: [(&str, RGBColor); 6] = [
    ("as it should", RGBColor(46, 125, 50)),
    ("cannot do this", RGBColor(205, 205, 205)),
    ("accepts what is invalid", RGBColor(255, 179, 0)),
    ("refuses what is valid", RGBColor(124, 77, 255)),
    ("reads something else", RGBColor(239, 108, 0)),
    ("ends, hangs, takes too much", RGBColor(183, 28, 28)),
];

fn kind(cell: &VectorCell) -> usize {
    match &cell.did {
        Did::Unsupported => 1,
        _ if cell.conforms => 0,
        Did::Accepted => 2,
        Did::Rejected { .. } => 3,
        Did::Differed { .. } => 4,
        Did::Failed { .. } => 5,
    }
}

/// The rows as SVG, the same bytes for the same rows.
///
/// # Errors
/// Where the drawing library fails, which it does not for text.
pub fn svg(rows: &[VectorRow]) -> Result<String, Error> {
    let columns = rows.first().into_iter().flat_map(|row| &row.cells).map(|cell| cell.reader.clone()).collect();
    let of_row = |row: &VectorRow| {
        let label = row.vector.rsplit_once('/').map_or(row.vector.as_str(), |(_, name)| name);
        (label.to_owned(), row.cells.iter().map(|cell| Some(kind(cell))).collect())
    };
    let grid = Grid { title: String::new(), columns, rows: rows.iter().map(of_row).collect() };
    grid::svg(&[grid], &KINDS, &Measures { labels: 250, top: 130, column: 44 })
}
