//! A network namespace of a test's own: a kernel that plays a workload, a peer or a node.

use std::process::Command;

/// A network namespace, deleted when dropped, with whatever runs in it.
pub(crate) struct Namespace(pub(crate) String);

impl Namespace {
    pub(crate) fn new(test: &str) -> Self {
        let name = format!("vr-test-{}-{test}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Self(name);
        namespace.run("ip", &["link", "set", "lo", "up"]);
        namespace
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) {
        run("ip", &[&["netns", "exec", &self.0, program], arguments].concat());
    }

    pub(crate) fn succeeds(&self, program: &str, arguments: &[&str]) -> bool {
        self.command(program, arguments).output().unwrap().status.success()
    }

    /// What a program says, whether or not it succeeds.
    pub(crate) fn says(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.command(program, arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    /// A program in the namespace, not started yet.
    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]).args(arguments);
        command
    }

    /// Two kernel interfaces on one cable: `outer` for the vRouter, `inner` in this namespace's other stack.
    pub(crate) fn cable(&self, other: &Self) {
        self.cable_as("outer", other);
    }

    /// A cable whose end for the vRouter has another name.
    pub(crate) fn cable_as(&self, outer: &str, other: &Self) {
        run(
            "ip",
            &[
                "link", "add", outer, "netns", &self.0, "type", "veth", "peer", "name", "inner", "netns",
                &other.0,
            ],
        );
        for (namespace, name) in [(self, outer), (other, "inner")] {
            // The kernel finishes checksums: the device does not see that they are not.
            namespace.run("ethtool", &["-K", name, "tx", "off"]);
            namespace.run("ip", &["link", "set", name, "up"]);
        }
    }

    /// Makes the kernel's end the workload 10.0.0.1.
    pub(crate) fn become_workload(&self, interface: &str) {
        self.run("ip", &["link", "set", interface, "address", "02:00:00:00:00:01"]);
        self.run("ip", &["link", "set", interface, "up"]);
        self.run("ip", &["address", "add", "10.0.0.1/24", "dev", interface]);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Who is still in there would keep all but the name of it.
        let processes = Command::new("ip").args(["netns", "pids", &self.0]).output();
        let processes = processes.map(|output| output.stdout).unwrap_or_default();
        for process in String::from_utf8_lossy(&processes).split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", process]).status();
        }
        // Gone already is as good.
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}
