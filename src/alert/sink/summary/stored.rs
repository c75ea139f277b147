//! A summary as JSON in the form that the state database holds, in a row of `notices` with the step `summary`.
//!
//! The database is untrusted: unknown fields and impossible values are refused.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::alert::record::{AlertKind, AlertState};
use crate::alert::state_error::StateError;
use crate::alert::stored_alert::check_version;
use crate::time::UnixNanos;

use super::notice_summary::{NAMED_MAX, NamedAlert, NoticeSummary, StepCounts};

/// Version of the form; only one exists so far.
const VERSION: u32 = 1;

/// Maximum number of characters in an id; the ids of this program have at most 31.
const ID_CHARS_MAX: usize = 64;

/// The largest count that is believed. Sums of such counts fit, and leave room for further notices.
const COUNT_MAX: u64 = u64::MAX >> 16;

/// Times are nanoseconds since 1970-01-01 UTC. Field names are part of the form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SummaryForm {
    version: u32,
    from: u64,
    to: u64,
    kinds: Vec<KindForm>,
    named: Vec<NamedForm>,
    last: u64,
    is_complete: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KindForm {
    kind: String,
    opened: u64,
    confirmed: u64,
    grown: u64,
    closed: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedForm {
    notice: u64,
    id: String,
    kind: String,
    source: Option<IpAddr>,
    #[serde(with = "StateForm")]
    state: AlertState,
    measured: u64,
    limit: u64,
    is_storm: bool,
    /// Earlier versions had none.
    #[serde(default)]
    is_new: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AlertState", rename_all = "lowercase")]
enum StateForm {
    Open,
    Possible,
    Closed,
    Test,
}

/// Returns the stored form of a summary.
pub(in crate::alert::sink) fn summary_to_json(summary: &NoticeSummary) -> String {
    let kinds = summary.kinds.iter().map(|(kind, counts)| {
        let StepCounts { opened, confirmed, grown, closed } = *counts;
        KindForm { kind: kind.name().to_owned(), opened, confirmed, grown, closed }
    });
    let form = SummaryForm {
        version: VERSION,
        from: summary.from.0,
        to: summary.to.0,
        kinds: kinds.collect(),
        named: summary.named.iter().map(NamedForm::of).collect(),
        last: summary.last,
        is_complete: summary.is_complete,
    };
    serde_json::to_string(&form).expect("forms are structs of numbers and text with string keys")
}

/// Parses the stored form of a summary.
///
/// # Errors
/// The text has another form or version, or an impossible value.
pub(in crate::alert::sink) fn summary_from_json(json: &str) -> Result<NoticeSummary, StateError> {
    check_version(json, VERSION)?;
    let SummaryForm { version: _, from, to, kinds, named, last, is_complete } = serde_json::from_str(json)?;
    if from > to {
        return Err(StateError::Wrong("the time of a summary"));
    }
    let mut summary = NoticeSummary {
        from: UnixNanos(from),
        to: UnixNanos(to),
        named: named.into_iter().map(NamedForm::check).collect::<Result<_, _>>()?,
        last,
        is_complete,
        ..NoticeSummary::default()
    };
    for KindForm { kind, opened, confirmed, grown, closed } in kinds {
        let kind = AlertKind::named(&kind).ok_or(StateError::Wrong("the kind of an alert"))?;
        let counts = StepCounts { opened, confirmed, grown, closed };
        let are_possible = [opened, confirmed, grown, closed].into_iter().all(|count| count <= COUNT_MAX);
        if !are_possible || counts.total() == 0 || summary.kinds.insert(kind, counts).is_some() {
            return Err(StateError::Wrong("the counts of a summary"));
        }
    }
    if summary.kinds.is_empty() || summary.named.is_empty() || summary.named.len() > NAMED_MAX {
        return Err(StateError::Wrong("a summary of nothing, or one that names too many alerts"));
    }
    Ok(summary)
}

impl NamedForm {
    fn of(named: &NamedAlert) -> Self {
        let NamedAlert { notice, id, kind, source, state, measured, limit, is_storm, is_new } = named;
        Self {
            notice: *notice,
            id: id.clone(),
            kind: kind.name().to_owned(),
            source: *source,
            state: *state,
            measured: *measured,
            limit: *limit,
            is_storm: *is_storm,
            is_new: *is_new,
        }
    }

    fn check(self) -> Result<NamedAlert, StateError> {
        let Self { notice, id, kind, source, state, measured, limit, is_storm, is_new } = self;
        let kind = AlertKind::named(&kind).ok_or(StateError::Wrong("the kind of an alert"))?;
        let is_id = (1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id {
            return Err(StateError::Wrong("the id of an alert"));
        }
        if limit == 0 {
            return Err(StateError::Wrong("the limit or peak of an alert"));
        }
        if source.is_none() != (is_storm || kind == AlertKind::Loss) {
            return Err(StateError::Wrong("the source of an alert"));
        }
        Ok(NamedAlert { notice, id, kind, source, state, measured, limit, is_storm, is_new })
    }
}
