//! The kinds of threads that differ in what they may do.

/// A kind of thread. `docs/security.md` describes each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ThreadKind {
    /// Takes signals, reads the configuration again, and starts the threads that this needs.
    Main,
    /// Reads a packet ring.
    Worker,
    /// Follows the interfaces.
    LinkMonitor,
    /// Compares the counts with the limits.
    Analyst,
    /// Serves HTTP.
    Api,
    /// Writes alerts to the log.
    LogSink,
    /// Writes `AlertFile`.
    FileSink,
    /// Asks the helper process to run `AlertCommand`.
    CommandSink,
    /// Posts to `WebhookURL`.
    WebhookSink,
    /// Sends to `Syslog`.
    SyslogSink,
    /// Writes the state.
    Store,
    /// Writes log records.
    Records,
    /// Resolves the name of a receiver, or reads the certificate authorities.
    Lookup,
    /// Reads the configuration and the files that it names.
    ConfigReader,
}

impl ThreadKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Main,
        Self::Worker,
        Self::LinkMonitor,
        Self::Analyst,
        Self::Api,
        Self::LogSink,
        Self::FileSink,
        Self::CommandSink,
        Self::WebhookSink,
        Self::SyslogSink,
        Self::Store,
        Self::Records,
        Self::Lookup,
        Self::ConfigReader,
    ];
}
