//! The sentence that explains why a host is, or is not, classified as a scanner: what it did, how often, at which port,
//! in which time, and what became of it. It begins with a verb, since the name of the host is put before it, and it
//! contains no address, so that it can be shown if destinations are hidden.

use std::time::Duration;

use crate::flow::{ContactSample, Outcomes, PortHosts, PortSample, PortSketch};

use super::evidence::ScanRole;
use super::reason::{FAN_OUT_MULTIPLE, Reason};
use super::service_port::{is_ping, port_name};

/// Returns the sentence about a scanner that exceeds `limit`.
pub(super) fn of_scanner(
    sample: &ContactSample,
    ports: Option<&PortSample>,
    reason: Reason,
    limit: u32,
) -> String {
    let time = within(sample.span);
    match reason {
        Reason::Failures(port) | Reason::Pings(port) if is_ping(&port) => {
            format!("asked {}{time} whether they are there: {}", hosts_at(&port), results(port.outcomes))
        }
        Reason::Failures(port) | Reason::Pings(port) => {
            format!("tried {}{time}: {}", hosts_at(&port), results(port.outcomes))
        }
        Reason::FanOut(port) => format!(
            "connected to {}{time}, more than {FAN_OUT_MULTIPLE} times the limit of {limit}, and does not offer that \
             service itself: {}",
            hosts_at(&port),
            results(port.outcomes)
        ),
        Reason::Unseen(port) => format!(
            "tried {}{time}, {} of them in one network; answers to it do not pass here",
            hosts_at(&port),
            port.hosts_in_one_network
        ),
        Reason::FailedPorts(outcomes) => format!(
            "tried {} at one host{}; of all its ports {}",
            port_count(sample),
            within(ports.map_or(sample.span, |ports| ports.span)),
            results(outcomes)
        ),
        Reason::UnseenPorts => format!(
            "tried {} at one host{}; answers to it do not pass here",
            port_count(sample),
            within(ports.map_or(sample.span, |ports| ports.span))
        ),
    }
}

/// Returns the sentence about a host that exceeds a limit and is not a scanner. `ports` is `None` if the limit is not
/// that of ports.
pub(super) fn of_other(sample: &ContactSample, ports: Option<&PortSample>, role: ScanRole) -> String {
    let ContactSample { unmatched_replies, half_open, .. } = sample;
    let (contacted, outcomes, time) = match ports {
        Some(ports) => (count(ports.contacted, "port"), ports.outcomes, within(ports.span)),
        None => (count(sample.contacted, "host"), sample.outcomes, within(sample.span)),
    };
    match role {
        ScanRole::Backscatter => format!(
            "answers {} that did not ask here: somebody forges their addresses, or it floods them with answers",
            count(*unmatched_replies, "host")
        ),
        ScanRole::Victim => format!(
            "answers {} that went no further, as the victim of a flood does, and contacted {contacted} itself",
            count(*half_open, "host")
        ),
        ScanRole::Peer => {
            format!(
                "contacted {contacted}{time}, most at ports of their own, as peers do: {}",
                results(outcomes)
            )
        }
        ScanRole::Scanner | ScanRole::Client if outcomes.total() == 0 => {
            format!("contacted {contacted}{time}")
        }
        _ if !sample.are_answers_visible(ports) => {
            format!("contacted {contacted}{time}; answers to it do not pass here")
        }
        _ if outcomes.expired * 2 >= outcomes.total() => {
            format!("traced the path to {contacted}{time}: {}", results(outcomes))
        }
        _ => {
            let busiest = match (ports, sample.ports.first()) {
                (None, Some(port)) => {
                    format!(", {} of them {}", port.outcomes.total(), port_name(port.protocol, port.port))
                }
                _ => String::new(),
            };
            format!("contacted {contacted}{time}{busiest}: {}", results(outcomes))
        }
    }
}

/// Returns what became of contacts, in the order of the glossary; outcomes without a contact are left out.
fn results(outcomes: Outcomes) -> String {
    let Outcomes { answered, refused, expired, silent, unseen, early } = outcomes;
    let named = [
        (answered, "answered"),
        (refused, "refused"),
        (expired, "expired on the way"),
        (silent, "unanswered"),
        (unseen, "not visible"),
        (early, "too recent to tell"),
    ];
    // That nobody answered is the news about a scanner.
    let is_said = |&(count, name): &(u32, &str)| count > 0 || name == "answered";
    let parts = named.iter().filter(|named| is_said(named)).map(|(count, name)| format!("{count} {name}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn hosts_at(port: &PortHosts) -> String {
    format!("{} {}", count(port.outcomes.total(), "host"), port_name(port.protocol, port.port))
}

fn count(number: u32, of: &str) -> String {
    if number == 1 { format!("1 {of}") } else { format!("{number} {of}s") }
}

/// Returns ` in 9 s`, rounded up; nothing if the time is not known.
fn within(span: Duration) -> String {
    const MINUTES_FROM: u64 = 120;
    let seconds = span.as_secs() + u64::from(span.subsec_nanos() > 0);
    match seconds {
        0 => String::new(),
        1..MINUTES_FROM => format!(" in {seconds} s"),
        _ => format!(" in {} min", seconds.div_ceil(60)),
    }
}

fn port_count(sample: &ContactSample) -> String {
    match sample.ports_at_one_host {
        PortSketch::PORTS_MAX => format!("{} ports or more", PortSketch::PORTS_MAX),
        about => format!("about {about} ports"),
    }
}
