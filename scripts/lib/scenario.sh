# What every scenario has: its own namespaces and files, and their end, also when it fails. Source it from a scenario
# that scripts/scenarios/run started ($BIN, $KEEP), with $NAME, and the directory of the scenario in $HERE.
# shellcheck shell=bash
ROOT=$(cd "$HERE/../../.." && pwd)
. "$ROOT/scripts/lib/common.sh"
. "$ROOT/scripts/lib/namespaces.sh"
. "$ROOT/scripts/lib/topology.sh"
. "$ROOT/scripts/lib/checks.sh"

[ -n "${BIN:-}" ] || die "start it with scripts/scenarios/run"
# By process: two of them may run at once.
PREFIX=vrs$$-
WORK=$(mktemp -d "/tmp/vrouter-$NAME.XXXXXX")
WIRE=$WORK/wire.pcapng
export PREFIX WORK
daemons=()

at_exit() { stay; }
remove_at_exit

# serve NAMESPACE SERVICE...: scripts/lib/serve there, in the background.
serve() {
    local name=$1
    in_ns "$name" "$ROOT/scripts/lib/serve" "$@" >"$WORK/$name.serve" 2>&1 &
}
# serving NAMESPACE...: waits until each of them does.
serving() {
    local name
    for name in "$@"; do
        wait_for 20 "the servers of $name" grep -qx ready "$WORK/$name.serve" || { cat "$WORK/$name.serve" >&2; return 1; }
    done
}

# probe NAMESPACE [--wait SECONDS] ADDRESS SERVICE...: scripts/lib/probe there.
probe() {
    local name=$1
    shift
    in_ns "$name" "$ROOT/scripts/lib/probe" "$@"
}

# answers NAMESPACE ADDRESS SERVICE WHAT: the service answers with exactly this.
answers() {
    local said
    said=$(probe "$1" "$2" "$3") || return 1
    [ "$said" = "$2 $3 $4" ] || { say "it said: $said"; return 1; }
}

# dump NODE VRF LINE...: the routes of the VRF as operators see them, which contain lines like these.
dump() {
    local line
    ctl "$1" get route --vrf "$2" >"$WORK/dump"
    shift 2
    for line in "$@"; do
        grep -q -E "$line" "$WORK/dump" || { cat "$WORK/dump" >&2; return 1; }
    done
}
# show FILE: for the table at the end.
show() {
    local line
    while IFS= read -r line; do results+=("    ${line:0:150}"); done <"$1"
}
