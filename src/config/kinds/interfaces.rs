//! The kinds for names of interfaces and for local networks.

use ipnet::IpNet;

use crate::capture::LocalNetworks;
use crate::config::addresses;
use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::units::{self, ListItem};
use crate::config::value_error::ValueError;

/// Names of interfaces, or shell patterns with `*` and `?`; one that is listed twice is kept once.
pub(in crate::config) struct InterfaceNames;

impl Kind<Vec<String>> for InterfaceNames {
    fn form(&self) -> String {
        "interface names with commas between them, or nothing".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Vec<String>, ValueError> {
        let mut names: Vec<String> = Vec::new();
        for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(self.form()))? {
            why_invalid(text, &self.form()).map_or(Ok(()), |error| Err(error.at(span)))?;
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

/// Returns why no interface can have a name that this pattern matches, and what to write; `None` if one can
/// (`dev_valid_name` of net/core/dev.c). The kernel tests bytes and this function tests characters, so it also refuses
/// Unicode white space, which the kernel accepts. Brackets, semicolons and `@` are refused although the kernel accepts
/// them in names: who writes them means something else.
fn why_invalid(name: &str, form: &str) -> Option<ValueError> {
    if let Some(at) = name.find('@') {
        // ip(8) shows a device on top of another one, and one end of a pair, as `name@other`.
        let (name, other) = name.split_at(at);
        let label = format!("`{other}` is not part of the name");
        return Some(ValueError::write(label, format!("`{name}`, the interface name before the `@`")));
    }
    if name.contains(';') {
        let commas = joined_by_commas(name.split(';'));
        let help = format!("interface names have commas between them: write `{commas}`");
        return Some(ValueError::new("a semicolon between names", help));
    }
    if name.contains(['[', ']', '{', '}', '(', ')']) {
        let help = "of shell patterns only `*` and `?` can be in interface names: write these, or each name";
        return Some(ValueError::new("brackets", help));
    }
    if name.chars().filter(|&c| c != '*').map(char::len_utf8).sum::<usize>() > INTERFACE_NAME_BYTES_MAX {
        let label = format!("an interface name has at most {INTERFACE_NAME_BYTES_MAX} bytes");
        return Some(ValueError::write(label, form));
    }
    if name.contains(char::is_whitespace) {
        let commas = joined_by_commas(name.split_whitespace());
        let help = format!("interface names have commas between them: write `{commas}`");
        return Some(ValueError::new("no interface can have this name", help));
    }
    if matches!(name, "." | "..") || name.contains(|c: char| matches!(c, '/' | ':') || c.is_control()) {
        return Some(ValueError::write("no interface can have this name", form));
    }
    None
}

/// Joins the parts that are not empty.
fn joined_by_commas<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    parts.map(str::trim).filter(|part| !matches!(*part, "" | ",")).collect::<Vec<_>>().join(",")
}

/// Maximum number of bytes of an interface name (`IFNAMSIZ` of linux/if.h without the final zero).
const INTERFACE_NAME_BYTES_MAX: usize = 15;
