//! libFuzzer on `dtn`: `cargo +nightly fuzz run --fuzz-dir tests/fuzz agent`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| longhaul_fuzz::agent::agent_under_attack(data));
