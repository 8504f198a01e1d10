//! What a product's own test looks like, and that it fails where the runtime computes something else.

use ggauge::{Error, Gauge, Gauged, Judgement};
use smith::Recipe;
use std::{fs, panic, path::Path};

/// The product's model, and what came of running it on the product's runtime.
fn gauged(worker: &str, folder: &Path) -> Result<Gauged, Error> {
    let model = folder.join("ours.gguf");
    let recipe: Recipe = "llama/f32@0".parse().expect("a recipe");
    fs::write(&model, recipe.build().expect("its numbers fit")).expect("the folder is there");
    Gauge::of(&model).on(["stand-in@cpu"]).program(worker).run()
}

#[test]
fn ours_computes_what_the_model_means() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let gauged = gauged(env!("CARGO_BIN_EXE_stand-in-worker"), folder.path())?;
    gauged.assert_passes();
    assert!(gauged.record.comparisons.iter().all(|comparison| comparison.judgement == Judgement::Pass));
    assert_eq!(gauged.record.cases.len(), 4, "two prompts, each fed in two ways");
    Ok(())
}

#[test]
fn a_mistake_fails_with_the_report_and_what_to_do_next() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let gauged = gauged(env!("CARGO_BIN_EXE_mistaken-worker"), folder.path())?;
    let panicked = panic::catch_unwind(|| gauged.assert_passes()).expect_err("it is wrong");
    let words = panicked.downcast_ref::<String>().expect("words");
    for part in ["FAIL", "beyond its limit", "wrong against the exact reference: stand-in@cpu", "next: ggauge run", "--worker"]
    {
        assert!(words.contains(part), "without `{part}`:\n{words}");
    }
    Ok(())
}

#[test]
fn a_runtime_that_nobody_serves_is_not_taken_for_a_right_one() -> Result<(), Error> {
    let folder = tempfile::tempdir().expect("a folder");
    let model = folder.path().join("ours.gguf");
    let recipe: Recipe = "llama/f32@0".parse().expect("a recipe");
    fs::write(&model, recipe.build().expect("its numbers fit")).expect("the folder is there");
    let gauged = Gauge::of(&model).on(["another@cpu"]).program(env!("CARGO_BIN_EXE_stand-in-worker")).run()?;
    let panicked = panic::catch_unwind(|| gauged.assert_passes()).expect_err("nothing was judged");
    let words = panicked.downcast_ref::<String>().expect("words");
    assert!(words.contains("nothing was judged") && words.contains("serves stand-in and the reference"), "{words}");
    // Nor beside one that is.
    let both = Gauge::of(&model).on(["stand-in@cpu", "another@cpu"]).program(env!("CARGO_BIN_EXE_stand-in-worker")).run()?;
    let panicked = panic::catch_unwind(|| both.assert_passes()).expect_err("nothing was judged of one");
    let words = panicked.downcast_ref::<String>().expect("words");
    assert!(words.contains("nothing was judged of another@cpu"), "{words}");
    Ok(())
}
