//! Pins worker threads to cores.

use tracing::warn;

use super::options::PinCores;

/// Returns the core of each of `workers`; `None` if the scheduler chooses it.
pub(super) fn cores(pin: &PinCores, workers: usize) -> Vec<Option<usize>> {
    let chosen: Vec<usize> = match pin {
        PinCores::None => Vec::new(),
        // This reads the mask of the calling thread, so it must come before that thread is pinned.
        PinCores::Auto => {
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        }
        PinCores::List(list) => list.clone(),
    };
    (0..workers).map(|worker| (!chosen.is_empty()).then(|| chosen[worker % chosen.len()])).collect()
}

/// Pins the calling thread to a core. If that fails, logs a warning: the worker is then slower but counts everything.
pub(super) fn pin(worker: usize, core: Option<usize>) {
    if let Some(id) = core
        && !core_affinity::set_for_current(core_affinity::CoreId { id })
    {
        warn!("worker {worker} cannot be pinned to core {id}; it runs wherever the scheduler puts it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_assigned_in_order_and_again_from_the_first() {
        assert_eq!(cores(&PinCores::None, 2), [None, None]);
        assert_eq!(cores(&PinCores::List(vec![3, 1]), 2), [Some(3), Some(1)]);
        let auto = cores(&PinCores::Auto, 3);
        assert!(auto.iter().all(Option::is_some) && auto.len() == 3);
    }
}
