//! The parts, each alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use flow::policy::{CompiledPolicy, Direction, Family, Query, Remote, Rule, RuleSlot, SecurityGroup};
use nexthop::{FibResult, Prefix, Vrfs};
use packet::{GroupSetId, Label, MemoryBuf, NextHopId, PacketBuf, VrfId, checksum, parse};

fn bytes(c: &mut Criterion) {
    let template =
        bench::frames::Template::udp(([10, 1, 1, 2], [10, 2, 0, 1]), ([2, 0, 0, 0, 0, 2], [0; 6]), 16, 64);
    let mut buf = MemoryBuf::new(&[]);
    template.write(&mut buf, 7);
    c.bench_function("parse ethernet ipv4 udp 64 B", |b| b.iter(|| parse::ethernet(black_box(buf.data()))));
    let long = vec![0x5a_u8; 1460];
    let mut group = c.benchmark_group("checksum");
    group.throughput(Throughput::Bytes(1460));
    group.bench_function("1460 B", |b| b.iter(|| checksum::internet(black_box(&long))));
    group.finish();
}

/// A million prefixes of lengths 24..=32, pseudo-random.
fn routes(count: u32) -> Vrfs {
    let mut vrfs = Vrfs::default();
    vrfs.add(VrfId(1));
    for n in 0..count {
        let length = 24 + (n % 9) as u8;
        let address = n.wrapping_mul(0x9e37_79b9) & (u32::MAX << (32 - length));
        let result = FibResult::new(NextHopId(n % 4096), Label::NONE, GroupSetId(0));
        let _ = vrfs.insert(VrfId(1), Prefix::v4(address, length).unwrap(), result);
    }
    vrfs
}

fn fib(c: &mut Criterion) {
    let vrfs = routes(1_000_000);
    let mut n = 0_u32;
    let mut group = c.benchmark_group("fib 1 M routes");
    group.throughput(Throughput::Elements(64));
    group.bench_function("look up a burst of 64", |b| {
        let mut keys = [(VrfId(1), 0_u32); 64];
        let mut results = [None; 64];
        b.iter(|| {
            for key in &mut keys {
                n = n.wrapping_add(1);
                key.1 = (n % 1_000_000).wrapping_mul(0x9e37_79b9);
            }
            vrfs.lookup_burst4(black_box(&keys), &mut results);
            black_box(results[63])
        });
    });
    group.throughput(Throughput::Elements(1));
    let mut working = vrfs.clone();
    group.bench_function("replace a route in place", |b| {
        b.iter(|| {
            n = n.wrapping_add(9);
            let address = n.wrapping_mul(0x9e37_79b9);
            let result = FibResult::new(NextHopId(n % 4096), Label::NONE, GroupSetId(0));
            let _ = working.insert(VrfId(1), Prefix::v4(address, 32).unwrap(), result);
        });
    });
    group.finish();
}

fn policy(c: &mut Criterion) {
    for count in [1_000_u32, 10_000] {
        let rule = |n: u32| Rule {
            id: n,
            slot: RuleSlot::new(n),
            direction: Direction::Ingress,
            family: Family::V4,
            protocol: 6,
            ports: Some((1 + (n % 60_000) as u16, 1 + (n % 60_000) as u16)),
            icmp: None,
            remote: if n.is_multiple_of(2) { Remote::Group(n % 256) } else { Remote::Any },
        };
        let group = SecurityGroup { id: 1, rules: (1..=count).map(rule).collect() };
        let policy = CompiledPolicy::compile(&[&group]);
        let mut n = 0_u32;
        c.bench_function(&format!("policy {count} rules"), |b| {
            b.iter(|| {
                n = n.wrapping_add(7919);
                policy.decide(black_box(&Query {
                    direction: Direction::Ingress,
                    v6: false,
                    remote: packet::meta::v4(n.to_be_bytes()),
                    remote_groups: &[n % 256],
                    protocol: 6,
                    dst_port: (n % u32::from(u16::MAX)) as u16,
                    icmp_type: 0,
                    icmp_code: 0,
                }))
            });
        });
    }
}

criterion_group!(parts, bytes, fib, policy);
criterion_main!(parts);
