//! The laws of the generator of mutated models.

use fuzzing::generators::models::mutated;
use gguf::File;
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

fn input(seed: u64, len: usize) -> Vec<u8> {
    let mut input = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut input);
    input
}

#[test]
fn an_input_without_changes_is_a_valid_model() {
    for number in 0..=u8::MAX {
        let model = mutated(&[number]).unwrap();
        let [file] = &model.files[..] else { panic!("model {number} has {} files", model.files.len()) };
        File::strict(file).unwrap_or_else(|finding| panic!("model {number}: {finding}"));
        assert!(model.adapter.is_none());
    }
}

#[test]
fn the_same_input_gives_the_same_files_and_most_are_small() {
    let (mut split, mut adapted, mut readable) = (0, 0, 0);
    for seed in 0..1000 {
        let input = input(seed, 16 * (1 + seed as usize % 6));
        let model = mutated(&input).unwrap();
        assert_eq!(model, mutated(&input).unwrap(), "seed {seed}");
        split += usize::from(model.files.len() > 1);
        adapted += usize::from(model.adapter.is_some());
        readable += usize::from(model.files.iter().all(|file| File::lenient(file).is_ok()));
        assert!(model.files.iter().all(|file| file.len() < 2 << 20), "seed {seed}");
    }
    println!("{split} split, {adapted} with adapters, {readable} readable of 1000");
    assert!(split > 50 && adapted > 50, "{split} split, {adapted} with adapters");
    assert!(readable > 400, "{readable} of 1000 can be read");
}
