//! libFuzzer on `dtn`: `cargo +nightly fuzz run --fuzz-dir tests/fuzz plan`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longhaul_fuzz::dtn::plan(data));
