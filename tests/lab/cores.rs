//! The cores that threads run on with each form of `PinCores`.

use std::collections::BTreeMap;
use std::fs;

use crate::support::host::Host;
use crate::support::namespaces::inside;
use crate::support::program::{Program, Signal};

#[test]
fn listed_cores_are_used_in_their_order() {
    inside(|| {
        let mut cores = own_cores();
        cores.reverse();
        let list = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let workers = cores.len();
        let affinities = affinities(&format!("Workers: {workers}\nPinCores: {list}\n"));
        for (worker, core) in cores.iter().enumerate() {
            assert_eq!(affinities[&format!("worker-{worker}")], [*core], "{affinities:?}");
        }
        others_are_free(&affinities);
    });
}

#[test]
fn auto_gives_each_worker_a_core_of_its_own() {
    inside(|| {
        let cores = own_cores();
        let affinities = affinities(&format!("Workers: {}\nPinCores: auto\n", cores.len()));
        for (worker, core) in cores.iter().enumerate() {
            assert_eq!(affinities[&format!("worker-{worker}")], [*core], "{affinities:?}");
        }
        others_are_free(&affinities);
    });
}

#[test]
fn without_pinning_a_worker_runs_anywhere() {
    inside(|| {
        let affinities = affinities("Workers: 2\nPinCores: none\n");
        assert!(affinities.contains_key("worker-0") && affinities.contains_key("worker-1"), "{affinities:?}");
        let cores = own_cores();
        assert!(affinities.values().all(|allowed| *allowed == cores), "{affinities:?}");
    });
}

/// Checks that only workers are pinned. The main thread allocates the ring of a pinned worker on the core of that
/// worker, and the threads that it starts afterwards must not inherit that.
fn others_are_free(affinities: &BTreeMap<String, Vec<usize>>) {
    let cores = own_cores();
    let others: Vec<_> = affinities.iter().filter(|(name, _)| !name.starts_with("worker-")).collect();
    assert!(others.iter().any(|(name, _)| *name == "analyst"), "{affinities:?}");
    assert!(others.iter().all(|(_, allowed)| **allowed == cores), "{affinities:?}");
}

/// The cores that each thread of a program may use, by the thread's name.
fn affinities(config: &str) -> BTreeMap<String, Vec<usize>> {
    let router = Host::router();
    let mut program = Program::start(&router, config);
    // A worker is pinned before this line; the first worker logs it.
    program.line("workers wait on ").expect("the event loop is logged");
    let workers = config.split_once("Workers: ").and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    let is_whole = |found: &BTreeMap<String, Vec<usize>>| {
        let names = found.keys().filter(|name| name.starts_with("worker-"));
        Some(names.count()) == workers && (config.contains("none") || all_pinned(found))
    };
    let found =
        program.wait_for("every worker is where it belongs", |program| threads(program.id()), is_whole);
    program.stop(Signal::SIGTERM).final_counts();
    found
}

fn all_pinned(found: &BTreeMap<String, Vec<usize>>) -> bool {
    found.iter().all(|(name, allowed)| !name.starts_with("worker-") || allowed.len() == 1)
}

fn threads(process: u32) -> BTreeMap<String, Vec<usize>> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let status =
        |task: std::io::Result<fs::DirEntry>| fs::read_to_string(task.ok()?.path().join("status")).ok();
    tasks.filter_map(status).map(|status| (field(&status, "Name:").to_owned(), allowed(&status))).collect()
}

/// Returns the cores that this test and its child processes may use.
fn own_cores() -> Vec<usize> {
    allowed(&fs::read_to_string("/proc/self/status").expect("the kernel has /proc"))
}

/// `Cpus_allowed_list` of proc_pid_status(5), such as `0-2,5`.
fn allowed(status: &str) -> Vec<usize> {
    let number = |digits: &str| digits.parse::<usize>().expect("proc(5)");
    let cores =
        field(status, "Cpus_allowed_list:").split(',').flat_map(|range| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        });
    cores.collect()
}

fn field<'s>(status: &'s str, name: &str) -> &'s str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {status}")).trim()
}
