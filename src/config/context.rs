//! Every check of one setting against another. (`kinds/resources.rs` also checks CPUs against the machine.)
//!
//! Each check is a method of [`Context`], which the kind of the checked setting calls. One pair of settings is not
//! here, because it is not an error: `NoDestinations: true` turns the limits on contacted hosts off, in `check.rs` that
//! of all hosts and in `options.rs` those of `LimitFor`.

use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::key::SettingKey;
use super::machine::Machine;
use super::units::Bytes;
use super::value_error::ValueError;
use crate::capture::{NamePattern, RING_BYTES_MIN};
use crate::detect::FindingKind;
use crate::engine::PinCores;
use crate::flow::Metric;

/// The values against which other values are checked. A setting whose own value is invalid is absent (`None`, `false`
/// or empty), so that it causes only one error.
pub(super) struct Context {
    pub(super) machine: Machine,
    /// Number of workers that `Workers` gives on the machine.
    pub(super) worker_count: Option<usize>,
    /// `GroupIPv6`, unless it is off.
    pub(super) group_ipv6: Option<u8>,
    /// True if `AnalyzePorts` is off.
    pub(super) port_analysis_is_off: bool,
    pub(super) excluded_interfaces: Vec<String>,
    /// True if `WebhookToken` has a token.
    pub(super) has_webhook_token: bool,
    /// True if `ApiToken` has a token.
    pub(super) has_api_token: bool,
    /// True if `ApiToken` or `ApiTokenFile` is set, or if one of them is invalid.
    pub(super) may_have_api_token: bool,
}

impl Context {
    /// Returns a context without other settings, in which every check against another setting passes.
    pub(super) fn of(machine: &Machine) -> Self {
        Self {
            machine: machine.clone(),
            worker_count: None,
            group_ipv6: None,
            port_analysis_is_off: false,
            excluded_interfaces: Vec::new(),
            has_webhook_token: false,
            has_api_token: false,
            may_have_api_token: true,
        }
    }

    /// Checks that `PinCores` has exactly one CPU for each of the `Workers`; `auto` needs at least as many usable CPUs.
    pub(super) fn check_pin_cores(&self, cores: &PinCores) -> Result<(), ValueError> {
        let Some(workers) = self.worker_count else { return Ok(()) };
        let here = self.machine.cores.len();
        match cores {
            PinCores::Auto if workers > here => {
                let label = format!("{} here", with_plural(here, "usable CPU"));
                let help = format!("{workers} workers need a CPU each: write `none`, or `Workers: {here}`");
                Err(ValueError::new(label, help).against(SettingKey::Workers, "more workers than that"))
            }
            PinCores::List(listed) if workers != listed.len() => {
                let listed = listed.len();
                let help = format!("each worker needs one CPU: list {workers}, or write `Workers: {listed}`");
                let error = ValueError::new(with_plural(listed, "CPU"), help);
                Err(error.against(SettingKey::Workers, "another number of workers"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that `RingMemory` is enough for a ring for each of the `Workers`, and at most a quarter of the memory: it
    /// is memory of the kernel, which is never swapped and which no control group limits.
    pub(super) fn check_ring_memory(&self, bytes: &u64) -> Result<(), ValueError> {
        let Some(workers) = self.worker_count else { return Ok(()) };
        if let Some(max) = self.machine.ring_memory(workers).filter(|max| *bytes > max.bytes) {
            let label = format!("more than a quarter of the memory: {max}");
            let help = format!("write at most {}: rings are memory of the kernel", Bytes(max.bytes));
            return Err(ValueError::new(label, help));
        }
        // There are at most 256 workers, so the product does not saturate.
        let needed = RING_BYTES_MIN.saturating_mul(workers as u64);
        if *bytes >= needed {
            return Ok(());
        }
        let label = format!("too little for {}", with_plural(workers, "worker"));
        let help = format!(
            "each ring needs {}: write at least {}, or fewer `Workers`",
            Bytes(RING_BYTES_MIN),
            Bytes(needed)
        );
        Err(ValueError::new(label, help).against(SettingKey::Workers, "one ring for each of them"))
    }

    /// Checks that none of the names and patterns of `Promiscuous` is excluded as a whole by `ExcludedInterfaces`. A
    /// pattern of which only some names are excluded stands for the others.
    #[allow(clippy::ptr_arg, reason = "it is passed as a `Check<Vec<String>>`")]
    pub(super) fn check_promiscuous(&self, names: &Vec<String>) -> Result<(), ValueError> {
        let excluded: Vec<_> = self.excluded_interfaces.iter().map(|text| NamePattern::new(text)).collect();
        let is_excluded = |name: &&String| {
            let name = NamePattern::new(name);
            excluded.iter().any(|pattern| pattern.covers(&name))
        };
        match names.iter().find(is_excluded) {
            None => Ok(()),
            Some(name) => {
                let label = format!("`{name}` is not monitored");
                let help = format!("remove `{name}` here, or from `{}`", SettingKey::ExcludedInterfaces);
                let error = ValueError::new(label, help);
                Err(error.against(SettingKey::ExcludedInterfaces, "it is excluded here"))
            }
        }
    }

    /// Checks that `WebhookTokenFile` and `WebhookToken` are not both set.
    pub(super) fn check_webhook_token_file(&self, file: &Option<PathBuf>) -> Result<(), ValueError> {
        if file.is_none() || !self.has_webhook_token {
            return Ok(());
        }
        let help = "keep one of the two; a file need not be readable for everybody";
        Err(ValueError::new("a second token", help).against(SettingKey::WebhookToken, "the first"))
    }

    /// Checks that `ApiTokenFile` and `ApiToken` are not both set.
    pub(super) fn check_api_token_file(&self, file: &Option<PathBuf>) -> Result<(), ValueError> {
        if file.is_none() || !self.has_api_token {
            return Ok(());
        }
        let help = "keep one of the two; a file need not be readable for everybody";
        Err(ValueError::new("a second token", help).against(SettingKey::ApiToken, "the first"))
    }

    /// Checks that others can reach `ListenAddress` only if a token is set.
    pub(super) fn check_listen_address(&self, address: &SocketAddr) -> Result<(), ValueError> {
        if self.may_have_api_token || address.ip().to_canonical().is_loopback() {
            return Ok(());
        }
        let help = "without a token the API serves this machine only: write 127.0.0.1 or [::1] and reach it from \
                    elsewhere through ssh -L, or set `ApiTokenFile` (`TrafficAlerted token --file PATH` makes the file)";
        Err(ValueError::new("not a loopback address", help))
    }

    /// Checks that a network of `LimitFor` or `IgnoredSources` is not smaller than what `GroupIPv6` counts as one host.
    pub(super) fn check_network(&self, network: IpNet) -> Result<(), ValueError> {
        match self.group_ipv6 {
            Some(len) if network.addr().is_ipv6() && network.prefix_len() > len => {
                let help =
                    format!("IPv6 hosts are told apart by their first {len} bits: write a shorter prefix");
                let error = ValueError::new("smaller than a host", help);
                Err(error.against(SettingKey::GroupIPv6, "what one host is"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that `AnalyzePorts` is on if `LimitFor` limits contacted ports.
    pub(super) fn check_limit(&self, kind: FindingKind) -> Result<(), ValueError> {
        if kind.metric() == Some(Metric::ContactedPorts) && self.port_analysis_is_off {
            let error = ValueError::new("no ports are counted", "write `AnalyzePorts: true` as well");
            return Err(error.against(SettingKey::AnalyzePorts, "off"));
        }
        Ok(())
    }
}

/// Returns the number and the noun, with an `s` for the plural.
fn with_plural(number: usize, noun: impl Display) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{number} {noun}s"),
    }
}
