//! Known services. A service is a (host, protocol, port) that was contacted. A packet from a known service is an
//! answer, whichever host it is sent to.

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashTable;

use crate::time::Moment;

use super::hash::Seed;

/// A service is known for at least this long after its last contact.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Two generations of services. Contacts are added to the younger one, which becomes the older one when it is 10
/// minutes old or full; the older one is then dropped. So entries do not need timestamps, and expiry does not need a
/// search.
#[derive(Debug)]
pub(super) struct KnownServices {
    younger: HashTable<KnownService>,
    older: HashTable<KnownService>,
    turned_at: Moment,
    generation_max: usize,
    seed: Seed,
}

/// A service that was contacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KnownService {
    pub(super) host: IpAddr,
    pub(super) protocol: u8,
    pub(super) port: u16,
}

impl KnownService {
    fn hash(&self, seed: &Seed) -> u64 {
        seed.scramble(seed.addr(&self.host) ^ (u64::from(self.protocol) << 16 | u64::from(self.port)))
    }
}

impl KnownServices {
    pub(super) fn new(generation_max: usize, seed: Seed) -> Self {
        let (younger, older) = (HashTable::new(), HashTable::new());
        Self { younger, older, turned_at: Moment::default(), generation_max, seed }
    }

    /// Adds a service that is contacted at `now`. Port 0 is ignored.
    pub(super) fn contacted(&mut self, service: KnownService, now: Moment) {
        if service.port == 0 {
            return;
        }
        if now.since(self.turned_at) >= REMEMBERED || self.younger.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.younger);
            self.turned_at = now;
        }
        let hash = service.hash(&self.seed);
        if self.younger.find(hash, |known| *known == service).is_none() {
            let seed = &self.seed;
            self.younger.insert_unique(hash, service, |known| known.hash(seed));
        }
    }

    /// Returns true if the service was contacted within the last 10 minutes, unless two generations became full since.
    /// A generation ends only with a contact, so a service may also be known for longer.
    pub(super) fn knows(&self, service: &KnownService) -> bool {
        let hash = service.hash(&self.seed);
        [&self.younger, &self.older].iter().any(|table| table.find(hash, |known| known == service).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(port: u16) -> KnownService {
        KnownService { host: [10, 0, 0, 1].into(), protocol: 17, port }
    }

    #[test]
    fn a_service_is_known_for_ten_minutes_after_its_last_contact() {
        let at = |seconds: u64| Moment(seconds * 1_000_000_000);
        let mut services = KnownServices::new(8, Seed::default());
        services.contacted(service(53), at(1_000));
        services.contacted(service(123), at(1_599));
        assert!(
            services.knows(&service(53)) && services.knows(&service(123)) && !services.knows(&service(0))
        );
        services.contacted(service(443), at(1_700));
        assert!(services.knows(&service(123)), "101 seconds old");
        services.contacted(service(123), at(2_200));
        services.contacted(service(80), at(2_400));
        assert!(services.knows(&service(123)) && !services.knows(&service(53)));
    }

    #[test]
    fn a_full_generation_drops_the_oldest_services_first() {
        let mut services = KnownServices::new(100, Seed::default());
        for port in 1..=300 {
            services.contacted(service(port), Moment(1));
        }
        assert!(!services.knows(&service(1)) && services.knows(&service(300)));
        assert!(services.younger.len() + services.older.len() <= 200);
    }
}
