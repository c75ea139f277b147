//! Requests over rtnetlink: dumps of lists, and subscriptions to notices of changes. Neither needs a capability.
//!
//! This file contains the framing (`struct nlmsghdr`, 16 bytes, messages aligned to 4); the callers parse the content
//! of messages. A request blocks until the kernel has replied, which it does within the system call.
//!
//! Sources: RFC 3549, netlink(7), rtnetlink(7).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, RawFd};

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NlaBuffer, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::error::NetlinkError;

/// A netlink socket for requests.
pub(super) struct NetlinkSocket {
    socket: Socket,
    /// Sequence number of the last request. Messages of an abandoned dump have another one.
    sequence: u32,
}

impl NetlinkSocket {
    /// Opens the socket.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let socket = connected_socket()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Returns the number of its descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Dumps a list and passes the body of each message to `take`, together with the value that `begin` has made.
    /// Returns that value. If the list changes meanwhile, it is dumped again with a new value.
    pub(super) fn list<S>(
        &mut self,
        request: &DumpRequest<'_>,
        begin: impl Fn() -> S,
        mut take: impl FnMut(&mut S, &[u8]) -> Result<(), String>,
    ) -> Result<S, NetlinkError> {
        for _ in 0..ATTEMPTS_MAX {
            let mut list = begin();
            if self.read_once(request, &mut |body| take(&mut list, body))? {
                return Ok(list);
            }
        }
        Err(NetlinkError::Unstable { what: request.what, attempts: ATTEMPTS_MAX })
    }

    /// Dumps a list once. If it changes meanwhile, entries that are added or removed may be missing.
    pub(super) fn dump_once(
        &mut self,
        request: &DumpRequest<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), NetlinkError> {
        self.read_once(request, &mut take).map(|_is_consistent| ())
    }

    /// Dumps a list once. Returns true if the list did not change meanwhile and no message was lost.
    fn read_once(
        &mut self,
        request: &DumpRequest<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<bool, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        request.send_on(&self.socket, self.sequence)?;
        let reply = DumpReply { sequence: self.sequence, what: request.what, kind: request.reply };
        let mut is_consistent = true;
        let mut datagram = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        loop {
            match reply.read(&self.socket, &mut datagram, take)? {
                DumpProgress::Part { interrupted } => is_consistent &= !interrupted,
                DumpProgress::End { interrupted } => return Ok(is_consistent && !interrupted),
                DumpProgress::Lost => return Ok(false),
            }
        }
    }
}

/// A dump that is read one datagram at a time, on a socket of its own; dropping it ends the dump. Entries that change
/// meanwhile may be in it or not.
pub(super) struct DumpStream {
    socket: Socket,
    reply: DumpReply,
    datagram: Vec<u8>,
}

impl DumpStream {
    /// Requests the dump. The kernel compares the header of the request with each entry and omits those that do not
    /// match (`NETLINK_GET_STRICT_CHK`, Linux 4.20).
    pub(super) fn begin(request: &DumpRequest<'_>) -> Result<Self, NetlinkError> {
        let socket = connected_socket()?;
        socket.set_netlink_get_strict_chk(true).map_err(call("setsockopt(NETLINK_GET_STRICT_CHK)"))?;
        request.send_on(&socket, 1)?;
        let reply = DumpReply { sequence: 1, what: request.what, kind: request.reply };
        Ok(Self { socket, reply, datagram: Vec::with_capacity(DATAGRAM_BYTES_MAX) })
    }

    /// Returns the number of its descriptor.
    pub(super) fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Passes the bodies of the next messages to `take`. Returns true if the dump is complete.
    pub(super) fn step(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<bool, NetlinkError> {
        match self.reply.read(&self.socket, &mut self.datagram, take)? {
            DumpProgress::Part { .. } => Ok(false),
            DumpProgress::End { .. } => Ok(true),
            DumpProgress::Lost => Err(call("recv")(io::Error::from_raw_os_error(libc::ENOBUFS))),
        }
    }
}

/// The fields that identify the messages of a reply.
pub(super) struct DumpReply {
    pub(super) sequence: u32,
    pub(super) what: &'static str,
    pub(super) kind: u16,
}

/// The state of a dump after one datagram.
pub(super) enum DumpProgress {
    /// More datagrams follow. `interrupted` means that the list has changed since the dump began.
    Part { interrupted: bool },
    /// The dump is complete.
    End { interrupted: bool },
    /// Messages were lost because the buffer of the socket was full.
    Lost,
}

impl DumpReply {
    /// Reads one datagram.
    fn read(
        &self,
        socket: &Socket,
        datagram: &mut Vec<u8>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<DumpProgress, NetlinkError> {
        loop {
            datagram.clear();
            match socket.recv(datagram, 0) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(DumpProgress::Lost),
                Err(error) => return Err(call("recv")(error)),
            }
        }
        self.take_datagram(datagram, take)
    }

    /// Passes the bodies of the messages of one datagram to `take`.
    pub(super) fn take_datagram(
        &self,
        datagram: &[u8],
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<DumpProgress, NetlinkError> {
        let malformed = |reason| NetlinkError::Malformed { what: self.what, reason };
        let mut interrupted = false;
        for message in messages(datagram) {
            let message = message.map_err(malformed)?;
            if message.sequence_number() != self.sequence {
                continue;
            }
            interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
            match message.message_type() {
                NLMSG_DONE => return Ok(DumpProgress::End { interrupted }),
                NLMSG_ERROR => {
                    let error = ErrorBuffer::new_checked(message.payload())
                        .map_err(|error| malformed(error.to_string()))?;
                    let code = error.code().map_or(0, |code| code.get().saturating_abs());
                    let source = io::Error::from_raw_os_error(code);
                    return Err(NetlinkError::Refused { what: self.what, source });
                }
                kind if kind == self.kind => take(message.payload()).map_err(malformed)?,
                _ => {}
            }
        }
        Ok(DumpProgress::Part { interrupted })
    }
}

/// Opens a socket that is connected to the kernel (port 0). Connecting binds it to an address that the kernel chooses
/// (`netlink_connect` in `net/netlink/af_netlink.c`). Requests can then be written, so a thread that may not send to
/// sockets can make them.
fn connected_socket() -> Result<Socket, NetlinkError> {
    let socket = Socket::new(NETLINK_ROUTE).map_err(call("socket(AF_NETLINK)"))?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(call("connect"))?;
    Ok(socket)
}

/// Opens a netlink socket that receives notices of changes of these groups (`RTNLGRP_*`).
pub(super) fn subscribe(groups: &[u32]) -> Result<Socket, NetlinkError> {
    let socket = connected_socket()?;
    for &group in groups {
        socket.add_membership(group).map_err(call("setsockopt(NETLINK_ADD_MEMBERSHIP)"))?;
    }
    Ok(socket)
}

/// Empties a socket of [`subscribe`]. Returns true if there was a notice in it, or if notices were lost.
pub(super) fn discard(notices: &Socket) -> Result<bool, NetlinkError> {
    // The buffer cuts longer notices. Their content is not read.
    let mut notice = Vec::with_capacity(NETLINK_HEADER_BYTES);
    let mut any = false;
    loop {
        notice.clear();
        match notices.recv(&mut notice, libc::MSG_DONTWAIT) {
            Ok(_) => any = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Lost notices count as a change too.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(error) => return Err(call("recv")(error)),
        }
    }
}

/// A request to dump a list.
pub(super) struct DumpRequest<'a> {
    /// The name of the list, for errors.
    pub(super) what: &'static str,
    /// The message type of the request (`RTM_GET*`).
    pub(super) request: u16,
    /// The message type of the reply (`RTM_NEW*`).
    pub(super) reply: u16,
    /// The fixed header that messages of the request type begin with.
    pub(super) header: &'a [u8],
}

impl DumpRequest<'_> {
    fn send_on(&self, socket: &Socket, sequence: u32) -> Result<(), NetlinkError> {
        let message = self.message(sequence);
        nix::unistd::write(socket, &message).map(drop).map_err(|errno| call("write")(errno.into()))
    }

    fn message(&self, sequence: u32) -> Vec<u8> {
        let len = NETLINK_HEADER_BYTES + self.header.len();
        let mut request = vec![0; len.next_multiple_of(usize::from(NLMSG_ALIGNTO))];
        let mut message = NetlinkBuffer::new(&mut request);
        message.set_length(u32::try_from(len).expect("a request has less than 100 bytes"));
        message.set_message_type(self.request);
        message.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
        message.set_sequence_number(sequence);
        request[NETLINK_HEADER_BYTES..len].copy_from_slice(self.header);
        request
    }
}

/// Iterates over the messages of a datagram. The first one that is malformed is an error and ends the iteration.
pub(super) fn messages(mut datagram: &[u8]) -> impl Iterator<Item = Result<NetlinkBuffer<&[u8]>, String>> {
    std::iter::from_fn(move || {
        if datagram.is_empty() {
            return None;
        }
        match NetlinkBuffer::new_checked(datagram) {
            Ok(message) => {
                let len = (message.length() as usize).next_multiple_of(usize::from(NLMSG_ALIGNTO));
                datagram = datagram.get(len..).unwrap_or_default();
                Some(Ok(message))
            }
            Err(error) => {
                datagram = &[];
                Some(Err(error.to_string()))
            }
        }
    })
}

/// Iterates over the attributes after a fixed header of `header_len` bytes.
pub(super) fn attributes(
    body: &[u8],
    header_len: usize,
) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, String>> {
    NlasIterator::new(body.get(header_len..).unwrap_or_default())
        .map(|attribute| attribute.map_err(|error| error.to_string()))
}

/// Reads the address in an attribute; returns `None` unless it has 4 or 16 bytes.
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|v4| IpAddr::V4(Ipv4Addr::from(v4)))
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|v6| IpAddr::V6(Ipv6Addr::from(v6))))
        .ok()
}

/// The address family of IPv4 as netlink messages have it.
#[allow(clippy::cast_possible_truncation, reason = "`AF_INET` is 2")]
pub(super) const AF_INET: u8 = libc::AF_INET as u8;
/// The address family of IPv6 as netlink messages have it.
#[allow(clippy::cast_possible_truncation, reason = "`AF_INET6` is 10")]
pub(super) const AF_INET6: u8 = libc::AF_INET6 as u8;
/// Bytes of a `struct nlmsghdr`.
const NETLINK_HEADER_BYTES: usize = 16;
/// Bytes of the buffer for one datagram. The kernel puts at most 32 KiB of a dump into one (`netlink_dump`).
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// Maximum number of times that a list is dumped if it changes during each dump.
const ATTEMPTS_MAX: u32 = 8;

/// Returns a function that turns an I/O error of this system call into a [`NetlinkError`].
pub(super) fn call(call: &'static str) -> impl Fn(io::Error) -> NetlinkError {
    move |source| NetlinkError::Call { call, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_netlink_message() {
        let header = [2];
        let dump = DumpRequest { what: "forwarding", request: 82, reply: 80, header: &header };
        let request = dump.message(7);
        assert_eq!(request.len(), 20, "padded to 4 bytes");
        let message = NetlinkBuffer::new_checked(request.as_slice()).unwrap();
        assert_eq!((message.length(), message.message_type(), message.sequence_number()), (17, 82, 7));
        assert_eq!(message.payload(), [2]);
    }

    #[test]
    fn a_malformed_message_ends_the_iteration() {
        let dump = DumpRequest { what: "", request: 16, reply: 16, header: &[1, 2, 3] };
        let mut datagram = dump.message(1);
        datagram.extend(dump.message(2));
        datagram.extend([9; 5]);
        let seen: Vec<_> = messages(&datagram).map(|message| message.map(|m| m.sequence_number())).collect();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[..2], [Ok(1), Ok(2)]);
        assert!(seen[2].is_err());
    }
}

/// Attributes as the kernel writes them, for tests.
#[cfg(test)]
pub(super) mod sample {
    /// Encodes an attribute (`struct nlattr`): length, type, value, and zeros up to a multiple of 4.
    #[allow(clippy::cast_possible_truncation, reason = "the attributes of tests are short")]
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}
