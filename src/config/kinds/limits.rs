//! The kinds for limits of some networks, and for networks whose hosts are never reported.

use std::ops::Range;

use ipnet::IpNet;

use super::numbers::{ByteCount, OrOff, PerSecond, Whole};
use crate::config::addresses;
use crate::config::context::Context;
use crate::config::key::SettingKey;
use crate::config::kind::Kind;
use crate::config::limit_for::LimitFor;
use crate::config::ranges::{CONTACTED_HOSTS, CONTACTED_PORTS, LIMIT_BYTES, RATES};
use crate::config::units::{self, ListItem};
use crate::config::value_error::ValueError;
use crate::detect::{FindingKind, HostLimit, LimitException};
use crate::flow::Metric;

/// Addresses and networks; one that is listed twice is kept once.
pub(in crate::config) struct Sources;

impl Kind<Vec<IpNet>> for Sources {
    fn form(&self) -> String {
        "addresses and networks with commas between them, such as 10.0.0.5, 10.0.9.0/24, or nothing"
            .to_owned()
    }

    fn read(&self, text: &str, context: &Context) -> Result<Vec<IpNet>, ValueError> {
        let mut networks = Vec::new();
        for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(self.form()))? {
            let network = network(text, &self.form(), context).map_err(|error| error.at(span))?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(networks)
    }

    fn print(&self, value: &Vec<IpNet>) -> String {
        units::joined(value)
    }
}

/// Lines, each with a network and its limits: `NETWORK KEY VALUE, KEY VALUE`.
pub(in crate::config) struct LimitLines;

impl Kind<Vec<LimitFor>> for LimitLines {
    fn form(&self) -> String {
        "a network and its limits, such as 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off".to_owned()
    }

    fn read(&self, text: &str, context: &Context) -> Result<Vec<LimitFor>, ValueError> {
        self.read_next(&Vec::new(), text, context)
    }

    fn may_repeat(&self) -> bool {
        true
    }

    fn read_next(
        &self,
        earlier: &Vec<LimitFor>,
        text: &str,
        context: &Context,
    ) -> Result<Vec<LimitFor>, ValueError> {
        let mut limits = earlier.clone();
        if !text.is_empty() {
            limits.push(limit_for(text, &self.form(), earlier, context)?);
        }
        Ok(limits)
    }

    fn print(&self, value: &Vec<LimitFor>) -> String {
        self.lines(value).join("; ")
    }

    fn lines(&self, value: &Vec<LimitFor>) -> Vec<String> {
        match value.as_slice() {
            [] => vec![String::new()],
            limits => limits.iter().map(ToString::to_string).collect(),
        }
    }
}

/// Reads one line. `earlier` are the lines before it.
fn limit_for(
    text: &str,
    form: &str,
    earlier: &[LimitFor],
    context: &Context,
) -> Result<LimitFor, ValueError> {
    let Some((address, limits)) = text.split_once(char::is_whitespace) else {
        return Err(ValueError::write("a network without a limit", form));
    };
    if let Some(mark) = address.find([',', ';']) {
        let label = match address[mark + 1..].is_empty() {
            true => "nothing stands between a network and its limits",
            false => "a second network, which needs a line of its own",
        };
        return Err(ValueError::write(label, form).at(mark..address.len()));
    }
    let network = network(address, form, context).map_err(|error| error.at(0..address.len()))?;
    if earlier.iter().any(|limit| limit.network == network) {
        let help = "write all limits of a network behind each other, with commas between them";
        return Err(ValueError::new("this network has limits already", help).at(0..address.len()));
    }
    let start = address.len() + 1;
    let moved = |span: Range<usize>| span.start + start..span.end + start;
    let limits = units::list(limits).map_err(|error| {
        let span = moved(error.span.clone());
        error.into_value(form).at(span)
    })?;
    let mut exceptions: Vec<LimitException> = Vec::new();
    for ListItem { text, span } in limits {
        let exception = exception(text, form, context).map_err(|error| error.at(moved(span.clone())))?;
        if exceptions.iter().any(|earlier| earlier.kind == exception.kind) {
            return Err(ValueError::write("this limit is set already", form).at(moved(span)));
        }
        context.check_limit(exception.kind).map_err(|error| error.at(moved(span)))?;
        exceptions.push(exception);
    }
    Ok(LimitFor { network, exceptions })
}

/// Reads one limit of a line: a key and a value.
fn exception(text: &str, form: &str, context: &Context) -> Result<LimitException, ValueError> {
    let (name, value) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let value = value.trim();
    let found = FindingKind::of_limit(name).and_then(|kind| Some((kind, kind.limit()?)));
    if found.is_none() && text.contains([':', '=']) {
        return Err(ValueError::write("a space is enough between a limit and its value", form));
    }
    if value.is_empty() && (found.is_some() || SettingKey::named(name).is_some()) {
        return Err(ValueError::write("a limit without a value", form));
    }
    let Some((kind, &HostLimit { metric, .. })) = found else {
        return Err(ValueError::new("not a limit of hosts", format!("it may be {}", limit_keys())));
    };
    let count = |range| OrOff(Whole(range)).read(value, context).map(|max| max.map(u64::from));
    let max = match metric {
        Metric::IpBytes | Metric::ReceivedBytes => OrOff(ByteCount(LIMIT_BYTES)).read(value, context),
        Metric::ContactedHosts => count(CONTACTED_HOSTS),
        Metric::ContactedPorts => count(CONTACTED_PORTS),
        Metric::PacketsPerS | Metric::ContactsPerS => {
            OrOff(PerSecond(RATES)).read(value, context).map(|max| max.map(u64::from))
        }
    };
    max.map(|max| LimitException { kind, max })
}

/// Returns the keys of the limits of hosts as a list in a sentence, ordered by metric.
fn limit_keys() -> String {
    let mut limits: Vec<&HostLimit> = FindingKind::ALL.into_iter().filter_map(FindingKind::limit).collect();
    limits.sort_by_key(|limit| limit.metric);
    let keys: Vec<&str> = limits.iter().map(|limit| limit.key).collect();
    match keys.as_slice() {
        [others @ .., last] if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        keys => keys.concat(),
    }
}

/// Reads a network, which must not be smaller than a host.
fn network(text: &str, form: &str, context: &Context) -> Result<IpNet, ValueError> {
    let network = addresses::network(text, form)?;
    context.check_network(network)?;
    Ok(network)
}
