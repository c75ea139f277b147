//! What the helper process of `AlertCommand`, and the programs that it runs, may not do.
//!
//! These programs are the operator's, so this is a list of what is refused: what no such program needs and what could
//! gain something back. A user namespace gives capabilities over those in it; the other calls reach into other
//! processes or deep into the kernel. `TrafficAlerted.service` refuses them as well, but for those of keys. Programs
//! for another architecture than that of this program are killed by the kernel, since the numbers of their calls are
//! others.

use super::filter;
use super::refused_calls::REFUSED_TO_HELPER;

/// Refuses these calls to this process and to those that it starts, for good. Call it once no-new-privileges is set.
///
/// # Errors
/// The kernel refuses the filter, or this architecture is unknown; the text says which.
pub fn enter_helper() -> Result<(), String> {
    filter::refuse(REFUSED_TO_HELPER)
}
