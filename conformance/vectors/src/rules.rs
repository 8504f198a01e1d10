//! Every rule, broken once in a file of the format alone and once in a model that would otherwise run.

use crate::{Builder, Group, bases};
use gguf::{Draft, Rule};

pub(crate) fn group() -> Group {
    let mut group = Builder::new(
        "rules",
        "Every rule of the format, broken alone: in a small file of an unknown architecture, and in a whole model. The files they were made from come first.",
    );
    group.note(
        "Format",
        "A small file of an architecture that nobody knows: readers of the format should judge it, model loaders cannot.",
    );
    group.note(
        "Model",
        "A whole Llama of one layer and four tokens, which runtimes load and run unless the broken rule stops them.",
    );
    for (flag, base) in [("Format", bases::format()), ("Model", bases::llama())] {
        let prefix = flag.to_lowercase();
        group.draft(&format!("{prefix}/valid"), &[], &[flag], "The file that the others of this kind were made from.", &base);
        let version_two = Draft { version: 2, ..base.clone() };
        group.draft(
            &format!("{prefix}/valid-version-2"),
            &[],
            &[flag],
            "Version 2 differs from version 3 in the number alone.",
            &version_two,
        );
        for &rule in Rule::ALL {
            let mut draft = base.clone();
            if draft.break_rule(rule).is_err() {
                continue;
            }
            group.draft(
                &format!("{prefix}/{rule}"),
                &[rule],
                &[flag],
                &format!("Breaks this rule: {}", rule.meaning()),
                &draft,
            );
        }
    }
    group.finish()
}
