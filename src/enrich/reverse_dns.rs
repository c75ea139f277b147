//! Names of hosts by reverse DNS: the choice of servers, a cache, and a pause after failures.
//!
//! A lookup takes at most two seconds by default. It fails if no server answers in that time, if the servers answer
//! with a failure (such as SERVFAIL or REFUSED), or if `/etc/resolv.conf` cannot be read or contains no server. After a
//! lookup that failed, no query is sent for half a minute about addresses of the same zone: a stranger whose name
//! servers are down hides no other names. After lookups in several zones in a row without any answer, none is sent
//! about any address for half a minute, so that a resolver that is down does not delay each notice.
//!
//! The owner of an address chooses its name. Only letters, digits, dots, hyphens and underscores are accepted, so a
//! name can be shown wherever an address can. Who owns the name is asked as well: a name whose own addresses (A, AAAA)
//! do not contain this one, or are not found in time, ends with `?`.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ptr::{leads_to, query};
use crate::bounded_file;

/// The name servers, and the timeout of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReverseDnsOptions {
    /// The name servers; `None` stands for the first ones in `/etc/resolv.conf` at the time of a lookup.
    pub servers: Option<Vec<SocketAddr>>,
    /// Timeout of a lookup, for all queries to all servers together.
    pub timeout: Duration,
}

impl Default for ReverseDnsOptions {
    fn default() -> Self {
        Self { servers: None, timeout: Duration::from_secs(2) }
    }
}

impl ReverseDnsOptions {
    /// Returns the name servers of the options, else those of `/etc/resolv.conf` now; none if it cannot be read.
    pub fn name_servers(&self) -> Vec<SocketAddr> {
        self.servers.clone().or_else(|| system_servers().ok()).unwrap_or_default()
    }
}

/// A caching client of reverse DNS.
#[derive(Debug)]
pub(crate) struct ReverseDns {
    options: ReverseDnsOptions,
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    /// The name of each address, or `None` if it has no name, and the time until which the entry is used.
    names: HashMap<IpAddr, (Option<String>, Instant)>,
    /// The zones in which a lookup failed, and the time until which no query about them is sent.
    failed_zones: HashMap<IpAddr, Instant>,
    /// Number of lookups in a row that no name server answered.
    unanswered: u32,
    /// The time until which no query is sent; `None` if name servers have answered so far.
    paused_until: Option<Instant>,
}

impl ReverseDns {
    /// Creates a client with an empty cache.
    pub(crate) fn new(options: ReverseDnsOptions) -> Self {
        Self { options, cache: Mutex::default() }
    }

    /// Returns the timeout of a lookup.
    pub(crate) fn timeout(&self) -> Duration {
        self.options.timeout
    }

    /// Returns the name of an address, from the cache or by a lookup, which blocks until the timeout at most. Returns
    /// `None` if the address has no name or only one that cannot be shown, if the lookup fails, and while lookups are
    /// paused.
    pub(crate) fn name_of(&self, address: IpAddr) -> Option<String> {
        let began = Instant::now();
        {
            // A panic ends the program, so the lock is never poisoned.
            let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
            match cache.names.get(&address) {
                Some((name, until)) if began < *until => return name.clone(),
                _ if cache.paused_until.is_some_and(|until| began < until) => return None,
                _ if cache.failed_zones.get(&zone(address)).is_some_and(|until| began < *until) => {
                    return None;
                }
                _ => {}
            }
        }
        // The lock is not held during the lookup, so that other sinks can use the cache.
        let deadline = began + self.options.timeout;
        let answer = self.ask(deadline, |server, timeout| query(server, address, timeout));
        let answer = answer.map(|name| name.map(|name| self.confirmed(name, address, deadline)));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match answer {
            Ok(name) => {
                if cache.names.len() >= CACHED_MAX {
                    cache.names.clear();
                }
                cache.unanswered = 0;
                let is_sure = name.as_ref().is_some_and(|name| !name.ends_with(UNCONFIRMED));
                let lifetime = if is_sure { NAME_LIFETIME } else { NO_NAME_LIFETIME };
                cache.names.insert(address, (name.clone(), Instant::now() + lifetime));
                name
            }
            Err(error) => {
                let until = Instant::now() + PAUSE;
                if cache.failed_zones.len() >= CACHED_MAX {
                    cache.failed_zones.clear();
                }
                cache.failed_zones.insert(zone(address), until);
                // A failure that a server reports is an error of another kind: that server works.
                cache.unanswered =
                    if error.kind() == io::ErrorKind::Other { 0 } else { cache.unanswered + 1 };
                if cache.unanswered >= UNANSWERED_MAX {
                    cache.unanswered = 0;
                    cache.paused_until = Some(until);
                }
                None
            }
        }
    }

    /// Returns the name, with [`UNCONFIRMED`] after it unless it has the address among its own.
    fn confirmed(&self, mut name: String, address: IpAddr, deadline: Instant) -> String {
        let is_confirmed = self.ask(deadline, |server, timeout| leads_to(server, &name, address, timeout));
        if !is_confirmed.unwrap_or(false) {
            name.push(UNCONFIRMED);
        }
        name
    }

    /// Sends queries to all name servers in turn, and then to all of them again, until one of them answers. Each query
    /// has an equal share of the timeout.
    ///
    /// # Errors
    /// The last query failed, or there are no name servers.
    fn ask<T>(
        &self,
        deadline: Instant,
        query: impl Fn(SocketAddr, Duration) -> io::Result<T>,
    ) -> io::Result<T> {
        let servers = match &self.options.servers {
            Some(servers) => servers.clone(),
            None => system_servers()?,
        };
        let attempts = 2 * servers.len().max(1);
        let share = self.options.timeout / u32::try_from(attempts).unwrap_or(u32::MAX);
        let mut last = Err(io::Error::new(io::ErrorKind::NotFound, "there is no name server"));
        for server in servers.iter().cycle().take(attempts) {
            let left = deadline.saturating_duration_since(Instant::now());
            last = query(*server, share.min(left));
            if last.is_ok() || left.is_zero() {
                break;
            }
        }
        last
    }
}

/// Returns the first address of the zone in which the name of an address is delegated most often: a /24 of IPv4, a /48
/// of IPv6 (RFC 2317 and RFC 6177 describe smaller and larger ones).
fn zone(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80)).into(),
    }
}

/// The mark after a name that does not lead back to its address. It cannot be part of a name that is accepted.
const UNCONFIRMED: char = '?';
/// Number of lookups in a row without an answer after which no query is sent for a while.
const UNANSWERED_MAX: u32 = 3;
/// Maximum number of addresses in the cache; it is cleared when it is full.
const CACHED_MAX: usize = 4096;
/// How long a name is cached. Its TTL is ignored, since it is often a few seconds.
const NAME_LIFETIME: Duration = Duration::from_secs(3600);
/// How long it is cached that an address has no name.
const NO_NAME_LIFETIME: Duration = Duration::from_secs(300);
/// How long no query is sent after a lookup that failed.
const PAUSE: Duration = Duration::from_secs(30);
/// Maximum number of name servers that are taken from `/etc/resolv.conf`: MAXNS of resolv.conf(5).
const SYSTEM_SERVERS_MAX: usize = 3;

/// Maximum number of bytes of `/etc/resolv.conf`.
const RESOLV_CONF_BYTES_MAX: u64 = 1 << 16;

/// Returns the first name servers in `/etc/resolv.conf`.
fn system_servers() -> io::Result<Vec<SocketAddr>> {
    let text =
        bounded_file::read(Path::new("/etc/resolv.conf"), RESOLV_CONF_BYTES_MAX).map_err(io::Error::other)?;
    let config = resolv_conf::Config::parse(text).map_err(io::Error::other)?;
    let servers = config.nameservers.iter().map(|server| SocketAddr::new(server.into(), 53));
    Ok(servers.take(SYSTEM_SERVERS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use simple_dns::rdata::{A, PTR, RData};
    use simple_dns::{CLASS, Name, Packet, RCODE, ResourceRecord};

    use super::*;

    /// Starts a name server that sends these answers and reports each question.
    fn serve(answers: &'static [(RCODE, Option<&'static str>)]) -> (SocketAddr, Receiver<String>) {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = socket.local_addr().expect("it is bound");
        let (reported, asked) = channel();
        thread::spawn(move || {
            let mut bytes = [0; 1232];
            let mut answers = answers.iter();
            loop {
                let (length, from) = socket.recv_from(&mut bytes).expect("a question");
                let query = Packet::parse(&bytes[..length]).expect("it is well-formed");
                let question = query.questions[0].qname.to_string();
                let is_reverse = question.ends_with(".arpa");
                let mut reply = Packet::new_reply(query.id());
                reply.questions.clone_from(&query.questions);
                if is_reverse {
                    // Further queries have no answer.
                    let Some((code, name)) = answers.next() else { continue };
                    // The question is reported before the answer, after which the test reads it.
                    let _ = reported.send(question.clone());
                    *reply.rcode_mut() = *code;
                    reply.answers.extend(name.map(|name| record(&question, name)));
                } else if !question.starts_with("stranger") {
                    reply.answers.push(address_record(&question));
                }
                // A forged answer with another id comes first.
                let mut forged = Packet::new_reply(query.id().wrapping_add(1));
                forged.answers.push(record(&question, "forged.example"));
                socket.send_to(&forged.build_bytes_vec().expect("it is small"), from).expect("loopback");
                socket.send_to(&reply.build_bytes_vec().expect("it is small"), from).expect("loopback");
            }
        });
        (address, asked)
    }

    fn record<'a>(owner: &'a str, name: &'a str) -> ResourceRecord<'a> {
        let (owner, name) = (Name::new_unchecked(owner), Name::new_unchecked(name));
        ResourceRecord::new(owner, CLASS::IN, 60, RData::PTR(PTR(name)))
    }

    /// Every name of the tests but that of the stranger leads to this address.
    fn address_record(owner: &str) -> ResourceRecord<'_> {
        let address = Ipv4Addr::new(192, 0, 2, 1).into();
        ResourceRecord::new(Name::new_unchecked(owner), CLASS::IN, 60, RData::A(A { address }))
    }

    fn names(servers: Vec<SocketAddr>, timeout: Duration) -> ReverseDns {
        ReverseDns::new(ReverseDnsOptions { servers: Some(servers), timeout })
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_name_is_queried_once_and_forged_answers_are_ignored() {
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
                assert_eq!(names.name_of(*address), *want, "{address}");
            }
        }
        let nibbles = format!("1.{}8.b.d.0.1.0.0.2.ip6.arpa", "0.".repeat(23));
        let questions: Vec<String> = asked.try_iter().collect();
        assert_eq!(questions, ["1.2.0.192.in-addr.arpa", &nibbles, "3.2.0.192.in-addr.arpa"]);
    }

    #[test]
    fn a_name_server_that_fails_is_skipped() {
        let (broken, _) = serve(&[(RCODE::ServerFailure, None), (RCODE::ServerFailure, None)]);
        let (works, _) = serve(&[(RCODE::NoError, Some("a.example"))]);
        assert_eq!(
            names(vec![broken, works], HOUR).name_of([192, 0, 2, 1].into()),
            Some("a.example".to_owned())
        );
    }

    #[test]
    fn a_name_that_does_not_lead_back_to_its_address_is_marked() {
        let (server, _) = serve(&[
            (RCODE::NoError, Some("stranger.example")),
            (RCODE::NoError, Some("a.example")),
            (RCODE::NoError, Some("a.example")),
        ]);
        let names = names(vec![server], HOUR);
        // The name is that of 192.0.2.1 alone.
        for (host, want) in [(7, "stranger.example?"), (1, "a.example"), (9, "a.example?")] {
            assert_eq!(names.name_of([192, 0, 2, host].into()).as_deref(), Some(want));
            assert_eq!(names.name_of([192, 0, 2, host].into()).as_deref(), Some(want), "it is cached");
        }
    }

    #[test]
    fn a_failure_counts_against_its_zone_and_silence_in_several_zones_pauses_all() {
        let (server, asked) = serve(&[
            (RCODE::ServerFailure, None),
            (RCODE::ServerFailure, None),
            (RCODE::NoError, Some("a.example")),
        ]);
        let names = names(vec![server], HOUR);
        assert_eq!(names.name_of([198, 51, 100, 1].into()), None);
        assert_eq!(names.name_of([198, 51, 100, 2].into()), None, "the same zone is not asked for again");
        assert_eq!(names.name_of([192, 0, 2, 1].into()).as_deref(), Some("a.example"));
        assert_eq!(asked.try_iter().count(), 3, "two attempts, and one for the other zone");

        let (silent, _) = serve(&[]);
        let names = ReverseDns::new(ReverseDnsOptions {
            servers: Some(vec![silent]),
            timeout: Duration::from_millis(20),
        });
        for zone in [1, 1, 2, 3] {
            assert!(names.cache.lock().expect("no thread panicked").paused_until.is_none());
            assert_eq!(names.name_of([10, 0, zone, 1].into()), None);
        }
        let cache = names.cache.lock().expect("no thread panicked");
        assert!(cache.paused_until.is_some() && cache.names.is_empty());
        drop(cache);
        // A query would block for an hour.
        let names = ReverseDns { options: ReverseDnsOptions { timeout: HOUR, ..names.options }, ..names };
        assert_eq!(names.name_of([192, 0, 2, 2].into()), None);
    }
}
