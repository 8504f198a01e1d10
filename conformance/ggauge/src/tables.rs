//! Tables that are shown to people in more than one form: on a terminal, and in Markdown for a pull request.

use crate::{printable::Page, report::Ruled};

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

    /// The table in a form.
    pub fn show(&self, form: Form) -> Page {
        let mut page = Page::new(form);
        page.sheet(self);
        page
    }

    /// True for a column of numbers, which stand to the right.
    fn is_numeric(&self, column: usize) -> bool {
        let is_number = |cell: &String| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        self.rows.iter().all(|row| row.get(column).is_some_and(is_number))
    }

    /// The table for a terminal.
    pub(crate) fn ruled(&self) -> Ruled {
        let mut table = Ruled::new(&self.header);
        for row in &self.rows {
            table.row(row);
        }
        table.right((0..self.header.len()).filter(|&column| self.is_numeric(column)));
        table
    }

    /// The table in Markdown; `escape` makes a cell of words.
    pub(crate) fn markdown(&self, escape: impl Fn(&str) -> String) -> String {
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
        assert_eq!(&*sheet.show(Form::Markdown), "| what | how many |\n|---|---:|\n| a\\|b | 1 |\n| c | 22 |\n");
        assert!(sheet.show(Form::Text).contains("a|b           1"), "{}", sheet.show(Form::Text));
    }
}
