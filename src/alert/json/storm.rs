//! A storm, as JSON.

use std::net::IpAddr;

use serde::Serialize;

use crate::alert::storm::{CommonPort, Storm};

/// The hosts of a storm, as far as it names them, and what they have in common.
#[derive(Serialize)]
pub(super) struct StormView<'a> {
    /// Number of hosts so far.
    hosts: u64,
    /// Number of alerts of the storm that are open.
    open: u64,
    /// Number of these hosts whose alerts were notified singly before the storm began.
    said_singly: u64,
    /// The network that all of them are in; `null` if they are in several.
    network: Option<String>,
    /// The host that all of them sent to; `null` if there is none.
    target: Option<IpAddr>,
    local: bool,
    /// The limit that all of them exceed; `null` if they have different ones.
    limit: Option<u64>,
    /// The port at which more than half of them made most of their contacts; `null` if there is none.
    port: Option<StormPortView>,
    networks: Vec<StormNetworkView>,
    /// The latest of the hosts, at most a hundred.
    sample: &'a [IpAddr],
}

#[derive(Serialize)]
struct StormPortView {
    protocol: u8,
    port: u16,
    hosts: u64,
}

#[derive(Serialize)]
struct StormNetworkView {
    network: String,
    hosts: u64,
}

impl<'a> StormView<'a> {
    pub(super) fn of(storm: &'a Storm) -> Self {
        let Storm { network, target, is_local, host_limit, port, hosts, said_singly, open, sample, networks } =
            storm;
        let networks = networks.iter();
        Self {
            hosts: *hosts,
            open: *open,
            said_singly: *said_singly,
            network: network.map(|network| network.to_string()),
            target: *target,
            local: *is_local,
            limit: *host_limit,
            port: port.map(|CommonPort { protocol, port, hosts }| StormPortView { protocol, port, hosts }),
            networks: networks
                .map(|(network, hosts)| StormNetworkView { network: network.to_string(), hosts: *hosts })
                .collect(),
            sample,
        }
    }
}
