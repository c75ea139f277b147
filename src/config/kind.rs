//! The trait of all kinds of values: how a kind is read, how it is printed, and what may be written.

use super::context::Context;
use super::value_error::ValueError;

/// Reads and prints the values, of type `T`, of a setting in the file.
pub(super) trait Kind<T>: Sized {
    /// Returns what may be written, as the rest of the sentence "write ...".
    fn form(&self) -> String;

    /// Reads the value of a line, or returns why it is invalid.
    fn read(&self, text: &str, context: &Context) -> Result<T, ValueError>;

    /// Returns true if a file may have several lines of such a setting.
    fn may_repeat(&self) -> bool {
        false
    }

    /// Returns true if the value may have any text between straight quotation marks, such as the name of a file.
    fn quotes_hold_text(&self) -> bool {
        false
    }

    /// Reads a further line of the setting. `earlier` is the value that the lines before it give, or the default if
    /// this is the first line.
    fn read_next(&self, _earlier: &T, text: &str, context: &Context) -> Result<T, ValueError> {
        self.read(text, context)
    }

    /// Returns the text that [`Kind::read`] reads back as `value`.
    fn print(&self, value: &T) -> String;

    /// Returns the text of each line that together give this value; most kinds have one line.
    fn lines(&self, value: &T) -> Vec<String> {
        vec![self.print(value)]
    }

    /// Returns the same kind, except that each value must also pass `check` against other settings.
    fn and(self, check: Check<T>) -> Checked<Self, T> {
        Checked { kind: self, check }
    }
}

/// Checks a value that is valid by itself against other settings.
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

    fn may_repeat(&self) -> bool {
        self.kind.may_repeat()
    }

    fn quotes_hold_text(&self) -> bool {
        self.kind.quotes_hold_text()
    }

    fn read_next(&self, earlier: &T, text: &str, context: &Context) -> Result<T, ValueError> {
        let value = self.kind.read_next(earlier, text, context)?;
        (self.check)(context, &value)?;
        Ok(value)
    }

    fn print(&self, value: &T) -> String {
        self.kind.print(value)
    }

    fn lines(&self, value: &T) -> Vec<String> {
        self.kind.lines(value)
    }
}
