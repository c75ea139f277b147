//! Reads what is taken of this machine: its memory and its CPUs.

use std::fmt::Display;

use super::{ValueError, bytes, items};
use crate::capture::RING_BYTES_MIN;
use crate::config::key::SettingKey;
use crate::config::units::{self, Bytes, ListItem, NumberError, within};
use crate::config::{MEMORY_BYTES, Machine, MemoryLimit, RING_MEMORY_BYTES, WORKERS, Workers};
use crate::engine::PinCores;

/// Bytes that the tables may take, or a share of the memory here.
pub(super) fn memory_limit(value: &str, machine: &Machine) -> Result<MemoryLimit, ValueError> {
    if value == "auto" {
        return Ok(MemoryLimit::Auto { here: machine.memory_limit() });
    }
    bytes(value, &MEMORY_BYTES).map(MemoryLimit::Bytes)
}

/// A number of workers, or one for each CPU here.
pub(super) fn workers(value: &str, machine: &Machine) -> Result<Workers, ValueError> {
    if value == "auto" {
        return Ok(Workers::Auto { here: machine.workers() });
    }
    units::whole(value).and_then(|number| within(number, &WORKERS)).map(Workers::Count).map_err(|error| {
        let (min, max) = WORKERS.into_inner();
        ValueError::new(error, format!("write `auto` or a whole number from {min} to {max}"))
    })
}

/// A CPU for each worker, or none; a wrong number of workers is held against nobody.
pub(super) fn pin_cores(
    value: &str,
    worker_count: Option<usize>,
    machine: &Machine,
) -> Result<PinCores, ValueError> {
    let here = machine.cores.len();
    match (value, worker_count) {
        ("none", _) => Ok(PinCores::None),
        ("auto", Some(workers)) if workers > here => {
            let label = format!("{} here", counted(here, "usable CPU"));
            let help = format!("{workers} workers need a CPU each: write `none`, or `Workers: {here}`");
            Err(ValueError::new(label, help).against(SettingKey::Workers, "more workers than that"))
        }
        ("auto", _) => Ok(PinCores::Auto),
        _ => {
            let cores = core_list(value, machine)?;
            let listed = cores.len();
            match worker_count {
                Some(workers) if workers != listed => {
                    let help =
                        format!("each worker needs one CPU: list {workers}, or write `Workers: {listed}`");
                    let error = ValueError::new(counted(listed, "CPU"), help);
                    Err(error.against(SettingKey::Workers, "another number of workers"))
                }
                _ => Ok(PinCores::List(cores)),
            }
        }
    }
}

/// At least one CPU, each once, all of them usable here.
fn core_list(value: &str, machine: &Machine) -> Result<Vec<usize>, ValueError> {
    let usable = ranges(&machine.cores);
    let form = format!("write `none`, `auto` or CPU numbers with commas between them; usable here: {usable}");
    let mut cores = Vec::new();
    for ListItem { text, span } in items(value, &form)? {
        let complain = |label: &dyn Display| ValueError::new(label, &*form).at(span.clone());
        let core = match units::whole(text) {
            Ok(number) => usize::try_from(number).map_err(|_| complain(&"no such CPU"))?,
            Err(NumberError::TooLarge) => return Err(complain(&"no such CPU")),
            Err(error) => return Err(complain(&error)),
        };
        if !machine.cores.contains(&core) {
            return Err(complain(&"this process may not run there"));
        }
        if cores.contains(&core) {
            return Err(complain(&"listed twice"));
        }
        cores.push(core);
    }
    if cores.is_empty() { Err(ValueError::new("no CPU", form)) } else { Ok(cores) }
}

/// Bytes of all rings, enough for each worker to have one.
pub(super) fn ring_memory(value: &str, worker_count: Option<usize>) -> Result<u64, ValueError> {
    let bytes = bytes(value, &RING_MEMORY_BYTES)?;
    let Some(workers) = worker_count else { return Ok(bytes) };
    // There are at most 256 workers.
    let needed = RING_BYTES_MIN.saturating_mul(workers as u64);
    if bytes >= needed {
        return Ok(bytes);
    }
    let label = format!("too little for {}", counted(workers, "worker"));
    let help = format!(
        "each ring needs {}: write at least {}, or fewer `Workers`",
        Bytes(RING_BYTES_MIN),
        Bytes(needed)
    );
    Err(ValueError::new(label, help).against(SettingKey::Workers, "one ring for each of them"))
}

fn counted(number: usize, what: impl Display) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// Ascending numbers the way the kernel writes CPU lists: `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|left, right| left + 1 == *right);
    let written = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    });
    written.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_written_as_the_kernel_writes_them() {
        assert_eq!(ranges(&[0]), "0");
        assert_eq!(ranges(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(ranges(&[1, 3, 4]), "1,3-4");
    }
}
