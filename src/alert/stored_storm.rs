//! A storm as JSON, in the form that the state database holds: what its notices say, and what it needs to go on after a
//! restart.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::persisted_ledger::NUMBERS_MAX;
use super::state_error::StateError;
use super::storm::{
    COUNTED_NETWORKS_MAX, CommonPort, NAMES_AGAIN_AFTER, STORM_HOSTS_MAX, STORM_NETWORKS_MAX, Storm,
    StormProgress,
};
use crate::time::UnixNanos;

/// Maximum number of times at which openings of a minute were counted; the program saves thirteen.
const JOINED_MAX: usize = 64;

/// Longest pause until further hosts of a storm are named; the program makes shorter ones.
const PAUSE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StormForm {
    network: Option<IpNet>,
    target: Option<IpAddr>,
    is_local: bool,
    hosts: u64,
    said_singly: u64,
    open: u64,
    sample: Vec<IpAddr>,
    networks: Vec<(IpNet, u64)>,
    /// Earlier versions had neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    host_limit: Option<u64>,
    /// Protocol, port and number of hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    port: Option<(u8, u16, u64)>,
}

/// What a storm needs to go on. Times and spans are nanoseconds; times count from 1970-01-01 UTC.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StormProgressForm {
    has_target: bool,
    networks: Vec<(IpNet, u64)>,
    hosts_at_opening: u64,
    growths: usize,
    hosts_said: u64,
    pause: u64,
    joined: Vec<(u64, u64)>,
    last_joined_at: u64,
}

impl StormForm {
    pub(super) fn of(storm: &Storm) -> Self {
        let Storm { network, target, is_local, host_limit, port, hosts, said_singly, open, sample, networks } =
            storm;
        Self {
            network: *network,
            target: *target,
            is_local: *is_local,
            hosts: *hosts,
            said_singly: *said_singly,
            open: *open,
            sample: sample.clone(),
            networks: networks.clone(),
            host_limit: *host_limit,
            port: port.map(|CommonPort { protocol, port, hosts }| (protocol, port, hosts)),
        }
    }

    pub(super) fn check(self) -> Result<Storm, StateError> {
        let Self { network, target, is_local, hosts, said_singly, open, sample, networks, host_limit, port } =
            self;
        if sample.len() > STORM_HOSTS_MAX || networks.len() > STORM_NETWORKS_MAX {
            return Err(StateError::Wrong("more hosts or networks than a storm names"));
        }
        let is_more = |count: u64| count > hosts;
        let is_wrong = is_more(said_singly)
            || is_more(open)
            || port.is_some_and(|(.., count)| is_more(count))
            || networks.iter().any(|&(_, count)| is_more(count));
        if hosts == 0 || hosts > NUMBERS_MAX || is_wrong {
            return Err(StateError::Wrong("the number of hosts of a storm"));
        }
        if !network.iter().chain(networks.iter().map(|(network, _)| network)).all(is_network) {
            return Err(StateError::Wrong("the network of a storm"));
        }
        let port = port.map(|(protocol, port, hosts)| CommonPort { protocol, port, hosts });
        Ok(Storm { network, target, is_local, host_limit, port, hosts, said_singly, open, sample, networks })
    }
}

impl StormProgressForm {
    pub(super) fn of(progress: StormProgress) -> Self {
        let StormProgress {
            has_target,
            networks,
            hosts_at_opening,
            growths,
            hosts_said,
            pause,
            joined,
            last_joined_at,
        } = progress;
        let earlier = joined.len().saturating_sub(JOINED_MAX);
        let latest = joined.into_iter().skip(earlier);
        Self {
            has_target,
            networks,
            hosts_at_opening,
            growths,
            hosts_said,
            pause: u64::try_from(pause.min(PAUSE_MAX).as_nanos()).unwrap_or(u64::MAX),
            joined: latest.map(|(since, count)| (since.0, count)).collect(),
            last_joined_at: last_joined_at.0,
        }
    }

    /// Checks it against the storm that it belongs to.
    pub(super) fn check(self, storm: &Storm) -> Result<StormProgress, StateError> {
        let distinct: BTreeSet<_> = self.networks.iter().map(|(network, _)| network).collect();
        if self.networks.len() > COUNTED_NETWORKS_MAX || distinct.len() < self.networks.len() {
            return Err(StateError::Wrong("more networks of a storm than are counted"));
        }
        if !distinct.into_iter().all(is_network) {
            return Err(StateError::Wrong("the network of a storm"));
        }
        let joined = self.joined.iter().try_fold(0_u64, |sum, (_, count)| sum.checked_add(*count));
        let is_more = |count: u64| count > storm.hosts;
        if self.hosts_at_opening == 0
            || is_more(self.hosts_at_opening)
            || is_more(self.hosts_said)
            || joined.is_none_or(is_more)
            || self.networks.iter().any(|&(_, count)| is_more(count))
        {
            return Err(StateError::Wrong("the number of hosts of a storm"));
        }
        let pause = Duration::from_nanos(self.pause);
        if self.joined.len() > JOINED_MAX || !(NAMES_AGAIN_AFTER..=PAUSE_MAX).contains(&pause) {
            return Err(StateError::Wrong("the times of a storm"));
        }
        if storm.target.is_some() && !self.has_target {
            return Err(StateError::Wrong("the target of a storm"));
        }
        Ok(StormProgress {
            has_target: self.has_target,
            networks: self.networks,
            hosts_at_opening: self.hosts_at_opening,
            growths: self.growths,
            hosts_said: self.hosts_said,
            pause,
            joined: self.joined.into_iter().map(|(since, count)| (UnixNanos(since), count)).collect(),
            last_joined_at: UnixNanos(self.last_joined_at),
        })
    }
}

fn is_network(network: &IpNet) -> bool {
    network.trunc() == *network
}
