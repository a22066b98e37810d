#!/usr/bin/env bash
# Two peers at two sites, each behind its own NAT, with no way to each other but a
# relay in the middle: they meet there, train together while the relay is killed
# and started again, and end with one model id.
#
#   sudo tests/nat.sh                        uses target/release/longhaul
#   sudo LONGHAUL=path tests/nat.sh          uses another binary
#
#   a 10.1.0.2 - NAT 198.51.100.2 - relay 198.51.100.1/203.0.113.1 - NAT 203.0.113.2 - b 10.2.0.2
#
# Runs twice: behind NATs that give each connection another port, where the link
# stays relayed and each peer looks for the other at the relay; and behind NATs
# that keep the port, with a rendezvous point, where the link becomes direct.
# Without root, `ip`, and `nft` or `iptables` it says SKIP and exits 0. Nothing
# outside its own namespaces and temporary folder is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
source tests/peers.sh

readonly EPOCHS=24 EPOCH_MS=1000
readonly CUT_AT=5 HEAL_AT=11        # epochs at which the relay is killed and started
readonly STALLED_MIN=3              # epochs without a new term that prove the cut
readonly STEP_S_MAX=120             # longest wait for any one step
readonly PORT=4001
readonly NS_RELAY="longhaul-relay-$$"
readonly NS_A="longhaul-site-a-$$" NS_B="longhaul-site-b-$$"
readonly NAT_A="longhaul-nat-a-$$" NAT_B="longhaul-nat-b-$$"

LONGHAUL=${LONGHAUL:-${CARGO_TARGET_DIR:-target}/release/longhaul}
work="" run="set-up" pid_a="" pid_b="" pid_c="" pid_relay="" relay=""

stop() { # PID
  if [ -n "$1" ]; then
    kill -9 "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
  fi
}

cleanup() {
  stop_peers
  stop "$pid_c"
  stop "$pid_relay"
  for namespace in "$NS_RELAY" "$NS_A" "$NS_B" "$NAT_A" "$NAT_B"; do
    ip netns delete "$namespace" 2>/dev/null || true
  done
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

wait_for_line() { # FILE PATTERN COUNT WHAT
  local deadline=$((SECONDS + STEP_S_MAX))
  touch "$1"
  until [ "$(grep -cE "$2" "$1" || true)" -ge "$3" ]; do
    [ "$SECONDS" -lt "$deadline" ] || { tail -n 40 "$1" >&2; fail "$4"; }
    sleep 0.2
  done
}

# Not for what runs in the background, whose number would be that of a shell.
inside() { ip netns exec "$@"; } # NAMESPACE COMMAND…

# One end in each namespace, with its address.
veth() { # NAMESPACE INTERFACE ADDRESS NAMESPACE INTERFACE ADDRESS
  ip link add "$2" netns "$1" type veth peer name "$5" netns "$4" 2>/dev/null ||
    skip "veth pairs are not available here"
  ip -n "$1" address add "$3" dev "$2"
  ip -n "$4" address add "$6" dev "$5"
  ip -n "$1" link set "$2" up
  ip -n "$4" link set "$5" up
}

forward() { inside "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'; } # NAMESPACE

# A household router: what goes out gets its address, what comes in uninvited is
# dropped. The ports are kept where they are free, or drawn for each connection.
nat() { # NAMESPACE kept | drawn
  local flags=""
  if command -v nft >/dev/null; then
    if [ "$2" = drawn ]; then flags="fully-random"; fi
    inside "$1" nft -f - <<RULES || skip "nft has no NAT here (kernel option NFT_MASQ)"
flush ruleset
table ip longhaul {
  chain out { type nat hook postrouting priority srcnat; oifname "outside" masquerade $flags; }
  chain own { type filter hook input priority filter; iifname "outside" ct state new drop; }
  chain through { type filter hook forward priority filter; iifname "outside" ct state new drop; }
}
RULES
  else
    if [ "$2" = drawn ]; then flags="--random-fully"; fi
    inside "$1" iptables -t nat -F && inside "$1" iptables -F || skip "iptables has no NAT here"
    # shellcheck disable=SC2086
    inside "$1" iptables -t nat -A POSTROUTING -o outside -j MASQUERADE $flags
    for chain in INPUT FORWARD; do
      inside "$1" iptables -A $chain -i outside -m conntrack --ctstate NEW -j DROP
    done
  fi
}

make_network() {
  ip netns add "$NS_RELAY" 2>/dev/null || skip "network namespaces are not permitted here"
  for namespace in "$NS_A" "$NS_B" "$NAT_A" "$NAT_B"; do ip netns add "$namespace"; done
  inside "$NS_A" true 2>/dev/null || skip "namespaces cannot be entered here"
  for namespace in "$NS_RELAY" "$NS_A" "$NS_B" "$NAT_A" "$NAT_B"; do
    ip -n "$namespace" link set lo up
  done
  veth "$NS_RELAY" site-a 198.51.100.1/24 "$NAT_A" outside 198.51.100.2/24
  veth "$NS_RELAY" site-b 203.0.113.1/24 "$NAT_B" outside 203.0.113.2/24
  veth "$NAT_A" inside 10.1.0.1/24 "$NS_A" longhaul0 10.1.0.2/24
  veth "$NAT_B" inside 10.2.0.1/24 "$NS_B" longhaul0 10.2.0.2/24
  ip -n "$NAT_A" route add default via 198.51.100.1
  ip -n "$NAT_B" route add default via 203.0.113.1
  ip -n "$NS_A" route add default via 10.1.0.1
  ip -n "$NS_B" route add default via 10.2.0.1
  for namespace in "$NS_RELAY" "$NAT_A" "$NAT_B"; do forward "$namespace"; done
}

start_relay() { # [OPTION…]
  # shellcheck disable=SC2094
  ip netns exec "$NS_RELAY" "$LONGHAUL" relay --dir "$work/$run-relay" --reservations 2 \
    --listen "/ip4/198.51.100.1/tcp/$PORT" "$@" >"$work/$run-relay.out" 2>>"$work/$run-relay.log" &
  pid_relay=$!
  wait_for_line "$work/$run-relay.out" '^/ip4/198.51.100.1/tcp/.*/p2p/' 1 "the relay printed no address"
  relay=$(head -n 1 "$work/$run-relay.out")
}

use_relay() { # PEER [rendezvous]
  local file="$work/$run-$1/longhaul.toml"
  sed -i "s|^via = .*|via = [\"$relay\"]|" "$file"
  if [ "${2:-}" = rendezvous ]; then sed -i "s|^at = .*|at = [\"$relay\"]|" "$file"; fi
}

start_peer() { # PEER NAMESPACE ADDRESS
  ip netns exec "$2" "$LONGHAUL" up --dir "$work/$run-$1" --listen "$3" --until-drained \
    >"$work/$run-$1.log" 2>&1 &
}

# Somebody of another federation, at one of the sites, wants a place, too.
check_full_relay() {
  local id_c id_d
  id_c=$(peer_id c) && id_d=$(peer_id d)
  "$LONGHAUL" manifest new --dir "$work/$run-c" --member "$id_c" --member "$id_d" \
    --out "$work/$run-c.manifest" >>"$work/$run-setup.log" 2>&1
  "$LONGHAUL" join "$work/$run-c.manifest" --dir "$work/$run-c" >>"$work/$run-setup.log" 2>&1
  use_relay c
  ip netns exec "$NS_A" "$LONGHAUL" up --dir "$work/$run-c" >"$work/$run-c.log" 2>&1 &
  pid_c=$!
  wait_for_line "$work/$run-relay.log" 'reservation refused' 1 "a third reservation was not refused"
  wait_for_line "$work/$run-c.log" 'no reservation' 1 "who was refused does not say so"
  stop "$pid_c"
  pid_c=""
  say "a third peer gets no place at a relay that has two"
}

check_route() { # Relayed | Direct
  for peer in a b; do
    wait_for_line "$work/$run-$peer.log" "route=$1" 1 "peer $peer has no link that is $1"
  done
}

train_through_nats() { # kept | drawn, [rendezvous]
  run="ports-$1"
  local id_a id_b
  nat "$NAT_A" "$1" && nat "$NAT_B" "$1"
  if [ "${2:-}" = rendezvous ]; then start_relay --rendezvous; else start_relay; fi
  say "two sites behind NATs, ports are $1, relay $relay"
  if inside "$NS_A" ping -c 1 -W 1 10.2.0.2 >/dev/null 2>&1; then fail "there is a direct way"; fi
  make_federation
  use_relay a "${2:-}" && use_relay b "${2:-}"
  # A port of each run's own: a NAT goes on with what it did for a connection before.
  local port
  case "$1" in drawn) port=4002 ;; kept) port=4003 ;; esac
  start_peer a "$NS_A" "/ip4/10.1.0.2/tcp/$port"
  pid_a=$!
  start_peer b "$NS_B" "/ip4/10.2.0.2/tcp/$port"
  pid_b=$!
  check_route Relayed
  wait_for_epoch "$CUT_AT"
}

finish() {
  wait_for_end a "$pid_a"
  wait_for_end b "$pid_b"
  pid_a="" pid_b=""
  check_end
  stop "$pid_relay"
  pid_relay=""
}

relayed() {
  train_through_nats drawn
  check_full_relay
  say "relay killed"
  stop "$pid_relay"
  local killed
  killed=$(number a epoch)
  wait_for_epoch $((killed + HEAL_AT - CUT_AT))
  check_cut
  say "relay started again"
  start_relay
  finish
  if grep -q 'route=Direct' "$work/$run-a.log"; then fail "a link was direct although ports are drawn"; fi
}

upgraded() {
  train_through_nats kept rendezvous
  check_route Direct
  say "the link became direct"
  stop "$pid_relay"
  pid_relay=""
  say "relay killed, for good"
  finish
}

[ "$(id -u)" -eq 0 ] || skip "needs root (network namespaces)"
command -v ip >/dev/null || skip "needs ip from iproute2 (network namespaces)"
command -v nft >/dev/null || command -v iptables >/dev/null ||
  skip "needs nft from nftables, or iptables (NAT)"
[ -x "$LONGHAUL" ] || { echo "no binary at $LONGHAUL: cargo build --release -p longhaul-node" >&2; exit 1; }
LONGHAUL=$(realpath "$LONGHAUL")
trap cleanup EXIT
trap 'exit 130' INT TERM
work=$(mktemp -d)
make_network
relayed
upgraded
echo "ok: both runs ended with one model id"
