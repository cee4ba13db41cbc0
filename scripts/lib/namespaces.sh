# Network namespaces, links between them, and daemons in them. Needs common.sh, $PREFIX (of the namespaces'
# names), $WORK (a directory for files) and $BIN (where vrouterd and vrouterctl are).
# shellcheck shell=bash

# in_ns NAME COMMAND...
in_ns() {
    local name=$1
    shift
    ip netns exec "$PREFIX$name" "$@"
}

# new_ns NAME: a namespace with loopback up and without IPv6 chatter of its own. Any process there may ping, without
# privileges.
new_ns() {
    ip netns add "$PREFIX$1"
    in_ns "$1" sysctl -q -w net.ipv6.conf.all.accept_ra=0 net.ipv6.conf.default.accept_dad=0 \
        net.ipv4.ping_group_range="0 2147483647"
    in_ns "$1" ip link set lo up
}

# plug NAME:INTERFACE NAME:INTERFACE: a cable. Checksums are finished by the kernel before a packet is sent:
# a DPDK device on a veth cannot see that they are not.
plug() {
    local a=${1%%:*} a_link=${1##*:} b=${2%%:*} b_link=${2##*:}
    ip link add "$a_link" netns "$PREFIX$a" type veth peer name "$b_link" netns "$PREFIX$b"
    local end
    for end in "$1" "$2"; do
        in_ns "${end%%:*}" ethtool -K "${end##*:}" tx off >/dev/null
        in_ns "${end%%:*}" ip link set "${end##*:}" up
    done
}

# quiet NAME:INTERFACE: an interface that a vrouterd has for itself: the kernel says nothing on it.
quiet() {
    in_ns "${1%%:*}" sysctl -q -w "net.ipv6.conf.${1##*:}.disable_ipv6=1"
}

# start_vrouterd NAME [OPTION...]: in the namespace of that name; waits until it can be programmed.
start_vrouterd() {
    local name=$1
    shift
    mkdir -p "$WORK/$name"
    ip netns exec "$PREFIX$name" "$BIN/vrouterd" --config /dev/null \
        --agent-listen "unix://$WORK/$name/agent.sock" --devices-directories "$WORK" "$@" \
        >"$WORK/$name/vrouterd.log" 2>&1 &
    daemons+=("$!")
    local process=$!
    if ! wait_for 20 "vrouterd in $name" ready_or_gone "$process" "$WORK/$name/agent.sock" \
        || ! kill -0 "$process" 2>/dev/null; then
        tail -n 20 "$WORK/$name/vrouterd.log" >&2
        die "vrouterd in $name did not start"
    fi
}

ready_or_gone() { [ -S "$2" ] || ! kill -0 "$1" 2>/dev/null; }

# ctl NAME ARGUMENT...: vrouterctl for the daemon of that name.
ctl() {
    local name=$1
    shift
    "$BIN/vrouterctl" --agent "unix://$WORK/$name/agent.sock" "$@"
}

# end_processes PROCESS...: of this shell. Who has not ended 20 seconds after having been asked to is not asked again.
end_processes() {
    kill -TERM "$@" 2>/dev/null || true
    wait_for 20 "processes to end" gone "$@" || kill -KILL "$@" 2>/dev/null || true
}
# gone PROCESS...: none of them is there any more.
gone() { ! kill -0 "$@" 2>/dev/null; }

# Ends the daemons, then everything else that runs in our namespaces, then the namespaces. What fails does not keep the
# rest from being removed.
remove_all() {
    local name
    end_processes "${daemons[@]}"
    daemons=()
    for name in $(ip netns list | awk -v prefix="$PREFIX" 'index($1, prefix) == 1 {print $1}'); do
        ip netns pids "$name" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        wait_for 10 "processes in $name to end" no_processes "$name" || true
        ip netns delete "$name" || say "namespace $name stays"
    done
}

no_processes() { [ -z "$(ip netns pids "$1")" ]; }

# remove_at_exit: takes back all that was made, also when the script fails or is interrupted: the daemons, the namespaces
# and $WORK. What a script has beside these it ends in at_exit STATUS.
remove_at_exit() {
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}
at_exit() { :; }
# Nothing interrupts it: no wait in it is without end.
finish() {
    local status=$?
    trap - EXIT
    trap '' HUP INT TERM
    at_exit "$status" || true
    remove_all
    rm -rf "$WORK"
    exit "$status"
}

# stay: with $KEEP, waits for somebody who looks around. A signal ends only the waiting; but bash goes on reading after
# a trap, so it looks now and then whether there was one.
stay() {
    [ "${KEEP:-no}" = yes ] && [ -t 0 ] || return 0
    say "Running in namespaces $PREFIX*. For example: $BIN/vrouterctl --agent unix://$WORK/node1/agent.sock get flow"
    say "Enter ends it."
    local over=
    trap 'over=yes' HUP INT TERM
    # At the end of the input there is nobody; in time without a line there may be.
    until [ -n "$over" ] || read -r -t 1; do
        [ $? -gt 128 ] || break
    done
    trap '' HUP INT TERM
}
