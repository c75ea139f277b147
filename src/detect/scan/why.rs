//! The sentence that explains why a host is, or is not, classified as a scanner. It contains no address, so that it can
//! be shown if destinations are hidden.

use crate::flow::{ContactSample, Outcomes, PortHosts, PortSample, PortSketch};

use super::evidence::ScanRole;
use super::reason::{FAN_OUT_MULTIPLE, Reason};
use super::service_port::port_name;

/// Returns the sentence about a scanner that exceeds `limit`.
pub(super) fn of_scanner(sample: &ContactSample, reason: Reason, limit: u32) -> String {
    match reason {
        Reason::Failures(port) => format!("contacted {}, {}", hosts(&port), failures(port.outcomes)),
        Reason::Pings(port) => {
            format!("asked {} whether they are there, {}", hosts(&port), failures(port.outcomes))
        }
        Reason::FanOut(port) => format!(
            "contacted {} that it does not offer itself, more than {FAN_OUT_MULTIPLE} times the limit of {limit}",
            hosts(&port)
        ),
        Reason::Unseen(port) => format!(
            "contacted {}, {} of them in one network and {:.1} per second; answers not visible",
            hosts(&port),
            port.hosts_in_one_network,
            sample.pace.per_second()
        ),
        Reason::FailedPorts(outcomes) => {
            format!("contacted {} at one host; of all its ports {}", port_count(sample), failures(outcomes))
        }
        Reason::UnseenPorts => format!("contacted {} at one host; answers not visible", port_count(sample)),
    }
}

/// Returns the sentence about a host that exceeds a limit and is not a scanner. `ports` is `None` if the limit is that
/// of hosts.
pub(super) fn of_other(sample: &ContactSample, ports: Option<&PortSample>, role: ScanRole) -> String {
    let ContactSample { unmatched_replies, half_open, .. } = sample;
    let (what, outcomes) = match ports {
        Some(ports) => (format!("{} ports", ports.contacted), ports.outcomes),
        None => (format!("{} hosts", sample.contacted), sample.outcomes),
    };
    match role {
        ScanRole::Backscatter => {
            format!(
                "answers {unmatched_replies} hosts that were not seen to ask; somebody uses their addresses"
            )
        }
        ScanRole::Victim => format!("answers {half_open} hosts that went no further, and contacted {what}"),
        ScanRole::Peer => format!("contacted {what}, most hosts at ports of their own, as peers do"),
        _ if !sample.answers_visible => format!("contacted {what}; answers not visible"),
        _ => {
            let busiest = match (ports, sample.ports.first()) {
                (None, Some(port)) => format!(", {} of them {}", port.outcomes.total(), port_name(port)),
                _ => String::new(),
            };
            let Outcomes { answered, .. } = outcomes;
            format!(
                "contacted {what}, {answered} of {} answered{busiest}: many, as a busy client",
                outcomes.total()
            )
        }
    }
}

fn hosts(port: &PortHosts) -> String {
    format!("{} hosts {}", port.outcomes.total(), port_name(port))
}

fn failures(outcomes: Outcomes) -> String {
    let Outcomes { answered, refused, silent, .. } = outcomes;
    format!("{} in vain ({refused} refused, {silent} silent) and {answered} answered", outcomes.failed())
}

fn port_count(sample: &ContactSample) -> String {
    match sample.ports_at_one_host {
        PortSketch::PORTS_MAX => format!("{} ports or more", PortSketch::PORTS_MAX),
        about => format!("about {about} ports"),
    }
}
