//! The limits on what clients can use: connections, bytes, time.

use std::time::Duration;

/// How much of the program's time and memory clients can use. [`Bounds::default`] has the values of production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections served at once.
    pub connections_max: usize,
    /// Connections beyond that which get a 503; further ones are closed without an answer.
    pub refusals_max: usize,
    /// Bytes of request line and headers together; at least 8192, hyper's own minimum.
    pub head_bytes_max: usize,
    /// Number of headers.
    pub headers_max: usize,
    /// Time to send a whole head, counted from the connection or the previous answer. An idle connection is closed
    /// after it.
    pub head_timeout: Duration,
    /// Time to send a body, counted from its head.
    pub body_timeout: Duration,
    /// Bytes of a body.
    pub body_bytes_max: usize,
    /// Time for the analyst to take a request about mutes.
    pub mute_timeout: Duration,
    /// Time for a client to read a whole answer.
    pub answer_timeout: Duration,
    /// How long a closing connection waits for the client to close its side, so that the last answer arrives.
    pub linger_timeout: Duration,
    /// Bytes read and discarded in that time, such as an unwanted body.
    pub linger_bytes_max: usize,
    /// Time for answers under way when the server stops.
    pub stop_grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            refusals_max: REFUSALS_MAX,
            head_bytes_max: HEAD_BYTES_MAX,
            headers_max: HEADERS_MAX,
            head_timeout: HEAD_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            body_bytes_max: BODY_BYTES_MAX,
            mute_timeout: MUTE_TIMEOUT,
            answer_timeout: ANSWER_TIMEOUT,
            linger_timeout: LINGER_TIMEOUT,
            linger_bytes_max: LINGER_BYTES_MAX,
            stop_grace: STOP_GRACE,
        }
    }
}

/// A browser opens six connections, so this is ten of them.
const CONNECTIONS_MAX: usize = 64;
const REFUSALS_MAX: usize = 16;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Longer than the dashboard's refresh, so that it keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 4096;
/// The analyst reads requests twice a second at least.
const MUTE_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LINGER_TIMEOUT: Duration = Duration::from_millis(250);
const LINGER_BYTES_MAX: usize = 256 * 1024;
const STOP_GRACE: Duration = Duration::from_millis(300);
