//! The line with the sentence of an alert, after the line in the form of the original program. In the log only an alert
//! that opens has it, in syslog each notice.

use std::fmt;

use super::notice::Notice;
use super::sentence::Sentence;
use crate::enrich::HostDetails;

/// Displays the sentence of a notice as one line without a line end, behind the fields that tell whose it is.
///
/// ```text
/// WHY=SCANNING SRC=10.0.0.7 | 10.0.0.7 <why>; scanner, confidence high; 253 hosts in 170 s, the limit is 15
/// WHY=RECEIVED DST=10.0.0.9 | 10.0.0.9 received 20.1 GB in 170 s, the limit is 20 GB
/// WHY=STORM KIND=SCANNING | 50 hosts of 10.0.0.0/24 exceed the limit of 15 hosts, all at TCP port 445 (SMB), ...
/// WHY=LOSS | this gateway lost 2.1729% of the frames it should have counted in 170 s, the limit is 0.1%; ...
/// ```
///
/// It never contains `EVENT=`, so that a watcher that counts `EVENT=` counts each alert once.
#[derive(Clone, Copy, Debug)]
pub struct WhyLine<'a> {
    notice: &'a Notice,
    source: HostDetails<'a>,
}

impl<'a> WhyLine<'a> {
    /// Returns the second line of a notice in the log; `None` if it has none. The lines of growth and end have none:
    /// their first lines contain the limit, and what is known besides was in the second line of the opening.
    pub fn of(notice: &'a Notice) -> Option<Self> {
        match notice {
            Notice::Opened(_) | Notice::Confirmed(_) | Notice::Test(_) => {
                Some(Self::with(notice, HostDetails::default()))
            }
            Notice::Grown(..) | Notice::Closed(_) => None,
        }
    }

    /// Returns the line with the sentence of any notice, with the name and origin of its host.
    pub(super) fn with(notice: &'a Notice, source: HostDetails<'a>) -> Self {
        Self { notice, source }
    }
}

impl fmt::Display for WhyLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { notice, source } = self;
        let alert = notice.alert();
        match alert.progress.storm {
            Some(_) => write!(f, "WHY=STORM KIND={}", alert.kind.name())?,
            None => write!(f, "WHY={}", alert.kind.name())?,
        }
        if let Some(source) = alert.source {
            write!(f, " {}={source}", alert.kind.detector().words.host)?;
        }
        let sentence = Sentence::about(notice, source);
        match notice {
            // Without its title, a sample, a growth or an end would look like an alert that opens.
            Notice::Test(_) | Notice::Grown(..) | Notice::Closed(_) => write!(f, " | {sentence}"),
            Notice::Opened(_) | Notice::Confirmed(_) => write!(f, " | {}", sentence.body()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::alert::record::{Alert, AlertKind, AlertProgress};
    use crate::alert::sample;

    use super::*;

    #[test]
    fn openings_have_a_second_line_and_other_notices_have_none() {
        let said = "192.0.2.1 sent 1.2 GB in 170 s, the limit is 1 GB";
        let received = Alert { kind: AlertKind::Received, ..sample::traffic() };
        let loss = Alert { kind: AlertKind::Loss, source: None, measured: 5, limit: 1, ..sample::traffic() };
        let lost =
            "this gateway lost 0.0005% of the frames it should have counted in 170 s, the limit is 0.0001%";
        let cases = [
            (Notice::Opened(sample::traffic()), Some(format!("WHY=TRAFFIC SRC=192.0.2.1 | {said}"))),
            (Notice::Confirmed(sample::traffic()), Some(format!("WHY=TRAFFIC SRC=192.0.2.1 | {said}"))),
            (
                Notice::Test(sample::traffic()),
                Some(format!("WHY=TRAFFIC SRC=192.0.2.1 | TEST, nothing happened: {said}")),
            ),
            (
                Notice::Opened(received),
                Some(format!("WHY=RECEIVED DST=192.0.2.1 | {}", said.replace("sent", "received"))),
            ),
            (
                Notice::Confirmed(Alert {
                    progress: AlertProgress { last: 5, ..AlertProgress::default() },
                    ..loss
                }),
                Some(format!(
                    "WHY=LOSS | {lost}; all counts are too low, and more RingMemory or Workers may help"
                )),
            ),
            (Notice::Grown(sample::traffic(), 2), None),
            (Notice::Closed(sample::traffic()), None),
        ];
        for (notice, expected) in cases {
            assert_eq!(WhyLine::of(&notice).map(|line| line.to_string()), expected);
        }
    }
}
