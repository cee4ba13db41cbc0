# The pods of S1, for its own run and for scripts/interop. Needs topology.sh.
# shellcheck shell=bash

# s1_pods NODE1 NODE2: plugged into the nodes of these namespaces. web3 begins without a place in the service.
s1_pods() {
    pod web1 "$1" 02:00:00:00:01:0b 10.47.255.254 10.47.255.248/12 fd00:47::248/64
    pod app1 "$1" 02:00:00:00:01:0c 10.47.255.254 10.47.255.249/12 fd00:47::249/64
    pod web3 "$1" 02:00:00:00:01:0d 10.47.255.254 10.47.255.250/12 fd00:47::250/64
    pod web2 "$2" 02:00:00:00:02:0b 10.47.255.254 10.47.255.252/12 fd00:47::252/64
    pod app2 "$2" 02:00:00:00:02:0c 10.47.255.254 10.47.255.251/12 fd00:47::251/64
}
