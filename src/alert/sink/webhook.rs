//! `WebhookURL`: a POST request for each notice, over HTTP or HTTPS.
//!
//! | response | what follows |
//! | --- | --- |
//! | 2xx | delivered |
//! | none before the timeout, no connection, 408, 425, 429, 5xx | another attempt, not before `Retry-After` |
//! | 3xx, 401, 403, 404, 405, 407, 410 | another attempt: the address or the token is wrong until it is mended |
//! | any other | given up: the receiver does not take this notice, and never will |
//!
//! Redirects are not followed, so that an alert reaches no other host.
//!
//! Certificates are verified against the authorities that the system trusts. Proxies are taken from the environment
//! (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`). URLs and tokens are secrets, so no message about a failure contains them.

#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use std::io::{self, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::fmt::rfc2822;
use ureq::config::Config;
use ureq::http::uri::Authority;
use ureq::http::{HeaderMap, Response, Uri, header};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Body as ResponseBody, Timeout};

use crate::alert::json::timestamp;
use crate::time::unix_now;

use super::authorities::authorities;
use super::body::{WebhookFormat, body};
use super::counters::SinkName;
use super::gateway::gateway_name;
use super::retry::Retry;
use super::secret::Secret;
use super::shutdown::Shutdown;
use super::worker::{Failure, QueuedNotice, Sink};
use crate::enrich::resolve;
use crate::escape::Escaped;

/// The receiver of the notices, and how they are sent to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// The URL.
    pub url: Secret,
    /// The kind of receiver.
    pub format: WebhookFormat,
    /// True if a chat ([`WebhookFormat::is_chat`]) is also told when an alert grows.
    pub notify_growth: bool,
    /// A token that is sent as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// Timeout of a connection.
    pub connect_timeout: Duration,
    /// Timeout of the whole request, from the resolution of the name to the end of the response.
    pub answer_timeout: Duration,
}

impl WebhookOptions {
    /// Creates options with timeouts that suit the Internet: 5 seconds for a connection, 10 for the request. A chat is
    /// not told of growth.
    pub fn new(url: Secret, format: WebhookFormat, token: Option<Secret>) -> Self {
        let connect_timeout = Duration::from_secs(5);
        let answer_timeout = 2 * connect_timeout;
        Self { url, format, notify_growth: false, token, connect_timeout, answer_timeout }
    }
}

/// Returns why a text cannot be the URL of a receiver; `None` if it can.
pub(crate) fn why_no_webhook(url: &str) -> Option<&'static str> {
    if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
        return Some("neither http:// nor https://");
    }
    let Ok(uri) = url.parse::<Uri>() else { return Some("not an address") };
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => Some("a user name within an address"),
        Some(authority) if has_bad_port(authority) => Some("an address whose port is none (1 to 65535)"),
        Some(authority) if !authority.host().is_empty() => None,
        _ => Some("no host"),
    }
}

/// Returns true if something that is no port follows the host. [`Uri`] accepts it, and the default port would be used.
fn has_bad_port(authority: &Authority) -> bool {
    let after_host = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
    !after_host.is_empty() && !matches!(authority.port_u16(), Some(1..))
}

/// Returns why a text cannot be a token; `None` if it can.
pub(crate) fn why_no_token(token: &str) -> Option<&'static str> {
    // This allows more than b64token of RFC 6750, section 2.1: any visible ASCII character.
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    (!token.bytes().all(is_visible)).then_some("a character that no token has")
}

/// Returns what is wrong with the URL in a file, and what to do; `None` if it can be used, or if the file cannot be
/// read.
pub(crate) fn why_no_webhook_in(path: &Path) -> Option<(String, &'static str)> {
    let url = Secret::InFile(path.to_owned()).read().ok()?;
    why_no_webhook(&url).map(|why| (format!("the address in it is {why}"), URL_REMEDY))
}

/// Returns what is wrong with the token in a file, and what to do; `None` if it can be used, or if the file cannot be
/// read.
pub(crate) fn why_no_token_in(path: &Path) -> Option<(String, &'static str)> {
    let token = Secret::InFile(path.to_owned()).read().ok()?;
    why_no_token(&token).map(|why| (format!("the token in it has {why}"), TOKEN_REMEDY))
}

const URL_REMEDY: &str = "write http://host/path or https://host/path";
const TOKEN_REMEDY: &str = "write the token alone";

/// True if an agent has the certificate authorities of this system.
type IsSecure = bool;

pub(super) struct Webhook {
    options: WebhookOptions,
    retry: Retry,
    gateway: String,
    /// Created by the thread that uses it, because reading the certificates takes time and only HTTPS requires them.
    agent: Option<(Agent, IsSecure)>,
}

impl Webhook {
    pub(super) fn new(options: WebhookOptions, retry: Retry) -> Self {
        Self { options, retry, gateway: gateway_name(), agent: None }
    }

    fn url(&self) -> Result<Uri, Failure> {
        let url = self.options.url.read().map_err(Failure::passing)?;
        match (why_no_webhook(&url), url.parse()) {
            (None, Ok(uri)) => Ok(uri),
            (why, _) => {
                let why = why.unwrap_or("not an address");
                Err(Failure::passing(format!("the address is {why}: {URL_REMEDY}")))
            }
        }
    }

    fn agent(&mut self, url: &Uri) -> Result<&Agent, Failure> {
        let is_secure = url.scheme_str() == Some("https");
        let fitting = self.agent.take().filter(|(_, secure)| *secure || !is_secure);
        let (agent, _) = self.agent.insert(match fitting {
            Some(fitting) => fitting,
            None => {
                let roots = if is_secure { authorities()? } else { Vec::new() };
                (agent(&self.options, &roots), is_secure)
            }
        });
        Ok(agent)
    }

    fn post(&mut self, queued: &QueuedNotice) -> Result<Response<ResponseBody>, Failure> {
        let url = self.url()?;
        let token = self.options.token.as_ref().map(Secret::read).transpose().map_err(Failure::passing)?;
        if let Some(why) = token.as_deref().and_then(why_no_token) {
            return Err(Failure::passing(format!("the token has {why}: {TOKEN_REMEDY}")));
        }
        let body = body(self.options.format, queued, &self.gateway);
        let host = url.host().unwrap_or_default().to_owned();
        let mut request = self.agent(&url)?.post(url);
        for (name, value) in body.headers {
            request = request.header(name, value);
        }
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.send(body.text).map_err(|error| unreachable(&host, &error))
    }
}

impl Sink for Webhook {
    fn name(&self) -> SinkName {
        SinkName::Webhook
    }

    fn retry(&self) -> Retry {
        self.retry
    }

    fn wants_growth(&self) -> bool {
        self.options.notify_growth || !self.options.format.is_chat()
    }

    fn begin(&mut self) -> Result<(), Failure> {
        let url = self.url()?;
        self.agent(&url).map(drop)
    }

    fn deliver(&mut self, batch: &[Arc<QueuedNotice>], _: &Shutdown) -> Result<usize, Failure> {
        let response = self.post(&batch[0])?;
        if response.status().is_success() { Ok(1) } else { Err(refused(response)) }
    }
}

fn agent(options: &WebhookOptions, authorities: &[Certificate<'static>]) -> Agent {
    Agent::with_parts(agent_config(options, authorities), DefaultConnector::default(), SystemResolver)
}

fn agent_config(options: &WebhookOptions, authorities: &[Certificate<'static>]) -> Config {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(authorities))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .user_agent(concat!("TrafficAlerted/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_connect(Some(options.connect_timeout))
        .timeout_global(Some(options.answer_timeout))
        .build()
}

/// Resolves names without `std::thread::spawn`, which panics if the system cannot create a thread.
#[derive(Debug)]
struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(
        &self,
        uri: &Uri,
        _: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let (Some(scheme), Some(authority)) = (uri.scheme(), uri.authority()) else {
            return Err(ureq::Error::HostNotFound);
        };
        let name = DefaultResolver::host_and_port(scheme, authority).ok_or(ureq::Error::HostNotFound)?;
        let found = resolve(&name, *timeout.after).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => ureq::Error::Timeout(timeout.reason),
            _ => ureq::Error::Io(error),
        })?;
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES_MAX) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(ureq::Error::HostNotFound) } else { Ok(addresses) }
    }
}

/// Maximum number of addresses of one host that are tried; ureq has room for no more.
const ADDRESSES_MAX: usize = 16;

/// Returns the failure of a request without a response. It is passing, because each cause may be over soon, even an
/// expired certificate.
fn unreachable(host: &str, error: &ureq::Error) -> Failure {
    // ureq wraps errors of rustls into I/O errors.
    let is_of_tls = |error: &io::Error| error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>());
    let remedy = match error {
        ureq::Error::Io(error) if is_of_tls(error) => {
            "; its certificate must be signed by an authority that this system trusts"
        }
        ureq::Error::HostNotFound => "; check the name and the name servers",
        _ => "",
    };
    match error {
        // Request and response share one timeout, so the host may have received the alert.
        ureq::Error::Timeout(Timeout::Global) => Failure::passing(format!(
            "{host} did not answer in time; does something that speaks HTTP listen there?"
        )),
        _ => Failure::passing(format!("{host} cannot be reached: {error}{remedy}")),
    }
}

/// Returns the failure of a request whose response is not a success.
fn refused(mut response: Response<ResponseBody>) -> Failure {
    let status = response.status();
    let remedy = match status.as_u16() {
        300..400 => "redirects are not followed: write the address that it leads to",
        400 | 415 | 422 => "does WebhookFormat suit the receiver?",
        401 | 403 => "check WebhookToken",
        404 | 405 | 410 => "check WebhookURL",
        429 => "it wants fewer alerts",
        500..600 => "the receiver has failed",
        _ => "ask whoever runs the receiver",
    };
    let retry_after = retry_after(response.headers());
    let excerpt = excerpt(response.body_mut());
    let why = format!("the receiver answered {status}{excerpt}: {remedy}");
    // The others are about this notice: with it, the same request would get the same response.
    let is_passing =
        matches!(status.as_u16(), 300..=399 | 401 | 403..=405 | 407 | 408 | 410 | 425 | 429 | 500..=599);
    Failure { retry_after, ..if is_passing { Failure::passing(why) } else { Failure::lasting(why) } }
}

/// Returns the beginning of the response in brackets, because it often names the cause; empty if it has no text.
fn excerpt(response: &mut ResponseBody) -> String {
    let mut text = Vec::new();
    // After an error the part that was received is used.
    let _ = response.as_reader().take(EXCERPT_BYTES_MAX).read_to_end(&mut text);
    let text: String = String::from_utf8_lossy(&text).chars().filter(|c| !c.is_control()).collect();
    if text.trim().is_empty() { String::new() } else { format!(" ({})", Escaped::text(text.trim())) }
}

/// Maximum number of bytes of a response that are logged.
const EXCERPT_BYTES_MAX: u64 = 120;

/// Returns the pause of `Retry-After` (RFC 9110, section 10.2.3), which contains seconds or a date; `None` if the
/// header is missing or malformed, or if the date is over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(value).ok()?.timestamp();
    Duration::try_from(at.duration_since(timestamp(unix_now()))).ok()
}

#[cfg(test)]
mod tests;
