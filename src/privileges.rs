//! Gives up what the program no longer needs once its sockets are open: the user root, every capability, and the means
//! to gain them back.
//!
//! 1. [`Identity::resolve`] decides, before anything is given up, which user the program continues as.
//! 2. [`take_over()`] gives that user the files that root has left.
//! 3. [`drop_to`] changes the user and gives up capabilities. No other thread may run yet: capabilities, securebits and
//!    no-new-privileges belong to threads, and a thread inherits them from the one that starts it.
//!
//! Where capset(2) is refused, [`start_again`] comes before all of this, once packet sockets are open.
//!
//! Sources: capabilities(7), credentials(7), user_namespaces(7), `PR_SET_NO_NEW_PRIVS` and `PR_SET_DUMPABLE` of
//! prctl(2). Open packet sockets stay usable: the kernel checks capabilities when a socket is created.
#![forbid(unsafe_code)]

mod account;
mod capabilities;
mod identity;
mod running_users;
mod second_start;
mod take_over;

pub use account::{Account, UserName};
pub use capabilities::{PrivilegeError, drop_all};
pub use identity::{Confinement, Identity, IdentityError, drop_to};
pub use running_users::{is_dynamic_id, is_nobodys};
pub use second_start::{SecondStartError, needs_second_start, passed_on, start_again, wrong_descriptor};
pub use take_over::{OwnFiles, TakenOver, take_over, take_over_secrets, would_take_over};
