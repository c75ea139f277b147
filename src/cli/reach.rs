//! Says at the start, and after a reload of the receivers, which addresses of the configuration the filter of addresses
//! of the unit refuses: a connection to them would only time out, and a client would get no answer and no reason.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::thread;

use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use tracing::{debug, warn};
use traffic_alerted::alert::SinkOptions;
use traffic_alerted::config::Config;
use traffic_alerted::enrich::ReverseDnsOptions;
use traffic_alerted::sandbox::{self, ThreadKind};
use traffic_alerted::supervisor::address_filter::{self, Reach};

/// Logs whether clients of the API are refused that are not on this host. Sends nothing that leaves this host.
pub(super) fn check_clients(listen: SocketAddr) {
    let ip = listen.ip().to_canonical();
    if ip.is_loopback() {
        return;
    }
    let networks = own_networks().unwrap_or_default();
    let is_served = |network: &&IpNet| match ip.is_unspecified() {
        // A socket at `::` serves IPv4, too.
        true => ip.is_ipv6() || network.addr().is_ipv4(),
        false => network.addr() == ip,
    };
    let is_refused = |network: &&IpNet| address_filter::ask(network.addr()) == Reach::Refused;
    let refused: BTreeSet<String> = networks
        .iter()
        .filter(is_served)
        .filter(is_refused)
        .map(|network| network.trunc().to_string())
        .collect();
    if !refused.is_empty() {
        let what = format!("ListenAddress {listen}: clients that no IPAddressAllow= names get no answer");
        say(&what, &refused.into_iter().collect::<Vec<_>>());
    }
}

/// The check of the receivers that runs, and the one that follows it.
static CHECKS: Mutex<Checks<Config>> = Mutex::new(Checks { is_running: false, next: None });

/// At most one check at a time: the resolver of the system has no timeout, so with name servers that do not answer the
/// threads of many reloads would pile up. What comes while one runs is checked after it, the newest only.
struct Checks<T> {
    is_running: bool,
    next: Option<T>,
}

impl<T> Checks<T> {
    /// Takes what is to be checked. Returns it if a thread must be started that checks it; otherwise the running one
    /// does that later.
    fn begin(&mut self, new: T) -> Option<T> {
        if self.is_running {
            self.next = Some(new);
            return None;
        }
        self.is_running = true;
        Some(new)
    }

    /// Returns what the thread that has ended a check must check next; `None` if it must end.
    fn next(&mut self) -> Option<T> {
        let next = self.next.take();
        self.is_running = next.is_some();
        next
    }
}

/// Looks up the receivers and logs which of them are refused, on a thread of its own, since name servers may be slow.
/// Sends nothing else that leaves this host. Without receivers there is no thread, and never more than one.
pub(super) fn check_receivers(config: &Config) {
    let sinks = config.sink_options();
    let has_receivers = sinks.webhook.is_some() || sinks.syslog.is_some() || sinks.names.is_some();
    // No code panics while it holds this lock.
    let checks = || CHECKS.lock().unwrap_or_else(PoisonError::into_inner);
    if !has_receivers {
        // What waits to be checked is no longer in force.
        checks().next = None;
        return;
    }
    let Some(first) = checks().begin(config.clone()) else { return };
    let check = move || {
        sandbox::enter(ThreadKind::Lookup);
        let mut config = Some(first);
        while let Some(due) = config {
            look_up_receivers(&due);
            config = checks().next();
        }
    };
    if let Err(error) = thread::Builder::new().name("lookup".to_owned()).spawn(check) {
        *checks() = Checks { is_running: false, next: None };
        debug!("the receivers are not checked: {error}");
    }
}

fn look_up_receivers(config: &Config) {
    let sinks = config.sink_options();
    let servers = || ReverseDnsOptions::default().name_servers();
    for (key, receiver) in &config.receivers() {
        match receiver.to_socket_addrs() {
            Ok(addresses) => check_receiver(key, "", addresses),
            Err(_) => check_receiver(key, "its name server ", servers().into_iter()),
        }
    }
    if let Some(names) = sinks.names.as_ref().filter(|_| has_sink(&sinks)) {
        check_receiver("ReverseDNS", "the name server ", names.name_servers().into_iter());
    }
}

/// Returns true if something else than the log takes alerts, and with them the names of hosts.
fn has_sink(sinks: &SinkOptions) -> bool {
    sinks.file.is_some() || sinks.command.is_some() || sinks.webhook.is_some() || sinks.syslog.is_some()
}

fn check_receiver(key: &str, role: &str, addresses: impl Iterator<Item = SocketAddr>) {
    let addresses: BTreeSet<IpAddr> = addresses.map(|address| address.ip().to_canonical()).collect();
    let (mut refused, mut unknown, mut own) = (Vec::new(), Vec::new(), None);
    for address in addresses.into_iter().filter(|address| !address.is_loopback()) {
        match address_filter::ask(address) {
            Reach::NotRefused => {}
            Reach::Refused => refused.push(address.to_string()),
            Reach::OwnRefused(source) => {
                own = Some(source);
                unknown.push(address.to_string());
            }
        }
    }
    if !refused.is_empty() {
        say(&format!("{key}: {role}{} is not reached", refused.join(", ")), &refused);
    }
    if let Some(own) = own {
        let addresses = unknown.join(", ");
        say(
            &format!(
                "{key}: {role}{addresses} is not reached unless IPAddressAllow= names it, since even this host's own \
                 {own} is refused"
            ),
            &unknown,
        );
    }
}

/// Logs what does not work, why, and the remedy.
fn say(what: &str, networks: &[String]) {
    let shown = &networks[..networks.len().min(NETWORKS_SHOWN_MAX)];
    let allow = format!("IPAddressAllow={}", shown.join(" "));
    match address_filter::unit_name() {
        Some(unit) => warn!(
            "{what}: IPAddressDeny= of {unit}.service refuses its packets. Run `systemctl edit {unit}`, write \
             `[Service]` and `{allow}`, and restart {unit}"
        ),
        None => warn!(
            "{what}: a filter refuses its packets: a rule of this host's firewall, or IPAddressDeny= of the service \
             that started the program, which then needs `{allow}`"
        ),
    }
}

/// Maximum number of networks in a remedy.
const NETWORKS_SHOWN_MAX: usize = 8;

/// Returns the own addresses beyond loopback and links, with the length of their networks.
fn own_networks() -> io::Result<Vec<IpNet>> {
    let network = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = ip_of(interface.address.as_ref()?)?;
        let mask = ip_of(interface.netmask.as_ref()?)?;
        IpNet::with_netmask(address, mask).ok()
    };
    let is_wide = |network: &IpNet| match network.addr() {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_link_local(),
        IpAddr::V6(address) => !address.is_loopback() && !address.is_unicast_link_local(),
    };
    Ok(getifaddrs()?.filter_map(network).filter(is_wide).collect())
}

fn ip_of(address: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = || address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4().or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_runs_at_a_time_and_the_newest_of_those_that_wait_follows() {
        let mut checks = Checks { is_running: false, next: None };
        assert_eq!(checks.begin(1), Some(1));
        // Reloads while the name servers do not answer start no further thread.
        assert_eq!((2..100).find_map(|n| checks.begin(n)), None);
        assert_eq!((checks.next(), checks.next()), (Some(99), None));
        assert_eq!(checks.begin(100), Some(100), "the thread has ended");
    }
}
