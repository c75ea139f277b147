//! Why the value of a setting cannot be taken.

use std::fmt::Display;
use std::ops::Range;

use super::key::SettingKey;

/// Why a value cannot be taken, and what to write instead.
#[derive(Debug)]
pub(super) struct ValueError {
    /// The bytes of the value that the error is about; `None` for all of them.
    pub(super) at: Option<Range<usize>>,
    /// The fault, in a few words that stand under these bytes.
    pub(super) label: String,
    /// Another setting that the value does not go with, and the words that stand under its value.
    pub(super) against: Option<(SettingKey, &'static str)>,
    /// What to write.
    pub(super) help: String,
}

impl ValueError {
    /// An error about the whole value.
    pub(super) fn new(label: impl Display, help: impl Into<String>) -> Self {
        Self { at: None, label: label.to_string(), against: None, help: help.into() }
    }

    /// An error about a value that does not have the form in which such values are written.
    pub(super) fn write(label: impl Display, form: impl Display) -> Self {
        Self::new(label, format!("write {form}"))
    }

    /// The same error about these bytes of the value.
    pub(super) fn at(self, at: Range<usize>) -> Self {
        Self { at: Some(at), ..self }
    }

    /// The same error, which points at the value of another setting as well.
    pub(super) fn against(self, key: SettingKey, label: &'static str) -> Self {
        Self { against: Some((key, label)), ..self }
    }
}
