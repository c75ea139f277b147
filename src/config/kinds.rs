//! The kinds of values that settings have. A new kind is one `impl` of [`Kind`](super::kind::Kind).

pub(super) mod api;
pub(super) mod interfaces;
pub(super) mod limits;
pub(super) mod numbers;
pub(super) mod one_of;
pub(super) mod resources;
pub(super) mod sinks;
pub(super) mod users;
