//! DHCP, router advertisements and DNS, served to real clients: dhclient, udhcpc, a kernel, dig.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use tempfile::TempDir;

use crate::harness::{Daemon, is_root, wait_for};
use crate::namespace::Namespace;
use crate::objects::NETWORK;

/// What the workload of these tests is: `$4` and `$6` are its addresses, `$more` goes into its IPv6 subnet.
const WORKLOAD: &str = "- interface: {id: 1, name: vm1, role: VIRTUAL, vrf: 1, mac: '02:00:00:00:00:01', mtu: 1400,
    addresses: ['$4', '$6'], device: {tap: {name: vm1}}, services: {host_name: web, domain: red.example.com,
    ntp_servers: ['10.0.0.123'], lease_seconds: 7200, resolvers: ['127.0.0.1:5399', '127.0.0.1:5353'], subnets: [
      {prefix: 10.0.0.0/24, gateway: 10.0.0.1, service: 10.0.0.2, routes: [{prefix: 172.16.0.0/12, via: 10.0.0.9}]},
      {prefix: '2001:db8:0:1::/64', gateway: '2001:db8:0:1::1', service: '2001:db8:0:1::2' $more}]}}
";

/// Tells what a client was told: one file per event, `name=value` lines; and does what such scripts do with it.
const SCRIPT: &str = r#"#!/bin/sh
event=${reason:-$1}
env > "$PLACE/told.new"
case $event in
    BOUND|REBOOT|RENEW|REBIND) ip -4 address flush dev "$interface"; ip address replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
    bound|renew) ip address replace "$ip/$mask" dev "$interface" ;;
    BOUND6|REBIND6|RENEW6) ip address replace "$new_ip6_address/$new_ip6_prefixlen" dev "$interface" ;;
esac
mv "$PLACE/told.new" "$PLACE/told.$event"
"#;

/// A daemon with that workload in a namespace, and where its clients tell what they were told.
struct Scene {
    daemon: Daemon,
    namespace: Namespace,
    place: TempDir,
}

impl Scene {
    fn new(test: &str) -> Self {
        Self::with(test, "2001:db8:0:1::3", "")
    }

    fn with(test: &str, v6: &str, more: &str) -> Self {
        let namespace = Namespace::new(test);
        let place = tempfile::Builder::new().prefix("vrouter-test-").tempdir().unwrap();
        let script = place.path().join("script");
        fs::write(&script, SCRIPT).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut daemon = Daemon::start_wrapped(&["ip", "netns", "exec", &namespace.0], "");
        daemon.apply(&[NETWORK, &workload("10.0.0.3", v6, more)].concat());
        // Its MAC before it is up: nothing is said with another one.
        namespace.run("ip", &["link", "set", "vm1", "down"]);
        namespace.run("ip", &["link", "set", "vm1", "address", "02:00:00:00:00:01", "up"]);
        Self { daemon, namespace, place }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// Runs a client to its end or into the background.
    fn client(&self, program: &str, arguments: &str) {
        let output = self.start(program, arguments, Stdio::piped()).wait_with_output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts a client; `$` is its place.
    fn start(&self, program: &str, arguments: &str, said: Stdio) -> Child {
        let place = self.place.path().display().to_string();
        let arguments = arguments.replace('$', &place);
        let arguments: Vec<&str> = arguments.split(' ').collect();
        let mut command = self.namespace.command(program, &arguments);
        command.env("PLACE", place).stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        command.spawn().unwrap()
    }

    /// Waits until a client is told something and forgets it.
    fn told(&self, event: &str) -> String {
        let path = self.path(&format!("told.{event}"));
        wait_for(event, || path.exists());
        let told = fs::read_to_string(&path).unwrap();
        fs::remove_file(path).unwrap();
        told
    }

    fn answers_ping(&self, addresses: &[&str]) {
        for address in addresses {
            wait_for(address, || self.namespace.succeeds("ping", &["-c", "1", "-W", "1", address]));
        }
    }

    /// How often each outcome was.
    fn outcome(&mut self, name: &str) -> u64 {
        let stats = self.daemon.stats();
        stats.services.iter().find(|service| service.outcome == name).map_or(0, |service| service.packets)
    }
}

fn workload(v4: &str, v6: &str, more: &str) -> String {
    WORKLOAD.replace("$4", v4).replace("$6", v6).replace("$more", more)
}

fn has(told: &str, lines: &[&str]) {
    for line in lines {
        assert!(told.lines().any(|told| told == *line), "{line} is not in\n{told}");
    }
}

const ISC: &str = "-4 -1 -sf $/script -lf $/leases -pf $/pid -e PLACE=$";

#[test]
fn dhclient_is_leased_the_interfaces_address_and_finds_it_moved() {
    if !is_root("dhclient_is_leased_the_interfaces_address_and_finds_it_moved") {
        return;
    }
    let mut scene = Scene::new("isc");
    scene.client("dhclient", &format!("{ISC} vm1"));
    has(
        &scene.told("BOUND"),
        &[
            "new_ip_address=10.0.0.3",
            "new_subnet_mask=255.255.255.0",
            "new_broadcast_address=10.0.0.255",
            "new_routers=10.0.0.1",
            "new_domain_name_servers=10.0.0.2",
            "new_domain_name=red.example.com",
            "new_domain_search=red.example.com.",
            "new_host_name=web",
            "new_interface_mtu=1400",
            "new_ntp_servers=10.0.0.123",
            "new_rfc3442_classless_static_routes=12 172 16 10 0 0 9 0 10 0 0 1",
            "new_dhcp_lease_time=7200",
            "new_dhcp_server_identifier=10.0.0.2",
        ],
    );
    scene.answers_ping(&["10.0.0.1", "10.0.0.2"]);

    // A client that comes up again with its lease keeps it; one whose address has become another is told so.
    scene.client("dhclient", "-4 -x -pf $/pid -lf $/leases -sf $/script -e PLACE=$ vm1");
    scene.client("dhclient", &format!("{ISC} vm1"));
    has(&scene.told("REBOOT"), &["new_ip_address=10.0.0.3"]);
    scene.client("dhclient", "-4 -x -pf $/pid -lf $/leases -sf $/script -e PLACE=$ vm1");
    scene.daemon.apply(&workload("10.0.0.4", "2001:db8:0:1::3", ""));
    scene.client("dhclient", &format!("{ISC} vm1"));
    has(&scene.told("BOUND"), &["new_ip_address=10.0.0.4"]);
    assert_eq!(scene.outcome("dhcp_nak"), 1);
    scene.client("dhclient", "-4 -r -pf $/pid -lf $/leases -sf $/script -e PLACE=$ vm1");
    wait_for("the release", || scene.outcome("dhcp_released") == 1);
    scene.daemon.accounting();
}

#[test]
fn udhcpc_is_leased_the_interfaces_address_and_renews_it() {
    if !is_root("udhcpc_is_leased_the_interfaces_address_and_renews_it") {
        return;
    }
    let mut scene = Scene::new("busybox");
    let arguments = "-f -i vm1 -s $/script -p $/pid -O mtu -O staticroutes -O search -O ntpsrv";
    let mut client = scene.start("udhcpc", arguments, Stdio::null());
    let expected = [
        "ip=10.0.0.3",
        "subnet=255.255.255.0",
        "router=10.0.0.1",
        "dns=10.0.0.2",
        "domain=red.example.com",
        "hostname=web",
        "mtu=1400",
        "ntpsrv=10.0.0.123",
        "staticroutes=172.16.0.0/12 10.0.0.9 0.0.0.0/0 10.0.0.1",
        "lease=7200",
        "serverid=10.0.0.2",
    ];
    has(&scene.told("bound"), &expected);
    scene.answers_ping(&["10.0.0.1", "10.0.0.2"]);
    let offers = scene.outcome("dhcp_offer");
    let pid = fs::read_to_string(scene.path("pid")).unwrap();
    scene.namespace.run("kill", &["-USR1", pid.trim()]);
    has(&scene.told("renew"), &expected);
    assert_eq!(scene.outcome("dhcp_offer"), offers, "it asked its server, not everybody");
    scene.namespace.run("kill", &["-TERM", pid.trim()]);
    client.wait().unwrap();
    scene.daemon.accounting();
}

impl Scene {
    /// Waits until the workload's link-local address is found to be nobody else's.
    fn up(&self) {
        wait_for("the workload's link-local address", || !self.addresses("link").is_empty());
    }

    /// IPv6 addresses of a scope that were found to be nobody else's.
    fn addresses(&self, scope: &str) -> Vec<String> {
        let arguments = ["-6", "-o", "address", "show", "dev", "vm1", "scope", scope, "-tentative"];
        let said = self.namespace.says("ip", &arguments);
        said.lines().filter_map(|line| Some(line.split_whitespace().nth(3)?.to_owned())).collect()
    }
}

const ROUTER: &str = "fe80::200:5eff:fe00:100";

#[test]
fn dhclient_is_leased_the_interfaces_ipv6_address() {
    if !is_root("dhclient_is_leased_the_interfaces_ipv6_address") {
        return;
    }
    let mut scene = Scene::new("isc6");
    scene.up();
    const CLIENT: &str = "-6 -sf $/script -lf $/leases -pf $/pid -e PLACE=$";
    scene.client("dhclient", &format!("{CLIENT} -1 vm1"));
    let told = scene.told("BOUND6");
    has(
        &told,
        &[
            "new_ip6_address=2001:db8:0:1::3",
            "new_dhcp6_name_servers=2001:db8:0:1::2",
            "new_dhcp6_domain_search=red.example.com.",
            "new_max_life=7200",
        ],
    );
    scene.answers_ping(&["2001:db8:0:1::1", "2001:db8:0:1::2"]);
    scene.client("dhclient", &format!("{CLIENT} -r vm1"));
    // Solicit is answered by an advertisement, request and release by replies.
    wait_for("the release", || scene.outcome("dhcp6_reply") >= 2);
    assert!(scene.outcome("dhcp6_advertise") >= 1);
    scene.daemon.accounting();
}

#[test]
fn a_kernel_makes_its_address_from_what_the_router_advertises() {
    if !is_root("a_kernel_makes_its_address_from_what_the_router_advertises") {
        return;
    }
    let address = "2001:db8:0:1:0:ff:fe00:1";
    let mut scene = Scene::with("slaac", address, ", slaac: true");
    scene.up();
    wait_for("the address", || scene.addresses("global") == [format!("{address}/64")]);
    let routes = scene.namespace.says("ip", &["-6", "route", "show", "default"]);
    assert!(routes.contains(&format!("default via {ROUTER} dev vm1")), "{routes}");
    let mtu = scene.namespace.says("cat", &["/proc/sys/net/ipv6/conf/vm1/mtu"]);
    assert_eq!(mtu.trim(), "1400");
    scene.answers_ping(&["2001:db8:0:1::1", "2001:db8:0:1::2", &format!("{ROUTER}%vm1")]);
    assert!(scene.outcome("router_solicited") + scene.outcome("router_periodic") >= 1);
    scene.daemon.accounting();
}

/// dnsmasq as the resolver behind the service address.
struct Resolver(Child);

impl Drop for Resolver {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn names_asked_at_the_service_address_are_answered_by_the_resolver() {
    if !is_root("names_asked_at_the_service_address_are_answered_by_the_resolver") {
        return;
    }
    let mut scene = Scene::new("dns");
    scene.up();
    for address in ["10.0.0.3/24", "2001:db8:0:1::3/64"] {
        scene.namespace.run("ip", &["address", "add", address, "dev", "vm1"]);
    }
    let dig = |what: &str| {
        let arguments = format!("+tries=1 +timeout=15 {what}");
        scene.namespace.says("dig", &arguments.split(' ').collect::<Vec<_>>())
    };
    // Nobody listens at the first resolver, nor yet at the second: that is told, not waited for.
    wait_for("an answer", || dig("@10.0.0.2 www.red.example.com").contains("status: SERVFAIL"));
    let arguments = "--keep-in-foreground --conf-file=/dev/null --port=5353 --listen-address=127.0.0.1 --bind-interfaces \
                     --no-resolv --no-hosts --user=root --pid-file= --address=/www.red.example.com/192.0.2.80 \
                     --address=/www.red.example.com/2001:db8:c::80";
    let _resolver = Resolver(scene.start("dnsmasq", arguments, Stdio::null()));
    let asked = |what: &str| dig(what).lines().map(str::to_owned).collect::<Vec<_>>();
    wait_for("the resolver", || asked("+short @10.0.0.2 www.red.example.com") == ["192.0.2.80"]);
    assert_eq!(asked("+short @10.0.0.2 www.red.example.com AAAA"), ["2001:db8:c::80"]);
    wait_for("the IPv6 address", || scene.addresses("global") == ["2001:db8:0:1::3/64"]);
    assert_eq!(asked("+short @2001:db8:0:1::2 www.red.example.com"), ["192.0.2.80"]);
    let said = dig("+tcp @10.0.0.2 www.red.example.com");
    assert!(said.contains("connection refused"), "{said}");
    assert!(scene.outcome("dns_failed") >= 1 && scene.outcome("dns_answered") >= 3);
    scene.daemon.accounting();
}
