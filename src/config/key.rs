//! The names of the settings.

use std::fmt;

macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident)*) => {
        /// A setting, named exactly as it is written in the file. The original's ten come first, in the order of
        /// its example.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Key { $($(#[$doc])* $key,)* }

        impl Key {
            /// Every key, in the order in which they are printed.
            pub(super) const ALL: &'static [Key] = &[$(Key::$key,)*];

            /// The name as it is written in the file.
            pub(super) fn name(self) -> &'static str {
                match self { $(Key::$key => stringify!($key),)* }
            }
        }
    };
}

keys! {
    TrafficInterval
    ByteLimit
    NoDestinations
    ChartMinBytes
    ExcludedInterfaces
    ContactedIPsAnalyze
    NumberContactedIPs
    AnalyzePorts
    NumContactedPorts
    PortInterval
    ScanEvidence
    PacketRateLimit
    ContactRateLimit
    ReceivedByteLimit
    LimitFor
    IgnoredSources
    GroupIPv6
    AlertCooldown
    StateFile
    Direction
    WireExact
    LossLimit
    Promiscuous
    LocalNetworks
    Workers
    PinCores
    EventLoop
    RingMemory
    MemoryLimit
    LogFormat
    AlertFile
    AlertFileMaxSize
    AlertFileKeep
    AlertCommand
    AlertCommandTimeout
    WebhookURL
    WebhookFormat
    WebhookToken
    WebhookTokenFile
    Syslog
    SyslogFacility
    ReverseDNS
    CountryDatabase
    AsnDatabase
    ListenAddress
}

impl Key {
    /// The key of exactly this name.
    pub(super) fn named(name: &str) -> Option<Key> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether a file may have it several times.
    pub(super) fn may_repeat(self) -> bool {
        self == Self::LimitFor
    }

    /// The key that somebody who wrote this most likely meant.
    pub(super) fn nearest(name: &str) -> Option<Key> {
        // The distance takes time and memory in proportion to the length of what a stranger wrote.
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = name.to_lowercase();
        let likeness = |key: &Key| strsim::normalized_damerau_levenshtein(&name, &key.name().to_lowercase());
        let (nearest, likeness) = Self::ALL
            .iter()
            .map(|key| (*key, likeness(key)))
            .max_by(|(_, left), (_, right)| left.total_cmp(right))?;
        (likeness >= LIKENESS_MIN).then_some(nearest)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Names longer than this resemble no key: twice the longest.
const NAME_BYTES_MAX: usize = 40;

/// From 0, nothing in common, to 1, the same: half of the letters in place.
const LIKENESS_MIN: f64 = 0.5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_finds_its_key_in_exact_case_only() {
        for &key in Key::ALL {
            assert_eq!(Key::named(key.name()), Some(key));
            assert_eq!(Key::named(&key.name().to_uppercase()), None);
        }
    }

    #[test]
    fn the_nearest_key_is_what_was_meant() {
        let cases = [
            ("bytelimit", Some(Key::ByteLimit)),
            ("BYTELIMIT", Some(Key::ByteLimit)),
            ("ByteLimt", Some(Key::ByteLimit)),
            ("ExcludeInterfaces", Some(Key::ExcludedInterfaces)),
            ("NumberContactedPorts", Some(Key::NumContactedPorts)),
            ("NumContactedIPs", Some(Key::NumberContactedIPs)),
            ("ContactedIpsAnalyse", Some(Key::ContactedIPsAnalyze)),
            ("Worker", Some(Key::Workers)),
            ("Password", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(Key::nearest(name), expected, "{name:?}");
        }
        assert_eq!(Key::nearest(&"ByteLimit".repeat(5)), None);
    }
}
