//! Host names to addresses, with a deadline: `getaddrinfo(3)` has none, and cannot be stopped.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// Lookups that may be under way after their deadline. Each ends when the system's resolver gives up.
const LEFT_BEHIND_MAX: usize = 4;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The addresses of `host:port`. An address is its own; for a name a thread asks the system, and is left behind
/// when time is up.
///
/// # Errors
/// What the system's resolver says; [`TimedOut`](ErrorKind::TimedOut) after the deadline.
pub(crate) fn resolve(host_and_port: &str, within: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host_and_port.parse() {
        return Ok(vec![address]);
    }
    if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= LEFT_BEHIND_MAX {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::new(ErrorKind::TimedOut, "earlier lookups of names have not ended"));
    }
    let name = host_and_port.to_owned();
    let (done, found) = sync_channel(1);
    let look = move || {
        let addresses = name.to_socket_addrs().map(Iterator::collect);
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits for it any more after the deadline.
        let _ = done.send(addresses);
    };
    if let Err(error) = thread::Builder::new().name("lookup".to_owned()).spawn(look) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return Err(error);
    }
    found
        .recv_timeout(within)
        .unwrap_or_else(|_| Err(io::Error::new(ErrorKind::TimedOut, "the name servers do not answer")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_their_own_and_names_are_asked_for() {
        let hour = Duration::from_secs(3600);
        for (text, want) in [("127.0.0.1:514", "127.0.0.1:514"), ("[::1]:514", "[::1]:514")] {
            let found = resolve(text, Duration::ZERO).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(found, [want.parse().expect("an address")]);
        }
        let found = resolve("localhost:514", hour).expect("every system knows it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 514), "{found:?}");
        assert!(resolve("no such name:514", hour).is_err());
    }
}
