//! What a thread is given: a core.

use tracing::warn;

use super::options::PinCores;

/// The core of each of `workers`, as far as the configuration names any.
pub(super) fn cores(pin: &PinCores, workers: usize) -> Vec<Option<usize>> {
    let chosen: Vec<usize> = match pin {
        PinCores::None => Vec::new(),
        // Read before any thread is pinned: afterwards the mask is that of the pinned thread.
        PinCores::Auto => {
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect()
        }
        PinCores::List(list) => list.clone(),
    };
    (0..workers).map(|worker| (!chosen.is_empty()).then(|| chosen[worker % chosen.len()])).collect()
}

/// Pins the calling thread, or says that it could not be done: that costs speed, not counts.
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
    fn cores_are_given_in_order_and_round_again() {
        assert_eq!(cores(&PinCores::None, 2), [None, None]);
        assert_eq!(cores(&PinCores::List(vec![3, 1]), 2), [Some(3), Some(1)]);
        let auto = cores(&PinCores::Auto, 3);
        assert!(auto.iter().all(Option::is_some) && auto.len() == 3);
    }
}
