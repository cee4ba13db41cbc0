# Helpers that the scripts share. Sourcing it answers --help with the words at the script's head, and does nothing else.
# shellcheck shell=bash

case ${1:-} in
    -h | --help)
        sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
        exit
        ;;
esac

# Prints to standard error, so that a script's own output stays clean.
say() { printf '%s\n' "$*" >&2; }
die() { say "${0##*/}: $*"; exit 1; }

# Whether we may do what needs root.
is_root() { [ "$(id -u)" -eq 0 ]; }

# wait_for SECONDS "what" COMMAND...: repeats a command until it succeeds; says what did not come in time.
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "waited $seconds s for $what"
            return 1
        fi
        # How often to look, not how long it takes.
        sleep 0.05
    done
}

# The directory that cargo builds a profile into: target_directory PROFILE.
target_directory() {
    local target=${CARGO_TARGET_DIR:-$ROOT/target}
    case $1 in
        dev) printf '%s/debug\n' "$target" ;;
        *) printf '%s/%s\n' "$target" "$1" ;;
    esac
}

# What a test may not leave behind, one line each: compare before and after.
machine_state() {
    ip netns list 2>/dev/null | awk '{print "namespace " $1}'
    ip -o link show 2>/dev/null | awk -F': ' '{sub(/@.*/, "", $2); print "link " $2}'
    local pool
    for pool in /sys/kernel/mm/hugepages/hugepages-*; do
        [ -d "$pool" ] || continue
        printf 'huge pages %s %s of %s free\n' "${pool##*-}" "$(cat "$pool/free_hugepages")" "$(cat "$pool/nr_hugepages")"
    done
    # Ours among the processes and in /run: others come and go.
    pgrep -x -a vrouterd | sed 's/^[0-9]* /process /' || true
    find /run /tmp -maxdepth 2 \( -path '/run/vrouter*' -o -path '/run/dpdk/vrouter-*' -o -path '/tmp/vrouter-*' \) \
        2>/dev/null | sort
}
