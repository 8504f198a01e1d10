//! Numbers, words and code in texts.

use std::ops::Range;

/// Numbers as words, from 0 to 20.
pub(crate) const NUMBERS: [&str; 21] = [
    "none",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

/// A number as prose has it: in words up to twenty.
pub(crate) fn in_words(number: usize) -> String {
    NUMBERS.get(number).map_or_else(|| in_digits(number), ToString::to_string)
}

/// The same with a capital letter.
pub(crate) fn capital(words: &str) -> String {
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A number with a comma before each three digits.
pub(crate) fn in_digits(number: usize) -> String {
    let digits = number.to_string();
    let comma = |(place, digit): (usize, char)| {
        let comma = place > 0 && (digits.len() - place).is_multiple_of(3);
        [comma.then_some(','), Some(digit)]
    };
    digits.chars().enumerate().flat_map(comma).flatten().collect()
}

/// Where a text is code, a comment, or the target of a link.
pub(crate) fn no_prose(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let delimiters = [("```", "```"), ("`", "`"), ("<!--", "-->"), ("](", ")"), ("https://", " ")];
        let line_start = place == 0 || text.as_bytes().get(place - 1) == Some(&b'\n');
        let len = if line_start && rest.starts_with("    ") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some((opening, closing)) = delimiters.iter().find(|(opening, _)| rest.starts_with(opening)) {
            let inner = rest.get(opening.len()..).unwrap_or_default();
            inner.find(closing).map_or(rest.len(), |end| opening.len() + end + closing.len())
        } else {
            place += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        };
        found.push(place..place + len.max(1));
        place += len.max(1);
    }
    found
}

/// Where the words of a text stand.
pub(crate) fn places(text: &str) -> Vec<Range<usize>> {
    // They are slices of the text.
    let place = |word: &str| word.as_ptr() as usize - text.as_ptr() as usize;
    text.split_whitespace().map(|word| place(word)..place(word) + word.len()).collect()
}

/// Every place where a text has the words of a sentence, as the places of its holes.
pub(crate) fn find(text: &str, sentence: &str) -> Vec<Vec<Range<usize>>> {
    let words = places(text);
    let wanted: Vec<&str> = sentence.split_whitespace().collect();
    let hole = |range: &Range<usize>, wanted: &str| -> Option<Option<Range<usize>>> {
        let word = text.get(range.clone())?;
        let Some((before, after)) = wanted.split_once("{}") else { return (word == wanted).then_some(None) };
        let inner = word.strip_prefix(before)?.strip_suffix(after)?;
        let start = range.start + before.len();
        (!inner.is_empty()).then(|| Some(start..start + inner.len()))
    };
    let windows = words.windows(wanted.len().max(1));
    let matching = windows
        .filter_map(|window| window.iter().zip(&wanted).map(|(range, wanted)| hole(range, wanted)).collect::<Option<Vec<_>>>());
    matching.map(|holes| holes.into_iter().flatten().collect()).collect()
}

/// A text as a block of Markdown, without spaces at the ends of its lines.
pub(crate) fn fenced(text: &str) -> String {
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    format!("```text\n{}\n```\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_prose_has_them() {
        assert_eq!([in_digits(7), in_digits(694), in_digits(2965), in_digits(13_417_000)], ["7", "694", "2,965", "13,417,000"]);
        assert_eq!([in_words(13), in_words(28), capital(&in_words(11))], ["thirteen", "28", "Eleven"]);
    }

    #[test]
    fn sentences_are_found_across_lines() {
        let text = "Of 13,417\ncells, all pass. Of 2 cells, some pass.";
        let holes = find(text, "Of {} cells, all");
        assert_eq!(holes.len(), 1);
        assert_eq!(text.get(holes[0][0].clone()), Some("13,417"));
        assert_eq!(find(text, "Of {} cells,").len(), 2);
    }

    #[test]
    fn code_and_links_are_no_prose() {
        let text = "a `4 b` [five](six/7) <!-- 8 --> ```\n9\n``` c";
        let mut prose = text.to_owned();
        for range in no_prose(text).into_iter().rev() {
            prose.replace_range(range, "");
        }
        assert_eq!(prose, "a  [five   c");
    }
}
