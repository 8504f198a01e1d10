//! Tables that are shown to people in more than one form: on a terminal, and in Markdown for a pull request.

use crate::report::ruled_table;
use comfy_table::CellAlignment;

/// A table of words and numbers. Every row is as long as the header.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// The form a report is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
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

    /// The table in a form. Columns of numbers stand to the right.
    pub fn show(&self, form: Form) -> String {
        let numeric = |column: usize| {
            let is_number = |cell: &String| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
            self.rows.iter().all(|row| row.get(column).is_some_and(is_number))
        };
        match form {
            Form::Text => {
                let mut table = ruled_table();
                table.set_header(&self.header);
                for row in &self.rows {
                    table.add_row(row);
                }
                for (index, column) in table.column_iter_mut().enumerate() {
                    if numeric(index) {
                        column.set_cell_alignment(CellAlignment::Right);
                    }
                }
                format!("{table}\n")
            }
            Form::Markdown => {
                let line = |cells: &[String]| {
                    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', r"\|").replace('\n', " ")).collect();
                    format!("| {} |\n", cells.join(" | "))
                };
                let rule: Vec<&str> =
                    (0..self.header.len()).map(|column| if numeric(column) { "---:" } else { "---" }).collect();
                let rows: String = self.rows.iter().map(|row| line(row)).collect();
                format!("{}|{}|\n{rows}", line(&self.header), rule.join("|"))
            }
        }
    }
}

/// A heading in a form.
pub fn heading(text: &str, form: Form) -> String {
    match form {
        Form::Text => format!("{text}\n"),
        Form::Markdown => format!("### {text}\n\n"),
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
        assert_eq!(sheet.show(Form::Markdown), "| what | how many |\n|---|---:|\n| a\\|b | 1 |\n| c | 22 |\n");
        assert!(sheet.show(Form::Text).contains("a|b           1"), "{}", sheet.show(Form::Text));
    }
}
