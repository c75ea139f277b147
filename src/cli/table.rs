//! Text in columns and in lines of a given width.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

/// Returns the width of standard output in characters: that of the terminal, else that of `COLUMNS`, else 80.
pub(super) fn output_width() -> usize {
    let stdout = io::stdout();
    let terminal = stdout.is_terminal().then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = terminal.map(|size| usize::from(size.ws_col)).filter(|&width| width > 0).or_else(columns);
    width.unwrap_or(80).clamp(40, 400)
}

/// Breaks words into lines of at most `width` characters; the lines after the first begin with `indent` spaces. A word
/// that is longer has a line of its own.
pub(super) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let (mut lines, mut len) = (String::new(), 0);
    for word in text.split_whitespace() {
        let chars = word.chars().count();
        if len > 0 && len + 1 + chars > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            len = indent;
        } else if len > 0 {
            lines.push(' ');
            len += 1;
        }
        lines.push_str(word);
        len += chars;
    }
    lines
}

/// Rows of a name and some numbers.
#[derive(Debug)]
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Makes a table with these heads of its columns. The first column is aligned to the left, the others to the right.
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    /// Adds a row with a cell for each column.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Returns the lines of the table. A name for which `width` leaves no room has a line of its own.
    pub(super) fn lines(&self, width: usize) -> String {
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.heads[column].len()]).max().unwrap_or_default()
        };
        let numbers: Vec<usize> = (1..self.heads.len()).map(width_of).collect();
        let room = width.saturating_sub(INDENT + numbers.iter().map(|width| width + GAP).sum::<usize>());
        let fitting = self.rows.iter().map(|row| row[0].chars().count()).filter(|&len| len <= room).max();
        let name_width = fitting.unwrap_or_default().max(self.heads[0].len());
        let heads: Vec<String> = self.heads.iter().map(|&head| head.to_owned()).collect();
        let mut lines = String::new();
        for row in std::iter::once(&heads).chain(&self.rows) {
            let mut name = row[0].as_str();
            if name.chars().count() > name_width {
                let _ = writeln!(lines, "{:INDENT$}{name}", "");
                name = "";
            }
            let _ = write!(lines, "{:INDENT$}{name:name_width$}", "");
            for (cell, width) in row[1..].iter().zip(&numbers) {
                let _ = write!(lines, "{:GAP$}{cell:>width$}", "");
            }
            lines.push('\n');
        }
        lines
    }
}

/// Spaces before each line.
const INDENT: usize = 2;
/// Spaces between two columns.
const GAP: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_room_have_a_line_of_their_own() {
        let mut table = Table::new(&["HOST", "SENT"]);
        table.row(vec!["10.0.0.1".into(), "1.2 GB".into()]);
        table.row(vec!["2001:db8:1:2:3:4:5:6".into(), "5 B".into()]);
        let narrow =
            "  HOST         SENT\n  10.0.0.1   1.2 GB\n  2001:db8:1:2:3:4:5:6\n                5 B\n";
        assert_eq!(table.lines(25), narrow);
        let wide = "  HOST                     SENT\n  10.0.0.1               1.2 GB\n  \
                    2001:db8:1:2:3:4:5:6      5 B\n";
        assert_eq!(table.lines(80), wide);
    }

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrapped("one two three", 8, 2), "one two\n  three");
        assert_eq!(wrapped("longer-than-that and", 8, 2), "longer-than-that\n  and");
        assert_eq!(wrapped("", 8, 2), "");
    }
}
