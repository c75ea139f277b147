//! The evidence of an alert about scanning, as JSON.

use std::net::IpAddr;

use serde::Serialize;

use crate::detect::ScanEvidence;
use crate::flow::{ContactTarget, Outcome, Outcomes, PortHosts};

/// The role of the host, the outcomes of its contacts, and the reasoning about them.
#[derive(Serialize)]
pub(super) struct Scan<'a> {
    role: &'static str,
    /// `sweep`, `vertical` or `mixed`; `null` if the host is not a scanner.
    class: Option<&'static str>,
    confidence: &'static str,
    why: &'a str,
    contacted: u32,
    #[serde(flatten)]
    outcomes: OutcomesView,
    /// `visible` or `not visible`. If answers are not visible, the outcomes of the contacts are unknown.
    answers: &'static str,
    busiest_ports: Vec<PortView>,
    ports_at_one_host: u32,
    targets: Vec<TargetView>,
    contacts_per_second: f64,
}

#[derive(Serialize)]
struct OutcomesView {
    answered: u32,
    refused: u32,
    expired: u32,
    silent: u32,
    unseen: u32,
    early: u32,
}

#[derive(Serialize)]
struct PortView {
    protocol: u8,
    port: u16,
    hosts: u32,
    #[serde(flatten)]
    outcomes: OutcomesView,
}

#[derive(Serialize)]
struct TargetView {
    ip: IpAddr,
    protocol: Option<u8>,
    port: Option<u16>,
    outcome: &'static str,
}

impl<'a> Scan<'a> {
    pub(super) fn of(scan: &'a ScanEvidence) -> Self {
        Self {
            role: scan.role.name(),
            class: scan.class.map(|class| class.name()),
            confidence: scan.confidence.name(),
            why: &scan.why,
            contacted: scan.contacted,
            outcomes: OutcomesView::of(scan.outcomes),
            answers: if scan.answers_visible { "visible" } else { "not visible" },
            busiest_ports: scan.ports.iter().map(PortView::of).collect(),
            ports_at_one_host: scan.ports_at_one_host,
            targets: scan.targets.iter().map(TargetView::of).collect(),
            // The length of a tick limits the precision to two digits.
            contacts_per_second: (scan.pace.per_second() * 100.0).round() / 100.0,
        }
    }
}

impl OutcomesView {
    fn of(outcomes: Outcomes) -> Self {
        let Outcomes { answered, refused, expired, silent, unseen, early } = outcomes;
        Self { answered, refused, expired, silent, unseen, early }
    }
}

impl PortView {
    fn of(port: &PortHosts) -> Self {
        let PortHosts { protocol, port, outcomes, .. } = *port;
        Self { protocol, port, hosts: outcomes.total(), outcomes: OutcomesView::of(outcomes) }
    }
}

impl TargetView {
    fn of(target: &ContactTarget) -> Self {
        Self {
            ip: target.addr,
            protocol: target.port.map(|(protocol, _)| protocol),
            port: target.port.map(|(_, port)| port),
            outcome: match target.outcome {
                Outcome::Answered => "answered",
                Outcome::Refused => "refused",
                Outcome::Expired => "expired",
                Outcome::Silent => "silent",
                Outcome::Unseen => "unseen",
                Outcome::Early => "early",
            },
        }
    }
}
