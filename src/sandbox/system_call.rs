//! A system call in a list, and what its arguments must be.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "flags and numbers of the kernel's interface have 32 bits; libc gives them several types"
)]

/// One system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SystemCall {
    /// Its number on this architecture.
    pub(super) number: i64,
    /// What its arguments must be.
    pub(super) when: &'static [Condition],
}

/// A condition on one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// Index of the argument, from 0.
    pub(super) argument: u8,
    /// The bits that are compared.
    pub(super) mask: u64,
    pub(super) expected: Expected,
}

/// What the compared bits must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Value(u64),
    /// The id of this process.
    OwnProcess,
}

/// Lists system calls: `name`, or `name when [condition, ...]`.
macro_rules! calls {
    ($($name:ident $(when [$($condition:expr),* $(,)?])?),* $(,)?) => {
        &[$(SystemCall { number: libc::$name, when: &[$($($condition),*)?] }),*]
    };
}
pub(super) use calls;

/// All bits of an argument of 32 bits are those of `value`.
pub(super) const fn is(argument: u8, value: i32) -> Condition {
    bits(argument, u32::MAX as i32, value)
}

/// The bits of `mask` in an argument of 32 bits are those of `value`.
pub(super) const fn bits(argument: u8, mask: i32, value: i32) -> Condition {
    Condition { argument, mask: mask as u32 as u64, expected: Expected::Value(value as u32 as u64) }
}

/// A pointer or a length that is null.
pub(super) const fn is_null(argument: u8) -> Condition {
    Condition { argument, mask: u64::MAX, expected: Expected::Value(0) }
}
