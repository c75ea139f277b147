//! Reads the body of a request that makes a change, within limits on its size and time.

use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::body::{Body, Bytes};
use hyper::header::{CONTENT_TYPE, HeaderMap};

use super::bounds::Bounds;
use super::guard::Refusal;
use super::reply::{self, Reply};

/// The limits on bodies.
#[derive(Clone, Debug)]
pub(super) struct BodyLimits {
    timeout: Duration,
    bytes_max: usize,
}

impl BodyLimits {
    pub(super) fn new(bounds: &Bounds) -> Self {
        Self { timeout: bounds.body_timeout, bytes_max: bounds.body_bytes_max }
    }

    /// Reads a whole body.
    ///
    /// # Errors
    /// The answer to a request whose body is too large, too slow or incomplete.
    pub(super) async fn read<B>(&self, body: B) -> Result<Bytes, Box<Reply>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let refused = |status, detail: &str| Err(Box::new(reply::problem(status, detail)));
        let reading = Limited::new(body, self.bytes_max).collect();
        match tokio::time::timeout(self.timeout, reading).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => refused(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("a body has at most {} bytes", self.bytes_max),
            ),
            Ok(Err(error)) => refused(StatusCode::BAD_REQUEST, &format!("the body broke off: {error}")),
            Err(_) => refused(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"),
        }
    }
}

/// Checks that the `Content-Type` is `application/json`, with any parameters.
pub(super) fn check_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter().map(|value| {
        let essence = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
    });
    // With two of them nobody knows which one a proxy or a browser went by.
    let is_json = (types.next(), types.next()) == (Some(true), None);
    match is_json {
        true => Ok(()),
        false => Err(Refusal {
            status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
            detail: "an order is JSON: send Content-Type: application/json",
        }),
    }
}
