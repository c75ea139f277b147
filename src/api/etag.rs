//! Entity tags (RFC 9110, 8.8.3), by which a client learns that it has the current version already.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::HeaderMap;
use hyper::header::{HeaderValue, IF_NONE_MATCH};

use crate::alert::{Alert, ClosedList};
use crate::enrich::GeoIp;

/// Returns true if the client has the version with this tag.
pub(super) fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    headers.get_all(IF_NONE_MATCH).iter().any(|known| matches_etag(known, etag))
}

/// Returns true if the value of an `If-None-Match` matches the tag: `*`, or a list that contains the tag (RFC 9110,
/// 13.1.2: weak comparison). Our tags contain no comma, so splitting at commas cannot cause a false match.
fn matches_etag(known: &HeaderValue, etag: &HeaderValue) -> bool {
    known
        .as_bytes()
        .split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .any(|item| item == b"*" || item.strip_prefix(b"W/").unwrap_or(item) == etag.as_bytes())
}

/// The tag of the list of closed alerts. It changes with the list and with the databases that its origins are from.
#[derive(Debug)]
pub(super) struct ClosedTag {
    /// A random number, so that no tag of an earlier process matches.
    process: u64,
    version: Mutex<ClosedVersion>,
}

/// What the latest tag was made for. A weak reference frees the content but not its allocation, so nothing else can get
/// the same address, and equal addresses mean the same content.
#[derive(Debug, Default)]
struct ClosedVersion {
    closed: Weak<Vec<Arc<Alert>>>,
    geoip: Weak<GeoIp>,
    number: u64,
}

impl Default for ClosedTag {
    fn default() -> Self {
        Self { process: RandomState::new().build_hasher().finish(), version: Mutex::default() }
    }
}

impl ClosedTag {
    /// Returns the tag for this list with origins from `geoip`.
    pub(super) fn of(&self, closed: &ClosedList, geoip: &Arc<GeoIp>) -> HeaderValue {
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let (closed, geoip) = (Arc::downgrade(closed), Arc::downgrade(geoip));
        if !version.closed.ptr_eq(&closed) || !version.geoip.ptr_eq(&geoip) {
            *version = ClosedVersion { closed, geoip, number: version.number + 1 };
        }
        HeaderValue::try_from(format!("\"{:016x}-{}\"", self.process, version.number))
            .expect("quotes, digits and letters are allowed in a header")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_is_a_list_compared_weakly() {
        let etag = HeaderValue::from_static("\"abc\"");
        for (known, expected) in [
            ("\"abc\"", true),
            ("W/\"abc\"", true),
            ("\"x\", \"abc\"", true),
            ("\"x\",W/\"abc\" ", true),
            ("*", true),
            ("\"x\"", false),
            ("abc", false),
            ("", false),
            ("\"abcd\"", false),
        ] {
            assert_eq!(matches_etag(&HeaderValue::from_static(known), &etag), expected, "{known}");
        }
    }

    #[test]
    fn the_tag_of_the_closed_alerts_changes_with_them_and_with_their_origins() {
        let tag = ClosedTag::default();
        let (closed, geoip) = (ClosedList::default(), Arc::new(GeoIp::default()));
        let first = tag.of(&closed, &geoip);
        assert_eq!(tag.of(&Arc::clone(&closed), &geoip), first);
        let other = tag.of(&ClosedList::default(), &geoip);
        assert_ne!(other, first);
        let third = tag.of(&closed, &geoip);
        assert!(third != first && third != other, "{third:?}");
        assert_ne!(tag.of(&closed, &Arc::new(GeoIp::default())), third);
        assert_ne!(ClosedTag::default().of(&closed, &geoip), first, "another process has other tags");
    }
}
