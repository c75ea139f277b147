//! The names of the settings, and what the table has of each besides its value.

use std::fmt;

use super::settings::for_each_setting;

macro_rules! define_keys {
    ($($group:ident { $($(#[doc = $doc:literal])+ $key:ident {
        $field:ident: $type:ty = $default:expr,
        kind: $kind:expr, reload: $reload:expr, example: $example:literal $(, more: $more:literal)?
    })* })*) => {
        /// A setting, named exactly as it is written in the file.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum SettingKey { $($($(#[doc = $doc])+ $key,)*)* }

        impl SettingKey {
            /// Every key, in the order of the table.
            pub(super) const ALL: &'static [SettingKey] = &[$($(SettingKey::$key,)*)*];

            /// The name as it is written in the file.
            pub(super) fn name(self) -> &'static str {
                match self { $($(SettingKey::$key => stringify!($key),)*)* }
            }

            /// The group that the setting stands in.
            pub(super) fn group(self) -> Group {
                match self { $($(SettingKey::$key => Group::$group,)*)* }
            }

            /// When a changed value is in force.
            pub(super) fn reload(self) -> Reload {
                use {Reload::*, RestartReason::*};
                match self { $($(SettingKey::$key => $reload,)*)* }
            }
        }

        /// What the reference has of a setting.
        #[cfg(test)]
        impl SettingKey {
            /// What the setting means.
            pub(super) fn meaning(self) -> String {
                let lines: &[&str] = match self { $($(SettingKey::$key => &[$($doc),+],)*)* };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }

            /// A value that is not the default.
            pub(super) fn example(self) -> &'static str {
                match self { $($(SettingKey::$key => $example,)*)* }
            }

            /// The heading of the README under which there is more about it.
            pub(super) fn more(self) -> Option<&'static str> {
                let more = match self { $($(SettingKey::$key => concat!($($more)?),)*)* };
                (!more.is_empty()).then_some(more)
            }
        }
    };
}

for_each_setting!(define_keys);

/// Settings that stand together in the example file and in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    General,
    Scanning,
    FurtherLimits,
    Alerts,
    Capture,
    Log,
    Sinks,
    Http,
}

/// When a changed value is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// Once the file is read again.
    Live,
    /// After a restart.
    Restart(RestartReason),
}

/// What the program makes at its start out of a setting that takes a restart. The log names settings in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RestartReason {
    /// The windows and what they count.
    Windows,
    /// Threads, rings and tables.
    Capturing,
    /// The form of the log.
    Logging,
    /// A file or a socket that is opened.
    FileOrSocket,
}

impl SettingKey {
    /// The key of exactly this name.
    pub(super) fn named(name: &str) -> Option<SettingKey> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// The key whose name is most like this one; `None` where none is like it.
    pub(super) fn nearest(name: &str) -> Option<SettingKey> {
        // The distance takes time and memory in proportion to the length of the name.
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
