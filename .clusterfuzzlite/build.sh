#!/bin/bash -eu
# Builds every target into $OUT, with its seeds, its dictionary and its options. The image's clang and its nightly Rust share their LLVM,
# so the flags are those of the image: CXXFLAGS for llama.cpp go through CMAKE_*, because in CXXFLAGS they would instrument libFuzzer itself.
cd "$SRC/ggauge/fuzz"
# The catalogue of targets, from a program of this machine's own, which the image's flags are not for.
facts=$(env -u CFLAGS -u CXXFLAGS -u RUSTFLAGS ../scripts/fuzz --list --facts)
export CMAKE_C_FLAGS="$CFLAGS" CMAKE_CXX_FLAGS="$CXXFLAGS" CMAKE_DISABLE_FIND_PACKAGE_OpenMP=ON
unset CFLAGS CXXFLAGS
cargo +nightly fuzz build --release --fuzz-dir .

while IFS=$'\t' read -r target seconds dictionary workers; do
    # Its workers are a program of their own, which a fleet does not have.
    [ "$workers" = - ] || continue
    cp "target/x86_64-unknown-linux-gnu/release/$target" "$OUT/"
    (cd "../corpora/seeds/$target" && zip -q "$OUT/${target}_seed_corpus.zip" ./*)
    printf '[libfuzzer]\ndetect_leaks=0\ntimeout=%s\n' "$seconds" >"$OUT/$target.options"
    [ "$dictionary" = - ] || cp gguf.dict "$OUT/$target.dict"
done <<<"$facts"
