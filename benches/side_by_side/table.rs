//! The table of results, printed row by row.

use std::io::{Write, stdout};

/// The limit of a ratio or a figure.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtLeast(f64),
    AtMost(f64),
    /// Without a limit.
    None,
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::None => true,
        }
    }
}

/// The table, which prints each row when it is added.
pub(crate) struct Table {
    /// Number of rows whose limit was missed.
    missed: u32,
}

impl Table {
    /// Prints the first line.
    pub(crate) fn begin(runs: u32) -> Self {
        print(&format!("Medians of {runs} runs. Ratios are of what ran in turn.\n"));
        Self { missed: 0 }
    }

    /// Prints a heading with the names of the columns.
    pub(crate) fn heading(&mut self, what: &str, ours: &str, other: &str) {
        print(&format!("\n{what:<52} {ours:>12} {other:>12} {:>9}  {:<15}\n", "ratio", "must be"));
    }

    /// Prints a row with our figure and another's. The limit applies to `ratio`.
    pub(crate) fn row(&mut self, what: &str, ours: &str, other: &str, ratio: f64, bar: Bar) {
        let must_be = match bar {
            Bar::AtLeast(least) => format!("at least {least}"),
            Bar::AtMost(most) => format!("at most {most}"),
            Bar::None => String::new(),
        };
        let verdict = match bar {
            Bar::None => "",
            _ if bar.is_met(ratio) => "held",
            _ => "MISSED",
        };
        self.missed += u32::from(!bar.is_met(ratio));
        print(&format!("{what:<52} {ours:>12} {other:>12} {ratio:>9.3}  {must_be:<15} {verdict}\n"));
    }

    /// Prints a line without a verdict.
    pub(crate) fn note(&mut self, text: &str) {
        print(&format!("  {text}\n"));
    }

    /// Prints the last line: whether every limit was held.
    pub(crate) fn end(self) {
        print(&match self.missed {
            0 => "\nEvery bar is held.\n".to_owned(),
            missed => format!("\n{missed} bars are missed.\n"),
        });
    }
}

fn print(text: &str) {
    let mut out = stdout().lock();
    // The reader may have closed the pipe.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

/// Returns the median; of an even number of values the higher of the two.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
