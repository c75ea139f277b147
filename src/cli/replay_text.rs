//! What `replay` prints for people: the sums, the largest hosts and pairs, and the alerts.
//!
//! Lines that scripts may look for begin at the margin and keep their form: the sums (`16 frames: ...`), the reasons of
//! skipped frames (`skipped as ...`), and the log line of each alert (`EVENT=...`), which is never broken.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

use jiff::{Timestamp, Unit};
use traffic_alerted::alert::{Alert, AlertState, Line, Notice, sentence};
use traffic_alerted::capture::capture_name;
use traffic_alerted::engine::{ReplayOutcome, Replayed};
use traffic_alerted::flow::{HostCounts, Metric, Window};
use traffic_alerted::human::{HumanBitRate, HumanBytes, HumanCount, HumanDuration};
use traffic_alerted::packet::Skip;
use traffic_alerted::time::UnixNanos;

use super::replay_json::directions;
use super::table::{Table, wrapped};

/// What is shown of a replay, and how wide.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextView<'a> {
    pub(super) outcome: &'a ReplayOutcome,
    pub(super) result: &'a Replayed,
    /// True if `NoDestinations` hides pairs.
    pub(super) hides_destinations: bool,
    /// True if ports are analysed.
    pub(super) counts_ports: bool,
    /// Characters of a line.
    pub(super) width: usize,
}

impl TextView<'_> {
    /// Prints everything.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        self.print_sums(out)?;
        if let Some(totals) = &self.result.totals {
            self.print_hosts(out, totals)?;
            self.print_pairs(out, totals)?;
        }
        self.print_alerts(out)
    }

    /// Prints the sums, the reasons of skipped frames, and what the captures are.
    pub(super) fn print_sums(&self, out: &mut dyn Write) -> io::Result<()> {
        let counted = &self.result.accounting;
        writeln!(
            out,
            "{} frames: {} IP packets, {} bytes",
            counted.frames, counted.ip_packets, counted.ip_bytes
        )?;
        for (reason, frames) in Skip::ALL.iter().zip(counted.skipped).filter(|(_, frames)| *frames > 0) {
            writeln!(out, "skipped as {reason}: {frames}")?;
        }
        writeln!(out)?;
        let names: Vec<String> =
            self.outcome.captures.iter().take(NAMES_MAX).map(|capture| capture_name(&capture.path)).collect();
        let all = self.outcome.captures.len();
        let more = if all > names.len() { format!(" and {} more", all - names.len()) } else { String::new() };
        self.entry(out, "Captures", &format!("{}{more}", names.join(", ")))?;
        if let Some((first, last)) = self.result.time {
            let lasted = HumanDuration(self.lasted());
            self.entry(out, "Time", &format!("{} to {}, {lasted}", rfc3339(first), rfc3339(last)))?;
        }
        self.entry(
            out,
            "Packets",
            &format!(
                "{} with {}{}",
                HumanCount(counted.ip_packets),
                HumanBytes(counted.ip_bytes),
                self.mean_rate(counted.ip_packets, counted.ip_bytes)
            ),
        )?;
        for (capture, direction) in directions(self.outcome, self.result) {
            self.entry(out, "Direction", &format!("{capture}: {direction}"))?;
        }
        let unjudged = self.result.timing.unjudged_frames();
        if unjudged > 0 {
            let text = format!("{} frames, whose time is not known", HumanCount(unjudged));
            self.entry(out, "Unjudged", &text)?;
        }
        Ok(())
    }

    fn print_hosts(&self, out: &mut dyn Write, totals: &Window) -> io::Result<()> {
        let hosts = totals.hosts().filter(|host| host.packets > 0);
        let (count, largest) =
            largest(hosts, |host: &HostCounts| host.counts[Metric::IpBytes], |host| host.addr);
        let mut heads = vec!["HOST", "SENT", "PACKETS", "RATE", "CONTACTED"];
        heads.extend(self.counts_ports.then_some("PORTS"));
        let mut table = Table::new(&heads);
        for host in largest {
            let ip_bytes = host.counts[Metric::IpBytes];
            let mut cells = vec![
                host.addr.to_string(),
                HumanBytes(ip_bytes).to_string(),
                HumanCount(host.packets).to_string(),
                self.bit_rate(ip_bytes),
                HumanCount(host.counts[Metric::ContactedHosts]).to_string(),
            ];
            cells.extend(
                self.counts_ports.then(|| HumanCount(host.counts[Metric::ContactedPorts]).to_string()),
            );
            table.row(cells);
        }
        self.print_table(out, "Largest hosts", count, &table)
    }

    fn print_pairs(&self, out: &mut dyn Write, totals: &Window) -> io::Result<()> {
        if self.hides_destinations {
            return writeln!(out, "\nThe pairs are hidden (NoDestinations).");
        }
        let pairs = totals.pairs().filter(|&(_, _, packets, _)| packets > 0);
        let (count, largest) = largest(pairs, |&(_, _, _, ip_bytes)| ip_bytes, |&(src, dst, ..)| (src, dst));
        let mut table = Table::new(&["FROM -> TO", "SENT", "PACKETS", "RATE"]);
        for (src, dst, packets, ip_bytes) in largest {
            table.row(vec![
                format!("{src} -> {dst}"),
                HumanBytes(ip_bytes).to_string(),
                HumanCount(packets).to_string(),
                self.bit_rate(ip_bytes),
            ]);
        }
        self.print_table(out, "Largest pairs", count, &table)
    }

    fn print_table(&self, out: &mut dyn Write, title: &str, count: usize, table: &Table) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let of = if count > ROWS_MAX {
            format!(" ({ROWS_MAX} of {})", HumanCount(count as u64))
        } else {
            String::new()
        };
        write!(out, "\n{title}{of}\n{}", table.lines(self.width))
    }

    fn print_alerts(&self, out: &mut dyn Write) -> io::Result<()> {
        let alerts = &self.result.alerts;
        if alerts.is_empty() {
            return writeln!(out, "\nNo alerts");
        }
        writeln!(out, "\nAlerts ({})", alerts.len())?;
        for alert in alerts {
            writeln!(out)?;
            print_alert(out, alert, self.width, "")?;
        }
        Ok(())
    }

    fn entry(&self, out: &mut dyn Write, label: &str, text: &str) -> io::Result<()> {
        let entry = format!("{label:LABEL_WIDTH$}{}", wrapped(text, self.width - LABEL_WIDTH, 0));
        writeln!(out, "{}", entry.replace('\n', &format!("\n{:LABEL_WIDTH$}", "")))
    }

    /// Returns the time from the first to the last frame.
    fn lasted(&self) -> Duration {
        let (first, last) = self.result.time.unwrap_or_default();
        Duration::from_nanos(last.0.saturating_sub(first.0))
    }

    /// Returns the mean rates of packets and bytes; nothing if they took less than a second.
    fn mean_rate(&self, packets: u64, ip_bytes: u64) -> String {
        let Some(tenths) = self.per_second(packets.saturating_mul(10)) else { return String::new() };
        let packets = match tenths {
            0 => "less than 0.1".to_owned(),
            1..100 => format!("{}.{}", tenths / 10, tenths % 10),
            _ => HumanCount(tenths / 10).to_string(),
        };
        format!("; {packets} packets/s, {} on average", self.bit_rate(ip_bytes))
    }

    /// Returns the mean rate of these bytes in bits per second; a dash if they took less than a second.
    fn bit_rate(&self, ip_bytes: u64) -> String {
        match self.per_second(ip_bytes.saturating_mul(8)) {
            None => "-".to_owned(),
            Some(0) => "< 1 bit/s".to_owned(),
            Some(bits) => HumanBitRate(bits).to_string(),
        }
    }

    /// Returns a count per second; `None` if the captures took less than a second.
    fn per_second(&self, count: u64) -> Option<u64> {
        let nanos = Some(self.lasted()).filter(|lasted| lasted.as_secs() > 0)?.as_nanos();
        let rate = (u128::from(count) * 1_000_000_000).checked_div(nanos)?;
        Some(u64::try_from(rate).unwrap_or(u64::MAX))
    }
}

/// Prints an alert: when it opened, what it says, its end, and its log line.
///
/// # Errors
/// `out` cannot be written.
pub(super) fn print_alert(out: &mut dyn Write, alert: &Alert, width: usize, indent: &str) -> io::Result<()> {
    let open = Alert { closed_at: None, ..alert.clone() };
    let said = sentence(&open, AlertState::of(&open));
    let text = wrapped(&format!("{} {said}", rfc3339(alert.opened_at)), width - indent.len(), 2);
    let end = match alert.closed_at {
        Some(at) => format!("ended {}, after {}", rfc3339(at), HumanDuration(alert.lasted())),
        None => "still open at the end of the capture".to_owned(),
    };
    for line in text.lines().chain([format!("  {end}").as_str()]) {
        writeln!(out, "{indent}{line}")?;
    }
    writeln!(out, "{indent}{}", line(alert))
}

/// Returns the log line of an alert that opens.
fn line(alert: &Alert) -> impl Display + use<> {
    Line(&Notice::Opened(alert.clone())).to_string()
}

/// Formats a time as RFC 3339 in UTC, in whole seconds.
pub(super) fn rfc3339(at: UnixNanos) -> String {
    let at = Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or(Timestamp::MAX);
    let whole = jiff::TimestampRound::new().smallest(Unit::Second).mode(jiff::RoundMode::Floor);
    at.round(whole).unwrap_or(at).to_string()
}

/// Returns the number of items and those with the most bytes, the largest first, ties by `then`.
fn largest<T, K: Ord>(
    items: impl Iterator<Item = T>,
    bytes: impl Fn(&T) -> u64,
    then: impl Fn(&T) -> K,
) -> (usize, Vec<T>) {
    let order = |a: &T, b: &T| bytes(b).cmp(&bytes(a)).then_with(|| then(a).cmp(&then(b)));
    let mut count = 0;
    let mut largest: Vec<T> = Vec::with_capacity(ROWS_MAX + 1);
    for item in items {
        count += 1;
        if largest.len() == ROWS_MAX && order(&largest[ROWS_MAX - 1], &item).is_le() {
            continue;
        }
        let at = largest.partition_point(|known| order(known, &item).is_le());
        largest.insert(at, item);
        largest.truncate(ROWS_MAX);
    }
    (count, largest)
}

/// Maximum number of rows of a table.
const ROWS_MAX: usize = 10;
/// Maximum number of captures whose names are listed.
const NAMES_MAX: usize = 12;
/// Characters of a label and the space after it.
const LABEL_WIDTH: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_are_found_and_ties_are_ordered_by_address() {
        let items = (0..100_u64).map(|n| (n * 37 % 50, n));
        let (count, rows) = largest(items, |item| item.0, |item| item.1);
        assert_eq!(count, 100);
        let mut all: Vec<(u64, u64)> = (0..100).map(|n| (n * 37 % 50, n)).collect();
        all.sort_by_key(|&(bytes, n)| (std::cmp::Reverse(bytes), n));
        assert_eq!(rows, all[..ROWS_MAX]);
    }

    #[test]
    fn times_are_cut_to_seconds() {
        assert_eq!(rfc3339(UnixNanos(1_790_000_000_999_999_999)), "2026-09-21T14:13:20Z");
    }
}
