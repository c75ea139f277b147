//! How the engine's threads are placed on cores.

/// The placement of the threads.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// The core of each worker.
    pub pin_cores: PinCores,
}

/// The core of each worker.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum PinCores {
    /// The scheduler chooses the cores.
    #[default]
    None,
    /// Each worker gets the next core of the affinity mask; after the last core, the first again.
    Auto,
    /// Each worker gets the next of these cores. There are as many cores as workers.
    List(Vec<usize>),
}
