//! Time that the detectors take for each dirty host, without limits of networks and with 64 of them.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::detect::{self, FindingKind, HostLimits, LimitException, Limits};
use traffic_alerted::flow::{HostCounts, KernelCounts, Metric, PerMetric};

const HOSTS: u32 = 100_000;

fn hosts() -> Vec<HostCounts> {
    let host = |n: u32| {
        let addr = IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n));
        let counts = PerMetric::default().with(Metric::IpBytes, 10_000).with(Metric::ContactedHosts, 3);
        HostCounts { packets: 10, counts, ..HostCounts::nothing(addr) }
    };
    (0..HOSTS).map(host).collect()
}

/// Returns a limit for every detector. No host exceeds one.
fn limits() -> Limits {
    let hosts = HostLimits::default()
        .with(FindingKind::Traffic, Some(1_000_000_000))
        .with(FindingKind::Scanning, Some(15))
        .with(FindingKind::ScanningPort, Some(100))
        .with(FindingKind::PacketRate, Some(100_000))
        .with(FindingKind::ContactRate, Some(1000))
        .with(FindingKind::Received, Some(1_000_000_000));
    Limits { hosts, loss_ppm_max: Some(1000), ..Limits::default() }
}

fn judge(criterion: &mut Criterion) {
    let hosts = hosts();
    let networks = (0..64_u8).map(|n| {
        let network = format!("10.{n}.0.0/16").parse().expect("it is a network");
        (network, vec![LimitException { kind: FindingKind::Traffic, max: Some(2_000_000_000) }])
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
                assert!(findings.is_empty(), "no host exceeds a limit");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, judge);
criterion_main!(benches);
