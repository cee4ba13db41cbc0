# Checks of the demo and of interop, and the table of how they went. Needs $WORK and $WIRE, a capture file.
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

# refused TEXT NODE REASON COMMAND...: must fail, and the node must have dropped packets for that reason.
refused() {
    local text=$1 node=$2 reason=$3 before
    shift 3
    before=$(dropped "$node" "$reason")
    if "$@" >/dev/null 2>"$WORK/check.log"; then
        bad=$((bad + 1))
        row FAILED "$text [it was not]"
    elif wait_for 10 "$node to drop as $reason" drops_more "$node" "$reason" "$before"; then
        row refused "$text [$node: $(why "$node" "$reason")]"
    else
        bad=$((bad + 1))
        row FAILED "$text [no drop was counted as $reason on $node]"
    fi
}
drops_more() { [ "$(dropped "$1" "$2")" -gt "$3" ]; }

# dropped NODE REASON: packets dropped so far.
dropped() {
    ctl "$1" get drop -o json |
        jq --arg reason "$2" '[.[] | select(.reason == $reason) | .packets // 0 | tonumber] | add // 0'
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

# unreachable NAMESPACE ADDRESS: not even ARP is answered.
unreachable() {
    if in_ns "$1" ping -c 1 -W 1 "$2" >&2; then return 1; fi
    in_ns "$1" ip neighbour show "$2" | grep -q -E 'INCOMPLETE|FAILED'
}

# page NAMESPACE URL WHO: one HTTP request that WHO answers.
page() { in_ns "$1" curl -s -g -m 3 "$2" | grep -q "^$3 "; }

# not_served NAMESPACE URL
not_served() { if in_ns "$1" curl -s -m 1 "$2" >&2; then return 1; fi; }

# both_serve NAMESPACE URL TIMES: every request is answered, some by web1 and some by web2.
both_serve() {
    local answers one two
    answers=$(for _ in $(seq "$3"); do in_ns "$1" curl -s -m 3 "$2" || echo nobody; done)
    one=$(grep -c '^web1 ' <<<"$answers" || true)
    two=$(grep -c '^web2 ' <<<"$answers" || true)
    echo "web1 $one, web2 $two"
    [ $((one + two)) -eq "$3" ] && [ "$one" -gt 0 ] && [ "$two" -gt 0 ]
}

# app sends from an address that is not its own.
spoof() {
    in_ns app ip address add 10.47.255.77/32 dev eth0
    local status=0
    in_ns app ping -c 1 -W 1 -I 10.47.255.77 10.47.255.248 || status=$?
    in_ns app ip address delete 10.47.255.77/32 dev eth0
    return "$status"
}

allow_81() {
    sed 's/first: 80, last: 80/first: 80, last: 81/' "$OBJECTS/node1.yaml" >"$WORK/allow-81.yaml"
    ctl node1 apply -f "$WORK/allow-81.yaml" >&2
    page app http://10.47.255.248:81/ web1
}

# A connection that is open while its rule goes away: its next packet meets the new policy.
take_back_81() {
    local word
    coproc holder { in_ns app "$ROOT/scripts/lib/hold-connection" 10.47.255.248 81 2>/dev/null; }
    # shellcheck disable=SC2154  # coproc sets it
    local process=$holder_PID
    read -r -t 5 word <&"${holder[0]}"
    [ "$word" = open ]
    ctl node1 apply -f "$OBJECTS/node1.yaml" >&2
    echo >&"${holder[1]}"
    if wait "$process"; then
        echo "the connection still works"
        return 1
    fi
    not_served app http://10.47.255.248:81/
}

# app pings the client while a capture in the client's namespace looks at the source address.
appears_as() {
    in_ns client timeout 10 tshark -l -n -i eth0 -c 1 -f 'icmp[icmptype] = icmp-echo' -T fields -e ip.src \
        >"$WORK/source" 2>"$WORK/tshark.log" &
    local sniffer=$!
    wait_for 10 "tshark to capture" grep -q "Capturing on" "$WORK/tshark.log"
    in_ns app ping -c 3 -i 0.2 -W 2 172.16.0.100 >&2
    wait "$sniffer"
    grep -qx "$1" "$WORK/source"
}

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
