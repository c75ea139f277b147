//! Which addresses this process may exchange packets with, and the name of its unit.
//!
//! `IPAddressDeny=` of systemd.resource-control(5) is a filter of packets at the cgroup. A datagram that it refuses
//! fails with `EPERM` (`BPF_CGROUP_RUN_PROG_INET_EGRESS` in `net/ipv4/ip_output.c`), while TCP goes on trying until its
//! timeout (`tcp_connect` ignores the error), and what comes in is dropped in silence. So this asks by datagrams, and
//! none of them leaves this host:
//!
//! * An own address sends one to itself.
//! * To another IPv4 address one is sent by the loopback interface (`SO_BINDTODEVICE`, since Linux 5.7 without a
//!   capability), which drops it after the filter has seen it.
//! * IPv6 has no route to another host by that interface. There an own address stands for the other one.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};

/// What became of the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Packets may be sent to the address, or nothing says that they may not.
    NotRefused,
    /// Packets to the address are refused.
    Refused,
    /// Packets to this own address are refused, from which the IPv6 address would be reached; whether it is allowed is
    /// unknown.
    OwnRefused(IpAddr),
}

/// Returns whether packets of this process to the address are refused. Sends at most two datagrams without content on
/// the loopback interface.
pub fn ask(address: IpAddr) -> Reach {
    let address = address.to_canonical();
    if let Some(refused) = to_itself(address) {
        return if refused { Reach::Refused } else { Reach::NotRefused };
    }
    match address {
        IpAddr::V4(_) if by_loopback(address) == Err(Errno::EPERM) => Reach::Refused,
        IpAddr::V4(_) => Reach::NotRefused,
        IpAddr::V6(_) => match source_to(address) {
            Ok(own) if to_itself(own) == Some(true) => Reach::OwnRefused(own),
            _ => Reach::NotRefused,
        },
    }
}

/// Sends a datagram from an own address to itself. Returns whether it is refused; `None` if it is not an own address.
fn to_itself(address: IpAddr) -> Option<bool> {
    let socket = UdpSocket::bind(SocketAddr::new(address, 0)).ok()?;
    let own = socket.local_addr().ok()?;
    Some(is_refused(socket.send_to(&[], own)))
}

/// Sends a datagram by the loopback interface, which does not pass it on.
fn by_loopback(address: IpAddr) -> Result<(), Errno> {
    let errno = |error: io::Error| Errno::from_raw(error.raw_os_error().unwrap_or_default());
    let socket = UdpSocket::bind((std::net::Ipv4Addr::UNSPECIFIED, 0)).map_err(errno)?;
    // If this fails with EPERM, the kernel is older, and nothing is known.
    setsockopt(&socket, sockopt::BindToDevice, &OsString::from("lo")).map_err(|_| Errno::ENODEV)?;
    let sent = socket.send_to(&[], SocketAddr::new(address, DISCARD_PORT));
    if is_refused(sent) { Err(Errno::EPERM) } else { Ok(()) }
}

/// Returns the own address that packets to this one have. Nothing is sent.
fn source_to(address: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((std::net::Ipv6Addr::UNSPECIFIED, 0))?;
    socket.connect(SocketAddr::new(address, DISCARD_PORT))?;
    Ok(socket.local_addr()?.ip())
}

fn is_refused(sent: io::Result<usize>) -> bool {
    sent.is_err_and(|error| error.raw_os_error() == Some(libc::EPERM))
}

/// The port `discard` (RFC 863).
const DISCARD_PORT: u16 = 9;

/// Returns the name of the service that this process belongs to, by its cgroup; `None` outside of a service.
pub fn unit_name() -> Option<String> {
    service_in(&fs::read_to_string("/proc/self/cgroup").ok()?)
}

/// Returns the innermost service in a file like `/proc/self/cgroup` (cgroups(7)).
fn service_in(cgroups: &str) -> Option<String> {
    let path = |line: &'_ str| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        // The unified hierarchy, or that of systemd beside the others of version 1.
        (controllers.is_empty() || controllers == "name=systemd").then(|| path.to_owned())
    };
    let service = |path: String| {
        let name = path.rsplit('/').find(|name| name.ends_with(".service"))?;
        Some(name.strip_suffix(".service")?.to_owned())
    };
    cgroups.lines().filter_map(path).find_map(service)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_unit_is_the_innermost_service_of_the_cgroup() {
        for (cgroups, want) in [
            ("0::/system.slice/TrafficAlerted.service\n", Some("TrafficAlerted")),
            ("0::/user.slice/user-1.slice/user@1.service/app.slice/ta.service/payload\n", Some("ta")),
            (
                "12:cpu,cpuacct:/x.service\n1:name=systemd:/system.slice/ta@lan.service\n0::/\n",
                Some("ta@lan"),
            ),
            ("0::/user.slice/session-1.scope\n", None),
            ("0::/\n", None),
            ("", None),
        ] {
            assert_eq!(service_in(cgroups).as_deref(), want, "{cgroups}");
        }
    }

    #[test]
    fn loopback_is_allowed_without_a_filter() {
        assert_eq!(ask(Ipv4Addr::LOCALHOST.into()), Reach::NotRefused);
        assert_eq!(to_itself(Ipv4Addr::new(192, 0, 2, 1).into()), None, "it is no own address");
        assert!(is_refused(Err(io::Error::from_raw_os_error(libc::EPERM))));
        assert!(!is_refused(Err(io::Error::from_raw_os_error(libc::ENETUNREACH))));
    }
}
