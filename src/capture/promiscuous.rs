//! Keeps interfaces in promiscuous mode, such as the mirror port of a switch.
//!
//! The mode is a membership of a socket (`PACKET_MR_PROMISC` in packet(7)). The kernel drops it when the interface is
//! removed, so it is added again when an interface of the same name is added. This needs no capability.

use std::collections::HashMap;

use tracing::{info, warn};

use super::interfaces::Link;
use super::policy::Policy;
use crate::sys::packet_socket::PacketSocket;

/// The memberships that were added.
#[derive(Debug, Default)]
pub(super) struct Promiscuous {
    /// By number of the interface: true if the kernel has accepted the membership, false if it has refused it.
    requested: HashMap<u32, bool>,
}

impl Promiscuous {
    /// Adds the membership for every interface that the policy names, and drops it for interfaces that the policy does
    /// not name any more.
    pub(super) fn follow(&mut self, links: &[Link], policy: &Policy, socket: &PacketSocket) {
        self.requested.retain(|&ifindex, _| links.iter().any(|link| link.ifindex == ifindex));
        for link in links {
            let Link { ifindex, ref name, .. } = *link;
            match (policy.wants_promiscuous(name), self.requested.get(&ifindex)) {
                // In these two cases the membership was refused before or is still in force. If it is not in force, the
                // interface was removed and added again.
                (true, Some(false)) => {}
                (true, Some(true)) if link.is_promiscuous => {}
                (true, _) => {
                    let result = socket.add_promiscuous(ifindex);
                    match &result {
                        Ok(()) => info!("{name} receives what is for other stations too"),
                        Err(error) => warn!(%error, "{name} cannot receive what is for other stations"),
                    }
                    self.requested.insert(ifindex, result.is_ok());
                }
                (false, Some(true)) => {
                    // It fails if the interface was removed; the membership is dropped then.
                    let _ = socket.drop_promiscuous(ifindex);
                    self.requested.remove(&ifindex);
                }
                (false, _) => {}
            }
        }
    }
}
