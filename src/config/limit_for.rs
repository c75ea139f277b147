//! Limits of some networks: `LimitFor: 10.0.5.0/24 ByteLimit 20G, PacketRateLimit off`.

use std::fmt;

use ipnet::IpNet;

use super::key::SettingKey;
use super::units::{Amount, Bytes};
use crate::detect::LimitException;

/// One line of the file: a network, and what is other for its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LimitFor {
    pub(super) network: IpNet,
    /// At least one, each limit once.
    pub(super) exceptions: Vec<LimitException>,
}

/// The key whose value an exception replaces.
pub(super) fn key(exception: LimitException) -> SettingKey {
    match exception {
        LimitException::IpBytes(_) => SettingKey::ByteLimit,
        LimitException::ContactedHosts(_) => SettingKey::NumberContactedIPs,
        LimitException::ContactedPorts(_) => SettingKey::NumContactedPorts,
        LimitException::PacketsPerS(_) => SettingKey::PacketRateLimit,
        LimitException::ContactsPerS(_) => SettingKey::ContactRateLimit,
        LimitException::ReceivedBytes(_) => SettingKey::ReceivedByteLimit,
    }
}

impl fmt::Display for LimitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.network)?;
        for (at, &exception) in self.exceptions.iter().enumerate() {
            let value = match exception {
                LimitException::IpBytes(max) | LimitException::ReceivedBytes(max) => {
                    max.map(|max| Bytes(max).to_string())
                }
                LimitException::ContactedHosts(max) | LimitException::ContactedPorts(max) => {
                    max.map(|max| max.to_string())
                }
                LimitException::PacketsPerS(max) | LimitException::ContactsPerS(max) => {
                    max.map(|max| Amount(u64::from(max)).to_string())
                }
            };
            let gap = if at == 0 { "" } else { "," };
            write!(f, "{gap} {} {}", key(exception), value.as_deref().unwrap_or("off"))?;
        }
        Ok(())
    }
}
