//! Reads limits that may be off, limits of networks, and lists of networks.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::sink_settings::whole;
use super::{ValueError, bytes, items};
use crate::config::key::SettingKey;
use crate::config::limit_for::LimitFor;
use crate::config::units::{self, Amount, ListItem, within};
use crate::config::{CONTACTED_HOSTS, CONTACTED_PORTS, GROUP_IPV6, LIMIT_BYTES, RATES};
use crate::detect::{FindingKind, HostLimit, LimitException};
use crate::flow::Metric;

/// A limit in bytes, or none.
pub(super) fn byte_limit(value: &str) -> Result<Option<u64>, ValueError> {
    unless_off(value, |value| bytes(value, &LIMIT_BYTES))
}

/// A limit of things in a second, or none.
pub(super) fn rate(value: &str) -> Result<Option<u32>, ValueError> {
    unless_off(value, |value| {
        units::amount(value).and_then(|number| within(number, &RATES)).map_err(|error| {
            let (min, max) = (Amount(u64::from(*RATES.start())), Amount(u64::from(*RATES.end())));
            let help = format!("a number from {min} to {max}, such as 500, 10K or 1.5M");
            ValueError::new(error, format!("write {help}"))
        })
    })
}

/// The prefix that IPv6 hosts are taken for one by, or none.
pub(super) fn group_ipv6(value: &str) -> Result<Option<u8>, ValueError> {
    unless_off(value, |value| {
        units::whole(value).and_then(|number| within(number, &GROUP_IPV6)).map_err(|error| {
            let (min, max) = (GROUP_IPV6.start(), GROUP_IPV6.end());
            ValueError::new(error, format!("write a prefix length from {min} to {max}, such as 64"))
        })
    })
}

fn unless_off<T>(
    value: &str,
    read: impl FnOnce(&str) -> Result<T, ValueError>,
) -> Result<Option<T>, ValueError> {
    if value == "off" {
        return Ok(None);
    }
    read(value).map(Some).map_err(|error| ValueError { help: format!("{}; or `off`", error.help), ..error })
}

/// Addresses and networks, each once.
pub(super) fn sources(value: &str, group: Option<u8>) -> Result<Vec<IpNet>, ValueError> {
    let form =
        "write addresses and networks with commas between them, such as 10.0.0.5, 10.0.9.0/24, or nothing";
    let mut networks = Vec::new();
    for ListItem { text, span } in items(value, form)? {
        let network = network(text, group, form).map_err(|error| error.at(span))?;
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(networks)
}

/// `NETWORK KEY VALUE, KEY VALUE`.
pub(super) fn limit_for(
    value: &str,
    group: Option<u8>,
    analyses_ports: bool,
    before: &[LimitFor],
) -> Result<LimitFor, ValueError> {
    let form = "write a network and its limits, such as 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off";
    let Some((place, limits)) = value.split_once(char::is_whitespace) else {
        return Err(ValueError::new("a network without a limit", form));
    };
    let network = network(place, group, form).map_err(|error| error.at(0..place.len()))?;
    if before.iter().any(|earlier| earlier.network == network) {
        let help = "write all limits of a network behind each other, with commas between them";
        return Err(ValueError::new("this network has limits already", help).at(0..place.len()));
    }
    let start = place.len() + 1;
    let moved = |span: std::ops::Range<usize>| span.start + start..span.end + start;
    let limits =
        units::list(limits).map_err(|error| ValueError::new(error.what, form).at(moved(error.span)))?;
    let mut exceptions: Vec<LimitException> = Vec::new();
    for ListItem { text, span } in limits {
        let exception = exception(text, form).map_err(|error| error.at(moved(span.clone())))?;
        if exceptions.iter().any(|earlier| earlier.kind == exception.kind) {
            return Err(ValueError::new("this limit is set already", form).at(moved(span)));
        }
        if exception.kind.metric() == Some(Metric::ContactedPorts) && !analyses_ports {
            let error = ValueError::new("no ports are counted", "write `AnalyzePorts: true` as well");
            return Err(error.at(moved(span)).against(SettingKey::AnalyzePorts, "off"));
        }
        exceptions.push(exception);
    }
    Ok(LimitFor { network, exceptions })
}

fn exception(text: &str, form: &str) -> Result<LimitException, ValueError> {
    let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let value = value.trim();
    let found = FindingKind::of_limit(name).and_then(|kind| Some((kind, kind.limit()?)));
    if value.is_empty() && (found.is_some() || SettingKey::named(name).is_some()) {
        return Err(ValueError::new("a limit without a value", form));
    }
    let Some((kind, &HostLimit { metric, .. })) = found else {
        return Err(ValueError::new("not a limit of hosts", format!("it may be {}", limit_keys())));
    };
    let count = |range| unless_off(value, |value| whole(value, range)).map(|max| max.map(u64::from));
    let max = match metric {
        Metric::IpBytes | Metric::ReceivedBytes => byte_limit(value),
        Metric::ContactedHosts => count(&CONTACTED_HOSTS),
        Metric::ContactedPorts => count(&CONTACTED_PORTS),
        Metric::PacketsPerS | Metric::ContactsPerS => rate(value).map(|max| max.map(u64::from)),
    };
    max.map(|max| LimitException { kind, max })
}

/// The keys of the limits of hosts, as a sentence lists them: by metric.
fn limit_keys() -> String {
    let mut limits: Vec<&HostLimit> = FindingKind::ALL.into_iter().filter_map(FindingKind::limit).collect();
    limits.sort_by_key(|limit| limit.metric);
    let keys: Vec<&str> = limits.iter().map(|limit| limit.key).collect();
    match keys.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        keys => keys.concat(),
    }
}

/// A network, or an address as the network of itself alone.
fn network(text: &str, group: Option<u8>, form: &str) -> Result<IpNet, ValueError> {
    let network: IpNet = match (text.parse(), text.parse::<IpAddr>().map(IpNet::from)) {
        (Ok(network), _) | (Err(_), Ok(network)) => network,
        (Err(_), Err(_)) => return Err(ValueError::new("neither an address nor a network", form)),
    };
    if network.trunc() != network {
        let help = format!("write {} for the network with this address", network.trunc());
        return Err(ValueError::new("bits are set behind the prefix", help));
    }
    match group {
        Some(len) if network.addr().is_ipv6() && network.prefix_len() > len => {
            let help = format!("IPv6 hosts are told apart by their first {len} bits: write a shorter prefix");
            Err(ValueError::new("smaller than a host", help)
                .against(SettingKey::GroupIPv6, "what one host is"))
        }
        _ => Ok(network),
    }
}
