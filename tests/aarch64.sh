#!/usr/bin/env bash
# The fold gives the same terms on aarch64: the cases of aggregation/tests/exact_cases.rs
# (and the golden vectors) are compiled for it and run under qemu.
#
#   tests/aarch64.sh
#
# Needs `rustup target add aarch64-unknown-linux-gnu`, a linker for it
# (aarch64-linux-gnu-gcc) and qemu-aarch64 (Debian: gcc-aarch64-linux-gnu, qemu-user).
# Where one is missing it says SKIP and which, and exits 0.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly TARGET=aarch64-unknown-linux-gnu LINKER=aarch64-linux-gnu-gcc EMULATOR=qemu-aarch64

skip() { echo "SKIP: $1"; exit 0; }

sysroot=$(rustc --print sysroot)
[ -d "$sysroot/lib/rustlib/$TARGET" ] || skip "the target $TARGET is not installed"
command -v "$LINKER" >/dev/null || skip "$LINKER is not installed"
command -v "$EMULATOR" >/dev/null || skip "$EMULATOR is not installed"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$LINKER
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$EMULATOR -L /usr/aarch64-linux-gnu"
cargo test --locked --release --package longhaul-aggregation --target "$TARGET" \
  --test exact_cases --test golden
echo "aarch64 agrees"
