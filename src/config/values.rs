//! The values of all settings, made of the table: a field for each row, and what is done with every setting alike.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::context::Context;
use super::key::{Reload, SettingKey};
use super::kind::Kind;
use super::kinds::interfaces::{InterfaceNames, NetworkList};
use super::kinds::limits::{LimitLines, Sources};
use super::kinds::listen::LoopbackAddress;
use super::kinds::numbers::{
    ByteCount, Count, OrOff, PerSecond, PercentageOrOff, PrefixLength, Seconds, Whole,
};
use super::kinds::one_of::OneOf;
use super::kinds::resources::{CoreList, MemoryShare, WorkerCount};
use super::kinds::sinks::{FilePath, ProgramCall, SyslogCollector, Token, WebhookAddress};
use super::limit_for::LimitFor;
use super::machine::{MemoryLimit, Workers};
use super::ranges::*;
use super::reader::Reader;
use super::settings::for_each_setting;
use crate::alert::{Facility, Secret, SyslogTarget, WebhookFormat};
use crate::capture::{DirectionPolicy, EventLoop, LocalNetworks, WireExact};
use crate::detect::ScanRule;
use crate::engine::PinCores;
use crate::logging::LogFormat;

macro_rules! define_values {
    ($($group:ident { $($(#[doc = $doc:literal])+ $key:ident {
        $field:ident: $type:ty = $default:expr,
        kind: $kind:expr, reload: $reload:expr, example: $example:literal $(, more: $more:literal)?
    })* })*) => {
        /// The value of each setting.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct Settings { $($($(#[doc = $doc])+ pub(super) $field: $type,)*)* }

        /// The value of each setting that is right.
        pub(super) struct RightSettings { $($(pub(super) $field: Option<$type>,)*)* }

        impl RightSettings {
            /// Reads every setting; one that the file does not have is its default.
            pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
                Self { $($($field: reader.read(SettingKey::$key, &$kind, $default),)*)* }
            }

            /// All settings, if each of them is right.
            pub(super) fn complete(self) -> Option<Settings> {
                Some(Settings { $($($field: self.$field?,)*)* })
            }
        }

        impl Settings {
            /// The settings of an empty file.
            pub(super) fn defaults() -> Self {
                Self { $($($field: $default,)*)* }
            }

            /// The values of the lines of a setting as they are written in a file; most have one line.
            pub(super) fn lines(&self, key: SettingKey) -> Vec<String> {
                match key { $($(SettingKey::$key => $kind.lines(&self.$field),)*)* }
            }

            /// Whether a file may have several lines of a setting.
            pub(super) fn may_repeat(key: SettingKey) -> bool {
                match key { $($(SettingKey::$key => Kind::<$type>::may_repeat(&$kind),)*)* }
            }

            /// These settings, except that those which take a restart are as in `running`.
            pub(super) fn without_restart(self, running: &Self) -> Self {
                Self { $($($field: match SettingKey::$key.reload() {
                    Reload::Live => self.$field,
                    Reload::Restart(_) => running.$field.clone(),
                },)*)* }
            }

            /// What may be written for a setting.
            #[cfg(test)]
            pub(super) fn form(key: SettingKey) -> String {
                match key { $($(SettingKey::$key => Kind::<$type>::form(&$kind),)*)* }
            }
        }
    };
}

for_each_setting!(define_values);
