//! The parts, each alone.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;
use std::net::IpAddr;

use bench::frames::{Numbered, Template};
use bench::order::{self, Order};
use bench::routes::{self, Shape};
use bench::sessions::{Unheard, session};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use flow::policy::{CompiledPolicy, Direction, Family, Query, Remote, Rule, RuleSlot, SecurityGroup};
use flow::{Config, FlowTable, Ticks};
use packet::meta::v4;
use packet::{WorkerId, checksum, parse};
use sync::Observation;

const BURST: usize = 64;

fn bytes(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    let ends = [
        ("ipv4 udp", IpAddr::from([10, 1, 1, 2]), IpAddr::from([10, 2, 0, 0])),
        ("ipv6 udp", "fd00::1".parse().unwrap(), "fd00::2:0".parse().unwrap()),
    ];
    for (name, source, destination) in ends {
        let template = Template::udp(source, destination, 64, Numbered::Destination).between([2; 6], [4; 6]);
        let frame = template.frame(7);
        group.bench_function(name, |b| b.iter(|| parse::ethernet(black_box(&frame))));
    }
    group.finish();
    let mut group = c.benchmark_group("checksum");
    for length in [20, 64, 1460] {
        let data = vec![0x5a_u8; length];
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("{length} B"), |b| b.iter(|| checksum::internet(black_box(&data))));
    }
    group.finish();
}

fn fib(c: &mut Criterion) {
    for (name, shape) in [("fib, 1 M internet routes", Shape::Internet), ("fib, 1 M hosts", Shape::Hosts)] {
        let prefixes = routes::prefixes(1_000_000, shape);
        let table = routes::table(&prefixes);
        let addresses = routes::addresses(&prefixes);
        let mut group = c.benchmark_group(name);
        group.throughput(Throughput::Elements(BURST as u64));
        group.bench_function("look up a burst of 64", |b| {
            let mut results = [None; BURST];
            let mut bursts = addresses.chunks_exact(BURST).cycle();
            b.iter(|| {
                table.lookup_burst4(bursts.next().unwrap(), &mut results);
                black_box(results[BURST - 1])
            });
        });
        // What the control thread does for a batch: a clone is published, the copy is edited.
        const BATCH: usize = 10_000;
        group.sample_size(10).throughput(Throughput::Elements(BATCH as u64));
        group.bench_function("change 10 000 routes in one generation", |b| {
            let mut working = table.clone();
            let mut order = Order::shuffled(prefixes.len() as u32);
            let mut published = working.clone();
            b.iter(|| {
                for n in 0..BATCH as u32 {
                    let (vrf, prefix) = prefixes[order.draw() as usize];
                    working.insert(vrf, prefix, routes::result(n));
                }
                published = working.clone();
            });
            drop(published);
        });
        group.finish();
    }
}

fn flows(c: &mut Criterion) {
    let table = |sessions| {
        let config = Config { sessions_v4: sessions, sessions_v6: 1, seed: 1, interfaces: 16, workers: 1 };
        let table = FlowTable::new(&config).unwrap();
        let slots = table.worker::<Observation>(WorkerId(0)).unwrap();
        (table, slots)
    };
    let mut group = c.benchmark_group("flow");
    group.throughput(Throughput::Elements(BURST as u64));
    for count in [1_000_u32, 100_000, 1_000_000] {
        let (table, mut slots) = table(count + count / 8);
        for n in 0..count {
            table.insert(&mut slots, &session(n, false), Ticks::default()).unwrap();
        }
        let mut order = Order::shuffled(count);
        let keys: Vec<_> = (0..count).map(|_| session(order.draw() as u32, false).forward.key).collect();
        let mut bursts = keys.chunks_exact(BURST).cycle();
        let mut found = [None; BURST];
        group.bench_function(format!("look up a burst of 64 among {count}"), |b| {
            b.iter(|| {
                table.lookup_burst(bursts.next().unwrap(), &mut found);
                black_box(found[BURST - 1])
            });
        });
        slots.release(&table, &mut Unheard);
    }
    const INSERTS: u32 = 100_000;
    group.sample_size(10).throughput(Throughput::Elements(u64::from(INSERTS)));
    group.bench_function("insert 100 000", |b| {
        b.iter_batched_ref(
            || table(INSERTS + INSERTS / 8),
            |(table, slots)| {
                for n in 0..INSERTS {
                    table.insert(slots, &session(n, false), Ticks::default()).unwrap();
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Rules as tenants write them: services by port, subnets, and members of other groups.
fn rules(count: u32) -> SecurityGroup {
    let rule = |n: u32| Rule {
        id: n,
        slot: RuleSlot::new(n),
        direction: Direction::Ingress,
        family: Family::V4,
        protocol: if n.is_multiple_of(3) { 17 } else { 6 },
        ports: Some((1 + (n % 60_000) as u16, 1 + (n % 60_000) as u16 + (n % 5) as u16)),
        icmp: None,
        remote: match n % 3 {
            0 => Remote::Group(n % 256),
            1 => Remote::Prefix { address: v4([10, (n >> 8) as u8, n as u8, 0]), length: 24, v6: false },
            _ => Remote::Any,
        },
    };
    SecurityGroup { id: 1, rules: (1..=count).map(rule).collect() }
}

fn policy(c: &mut Criterion) {
    let mut group = c.benchmark_group("policy");
    for count in [1_000_u32, 10_000] {
        let policy = CompiledPolicy::compile(&[&rules(count)]);
        let mut numbers = order::numbers(1 << 16).into_iter().cycle();
        group.bench_function(format!("decide by {count} rules"), |b| {
            b.iter(|| {
                let n = numbers.next().unwrap();
                policy.decide(black_box(&Query {
                    direction: Direction::Ingress,
                    v6: false,
                    remote: v4([10, (n >> 8) as u8, n as u8, 1]),
                    remote_groups: &[n % 300, 300 + n % 7],
                    protocol: 6,
                    dst_port: (n >> 16) as u16 % (count as u16 * 2),
                    icmp_type: 0,
                    icmp_code: 0,
                }))
            });
        });
    }
    group.finish();
}

criterion_group!(parts, bytes, flows, fib, policy);
criterion_main!(parts);
