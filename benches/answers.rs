//! Responses to `/all` over HTTP on loopback: the first response of a report, for which its JSON is made, and further
//! ones, for which it is cached.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use traffic_alerted::api::{self, Server};
use traffic_alerted::config::Config;
use traffic_alerted::flow::{Listing, ListingRoom, Published, Snapshot};
use traffic_alerted::report::Report;
use traffic_alerted::time::UnixNanos;

mod packets;
mod windows;

/// Number of pairs of the report: it has 250 hosts, each with its hundred largest destinations.
const PAIRS: u32 = 100_000;

fn report() -> Report {
    let mut window = windows::window();
    let mut delta = windows::delta(PAIRS);
    windows::count(&mut delta, 0..PAIRS, UnixNanos(windows::SECOND));
    window.fold(&delta);
    let mut listing = Listing::new(ListingRoom::from_memory(4_000_000_000), false);
    listing.begin(std::iter::empty());
    while !window.list_part(&mut listing) {}
    let (hosts, hosts_omitted) = listing.take();
    Report { snapshot: Snapshot { hosts, hosts_omitted, ..Snapshot::default() }, ..Report::default() }
}

/// Requests `/all` and returns the length of the response.
fn get(addr: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(addr).expect("the server listens");
    write!(stream, "GET /all HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .expect("the server reads the request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the server answers");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "the response must have status 200");
    answer.len()
}

fn answers(criterion: &mut Criterion) {
    let cell = Arc::new(Published::new(report()));
    let (listen, socket) = (([127, 0, 0, 1], 0).into(), api::SocketOption::Off);
    let options = api::Options { listen, socket, ..Config::default().api_options() };
    let server = Server::bind(&options).expect("loopback has a free port");
    let server = server.start(Arc::clone(&cell)).expect("a thread can be started");
    let addr = server.local_addr();

    let mut group = criterion.benchmark_group("answers");
    group.sample_size(20);
    group.throughput(Throughput::Bytes(get(addr) as u64));
    group.bench_function("the first of a report", |bencher| {
        bencher.iter_batched(|| cell.publish(report()), |()| get(addr), BatchSize::PerIteration);
    });
    group.bench_function("a further one", |bencher| bencher.iter(|| get(addr)));
    group.finish();
    server.stop();
}

criterion_group!(benches, answers);
criterion_main!(benches);
