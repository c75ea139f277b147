//! The kinds for the memory and the CPUs that the program uses.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::numbers::ByteCount;
use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::machine::{MemoryLimit, Workers};
use crate::config::units::{self, Bytes, ListItem, NumberError, within};
use crate::config::value_error::ValueError;
use crate::engine::PinCores;

/// Maximum number of bytes of the tables, or `auto`.
pub(in crate::config) struct MemoryShare(pub(in crate::config) RangeInclusive<u64>);

impl Kind<MemoryLimit> for MemoryShare {
    fn form(&self) -> String {
        let (min, max) = (Bytes(*self.0.start()), Bytes(*self.0.end()));
        format!("`{AUTO}`, or bytes from {min} to {max}")
    }

    fn read(&self, text: &str, context: &Context) -> Result<MemoryLimit, ValueError> {
        if text == AUTO {
            return Ok(MemoryLimit::Auto);
        }
        ByteCount(self.0.clone()).read(text, context).map(MemoryLimit::Bytes)
    }

    fn print(&self, value: &MemoryLimit) -> String {
        match value {
            MemoryLimit::Auto => AUTO.to_owned(),
            MemoryLimit::Bytes(bytes) => Bytes(*bytes).to_string(),
        }
    }
}

/// A number of workers, or `auto`.
pub(in crate::config) struct WorkerCount(pub(in crate::config) RangeInclusive<usize>);

impl Kind<Workers> for WorkerCount {
    fn form(&self) -> String {
        format!("`{AUTO}` or a whole number from {} to {}", self.0.start(), self.0.end())
    }

    fn read(&self, text: &str, _: &Context) -> Result<Workers, ValueError> {
        if text == AUTO {
            return Ok(Workers::Auto);
        }
        let count = units::whole(text).and_then(|number| within(number, &self.0));
        count.map(Workers::Count).map_err(|error| ValueError::write(error, self.form()))
    }

    fn print(&self, value: &Workers) -> String {
        match value {
            Workers::Auto => AUTO.to_owned(),
            Workers::Count(count) => count.to_string(),
        }
    }
}

/// CPUs that this process may run on, at least one and each once; or `none`, or `auto`.
pub(in crate::config) struct CoreList;

impl Kind<PinCores> for CoreList {
    fn form(&self) -> String {
        "`none`, `auto` or CPU numbers with commas between them".to_owned()
    }

    fn read(&self, text: &str, context: &Context) -> Result<PinCores, ValueError> {
        match text {
            NONE => Ok(PinCores::None),
            AUTO => Ok(PinCores::Auto),
            _ => {
                let usable = &context.machine.cores;
                core_list(text, usable, &format!("{}; usable here: {}", self.form(), ranges(usable)))
                    .map(PinCores::List)
            }
        }
    }

    fn print(&self, value: &PinCores) -> String {
        match value {
            PinCores::None => NONE.to_owned(),
            PinCores::Auto => AUTO.to_owned(),
            PinCores::List(cores) => units::joined(cores),
        }
    }
}

/// Reads a list of CPUs, each of which must be in `usable`.
fn core_list(text: &str, usable: &[usize], form: &str) -> Result<Vec<usize>, ValueError> {
    let mut cores = Vec::new();
    for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(form))? {
        let error = |label: &dyn Display| ValueError::write(label, form).at(span.clone());
        let core = match units::whole(text) {
            Ok(number) => usize::try_from(number).map_err(|_| error(&"no such CPU"))?,
            Err(NumberError::TooLarge) => return Err(error(&"no such CPU")),
            Err(number_error) => return Err(error(&number_error)),
        };
        if !usable.contains(&core) {
            return Err(error(&"this process may not run there"));
        }
        if cores.contains(&core) {
            return Err(error(&"listed twice"));
        }
        cores.push(core);
    }
    if cores.is_empty() { Err(ValueError::write("no CPU", form)) } else { Ok(cores) }
}

/// Returns ascending numbers in the form in which the kernel writes CPU lists: `0-3,8`.
fn ranges(cores: &[usize]) -> String {
    let runs = cores.chunk_by(|left, right| left + 1 == *right);
    let written = runs.map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        [only] => only.to_string(),
        [] => String::new(),
    });
    written.collect::<Vec<_>>().join(",")
}

const AUTO: &str = "auto";

const NONE: &str = "none";

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
