//! libFuzzer on `dtn`: `cargo +nightly fuzz run --fuzz-dir tests/fuzz confidential`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longhaul_fuzz::dtn::confidential(data));
