//! Host names to addresses, with a deadline: `getaddrinfo(3)` has none and cannot be cancelled.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// Lookups that may be under way at once, also after their deadline. Each ends when the system's resolver gives up.
const UNDER_WAY_MAX: usize = 4;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// Returns the addresses of `host:port`. A literal address needs no lookup. For a name a thread calls the system's
/// resolver; it is detached when `within` has passed.
///
/// # Errors
/// The error of the system's resolver; [`TimedOut`](ErrorKind::TimedOut) after the deadline.
pub(crate) fn resolve(host_and_port: &str, within: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host_and_port.parse() {
        return Ok(vec![address]);
    }
    if UNDER_WAY.fetch_add(1, Ordering::Relaxed) >= UNDER_WAY_MAX {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::new(ErrorKind::TimedOut, "earlier lookups of names have not ended"));
    }
    let name = host_and_port.to_owned();
    let (done, found) = sync_channel(1);
    let look_up = move || {
        let addresses = name.to_socket_addrs().map(Iterator::collect);
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
        // After the deadline the receiver is gone.
        let _ = done.send(addresses);
    };
    if let Err(error) = thread::Builder::new().name("lookup".to_owned()).spawn(look_up) {
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
    fn addresses_are_parsed_and_names_are_resolved() {
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
