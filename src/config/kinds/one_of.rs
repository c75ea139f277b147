//! The kind for one keyword out of a few.

use crate::config::context::Context;
use crate::config::keyword::Keyword;
use crate::config::kind::Kind;
use crate::config::value_error::ValueError;

/// One of the keywords of the type of the value.
pub(in crate::config) struct OneOf;

impl<T: Keyword> Kind<T> for OneOf {
    fn form(&self) -> String {
        T::choices()
    }

    fn read(&self, text: &str, _: &Context) -> Result<T, ValueError> {
        T::read(text).ok_or_else(|| ValueError::write("not one of its values", T::choices()))
    }

    fn print(&self, value: &T) -> String {
        value.keyword().to_owned()
    }
}
