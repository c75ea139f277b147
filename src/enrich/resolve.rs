//! Resolves host names to addresses, with a timeout. `getaddrinfo(3)` has no timeout and cannot be cancelled.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use crate::sandbox::{self, ThreadKind};

/// Maximum number of lookups that run at once, including those whose timeout has passed: such a lookup ends only when
/// the resolver of the system gives up.
const RUNNING_MAX: usize = 4;

/// Number of lookups that run.
static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Returns the addresses of `host:port`. A literal address requires no lookup. For a name, a thread calls the resolver
/// of the system; it is detached after `timeout`.
///
/// # Errors
/// The error of the resolver or of the creation of the thread; [`TimedOut`](ErrorKind::TimedOut) after the timeout, and
/// if the maximum number of lookups run already.
pub(crate) fn resolve(host_and_port: &str, timeout: Duration) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host_and_port.parse() {
        return Ok(vec![address]);
    }
    if RUNNING.fetch_add(1, Ordering::Relaxed) >= RUNNING_MAX {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(io::Error::new(ErrorKind::TimedOut, "earlier lookups of names have not ended"));
    }
    let name = host_and_port.to_owned();
    let (done, found) = sync_channel(1);
    let look_up = move || {
        sandbox::enter(ThreadKind::Lookup);
        let addresses = name.to_socket_addrs().map(Iterator::collect);
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        // After the timeout the receiver no longer exists.
        let _ = done.send(addresses);
    };
    if let Err(error) = thread::Builder::new().name("lookup".to_owned()).spawn(look_up) {
        RUNNING.fetch_sub(1, Ordering::Relaxed);
        return Err(error);
    }
    found
        .recv_timeout(timeout)
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
        let found = resolve("localhost:514", hour).expect("every system resolves it");
        assert!(found.iter().all(|address| address.ip().is_loopback() && address.port() == 514), "{found:?}");
        assert!(resolve("no such name:514", hour).is_err());
    }
}
