# Shared by tests/netns.sh and tests/nat.sh: two peers, a and b, in data
# directories $work/$run-a and $work/$run-b, with logs beside them. Uses
# LONGHAUL, work, run, pid_a, pid_b and the constants of whoever sources it:
# EPOCHS, EPOCH_MS, HEAL_AT, STALLED_MIN and STEP_S_MAX.
# shellcheck shell=bash disable=SC2154

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

peer_id() { # PEER
  "$LONGHAUL" init "$work/$run-$1" --json | sed -n 's/.*"peer_id": *"\([^"]*\)".*/\1/p'
}

# Makes both peers and their federation, which needs an update of each in a term.
make_federation() {
  id_a=$(peer_id a) && id_b=$(peer_id b)
  [ -n "$id_a" ] && [ -n "$id_b" ] || fail "init printed no peer id"
  "$LONGHAUL" manifest new --dir "$work/$run-a" --member "$id_a" --member "$id_b" --quorum 2 \
    --epochs "$EPOCHS" --epoch-ms "$EPOCH_MS" --start-in-ms 4000 --out "$work/$run.manifest" >"$work/$run-setup.log" 2>&1
  for peer in a b; do
    "$LONGHAUL" join "$work/$run.manifest" --dir "$work/$run-$peer" >>"$work/$run-setup.log" 2>&1
  done
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
