//! The committed seeds against the code that makes them.

use std::{collections::BTreeSet, fs, path::Path};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpora/seeds");

#[test]
fn the_committed_seeds_are_current_and_small() {
    let mut total = 0;
    let seeds = fuzzing::seeds::all();
    for ((target, name), bytes) in &seeds {
        let committed = fs::read(Path::new(FOLDER).join(target).join(name)).unwrap_or_default();
        assert!(committed == *bytes, "corpora/seeds/{target}/{name} is stale; run `scripts/fuzz --seeds`");
    }
    let targets: BTreeSet<_> = seeds.keys().map(|(target, _)| *target).collect();
    for folder in fs::read_dir(FOLDER).unwrap() {
        let folder = folder.unwrap();
        let target = folder.file_name().into_string().unwrap();
        assert!(targets.contains(target.as_str()), "corpora/seeds/{target} belongs to no target");
        for file in fs::read_dir(folder.path()).unwrap() {
            let file = file.unwrap();
            let (name, len) = (file.file_name().into_string().unwrap(), file.metadata().unwrap().len());
            total += len;
            assert!(len <= 16 << 10, "{target}/{name}: {len} bytes");
            let known = seeds.contains_key(&(*targets.get(target.as_str()).unwrap(), name.clone()));
            assert!(known || name.starts_with("vocabulary-"), "corpora/seeds/{target}/{name} is made by nothing");
        }
    }
    assert!(total < 1 << 20, "{total} bytes of seeds");
    for target in fuzzing::TARGETS {
        assert!(targets.contains(target.name), "{} has no seed", target.name);
    }
}
