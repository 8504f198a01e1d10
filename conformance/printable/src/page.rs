//! Text that is fit to be printed: what reports are, and all that `main` prints.
//!
//! Nobody but this module makes a [`Page`], and what is written to one is one line, whatever stands in it. So no words of others can pass for ours,
//! and no caller has to think of it.

use crate::{Form, NEXT, Piece, Ruled, Sheet, cut, line, markdown, no_command, words};
use serde::Serialize;
use std::{
    fmt::{self, Display},
    io::{self, Write},
    ops::Deref,
};

/// Characters of a line; commands that are to be copied may be longer.
const LONGEST_LINE: usize = 4000;

/// Text that is fit to be printed, in a form. `writeln!` adds a line to it: one, whatever its arguments are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    form: Form,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(form: Form) -> Self {
        Self { form, text: String::new() }
    }

    /// A page with one line.
    pub fn of(words: impl Display) -> Self {
        let mut page = Self::default();
        writeln!(page, "{words}");
        page
    }

    /// A text whose lines are ours, at any length.
    pub fn of_lines(text: &str) -> Self {
        Self { form: Form::Text, text: text.lines().map(|text| line(text) + "\n").collect() }
    }

    /// Prints it to stderr, of which nobody needs to know whether it is open.
    pub fn say(&self) {
        let _ = io::stderr().write_all(self.text.as_bytes());
    }

    /// A value as [`words::json`].
    ///
    /// # Errors
    /// As [`words::json`].
    pub fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        Ok(Self { form: Form::Text, text: words::json(value)? })
    }

    /// What `write!` and `writeln!` call. Nothing but a line break at the very end is one.
    pub fn write_fmt(&mut self, words: fmt::Arguments<'_>) {
        let words = words.to_string();
        let (words, end) = words.strip_suffix('\n').map_or((words.as_str(), ""), |words| (words, "\n"));
        let shown = line(&cut(words, LONGEST_LINE));
        let begins = self.text.is_empty() || self.text.ends_with('\n');
        self.push(&if begins { no_command(shown) } else { shown });
        self.text.push_str(end);
    }

    fn push(&mut self, shown: &str) {
        match self.form {
            Form::Text => self.text.push_str(shown),
            Form::Markdown => self.text.push_str(&markdown(shown)),
        }
    }

    /// A line that begins with a piece.
    pub fn line_of(&mut self, indent: &str, piece: &Piece, rest: impl Display) {
        self.text.push_str(indent);
        self.push(piece.as_str());
        // Not at the beginning of the line, whatever it is.
        self.push(&line(&cut(&rest.to_string(), LONGEST_LINE)));
        self.blank();
    }

    /// The command that is to be copied next.
    pub fn next(&mut self, indent: &str, command: impl Display) {
        self.text.push_str(indent);
        self.text.push_str(NEXT);
        self.text.push(' ');
        self.push(&line(&command.to_string()));
        self.blank();
    }

    /// An item of a list.
    pub fn item(&mut self, words: impl Display) {
        self.text.push_str("- ");
        self.push(&line(&cut(&words.to_string(), LONGEST_LINE)));
        self.blank();
    }

    /// A heading; the title's is of level 1.
    pub fn heading(&mut self, level: usize, words: impl Display) {
        let markdown = self.form == Form::Markdown;
        if markdown {
            self.text.push_str(&"#".repeat(level));
            self.text.push(' ');
        }
        writeln!(self, "{words}");
        if markdown || level == 1 {
            self.blank();
        }
    }

    /// Ends a line, or adds an empty one.
    pub fn blank(&mut self) {
        self.text.push('\n');
    }

    /// A table.
    pub fn table(&mut self, table: &Ruled) {
        self.text.push_str(&table.to_string());
        self.blank();
    }

    /// A table in this page's form.
    pub fn sheet(&mut self, sheet: &Sheet) {
        match self.form {
            Form::Text => self.table(&sheet.ruled()),
            Form::Markdown => self.text.push_str(&sheet.markdown(|cell| markdown(Piece::new(cell).as_str()))),
        }
    }

    /// Another page.
    pub fn append(&mut self, page: &Self) {
        self.text.push_str(&page.text);
    }
}

impl Deref for Page {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_written_is_one_line_and_no_command() {
        let mut page = Page::new(Form::Text);
        let [command, lines] = ["NEXT: rm -rf /", "b\nnext: rm"];
        writeln!(page, "    {command}");
        writeln!(page, "a {lines}");
        page.next("", "ggauge run 'a b'");
        assert_eq!(&*page, "    \"NEXT: rm -rf /\"\na b\\nnext: rm\nnext: ggauge run 'a b'\n");
    }
}
