//! The rows of the database, and the changes of them that belong together.

/// Version of the schema of the database (`PRAGMA user_version`).
pub(super) const SCHEMA_VERSION: i64 = 1;

/// An alert that is open or may open again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRow {
    /// The id of the alert.
    pub id: String,
    /// The alert as JSON.
    pub body: String,
}

/// A mute in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteRow {
    /// The number of the mute.
    pub id: u64,
    /// The mute as JSON.
    pub body: String,
}

/// A notice that at least one sink has yet to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoticeRow {
    /// Its number. Notices have ascending numbers in the order in which they were made, and no number is used twice.
    pub number: u64,
    /// The id of its alert.
    pub alert_id: String,
    /// What it says about the alert: opened, confirmed, grown, closed.
    pub step: String,
    /// When it was made, in nanoseconds since 1970-01-01 UTC.
    pub queued_at: u64,
    /// The notice as JSON.
    pub body: String,
}

/// A sink that has yet to deliver a notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The name of the sink.
    pub sink: String,
    /// The number of the notice.
    pub notice: u64,
}

/// The largest numbers that were given out or may have been. A later process continues after them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The number in the id of the last alert.
    pub opened: u64,
    /// The number of the last mute.
    pub last_mute: u64,
    /// The number of the last notice.
    pub last_notice: u64,
}

impl Numbers {
    /// Returns the larger of each pair of numbers.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            opened: self.opened.max(other.opened),
            last_mute: self.last_mute.max(other.last_mute),
            last_notice: self.last_notice.max(other.last_notice),
        }
    }
}

/// Changes that are written in one transaction, so that a later process finds either all of them or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Alerts that are new or have changed.
    pub alerts: Vec<AlertRow>,
    /// Ids of alerts to forget.
    pub alerts_removed: Vec<String>,
    /// Mutes that are new or have changed.
    pub mutes: Vec<MuteRow>,
    /// Numbers of mutes that are over.
    pub mutes_removed: Vec<u64>,
    /// Numbers that were given out. A smaller number than the one in the database changes nothing.
    pub numbers: Numbers,
    /// New notices, each with the names of the sinks that have to deliver it. One without a sink is not kept.
    pub notices: Vec<(NoticeRow, Vec<String>)>,
    /// Notices that a sink is done with: the name of the sink and the number of the notice. A notice that no sink has
    /// yet to deliver is removed.
    pub settled: Vec<(String, u64)>,
    /// Counters of sinks as JSON, by the name of the sink.
    pub counters: Vec<(String, String)>,
}

impl Changes {
    /// Returns true if there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What an earlier process left in the database. The rows have the right types, and the notices of the outbox exist.
/// The texts in them are untrusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Alerts, ordered by id.
    pub alerts: Vec<AlertRow>,
    /// Mutes, ordered by number.
    pub mutes: Vec<MuteRow>,
    /// Numbers that were given out; `None` if no database was read.
    pub numbers: Option<Numbers>,
    /// Notices that wait, the oldest first.
    pub notices: Vec<NoticeRow>,
    /// The sinks that have yet to deliver them, ordered by notice.
    pub outbox: Vec<OutboxRow>,
    /// Counters of sinks as JSON, by the name of the sink.
    pub counters: Vec<(String, String)>,
}
