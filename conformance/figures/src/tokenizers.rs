//! What the tokenizers give, as the golden has it.

use crate::{
    files::read,
    prose::{in_digits, in_words},
    texts::{README, SOURCE, Texts},
};
use machine::Error;
use vocabulary::locked;

/// What the tokenizers give, as the golden has it.
pub(crate) fn of_the_tokenizers(texts: &mut Texts) -> Result<(), Error> {
    const GOLDEN: &str = "golden/harness/tokenizers.snap";
    let text = read(&texts.root.join(GOLDEN))?;
    // `llama-cpp@cpu  46 of 46  pass`, behind a vocabulary's name or none.
    let of = |subject: &str| -> Vec<(usize, usize)> {
        let lines = text
            .lines()
            .filter(|line| !line.contains(" ~ ") && line.contains("  "))
            .filter_map(|line| line.split_once(subject));
        let exact = lines.map(|(_, rest)| {
            let mut numbers = rest.split_whitespace().filter_map(|word| word.parse().ok());
            (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
        });
        exact.collect()
    };
    let table = |subject: &str| -> Vec<(usize, usize)> { of(&format!(" {subject}   ")) };
    let (llama_cpp, candle) = (table("llama-cpp@cpu"), table("candle@cpu"));
    let all: usize = llama_cpp.iter().map(|(_, all)| all).sum();
    if all == 0 || llama_cpp.iter().any(|(exact, all)| exact != all) || llama_cpp.len() != candle.len() {
        let next = format!("read it, and write into README.md and {SOURCE} what is so now");
        return Err(Error::input(GOLDEN, "llama.cpp does not get every text right any more, as README.md says", next));
    }
    let taken: Vec<_> = candle.iter().filter(|(_, all)| *all > 0).collect();
    let right = taken.iter().filter(|(exact, all)| exact == all).count();
    let lock = read(&texts.root.join("Cargo.lock"))?;
    let sentence = "llama.cpp {} gets all {} texts right; candle {} those of {} vocabulary out of {} that it takes, and says of the other \
                    {} that it does not support them.";
    let figures = [in_digits(all), in_words(right), in_words(taken.len()), in_words(candle.len() - taken.len())];
    let [all, right, taken, others] = figures;
    let (llama_cpp, candle) = (locked(&lock, "llama-cpp-sys-2"), locked(&lock, "candle-core"));
    texts.sentence(README, sentence, &[llama_cpp, all, candle, right, taken, others])
}
