//! A golden as a text: what people review, and what lies in `golden/` behind a snapshot's header.

use crate::goldens::golden::{Golden, GoldenContinuation, GoldenNoise};
use machine::{Error, small};
use record::fingerprint::Fingerprint;
use std::{io, path::Path};
use toml_writer::{ToTomlValue, TomlStringBuilder};

impl Golden {
    /// Reads a golden's text.
    ///
    /// # Errors
    /// In words: where it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// Reads the snapshot of a golden in `folder`, `golden/outputs` of a checkout; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read, or is none.
    pub fn blessed(folder: &Path, case: &str) -> Result<Option<Self>, Error> {
        let path = folder.join(format!("{case}.snap"));
        let wrong = |why: String| {
            Error::input(path.display(), why, "restore the file, or delete it and run the tests, which write it anew")
        };
        let text = match small::read_text(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        // Behind the header, which says where it comes from.
        let body = text.splitn(3, "---\n").nth(2).ok_or_else(|| wrong("it is no snapshot".into()))?;
        Self::parse(body).map(Some).map_err(wrong)
    }

    /// The text, which reads back as the same golden.
    pub fn text(&self) -> String {
        // Always on one line, whatever a token is made of.
        let quoted = |text: &str| TomlStringBuilder::new(text).as_basic().to_toml_value();
        let decimals = self.noise.map_or(9, |noise| (1.0 - noise.limit.log10()).ceil().clamp(2.0, 9.0) as usize);
        let real = |value: f64| match value {
            value if value.is_nan() => "nan".into(),
            value if value.is_infinite() => format!("{}inf", if value < 0.0 { "-" } else { "" }),
            // What rounds to zero has no sign.
            value => format!("{:.decimals$}", value + 0.0),
        };
        let mut out = String::new();
        let mut line = |text: String| {
            out.push_str(&text);
            out.push('\n');
        };
        line(format!("case = {}", quoted(&self.case)));
        line(format!("outcome = {}\n\n[model]", quoted(&self.outcome)));
        let Fingerprint { file, hyper_parameters, tokenizer, chat_template, weights } = &self.model;
        line(format!("file = {}\nhyper-parameters = {}", quoted(file), quoted(hyper_parameters)));
        line(format!("tokenizer = {}\nchat-template = {}", quoted(tokenizer), quoted(chat_template)));
        line(format!("weights = {}\n\n[prompt]", quoted(weights)));
        line(format!("tokens = {}\nsha256 = {}", self.prompt.tokens, quoted(&self.prompt.sha256)));
        if let Some(GoldenNoise { rms, limit }) = self.noise {
            line(format!("\n[noise]\nrms = {rms:.3e}\nlimit = {limit:.3e}"));
        }
        for position in &self.position {
            line(format!("\n[[position]]\nat = {}\ninput = {}", position.at, quoted(&position.input)));
            line(format!("log-sum-exp = {}\nmargin = {}", real(position.log_sum_exp), real(position.margin)));
            line("top = [".into());
            for (id, logit, text) in &position.top {
                line(format!("    [{id}, {}, {}],", real(*logit), quoted(text)));
            }
            line("]".into());
            line(format!("fixed = [{}]", position.fixed.iter().map(|&logit| real(logit)).collect::<Vec<_>>().join(", ")));
        }
        if let Some(GoldenContinuation { text, tokens, uncertain_from }) = &self.continuation {
            line(format!("\n# For people to read: not judged.\n[continuation]\ntext = {}\ntokens = {tokens:?}", quoted(text)));
            if let Some(from) = uncertain_from {
                line(format!("uncertain-from = {from}"));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goldens::golden::tests::golden;

    #[test]
    fn a_golden_reads_back_and_looks_the_same() {
        let golden = golden();
        assert_eq!(Golden::parse(&golden.text()).unwrap(), golden);
        let mut broken = golden;
        broken.position[1].fixed = vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0];
        let text = broken.text();
        assert!(text.contains("fixed = [nan, inf, -inf, 0.00]"), "{text}");
        assert!(Golden::parse(&text).unwrap().position[1].fixed[0].is_nan());
    }
}
