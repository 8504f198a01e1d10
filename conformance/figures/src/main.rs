//! Puts figures into README and its like: `figures ROOT [main-job|matrix|faults FILE]...`, where FILE is the Record of the main job or of the
//! matrix, or what `ggauge faults --json` printed. `scripts/figures` runs it; what it does is in the library.

use anyhow::{Context as _, bail};
use figures::{
    checkout::{of_the_checkout, of_the_checks},
    main_job::of_the_main_job,
    runs::{of_the_faults, of_the_matrix},
    texts::Texts,
};
use record::Record;
use std::fs;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let root = arguments.next().context("the root of the checkout comes first")?;
    while let Some(part) = arguments.next() {
        let path = arguments.next().with_context(|| format!("{part} wants a file"))?;
        let json = fs::read_to_string(&path).with_context(|| path.clone())?;
        let record = || serde_json::from_str::<Record>(&json).with_context(|| format!("{path} is no Record of this version"));
        // Each with a view of its own: what one writes, the next reads.
        let mut texts = Texts::of(&root);
        match part.as_str() {
            "main-job" => {
                let record = record()?;
                of_the_checks(&mut texts, &record)?;
                of_the_main_job(&mut texts, &record)?;
            }
            "matrix" => of_the_matrix(&mut texts, &record()?)?,
            "faults" => of_the_faults(&mut texts, &serde_json::from_str::<Vec<_>>(&json).context(path)?)?,
            other => bail!("`{other}` is none of main-job, matrix and faults"),
        }
        finish(&texts)?;
    }
    let mut texts = Texts::of(&root);
    of_the_checkout(&mut texts)?;
    finish(&texts)
}

fn finish(texts: &Texts) -> anyhow::Result<()> {
    for line in texts.wrong() {
        println!("{line}");
    }
    for path in texts.write()? {
        println!("wrote {}", path.display());
    }
    Ok(())
}
