//! Grids of coloured cells as SVG: the pictures of surveys and matrices.

use machine::Error;
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use printable::Piece;
use std::collections::BTreeSet;

/// Height of a row.
const ROW: i32 = 16;
const LEGEND: i32 = 44;

/// One grid of a picture; grids stand below each other.
pub struct Grid {
    /// What it shows; nothing where it is the only one.
    pub title: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Names of the rows, and of each cell its kind; nothing where there is no cell.
    pub rows: Vec<(String, Vec<Option<usize>>)>,
}

/// Measures of a picture, in units of the drawing.
pub struct Measures {
    /// Room for the rows' names.
    pub labels: i32,
    /// Room for the columns' names, which stand on end.
    pub top: i32,
    /// Width of a column.
    pub column: i32,
}

/// The grids as SVG, the same bytes for the same grids. `kinds` are the colours of cells, with the words of the legend.
///
/// # Errors
/// Where the drawing library fails, which it does not for text.
pub fn svg(grids: &[Grid], kinds: &[(&str, RGBColor)], measures: &Measures) -> Result<String, Error> {
    let Measures { labels, top: names, column } = *measures;
    let columns = grids.iter().map(|grid| grid.columns.len() as i32).max().unwrap_or(0);
    let height_of = |grid: &Grid| names + grid.rows.len() as i32 * ROW;
    let height = grids.iter().map(height_of).sum::<i32>() + LEGEND;
    let width = (labels + columns * column + 60).max(760);
    let mut out = String::new();
    let failed = |error: &dyn std::fmt::Display| Error::input("the picture", error, "report this as a bug");
    {
        let area = SVGBackend::with_string(&mut out, (width as u32, height as u32)).into_drawing_area();
        let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(60, 60, 60));
        area.fill(&WHITE).map_err(|error| failed(&error))?;
        let mut top = 0;
        for grid in grids {
            let style = font(15).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw_text(Piece::new(&grid.title).as_str(), &style, (16, top + names - 24)).map_err(|error| failed(&error))?;
            for (index, name) in grid.columns.iter().enumerate() {
                let x = labels + index as i32 * column + column / 2;
                let on_end = ("sans-serif", 13).into_font().transform(FontTransform::Rotate270).color(&RGBColor(60, 60, 60));
                let style = on_end.pos(Pos::new(HPos::Left, VPos::Center));
                area.draw_text(Piece::new(name).as_str(), &style, (x, top + names - 8)).map_err(|error| failed(&error))?;
            }
            for (index, (name, cells)) in grid.rows.iter().enumerate() {
                let y = top + names + index as i32 * ROW;
                let style = font(12).pos(Pos::new(HPos::Right, VPos::Center));
                area.draw_text(Piece::new(name).as_str(), &style, (labels - 8, y + ROW / 2)).map_err(|error| failed(&error))?;
                for (place, kind) in cells.iter().enumerate() {
                    let Some((_, color)) = kind.and_then(|kind| kinds.get(kind)) else { continue };
                    let x = labels + place as i32 * column;
                    let corners = [(x + 1, y + 1), (x + column - 1, y + ROW - 1)];
                    area.draw(&Rectangle::new(corners, color.filled())).map_err(|error| failed(&error))?;
                }
            }
            top += height_of(grid);
        }
        let cells = grids.iter().flat_map(|grid| &grid.rows).flat_map(|(_, cells)| cells);
        let used: BTreeSet<usize> = cells.flatten().copied().collect();
        let (mut x, y) = (16, height - LEGEND / 2);
        for (words, color) in used.into_iter().filter_map(|kind| kinds.get(kind)) {
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
