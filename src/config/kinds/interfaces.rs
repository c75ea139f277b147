//! The kinds for names of interfaces and for local networks.

use ipnet::IpNet;

use crate::capture::LocalNetworks;
use crate::config::addresses;
use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::units::{self, ListItem};
use crate::config::value_error::ValueError;

/// Names of interfaces; a name that is listed twice is kept once.
pub(in crate::config) struct InterfaceNames;

impl Kind<Vec<String>> for InterfaceNames {
    fn form(&self) -> String {
        "interface names with commas between them, such as \"lo\",\"dummy0\", or nothing".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Vec<String>, ValueError> {
        let mut names: Vec<String> = Vec::new();
        for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(self.form()))? {
            if let Some(label) = why_invalid(text) {
                return Err(ValueError::write(label, self.form()).at(span));
            }
            if !names.iter().any(|name| name == text) {
                names.push(text.to_owned());
            }
        }
        Ok(names)
    }

    fn print(&self, value: &Vec<String>) -> String {
        let quoted: Vec<String> = value.iter().map(|name| format!("\"{name}\"")).collect();
        quoted.join(",")
    }
}

/// Networks that are local, or `auto`.
pub(in crate::config) struct NetworkList;

impl Kind<LocalNetworks> for NetworkList {
    fn form(&self) -> String {
        "`auto`, or networks with commas between them, such as 10.0.0.0/8, fd00::/8, or nothing".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<LocalNetworks, ValueError> {
        if text == "auto" {
            return Ok(LocalNetworks::Auto);
        }
        let mut networks: Vec<IpNet> = Vec::new();
        for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(self.form()))? {
            let network = local_network(text, &self.form()).map_err(|error| error.at(span))?;
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(LocalNetworks::List(networks))
    }

    fn print(&self, value: &LocalNetworks) -> String {
        match value {
            LocalNetworks::Auto => "auto".to_owned(),
            LocalNetworks::List(networks) => units::joined(networks),
        }
    }
}

/// Reads one local network.
fn local_network(text: &str, form: &str) -> Result<IpNet, ValueError> {
    if text == "auto" {
        return Err(ValueError::write("it stands alone", form));
    }
    let network = addresses::network(text, form)?;
    if !text.contains('/') {
        let help = format!("write {network} for one address; write {form}");
        return Err(ValueError::new("no prefix length", help));
    }
    if network.prefix_len() == 0 {
        return Err(ValueError::write("everything is in it", form));
    }
    Ok(network)
}

/// Returns why no interface can have this name, or `None` if one can (`dev_valid_name` of net/core/dev.c). The kernel
/// tests bytes and this function tests characters, so it also refuses Unicode white space, which the kernel accepts.
fn why_invalid(name: &str) -> Option<String> {
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

/// Maximum number of bytes of an interface name (`IFNAMSIZ` of linux/if.h without the final zero).
const INTERFACE_NAME_BYTES_MAX: usize = 15;
