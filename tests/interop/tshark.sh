#!/usr/bin/env bash
# Lets tshark read a session of TCPCL and the bundles in it.
#
#   tests/interop/tshark.sh                  the golden session, tests/vectors/tcpcl_session.txt
#   tests/interop/tshark.sh OUT.pcapng       keeps the capture, to look at it with Wireshark
#
# The session is what our machine says (dtn/tests/tcpcl/golden.rs); text2pcap puts TCP around it.
# tshark has to find every message, every field of the update bundle and good CRCs, and nothing to
# complain about but types that only we know. Without tshark it says SKIP and exits 0.
# Tried with tshark 4.0.17.
set -euo pipefail
out=${1:+$(realpath -m "$1")}
cd "$(dirname "$0")/../.."

readonly SESSION=tests/vectors/tcpcl_session.txt
readonly ACTIVE=192.0.2.1 PASSIVE=192.0.2.2 PORT=4556
readonly PEER=rkeohxlubhyzl7ks3mwtzos5olfgocn7dwkbeg7toseadnapn5oa

skip() { echo "SKIP: $1"; exit 0; }

for program in tshark text2pcap; do
  command -v "$program" >/dev/null || skip "$program is not installed; apt install tshark"
done
knows() { tshark -G fields 2>/dev/null | awk -F '\t' -v name="$1" '$3 == name { n = 1 } END { exit !n }'; }
knows bpv7.primary.src_uri ||
  skip "this tshark does not know BPv7 (4.0 and later do)"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
capture=$work/session.pcapng
wrong=0

# Both passes: some of what tshark says of a message follows from later ones.
read_capture() { tshark -2 -n -r "$capture" "$@" 2>/dev/null; }

# The values of FIELDs, a line for each frame that FILTER lets pass; numbers without 0x and zeros
# before them, booleans as 0 and 1, as one version of tshark or the other writes them.
fields() { # FILTER FIELD…
  local filter=$1 field
  local -a wanted=()
  shift
  for field in "$@"; do wanted+=(-e "$field"); done
  read_capture -Y "$filter" -T fields -E separator='|' "${wanted[@]}" |
    sed -E 's/\b0x0*([0-9a-f])/\1/g; s/\bTrue\b/1/g; s/\bFalse\b/0/g'
}

expect() { # WHAT WANTED FOUND
  if [ "$2" = "$3" ]; then
    echo "ok: $1"
  else
    printf 'WRONG: %s\n--- expected\n%s\n--- found\n%s\n' "$1" "$2" "$3" >&2
    wrong=1
  fi
}

expect_fields() { # WHAT WANTED FILTER FIELD…
  local what=$1 wanted=$2
  shift 2
  expect "$what" "$wanted" "$(fields "$@")"
}

# Whatever tshark has to say about the capture: severity and summary.
complaints() {
  read_capture -q -z expert |
    awk '/^(Errors|Warns|Notes)/ { kind = $1 } /^Comments/ { kind = "" }
         kind && $1 ~ /^[0-9]+$/ { $1 = ""; print kind ":" $0 }'
}

text2pcap -q -D -4 "$PASSIVE,$ACTIVE" -T "$PORT,49152" "$SESSION" "$capture" 2>/dev/null
[ -z "$out" ] || cp "$capture" "$out"

expect "nothing is malformed" "" "$(fields _ws.malformed frame.number)"
expect "the one complaint is about types of blocks and payloads that only we know" \
  "Warns: Undecoded BPv7 Unknown type code" "$(complaints)"

# TCPCL: SESS_INIT is 7, XFER_SEGMENT 1, XFER_ACK 2, SESS_TERM 5.
expect_fields "contact headers: version 4, no TLS" "$ACTIVE|4|0
$PASSIVE|4|0" tcpcl.contact_hdr ip.src tcpcl.contact_hdr.version tcpcl.v4.chdr.flags.can_tls
expect_fields "SESS_INIT: who both are, what they take and agree on" \
  "$ACTIVE|30|65536|67108864|dtn://active/|30
$PASSIVE|30|256|67108864|dtn://passive/|30" 'tcpcl.v4.mhdr.type == 7' ip.src \
  tcpcl.v4.sess_init.keepalive tcpcl.v4.sess_init.seg_mru tcpcl.v4.sess_init.xfer_mru \
  tcpcl.v4.sess_init.nodeid_data tcpcl.v4.negotiated.keepalive
expect "messages in their order" "7 7 1 1 2 2 1 2 5 5" \
  "$(fields tcpcl.v4.mhdr tcpcl.v4.mhdr.type | paste -s -d ' ')"
expect_fields "XFER_SEGMENT: start, end, length; the whole length where there are two" \
  "$ACTIVE|0|1|0|256|462
$ACTIVE|0|0|1|206|
$PASSIVE|0|1|1|599|" 'tcpcl.v4.mhdr.type == 1' ip.src tcpcl.v4.xfer_id tcpcl.v4.xfer_flags.start \
  tcpcl.v4.xfer_flags.end tcpcl.v4.xfer_segment.data_len \
  tcpcl.v4.xferext.transfer_length.total_len
expect_fields "XFER_ACK: each segment, as long as all so far" "$PASSIVE|0|256
$PASSIVE|0|462
$ACTIVE|0|599" 'tcpcl.v4.mhdr.type == 2' ip.src tcpcl.v4.xfer_id tcpcl.v4.xfer_ack.ack_len
expect_fields "SESS_TERM: a goodbye and its answer" "$ACTIVE|0|0
$PASSIVE|1|0" 'tcpcl.v4.mhdr.type == 5' ip.src tcpcl.v4.sess_term.flags.reply tcpcl.v4.ses_term.reason

# The bundle of an update.
readonly UPDATE='bpv7.primary.dst_uri == "dtn://federation/updates"'
readonly SIGNED='bpv7.primary.dst_uri == "ipn:7.1"'
expect_fields "the primary block" \
  "7|4|dtn://$PEER/updates|dtn://federation/updates|dtn:none|840000000000|7|600000000" "$UPDATE" \
  bpv7.primary.version bpv7.primary.bundle_flags bpv7.primary.src_uri bpv7.primary.dst_uri \
  bpv7.primary.report_uri bpv7.time.dtntime bpv7.create_ts.seqno bpv7.primary.lifetime
expect_fields "types and numbers of the blocks" "192,193,11,10,7,1|2,3,6,4,5,1" "$UPDATE" \
  bpv7.canonical.type_code bpv7.canonical.block_num
expect_fields "seven CRC-32Cs, all good" "2,2,2,2,2,2,2|1,1,1,1,1,1,1" "$UPDATE" \
  bpv7.crc_type bpv7.crc_status
expect_fields "hop count and age" "64|0|0" "$UPDATE" \
  bpv7.hop_count.limit bpv7.hop_count.current bpv7.bundle_age.time
expect_fields "the integrity block: COSE (3) about block 3, a COSE_Sign1 (18)" \
  "3|3|dtn://$PEER/updates|3|18" "$UPDATE" bpsec.asb.target bpsec.asb.ctxid \
  bpsec.asb.secsrc.uri bpsec.asb.result_tgt_ref bpsec.asb.result.id
# From 4.6 on, tshark reads the COSE context.
message=cbor.type.bytestring
if knows bpsec-cose.msg; then message=bpsec-cose.msg; fi
expect "its message: [protected {1: -19}, {4: key}, null, signature]" 8443a10132a1045820 \
  "$(fields "$UPDATE" "$message" | cut -c 1-18)"
expect "the payload" "$(printf payload | od -An -tx1 | tr -d ' ')" \
  "$(fields "$UPDATE" data.data | sed 's/.*,//')"

# The other way, a bundle of which three blocks are signed.
expect_fields "a bundle with a signature about three blocks" \
  "11,10,193,1|3,2,9,1|0,0,1,0|1,1,1,1,1|3|9,1,0|18,18,18" "$SIGNED" bpv7.canonical.type_code \
  bpv7.canonical.block_num bpv7.canonical.block_flags bpv7.crc_status bpsec.asb.ctxid \
  bpsec.asb.result_tgt_ref bpsec.asb.result.id

exit "$wrong"
