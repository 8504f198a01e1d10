//! The digests of a model, for people.

use printable::Page;
use record::fingerprint::{ModelDigests, PartDigest};

/// Everything that a fingerprint is made of, a line each: values where they are short, and digests.
pub fn report(digests: &ModelDigests) -> Page {
    let whole = &digests.fingerprint;
    let mut out = Page::of(format_args!("file  {}", whole.file));
    for (title, digest, section) in [
        ("hyper-parameters", whole.hyper_parameters.as_str(), &digests.hyper_parameters),
        ("about the model", "", &digests.about),
        ("tokenizer", &whole.tokenizer, &digests.tokenizer),
        ("chat template", &whole.chat_template, &digests.chat_template),
        ("weights", &whole.weights, &digests.weights),
    ] {
        out.blank();
        writeln!(out, "{title}  {digest}");
        let width = |of: fn(&PartDigest) -> &str| section.iter().map(|part| of(part).chars().count()).max().unwrap_or(0);
        let (names, whats) = (width(|part| &part.name), width(|part| &part.what));
        for PartDigest { name, what, digest } in section {
            writeln!(out, "  {name:names$}  {what:whats$}  {digest}");
        }
    }
    out
}
