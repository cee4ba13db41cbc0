# Checks, and the table of how they went: of the demo, the scenarios, interop and the guest. Needs common.sh, namespaces.sh,
# $ROOT, $WORK and $WIRE, a capture file.
# shellcheck shell=bash

results=()
bad=0

title() { results+=("" "$1"); say "== $1"; }

# row RESULT TEXT
row() {
    results+=("$(printf '  %-7s %s' "$1" "$2")")
    say "$(printf '   %-7s %s' "$1" "$2")"
}

# check TEXT COMMAND...: must succeed; what it prints goes behind the text.
check() {
    local text=$1 said status
    shift
    # With -e inside, which a condition around it would switch off.
    set +e
    said=$(set -e; "$@" 2>"$WORK/check.log")
    status=$?
    set -e
    if [ "$status" -eq 0 ]; then
        row passed "$text${said:+ [$said]}"
    else
        bad=$((bad + 1))
        row FAILED "$text${said:+ [$said]}"
        tail -n 150 "$WORK/check.log" >&2
    fi
}

# refused TEXT NODES REASON COMMAND...: must fail, and one of the nodes must have dropped packets for that reason: silence
# alone may be anything. Several nodes are one word.
refused() {
    local text=$1 nodes=$2 reason=$3 before
    shift 3
    before=$(dropped "$nodes" "$reason")
    if "$@" >/dev/null 2>"$WORK/check.log"; then
        bad=$((bad + 1))
        row FAILED "$text [it was not]"
    elif wait_for 10 "$nodes to drop as $reason" drops_more "$nodes" "$reason" "$before"; then
        row refused "$text [$nodes: $(why "$nodes" "$reason")]"
    else
        bad=$((bad + 1))
        row FAILED "$text [no drop was counted as $reason on $nodes]"
    fi
}
drops_more() { [ "$(dropped "$1" "$2")" -gt "$3" ]; }

# dropped NODES REASON: packets dropped so far.
dropped() {
    local node
    for node in $1; do ctl "$node" get drop -o json; done |
        jq -s --arg reason "$2" '[.[][] | select(.reason == $reason) | .packets // 0 | tonumber] | add // 0'
}

# why NODE REASON: the reason, and for a refused flow what the node says about another one like it.
why() {
    local words explained stage
    echo -n "$2"
    case $2 in
        security_group) stage=security_group ;;
        policy_*) stage=network_policy ;;
        *) return 0 ;;
    esac
    read -r -a words < <(ctl "$1" get flow -o json | jq -r '[.[] | select(.action == "drop")] | min_by(.idle_ms // 0) | .forward
        | "\(.interface) \(.source) \(.destination) \(.protocol) \(.destination_port // 0)"')
    explained=$(ctl "$1" explain -o json --interface "${words[0]}" --src "${words[1]}" --dst "${words[2]}" \
        --proto "${words[3]}" --dport "${words[4]}")
    jq -r --arg stage "$stage" '[.steps[] | select(.stage == $stage) | .text] | ": " + join("; ") | select(. != ": ")' <<<"$explained"
}

# ping_ttl NAMESPACE ADDRESS TTL: three answers, with this TTL.
ping_ttl() {
    local output
    output=$(in_ns "$1" ping -c 3 -i 0.2 -W 2 "$2")
    printf '%s\n' "$output" >&2
    [ "$(grep -c "ttl=$3 " <<<"$output")" -eq 3 ] || return 1
    sed -n 's/^rtt .* = [^/]*\/\([^/]*\)\/.*/avg \1 ms/p' <<<"$output"
}

# hold NAME NAMESPACE ADDRESS PORT [PROGRAM]: opens a connection that stays open, by scripts/lib/hold to an echo server,
# or by scripts/lib/browse to a web server.
declare -A held=()
hold() {
    local descriptor
    mkfifo "$WORK/$1.in"
    in_ns "$2" "$ROOT/scripts/lib/${5:-hold}" "$3" "$4" <"$WORK/$1.in" >"$WORK/$1.out" 2>&1 &
    exec {descriptor}>"$WORK/$1.in"
    held[$1]=$descriptor
    wait_for 10 "connection $1" grep -q open "$WORK/$1.out"
}

# still NAME TEXT: what comes back when the held connection NAME sends a line: what its program says.
still() {
    local before
    before=$(wc -l <"$WORK/$1.out")
    echo hello >&"${held[$1]}"
    wait_for 10 "connection $1" more_lines "$WORK/$1.out" "$before"
    [ "$(tail -n 1 "$WORK/$1.out")" = "$2" ]
}
more_lines() { [ "$(wc -l <"$1")" -gt "$2" ]; }

# accounting_holds NODE: once no packet is on its way, every one has ended exactly once.
accounting_holds() {
    wait_for 5 "the accounts of $1" accounts "$1" '(.received + .originated + .copied) == (.sent + .consumed + .punted + .held + .dropped)'
    accounts "$1" '"received \(.received), sent \(.sent), dropped \(.dropped)"'
}

# accounts NODE FILTER: a jq filter over the sums of the accounting equation.
accounts() {
    ctl "$1" get stat -o json | jq -e -r '.[0].accounting as $sums
        | ["received", "originated", "copied", "sent", "consumed", "punted", "held", "dropped"]
        | map({(.): ($sums[.] // 0 | tonumber)}) | add | '"$2"
}

# punts_more NODE BEFORE: it has handed over packets since.
punts_more() { [ "$(accounts "$1" .punted)" -gt "$2" ]; }

# count_packets FILTER: of those in the capture $WIRE, with all checksums verified.
count_packets() {
    tshark -n -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -o tcp.check_checksum:TRUE \
        -r "$WIRE" -Y "$1" -T fields -e frame.number | wc -l
}

# seen FILTER...: packets of each kind were on the wire.
seen() {
    local filter count text=
    for filter in "$@"; do
        count=$(count_packets "$filter")
        text+="${text:+, }$count packets"
        [ "$count" -gt 0 ] || { echo "$text"; return 1; }
    done
    echo "$text"
}

# unseen FILTER: packets were on the wire, and none of this kind; if there were any, they are printed.
unseen() {
    local count
    [ "$(count_packets frame)" -gt 0 ]
    count=$(count_packets "$1")
    [ "$count" -eq 0 ] || { tshark -n -r "$WIRE" -Y "$1" -V 2>/dev/null | head -n 150 >&2 || true; echo "$count packets"; return 1; }
}

# undamaged: every checksum in the capture is right, whoever sent the packet. tshark calls a TCP checksum of 0xffff bad where
# 0x0000 is computed. It is the other zero of one's complement, right for every receiver (RFC 1071), and what Linux writes
# wherever it completes a checksum in software (CSUM_MANGLED_0), of TCP too: one packet in 65 536. Translated by a vRouter it
# becomes what any other becomes; not translated it arrives as it was sent.
undamaged() {
    unseen '(tcp.checksum.status == "Bad" && !(tcp.checksum == 0xffff && tcp.checksum_calculated == 0x0000))
        || ip.checksum.status == "Bad" || udp.checksum.status == "Bad" || icmp.checksum.status == "Bad"
        || icmpv6.checksum.status == "Bad"'
}

# decode FILTER...: one packet of each kind, as tshark explains it.
decode() {
    local filter
    for filter in "$@"; do
        results+=("" "  A packet with: $filter")
        while IFS= read -r line; do
            results+=("    $line")
        done < <(tshark -n -r "$WIRE" -Y "$filter" -c 20000 -V 2>/dev/null \
            | awk '/^Frame /{if (seen++) exit} /^[A-Z]/ && !/^Frame /' | cut -c 1-110)
    done
}

summary() {
    printf '%s\n' "${results[@]}"
    echo
    local passed
    passed=$(printf '%s\n' "${results[@]}" | grep -c -E '^  (passed|refused)' || true)
    echo "checks: $passed as expected, $bad failed"
    [ "$bad" -eq 0 ]
}
