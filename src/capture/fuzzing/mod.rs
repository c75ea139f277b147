//! The fuzz targets of this room: messages of netlink, and filter programs.

mod filter;
mod netlink;

pub use filter::bpf_filter;
pub use netlink::netlink;
