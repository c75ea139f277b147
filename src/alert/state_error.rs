//! Why a stored alert, mute or notice, or a state file of earlier versions, is not used.

use thiserror::Error;

/// Maximum number of bytes of a stored text; the lists of an alert are bounded, and the largest has fewer.
pub(crate) const STORED_BYTES_MAX: usize = 1 << 20;

/// Why a text of the state is not used.
#[derive(Debug, Error)]
pub enum StateError {
    /// It is longer than any text of this program.
    #[error("it is longer than {STORED_BYTES_MAX} bytes")]
    TooLong,
    /// It is not a JSON object with these fields.
    #[error("it is not of this form: {0}")]
    Form(#[from] serde_json::Error),
    /// Another program wrote it, or a version of this one with another form.
    #[error("its version is {found}, and this program knows {known}")]
    Version {
        /// Its version.
        found: u32,
        /// The latest version that this program reads.
        known: u32,
    },
    /// A value in it is impossible.
    #[error("it cannot be true: {0}")]
    Wrong(&'static str),
}
