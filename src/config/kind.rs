//! What a kind of value is: how it is read, how it is printed, and what may be written.

use super::context::Context;
use super::value_error::ValueError;

/// How values of type `T` stand in the file.
pub(super) trait Kind<T>: Sized {
    /// What may be written, as it follows the word "write".
    fn form(&self) -> String;

    /// Reads the value of a line.
    fn read(&self, text: &str, context: &Context) -> Result<T, ValueError>;

    /// Whether a file may have several lines of such a setting.
    fn may_repeat(&self) -> bool {
        false
    }

    /// Reads the value of one more line; `earlier` is the default, or what the lines before it say.
    fn read_next(&self, _earlier: &T, text: &str, context: &Context) -> Result<T, ValueError> {
        self.read(text, context)
    }

    /// The value as [`Kind::read`] reads it back.
    fn print(&self, value: &T) -> String;

    /// The values of the lines that make this value.
    fn lines(&self, value: &T) -> Vec<String> {
        vec![self.print(value)]
    }

    /// The same kind, of which each value also has to pass a check against other settings.
    fn and(self, check: Check<T>) -> Checked<Self, T> {
        Checked { kind: self, check }
    }
}

/// Compares a value that is right by itself with other settings.
pub(super) type Check<T> = fn(&Context, &T) -> Result<(), ValueError>;

/// A kind with a check against other settings.
pub(super) struct Checked<K, T> {
    kind: K,
    check: Check<T>,
}

impl<T, K: Kind<T>> Kind<T> for Checked<K, T> {
    fn form(&self) -> String {
        self.kind.form()
    }

    fn read(&self, text: &str, context: &Context) -> Result<T, ValueError> {
        let value = self.kind.read(text, context)?;
        (self.check)(context, &value)?;
        Ok(value)
    }

    fn print(&self, value: &T) -> String {
        self.kind.print(value)
    }
}
