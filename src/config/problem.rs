//! The problems of a configuration file, and how they are shown: like errors of a compiler, with file and line, the
//! offending text underlined, and a remedy.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::key::SettingKey;
use super::keyword::Keyword;
use crate::api::why_no_api_token;
use crate::escape::{self, Escaped};
use crate::logging::LogFormat;

/// All problems of one file, in the order of the file.
#[derive(Debug)]
pub struct Problems {
    severity: Severity,
    name: String,
    text: String,
    problems: Vec<Problem>,
}

impl Problems {
    /// Sorts the problems into the order of the file.
    pub(super) fn new(severity: Severity, name: &str, text: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.start);
        Self { severity, name: name.to_owned(), text: without_tokens(&text), problems }
    }

    /// Returns the line of each problem, counted from 1, and its title.
    ///
    /// ```
    /// use traffic_alerted::config::{Config, ConfigError};
    ///
    /// let text = "Workers: 0\nByteLimits: 1\n";
    /// let Err(ConfigError::Wrong(problems)) = Config::parse("my.conf", text) else { panic!() };
    /// let lines: Vec<(usize, &str)> = problems.lines().collect();
    /// assert_eq!(lines, [(1, "bad value for `Workers`"), (2, "unknown key")]);
    /// ```
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.problems.iter().map(|problem| {
            let line_ends = self.text.bytes().take(problem.span.start).filter(|&b| b == b'\n').count();
            (1 + line_ends, problem.title.as_str())
        })
    }

    /// Returns the keys of the lines that the problems are about, and of the lines that they conflict with.
    pub(super) fn keys(&self) -> Vec<SettingKey> {
        let key_at = |at: usize| {
            let start = self.text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
            let name = self.text.get(start..)?.split(':').next()?.trim();
            SettingKey::ALL.iter().copied().find(|key| key.name() == name)
        };
        let places = self.problems.iter().flat_map(|problem| {
            let context = problem.context.as_ref().map(|(span, _)| span.start);
            [Some(problem.span.start), context].into_iter().flatten()
        });
        let mut keys = Vec::new();
        for key in places.filter_map(key_at) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Returns each problem with its place, what is wrong there and the remedy, separated by ` | `.
    pub(super) fn in_one_line(&self) -> String {
        let mut texts: Vec<String> = self.one_line_each().take(PROBLEMS_SHOWN_MAX).collect();
        if let Some(more @ 1..) = self.problems.len().checked_sub(PROBLEMS_SHOWN_MAX) {
            texts.push(format!("{more} more like these"));
        }
        texts.join(" | ")
    }

    /// Returns each problem in one line.
    pub(super) fn one_line_each(&self) -> impl Iterator<Item = String> {
        self.lines().zip(&self.problems).map(|((line, _), problem)| {
            let Problem { title, label, help, span, .. } = problem;
            let label = if label.is_empty() { String::new() } else { format!(": {label}") };
            // The line is not shown beside it, so a file that a warning is about is named. Secrets are no paths.
            let path = self.text.get(span.clone()).filter(|text| text.starts_with('/'));
            let path = path.filter(|_| self.severity == Severity::Warning);
            let path = path.map(|path| format!(": {path}")).unwrap_or_default();
            Escaped::text(&format!("{}:{line}: {title}{path}{label}: {help}", self.name)).to_string()
        })
    }

    /// Returns the value of the last line `LogFormat: ...`; `None` if there is none, or if its value is bad.
    pub(super) fn log_format(&self) -> Option<LogFormat> {
        let key = SettingKey::LogFormat.name();
        self.text.lines().rev().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.trim_start().strip_prefix(':')?;
            LogFormat::read(value.split('#').next().unwrap_or_default().trim())
        })
    }

    pub(super) fn render(&self, style: &ReportStyle) -> String {
        let mut reports: Vec<String> = self
            .problems
            .iter()
            .take(PROBLEMS_SHOWN_MAX)
            .map(|problem| self.report(problem, style))
            .collect();
        if let Some(more @ 1..) = self.problems.len().checked_sub(PROBLEMS_SHOWN_MAX) {
            let title = format!("{more} more like these in `{}`", self.name);
            reports.push(style.bare(&title, "is this a configuration of TrafficAlerted?"));
        }
        reports.join("\n\n")
    }

    /// Returns the report of each problem, with the colours of a terminal if `coloured`.
    pub(super) fn reports(&self, coloured: bool) -> Vec<String> {
        let style = ReportStyle::new(coloured);
        self.problems.iter().map(|problem| self.report(problem, &style)).collect()
    }

    fn report(&self, problem: &Problem, style: &ReportStyle) -> String {
        let help = style.fitted(&problem.help);
        let report = style.renderer.render(&[problem.group(self.severity, &self.name, &self.text, &help)]);
        // The renderer replaces control characters in the quoted line, and some of the other hidden ones.
        escape::report(&report).into_owned()
    }
}

/// Returns the text with a star for each byte of a token of the API, which no report may show. Places in the text stay
/// the same.
fn without_tokens(text: &str) -> String {
    let mut hidden = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let key = line.trim_start();
        let key = &key
            [..key.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(key.len())];
        if !is_key_of_token(key) {
            hide_words(line, &mut hidden);
            continue;
        }
        let value = line.len() - line.trim_start().len() + key.len();
        hidden.push_str(&line[..value]);
        for c in line[value..].chars() {
            match c {
                ':' | '=' | '\n' | '\r' => hidden.push(c),
                c if c.is_whitespace() => hidden.push(c),
                c => hidden.extend(std::iter::repeat_n('*', c.len_utf8())),
            }
        }
    }
    hidden
}

/// Adds a line to the text, with a star for each byte of a word that has the form of a token.
fn hide_words(line: &str, hidden: &mut String) {
    let is_of_token = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let mut rest = line;
    while !rest.is_empty() {
        let word = rest.find(|c| !is_of_token(c)).unwrap_or(rest.len());
        let next = rest[word..].find(is_of_token).map_or(rest.len(), |at| word + at);
        match why_no_api_token(&rest[..word]) {
            None => hidden.extend(std::iter::repeat_n('*', word)),
            Some(_) => hidden.push_str(&rest[..word]),
        }
        hidden.push_str(&rest[word..next]);
        rest = &rest[next..];
    }
}

/// Returns true for keys whose value is a token, and for a key that its author may have meant so.
fn is_key_of_token(key: &str) -> bool {
    let tokens = [SettingKey::ApiToken, SettingKey::WebhookToken];
    let is_another = SettingKey::named(key).is_some_and(|key| !tokens.contains(&key));
    let is_alike = || {
        SettingKey::nearest(key).is_some_and(|key| tokens.contains(&key))
            || key.to_ascii_lowercase().ends_with("token")
    };
    !is_another && is_alike()
}

/// What problems mean for the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// It is refused.
    Error,
    /// It is in force, and a part of it does not work.
    Warning,
    /// It is in force and works, perhaps not as its author wants.
    Note,
}

/// One fault of a file, and its place. Of the content of the file, the texts contain only names of keys and values that
/// were parsed, such as interface names. Other text of the file is shown only in the quoted line, where the renderer
/// makes control characters visible.
#[derive(Debug)]
pub(super) struct Problem {
    /// The fault, in a few words.
    pub(super) title: String,
    /// The offending bytes.
    pub(super) span: Range<usize>,
    /// A description of these bytes, which is shown under them.
    pub(super) label: String,
    /// Other bytes that explain the fault, and a description of them.
    pub(super) context: Option<(Range<usize>, &'static str)>,
    /// What to do.
    pub(super) help: String,
}

impl Problem {
    /// Returns the problem for the renderer. `help` is the text about what to do, in lines.
    fn group<'a>(&'a self, severity: Severity, name: &'a str, text: &'a str, help: &'a str) -> Group<'a> {
        let mut snippet = Snippet::source(text)
            .path(name)
            .annotation(AnnotationKind::Primary.span(self.span.clone()).label(self.label.as_str()));
        if let Some((span, label)) = &self.context {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(*label));
        }
        let level = match severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        level.primary_title(self.title.as_str()).element(snippet).element(Level::HELP.message(help))
    }
}

/// How reports are written.
pub(super) struct ReportStyle {
    renderer: Renderer,
    is_for_terminal: bool,
}

impl ReportStyle {
    /// Returns the style for a terminal, or the one for a log and for programs.
    pub(super) fn new(is_for_terminal: bool) -> Self {
        let renderer = if is_for_terminal { Renderer::styled() } else { Renderer::plain() };
        Self { renderer, is_for_terminal }
    }

    /// Returns a report that does not refer to a line.
    pub(super) fn bare(&self, title: &str, help: &str) -> String {
        let help = self.fitted(help);
        let group = Group::with_title(Level::ERROR.primary_title(title)).element(Level::HELP.message(&*help));
        escape::report(&self.renderer.render(&[group])).into_owned()
    }

    /// Returns a text in lines that fit into a terminal; a log has one line.
    fn fitted(&self, text: &str) -> String {
        if !self.is_for_terminal {
            return text.to_owned();
        }
        let mut lines: Vec<String> = Vec::new();
        let mut is_within_backticks = false;
        for word in text.split(' ') {
            // What is to be written stays on one line.
            let sticks = is_within_backticks;
            is_within_backticks ^= word.matches('`').count() % 2 == 1;
            match lines.last_mut() {
                Some(line)
                    if sticks || line.chars().count() + 1 + word.chars().count() <= HELP_COLUMNS_MAX =>
                {
                    line.push(' ');
                    line.push_str(word);
                }
                _ => lines.push(word.to_owned()),
            }
        }
        lines.join("\n")
    }
}

/// Maximum number of columns of a line of help: those of a terminal without `   = help: `, which stands before it.
const HELP_COLUMNS_MAX: usize = 80 - 11;

/// Maximum number of problems of one file that are shown in full. A file with more is probably not a configuration, and
/// a longer report would scroll its first lines off the terminal.
const PROBLEMS_SHOWN_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn no_report_shows_a_token() {
        for line in [
            "ApiToken: Secret?secret",
            "ApiToken = Secret-secret",
            "ApiToken Secret-secret",
            "  apitoken: Secret-secret",
            "Token: Secret-secret",
            "ApiToken: é Secret-secret # Secret-secret",
            "WebhookToken: Secret secret",
            "WebhookTokn: Secret-secret",
            "Authorization: Bearer Secret-secret0123456789abcdefghij",
            "Secret-secret0123456789abcdef0123456789abcdef",
            "ByteLimit: 1G é Secret-secret0123456789abcdefghij",
            "ApiToken: 0123456789abcdef0123456789abcdef\nApiToken: Secret-secret0123456789abcdef0123456789abcdef",
        ] {
            let error = Config::parse("my.conf", line).expect_err("it is wrong");
            let report = format!("{} {} {error} {error:?}", error.render(false), error.in_one_line());
            assert!(!report.to_lowercase().contains("secret"), "{report}");
        }
        let error = Config::parse("my.conf", "WebhookURL: x\nApiTokenFile: shown").expect_err("it is wrong");
        assert!(error.render(false).contains("ApiTokenFile: shown"), "{}", error.render(false));
    }

    #[test]
    fn help_is_broken_into_lines_on_a_terminal_only() {
        let error =
            Config::parse("my.conf", "ListenAddress: 0.0.0.0:1\nPassword: 1\n").expect_err("it is wrong");
        let help = |coloured: bool| {
            let report = error.render(coloured);
            report
                .lines()
                .map(str::to_owned)
                .filter(|line| line.contains("without a token"))
                .collect::<Vec<_>>()
        };
        assert!(help(false)[0].chars().count() > 120);
        // The colours take no columns, but bytes.
        assert!(help(true)[0].ends_with("write 127.0.0.1 or"), "{:?}", help(true));
    }
}
