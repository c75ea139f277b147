//! Reads names of interfaces and the networks behind them.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{ValueError, items};
use crate::capture::LocalNetworks;
use crate::config::INTERFACE_NAME_BYTES_MAX;
use crate::config::key::SettingKey;
use crate::config::units::ListItem;

/// Names of interfaces, each once.
pub(super) fn names(value: &str) -> Result<Vec<String>, ValueError> {
    let form = "write interface names with commas between them, such as \"lo\",\"dummy0\", or nothing";
    let mut names: Vec<String> = Vec::new();
    for ListItem { text, span } in items(value, form)? {
        if let Some(label) = why_no_interface(text) {
            return Err(ValueError::new(label, form).at(span));
        }
        if !names.iter().any(|name| name == text) {
            names.push(text.to_owned());
        }
    }
    Ok(names)
}

/// Interfaces that receive everything, none of which is excluded.
pub(super) fn promiscuous(value: &str, excluded: &[String]) -> Result<Vec<String>, ValueError> {
    let names = names(value)?;
    match names.iter().find(|name| excluded.contains(name)) {
        None => Ok(names),
        Some(name) => {
            let label = format!("`{name}` is not monitored");
            let help = format!("remove `{name}` here, or from `{}`", SettingKey::ExcludedInterfaces);
            Err(ValueError::new(label, help).against(SettingKey::ExcludedInterfaces, "it is excluded here"))
        }
    }
}

/// Networks that are local, or that they are found out.
pub(super) fn local_networks(value: &str) -> Result<LocalNetworks, ValueError> {
    if value == "auto" {
        return Ok(LocalNetworks::Auto);
    }
    let form = "write `auto`, or networks with commas between them, such as 10.0.0.0/8, fd00::/8, or nothing";
    let mut networks: Vec<IpNet> = Vec::new();
    for ListItem { text, span } in items(value, form)? {
        let complain = |label: &str, help: String| ValueError::new(label, help).at(span.clone());
        let network: IpNet = match (text.parse(), text.parse::<IpAddr>()) {
            (Ok(network), _) => network,
            (Err(_), Ok(addr)) => {
                let host = IpNet::from(addr);
                return Err(complain("no prefix length", format!("write {host} for one address; {form}")));
            }
            (Err(_), Err(_)) => return Err(complain("not a network", form.to_owned())),
        };
        if network.prefix_len() == 0 {
            return Err(complain("everything is in it", form.to_owned()));
        }
        if network.trunc() != network {
            let help = format!("write {} for the network with this address", network.trunc());
            return Err(complain("bits are set behind the prefix", help));
        }
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    Ok(LocalNetworks::List(networks))
}

/// Why the kernel would refuse this name (`dev_valid_name` of net/core/dev.c). Its rules are about bytes and
/// ours about characters, so a name with exotic white space cannot be excluded.
fn why_no_interface(name: &str) -> Option<String> {
    if name.len() > INTERFACE_NAME_BYTES_MAX {
        return Some(format!("an interface name has at most {INTERFACE_NAME_BYTES_MAX} bytes"));
    }
    if matches!(name, "." | "..")
        || name.contains(|c: char| matches!(c, '/' | ':') || c.is_whitespace() || c.is_control())
    {
        return Some("no interface can have this name".to_owned());
    }
    None
}
