//! Each target really compares something: from the committed seeds alone it comes to what the catalogue says that it compares by. A target that
//! lost this would go on for ever and find nothing.
#![cfg(all(feature = "llama-cpp", feature = "candle", feature = "harness"))]

use fuzzing::{TARGETS, function, seeds, statistics};
use std::thread;

#[test]
fn every_target_compares_something_from_its_seeds() {
    let seeds = seeds::all();
    let mut blind = Vec::new();
    // For those with workers a ggauge is needed, whose tests have them.
    for target in TARGETS.iter().filter(|target| !target.workers) {
        let run = function(target.name).unwrap();
        let inputs = seeds.iter().filter(|((of, _), _)| *of == target.name).map(|(_, input)| input);
        // In a thread of its own, whose counts are nobody else's.
        let counted = thread::scope(|scope| {
            let counting = scope.spawn(|| {
                inputs.for_each(|input| run(input));
                statistics::counted()
            });
            counting.join().unwrap()
        });
        assert!(!target.compares.is_empty(), "{}: nothing says what it compares by", target.name);
        let missing = target.compares.iter().filter(|name| !counted.contains_key(*name));
        blind.extend(missing.map(|name| format!("{}: never counted `{name}`, but {counted:?}", target.name)));
    }
    assert!(blind.is_empty(), "{}", blind.join("\n"));
}
