//! What a replay found, in sentences.

use std::time::Duration;

use tracing::Level;
use traffic_alerted::capture::capture_name;
use traffic_alerted::engine::{CaptureRead, FramePlace, ReplayOutcome, TimingReport};
use traffic_alerted::human::HumanDuration;
use traffic_alerted::packet::Skip;
use traffic_alerted::time::UnixNanos;

use super::replay_text::rfc3339;

/// A sentence about a capture, and how serious that is.
#[derive(Debug)]
pub(super) struct CaptureNote {
    pub(super) level: Level,
    pub(super) text: String,
}

/// Returns a sentence about each kind of what was met in a capture, except for the error at which reading ended.
pub(super) fn capture_notes(capture: &CaptureRead) -> Vec<CaptureNote> {
    let name = capture_name(&capture.path);
    let mut notes = Vec::new();
    let mut note = |level, text| notes.push(CaptureNote { level, text });
    for warning in capture.report.iter().flat_map(|report| &report.warnings) {
        note(if warning.is_loss() { Level::ERROR } else { Level::WARN }, warning.to_string());
    }
    let undecoded = capture.report.as_ref().map_or(&[][..], |report| &report.undecoded[..]);
    if capture.is_not_understood() {
        let links = undecoded.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        note(
            Level::ERROR,
            format!("nothing in {name} was understood: {}", why_not_understood(capture, &links)),
        );
    } else {
        for link in undecoded {
            note(Level::WARN, format!("{} of {link} in {name} were not understood", frames(link.frames)));
        }
    }
    if capture.is_without_ip() {
        let read = frames(capture.frames);
        note(Level::WARN, format!("{name} has no IP packets: {read} of other protocols, such as ARP"));
    }
    if capture.frames == 0 && capture.error.is_none() {
        note(Level::WARN, format!("{name} has no frames"));
    }
    notes
}

/// Returns why no frame of a capture was understood, and what to do. `links` are its link types that are not decoded.
fn why_not_understood(capture: &CaptureRead, links: &str) -> String {
    let all = frames(capture.frames);
    if capture.undecoded_frames() == capture.frames {
        return format!("{all} of {links}, which is not decoded; capture on an interface of another kind");
    }
    let faults = || capture.understanding.faults();
    let reasons: Vec<String> = faults()
        .map(|(reason, count)| match reason {
            Skip::UnsupportedLink => format!("{count} have {links}, which is not decoded"),
            reason => format!("{count} are skipped as {reason}"),
        })
        .collect();
    let is_cut = faults().any(|(reason, _)| matches!(reason, Skip::IpTruncated | Skip::LinkTruncated));
    let remedy = if is_cut {
        "capture more bytes of each frame, as `tcpdump -s 256` does"
    } else {
        "check with capinfos that the file has the right link type"
    };
    format!("of {all}, {}; {remedy}", reasons.join(", "))
}

/// Returns a sentence about each kind of what was found about the times of the captures.
pub(super) fn notes(outcome: &ReplayOutcome) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(result) = outcome.results.first() {
        notes.extend(timing_notes(outcome, &result.timing));
        let is_one_time = result.time.is_some_and(|(first, last)| first == last);
        if is_one_time && result.accounting.frames > FRAMES_AT_ONCE_MAX {
            notes.push(
                "all frames have the same time, so limits were applied as if all had come at once".to_owned(),
            );
        }
    }
    notes
}

fn timing_notes(outcome: &ReplayOutcome, timing: &TimingReport) -> Vec<String> {
    let at = |place: FramePlace| {
        let capture = outcome.captures.get(place.capture);
        let name = capture.map_or_else(String::new, |capture| capture_name(&capture.path));
        format!("frame {} of {name}", place.number)
    };
    let mut notes = Vec::new();
    if let Some(met) = timing.set_back.met() {
        notes.push(format!(
            "the clock of the capture was set back {}, first by about {} at {}: time goes on from before, so later alerts \
             carry a later time than their frames",
            times(met.count),
            HumanDuration(rounded(met.value)),
            at(met.first),
        ));
    }
    if let Some(met) = timing.overlapping.met() {
        notes.push(format!(
            "captures overlap {}, first by about {} at {}: they are read one after the other, so later alerts carry a later \
             time than their frames; merge them with mergecap to have limits applied to their sum",
            times(met.count),
            HumanDuration(rounded(met.value)),
            at(met.first),
        ));
    }
    if let Some(met) = timing.long_pauses.met() {
        notes.push(format!(
            "time goes ahead by more than 30 days {}, first by {} at {}: it is taken for a pause, but may be a clock \
             that was set",
            times(met.count),
            HumanDuration(met.value),
            at(met.first),
        ));
    }
    let unconfirmed = |count: u64, time: UnixNanos, place: FramePlace| {
        format!("{} (first {}, {})", frames(count), at(place), rfc3339(time))
    };
    if let Some(met) = timing.wrong_times.met() {
        notes.push(format!(
            "the times of {} contradict the frames around them: they were counted at the time of the frame before",
            unconfirmed(met.count, met.value, met.first),
        ));
    }
    if let Some(met) = timing.backwards.met() {
        notes.push(format!(
            "the capture runs backwards: {} are in the sums, but no limit was applied to them; put them in order with \
             reordercap",
            unconfirmed(met.count, met.value, met.first),
        ));
    }
    if let Some(met) = timing.unordered.met() {
        notes.push(format!(
            "the capture is in no order of time: {} are in the sums, but no limit was applied to them; put them in \
             order with reordercap",
            unconfirmed(met.count, met.value, met.first),
        ));
    }
    notes
}

/// Returns a number of frames with its noun.
pub(super) fn frames(count: u64) -> String {
    if count == 1 { "1 frame".to_owned() } else { format!("{count} frames") }
}

/// Rounds a step to ten seconds if it is longer than a minute: it lacks the time between the two frames.
fn rounded(step: Duration) -> Duration {
    let seconds = step.as_secs_f64();
    if seconds > 60.0 { Duration::from_secs_f64((seconds / 10.0).round() * 10.0) } else { step }
}

/// Returns how often.
fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

/// More frames than this at the same time are no burst.
const FRAMES_AT_ONCE_MAX: u64 = 1000;
