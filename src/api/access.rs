//! Who may read and who may make changes.
//!
//! | client | reads | makes changes |
//! | --- | --- | --- |
//! | on the Unix socket | yes | root, the program's user, `ApiUsers`; others with the token |
//! | on loopback | yes | with the token |
//! | elsewhere | with the token | with the token |
//!
//! A request that a proxy has forwarded comes from elsewhere, wherever the proxy runs.
//!
//! The token comes in `Authorization: Bearer` (RFC 6750, 2.1), or the cookie of a session proves that it was shown
//! before to the same client. Nothing here logs or returns a token.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};

use super::attempts::Attempts;
use super::client::{Client, Rank, is_forwarded};
use super::reply::{self, Reply};
use super::sessions::Sessions;
use super::token::HashedSecret;
use super::users::AllowedUsers;
use crate::published::Published;

/// The name of the cookie of a session.
pub(super) const COOKIE_NAME: &str = "TrafficAlerted";

/// Decides who may read and who may make changes.
#[derive(Debug)]
pub(super) struct Access {
    /// `None` if no token is set.
    token: Published<Option<HashedSecret>>,
    users: Published<AllowedUsers>,
    sessions: Mutex<Sessions>,
    attempts: Mutex<Attempts>,
    /// The path of the Unix socket, for the texts of refusals.
    socket: Option<PathBuf>,
}

/// Somebody who may make a change, as the log names him.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Author {
    client: Client,
    by: Proof,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    User,
    Token,
    Session(u64),
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            Proof::User => write!(f, "{}", self.client),
            Proof::Token => write!(f, "{}, with the token", self.client),
            Proof::Session(number) => write!(f, "{}, in session {number}", self.client),
        }
    }
}

/// Why somebody may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denial {
    /// The token is needed, or the one that came is wrong.
    Unauthorized(&'static str),
    /// No token is set, or the user has no right.
    Forbidden(String),
    /// Too many wrong tokens came from there; the seconds of the pause.
    TooMany(u64),
}

impl Denial {
    /// Returns the answer to the request.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Self::Unauthorized(detail) => {
                let mut reply = reply::problem(StatusCode::UNAUTHORIZED, detail);
                reply
                    .headers_mut()
                    .insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"TrafficAlerted\""));
                reply
            }
            Self::Forbidden(detail) => reply::problem(StatusCode::FORBIDDEN, detail),
            Self::TooMany(seconds) => {
                let detail = format!("too many wrong tokens came from there: try again in {seconds} s");
                let mut reply = reply::problem(StatusCode::TOO_MANY_REQUESTS, &detail);
                reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
                reply
            }
        }
    }
}

impl Access {
    pub(super) fn new(token: Option<HashedSecret>, users: AllowedUsers, socket: Option<PathBuf>) -> Self {
        Self {
            token: Published::new(token),
            users: Published::new(users),
            sessions: Mutex::default(),
            attempts: Mutex::default(),
            socket,
        }
    }

    /// Replaces the token by one that is hashed already, which ends all sessions unless `token` is the one in force.
    pub(super) fn set_token(&self, token: Option<&str>, hashed: Option<HashedSecret>) {
        let is_same = match (self.token.read().as_ref(), token) {
            (Some(in_force), Some(token)) => in_force.matches(token.as_bytes()),
            (in_force, token) => in_force.is_none() && token.is_none(),
        };
        if !is_same {
            self.token.publish(hashed);
            lock(&self.sessions).end_all();
        }
    }

    /// Replaces the users who may make changes over the Unix socket.
    pub(super) fn set_users(&self, users: AllowedUsers) {
        self.users.publish(users);
    }

    /// Returns true if a token is set.
    pub(super) fn has_token(&self) -> bool {
        self.token.read().is_some()
    }

    /// Checks that the client may read.
    pub(super) fn check_read(&self, client: &Client, headers: &HeaderMap) -> Result<(), Denial> {
        // The token is not looked at for these, so that they cannot try tokens here.
        if reads_freely(client, headers) { Ok(()) } else { self.check_proof(client, headers).map(drop) }
    }

    /// Checks that the client may make changes.
    pub(super) fn check_change(&self, client: &Client, headers: &HeaderMap) -> Result<Author, Denial> {
        if let Client::Unix { uid, gid } = *client
            && !is_forwarded(headers)
        {
            if self.users.read().allow(uid, gid) {
                return Ok(Author { client: *client, by: Proof::User });
            }
            if !headers.contains_key(AUTHORIZATION) && !headers.contains_key(COOKIE) {
                return Err(Denial::Forbidden(format!(
                    "uid {uid} may read, but not make changes: ask root, or let root add this user to ApiUsers"
                )));
            }
        }
        self.check_proof(client, headers)
    }

    /// Returns how the client ranks before it has sent anything.
    pub(super) fn rank(&self, client: &Client) -> Rank {
        match *client {
            Client::Unix { uid, gid } if self.users.read().allow(uid, gid) => Rank::Trusted,
            _ if client.is_local() => Rank::Local,
            _ => Rank::Remote,
        }
    }

    /// Returns true if the client could read as it is.
    pub(super) fn may_read(&self, client: &Client, headers: &HeaderMap) -> bool {
        reads_freely(client, headers) || self.session(client, headers).is_some()
    }

    /// Returns true if the client could make changes as it is.
    pub(super) fn may_change(&self, client: &Client, headers: &HeaderMap) -> bool {
        match *client {
            Client::Unix { uid, gid } if !is_forwarded(headers) && self.users.read().allow(uid, gid) => true,
            _ => self.session(client, headers).is_some(),
        }
    }

    fn check_proof(&self, client: &Client, headers: &HeaderMap) -> Result<Author, Denial> {
        if !self.has_token() {
            return Err(Denial::Forbidden(self.no_token()));
        }
        let mut all = headers.get_all(AUTHORIZATION).iter();
        match (all.next(), all.next()) {
            (None, _) => match self.session(client, headers) {
                Some(number) => Ok(Author { client: *client, by: Proof::Session(number) }),
                None => Err(Denial::Unauthorized(TOKEN_NEEDED)),
            },
            (Some(header), None) => match bearer(header) {
                Some(token) => {
                    self.check_token(client, token)?;
                    Ok(Author { client: *client, by: Proof::Token })
                }
                None => Err(Denial::Unauthorized(TOKEN_NEEDED)),
            },
            _ => Err(Denial::Unauthorized(TOKEN_NEEDED)),
        }
    }

    /// Checks a token, unless its sender must pause.
    pub(super) fn check_token(&self, client: &Client, token: &[u8]) -> Result<(), Denial> {
        let now = Instant::now();
        let holder = client.holder();
        let mut attempts = lock(&self.attempts);
        attempts
            .check(holder, now)
            .map_err(|left| Denial::TooMany(left.as_secs() + u64::from(left.subsec_nanos() > 0)))?;
        match self.token.read().as_ref() {
            None => Err(Denial::Forbidden(self.no_token())),
            Some(right) if right.matches(token) => {
                attempts.succeeded(holder);
                Ok(())
            }
            Some(_) => {
                if let Some(count) = attempts.failed(holder, now) {
                    match count {
                        1 => tracing::warn!("{client} has sent a wrong API token"),
                        _ => tracing::warn!("{count} wrong API tokens were sent, the last by {client}"),
                    }
                }
                Err(Denial::Unauthorized("the token is wrong"))
            }
        }
    }

    /// Opens a session for somebody who has shown the token, and returns the id for the cookie.
    pub(super) fn open_session(&self, client: &Client) -> std::io::Result<String> {
        let (id, number) = lock(&self.sessions).open(client.holder(), Instant::now())?;
        tracing::info!("session {number} of the API is open for {client}");
        Ok(id)
    }

    /// Ends the session whose cookie the request has, if there is one.
    pub(super) fn end_session(&self, headers: &HeaderMap) {
        let mut sessions = lock(&self.sessions);
        session_ids(headers).for_each(|id| sessions.end(id));
    }

    /// Returns the number of the session of `client` whose cookie the request has.
    fn session(&self, client: &Client, headers: &HeaderMap) -> Option<u64> {
        let now = Instant::now();
        let mut sessions = lock(&self.sessions);
        session_ids(headers).take(COOKIES_MAX).find_map(|id| sessions.find(id, client.holder(), now))
    }

    fn no_token(&self) -> String {
        let socket = match &self.socket {
            Some(path) => format!(", or make the change as root over the socket {}", path.display()),
            None => String::new(),
        };
        format!(
            "this needs a token, and none is set: run `TrafficAlerted token --file {PROPOSED_FILE}`, add the line \
             `ApiTokenFile: {PROPOSED_FILE}` to the configuration and restart TrafficAlerted{socket}"
        )
    }
}

/// Returns true if the client may read without the token: it is on this host, and asks for itself.
pub(super) fn reads_freely(client: &Client, headers: &HeaderMap) -> bool {
    client.is_local() && !is_forwarded(headers)
}

/// Returns the token of an `Authorization` header; `None` if the header has another scheme.
fn bearer(header: &HeaderValue) -> Option<&[u8]> {
    let bytes = header.as_bytes();
    let (scheme, rest) = bytes.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| rest.trim_ascii())
}

/// Returns the values of all cookies of sessions in a request.
fn session_ids(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|&b| b == b';'));
    pairs.filter_map(|pair| pair.trim_ascii().strip_prefix(COOKIE_NAME.as_bytes())?.strip_prefix(b"="))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Only the thread of the API and the main thread at a reload lock these, and a panic ends the process.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TOKEN_NEEDED: &str =
    "this needs the token of the API: send `Authorization: Bearer TOKEN`, or sign in on the page";

/// The file that the texts propose for the token.
const PROPOSED_FILE: &str = "/etc/TrafficAlerted/api-token";

/// Maximum number of cookies of a request that are tried.
const COOKIES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdefghijklmnopqrstuv";

    fn access(token: Option<&str>) -> Access {
        let token = token.map(|token| HashedSecret::new(token).expect("random bytes"));
        Access::new(token, AllowedUsers::default(), Some("/run/x.sock".into()))
    }

    fn headers(pairs: &[(hyper::header::HeaderName, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::try_from(text).expect("it is a header");
        let mut headers = HeaderMap::new();
        for (name, text) in pairs {
            headers.append(name, value(text));
        }
        headers
    }

    fn from(addr: &str) -> Client {
        Client::Network { addr: addr.parse().expect("an address"), uid: None }
    }

    fn status(result: Result<(), Denial>) -> u16 {
        result.map_or_else(|denial| denial.reply().status().as_u16(), |()| 200)
    }

    #[test]
    fn reading_and_changing_need_what_the_table_says() {
        let root = Client::Unix { uid: 0, gid: 0 };
        let stranger = Client::Unix { uid: 3_999_999, gid: 3_999_999 };
        let right = headers(&[(AUTHORIZATION, &format!("Bearer {TOKEN}"))]);
        let none = HeaderMap::new();
        // Client, headers, and the statuses of reading and changing with a token and without one.
        let cases: [(Client, &HeaderMap, [u16; 4]); 8] = [
            (root, &none, [200, 200, 200, 200]),
            (stranger, &none, [200, 403, 200, 403]),
            (stranger, &right, [200, 200, 200, 403]),
            (from("127.0.0.1"), &none, [200, 401, 200, 403]),
            (from("127.0.0.1"), &right, [200, 200, 200, 403]),
            (from("::1"), &none, [200, 401, 200, 403]),
            (from("10.0.0.1"), &none, [401, 401, 403, 403]),
            (from("10.0.0.1"), &right, [200, 200, 403, 403]),
        ];
        for (client, headers, expected) in cases {
            let (with, without) = (access(Some(TOKEN)), access(None));
            let found = [
                status(with.check_read(&client, headers)),
                status(with.check_change(&client, headers).map(drop)),
                status(without.check_read(&client, headers)),
                status(without.check_change(&client, headers).map(drop)),
            ];
            assert_eq!(found, expected, "{client} {headers:?}");
        }
    }

    #[test]
    fn what_a_proxy_forwards_needs_the_token_wherever_the_proxy_runs() {
        let root = Client::Unix { uid: 0, gid: 0 };
        let access = access(Some(TOKEN));
        let bearer = format!("Bearer {TOKEN}");
        for client in [from("127.0.0.1"), from("::1"), root] {
            for name in ["forwarded", "x-forwarded-for", "X-Forwarded-Proto", "x-real-ip", "via"] {
                let name = hyper::header::HeaderName::try_from(name).expect("it is a name");
                let mark = (name, "192.0.2.1");
                let none = headers(std::slice::from_ref(&mark));
                let right = headers(&[mark, (AUTHORIZATION, &bearer)]);
                assert_eq!(status(access.check_read(&client, &none)), 401, "{client} {none:?}");
                assert_eq!(status(access.check_change(&client, &none).map(drop)), 401, "{client} {none:?}");
                assert!(!access.may_read(&client, &none) && !access.may_change(&client, &none));
                assert_eq!(status(access.check_read(&client, &right)), 200, "{client} {none:?}");
                assert_eq!(status(access.check_change(&client, &right).map(drop)), 200, "{client} {none:?}");
            }
            assert!(access.may_read(&client, &HeaderMap::new()), "{client}");
        }
    }

    #[test]
    fn the_cookie_of_a_session_is_of_no_use_to_another_user() {
        let access = access(Some(TOKEN));
        let user = |uid| Client::Network { addr: "127.0.0.1".parse().expect("an address"), uid: Some(uid) };
        let cookie = format!("{COOKIE_NAME}={}", access.open_session(&user(7)).expect("random bytes"));
        let headers = headers(&[(COOKIE, &cookie)]);
        assert_eq!(status(access.check_change(&user(7), &headers).map(drop)), 200);
        for other in [user(8), from("127.0.0.1"), from("10.0.0.1")] {
            assert_eq!(status(access.check_change(&other, &headers).map(drop)), 401, "{other}");
            assert!(!access.may_change(&other, &headers), "{other}");
        }
    }

    #[test]
    fn only_one_bearer_header_with_the_token_opens() {
        let access = access(Some(TOKEN));
        for (text, expected) in [
            (format!("bearer {TOKEN}"), 200),
            (format!("BEARER   {TOKEN} "), 200),
            (TOKEN.to_owned(), 401),
            (format!("Basic {TOKEN}"), 401),
            (format!("Bearer{TOKEN}"), 401),
            ("Bearer".to_owned(), 401),
            (format!("Bearer {}", &TOKEN[1..]), 401),
        ] {
            let headers = headers(&[(AUTHORIZATION, &text)]);
            assert_eq!(status(access.check_read(&from("10.0.0.1"), &headers)), expected, "{text}");
        }
        let right = format!("Bearer {TOKEN}");
        let twice = headers(&[(AUTHORIZATION, &right), (AUTHORIZATION, &right)]);
        assert_eq!(status(access.check_read(&from("10.0.0.1"), &twice)), 401);
    }

    #[test]
    fn whoever_sends_wrong_tokens_pauses_alone() {
        let access = access(Some(TOKEN));
        let wrong = headers(&[(AUTHORIZATION, "Bearer x")]);
        let right = headers(&[(AUTHORIZATION, &format!("Bearer {TOKEN}"))]);
        let here = from("10.0.0.1");
        let statuses: Vec<u16> = (0..5).map(|_| status(access.check_read(&here, &wrong))).collect();
        assert_eq!(statuses, [401, 401, 401, 429, 429]);
        let denial = access.check_read(&here, &right).expect_err("it pauses");
        assert_eq!(denial.reply().headers()[RETRY_AFTER], "1");
        assert_eq!(status(access.check_read(&from("10.0.0.2"), &right)), 200);
        // A session goes on.
        let cookie = format!("{COOKIE_NAME}={}", access.open_session(&here).expect("random bytes"));
        assert_eq!(status(access.check_read(&here, &headers(&[(COOKIE, &cookie)]))), 200);
    }

    #[test]
    fn a_session_ends_with_its_cookie_or_its_token() {
        let access = access(Some(TOKEN));
        let client = from("10.0.0.1");
        let open = || {
            let id = access.open_session(&client).expect("random bytes");
            headers(&[(COOKIE, &format!("a=b; {COOKIE_NAME}={id};c=d"))])
        };
        let (first, second) = (open(), open());
        let set_token = |token: Option<&str>| {
            access.set_token(token, token.map(|token| HashedSecret::new(token).expect("random bytes")));
        };
        let author = access.check_change(&client, &second).expect("it is a session").to_string();
        assert_eq!(author, "10.0.0.1, in session 2");
        access.end_session(&first);
        assert_eq!(status(access.check_read(&client, &first)), 401);
        set_token(Some(TOKEN));
        assert_eq!(status(access.check_read(&client, &second)), 200, "the token is the same");
        set_token(Some("another"));
        assert_eq!(status(access.check_read(&client, &second)), 401);
        set_token(None);
        assert_eq!(status(access.check_read(&client, &open())), 403, "without a token nobody far away reads");
    }
}
