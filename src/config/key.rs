//! The names of the settings, and the columns of the table that do not concern their values: group, reload, texts.

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

            /// Returns the name as it is written in the file.
            pub(super) fn name(self) -> &'static str {
                match self { $($(SettingKey::$key => stringify!($key),)*)* }
            }

            /// Returns the group to which the setting belongs.
            #[cfg(test)]
            pub(super) fn group(self) -> Group {
                match self { $($(SettingKey::$key => Group::$group,)*)* }
            }

            /// Returns when a changed value takes effect.
            pub(super) fn reload(self) -> Reload {
                use {Reload::*, RestartReason::*};
                match self { $($(SettingKey::$key => $reload,)*)* }
            }
        }

        /// The columns that only the reference uses.
        #[cfg(test)]
        impl SettingKey {
            /// Returns the description of the setting.
            pub(super) fn meaning(self) -> String {
                let lines: &[&str] = match self { $($(SettingKey::$key => &[$($doc),+],)*)* };
                lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
            }

            /// Returns a value that is not the default.
            pub(super) fn example(self) -> &'static str {
                match self { $($(SettingKey::$key => $example,)*)* }
            }

            /// Returns the heading in `docs/` under which the setting is explained, or `None` if there is none.
            pub(super) fn more(self) -> Option<&'static str> {
                let more = match self { $($(SettingKey::$key => concat!($($more)?),)*)* };
                (!more.is_empty()).then_some(more)
            }
        }
    };
}

for_each_setting!(define_keys);

/// A group of settings that the reference puts under one heading.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    General,
    Scanning,
    FurtherLimits,
    Alerts,
    Capture,
    Process,
    Log,
    Sinks,
    Http,
}

/// When a changed value takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reload {
    /// After a reload, which reads the file again.
    Live,
    /// After a restart.
    Restart(RestartReason),
}

/// Why a changed value takes a restart: what the program creates from it at its start. After a reload the log names
/// such settings in this order.
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
    /// The user of the program or of its command.
    Privileges,
    /// What the helper process of `AlertCommand` runs.
    Helper,
}

impl SettingKey {
    /// Returns the key with exactly this name, or `None` if there is none.
    pub(super) fn named(name: &str) -> Option<SettingKey> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }

    /// Returns the key whose name is most similar to this one, or `None` if none is similar enough.
    pub(super) fn nearest(name: &str) -> Option<SettingKey> {
        // Computing the distance takes time and memory in proportion to the length of the name.
        if name.len() > NAME_BYTES_MAX {
            return None;
        }
        let name = name.to_lowercase();
        let similarity =
            |key: &SettingKey| strsim::normalized_damerau_levenshtein(&name, &key.name().to_lowercase());
        let (nearest, highest) = Self::ALL
            .iter()
            .map(|key| (*key, similarity(key)))
            .max_by(|(_, left), (_, right)| left.total_cmp(right))?;
        (highest >= SIMILARITY_MIN).then_some(nearest)
    }
}

impl fmt::Display for SettingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Maximum number of bytes of a name that is compared with the keys: about twice the longest key.
const NAME_BYTES_MAX: usize = 40;

/// Minimum similarity of a key that is suggested, on a scale from 0 (nothing in common) to 1 (equal).
const SIMILARITY_MIN: f64 = 0.5;

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
    fn a_misspelled_name_finds_the_nearest_key() {
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
