//! Interfaces that are to receive what is for other stations too, such as the mirror port of a switch.
//!
//! An interface does so for as long as a socket asks for it (`PACKET_MR_PROMISC`), and the kernel forgets that with the
//! interface. So it is asked for again when one of the name comes, without a capability.

use std::collections::HashMap;

use tracing::{info, warn};

use super::interfaces::Link;
use super::policy::Policy;
use crate::sys::packet_socket::PacketSocket;

/// What was asked for.
#[derive(Debug, Default)]
pub(super) struct Promiscuous {
    /// By number: whether it was granted.
    asked: HashMap<u32, bool>,
}

impl Promiscuous {
    /// Asks for every interface that the policy names, and takes it back for those that are called otherwise now.
    pub(super) fn follow(&mut self, links: &[Link], policy: &Policy, socket: &PacketSocket) {
        self.asked.retain(|&ifindex, _| links.iter().any(|link| link.ifindex == ifindex));
        for link in links {
            let Link { ifindex, ref name, .. } = *link;
            match (policy.wants_promiscuous(name), self.asked.get(&ifindex)) {
                // Refused before, or granted and still so; if it is not, the interface had gone in between.
                (true, Some(false)) => {}
                (true, Some(true)) if link.is_promiscuous => {}
                (true, _) => {
                    let answer = socket.add_promiscuous(ifindex);
                    match &answer {
                        Ok(()) => info!("{name} receives what is for other stations too"),
                        Err(error) => warn!(%error, "{name} cannot receive what is for other stations"),
                    }
                    self.asked.insert(ifindex, answer.is_ok());
                }
                (false, Some(true)) => {
                    // It fails where the interface has gone, and then nothing is left to take back.
                    let _ = socket.drop_promiscuous(ifindex);
                    self.asked.remove(&ifindex);
                }
                (false, _) => {}
            }
        }
    }
}
