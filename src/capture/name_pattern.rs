//! Shell patterns for names of interfaces: `*` stands for any number of characters and `?` for exactly one.
//!
//! A name without these two characters is a pattern that matches only itself. Brackets have no special meaning; the
//! configuration refuses them. Names are bytes, so a character is one byte together with the UTF-8 continuation bytes
//! that follow it.

use std::fmt;

use super::interfaces::InterfaceName;

/// A pattern for names of interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern(InterfaceName);

impl NamePattern {
    /// Makes a pattern of its text.
    pub(crate) fn new(text: &str) -> Self {
        Self(InterfaceName::new(text.as_bytes()))
    }

    /// Returns true if the whole name matches.
    pub(crate) fn matches(&self, name: &InterfaceName) -> bool {
        matches(self.0.as_bytes(), name.as_bytes())
    }

    /// Returns true if the pattern matches this name and no other one.
    pub(crate) fn is_just(&self, name: &InterfaceName) -> bool {
        self.0 == *name && self.is_literal()
    }

    /// Returns true if every name that `other` matches is known to match this pattern too: both are equal, or `other`
    /// is a single name. Two different patterns with wildcards are not compared.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self == other || (other.is_literal() && self.matches(&other.0))
    }

    fn is_literal(&self) -> bool {
        !self.0.as_bytes().iter().any(|byte| matches!(byte, b'*' | b'?'))
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Matches a name from left to right. When a character does not match, the last `*` takes one byte more; an earlier
/// `*` need not be tried again, since the last one can take whatever an earlier one could.
fn matches(mut pattern: &[u8], mut name: &[u8]) -> bool {
    // The pattern behind the last `*`, and the rest of the name that this part was last tried on.
    let mut last_star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (None, None) => return true,
            (Some((b'*', rest)), _) => {
                pattern = rest;
                last_star = Some((rest, name));
                continue;
            }
            (Some((b'?', rest)), Some((_, behind))) => {
                pattern = rest;
                name = without_continuation(behind);
                continue;
            }
            (Some((wanted, rest)), Some((byte, behind))) if wanted == byte => {
                (pattern, name) = (rest, behind);
                continue;
            }
            _ => {}
        }
        let Some((rest, [_, behind @ ..])) = last_star else { return false };
        (pattern, name) = (rest, behind);
        last_star = Some((rest, behind));
    }
}

/// Returns the bytes from the next character on.
fn without_continuation(bytes: &[u8]) -> &[u8] {
    let count = bytes.iter().take_while(|&byte| byte & 0xc0 == 0x80).count();
    &bytes[count..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_whole_names() {
        let cases: [(&str, &[&str], &[&str]); 11] = [
            ("eth0", &["eth0"], &["eth", "eth00", "xeth0", "ETH0", ""]),
            ("veth*", &["veth", "veth0", "veth12ab"], &["eth0", "aveth0"]),
            ("*", &["", "lo", "eth0.5"], &[]),
            ("br-*", &["br-1f", "br-"], &["br", "br0"]),
            ("eth?", &["eth0", "ethx", "ethé"], &["eth", "eth10"]),
            ("*.5", &["eth0.5", "bond0.5.5"], &["eth0.50", "5"]),
            ("*a*b", &["ab", "aab", "xaybzb"], &["ba", "abc"]),
            ("??", &["lo", "é1"], &["l", "lo0", "é"]),
            ("tap*-?", &["tap-1", "tap0-x", "tap-1-2"], &["tap0-", "tap01"]),
            ("a**b", &["ab", "acb"], &["a"]),
            ("[ab]", &["[ab]"], &["a", "b"]),
        ];
        for (pattern, matching, others) in cases {
            let is_matched = |name: &&&str| NamePattern::new(pattern).matches(&InterfaceName::new(**name));
            assert_eq!(matching.iter().filter(is_matched).count(), matching.len(), "{pattern}: {matching:?}");
            assert_eq!(others.iter().filter(is_matched).count(), 0, "{pattern}: {others:?}");
        }
    }

    #[test]
    fn a_name_that_is_not_utf8_is_matched_byte_by_byte() {
        let name = InterfaceName::new(b"lan\xff\x01");
        assert!(NamePattern::new("lan*").matches(&name) && NamePattern::new("lan??").matches(&name));
        assert!(!NamePattern::new("lan?").matches(&name));
    }

    #[test]
    fn only_a_pattern_without_wildcards_is_just_one_name() {
        let lo = InterfaceName::new("lo");
        for (pattern, expected) in [("lo", true), ("l?", false), ("lo*", false), ("eth0", false)] {
            assert_eq!(NamePattern::new(pattern).is_just(&lo), expected, "{pattern}");
        }
        assert!(!NamePattern::new("*").is_just(&InterfaceName::new("*")));
    }

    #[test]
    fn a_pattern_covers_itself_and_the_names_that_it_matches() {
        for (pattern, other, expected) in
            [("eth*", "eth0", true), ("eth*", "eth*", true), ("eth?", "eth*", false), ("eth0", "eth*", false)]
        {
            assert_eq!(
                NamePattern::new(pattern).covers(&NamePattern::new(other)),
                expected,
                "{pattern} {other}"
            );
        }
    }
}
