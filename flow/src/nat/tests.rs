use std::collections::HashSet;

use packet::meta::v4;
use packet::{Address, InterfaceId};

use super::{Inside, Mapping, PortPool, Remote};

const TCP: u8 = 6;

fn inside(host: u8, port: u16) -> Inside {
    Inside { interface: InterfaceId(7), address: v4([10, 0, 0, host]), port, protocol: TCP }
}

fn remote(host: u16, port: u16) -> Remote {
    let [high, low] = host.to_be_bytes();
    Remote { address: v4([198, 51, high, low]), port }
}

fn pool(mapping: Mapping) -> PortPool {
    PortPool::new(mapping, 1000)
}

#[test]
fn a_free_port_of_the_range_is_kept() {
    for mapping in [Mapping::EndpointIndependent, Mapping::PerDestination] {
        let pool = pool(mapping);
        for port in [1024, 4000, 65_535] {
            assert_eq!(pool.claim(&inside(1, port), &remote(1, 80), &(1024..=65_535), 99), Some(port));
        }
    }
}

#[test]
fn a_taken_or_foreign_port_becomes_another_one_of_the_range() {
    let pool = pool(Mapping::EndpointIndependent);
    let range = 5000..=5063;
    assert_eq!(pool.claim(&inside(1, 5001), &remote(1, 80), &range, 0), Some(5001));
    let second = pool.claim(&inside(2, 5001), &remote(1, 80), &range, u32::MAX).unwrap();
    let third = pool.claim(&inside(3, 80), &remote(1, 80), &range, 0).unwrap();
    assert_eq!((second, third), (5063, 5000), "the place that the hash names");
}

#[test]
fn an_inside_end_has_one_port_for_a_thousand_destinations() {
    let pool = pool(Mapping::EndpointIndependent);
    pool.claim(&inside(9, 4000), &remote(0, 80), &(1024..=65_535), 0).unwrap();
    let end = inside(1, 4000);
    let ports: HashSet<u16> = (0..1000)
        .map(|host| pool.claim(&end, &remote(host, 80), &(1024..=65_535), u32::from(host) << 20).unwrap())
        .collect();
    assert_eq!(ports.len(), 1);
    let port = *ports.iter().next().unwrap();
    assert_ne!(port, 4000, "that one belongs to another workload");
    assert_eq!((pool.taken(), pool.behind(TCP, port), pool.behind(17, port)), (2, Some(end), None));
}

#[test]
fn a_mapping_lasts_until_its_last_session_has_ended() {
    let pool = pool(Mapping::EndpointIndependent);
    let (end, range) = (inside(1, 4000), 4000..=4000);
    assert_eq!(pool.claim(&end, &remote(1, 80), &range, 0), Some(4000));
    assert_eq!(pool.claim(&end, &remote(2, 80), &range, 0), Some(4000));
    pool.release(&end, &remote(1, 80), 4000);
    assert_eq!(pool.claim(&inside(2, 4000), &remote(1, 80), &range, 0), None);
    pool.release(&end, &remote(2, 80), 4000);
    assert_eq!((pool.taken(), pool.behind(TCP, 4000)), (0, None));
    assert_eq!(pool.claim(&inside(2, 4000), &remote(1, 80), &range, 0), Some(4000));
}

#[test]
fn what_ends_without_having_claimed_frees_nothing() {
    let pool = pool(Mapping::EndpointIndependent);
    let end = inside(1, 4000);
    assert_eq!(pool.claim(&end, &remote(1, 80), &(4000..=4001), 0), Some(4000));
    pool.release(&inside(2, 4000), &remote(1, 80), 4000);
    pool.release(&end, &remote(1, 80), 4001);
    assert_eq!((pool.taken(), pool.behind(TCP, 4000)), (1, Some(end)));
}

#[test]
fn all_ports_of_the_range_are_given_out_and_then_none() {
    for mapping in [Mapping::EndpointIndependent, Mapping::PerDestination] {
        let pool = pool(mapping);
        let range = 1000..=1999;
        let ports: HashSet<u16> = (0..1000)
            .map(|n| {
                pool.claim(&inside(1, n), &remote(1, 80), &range, u32::from(n).wrapping_mul(0x0123_4567))
                    .unwrap()
            })
            .collect();
        assert_eq!(ports.len(), 1000);
        assert!(ports.iter().all(|port| range.contains(port)));
        assert_eq!(pool.claim(&inside(2, 1), &remote(1, 80), &range, 7), None);
        assert_eq!(pool.claim(&inside(2, 1500), &remote(1, 80), &range, 7), None);
        let other = Inside { protocol: 17, ..inside(2, 1500) };
        assert_eq!(pool.claim(&other, &remote(1, 80), &range, 7), Some(1500), "each protocol has its own");
    }
}

#[test]
fn per_destination_a_port_serves_many_destinations_but_each_only_once() {
    let pool = pool(Mapping::PerDestination);
    let range = 4000..=4000;
    let served =
        (0..200).filter(|host| pool.claim(&inside(1, 4000), &remote(*host, 80), &range, 0).is_some());
    let served = served.count();
    assert_eq!(served, 16, "one destination of each class");
    assert_eq!(pool.claim(&inside(2, 9), &remote(0, 80), &range, 0), None);
    assert_eq!(pool.behind(TCP, 4000), None);
    pool.release(&inside(1, 4000), &remote(0, 80), 4000);
    assert_eq!(pool.claim(&inside(2, 9), &remote(0, 80), &range, 0), Some(4000));
}

#[test]
fn what_is_foreseen_is_what_happens_and_takes_nothing() {
    for mapping in [Mapping::EndpointIndependent, Mapping::PerDestination] {
        let pool = pool(mapping);
        let range = 100..=163;
        for n in 0..70_u16 {
            let (end, hash) = (inside(1, n + 90), u32::from(n).wrapping_mul(0x9e37_79b9));
            let foreseen = pool.foresee(&end, &remote(1, 80), &range, hash);
            let before = pool.taken();
            assert_eq!(pool.foresee(&end, &remote(1, 80), &range, hash), foreseen);
            assert_eq!(pool.taken(), before);
            assert_eq!(pool.claim(&end, &remote(1, 80), &range, hash), foreseen, "{n}");
            assert_eq!(foreseen.is_none(), n >= 64);
        }
        let known = pool.foresee(&inside(1, 90), &remote(1, 80), &range, 5);
        assert_eq!(known.is_some(), mapping == Mapping::EndpointIndependent);
    }
}

#[test]
fn a_protocol_without_ports_is_left_as_it_is() {
    let pool = pool(Mapping::EndpointIndependent);
    let gre = Inside { protocol: 47, port: 0, ..inside(1, 0) };
    assert_eq!(pool.claim(&gre, &remote(1, 0), &(1024..=65_535), 3), Some(0));
    assert_eq!(pool.foresee(&gre, &remote(1, 0), &(1024..=65_535), 3), Some(0));
    pool.release(&gre, &remote(1, 0), 0);
    assert_eq!(pool.taken(), 0);
}

#[test]
fn threads_that_take_at_once_never_get_the_same_port() {
    for mapping in [Mapping::EndpointIndependent, Mapping::PerDestination] {
        let pool = &pool(mapping);
        let take = |host: u8| {
            move || {
                let ports = (0..400).filter_map(|n| {
                    let hash = u32::from(n) << 22;
                    pool.claim(&inside(host, n), &remote(1, 80), &(2000..=2699), hash)
                });
                ports.collect::<Vec<u16>>()
            }
        };
        let taken = std::thread::scope(|scope| {
            let threads = [1, 2].map(|host| scope.spawn(take(host)));
            threads.map(|thread| thread.join().unwrap()).concat()
        });
        let distinct: HashSet<u16> = taken.iter().copied().collect();
        assert_eq!((taken.len(), distinct.len()), (700, 700));
        assert_eq!(pool.taken(), 700);
    }
}

#[test]
fn addresses_of_both_families_fall_into_all_classes() {
    let classes = |address: fn(u8) -> Address| {
        (0..255).map(|n| super::class_of(&Remote { address: address(n), port: 443 })).collect::<HashSet<_>>()
    };
    assert_eq!(classes(|n| v4([203, 0, 113, n])).len(), 16);
    assert_eq!(
        classes(|n| {
            let mut address = [0; 16];
            address[0] = 0x20;
            address[15] = n;
            address
        })
        .len(),
        16
    );
}
