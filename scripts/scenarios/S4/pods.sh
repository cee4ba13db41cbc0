# The pods of S4, for its own run and for scripts/interop. Needs topology.sh.
# shellcheck shell=bash
s4_pods=(web app blue in out db twin)

# s4_pods NODE1 NODE2: plugged into the nodes of these namespaces.
s4_pods() {
    pod web "$1" 02:00:00:00:01:03 10.1.1.1 10.1.1.3/24 fd00:1::3/64
    pod app "$1" 02:00:00:00:01:04 10.1.1.1 10.1.1.4/24 fd00:1::4/64
    pod blue "$1" 02:00:00:00:02:03 10.1.1.1 10.1.1.3/24 fd00:1::3/64
    pod in "$1" 02:00:00:00:02:04 10.1.1.1 10.1.1.4/24 fd00:1::4/64
    pod out "$1" 02:00:00:00:02:05 10.1.1.1 10.1.1.5/24 fd00:1::5/64
    pod db "$2" 02:00:00:00:03:06 10.1.1.1 10.1.1.6/24 fd00:1::6/64
    pod twin "$2" 02:00:00:00:04:03 10.1.1.1 10.1.1.3/24 fd00:1::3/64
}
