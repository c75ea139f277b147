//! A notice on its way to every sink, or a summary on its way to one.

use std::sync::OnceLock;

use crate::alert::json;
use crate::alert::notice::Notice;
use crate::alert::record::Alert;
use crate::alert::sentence::Sentence;
use crate::enrich::{GeoIp, GeoIpRecord, HostDetails, ReverseDns};
use crate::store::Ticket;
use crate::time::{Moment, UnixNanos, monotonic_now};

use super::summary::{self, NoticeSummary, SummarySentence, summary_id};

/// What a sink delivers at once.
#[allow(clippy::large_enum_variant, reason = "it is always in an Arc, and nearly always a notice")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueuedContent {
    /// One message about an alert.
    Notice(Notice),
    /// What takes the place of many of them.
    Summary(NoticeSummary),
}

impl From<Notice> for QueuedContent {
    fn from(notice: Notice) -> Self {
        Self::Notice(notice)
    }
}

impl From<NoticeSummary> for QueuedContent {
    fn from(summary: NoticeSummary) -> Self {
        Self::Summary(summary)
    }
}

/// A notice on its way to every sink, or a summary on its way to one.
#[derive(Debug)]
pub(super) struct QueuedNotice {
    /// Ascends in the order in which notices are queued. With a state directory no process uses a number again.
    pub(super) number: u64,
    /// When it was queued, by the wall clock.
    pub(super) at: UnixNanos,
    /// When this process queued it, on the monotonic clock, by which its age is measured. The age begins anew after a
    /// restart, since the wall clock may have stepped.
    pub(super) since: Moment,
    pub(super) content: QueuedContent,
    /// Tells when the notice is in the state database; `None` if it is not kept there, or was restored from there.
    pub(super) ticket: Option<Ticket>,
    /// The name of the source; empty until a sink looks it up.
    name: OnceLock<Option<String>>,
    /// The GeoIP record of the source; empty until a sink looks it up.
    origin: OnceLock<GeoIpRecord>,
}

impl QueuedNotice {
    pub(super) fn new(number: u64, at: UnixNanos, content: impl Into<QueuedContent>) -> Self {
        Self {
            number,
            at,
            since: monotonic_now(),
            content: content.into(),
            ticket: None,
            name: OnceLock::new(),
            origin: OnceLock::new(),
        }
    }

    /// Returns the same notice without the destinations of its alert.
    pub(super) fn without_destinations(&self) -> Self {
        let Self { number, at, since, content, ticket, name, origin } = self;
        let mut content = content.clone();
        if let QueuedContent::Notice(notice) = &mut content {
            notice.hide_destinations();
        }
        Self {
            number: *number,
            at: *at,
            since: *since,
            content,
            ticket: *ticket,
            name: name.clone(),
            origin: origin.clone(),
        }
    }

    /// Returns the alert of a notice; `None` for a summary.
    pub(super) fn alert(&self) -> Option<&Alert> {
        match &self.content {
            QueuedContent::Notice(notice) => Some(notice.alert()),
            QueuedContent::Summary(_) => None,
        }
    }

    /// Returns the id of the alert; empty for a summary, which is about several.
    pub(super) fn alert_id(&self) -> &str {
        self.alert().map_or("", |alert| &alert.id)
    }

    /// Returns the JSON object for a receiver as one line without a line end. `source` is what it may learn of the
    /// source of an alert.
    pub(super) fn json(&self, source: HostDetails<'_>) -> String {
        match &self.content {
            QueuedContent::Notice(notice) => json::text(notice, source),
            QueuedContent::Summary(summary) => summary::json(&summary_id(self.number, self.at), summary),
        }
    }

    /// Returns the sentence for people.
    pub(super) fn sentence(&self) -> String {
        match &self.content {
            QueuedContent::Notice(notice) => Sentence::about(notice, self.source()).to_string(),
            QueuedContent::Summary(summary) => SummarySentence(summary).to_string(),
        }
    }

    /// Looks up the name of the source unless another sink did. Blocks during the lookup, also if another sink makes
    /// it.
    pub(super) fn look_up_name(&self, names: &ReverseDns) {
        self.name.get_or_init(|| names.name_of(self.alert()?.source?));
    }

    /// Looks up the GeoIP record of the source unless another sink did.
    pub(super) fn look_up_origin(&self, geoip: &GeoIp) {
        self.origin.get_or_init(|| {
            let source = self.alert().and_then(|alert| alert.source);
            source.map_or_else(GeoIpRecord::default, |source| geoip.of(source))
        });
    }

    /// Returns the name and origin of the source as far as they have been looked up.
    pub(super) fn source(&self) -> HostDetails<'_> {
        let name = self.name.get().and_then(Option::as_deref);
        self.origin
            .get()
            .map_or(HostDetails { name, ..HostDetails::default() }, |origin| origin.details(name))
    }
}
