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

readonly EPOCHS=18 EPOCH_MS=1000
readonly CUT_AT=4 HEAL_AT=11        # epochs at which the link goes down and up
readonly STALLED_MIN=3              # epochs without a new term that prove the cut
readonly STEP_S_MAX=90              # longest wait for any one step
readonly NS_A="longhaul-a-$$" NS_B="longhaul-b-$$"
readonly ADDRESS_A=10.77.31.1 ADDRESS_B=10.77.31.2 PORT=4001

LONGHAUL=${LONGHAUL:-${CARGO_TARGET_DIR:-target}/release/longhaul}
work="" pid_a="" pid_b=""

skip() { echo "SKIP: $1"; exit 0; }
say() { printf '[%s] %s\n' "$run" "$1"; }

fail() {
  echo "FAILED [$run]: $1" >&2
  for peer in a b; do
    echo "--- log of peer $peer (end)" >&2
    tail -n 25 "$work/$run-$peer.log" >&2 || true
  done
  exit 1
}

stop_peers() {
  for pid in $pid_a $pid_b; do
    kill "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  pid_a="" pid_b=""
}

cleanup() {
  stop_peers
  ip netns delete "$NS_A" 2>/dev/null || true
  ip netns delete "$NS_B" 2>/dev/null || true
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

# The value of one field of `status --json`; nothing while there is no report.
field() { # PEER NAME
  "$LONGHAUL" status --dir "$work/$run-$1" --json 2>/dev/null |
    sed -n "s/^ *\"$2\": *\"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p"
}

# The number in a field; -1 while it is absent or null.
number() { # PEER NAME
  local value
  value=$(field "$1" "$2") || true
  case "$value" in '' | *[!0-9]*) echo -1 ;; *) echo "$value" ;; esac
}

wait_for_epoch() { # EPOCH
  local deadline=$((SECONDS + STEP_S_MAX))
  until [ "$(number a epoch)" -ge "$1" ] && [ "$(number b epoch)" -ge "$1" ]; do
    kill -0 "$pid_a" 2>/dev/null || fail "peer a ended before epoch $1"
    kill -0 "$pid_b" 2>/dev/null || fail "peer b ended before epoch $1"
    [ "$SECONDS" -lt "$deadline" ] || fail "epoch $1 did not come within $STEP_S_MAX s"
    sleep 0.2
  done
}

wait_for_end() { # PEER PID
  local deadline=$((SECONDS + STEP_S_MAX)) code=0
  while kill -0 "$2" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "peer $1 did not drain within $STEP_S_MAX s"
    sleep 0.2
  done
  wait "$2" || code=$?
  [ "$code" -eq 0 ] || fail "peer $1 ended with exit code $code"
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

peer_id() { # PEER
  "$LONGHAUL" init "$work/$run-$1" --json | sed -n 's/.*"peer_id": *"\([^"]*\)".*/\1/p'
}

start_peer() { # PEER NAMESPACE ADDRESS [OTHER]
  local arguments=(up --dir "$work/$run-$1" --listen "/ip4/$3/tcp/$PORT" --until-drained)
  if [ -n "${4:-}" ]; then arguments+=(--peer "$4"); fi
  ip netns exec "$2" "$LONGHAUL" "${arguments[@]}" >"$work/$run-$1.log" 2>&1 &
}

start_federation() { # given | found
  local id_a id_b other_a="" other_b=""
  id_a=$(peer_id a) && id_b=$(peer_id b)
  [ -n "$id_a" ] && [ -n "$id_b" ] || fail "init printed no peer id"
  "$LONGHAUL" manifest new --dir "$work/$run-a" --member "$id_a" --member "$id_b" --quorum 2 \
    --epochs "$EPOCHS" --epoch-ms "$EPOCH_MS" --start-in-ms 4000 --out "$work/$run.manifest" >/dev/null
  for peer in a b; do
    "$LONGHAUL" join "$work/$run.manifest" --dir "$work/$run-$peer" >/dev/null
  done
  if [ "$1" = given ]; then
    other_a="$id_a@/ip4/$ADDRESS_A/tcp/$PORT"
    other_b="$id_b@/ip4/$ADDRESS_B/tcp/$PORT"
  fi
  start_peer a "$NS_A" "$ADDRESS_A" "$other_b"
  pid_a=$!
  start_peer b "$NS_B" "$ADDRESS_B" "$other_a"
  pid_b=$!
}

# With a quorum of two, a term needs both peers: no contact, no new term.
check_cut() {
  local peer epoch newest
  for peer in a b; do
    epoch=$(number "$peer" epoch) newest=$(number "$peer" term_newest)
    [ "$newest" -ge 0 ] || fail "peer $peer merged nothing before the cut"
    [ $((epoch - newest)) -ge "$STALLED_MIN" ] ||
      fail "peer $peer has the term of epoch $newest in epoch $epoch: the link was not cut"
  done
}

check_end() {
  local model_a model_b
  model_a=$(field a model) && model_b=$(field b model)
  [ -n "$model_a" ] || fail "peer a reports no model id"
  [ "$model_a" = "$model_b" ] || fail "model ids differ: $model_a and $model_b"
  [ "$(number a updates)" -eq "$(number b updates)" ] || fail "the peers hold different numbers of updates"
  [ "$(number a term_newest)" -ge "$HEAL_AT" ] || fail "nothing was merged after the link came back"
  for peer in a b; do
    "$LONGHAUL" model export --dir "$work/$run-$peer" --out "$work/$run-$peer.safetensors" >/dev/null
  done
  cmp "$work/$run-a.safetensors" "$work/$run-b.safetensors" || fail "the exported models differ"
  say "one model id, $model_a, from $(number a updates) updates"
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
