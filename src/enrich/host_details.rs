//! The name and the origin of a host.

use std::fmt;

/// The name and the origin of a host, as far as they are known. Displayed as ` (laptop.example, NL, AS64500)`, or as
/// the empty text if nothing is known.
///
/// The organization is not displayed: it is free text of a registry, and some receivers of the displayed text interpret
/// mentions and markup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct HostDetails<'a> {
    /// The name in reverse DNS.
    pub(crate) name: Option<&'a str>,
    /// The country, as two letters of ISO 3166-1.
    pub(crate) country: Option<&'a str>,
    /// The number of the autonomous system (RFC 4271).
    pub(crate) asn: Option<u32>,
    /// The organization of the autonomous system.
    pub(crate) as_organization: Option<&'a str>,
}

impl fmt::Display for HostDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.asn.map(|number| format!("AS{number}"));
        let words: Vec<&str> = [self.name, self.country, number.as_deref()].into_iter().flatten().collect();
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(", ")) }
    }
}
