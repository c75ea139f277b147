//! Shared parts of the tests: namespaces, hosts and wires, the program under test, and the tools of other packages.

pub(crate) mod exactly;
pub(crate) mod host;
pub(crate) mod injector;
pub(crate) mod namespaces;
pub(crate) mod observer;
pub(crate) mod office;
pub(crate) mod over;
pub(crate) mod program;
pub(crate) mod services;
pub(crate) mod tool;
