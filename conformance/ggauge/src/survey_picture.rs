//! The picture of a survey: a row for each vector, a column for each reader, a colour for what it did.

use crate::{
    Error,
    survey::{Did, Row},
};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use std::collections::BTreeSet;

const ROW: u32 = 16;
const COLUMN: u32 = 44;
const LABELS: u32 = 250;
/// Room for the readers' names, which stand on end.
const TOP: u32 = 130;
const LEGEND: u32 = 44;

/// What a cell's colour says, from the best to the worst, with the words of the legend.
const KINDS: [(&str, RGBColor); 6] = [
    ("as it should", RGBColor(46, 125, 50)),
    ("cannot do this", RGBColor(205, 205, 205)),
    ("accepts what is invalid", RGBColor(255, 179, 0)),
    ("refuses what is valid", RGBColor(124, 77, 255)),
    ("reads something else", RGBColor(239, 108, 0)),
    ("ends, hangs, takes too much", RGBColor(183, 28, 28)),
];

fn kind(row: &Row, cell: &crate::survey::Cell) -> usize {
    match &cell.did {
        Did::Unsupported => 1,
        _ if row.conforms(cell) => 0,
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
pub fn svg(rows: &[Row]) -> Result<String, Error> {
    let readers: Vec<&str> = rows.first().into_iter().flat_map(|row| &row.cells).map(|cell| cell.reader.as_str()).collect();
    let width = LABELS + readers.len() as u32 * COLUMN + 60;
    let height = TOP + rows.len() as u32 * ROW + LEGEND;
    let mut out = String::new();
    let failed = |error: &dyn std::fmt::Display| Error::input("the picture", error, "report this as a bug");
    {
        let area = SVGBackend::with_string(&mut out, (width.max(760), height)).into_drawing_area();
        let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(60, 60, 60));
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        for (index, reader) in readers.iter().enumerate() {
            let x = LABELS as i32 + index as i32 * COLUMN as i32 + COLUMN as i32 / 2;
            let on_end = ("sans-serif", 13).into_font().transform(FontTransform::Rotate270).color(&RGBColor(60, 60, 60));
            let style = on_end.pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(reader, &style, (x, TOP as i32 - 8)).map_err(|error| failed(&error))?;
        }
        for (index, row) in rows.iter().enumerate() {
            let y = (TOP + index as u32 * ROW) as i32;
            let style = font(12).pos(Pos::new(HPos::Right, VPos::Center));
            let label = row.vector.rsplit_once('/').map_or(row.vector.as_str(), |(_, name)| name);
            area.draw_text(label, &style, (LABELS as i32 - 8, y + ROW as i32 / 2)).map_err(|error| failed(&error))?;
            for (column, cell) in row.cells.iter().enumerate() {
                let x = LABELS as i32 + column as i32 * COLUMN as i32;
                let (_, color) = KINDS[kind(row, cell)];
                let corners = [(x + 1, y + 1), (x + COLUMN as i32 - 1, y + ROW as i32 - 1)];
                area.draw(&Rectangle::new(corners, color.filled())).map_err(|error| failed(&error))?;
            }
        }
        let used: BTreeSet<usize> = rows.iter().flat_map(|row| row.cells.iter().map(|cell| kind(row, cell))).collect();
        let (mut x, y) = (16, (height - LEGEND / 2) as i32);
        for (words, color) in used.into_iter().map(|kind| KINDS[kind]) {
            area.draw(&Rectangle::new([(x, y - 6), (x + 14, y + 6)], color.filled())).map_err(|error| failed(&error))?;
            let style = font(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(words, &style, (x + 18, y)).map_err(|error| failed(&error))?;
            // Letters are near 6 units wide at this size.
            x += 34 + words.len() as i32 * 6;
        }
        area.present().map_err(|error| failed(&error))?;
    }
    Ok(out)
}
