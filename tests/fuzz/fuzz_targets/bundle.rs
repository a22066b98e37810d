//! libFuzzer on `dtn`: `cargo +nightly fuzz run --fuzz-dir tests/fuzz bundle`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longhaul_fuzz::dtn::bundle(data));
