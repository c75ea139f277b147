//! Controls a running link monitor from other threads: replaces its policy or ends it.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_utils::atomic::AtomicCell;

use super::options::Options;
use super::policy::Policy;
use crate::sys::waker::Waker;

/// Controls a [`LinkMonitor`](super::LinkMonitor) that runs on another thread. Clones control the same one.
#[derive(Clone, Debug)]
pub struct MonitorHandle(Arc<MonitorCells>);

struct MonitorCells {
    waker: Waker,
    policy: AtomicCell<Option<Box<Policy>>>,
    is_stopped: AtomicBool,
}

impl fmt::Debug for MonitorCells {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Reading the cell would take the policy out.
        f.debug_struct("MonitorCells").field("is_stopped", &self.is_stopped).finish_non_exhaustive()
    }
}

impl MonitorHandle {
    /// Makes a handle, to be given to [`LinkMonitor::run`](super::LinkMonitor::run).
    ///
    /// # Errors
    /// `eventfd(2)` failed because the process has no free descriptor.
    pub fn new() -> io::Result<Self> {
        let (policy, is_stopped) = (AtomicCell::new(None), AtomicBool::new(false));
        Ok(Self(Arc::new(MonitorCells { waker: Waker::new()?, policy, is_stopped })))
    }

    /// Replaces the policy of the monitor: the part of these options about interfaces, directions and local networks.
    pub fn apply(&self, options: &Options) {
        self.0.policy.store(Some(Box::new(Policy::new(options))));
        self.0.waker.wake();
    }

    /// Ends the monitor.
    pub fn stop(&self) {
        // Release: pairs with the load in `is_stopped`. The waker is notified after the store.
        self.0.is_stopped.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    /// Returns the descriptor that the monitor waits on.
    pub fn descriptor(&self) -> RawFd {
        self.0.waker.as_fd().as_raw_fd()
    }

    /// Returns true if the monitor is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.0.is_stopped.load(Ordering::Acquire)
    }

    /// Returns the waker that is notified of a new policy or of the end. The monitor waits on it.
    pub(super) fn waker(&self) -> &Waker {
        &self.0.waker
    }

    /// Clears the waker, then takes the policy that was applied last; returns `None` if there is no new one. A policy
    /// that is applied between the two steps notifies the waker again.
    pub(super) fn take_policy(&self) -> Option<Box<Policy>> {
        self.0.waker.clear();
        self.0.policy.take()
    }
}
