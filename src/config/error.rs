//! What is wrong with a configuration, shown the way a compiler does: file, line, the offending text
//! underlined, the remedy.

use std::fmt;
use std::io;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::FILE_BYTES_MAX;

/// Why there is no configuration. Its `Display` is the whole report, over several lines and without a line
/// end behind the last.
#[derive(Debug)]
pub enum ConfigError {
    /// The file could not be read.
    Unreadable {
        /// Its path, as it was given.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file has more than [`FILE_BYTES_MAX`] bytes.
    TooLarge {
        /// Its path, as it was given.
        name: String,
    },
    /// The file was read and is wrong.
    Wrong(Problems),
}

impl ConfigError {
    /// The report, with the colours of a terminal where `coloured` says so.
    ///
    /// ```
    /// use traffic_alerted::config::Config;
    ///
    /// let error = Config::parse("my.conf", "ByteLimit: 5T").unwrap_err();
    /// let report = error.render(false);
    /// assert!(report.starts_with("error: bad value for `ByteLimit`\n --> my.conf:1:12\n"));
    /// ```
    pub fn render(&self, coloured: bool) -> String {
        let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
        match self {
            Self::Unreadable { name, source } => {
                let title = format!("cannot read the configuration `{name}`: {source}");
                bare(&renderer, &title, remedy(source.kind()))
            }
            Self::TooLarge { name } => {
                let title = format!("`{name}` is no configuration: it has more than {FILE_BYTES_MAX} bytes");
                bare(&renderer, &title, "give the path of a TrafficAlerted.conf")
            }
            Self::Wrong(problems) => problems.render(&renderer),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::TooLarge { .. } | Self::Wrong(_) => None,
        }
    }
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "every key has a default: an empty file there is enough",
        io::ErrorKind::PermissionDenied => "make it readable for the user that runs TrafficAlerted",
        _ => "give the path of a readable file",
    }
}

fn bare(renderer: &Renderer, title: &str, help: &str) -> String {
    renderer
        .render(&[Group::with_title(Level::ERROR.primary_title(title)).element(Level::HELP.message(help))])
}

/// Everything that is wrong with one file, from its top to its end.
#[derive(Debug)]
pub struct Problems {
    name: String,
    text: String,
    problems: Vec<Problem>,
}

impl Problems {
    /// Puts the problems into the order of the file.
    pub(super) fn new(name: &str, text: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self { name: name.to_owned(), text, problems }
    }

    /// The line that each problem is on, counted from 1, and what is wrong there.
    ///
    /// ```
    /// use traffic_alerted::config::{Config, ConfigError};
    ///
    /// let Err(ConfigError::Wrong(problems)) = Config::parse("my.conf", "Workers: 0\nByteLimits: 1\n") else { panic!() };
    /// let lines: Vec<(usize, &str)> = problems.lines().collect();
    /// assert_eq!(lines, [(1, "bad value for `Workers`"), (2, "unknown key")]);
    /// ```
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.problems.iter().map(|problem| {
            let line_ends = self.text.bytes().take(problem.span.start).filter(|&b| b == b'\n').count();
            (1 + line_ends, problem.title.as_str())
        })
    }

    fn render(&self, renderer: &Renderer) -> String {
        let mut reports: Vec<String> = self
            .problems
            .iter()
            .take(PROBLEMS_SHOWN_MAX)
            .map(|problem| renderer.render(&[problem.group(&self.name, &self.text)]))
            .collect();
        if let Some(more @ 1..) = self.problems.len().checked_sub(PROBLEMS_SHOWN_MAX) {
            let title = format!("{more} more like these in `{}`", self.name);
            reports.push(bare(renderer, &title, "is this a configuration of TrafficAlerted?"));
        }
        reports.join("\n\n")
    }
}

/// One thing that is wrong, and where. The texts hold nothing out of the file but names of keys: what a
/// stranger wrote is shown in the quoted line alone, where control characters are made visible.
#[derive(Debug)]
pub(super) struct Problem {
    /// What is wrong, in a few words.
    pub(super) title: String,
    /// The bytes that are wrong.
    pub(super) span: Range<usize>,
    /// What they are; stands under them.
    pub(super) label: String,
    /// Other bytes that explain why, and what they are.
    pub(super) context: Option<(Range<usize>, &'static str)>,
    /// What to do.
    pub(super) help: String,
}

impl Problem {
    fn group<'a>(&'a self, name: &'a str, text: &'a str) -> Group<'a> {
        let mut snippet = Snippet::source(text)
            .path(name)
            .annotation(AnnotationKind::Primary.span(self.span.clone()).label(self.label.as_str()));
        if let Some((span, label)) = &self.context {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(*label));
        }
        Level::ERROR
            .primary_title(self.title.as_str())
            .element(snippet)
            .element(Level::HELP.message(self.help.as_str()))
    }
}

/// Problems of one file that are shown in full. A configuration with more of them is another kind of file,
/// and the first lines that scroll off the terminal help nobody.
const PROBLEMS_SHOWN_MAX: usize = 50;
