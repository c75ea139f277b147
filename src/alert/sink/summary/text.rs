//! A summary as text: the line in the form of the log, and the sentence for people.

use std::fmt;
use std::time::Duration;

use crate::alert::json::rfc3339;
use crate::human::{HumanCount, HumanDuration};

use super::notice_summary::{NamedAlert, NoticeSummary, READ_AT, SUMMARY_KIND, StepCounts};

/// Displays a summary as a line in the form of the [log line](crate::alert::Line) of a notice.
///
/// ```text
/// SUMMARY=ALERTS NOTICES=940 OPENED=900 CONFIRMED=2 GROWN=37 CLOSED=1 FROM=... TO=... | NAMED=[...]
/// ```
///
/// `NAMED` has `{1790000000-7 TRAFFIC 10.0.0.5}` for each alert that the summary names.
///
/// It contains neither `EVENT=` nor `SRC=`, so that a watcher that counts or blocks by these does neither here.
pub(in crate::alert::sink) struct SummaryLine<'a>(pub(in crate::alert::sink) &'a NoticeSummary);

impl fmt::Display for SummaryLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        let StepCounts { opened, confirmed, grown, closed } = summary.steps();
        write!(
            f,
            "SUMMARY=ALERTS NOTICES={} OPENED={opened} CONFIRMED={confirmed} GROWN={grown} CLOSED={closed} \
             FROM={} TO={}",
            summary.notices(),
            rfc3339(summary.from),
            rfc3339(summary.to),
        )?;
        f.write_str(" | NAMED=[")?;
        for (at, NamedAlert { id, kind, source, is_storm, .. }) in summary.named.iter().enumerate() {
            let gap = if at == 0 { "" } else { " " };
            let storm = if *is_storm { " STORM" } else { "" };
            write!(f, "{gap}{{{id} {}{storm}", kind.name())?;
            source.map_or(Ok(()), |source| write!(f, " {source}"))?;
            f.write_str("}")?;
        }
        f.write_str("]")
    }
}

/// Displays a summary as one sentence without a full stop.
///
/// ```text
/// SUMMARY: 940 more notices in 58 s than AlertRate allows: 900 opened, 2 certain now, 37 grown, 1 closed (SCANNING
/// 930, TRAFFIC 10); the largest: TRAFFIC of 10.0.0.5, 12 times the limit; ...; /api/v1/alerts has the open alerts,
/// /api/v1/alerts?state=closed those that have ended
/// ```
pub(in crate::alert::sink) struct SummarySentence<'a>(pub(in crate::alert::sink) &'a NoticeSummary);

/// Number of alerts that the sentence names.
const IN_SENTENCE_MAX: usize = 3;

impl fmt::Display for SummarySentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        write!(f, "{SUMMARY_KIND}: {}", self.body())?;
        debug_assert!(summary.notices() > 0, "a summary of nothing");
        Ok(())
    }
}

impl<'a> SummarySentence<'a> {
    /// Returns the words after the title.
    pub(in crate::alert::sink) fn body(&self) -> impl fmt::Display + use<'a> {
        SummaryBody(self.0)
    }
}

struct SummaryBody<'a>(&'a NoticeSummary);

impl fmt::Display for SummaryBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(summary) = self;
        let span = summary.to.since(summary.from).max(Duration::from_secs(1));
        let span = HumanDuration(Duration::from_secs(span.as_secs()));
        let notices = match summary.notices() {
            1 => "1 more notice".to_owned(),
            notices => format!("{} more notices", HumanCount(notices)),
        };
        write!(f, "{notices} in {span} than AlertRate allows: ")?;
        let StepCounts { opened, confirmed, grown, closed } = summary.steps();
        let steps = [(opened, "opened"), (confirmed, "certain now"), (grown, "grown"), (closed, "closed")];
        let steps = steps.into_iter().filter(|(count, _)| *count > 0);
        let steps: Vec<_> = steps.map(|(count, word)| format!("{} {word}", HumanCount(count))).collect();
        let kinds = summary.kinds.iter();
        let kinds: Vec<_> =
            kinds.map(|(kind, counts)| format!("{} {}", kind.name(), HumanCount(counts.total()))).collect();
        write!(f, "{} ({}); the largest: ", steps.join(", "), kinds.join(", "))?;
        for named in summary.named.iter().take(IN_SENTENCE_MAX) {
            write_named(named, f)?;
            f.write_str(if named.has_ended() { ", ended; " } else { "; " })?;
        }
        write!(f, "{READ_AT} has the open alerts")?;
        if closed > 0 { write!(f, ", {READ_AT}?state=closed those that have ended") } else { Ok(()) }
    }
}

fn write_named(named: &NamedAlert, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(named.kind.name())?;
    match named.source {
        _ if named.is_storm => return write!(f, " storm of {} hosts", HumanCount(named.measured)),
        Some(source) => write!(f, " of {source}")?,
        None => {}
    }
    match named.times() {
        0 | 1 => Ok(()),
        times => write!(f, ", {} times the limit", HumanCount(times)),
    }
}
