//! How a text is laid out on a terminal.

/// Columns of a report that does not go to a terminal.
pub const DEFAULT_WIDTH: u16 = 100;
/// Columns below which nothing is made to fit any more.
const LEAST_WIDTH: u16 = 40;

/// How a report is laid out.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Columns of the terminal.
    pub width: u16,
    /// Every key and every tensor, instead of one layer of those that are alike.
    pub all: bool,
}

impl Layout {
    /// The same, where the terminal is narrower than anything fits.
    pub(crate) fn at_least_readable(self) -> Self {
        Self { width: self.width.max(LEAST_WIDTH), ..self }
    }

    /// A paragraph whose lines begin with `indent` and end within the terminal.
    pub(crate) fn wrapped(self, indent: &str, text: &str) -> String {
        let options = textwrap::Options::new(usize::from(self.width).saturating_sub(indent.len()))
            .word_splitter(textwrap::WordSplitter::NoHyphenation);
        let lines = textwrap::wrap(text, options).into_iter();
        lines.map(|line| format!("{indent}{}\n", printable::no_command(line.into_owned()))).collect()
    }
}
