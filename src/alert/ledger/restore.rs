//! How the ledger continues after a restart.

use std::collections::HashSet;
use std::time::Duration;

use tracing::warn;

use crate::alert::cooldowns::ClosedAlert;
use crate::alert::notice::Notice;
use crate::alert::open_alert::OpenAlert;
use crate::alert::open_storm::At;
use crate::alert::persisted_ledger::PersistedLedger;
use crate::alert::record::Alert;
use crate::alert::wall_clock::limit_to_present;
use crate::time::{Moment, UnixNanos};

use super::Ledger;

impl Ledger {
    /// Continues from the saved state of an earlier process. The notices of that process are not repeated. An alert
    /// without a further finding closes a whole window after `now`, and shows the windows of the present. Appends the
    /// notices of alerts whose mute has ended meanwhile.
    ///
    /// The clock may have been wrong when the state was saved. Times in the future become the present, and mutes last
    /// their own length from `now` on. That is logged once.
    pub(crate) fn restore(
        &mut self,
        persisted: PersistedLedger,
        now: Moment,
        wall_clock: UnixNanos,
        notices: &mut Vec<Notice>,
    ) {
        let PersistedLedger {
            opened,
            last_mute,
            mut open,
            mut closed,
            mutes,
            mut storms,
            refused_alerts,
            refused_mutes,
            taken_over,
        } = persisted;
        self.opened = opened;
        let mutes_saved = mutes.iter().map(|mute| mute.id).chain(refused_mutes).collect();
        self.rewrite_rows(&refused_alerts, mutes_saved);
        let mut corrected_alerts = 0;
        let taken_over: HashSet<String> = taken_over.into_iter().collect();
        for alert in open.iter_mut().map(|known| &mut known.alert).chain(&mut closed) {
            if taken_over.contains(&alert.id) {
                self.unsaved.note(&alert.id, (alert.source, alert.kind));
            }
            alert.window = self.timeouts.window_of(alert.kind);
            corrected_alerts += usize::from(limit_to_present(alert, wall_clock));
        }
        for storm in &mut storms {
            corrected_alerts += usize::from(limit_to_present(&mut storm.alert, wall_clock));
        }
        let corrected_mutes = self.mutes.restore(mutes, last_mute, now, wall_clock);
        if corrected_alerts > 0 || corrected_mutes > 0 {
            warn!(
                "the state has times that cannot be true, of {corrected_alerts} alerts and {corrected_mutes} \
                 mutes: the clock was or is wrong; these mutes last their own length from now on, at most 30 days"
            );
        }
        let timeouts = self.timeouts;
        // A kind that is no longer counted has a window of zero. No finding could keep its alert open, so the alert is
        // dropped without a notice.
        let is_counted = |alert: &Alert| timeouts.of(alert.kind) > Duration::ZERO;
        for known in open.iter().filter(|known| !is_counted(&known.alert)) {
            self.unsaved.note(&known.alert.id, (known.alert.source, known.alert.kind));
        }
        self.open = open
            .into_iter()
            .filter(|known| is_counted(&known.alert))
            .map(|known| ((known.alert.source, known.alert.kind), OpenAlert::restore(known, now)))
            .collect();
        self.closed.restore(closed.into_iter().map(|alert| {
            let closed_before = wall_clock.since(alert.closed_at.unwrap_or(wall_clock));
            ClosedAlert::restored(alert, now, closed_before)
        }));
        self.unsaved.saved_storms = storms.iter().map(|storm| storm.alert.id.clone()).collect();
        storms.retain(|storm| is_counted(&storm.alert));
        self.restore_storms(storms, At { now, wall_clock });
        self.index_room();
        self.note_all();
        self.apply_mutes();
        self.say_unmuted(notices);
    }
}
