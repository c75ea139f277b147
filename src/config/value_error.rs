//! The error about an invalid value of a setting.

use std::fmt::Display;
use std::ops::Range;

use super::key::SettingKey;

/// Why a value is invalid, and what to write instead.
#[derive(Debug)]
pub(super) struct ValueError {
    /// The offending bytes within the value; `None` if the whole value is wrong.
    pub(super) at: Option<Range<usize>>,
    /// The fault in a few words, which are shown under these bytes.
    pub(super) label: String,
    /// Another setting with which the value conflicts, and the words that are shown under the value of that setting.
    pub(super) against: Option<(SettingKey, &'static str)>,
    /// What to write.
    pub(super) help: String,
}

impl ValueError {
    /// Returns an error about the whole value.
    pub(super) fn new(label: impl Display, help: impl Into<String>) -> Self {
        Self { at: None, label: label.to_string(), against: None, help: help.into() }
    }

    /// Returns an error whose help is "write `form`".
    pub(super) fn write(label: impl Display, form: impl Display) -> Self {
        Self::new(label, format!("write {form}"))
    }

    /// Returns the same error about these bytes of the value.
    pub(super) fn at(self, at: Range<usize>) -> Self {
        Self { at: Some(at), ..self }
    }

    /// Returns the same error, which also points at the value of another setting.
    pub(super) fn against(self, key: SettingKey, label: &'static str) -> Self {
        Self { against: Some((key, label)), ..self }
    }
}
