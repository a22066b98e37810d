//! libFuzzer on the robust rules: `cargo +nightly fuzz run --fuzz-dir tests/fuzz robust`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longhaul_fuzz::robust(data));
