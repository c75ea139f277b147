//! Asks the kernel for a list over rtnetlink and hands out its messages, or listens to what it says by itself. No
//! capability is needed for either.
//!
//! It knows the framing (RFC 3549; `struct nlmsghdr`, 16 bytes, messages aligned to 4) and nothing of what is in
//! a message. It blocks for as long as the kernel takes to answer; the kernel answers in the call itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_DONE, NLMSG_ERROR,
    NetlinkBuffer, NlaBuffer, NlasIterator,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::error::NetlinkError;

/// A netlink socket for questions.
pub(super) struct NetlinkSocket {
    socket: Socket,
    /// Tells the answers to this question from what is left of an abandoned one.
    sequence: u32,
}

impl NetlinkSocket {
    /// Opens the socket.
    pub(super) fn open() -> Result<Self, NetlinkError> {
        let socket = bound_socket()?;
        Ok(Self { socket, sequence: 0 })
    }

    /// Dumps a list and gives the body of each of its messages to `take`. If the list changes meanwhile it is
    /// read again, so `begin` is called before each reading and must forget what came before.
    pub(super) fn list<S>(
        &mut self,
        question: &DumpRequest<'_>,
        begin: impl Fn() -> S,
        mut take: impl FnMut(&mut S, &[u8]) -> Result<(), String>,
    ) -> Result<S, NetlinkError> {
        for _ in 0..ATTEMPTS_MAX {
            let mut list = begin();
            if self.read_once(question, &mut |body| take(&mut list, body))? {
                return Ok(list);
            }
        }
        Err(NetlinkError::Unstable { what: question.what, attempts: ATTEMPTS_MAX })
    }

    /// Dumps a list once. Where it changes meanwhile, what comes or goes may be missing.
    pub(super) fn dump_once(
        &mut self,
        question: &DumpRequest<'_>,
        mut take: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<(), NetlinkError> {
        self.read_once(question, &mut take).map(|_held_still| ())
    }

    /// Whether the list held still while it was read.
    fn read_once(
        &mut self,
        question: &DumpRequest<'_>,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<bool, NetlinkError> {
        self.sequence = self.sequence.wrapping_add(1);
        question.send_on(&self.socket, self.sequence)?;
        let answer = DumpReply { sequence: self.sequence, what: question.what, kind: question.answer };
        let mut held_still = true;
        let mut datagram = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        loop {
            match answer.read(&self.socket, &mut datagram, take)? {
                DumpProgress::Part { interrupted } => held_still &= !interrupted,
                DumpProgress::End { interrupted } => return Ok(held_still && !interrupted),
                DumpProgress::Lost => return Ok(false),
            }
        }
    }
}

/// A list that is read a datagram at a time, on a socket of its own: dropping it ends it. What changes meanwhile may
/// be in it or not.
pub(super) struct DumpStream {
    socket: Socket,
    answer: DumpReply,
    datagram: Vec<u8>,
}

impl DumpStream {
    /// Asks for the list. The kernel is to hold the question's header against what it knows, and to leave out what
    /// does not match it.
    pub(super) fn begin(question: &DumpRequest<'_>) -> Result<Self, NetlinkError> {
        let socket = bound_socket()?;
        socket.set_netlink_get_strict_chk(true).map_err(call("setsockopt(NETLINK_GET_STRICT_CHK)"))?;
        question.send_on(&socket, 1)?;
        let answer = DumpReply { sequence: 1, what: question.what, kind: question.answer };
        Ok(Self { socket, answer, datagram: Vec::with_capacity(DATAGRAM_BYTES_MAX) })
    }

    /// Gives the bodies of some further messages to `take`. Whether that was all.
    pub(super) fn step(
        &mut self,
        take: &mut dyn FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<bool, NetlinkError> {
        match self.answer.read(&self.socket, &mut self.datagram, take)? {
            DumpProgress::Part { .. } => Ok(false),
            DumpProgress::End { .. } => Ok(true),
            DumpProgress::Lost => Err(call("recv")(io::Error::from_raw_os_error(libc::ENOBUFS))),
        }
    }
}

/// How the answer to a question is told from anything else.
struct DumpReply {
    sequence: u32,
    what: &'static str,
    kind: u16,
}

/// What a datagram was of an answer.
enum DumpProgress {
    /// More is to come. `interrupted`: the list has changed since it was begun.
    Part { interrupted: bool },
    /// The last of it.
    End { interrupted: bool },
    /// Some of it was lost for want of buffer memory.
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
        let malformed = |reason| NetlinkError::Malformed { what: self.what, reason };
        loop {
            datagram.clear();
            match socket.recv(datagram, 0) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => return Ok(DumpProgress::Lost),
                Err(error) => return Err(call("recv")(error)),
            }
        }
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

fn bound_socket() -> Result<Socket, NetlinkError> {
    let mut socket = Socket::new(NETLINK_ROUTE).map_err(call("socket(AF_NETLINK)"))?;
    socket.bind_auto().map_err(call("bind"))?;
    Ok(socket)
}

/// A netlink socket on which the kernel says what changes, of these groups (`RTNLGRP_*`).
pub(super) fn subscribe(groups: &[u32]) -> Result<Socket, NetlinkError> {
    let socket = bound_socket()?;
    for &group in groups {
        socket.add_membership(group).map_err(call("setsockopt(NETLINK_ADD_MEMBERSHIP)"))?;
    }
    Ok(socket)
}

/// Empties a socket of [`subscribe`]; whether anything was in it.
pub(super) fn discard(notices: &Socket) -> Result<bool, NetlinkError> {
    // What does not fit is cut off, and nobody looks at it.
    let mut notice = Vec::with_capacity(NETLINK_HEADER_BYTES);
    let mut any = false;
    loop {
        notice.clear();
        match notices.recv(&mut notice, libc::MSG_DONTWAIT) {
            Ok(_) => any = true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(any),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Notices were lost: a change like any other.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => any = true,
            Err(error) => return Err(call("recv")(error)),
        }
    }
}

/// What to ask for.
pub(super) struct DumpRequest<'a> {
    /// In words, for errors.
    pub(super) what: &'static str,
    /// The message type that asks (`RTM_GET*`).
    pub(super) ask: u16,
    /// The message type of the answers (`RTM_NEW*`).
    pub(super) answer: u16,
    /// The fixed header that the type begins with.
    pub(super) header: &'a [u8],
}

impl DumpRequest<'_> {
    fn send_on(&self, socket: &Socket, sequence: u32) -> Result<(), NetlinkError> {
        let request = self.request(sequence);
        socket.send_to(&request, &SocketAddr::new(0, 0), 0).map(drop).map_err(call("sendto"))
    }

    fn request(&self, sequence: u32) -> Vec<u8> {
        let len = NETLINK_HEADER_BYTES + self.header.len();
        let mut request = vec![0; len.next_multiple_of(usize::from(NLMSG_ALIGNTO))];
        let mut message = NetlinkBuffer::new(&mut request);
        message.set_length(len as u32);
        message.set_message_type(self.ask);
        message.set_flags(NLM_F_REQUEST | NLM_F_DUMP);
        message.set_sequence_number(sequence);
        request[NETLINK_HEADER_BYTES..len].copy_from_slice(self.header);
        request
    }
}

/// The messages of a datagram, up to the first that is none.
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

/// The attributes behind a fixed header of `header_len` bytes.
pub(super) fn attributes(
    body: &[u8],
    header_len: usize,
) -> impl Iterator<Item = Result<NlaBuffer<&[u8]>, String>> {
    NlasIterator::new(body.get(header_len..).unwrap_or_default())
        .map(|attribute| attribute.map_err(|error| error.to_string()))
}

/// The address in an attribute.
pub(super) fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(|v4| IpAddr::V4(Ipv4Addr::from(v4)))
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(|v6| IpAddr::V6(Ipv6Addr::from(v6))))
        .ok()
}

/// `struct nlmsghdr`.
const NETLINK_HEADER_BYTES: usize = 16;
/// The kernel puts at most 32 KiB of a list into one datagram (`netlink_dump`).
const DATAGRAM_BYTES_MAX: usize = 64 * 1024;
/// How often a list that changes while it is read is begun again.
const ATTEMPTS_MAX: u32 = 8;

/// Names the call that an I/O error came from.
pub(super) fn call(call: &'static str) -> impl Fn(io::Error) -> NetlinkError {
    move |source| NetlinkError::Call { call, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_netlink_message() {
        let header = [2];
        let question = DumpRequest { what: "forwarding", ask: 82, answer: 80, header: &header };
        let request = question.request(7);
        assert_eq!(request.len(), 20, "padded to 4 bytes");
        let message = NetlinkBuffer::new_checked(request.as_slice()).unwrap();
        assert_eq!((message.length(), message.message_type(), message.sequence_number()), (17, 82, 7));
        assert_eq!(message.payload(), [2]);
    }

    #[test]
    fn messages_are_walked_and_rubbish_ends_the_walk() {
        let question = DumpRequest { what: "", ask: 16, answer: 16, header: &[1, 2, 3] };
        let mut datagram = question.request(1);
        datagram.extend(question.request(2));
        datagram.extend([9; 5]);
        let seen: Vec<_> = messages(&datagram).map(|message| message.map(|m| m.sequence_number())).collect();
        assert_eq!(seen.len(), 3);
        assert_eq!(seen[..2], [Ok(1), Ok(2)]);
        assert!(seen[2].is_err());
    }
}

/// What the kernel would write, for tests.
#[cfg(test)]
pub(super) mod sample {
    /// An attribute (`struct nlattr`): its length, its type, its value, and zeros up to a multiple of 4.
    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }
}
