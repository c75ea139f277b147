//! Asks the kernel which user of this host owns the other end of a loopback connection.
//!
//! All clients on loopback have one address, so a limit per address would let one user lock out the others. The kernel
//! names the user of a TCP socket over netlink (sock_diag(7): NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY), which needs no
//! capability. It answers a question about one socket within the system call, so the thread of the API may ask.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use netlink_packet_core::{NLM_F_REQUEST, NetlinkBuffer};
use netlink_sys::{Socket, protocols::NETLINK_SOCK_DIAG};

/// A socket on which the kernel is asked for owners.
pub(super) struct SocketOwners {
    /// `None` if the system refuses it; then no owner is known.
    socket: Option<Socket>,
    status: OwnersStatus,
}

/// Whether the kernel names the owners of sockets. Copies of a status show the same.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnersStatus {
    /// The first thing that went wrong.
    error: Arc<OnceLock<String>>,
}

impl OwnersStatus {
    /// Returns why the kernel has not named an owner; `None` if nothing went wrong.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.get().map(String::as_str)
    }

    /// Logs the first of all errors, and keeps it.
    fn failed(&self, error: impl Into<String>) {
        let mut error = Some(error.into());
        let kept = self.error.get_or_init(|| error.take().unwrap_or_default());
        if error.is_none() {
            tracing::warn!(
                "the kernel does not name the users of loopback connections: {kept}; these users share one limit on \
                 connections and one pause after wrong tokens, so one of them can keep the others out: use ApiSocket, \
                 or allow AF_NETLINK and load the kernel module tcp_diag"
            );
        }
    }
}

impl SocketOwners {
    /// Opens the socket, and asks the kernel for the owner of `listener`, the address of a TCP socket of this process
    /// that listens. If it does not answer as it should, this is logged.
    pub(super) fn open(listener: SocketAddr) -> Self {
        let owners = Self::open_unchecked();
        let loopback = match listener.ip() {
            IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        let addr = if listener.ip().is_unspecified() { loopback } else { listener.ip() };
        // A socket that listens answers for every address at its other end.
        let asked = owners.owner(SocketAddr::new(addr, listener.port()), SocketAddr::new(addr, 1));
        if asked.is_none() {
            owners.status.failed("it knows nothing of a socket of this program");
        }
        owners
    }

    fn open_unchecked() -> Self {
        let open = || -> io::Result<Socket> {
            let mut socket = Socket::new(NETLINK_SOCK_DIAG)?;
            socket.bind_auto()?;
            socket.connect(&netlink_sys::SocketAddr::new(0, 0))?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        let status = OwnersStatus::default();
        let socket = open().map_err(|error| status.failed(error.to_string())).ok();
        Self { socket, status }
    }

    /// Returns whether the kernel names owners.
    pub(super) fn status(&self) -> OwnersStatus {
        self.status.clone()
    }

    /// Returns the user that owns the socket with address `client`, which is connected to `server`; both are on this
    /// host. Returns `None` if the kernel does not say, as for a client that has closed its socket already.
    pub(super) fn owner(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
        let socket = self.socket.as_ref()?;
        // An answer to an earlier question that came too late.
        let mut datagram = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        while socket.recv(&mut datagram, libc::MSG_DONTWAIT).is_ok() {
            datagram.clear();
        }
        let request = request(client, server)?;
        datagram.clear();
        let answered = socket.send(&request, 0).and_then(|_| socket.recv(&mut datagram, libc::MSG_DONTWAIT));
        answered.map_err(|error| self.status.failed(error.to_string())).ok()?;
        let message = NetlinkBuffer::new_checked(datagram.as_slice()).ok()?;
        if message.message_type() != SOCK_DIAG_BY_FAMILY {
            return None;
        }
        owner_in(message.payload(), client.port())
    }
}

impl std::fmt::Debug for SocketOwners {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketOwners").field("is_open", &self.socket.is_some()).finish()
    }
}

/// Returns the request for one socket: `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/inet_diag.h).
///
/// ```text
///   0  length 4, type 2, flags 2, sequence 4, port 4
///  16  family 1, protocol 1, extensions 1, padding 1, states 4
///  24  source port 2, destination port 2, source 16, destination 16, interface 4, cookie 8
/// ```
fn request(client: SocketAddr, server: SocketAddr) -> Option<Vec<u8>> {
    let (family, addrs) = match (client.ip().to_canonical(), server.ip().to_canonical()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            let padded = |octets: [u8; 4]| {
                let mut bytes = [0_u8; 16];
                bytes[..4].copy_from_slice(&octets);
                bytes
            };
            (libc::AF_INET, [padded(client.octets()), padded(server.octets())])
        }
        (IpAddr::V6(client), IpAddr::V6(server)) => (libc::AF_INET6, [client.octets(), server.octets()]),
        _ => return None,
    };
    let mut bytes = Vec::with_capacity(REQUEST_BYTES);
    bytes.extend(u32::try_from(REQUEST_BYTES).ok()?.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([u8::try_from(family).ok()?, u8::try_from(libc::IPPROTO_TCP).ok()?, 0, 0]);
    bytes.extend(ALL_STATES.to_ne_bytes());
    bytes.extend(client.port().to_be_bytes());
    bytes.extend(server.port().to_be_bytes());
    addrs.iter().for_each(|addr| bytes.extend(addr));
    bytes.extend([0; 4]);
    bytes.extend(NO_COOKIE);
    Some(bytes)
}

/// Returns the user in an answer: `struct inet_diag_msg`, which ends with user and inode.
fn owner_in(message: &[u8], client_port: u16) -> Option<u32> {
    let word = |at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let port = u16::from_be_bytes(message.get(4..6)?.try_into().ok()?);
    let (uid, inode) = (word(64)?, word(68)?);
    // A socket without an inode is closed by its program, and the kernel shows user 0 for it.
    (port == client_port && inode != 0).then_some(uid)
}

/// The type of request and answer (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const REQUEST_BYTES: usize = 16 + 56;
const ALL_STATES: u32 = u32::MAX;
/// The question is about whichever socket has the addresses (INET_DIAG_NOCOOKIE).
const NO_COOKIE: [u8; 8] = [0xff; 8];
const DATAGRAM_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_owner_of_a_client_on_loopback_is_known() {
        let own = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let owners = SocketOwners::open(own.local_addr().expect("it is bound"));
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(addr) else { continue };
            let server = listener.local_addr().expect("it is bound");
            let client = TcpStream::connect(server).expect("it listens");
            let from = client.local_addr().expect("it is connected");
            let owner = || owners.owner(from, server);
            assert_eq!(owner(), Some(nix::unistd::geteuid().as_raw()), "{addr}");
            assert_eq!(owners.owner(SocketAddr::new(from.ip(), 1), server), None, "there is no such client");
            assert_eq!(
                owner(),
                Some(nix::unistd::geteuid().as_raw()),
                "the refusal is not taken for this answer"
            );
        }
    }

    #[test]
    fn the_status_tells_whether_the_kernel_names_owners() {
        // A machine may have no IPv6.
        for addr in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(addr) else { continue };
            let owners = SocketOwners::open(listener.local_addr().expect("it is bound"));
            assert_eq!(owners.status().error(), None, "{addr}");
        }
        // Nobody listens on port 1, as if the kernel had no answer.
        let owners = SocketOwners::open(SocketAddr::from(([127, 0, 0, 1], 1)));
        let status = owners.status();
        assert_eq!(status.error(), Some("it knows nothing of a socket of this program"));
        owners.status.failed("another");
        assert_eq!(status.error(), Some("it knows nothing of a socket of this program"), "it is logged once");
        let body = crate::api::v1::status(None, status.error());
        let body: serde_json::Value = serde_json::from_slice(&body).expect("it is JSON");
        assert_eq!(body["clients"]["users_known"], false);
        assert!(
            body["clients"]["error"].as_str().is_some_and(|error| error.starts_with("it knows")),
            "{body}"
        );
        let known: serde_json::Value =
            serde_json::from_slice(&crate::api::v1::status(None, None)).expect("it is JSON");
        assert_eq!(known["clients"], serde_json::json!({"users_known": true, "error": null}));
    }

    #[test]
    fn a_short_answer_or_one_about_a_closed_socket_names_nobody() {
        let mut message = [0_u8; 72];
        message[4..6].copy_from_slice(&80_u16.to_be_bytes());
        message[64..68].copy_from_slice(&7_u32.to_ne_bytes());
        assert_eq!(owner_in(&message, 80), None, "it has no inode");
        message[68] = 1;
        assert_eq!((owner_in(&message, 80), owner_in(&message, 81)), (Some(7), None));
        assert_eq!(owner_in(&message[..71], 80), None);
    }
}
