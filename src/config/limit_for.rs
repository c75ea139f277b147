//! Limits for the hosts of a network: `LimitFor: 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off`.

use std::fmt;

use ipnet::IpNet;

use super::units::{Amount, Bytes};
use crate::detect::LimitException;
use crate::flow::Metric;

/// One line `LimitFor` of the file: a network, and the limits that its hosts have instead of the general ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LimitFor {
    pub(super) network: IpNet,
    /// The limits; there is at least one, and no two have the same kind.
    pub(super) exceptions: Vec<LimitException>,
}

impl fmt::Display for LimitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network)?;
        let limits =
            self.exceptions.iter().filter_map(|exception| Some((exception.kind.limit()?, exception.max)));
        for (at, (limit, max)) in limits.enumerate() {
            let gap = if at == 0 { "" } else { "," };
            write!(f, "{gap} {} ", limit.key)?;
            match (limit.metric, max) {
                (_, None) => f.write_str("off")?,
                (Metric::IpBytes | Metric::ReceivedBytes, Some(max)) => write!(f, "{}", Bytes(max))?,
                (Metric::ContactedHosts | Metric::ContactedPorts, Some(max)) => write!(f, "{max}")?,
                (Metric::PacketsPerS | Metric::ContactsPerS, Some(max)) => write!(f, "{}", Amount(max))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use crate::config::Config;
    use crate::detect::FindingKind;

    /// The limit of every detector of hosts can be set for a network.
    #[test]
    fn every_limit_of_hosts_can_have_exceptions() {
        let addr = IpAddr::from([10, 0, 0, 1]);
        for kind in FindingKind::ALL {
            let Some(limit) = kind.limit() else { continue };
            for (value, max) in [("900", Some(900)), ("off", None)] {
                let line = format!("LimitFor: 10.0.0.0/8 {} {value}", limit.key);
                let config = Config::parse("test.conf", format!("AnalyzePorts: true\n{line}\n"))
                    .unwrap_or_else(|error| panic!("{error}"));
                let limits = config.detect_limits();
                let hosts = limits.by_network.of(&addr).expect("the network has limits");
                assert_eq!(hosts.of(kind), max, "{line}");
                assert!(config.to_string().lines().any(|printed| printed == line), "{config}");
            }
        }
    }
}
