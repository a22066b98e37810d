#!/usr/bin/env bash
# Two peers in two network namespaces, joined by a veth pair, train together
# while their link goes down and up again, and end with one model id.
#
#   sudo tests/netns.sh                      uses target/release/longhaul
#   sudo LONGHAUL=path tests/netns.sh        uses another binary
#
# Runs twice: once with the other peer's address given, once with nothing given,
# so that mDNS has to find it. Without root or `ip` it says SKIP and exits 0.
# Nothing outside its own namespaces and temporary folder is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/peers.sh

readonly EPOCHS=18 EPOCH_MS=1000
readonly CUT_AT=4 HEAL_AT=11        # epochs at which the link goes down and up
readonly STALLED_MIN=3              # epochs without a new term that prove the cut
readonly STEP_S_MAX=90              # longest wait for any one step
readonly NS_A="longhaul-a-$$" NS_B="longhaul-b-$$"
readonly ADDRESS_A=10.77.31.1 ADDRESS_B=10.77.31.2 PORT=4001

LONGHAUL=${LONGHAUL:-${CARGO_TARGET_DIR:-target}/release/longhaul}
work="" pid_a="" pid_b=""

cleanup() {
  stop_peers
  ip netns delete "$NS_A" 2>/dev/null || true
  ip netns delete "$NS_B" 2>/dev/null || true
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

make_network() {
  ip netns add "$NS_A" 2>/dev/null || skip "network namespaces are not permitted here"
  ip netns add "$NS_B"
  ip link add longhaul0 netns "$NS_A" type veth peer name longhaul0 netns "$NS_B" 2>/dev/null ||
    skip "veth pairs are not available here"
  ip -n "$NS_A" address add "$ADDRESS_A/24" dev longhaul0
  ip -n "$NS_B" address add "$ADDRESS_B/24" dev longhaul0
  for namespace in "$NS_A" "$NS_B"; do
    ip -n "$namespace" link set lo up
    ip -n "$namespace" link set longhaul0 up
    ip netns exec "$namespace" true 2>/dev/null || skip "namespaces cannot be entered here"
  done
}

link() { ip -n "$NS_A" link set longhaul0 "$1"; } # up | down

start_peer() { # PEER NAMESPACE ADDRESS [OTHER]
  local arguments=(up --dir "$work/$run-$1" --listen "/ip4/$3/tcp/$PORT" --until-drained)
  if [ -n "${4:-}" ]; then arguments+=(--peer "$4"); fi
  ip netns exec "$2" "$LONGHAUL" "${arguments[@]}" >"$work/$run-$1.log" 2>&1 &
}

start_federation() { # given | found
  local id_a id_b other_a="" other_b=""
  make_federation
  if [ "$1" = given ]; then
    other_a="$id_a@/ip4/$ADDRESS_A/tcp/$PORT"
    other_b="$id_b@/ip4/$ADDRESS_B/tcp/$PORT"
  fi
  start_peer a "$NS_A" "$ADDRESS_A" "$other_b"
  pid_a=$!
  start_peer b "$NS_B" "$ADDRESS_B" "$other_a"
  pid_b=$!
}

train_across_a_cut() { # given | found
  run=$1
  say "two peers, the other's address is $1"
  start_federation "$1"
  wait_for_epoch "$CUT_AT"
  say "link down"
  link down
  wait_for_epoch "$HEAL_AT"
  check_cut
  say "link up"
  link up
  wait_for_end a "$pid_a"
  wait_for_end b "$pid_b"
  pid_a="" pid_b=""
  check_end
}

[ "$(id -u)" -eq 0 ] || skip "needs root (network namespaces)"
command -v ip >/dev/null || skip "needs ip from iproute2 (network namespaces)"
[ -x "$LONGHAUL" ] || { echo "no binary at $LONGHAUL: cargo build --release -p longhaul-node" >&2; exit 1; }
LONGHAUL=$(realpath "$LONGHAUL")
trap cleanup EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)
make_network
train_across_a_cut given
train_across_a_cut found
echo "ok: both runs ended with one model id"
