//! The name of the host that an alert is about, by reverse DNS (RFC 1035 section 3.5, RFC 3596 section 2.5).
//!
//! The sink that comes to a notice first asks, and the others find its answer on the notice; the log never asks
//! and never waits. A notice waits for its name for two seconds at most, and when name servers have not answered,
//! nobody asks them again for half a minute: a dead name server must not make an alert late, one after the other.
//!
//! A name is what its owner says. Only letters, digits, dots, hyphens and underscores are taken, so it can be put
//! anywhere an address can.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question, RCODE, TYPE};

/// Whom to ask, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseDnsOptions {
    /// Who knows names; `None`: whom `/etc/resolv.conf` names at the time.
    pub servers: Option<Vec<SocketAddr>>,
    /// How long all of them together may take.
    pub within: Duration,
}

impl Default for ReverseDnsOptions {
    fn default() -> Self {
        Self { servers: None, within: Duration::from_secs(2) }
    }
}

/// What is known of addresses.
#[derive(Debug)]
pub(crate) struct ReverseDns {
    options: ReverseDnsOptions,
    known: Mutex<CachedName>,
}

#[derive(Debug, Default)]
struct CachedName {
    names: HashMap<IpAddr, (Option<String>, Instant)>,
    /// Until when nobody is asked.
    silent_until: Option<Instant>,
}

impl ReverseDns {
    pub(crate) fn new(options: ReverseDnsOptions) -> Self {
        Self { options, known: Mutex::default() }
    }

    /// How long a notice may wait for its name.
    pub(crate) fn within(&self) -> Duration {
        self.options.within
    }

    /// The name of an address, if it has one and a name server says so in time.
    pub(crate) fn of(&self, address: IpAddr) -> Option<String> {
        let began = Instant::now();
        {
            // Whoever panics ends the program.
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            match known.names.get(&address) {
                Some((name, until)) if began < *until => return name.clone(),
                _ if known.silent_until.is_some_and(|until| began < until) => return None,
                _ => {}
            }
        }
        // Nobody holds the lock meanwhile: another sink may find out what is known.
        let answer = self.ask(address, began + self.options.within);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(name) => {
                if known.names.len() >= KNOWN_MAX {
                    known.names.clear();
                }
                let lasts = if name.is_some() { NAME_LASTS } else { NO_NAME_LASTS };
                known.names.insert(address, (name.clone(), Instant::now() + lasts));
                name
            }
            Err(_) => {
                known.silent_until = Some(Instant::now() + SILENCE);
                None
            }
        }
    }

    /// Asks one name server after the other, twice around, each for its share of the time.
    fn ask(&self, address: IpAddr, deadline: Instant) -> io::Result<Option<String>> {
        let servers = match &self.options.servers {
            Some(servers) => servers.clone(),
            None => system_servers()?,
        };
        let attempts = 2 * servers.len().max(1) as u32;
        let share = self.options.within / attempts;
        let mut last = Err(io::Error::new(io::ErrorKind::NotFound, "there is no name server"));
        for server in servers.iter().cycle().take(attempts as usize) {
            let left = deadline.saturating_duration_since(Instant::now());
            last = ask(*server, address, share.min(left));
            if last.is_ok() || left.is_zero() {
                break;
            }
        }
        last
    }
}

/// Addresses of which something is known; beyond that it is forgotten.
const KNOWN_MAX: usize = 4096;
/// A name is asked for again after this time; what its owner says of it (TTL) is often a few seconds.
const NAME_LASTS: Duration = Duration::from_secs(3600);
/// The same where there was none.
const NO_NAME_LASTS: Duration = Duration::from_secs(300);
/// How long name servers that have not answered are left alone.
const SILENCE: Duration = Duration::from_secs(30);
/// Name servers that are asked, as many as the C library asks.
const SERVERS_MAX: usize = 3;

fn system_servers() -> io::Result<Vec<SocketAddr>> {
    let text = fs::read("/etc/resolv.conf")?;
    let config = resolv_conf::Config::parse(text).map_err(io::Error::other)?;
    let servers = config.nameservers.iter().map(|server| SocketAddr::new(server.into(), 53));
    Ok(servers.take(SERVERS_MAX).collect())
}

/// Asks one name server; an answer without a name is an answer.
fn ask(server: SocketAddr, address: IpAddr, within: Duration) -> io::Result<Option<String>> {
    let deadline = Instant::now() + within;
    let any = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    // A port and an id that a stranger has to guess; connected, so that only this server is heard.
    let socket = UdpSocket::bind(any)?;
    socket.connect(server)?;
    let id = RandomState::new().build_hasher().finish() as u16;
    let asked_for = reverse(address);
    let name = Name::new(&asked_for).map_err(io::Error::other)?;
    let mut query = Packet::new_query(id);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query.questions.push(Question::new(name, TYPE::PTR.into(), CLASS::IN.into(), false));
    socket.send(&query.build_bytes_vec().map_err(io::Error::other)?)?;
    let mut bytes = [0; 1232];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let length = socket.recv(&mut bytes)?;
        if let Some(answer) = answer(&bytes[..length], id, &asked_for) {
            return answer;
        }
    }
}

/// What an answer says; `None` where it answers something else.
fn answer(bytes: &[u8], id: u16, asked_for: &str) -> Option<io::Result<Option<String>>> {
    let packet = Packet::parse(bytes).ok()?;
    let is_ours = packet.id() == id
        && packet.has_flags(PacketFlag::RESPONSE)
        && packet.questions.iter().all(|question| question.qname.to_string().eq_ignore_ascii_case(asked_for));
    if !is_ours {
        return None;
    }
    match packet.rcode() {
        RCODE::NoError | RCODE::NameError => {}
        code => return Some(Err(io::Error::other(format!("the name server says {code:?}")))),
    }
    let name = packet.answers.iter().find_map(|record| match &record.rdata {
        RData::PTR(name) => Some(name.0.to_string()),
        _ => None,
    });
    Some(Ok(name.filter(|name| is_plain(name))))
}

fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    !name.is_empty() && name.len() <= 253 && name.bytes().all(is_plain)
}

/// The name under which the names of an address are: `1.2.0.192.in-addr.arpa`.
fn reverse(address: IpAddr) -> String {
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
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use proptest::prelude::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::PTR;

    use super::*;

    /// A name server that answers each question in this way, and tells of it.
    fn serve(answers: &'static [(RCODE, Option<&'static str>)]) -> (SocketAddr, Receiver<String>) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let (heard, asked) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 1232];
            for (code, name) in answers {
                let (length, from) = socket.recv_from(&mut bytes).expect("a question");
                let query = Packet::parse(&bytes[..length]).expect("it is well-formed");
                let question = query.questions[0].qname.to_string();
                // Before the answer: whoever has that looks here.
                let _ = heard.send(question.clone());
                // From somebody who guesses first.
                let mut forged = Packet::new_reply(query.id().wrapping_add(1));
                forged.answers.push(record(&question, "forged.example"));
                socket.send_to(&forged.build_bytes_vec().expect("it is small"), from).expect("loopback");
                let mut reply = Packet::new_reply(query.id());
                *reply.rcode_mut() = *code;
                reply.questions.clone_from(&query.questions);
                reply.answers.extend(name.map(|name| record(&question, name)));
                socket.send_to(&reply.build_bytes_vec().expect("it is small"), from).expect("loopback");
            }
            // Deaf from here on, and still there.
            loop {
                thread::park();
            }
        });
        (address, asked)
    }

    fn record<'a>(owner: &'a str, name: &'a str) -> ResourceRecord<'a> {
        let (owner, name) = (Name::new_unchecked(owner), Name::new_unchecked(name));
        ResourceRecord::new(owner, CLASS::IN, 60, RData::PTR(PTR(name)))
    }

    fn names(servers: Vec<SocketAddr>, within: Duration) -> ReverseDns {
        ReverseDns::new(ReverseDnsOptions { servers: Some(servers), within })
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_name_is_asked_for_once_and_forgeries_are_not_heard() {
        let (server, asked) = serve(&[
            (RCODE::NoError, Some("laptop.lan.example")),
            (RCODE::NameError, None),
            (RCODE::NoError, Some("evil\"]}name.example")),
        ]);
        let names = names(vec![server], HOUR);
        let addresses: [IpAddr; 3] =
            [[192, 0, 2, 1].into(), "2001:db8::1".parse().expect("an address"), [192, 0, 2, 3].into()];
        let wanted = [Some("laptop.lan.example".to_owned()), None, None];
        for _ in 0..2 {
            for (address, want) in addresses.iter().zip(&wanted) {
                assert_eq!(names.of(*address), *want, "{address}");
            }
        }
        let nibbles = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        let questions: Vec<String> = asked.try_iter().collect();
        assert_eq!(questions, ["1.2.0.192.in-addr.arpa", &nibbles, "3.2.0.192.in-addr.arpa"]);
    }

    #[test]
    fn a_name_server_that_is_deaf_or_broken_is_passed_over_and_then_left_alone() {
        let (broken, _) = serve(&[(RCODE::ServerFailure, None), (RCODE::ServerFailure, None)]);
        let (works, _) = serve(&[(RCODE::NoError, Some("a.example"))]);
        assert_eq!(names(vec![broken, works], HOUR).of([192, 0, 2, 1].into()), Some("a.example".to_owned()));
        let (deaf, _) = serve(&[]);
        let names = names(vec![deaf], Duration::from_millis(20));
        assert_eq!(names.of([192, 0, 2, 1].into()), None);
        let known = names.known.lock().expect("nobody panicked");
        assert!(known.silent_until.is_some() && known.names.is_empty());
        drop(known);
        // Asked, this would take an hour.
        let names = ReverseDns { options: ReverseDnsOptions { within: HOUR, ..names.options }, ..names };
        assert_eq!(names.of([192, 0, 2, 2].into()), None);
    }

    /// An answer to this question, with bytes changed and cut.
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
        /// A panic would end the program, and a name server is a stranger.
        #[test]
        fn whatever_a_name_server_sends_is_a_plain_name_or_none(
            bytes in prop_oneof![damaged(), proptest::collection::vec(any::<u8>(), 0..200)],
        ) {
            if let Some(Ok(Some(name))) = answer(&bytes, 7, "1.2.0.192.in-addr.arpa") {
                prop_assert!(is_plain(&name), "{name:?}");
            }
        }
    }
}
