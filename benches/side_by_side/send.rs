//! The generator: packets of 64 bytes to one interface, as fast as possible or at a rate.

use std::io::{IoSlice, Write, stdout};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrStorage, bind, sendmmsg,
    socket,
};

use crate::flows::{Flows, Load, address, frame};

/// What to send.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Send {
    pub(crate) interface: String,
    #[command(flatten)]
    pub(crate) load: Load,
    /// Packets per second; 0 for as many as possible.
    #[arg(long, default_value_t = 0)]
    pub(crate) rate: u32,
    /// Seconds after which it ends.
    #[arg(long)]
    pub(crate) seconds: u32,
    /// Packets after which it ends.
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) packets: u64,
}

/// Number of packets per system call.
const TOGETHER: usize = 64;

impl Send {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let socket = socket_on(&self.interface)?;
        let mut flows = Flows::new(self.load);
        let mut frames = vec![frame(); TOGETHER];
        let mut headers = MultiHeaders::<LinkAddr>::preallocate(TOGETHER, None);
        // With a rate, a burst has the packets of at most a millisecond and one more.
        let burst = match self.rate {
            0 => TOGETHER,
            rate => TOGETHER.min(rate as usize / 1000 + 1),
        };
        let (mut sent, began) = (0_u64, Instant::now());
        let ends = began + Duration::from_secs(u64::from(self.seconds));
        while sent < self.packets && Instant::now() < ends {
            if self.rate > 0 {
                let due = began + Duration::from_secs_f64(sent as f64 / f64::from(self.rate));
                while Instant::now() < due {
                    std::hint::spin_loop();
                }
            }
            let count = burst.min((self.packets - sent).try_into().unwrap_or(usize::MAX));
            for frame in &mut frames[..count] {
                let bytes = frame.len();
                address(frame, flows.next(), bytes);
            }
            let slices: Vec<_> = frames[..count].iter().map(|frame| [IoSlice::new(frame)]).collect();
            let none = [None; TOGETHER];
            match sendmmsg(socket.as_raw_fd(), &mut headers, &slices, none, [], MsgFlags::empty()) {
                Ok(results) => sent += results.count() as u64,
                Err(Errno::ENOBUFS | Errno::EAGAIN) => {}
                Err(error) => return Err(error).context("sendmmsg"),
            }
        }
        writeln!(stdout(), "sent {sent} seconds {:.3}", began.elapsed().as_secs_f64())?;
        Ok(())
    }
}

/// Opens a packet socket that is bound to an interface.
fn socket_on(interface: &str) -> anyhow::Result<OwnedFd> {
    let link = getifaddrs()?
        .filter(|entry| entry.interface_name == interface)
        .find_map(|entry| entry.address.filter(|address: &SockaddrStorage| address.as_link_addr().is_some()))
        .with_context(|| format!("there is no interface {interface}"))?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a packet socket")?;
    bind(socket.as_raw_fd(), &link).with_context(|| format!("cannot bind to {interface}"))?;
    Ok(socket)
}
