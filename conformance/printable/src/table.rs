//! Tables that are shown to people in more than one form: on a terminal, and in Markdown for a pull request.

use crate::Piece;
use comfy_table::{Cell, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use std::fmt;

/// A table with a line under its header and no other, as wide as its text: the look of every table here.
pub fn ruled_table() -> Table {
    let mut table = Table::new();
    table.load_style(TableStyle::new().header_separator(LineStyle::new('─', '─', '─', '─')));
    table.set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// A table with that look, whose cells are fit to be printed.
pub struct Ruled(Table);

impl Ruled {
    /// A table with nothing but its header.
    pub fn new<C: Into<Piece>>(header: impl IntoIterator<Item = C>) -> Self {
        let mut table = ruled_table();
        table.set_header(cells(header));
        Self(table)
    }

    /// Adds a row.
    pub fn row<C: Into<Piece>>(&mut self, row: impl IntoIterator<Item = C>) {
        self.0.add_row(cells(row));
    }

    /// Puts columns, which are counted from 0, to the right.
    pub fn right(&mut self, columns: impl IntoIterator<Item = usize>) {
        for column in columns {
            if let Some(column) = self.0.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
}

fn cells<C: Into<Piece>>(row: impl IntoIterator<Item = C>) -> Vec<Cell> {
    row.into_iter().map(|cell| Cell::new(cell.into().as_str())).collect()
}

impl fmt::Display for Ruled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A table of words and numbers. Every row is as long as the header.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The form a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// For a terminal.
    #[default]
    Text,
    /// For a pull request.
    Markdown,
}

impl Sheet {
    /// A table with nothing but its header.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.header.len(), String::new());
        self.rows.push(row);
    }

    /// True where it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// True for a column of numbers, which stand to the right.
    fn is_numeric(&self, column: usize) -> bool {
        let is_number = |cell: &String| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        self.rows.iter().all(|row| row.get(column).is_some_and(is_number))
    }

    /// The table for a terminal.
    pub fn ruled(&self) -> Ruled {
        let mut table = Ruled::new(&self.header);
        for row in &self.rows {
            table.row(row);
        }
        table.right((0..self.header.len()).filter(|&column| self.is_numeric(column)));
        table
    }

    /// The table in Markdown; `escape` makes a cell of words.
    pub fn markdown(&self, escape: impl Fn(&str) -> String) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| escape(cell)).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let rule = |column| if self.is_numeric(column) { "---:" } else { "---" };
        let rule: Vec<&str> = (0..self.header.len()).map(rule).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        format!("{}|{}|\n{rows}", line(&self.header), rule.join("|"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_table_has_two_forms() {
        let mut sheet = Sheet::new(["what", "how many"]);
        sheet.row(["a|b", "1"]);
        sheet.row(["c", "22"]);
        assert_eq!(
            sheet.markdown(|cell| cell.replace('|', r"\|")),
            "| what | how many |\n|---|---:|\n| a\\|b | 1 |\n| c | 22 |\n"
        );
        let text = sheet.ruled().to_string();
        assert!(text.contains("a|b           1"), "{text}");
    }
}
