//! The limits on what clients can use: connections, bytes, time.

use std::time::Duration;

/// Limits on the program's time and memory that clients can use. [`Bounds::default`] has the values for production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Maximum number of connections that are served at once.
    pub connections_max: usize,
    /// Maximum number of these that one user of this host, or one remote address, has.
    pub connections_per_holder_max: usize,
    /// Maximum number of further connections at once, which are told that the program is well if they ask for that, and
    /// get a 503 otherwise. A new one takes the place of the oldest.
    pub refusals_max: usize,
    /// Maximum time that such a connection has for its request.
    pub refusal_timeout: Duration,
    /// Maximum number of bytes of request line and headers together; at least 8192, hyper's own minimum.
    pub head_bytes_max: usize,
    /// Maximum number of headers of a request.
    pub headers_max: usize,
    /// Maximum time in which a client must send a whole head, counted from the connection or the previous answer. After
    /// this time an idle connection is closed.
    pub head_timeout: Duration,
    /// Maximum time in which a client must send a body, counted from its head.
    pub body_timeout: Duration,
    /// Maximum number of bytes of a body.
    pub body_bytes_max: usize,
    /// Maximum time in which the analyst must answer a request about mutes.
    pub mute_timeout: Duration,
    /// Maximum time in which a client must read a whole answer.
    pub answer_timeout: Duration,
    /// Maximum time that a closing connection waits for the client to close its side, so that the last answer arrives.
    pub linger_timeout: Duration,
    /// Maximum number of bytes, such as an unwanted body, that are read and discarded in that time.
    pub linger_bytes_max: usize,
    /// Maximum time in which unfinished answers may finish when the server stops.
    pub stop_grace: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            connections_per_holder_max: CONNECTIONS_PER_HOLDER_MAX,
            refusals_max: REFUSALS_MAX,
            refusal_timeout: REFUSAL_TIMEOUT,
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

/// A browser opens six connections to a server, so ten browsers fit.
const CONNECTIONS_MAX: usize = 64;
/// A quarter, so that it takes four users to fill all places.
const CONNECTIONS_PER_HOLDER_MAX: usize = CONNECTIONS_MAX / 4;
/// A client that connects and asks for the health has the time in which others open so many connections: some 10 ms of
/// a flood.
const REFUSALS_MAX: usize = 256;
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(500);
const HEAD_BYTES_MAX: usize = 16 * 1024;
const HEADERS_MAX: usize = 64;
/// Longer than the interval at which the dashboard refreshes, so that it keeps its connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
const BODY_BYTES_MAX: usize = 4096;
/// The analyst reads these requests at least twice a second, so this is ample.
const MUTE_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const LINGER_TIMEOUT: Duration = Duration::from_millis(250);
const LINGER_BYTES_MAX: usize = 256 * 1024;
const STOP_GRACE: Duration = Duration::from_millis(300);
