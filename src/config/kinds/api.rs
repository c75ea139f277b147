//! The kinds for the API: where it listens, its token, and who may make changes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::sinks::FilePath;
use crate::alert::Secret;
use crate::api::{ApiUser, SocketOption, why_no_api_token};
use crate::config::context::Context;
use crate::config::kind::Kind;
use crate::config::units::{self, ListItem};
use crate::config::value_error::ValueError;

/// An address and a port. [`Context::check_listen_address`] checks whether others may reach it.
pub(in crate::config) struct ListenAt;

impl Kind<SocketAddr> for ListenAt {
    fn form(&self) -> String {
        "an address and a port: 127.0.0.1:8698 or [::1]:8698".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<SocketAddr, ValueError> {
        let address: SocketAddr = text.parse().map_err(|_| ValueError::write(fault(text), self.form()))?;
        if text.contains('%') {
            return Err(ValueError::write("an address with an interface", self.form()));
        }
        Ok(address)
    }

    fn print(&self, value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// Returns true for an IPv4 address in brackets.
fn is_ipv4_in_brackets(text: &str) -> bool {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bare.is_some_and(|ip| ip.parse::<Ipv4Addr>().is_ok())
}

/// Returns why a text is not an address with a port.
fn fault(text: &str) -> &'static str {
    match (text.parse::<IpAddr>(), text.rsplit_once(':')) {
        (Ok(_), _) => "no port",
        (_, Some((ip, _))) if ip.parse::<Ipv6Addr>().is_ok() => "IPv6 needs brackets",
        (_, Some(("localhost", _))) => "a name, not an address",
        _ if text.contains("://") => "a URL, not an address and a port",
        _ if text.contains('%') => "an address with an interface",
        (_, Some((ip, _))) if is_ipv4_in_brackets(ip) => "IPv4 has no brackets",
        _ => "not an address and a port",
    }
}

/// A token of the API, or nothing.
pub(in crate::config) struct StrongToken;

impl Kind<Option<Secret>> for StrongToken {
    fn form(&self) -> String {
        "the token that `TrafficAlerted token` prints, without quotes".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Option<Secret>, ValueError> {
        match why_no_api_token(text) {
            _ if text.is_empty() => Ok(None),
            None => Ok(Some(Secret::Here(text.to_owned()))),
            Some(why) => Err(ValueError::write(why, self.form())),
        }
    }

    /// Returns no text, because the token must not be where `check` prints.
    fn print(&self, _: &Option<Secret>) -> String {
        String::new()
    }
}

/// The path of the Unix socket, `auto` or `off`.
pub(in crate::config) struct SocketPath;

impl Kind<SocketOption> for SocketPath {
    fn form(&self) -> String {
        "`auto`, `off`, or an absolute path, in quotes if it has spaces".to_owned()
    }

    fn read(&self, text: &str, context: &Context) -> Result<SocketOption, ValueError> {
        match text {
            "auto" => Ok(SocketOption::Auto),
            "off" => Ok(SocketOption::Off),
            "" => Err(ValueError::write("nothing", self.form())),
            path if path.trim_matches('"').len() > SOCKET_PATH_BYTES_MAX => Err(ValueError::write(
                "longer than the path of a socket may be",
                "a path of at most 107 bytes",
            )),
            path => match FilePath.read(path, context) {
                Ok(Some(path)) => Ok(SocketOption::Path(path)),
                Ok(None) => Err(ValueError::write("nothing", self.form())),
                Err(error) => Err(ValueError::write(error.label, self.form())),
            },
        }
    }

    fn quotes_hold_text(&self) -> bool {
        true
    }

    fn print(&self, value: &SocketOption) -> String {
        match value {
            SocketOption::Auto => "auto".to_owned(),
            SocketOption::Off => "off".to_owned(),
            SocketOption::Path(path) => FilePath.print(&Some(path.clone())),
        }
    }
}

/// Users and groups, with commas between them, or nothing.
pub(in crate::config) struct UserList;

impl Kind<Vec<ApiUser>> for UserList {
    fn form(&self) -> String {
        "names or numbers of users and @names of groups, with commas between them, or nothing".to_owned()
    }

    fn read(&self, text: &str, _: &Context) -> Result<Vec<ApiUser>, ValueError> {
        let mut users: Vec<ApiUser> = Vec::new();
        for ListItem { text, span } in units::list(text).map_err(|error| error.into_value(self.form()))? {
            let no_user = || ValueError::write("neither a user nor a group", self.form()).at(span);
            let user = ApiUser::read(text).ok_or_else(no_user)?;
            if !users.contains(&user) {
                users.push(user);
            }
        }
        Ok(users)
    }

    fn print(&self, value: &Vec<ApiUser>) -> String {
        value.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Maximum number of bytes of the path of a socket: `sun_path` of unix(7) without the zero at its end.
const SOCKET_PATH_BYTES_MAX: usize = 107;
