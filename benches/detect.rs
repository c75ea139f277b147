//! Judging hosts: what each touched host costs at a tick, with no limit of its own and with one of a network.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::detect::{self, HostLimits, LimitException, Limits};
use traffic_alerted::flow::{HostCounts, KernelCounts};

const HOSTS: u32 = 100_000;

fn hosts() -> Vec<HostCounts> {
    let host = |n: u32| {
        let addr = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n));
        HostCounts { packets: 10, ip_bytes: 10_000, contacted_hosts: 3, ..HostCounts::nothing(addr) }
    };
    (0..HOSTS).map(host).collect()
}

/// Every detector on; nobody is over a limit.
fn limits() -> Limits {
    let hosts = HostLimits {
        ip_bytes_max: Some(1_000_000_000),
        contacted_hosts_max: Some(15),
        contacted_ports_max: Some(100),
        packets_per_s_max: Some(100_000),
        contacts_per_s_max: Some(1000),
        received_bytes_max: Some(1_000_000_000),
    };
    Limits { hosts, loss_ppm_max: Some(1000), ..Limits::default() }
}

fn judge(criterion: &mut Criterion) {
    let hosts = hosts();
    let networks = (0..64_u8).map(|n| {
        let network = format!("10.{n}.0.0/16").parse().expect("it is a network");
        (network, vec![LimitException::IpBytes(Some(2_000_000_000))])
    });
    let with_networks = limits().with_exceptions(networks.collect());
    let mut group = criterion.benchmark_group("detect");
    group.throughput(Throughput::Elements(u64::from(HOSTS)));
    for (name, limits) in
        [("every detector", limits()), ("64 networks with limits of their own", with_networks)]
    {
        let mut findings = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                findings.clear();
                detect::run(&KernelCounts::default(), black_box(&hosts), &limits, &mut findings);
                assert!(findings.is_empty(), "nobody is over a limit");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
