//! The part of the configuration that verdicts depend on: names of interfaces, directions, local networks.
//!
//! This file does not contain the interfaces that exist or how they are related; see
//! [`device_hierarchy`](super::device_hierarchy).

use super::interfaces::{InterfaceName, Link};
use super::options::{DirectionPolicy, LocalNetworks, Options};
use super::source::Verdict;

/// The part of the [`Options`] that verdicts depend on. It can be replaced while capture runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// Names of interfaces that are not monitored.
    pub(super) excluded: Vec<InterfaceName>,
    /// Names of interfaces to be put into promiscuous mode.
    pub(super) promiscuous: Vec<InterfaceName>,
    /// The source of the list of local networks.
    pub(super) local_networks: LocalNetworks,
    /// Which packets count by direction.
    pub(super) direction: DirectionPolicy,
    /// True if received bytes are counted, for which every egress frame is captured.
    pub(super) counts_received: bool,
}

impl Policy {
    /// Copies the policy from the options.
    pub(super) fn new(options: &Options) -> Self {
        let names = |names: &[String]| names.iter().map(|name| InterfaceName::new(name.as_bytes())).collect();
        Self {
            excluded: names(&options.excluded_interfaces),
            promiscuous: names(&options.promiscuous),
            local_networks: options.local_networks.clone(),
            direction: options.direction,
            counts_received: options.counts_received,
        }
    }

    /// Returns true if interfaces of this name are not monitored.
    pub(super) fn excludes(&self, name: &InterfaceName) -> bool {
        self.excluded.contains(name)
    }

    /// Returns true if frames of this interface may have been captured under an excluded name.
    pub(super) fn excludes_link(&self, link: &Link) -> bool {
        self.excludes(&link.name) || self.excludes_former_name_of(link)
    }

    /// Returns true if the present name of the interface is not excluded but a former one is. Such an interface becomes
    /// monitored when its former names are dropped, a second after it was added.
    pub(super) fn excludes_former_name_of(&self, link: &Link) -> bool {
        !self.excludes(&link.name) && link.former_names.iter().any(|name| self.excludes(name))
    }

    /// Returns true if interfaces of this name are to be in promiscuous mode.
    pub(super) fn wants_promiscuous(&self, name: &InterfaceName) -> bool {
        self.promiscuous.contains(name)
    }

    /// Returns the default verdict on egress frames. `forwards` states that this machine forwards packets.
    pub(super) fn egress(&self, forwards: bool) -> Verdict {
        match self.direction {
            DirectionPolicy::Auto if forwards => Verdict::ObserveOnly,
            DirectionPolicy::Auto | DirectionPolicy::Both => Verdict::Count,
            DirectionPolicy::In => Verdict::ObserveOnly,
            DirectionPolicy::InAndOwn => Verdict::CountIfOwn,
        }
    }
}
