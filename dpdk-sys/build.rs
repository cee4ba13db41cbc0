//! Finds libdpdk, compiles the shim against its headers and links it.
//!
//! Only what the vRouter uses is linked: `pkg-config --static --libs libdpdk` would also pull every
//! RDMA, crypto and event driver with the libraries that those need.

use std::path::{Path, PathBuf};
use std::{env, fs};

/// What is missing on a machine where the build fails, in the names of Debian and Ubuntu.
/// `libdpdk-dev` depends on the development packages of the libraries in [`SYSTEM`].
const ADVICE: &str = "install the development files of DPDK 22.11 or newer and of the libraries that its drivers use:
    apt-get install libdpdk-dev pkg-config gcc libc6-dev libnuma-dev libbsd-dev libpcap-dev libxdp-dev libbpf-dev libjansson-dev";

/// DPDK's own libraries. Those that a release does not have (`log` and `argparse` are newer than
/// 22.11) are left out; the first five are required.
const LIBRARIES: &[&str] = &[
    "eal",
    "mbuf",
    "mempool",
    "ring",
    "ethdev",
    "log",
    "argparse",
    "ptr_compress",
    "kvargs",
    "telemetry",
    "net",
    "meter",
    "hash",
    "rcu",
    "timer",
    "metrics",
    "cmdline",
    "pci",
    "vhost",
    "cryptodev",
    "security",
    "sched",
    "dmadev",
    "ip_frag",
    "gso",
    "stack",
];
const REQUIRED: usize = 5;

/// Drivers: the virtual devices, then the network cards that need no RDMA stack. Absent ones are left out.
const DRIVERS: &[&str] = &[
    "bus_vdev",
    "bus_pci",
    "bus_vmbus",
    "mempool_ring",
    "mempool_stack",
    "net_null",
    "net_ring",
    "net_pcap",
    "net_tap",
    "net_af_packet",
    "net_af_xdp",
    "net_memif",
    "net_vhost",
    "net_virtio",
    "net_bond",
    "common_iavf",
    "common_idpf",
    "common_ionic",
    "net_e1000",
    "net_igc",
    "net_ixgbe",
    "net_i40e",
    "net_ice",
    "net_iavf",
    "net_idpf",
    "net_ena",
    "net_gve",
    "net_vmxnet3",
    "net_bnxt",
    "net_enic",
    "net_ionic",
    "net_netvsc",
];

/// Libraries of the system that those call.
const SYSTEM: &[&str] = &["numa", "bsd", "pcap", "xdp", "bpf", "jansson", "m"];

/// Members of `rte_mbuf` without size, which newer releases do not have.
const MARKERS: &[&str] = &["cacheline0", "cacheline1", "rearm_data", "rx_descriptor_fields1"];

fn main() {
    for path in ["build.rs", "csrc", "src/bindings.rs"] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=PKG_CONFIG_PATH");

    let dpdk = pkg_config::Config::new()
        .atleast_version("22.11")
        .cargo_metadata(false)
        .print_system_libs(false)
        .probe("libdpdk")
        .unwrap_or_else(|error| fail(&format!("{error}")));
    let directory =
        pkg_config::get_variable("libdpdk", "libdir").unwrap_or_else(|error| fail(&format!("{error}")));

    #[cfg(feature = "bindgen")]
    generate(&dpdk.include_paths);

    let bindings = fs::read_to_string("src/bindings.rs")
        .unwrap_or_else(|error| fail(&format!("src/bindings.rs: {error}")));
    let layout = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("layout.c");
    fs::write(&layout, layout_checks(&bindings))
        .unwrap_or_else(|error| fail(&format!("{}: {error}", layout.display())));

    cc::Build::new()
        .files([Path::new("csrc/shim.c"), &layout])
        .include("csrc")
        .includes(&dpdk.include_paths)
        // The two flags of libdpdk's pkg-config file that the pkg-config crate does not pass on.
        .flag("-include")
        .flag("rte_config.h")
        .flag_if_supported("-march=corei7")
        // The headers of a system library: their warnings are not ours.
        .flag("-Wno-deprecated-declarations")
        .opt_level(2)
        .compile("vrouter_dpdk_shim");

    println!("cargo:rustc-link-search=native={directory}");
    if env::var_os("CARGO_FEATURE_SHARED").is_some() {
        // Drivers come from the plugin directory; rte_net_ring is called by name.
        for library in ["eal", "mbuf", "mempool", "ring", "ethdev", "net_ring"] {
            println!("cargo:rustc-link-lib=dylib=rte_{library}");
        }
    } else {
        link_static(Path::new(&directory));
    }
}

/// Drivers register themselves in constructors that nothing refers to, hence whole archives.
fn link_static(directory: &Path) {
    for (index, library) in LIBRARIES.iter().chain(DRIVERS).enumerate() {
        if directory.join(format!("librte_{library}.a")).exists() {
            println!("cargo:rustc-link-lib=static:+whole-archive,-bundle=rte_{library}");
        } else if index < REQUIRED {
            fail(&format!("librte_{library}.a is not in {}", directory.display()));
        }
    }
    for library in SYSTEM {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

/// C that does not compile unless the headers agree with every size, offset and constant in `bindings`.
fn layout_checks(bindings: &str) -> String {
    let mut checks = String::from(
        "#include \"bindings.h\"\n#define MOVED \"differs from src/bindings.rs: run scripts/regenerate-bindings\"\n",
    );
    for statement in bindings.split([';', '{']) {
        let statement = statement.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some(check) = layout_check(&statement) {
            checks += &format!("_Static_assert({check}, MOVED);\n");
        }
    }
    checks
}

/// Understands `["Size of T"] [... - 8usize]`, `["Offset of field: T::f"] [... - 8usize]` and
/// `pub const RTE_X: u64 = 8`. Names that bindgen made up have no twin in C.
fn layout_check(statement: &str) -> Option<String> {
    if statement.contains("__bindgen") {
        return None;
    }
    if let Some((_, constant)) = statement.split_once("pub const ") {
        let (name, rest) = constant.split_once(": ")?;
        let value = rest.split_once(" = ")?.1;
        return (name.starts_with("RTE_") || name.starts_with("SHIM_"))
            .then(|| format!("(unsigned long long)({name}) == {value}ULL"));
    }
    let number = statement.strip_suffix("usize]")?.rsplit(' ').next()?;
    let what = statement.strip_prefix("[\"")?.split_once("\"]")?.0;
    if let Some(name) = what.strip_prefix("Size of ") {
        return Some(format!("sizeof(struct {name}) == {number}"));
    }
    let (name, field) = what.strip_prefix("Offset of field: ")?.split_once("::")?;
    if MARKERS.contains(&field) {
        return None;
    }
    Some(format!("offsetof(struct {name}, {field}) == {number}"))
}

fn fail(reason: &str) -> ! {
    eprintln!("\ndpdk-sys: {reason}\n\n{ADVICE}\n");
    std::process::exit(1);
}

/// Writes src/bindings.rs. Only what the `dpdk` crate calls: the file stays reviewable.
#[cfg(feature = "bindgen")]
fn generate(include_paths: &[PathBuf]) {
    const FUNCTIONS: &str = "shim_.*|rte_version|rte_eal_(init|cleanup|hotplug_add|hotplug_remove)\
        |rte_strerror|rte_get_tsc_hz|rte_thread_(register|unregister)|rte_zmalloc|rte_free\
        |rte_pktmbuf_(pool_create|free_bulk)|rte_mempool_(avail_count|in_use_count)|rte_ring_(create|free)\
        |rte_eth_from_rings|rte_eth_dev_(get_port_by_name|start|stop|close|set_mtu|get_mtu)|rte_eth_promiscuous_(enable|disable)\
        |rte_eth_allmulticast_enable";
    const CONSTANTS: &str = "RTE_PKTMBUF_HEADROOM|RTE_MEMPOOL_NAMESIZE|RTE_MEMPOOL_CACHE_MAX_SIZE|RTE_RING_NAMESIZE|RTE_LOG_(EMERG|ALERT|CRIT|ERR|WARNING|NOTICE|INFO|DEBUG)\
        |RTE_MBUF_F_RX_L4_CKSUM_.*|RTE_MBUF_F_RX_RSS_HASH|RTE_MBUF_F_RX_LRO|RTE_MBUF_F_TX_(L4_MASK|L4_NO_CKSUM|TCP_CKSUM|UDP_CKSUM|SCTP_CKSUM|IP_CKSUM|IPV4|IPV6)|RTE_MBUF_L[23]_LEN_OFS|RTE_MBUF_TSO_SEGSZ_OFS\
        |RTE_ETH_RX_OFFLOAD_(IPV4_CKSUM|UDP_CKSUM|TCP_CKSUM|SCTP_CKSUM|RSS_HASH|SCATTER)|RTE_ETH_TX_OFFLOAD_(IPV4_CKSUM|UDP_CKSUM|TCP_CKSUM|SCTP_CKSUM)\
        |RTE_ETH_RSS_(IP|TCP|UDP|SCTP)|SHIM_.*";

    bindgen::Builder::default()
        .header("csrc/bindings.h")
        .clang_args(include_paths.iter().map(|path| format!("-I{}", path.display())))
        .clang_args(["-Icsrc", "-include", "rte_config.h", "-march=corei7"])
        .use_core()
        .layout_tests(true)
        // RTE_ETH_RX_OFFLOAD_* are function-like macros, which only clang can evaluate.
        .clang_macro_fallback()
        .clang_macro_fallback_build_dir(env::var_os("OUT_DIR").unwrap_or_default())
        .generate_comments(false)
        .merge_extern_blocks(true)
        .allowlist_function(FUNCTIONS)
        .allowlist_type("rte_mbuf|rte_mbuf__bindgen_ty_[123]|rte_iova_t|shim_.*")
        .allowlist_recursively(false)
        .allowlist_var(CONSTANTS)
        // Unions of bit fields: read at the offsets that bindings.h names.
        .opaque_type("rte_mbuf__bindgen_ty_.*")
        .raw_line("// Generated from libdpdk's headers by scripts/regenerate-bindings: do not edit.")
        .raw_line("pub type RTE_MARKER = [*mut ::core::ffi::c_void; 0usize];")
        .raw_line("pub type RTE_MARKER64 = [u64; 0usize];")
        .raw_line("/// Only ever behind a pointer.\n#[repr(C)]\npub struct rte_mempool {\n    _private: [u8; 0],\n}")
        .raw_line("/// Only ever behind a pointer.\n#[repr(C)]\npub struct rte_ring {\n    _private: [u8; 0],\n}")
        .raw_line("/// Only ever behind a pointer.\n#[repr(C)]\npub struct rte_mbuf_ext_shared_info {\n    _private: [u8; 0],\n}")
        .generate()
        .unwrap_or_else(|error| fail(&format!("bindgen: {error}")))
        .write_to_file("src/bindings.rs")
        .unwrap_or_else(|error| fail(&format!("src/bindings.rs: {error}")));
}
