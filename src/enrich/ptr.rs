//! Queries to one name server: PTR (RFC 1035 section 3.5, RFC 3596 section 2.5), and A or AAAA to confirm a name.
//!
//! `simple-dns` writes and parses the messages. A resolver library cannot replace this file: hickory-resolver
//! requires an async runtime, which the threads of the sinks do not have, and `getnameinfo(3)` has no timeout.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// Queries one name server for the name of an address. Returns `None` if the address has no name or only one that
/// cannot be shown.
///
/// # Errors
/// The query cannot be sent, no answer arrives within `timeout`, or the server answers with a failure.
pub(super) fn query(server: SocketAddr, address: IpAddr, timeout: Duration) -> io::Result<Option<String>> {
    exchange(server, &reverse_name(address), TYPE::PTR, timeout, answer)
}

/// Queries one name server whether `name` has this address among its own (A and AAAA records).
///
/// # Errors
/// As [`query`].
pub(super) fn leads_to(
    server: SocketAddr,
    name: &str,
    address: IpAddr,
    timeout: Duration,
) -> io::Result<bool> {
    let address = address.to_canonical();
    let record = if address.is_ipv4() { TYPE::A } else { TYPE::AAAA };
    exchange(server, name, record, timeout, |bytes, id, asked_for| has_address(bytes, id, asked_for, address))
}

/// Asks for the records of a name, and returns what `read` makes of the first datagram that is an answer.
fn exchange<T>(
    server: SocketAddr,
    asked_for: &str,
    record: TYPE,
    timeout: Duration,
    read: impl Fn(&[u8], u16, &str) -> Option<io::Result<T>>,
) -> io::Result<T> {
    let deadline = Instant::now() + timeout;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // An attacker has to guess port and id. The socket is connected, so only datagrams of this server are received.
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let id = random_id();
    let name = Name::new(asked_for).map_err(io::Error::other)?;
    let mut question = Packet::new_query(id);
    question.set_flags(PacketFlag::RECURSION_DESIRED);
    question.questions.push(Question::new(name, record.into(), CLASS::IN.into(), false));
    socket.send(&question.build_bytes_vec().map_err(io::Error::other)?)?;
    let mut bytes = [0; 1232];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut bytes)?;
        if let Some(answer) = read(&bytes[..length], id, asked_for) {
            return answer;
        }
    }
}

/// Parses a datagram. Returns the name in it, or the failure that the server reports; `None` if the datagram is not an
/// answer to this query.
pub(super) fn answer(bytes: &[u8], id: u16, asked_for: &str) -> Option<io::Result<Option<String>>> {
    let packet = match well_formed(bytes, id, asked_for)? {
        Ok(packet) => packet,
        Err(error) => return Some(Err(error)),
    };
    let name = packet.answers.iter().find_map(|record| match &record.rdata {
        RData::PTR(name) => Some(name.0.to_string()),
        _ => None,
    });
    Some(Ok(name.filter(|name| is_plain(name))))
}

/// Parses a datagram as an answer about the addresses of a name, in the same way.
pub(super) fn has_address(
    bytes: &[u8],
    id: u16,
    asked_for: &str,
    address: IpAddr,
) -> Option<io::Result<bool>> {
    let is_it = |packet: Packet<'_>| {
        packet.answers.iter().any(|record| match &record.rdata {
            RData::A(a) => IpAddr::V4(a.address.into()) == address,
            RData::AAAA(a) => IpAddr::V6(a.address.into()) == address,
            _ => false,
        })
    };
    Some(well_formed(bytes, id, asked_for)?.map(is_it))
}

/// Parses a datagram as an answer to the question, which may be that the name does not exist.
fn well_formed<'b>(bytes: &'b [u8], id: u16, asked_for: &str) -> Option<io::Result<Packet<'b>>> {
    let packet = Packet::parse(bytes).ok()?;
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.iter().all(|question| question.qname.to_string().eq_ignore_ascii_case(asked_for));
    if !is_ours {
        return None;
    }
    Some(match packet.rcode() {
        RCODE::NoError | RCODE::NameError => Ok(packet),
        code => Err(io::Error::other(format!("the name server says {code:?}"))),
    })
}

/// Returns true if the name can be shown wherever an address can.
pub(super) fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 253 && name.bytes().all(is_plain)
}

/// Returns a random query id.
fn random_id() -> u16 {
    let [a, b, ..] = RandomState::new().build_hasher().finish().to_ne_bytes();
    u16::from_ne_bytes([a, b])
}

/// Returns the domain name whose PTR records are the names of an address: `1.2.0.192.in-addr.arpa`.
pub(super) fn reverse_name(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|byte| [byte & 0xf, byte >> 4]);
            let labels: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            format!("{labels}ip6.arpa")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::PTR;

    use super::*;

    fn record<'a>(owner: &'a str, name: &'a str) -> ResourceRecord<'a> {
        let (owner, name) = (Name::new_unchecked(owner), Name::new_unchecked(name));
        ResourceRecord::new(owner, CLASS::IN, 60, RData::PTR(PTR(name)))
    }

    /// An answer to the query with id 7, with bytes changed and cut.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        let mut reply = Packet::new_reply(7);
        let owner = Name::new_unchecked("1.2.0.192.in-addr.arpa");
        reply.questions.push(Question::new(owner, TYPE::PTR.into(), CLASS::IN.into(), false));
        reply.answers.push(record("1.2.0.192.in-addr.arpa", "a.example"));
        let whole = reply.build_bytes_vec_compressed().expect("it is small");
        let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8);
        (changes, any::<prop::sample::Index>()).prop_map(move |(changes, end)| {
            let mut bytes = whole.clone();
            changes.into_iter().for_each(|(at, byte)| {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            });
            bytes.truncate(end.index(bytes.len()) + 1);
            bytes
        })
    }

    proptest! {
        /// A panic would end the program, and a name server is not trusted.
        #[test]
        fn any_datagram_gives_a_plain_name_or_none(
            bytes in prop_oneof![damaged(), proptest::collection::vec(any::<u8>(), 0..200)],
        ) {
            if let Some(Ok(Some(name))) = answer(&bytes, 7, "1.2.0.192.in-addr.arpa") {
                prop_assert!(is_plain(&name), "{name:?}");
            }
        }
    }
}
