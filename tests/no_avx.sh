#!/usr/bin/env bash
# The fold gives the same terms on a processor without AVX: the cases of
# aggregation/tests/exact_cases.rs run as an emulated Nehalem, which has SSE 4.2 and no more,
# so that every kernel takes its portable path.
#
#   tests/no_avx.sh
#
# Needs qemu-x86_64 (Debian: qemu-user) on an x86-64 machine. Where it is missing it says SKIP,
# and exits 0.
set -euo pipefail
cd "$(dirname "$0")/.."

skip() { echo "SKIP: $1"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip "this is no x86-64 machine"
command -v qemu-x86_64 >/dev/null || skip "qemu-x86_64 is not installed"

export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="qemu-x86_64 -cpu Nehalem"
cargo test --locked --release --package longhaul-aggregation \
  --target x86_64-unknown-linux-gnu --test exact_cases --test golden
echo "a processor without AVX agrees"
