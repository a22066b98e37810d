#!/usr/bin/env bash
# Everything between Longhaul and DTN software of other makes that can run on this machine.
#
#   tests/interop/run.sh            all of it, the benchmark beside dtnd included (minutes)
#   tests/interop/run.sh --quick    without the benchmark, as .ci/run calls it
#
# Each check is a script of this folder, which says itself what it needs. What is not installed is a
# line `skipped: …` with the reason and how to install it: nothing is installed from here, and a
# missing tool is no failure. The last line is `N passed, N failed, N skipped`; exit code 1 if one
# failed. Programs are found by LONGHAUL (default: target/release/longhaul), DTND, HARDY_PEER (both
# default to the PATH) and PYTHON (default: python3; one of a virtual environment has the packages).
set -uo pipefail
cd "$(dirname "$0")/../.."

readonly PYTHON=${PYTHON:-python3}
readonly LONGHAUL=${LONGHAUL:-${CARGO_TARGET_DIR:-target}/release/longhaul}
readonly VECTORS="tests/vectors/bundle.hex tests/vectors/bundle_bib.hex"
export LONGHAUL
quick=
case ${1:-} in
  --quick) quick=1 ;;
  "") ;;
  *) echo "usage: tests/interop/run.sh [--quick]" >&2; exit 2 ;;
esac

passed=0 failed=0 skipped=0
output=$(mktemp)
trap 'rm -f "$output"' EXIT

skip() { # NAME WHY
  echo "skipped: $1 ($2)"
  skipped=$((skipped + 1))
}

# Runs a script. One that says SKIP and nothing else has not run.
check() { # NAME COMMAND…
  local name=$1 start=$SECONDS why
  shift
  if ! "$@" >"$output" 2>&1; then
    cat "$output"
    echo "FAILED: $name"
    failed=$((failed + 1))
    return
  fi
  why=$(sed -n 's/^SKIP: //p' "$output" | head -n 1)
  if [ -n "$why" ]; then
    skip "$name" "$why"
    return
  fi
  sed 's/^/  /' "$output"
  echo "passed: $name ($((SECONDS - start)) s)"
  passed=$((passed + 1))
}

python() { # NAME SCRIPT…
  local name=$1
  shift
  if command -v "$PYTHON" >/dev/null; then
    check "$name" "$PYTHON" "$@"
  else
    skip "$name" "there is no $PYTHON; apt install python3, or set PYTHON"
  fi
}

python "signatures, by the package cryptography" tests/interop/bpsec.py tests/vectors/bundle_bib.hex
# shellcheck disable=SC2086
python "bundles, by pyD3TN" tests/interop/pyd3tn.py $VECTORS
check "bundles and sessions, by tshark" tests/interop/tshark.sh
python "couriers that are killed" tests/interop/tcpcl.py kills
python "couriers and dtnd" tests/interop/tcpcl.py dtnd
python "couriers and hardy" tests/interop/tcpcl.py hardy
if [ -n "$quick" ]; then
  skip "bundles per second beside dtnd" "takes minutes; tests/interop/run.sh without --quick"
else
  python "bundles per second beside dtnd" tests/interop/dtnbench.py --both --rounds 1
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
