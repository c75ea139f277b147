//! Keeps interfaces in promiscuous mode, such as the mirror port of a switch.
//!
//! The mode is a membership of a socket (`PACKET_MR_PROMISC` in packet(7)), which ends with the interface. So it is
//! added again when an interface of the same name is added, which needs no capability.

use std::collections::HashMap;

use tracing::{info, warn};

use super::interfaces::Link;
use super::policy::Policy;
use crate::sys::packet_socket::PacketSocket;

/// The memberships that were added.
#[derive(Debug, Default)]
pub(super) struct Promiscuous {
    /// Whether the kernel has accepted the membership, by number of the interface.
    requested: HashMap<u32, bool>,
}

impl Promiscuous {
    /// Adds the membership for every interface that the policy names, and drops it for those that it does not name any
    /// more.
    pub(super) fn follow(&mut self, links: &[Link], policy: &Policy, socket: &PacketSocket) {
        self.requested.retain(|&ifindex, _| links.iter().any(|link| link.ifindex == ifindex));
        for link in links {
            let Link { ifindex, ref name, .. } = *link;
            match (policy.wants_promiscuous(name), self.requested.get(&ifindex)) {
                // It was refused before, or is still in force; if not, the interface was removed and added again.
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
                    // It fails if the interface was removed, and the membership with it.
                    let _ = socket.drop_promiscuous(ifindex);
                    self.requested.remove(&ifindex);
                }
                (false, _) => {}
            }
        }
    }
}
