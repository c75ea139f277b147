//! Reads the values of settings from the lines of a file.

use super::characters;
use super::context::Context;
use super::file::{RawConfig, Setting};
use super::key::SettingKey;
use super::kind::Kind;
use super::problem::Problem;
use super::value_error::ValueError;

/// Reads values and collects a problem for each that is invalid.
pub(super) struct Reader<'a, 't> {
    pub(super) raw: &'a RawConfig<'t>,
    pub(super) context: &'a Context,
    pub(super) problems: Vec<Problem>,
}

impl Reader<'_, '_> {
    /// Returns the value of a setting, or `default` if the file does not set it. Returns `None`, and adds a problem, if
    /// a value in the file is invalid.
    pub(super) fn read<T>(&mut self, key: SettingKey, kind: &impl Kind<T>, default: T) -> Option<T> {
        let mut value = default;
        let mut is_valid = true;
        for setting in self.raw.all(key) {
            let read = match characters::fault(setting.value, kind.quotes_hold_text()) {
                None => kind.read_next(&value, setting.value, self.context),
                Some(error) => Err(error),
            };
            match read {
                Ok(next) => value = next,
                Err(error) => {
                    self.problems.push(self.problem(setting, error));
                    is_valid = false;
                }
            }
        }
        is_valid.then_some(value)
    }

    /// Returns the problem of a setting, with the place of the fault in the file.
    fn problem(&self, setting: &Setting<'_>, error: ValueError) -> Problem {
        let error = if setting.value.is_empty() {
            ValueError::new("no value", "write a value behind the colon, or remove the line for the default")
        } else {
            error
        };
        let value_start = setting.value_span.start;
        let span = match error.at {
            Some(at) => value_start + at.start..value_start + at.end,
            None => setting.value_span.clone(),
        };
        // The setting with which the value conflicts is shown if the file has it.
        let context =
            error.against.and_then(|(key, label)| Some((self.raw.get(key)?.value_span.clone(), label)));
        Problem {
            title: format!("bad value for `{}`", setting.key),
            span,
            label: error.label,
            context,
            help: error.help,
        }
    }
}
