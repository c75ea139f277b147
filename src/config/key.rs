//! The names of the settings.

use std::fmt;

macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident)*) => {
        /// A setting, named exactly as it is written in the file. The original's ten come first, in the order of
        /// its example.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum SettingKey { $($(#[$doc])* $key,)* }

        impl SettingKey {
            /// Every key, in the order in which they are printed.
            pub(super) const ALL: &'static [SettingKey] = &[$(SettingKey::$key,)*];

            /// The name as it is written in the file.
            pub(super) fn name(self) -> &'static str {
                match self { $(SettingKey::$key => stringify!($key),)* }
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

impl SettingKey {
    /// The key of exactly this name.
    pub(super) fn named(name: &str) -> Option<SettingKey> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Whether a file may have it several times.
    pub(super) fn may_repeat(self) -> bool {
        self == Self::LimitFor
    }

    /// The key that somebody who wrote this most likely meant.
    pub(super) fn nearest(name: &str) -> Option<SettingKey> {
        // The distance takes time and memory in proportion to the length of what a stranger wrote.
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = name.to_lowercase();
        let likeness =
            |key: &SettingKey| strsim::normalized_damerau_levenshtein(&name, &key.name().to_lowercase());
        let (nearest, likeness) = Self::ALL
            .iter()
            .map(|key| (*key, likeness(key)))
            .max_by(|(_, left), (_, right)| left.total_cmp(right))?;
        (likeness >= LIKENESS_MIN).then_some(nearest)
    }
}

impl fmt::Display for SettingKey {
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
        for &key in SettingKey::ALL {
            assert_eq!(SettingKey::named(key.name()), Some(key));
            assert_eq!(SettingKey::named(&key.name().to_uppercase()), None);
        }
    }

    #[test]
    fn the_nearest_key_is_what_was_meant() {
        let cases = [
            ("bytelimit", Some(SettingKey::ByteLimit)),
            ("BYTELIMIT", Some(SettingKey::ByteLimit)),
            ("ByteLimt", Some(SettingKey::ByteLimit)),
            ("ExcludeInterfaces", Some(SettingKey::ExcludedInterfaces)),
            ("NumberContactedPorts", Some(SettingKey::NumContactedPorts)),
            ("NumContactedIPs", Some(SettingKey::NumberContactedIPs)),
            ("ContactedIpsAnalyse", Some(SettingKey::ContactedIPsAnalyze)),
            ("Worker", Some(SettingKey::Workers)),
            ("Password", None),
            ("", None),
        ];
        for (name, expected) in cases {
            assert_eq!(SettingKey::nearest(name), expected, "{name:?}");
        }
        assert_eq!(SettingKey::nearest(&"ByteLimit".repeat(5)), None);
    }
}
