//! JSON that is indented down to a file's parts, which stand on one line: a part a line would be most of the text.

use serde_json::ser::{Formatter, PrettyFormatter};
use std::io::{self, Write};

/// Lists and objects this deep are written on one line: group, tests, vector, files, file, and then the parts.
const DEPTH: usize = 6;

/// Indents as `serde_json` does, down to [`DEPTH`].
#[derive(Default)]
pub(crate) struct Folded {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

impl Folded {
    fn open<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        bracket: &[u8],
        indented: impl FnOnce(&mut PrettyFormatter<'static>, &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        self.depth += 1;
        if self.depth < DEPTH { indented(&mut self.pretty, out) } else { out.write_all(bracket) }
    }

    fn close<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        bracket: &[u8],
        indented: impl FnOnce(&mut PrettyFormatter<'static>, &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        self.depth -= 1;
        if self.depth + 1 < DEPTH { indented(&mut self.pretty, out) } else { out.write_all(bracket) }
    }

    fn next<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        first: bool,
        indented: impl FnOnce(&mut PrettyFormatter<'static>, &mut W) -> io::Result<()>,
    ) -> io::Result<()> {
        match (self.depth < DEPTH, first) {
            (true, _) => indented(&mut self.pretty, out),
            (false, true) => Ok(()),
            (false, false) => out.write_all(b", "),
        }
    }
}

impl Formatter for Folded {
    fn begin_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"[", PrettyFormatter::begin_array)
    }

    fn end_array<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"]", PrettyFormatter::end_array)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first, |pretty, out| pretty.begin_array_value(out, first))
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.depth < DEPTH { self.pretty.end_array_value(out) } else { Ok(()) }
    }

    fn begin_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, b"{", PrettyFormatter::begin_object)
    }

    fn end_object<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, b"}", PrettyFormatter::end_object)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.next(out, first, |pretty, out| pretty.begin_object_key(out, first))
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, out: &mut W) -> io::Result<()> {
        if self.depth < DEPTH { self.pretty.end_object_value(out) } else { Ok(()) }
    }
}
