//! How the engine's threads are placed on cores.

/// The layout of the threads.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// The core of each worker.
    pub pin_cores: PinCores,
}

/// The core of each worker.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PinCores {
    /// The scheduler chooses.
    #[default]
    None,
    /// Each worker gets a core of the affinity mask, in order.
    Auto,
    /// These cores, the first worker on the first; as many as there are workers.
    List(Vec<usize>),
}
