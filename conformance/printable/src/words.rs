//! The one escaper of what others say, on one line: for a terminal, Markdown, JSON and a shell.

use serde::Serialize;
use std::{borrow::Cow, ffi::OsStr, fmt::Write, os::unix::ffi::OsStrExt};

/// Characters that are kept of what somebody else says.
pub const LONGEST_WORDS: usize = 2000;
/// What stands before a command that is to be copied.
pub const NEXT: &str = "next:";

/// Words on one line. Whatever a terminal would obey, hide, or show as something else is an escape as Rust writes it: `\n`, `\u{1b}`,
/// `\u{202e}`. Letters of every script stay, and so do quotes and backslashes, without which a command could not be copied.
pub fn line(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for piece in words.split_inclusive(['"', '\'', '\\']) {
        let kept = piece.len() - usize::from(piece.ends_with(['"', '\'', '\\']));
        let (text, kept) = piece.split_at(kept);
        out.extend(text.escape_debug());
        out.push_str(kept);
    }
    out
}

/// Commands to copy are ours: what looks like the line of one stands in quotes.
pub fn no_command(shown: String) -> String {
    let words = shown.trim_start();
    if words.get(..NEXT.len()).is_some_and(|start| start.eq_ignore_ascii_case(NEXT)) {
        let indent = &shown[..shown.len() - words.len()];
        format!("{indent}\"{words}\"")
    } else {
        shown
    }
}

/// The beginning of words that are too long, and how much is left out: never more than `most` characters.
pub fn cut(words: &str, most: usize) -> Cow<'_, str> {
    // No text has more characters than bytes.
    let len = if words.len() <= most { 0 } else { words.chars().count() };
    if len <= most {
        return words.into();
    }
    let left_out = |count: usize| format!("... and {count} more characters");
    let room = most.saturating_sub(left_out(len).len());
    let end = words.char_indices().nth(room).map_or(words.len(), |(end, _)| end);
    format!("{}{}", &words[..end], left_out(len - room)).into()
}

/// A line as Markdown shows it, with nothing in it that would become a link, an image, HTML, a mention or another cell.
pub fn markdown(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let mut before = None;
    for (at, c) in line.char_indices() {
        let rest = &line[at + c.len_utf8()..];
        match c {
            // Mentions are looked for in what an escape leaves, so an escape is none. Ids keep their `@`.
            '@' if !is_word(before) || !is_id(rest) => out.push('\u{ff20}'),
            '\\' | '`' | '|' | '<' | '>' | '&' | '[' | ']' | '*' | '~' | '#' | '$' | '!' => out.extend(['\\', c]),
            '_' if !is_word(before) || !is_word(rest.chars().next()) => out.push_str("\\_"),
            // GitHub makes links of addresses by themselves.
            ':' if rest.starts_with("//") => out.push_str("\\:"),
            '.' if line[..at].to_ascii_lowercase().ends_with("www") => out.push_str("\\."),
            // At the beginning of a line these begin a list or a rule.
            '-' | '+' | '=' if line[..at].trim().is_empty() && !rest.is_empty() => out.extend(['\\', c]),
            _ => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// True where what follows an `@` is a device, and not a domain.
fn is_id(rest: &str) -> bool {
    let device = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let end = rest.find(|c| !device(c)).unwrap_or(rest.len());
    end > 0 && !(rest[end..].starts_with('.') && rest[end + 1..].starts_with(device))
}

/// A value as JSON. Every character that is not printable is an escape, for which JSON only asks below U+0020: it reads back as it was.
///
/// # Errors
/// Never, for the types of this crate.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string_pretty(value)?;
    let mut out = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        // All of these stand within strings. Of ASCII, serde_json leaves only DEL as it is.
        if character == '\x7f' || !character.is_ascii() && character.escape_debug().len() > 1 {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    Ok(out + "\n")
}

/// A number with three significant digits, in the shorter of two notations.
pub fn short(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if !value.is_finite() {
        value.to_string()
    } else if (1e-2..1e4).contains(&value.abs()) {
        let decimals = (2 - value.abs().log10().floor() as i32).clamp(0, 4) as usize;
        format!("{value:.decimals$}")
    } else {
        format!("{value:.1e}")
    }
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The first twelve digits of a digest, which are enough for people.
pub fn short_digest(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// An argument as a shell takes it: printable, and inert.
///
/// What is not printable becomes `"$(printf ...)"`, which every shell has. That takes line breaks off the end; an argument that has some there is
/// `$'...'`, which most shells have, and which is no file's name in the others.
pub fn quoted(argument: impl AsRef<OsStr>) -> String {
    let bytes = argument.as_ref().as_bytes();
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./@".contains(c));
    match std::str::from_utf8(bytes) {
        Ok(text) if plain(text) && !text.is_empty() => text.into(),
        Ok(text) if line(text) == text => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let (begin, end, percent) = if bytes.ends_with(b"\n") { ("$'", "'", "%") } else { ("\"$(printf '", "')\"", "%%") };
            let mut out = begin.to_owned();
            for &byte in bytes {
                let _ = match byte {
                    b'%' => write!(out, "{percent}"),
                    b'\'' | b'\\' | 0..=0x1f | 0x7f.. => write!(out, "\\{byte:03o}"),
                    _ => write!(out, "{}", char::from(byte)),
                };
            }
            out + end
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_an_escape() {
        let obeyed = "\x1b]0;t\x07\r\n\t\x7f\u{9b}2J\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{ad}\u{e000}\u{e0041}\u{ffff}";
        let shown = line(obeyed);
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        let letters = r#"Ünïcode 日本語 हिन्दी ελ 🦀 'a' "b" \d C:\x"#;
        assert_eq!(line(letters), letters);
    }

    #[test]
    fn long_words_say_how_much_is_left_out() {
        let long = "é".repeat(5000);
        let shown = cut(&long, 100);
        assert_eq!(shown.chars().count(), 100);
        let kept = shown.chars().filter(|&c| c == 'é').count();
        assert!(shown.ends_with(&format!("... and {} more characters", 5000 - kept)), "{shown}");
        assert_eq!(cut(&shown, 100), shown);
        assert_eq!(cut("é", 1), "é");
    }

    #[test]
    fn markdown_has_neither_html_nor_links_nor_mentions_nor_cells() {
        for (words, shown) in [
            (r"a\| x", r"a\\\| x"),
            ("<img src=x>", r"\<img src=x\>"),
            ("![a](b)", r"\!\[a\](b)"),
            ("@everyone", "\u{ff20}everyone"),
            ("a @team/x", "a \u{ff20}team/x"),
            ("me@evil.example", "me\u{ff20}evil.example"),
            ("https://evil.example", r"https\://evil.example"),
            ("Www.evil.example", r"Www\.evil.example"),
            ("&lt;b&gt;", r"\&lt;b\&gt;"),
            ("`code` *a* _b_ ~c~ #1", r"\`code\` \*a\* \_b\_ \~c\~ \#1"),
            ("- item", r"\- item"),
            ("-", "-"),
            ("q4_0/llama-cpp@cpu.", "q4_0/llama-cpp@cpu."),
        ] {
            assert_eq!(markdown(words), shown);
        }
    }

    #[test]
    fn json_reads_back_as_it_was() {
        let words = "\x1b\x7f\u{9b}\u{202e}\u{e0041}\n\"\\é日";
        let text = json(&words).unwrap();
        assert!(!text.trim_end().chars().any(|c| c.is_control() || c == '\u{202e}' || c == '\u{e0041}'), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), words);
    }
}
