//! Threads and lifecycle.
#![forbid(unsafe_code)]

/// How the threads are laid out.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// Which core each worker runs on.
    pub pin_cores: PinCores,
}

/// Which core each worker runs on.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PinCores {
    /// Wherever the scheduler likes.
    #[default]
    None,
    /// One core of the affinity mask each, in order.
    Auto,
    /// These cores, the first worker on the first; as many as there are workers.
    List(Vec<usize>),
}
