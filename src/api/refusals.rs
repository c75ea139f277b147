//! Why the server would not start, as far as it can be seen without changing anything.
//!
//! `check` and the start ask the same, so that they say the same. Whether the port is free is not asked, since a
//! program that runs may have it.

use std::io::{self, ErrorKind};
use std::net::TcpListener;

use super::error::ApiError;
use super::options::Options;
use super::token::{GivenToken, TokenError};
use super::unix_socket::{self, SocketError, SocketOption};

/// Returns why a server with these options would not start. `owners` are the users, besides root, to whom the file of
/// the token may belong. What this process has no right to look at is left to the start.
pub fn refusals(options: &Options, owners: &[u32]) -> Vec<ApiError> {
    let token = GivenToken::read(options.token.as_ref());
    let token = token.and_then(|token| token.map(|token| token.checked_for(owners)).transpose());
    let socket = match &options.socket {
        SocketOption::Path(path) => unix_socket::look(path),
        SocketOption::Auto | SocketOption::Off => Ok(()),
    };
    let is_seen = |error: &io::Error| error.kind() != ErrorKind::PermissionDenied;
    let token = token.err().filter(|error| match error {
        TokenError::Read { source, .. } => is_seen(source),
        _ => true,
    });
    let socket = socket.err().filter(|error| match error {
        SocketError::System { source, .. } => is_seen(source),
        _ => true,
    });
    let reach = [check_reach(options), check_address(options)].into_iter().filter_map(Result::err);
    reach.chain(token.map(ApiError::Token)).chain(socket.map(ApiError::Socket)).collect()
}

/// Returns the warning that there will be no socket, although the options do not turn it off; `None` if it can be made.
pub fn socket_warning(options: &Options) -> Option<String> {
    let path = options.socket.path().filter(|_| options.socket == SocketOption::Auto)?;
    match unix_socket::look(&path) {
        // The start may make the folder, and may look where this process may not.
        Ok(()) | Err(SocketError::System { .. }) => None,
        Err(error) => Some(without_socket(&error)),
    }
}

pub(super) fn without_socket(error: &SocketError) -> String {
    format!("there is no API socket: {error}; `ApiSocket: off` or another path ends this warning")
}

/// Checks that other machines reach the address only if there is a token.
pub(super) fn check_reach(options: &Options) -> Result<(), ApiError> {
    let addr = options.listen;
    if addr.ip().to_canonical().is_loopback() || options.token.is_some() {
        return Ok(());
    }
    Err(ApiError::NotLoopback { addr })
}

/// Checks that this machine has the address, at a port that the kernel chooses.
fn check_address(options: &Options) -> Result<(), ApiError> {
    match TcpListener::bind((options.listen.ip(), 0)) {
        Err(source) if source.kind() == ErrorKind::AddrNotAvailable => {
            Err(ApiError::refused(options.listen, source))
        }
        _ => Ok(()),
    }
}
