//! What the two reports of upgrades say, which are goldens.

use crate::{
    files::read,
    prose::{capital, fenced, in_digits, in_words},
    texts::{README, Texts},
};
use machine::Error;
use printable::short;

/// What the two reports of upgrades say, which are goldens.
pub(crate) fn of_the_upgrades(texts: &mut Texts) -> Result<(), Error> {
    let mut heads = Vec::new();
    for (name, sentence) in [
        (
            "candle",
            "**candle** ([report](golden/upgrades/candle.md)), with {} cases the same to the bit and {} moved within their limits.",
        ),
        (
            "llama-cpp",
            "**llama.cpp** ([report](golden/upgrades/llama-cpp.md)), with {} cases the same to the bit and {} moved within their limits,",
        ),
    ] {
        let path = format!("golden/upgrades/{name}.md");
        let text = read(&texts.root.join(&path))?;
        let is_head = |line: &&str| !line.starts_with("- before: ");
        heads.push(text.trim_start_matches("# ").lines().take_while(is_head).collect::<Vec<_>>().join("\n"));
        let totals = text.lines().find(|line| line.contains(" identical to the bit, ")).unwrap_or_default();
        let count = |words: &str| {
            let part = totals.split(", ").find_map(|part| part.strip_suffix(words)).unwrap_or_default();
            part.trim()
                .parse::<usize>()
                .map_err(|_| Error::input(&path, format!("it has no total of{words}"), "write it again"))
        };
        let figures = [in_digits(count(" identical to the bit")?), in_digits(count(" within tolerance")?)];
        texts.sentence(README, sentence, &figures)?;
        if name == "candle" {
            of_the_upgrade_of_candle(texts, &text)?;
        }
    }
    texts.put(README, "upgrades", "", &fenced(&heads.join("\n\n")))
}

/// What README says of one upgrade in particular.
fn of_the_upgrade_of_candle(texts: &mut Texts, text: &str) -> Result<(), Error> {
    let part = |heading: &str| text.split("\n### ").find(|part| part.starts_with(heading)).unwrap_or_default();
    let broken: Vec<&str> = part("broken:").lines().filter(|line| line.contains("@cpu")).collect();
    let of_qwen3: Vec<&&str> = broken.iter().filter(|line| line.starts_with("| qwen3")).collect();
    let figures = [capital(&in_words(of_qwen3.len())), in_words(broken.len())];
    texts.sentence(README, "{} of the {} are Qwen 3:", &figures)?;
    let after = |line: &&&str| line.rsplit(" at ").next()?.split_whitespace().next()?.parse::<f64>().ok();
    let most = of_qwen3.iter().filter_map(after).fold(0.0, f64::max);
    texts.sentence(README, "by up to {} times. SmolLM 3", &[short(most)])?;
    let speed = part("speed").lines().find(|line| line.starts_with("| gemma-3-270m | decode"));
    let ratio = speed.and_then(|line| line.split(" | ").nth(4)?.parse::<f64>().ok()).unwrap_or(f64::NAN);
    texts.sentence(README, "Gemma 3 decodes {} times as fast,", &[format!("{ratio:.1}")])?;
    let positions = text.split("Softmax over fewer than ").nth(1).and_then(|rest| rest.split_whitespace().next());
    texts.sentence(README, "F32 models have other bits from {} positions on,", &[positions.unwrap_or_default().into()])
}
