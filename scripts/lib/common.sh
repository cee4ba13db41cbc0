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

# missing_packages PACKAGE...: those of Debian that are not installed.
missing_packages() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = "ii " ] || echo "$package"
    done
}

# install_packages PACKAGE...: from Debian's archive. Their services are not started: what we run of them is in namespaces.
install_packages() (
    say "installing: $*"
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
    fi
    apt-get update -qq || say "apt-get update failed: going on with what is known already"
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
)
