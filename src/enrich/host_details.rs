//! What is known of the host that an alert is about, besides its address.

use std::fmt;

/// All that is known; displayed as ` (laptop.example, NL, AS64500)`, or as nothing.
///
/// The organization is left out of it: it is the free text of a registry, and the words go where a mention or a
/// markup would be obeyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct HostDetails<'a> {
    /// Its name in reverse DNS.
    pub(crate) name: Option<&'a str>,
    /// Its country, in the two letters of ISO 3166-1.
    pub(crate) country: Option<&'a str>,
    /// The number of its autonomous system (RFC 4271).
    pub(crate) asn: Option<u32>,
    /// Whose system that is.
    pub(crate) as_organization: Option<&'a str>,
}

impl fmt::Display for HostDetails<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.asn.map(|number| format!("AS{number}"));
        let words: Vec<&str> = [self.name, self.country, number.as_deref()].into_iter().flatten().collect();
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(", ")) }
    }
}
