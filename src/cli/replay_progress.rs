//! The progress line of a replay, on a terminal, and the messages about captures while they are read.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::Level;
use traffic_alerted::capture::capture_name;
use traffic_alerted::engine::{CaptureRead, ReplayObserver};
use traffic_alerted::human::HumanCount;

use super::exit::{say, with_causes};
use super::replay_notes::{CaptureNote, capture_notes, frames};

/// Draws a progress line, and says what is wrong with captures as soon as that is known.
#[derive(Debug)]
pub(super) struct ReplayProgress {
    /// The line; `None` unless stderr is a terminal and the sizes of all captures are known.
    bar: Option<ProgressBar>,
    frames: u64,
    /// Size of the captures that were read, in bytes.
    finished_bytes: u64,
}

impl ReplayProgress {
    /// Makes the progress of these captures.
    pub(super) fn new(captures: &[PathBuf]) -> Self {
        let sizes: Option<Vec<u64>> = captures.iter().map(|path| size(path)).collect();
        let bar = sizes.filter(|_| io::stderr().is_terminal()).map(|sizes| {
            let style = ProgressStyle::with_template(
                "{wide_bar} {decimal_bytes}/{decimal_total_bytes}, {msg} frames, {eta} left",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar());
            let target = ProgressDrawTarget::stderr();
            ProgressBar::with_draw_target(Some(sizes.iter().sum()), target).with_style(style)
        });
        Self { bar, frames: 0, finished_bytes: 0 }
    }

    /// Removes the line.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn say(&self, level: Level, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(level, text)),
            None => say(level, text),
        }
    }
}

impl ReplayObserver for ReplayProgress {
    fn reordered(&mut self, captures: &[PathBuf]) {
        let names: Vec<_> = captures.iter().take(NAMES_MAX).map(|path| capture_name(path)).collect();
        let more = if captures.len() > NAMES_MAX { ", ..." } else { "" };
        self.say(
            Level::INFO,
            &format!("the captures are read in the order of their first frames: {}{more}", names.join(", ")),
        );
    }

    fn wants_progress(&self) -> bool {
        self.bar.is_some()
    }

    fn read_some(&mut self, frames: u64, bytes: u64) {
        self.frames += frames;
        if let Some(bar) = &self.bar {
            // Records are smaller in a compressed file, so this may be more than the file has.
            let left = bar.length().unwrap_or_default().saturating_sub(bar.position());
            bar.inc(bytes.min(left));
            bar.set_message(HumanCount(self.frames).to_string());
        }
    }

    fn read(&mut self, capture: &CaptureRead) {
        self.finished_bytes += size(&capture.path).unwrap_or_default();
        if let Some(bar) = &self.bar {
            bar.set_position(self.finished_bytes);
        }
        if let Some(error) = &capture.error {
            let counted = frames(capture.frames);
            self.say(Level::ERROR, &format!("{}; {counted} of it were counted", with_causes(error)));
        }
        for CaptureNote { level, text } in capture_notes(capture) {
            self.say(level, &text);
        }
    }
}

/// Returns the size of a regular file.
fn size(path: &Path) -> Option<u64> {
    path.metadata().ok().filter(std::fs::Metadata::is_file).map(|metadata| metadata.len())
}

/// Maximum number of captures whose names are listed in one message.
const NAMES_MAX: usize = 12;
