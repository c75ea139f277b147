//! The part of the configuration that verdicts depend on: names of interfaces, directions, local networks.
//!
//! This file does not contain the interfaces that exist or how they are related; see
//! [`device_hierarchy`](super::device_hierarchy).

use super::interfaces::{InterfaceName, Link};
use super::name_pattern::NamePattern;
use super::options::{DirectionPolicy, LocalNetworks, Options};
use super::source::Verdict;

/// The part of the [`Options`] that verdicts depend on. It can be replaced while capture runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// Patterns for names of interfaces that are not monitored.
    pub(super) excluded: Vec<NamePattern>,
    /// Patterns for names of interfaces to be put into promiscuous mode.
    pub(super) promiscuous: Vec<NamePattern>,
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
        let patterns = |texts: &[String]| texts.iter().map(|text| NamePattern::new(text)).collect();
        Self {
            excluded: patterns(&options.excluded_interfaces),
            promiscuous: patterns(&options.promiscuous),
            local_networks: options.local_networks.clone(),
            direction: options.direction,
            counts_received: options.counts_received,
        }
    }

    /// Returns true if interfaces of this name are not monitored.
    pub(super) fn excludes(&self, name: &InterfaceName) -> bool {
        self.excluding(name).is_some()
    }

    /// Returns the first pattern by which interfaces of this name are not monitored.
    pub(super) fn excluding(&self, name: &InterfaceName) -> Option<&NamePattern> {
        self.excluded.iter().find(|pattern| pattern.matches(name))
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

    /// Returns true if interfaces of this name are to be in promiscuous mode. An excluded interface is not, although a
    /// pattern may match its name.
    pub(super) fn wants_promiscuous(&self, name: &InterfaceName) -> bool {
        !self.excludes(name) && self.promiscuous.iter().any(|pattern| pattern.matches(name))
    }

    /// Returns a sentence about each pattern that matches the name of none of these interfaces.
    pub(super) fn unmatched(&self, links: &[Link]) -> Vec<String> {
        let sentences = |setting: &str, patterns: &[NamePattern]| -> Vec<String> {
            let is_unmatched = |pattern: &&NamePattern| !links.iter().any(|link| pattern.matches(&link.name));
            let sentence = |pattern| {
                format!(
                    "no interface here is named `{pattern}`, which is in {setting}; \
                     correct the name, or ignore this if the interface comes later"
                )
            };
            patterns.iter().filter(is_unmatched).map(sentence).collect()
        };
        let mut unmatched = sentences("ExcludedInterfaces", &self.excluded);
        unmatched.extend(sentences("Promiscuous", &self.promiscuous));
        unmatched
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
