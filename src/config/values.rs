//! The values of all settings: a struct with a field for each row of the table, and the functions that handle every
//! setting in the same way.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;

use super::context::Context;
use super::key::SettingKey;
use super::kind::Kind;
use super::kinds::api::{ListenAt, SocketPath, StrongToken, UserList};
use super::kinds::interfaces::{InterfaceNames, NetworkList};
use super::kinds::limits::{LimitLines, Sources};
use super::kinds::numbers::{
    ByteCount, Count, OrOff, PerSecond, PercentageOrOff, PrefixLength, Seconds, Whole,
};
use super::kinds::one_of::OneOf;
use super::kinds::resources::{CoreList, MemoryShare, WorkerCount};
use super::kinds::sinks::{FilePath, FolderPath, ProgramCall, SyslogCollector, Token, WebhookAddress};
use super::kinds::users::SystemUser;
use super::limit_for::LimitFor;
use super::machine::{MemoryLimit, Workers};
use super::ranges::*;
use super::reader::Reader;
use super::settings::for_each_setting;
use crate::alert::{Facility, Secret, SyslogTarget, WebhookFormat};
use crate::api::{ApiUser, SocketOption};
use crate::capture::{DirectionPolicy, EventLoop, LocalNetworks, WireExact};
use crate::detect::ScanRule;
use crate::engine::PinCores;
use crate::logging::LogFormat;
use crate::privileges::UserName;
use crate::sandbox::SandboxMode;

macro_rules! define_values {
    ($($group:ident { $($(#[doc = $doc:literal])+ $key:ident {
        $field:ident: $type:ty = $default:expr,
        kind: $kind:expr, reload: $reload:expr, example: $example:literal $(, more: $more:literal)?
    })* })*) => {
        /// The value of each setting.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct Settings { $($($(#[doc = $doc])+ pub(super) $field: $type,)*)* }

        /// The value of each setting; `None` if the file has an invalid value.
        pub(super) struct ParsedSettings { $($(pub(super) $field: Option<$type>,)*)* }

        impl ParsedSettings {
            /// Reads every setting; a setting that the file does not have gets its default.
            pub(super) fn read(reader: &mut Reader<'_, '_>) -> Self {
                Self { $($($field: reader.read(SettingKey::$key, &$kind, $default),)*)* }
            }

            /// Returns all settings, or `None` if one of them is invalid.
            pub(super) fn complete(self) -> Option<Settings> {
                Some(Settings { $($($field: self.$field?,)*)* })
            }
        }

        impl Settings {
            /// Returns the settings of an empty file.
            pub(super) fn defaults() -> Self {
                Self { $($($field: $default,)*)* }
            }

            /// Returns the text after the key in each line of a setting; most settings have one line.
            pub(super) fn lines(&self, key: SettingKey) -> Vec<String> {
                match key { $($(SettingKey::$key => $kind.lines(&self.$field),)*)* }
            }

            /// Returns true if a file may have several lines of a setting.
            pub(super) fn may_repeat(key: SettingKey) -> bool {
                match key { $($(SettingKey::$key => Kind::<$type>::may_repeat(&$kind),)*)* }
            }

            /// Returns these settings, except that those which `is_kept` names have the value of `running`.
            pub(super) fn keeping(&self, running: &Self, is_kept: impl Fn(SettingKey) -> bool) -> Self {
                Self { $($($field: match is_kept(SettingKey::$key) {
                    true => running.$field.clone(),
                    false => self.$field.clone(),
                },)*)* }
            }

            /// Returns what may be written as the value of a setting.
            #[cfg(test)]
            pub(super) fn form(key: SettingKey) -> String {
                match key { $($(SettingKey::$key => Kind::<$type>::form(&$kind),)*)* }
            }
        }
    };
}

for_each_setting!(define_values);
