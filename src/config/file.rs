//! Splits the bytes of a file into lines of `Key: value`, each with its place in the text.
//!
//! ```text
//!       # a comment on a line of its own, or after white space
//!       ByteLimit: 1G
//!       ^^^^^^^^^  ^^ key and value; the white space around them is ignored
//! ```
//!
//! This file compares the names of the keys, but does not parse their values. A byte order mark and CRLF line ends are
//! skipped. Every line that cannot be read becomes one [`Problem`], and reading continues with the next line.

use std::ops::Range;

use super::characters;
use super::key::SettingKey;
use super::problem::Problem;

/// The text of a file, in which U+FFFD replaces bytes that are not UTF-8.
#[derive(Debug)]
pub(super) struct Text {
    /// The text, without a byte order mark.
    pub(super) text: String,
    /// The ranges of each U+FFFD in the text that replaces bytes that are not UTF-8, in ascending order.
    undecodable: Vec<Range<usize>>,
}

impl Text {
    /// Decodes UTF-8 after an optional byte order mark.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
        let mut text = String::with_capacity(bytes.len());
        let mut undecodable = Vec::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            if !chunk.invalid().is_empty() {
                let start = text.len();
                text.push(char::REPLACEMENT_CHARACTER);
                undecodable.push(start..text.len());
            }
        }
        Self { text, undecodable }
    }
}

/// The settings of a file: known keys, each once unless it may repeat, with values that are not parsed yet.
#[derive(Debug, Default)]
pub(super) struct RawConfig<'t> {
    settings: Vec<Setting<'t>>,
}

/// One line `Key: value`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Setting<'t> {
    /// The key.
    pub(super) key: SettingKey,
    /// The bytes of the key in the text.
    pub(super) key_span: Range<usize>,
    /// What follows the colon, without the white space around it.
    pub(super) value: &'t str,
    /// The bytes of the value in the text; an empty range after the colon if there is no value.
    pub(super) value_span: Range<usize>,
}

impl<'t> RawConfig<'t> {
    /// Reads all lines. A line that cannot be read is left out, and its problem is added to `problems`. `may_repeat`
    /// returns true for a setting that may have several lines.
    pub(super) fn read(
        source: &'t Text,
        may_repeat: fn(SettingKey) -> bool,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut raw = Self::default();
        let mut undecodable = source.undecodable.iter().peekable();
        let mut line_start = 0;
        for line in source.text.split_inclusive('\n') {
            let line_end = line_start + line.len();
            let mut first_mark = None;
            while let Some(mark) = undecodable.next_if(|mark| mark.start < line_end) {
                first_mark.get_or_insert(mark.clone());
            }
            let setting = match first_mark {
                Some(mark) => Err(not_utf8(mark)),
                None => Span::within(line, line_start).setting(),
            };
            match setting.and_then(|setting| raw.add(setting, may_repeat)) {
                Ok(()) => {}
                Err(problem) => problems.push(problem),
            }
            line_start = line_end;
        }
        raw
    }

    /// Returns the first setting of this key, or `None` if the file has none.
    pub(super) fn get(&self, key: SettingKey) -> Option<&Setting<'t>> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// Returns all settings of this key, in the order of the file.
    pub(super) fn all(&self, key: SettingKey) -> impl Iterator<Item = &Setting<'t>> {
        self.settings.iter().filter(move |setting| setting.key == key)
    }

    /// Returns all settings, in the order of the file.
    pub(super) fn into_settings(self) -> Vec<Setting<'t>> {
        self.settings
    }

    /// Adds the setting of a line, or returns a problem if its key is there already and may not repeat.
    fn add(
        &mut self,
        setting: Option<Setting<'t>>,
        may_repeat: fn(SettingKey) -> bool,
    ) -> Result<(), Problem> {
        let Some(setting) = setting else { return Ok(()) };
        if let Some(first) = self.get(setting.key).filter(|first| !may_repeat(first.key)) {
            return Err(Problem {
                title: format!("`{}` is set twice", setting.key),
                span: setting.key_span,
                label: "set again here".to_owned(),
                context: Some((first.key_span.clone(), "first set here")),
                help: "keep one of the two lines".to_owned(),
            });
        }
        self.settings.push(setting);
        Ok(())
    }
}

/// A part of the text and its place.
#[derive(Clone, Copy)]
struct Span<'t> {
    text: &'t str,
    start: usize,
}

impl<'t> Span<'t> {
    /// Returns `text`, which begins at `start` in the file, without its comment and the white space around it.
    fn within(text: &'t str, start: usize) -> Self {
        Self { text: without_comment(text), start }.trimmed()
    }

    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        let start = self.start + (self.text.len() - text.len());
        Self { text: text.trim_end(), start }
    }

    fn range(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    /// Returns the setting on this line, or `None` if the line is blank.
    fn setting(self) -> Result<Option<Setting<'t>>, Problem> {
        if self.text.is_empty() {
            return Ok(None);
        }
        let Some((name, value)) = self.text.split_once(':') else { return Err(missing_colon(self)) };
        let value = Span { text: value, start: self.start + name.len() + 1 };
        // If there is no value, the span is right after the colon, not at the end of the line.
        let value = if value.text.is_empty() { value } else { value.trimmed() };
        let name = Span { text: name, start: self.start }.trimmed();
        let key = SettingKey::named(name.text).ok_or_else(|| unknown_key(name))?;
        Ok(Some(Setting { key, key_span: name.range(), value: value.text, value_span: value.range() }))
    }
}

/// Returns the line up to its comment: a `#` outside of quotes that begins the line or follows white space. A `#`
/// within a word may be part of an interface name, so it does not begin a comment.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut after_space = true;
    for (at, c) in line.char_indices() {
        match c {
            '#' if after_space && !quoted => return &line[..at],
            '"' => quoted = !quoted,
            _ => {}
        }
        after_space = c.is_whitespace();
    }
    line
}

fn unknown_key(name: Span<'_>) -> Problem {
    if name.text.is_empty() {
        return Problem {
            title: "missing key".to_owned(),
            span: name.start..name.start + 1,
            label: "nothing before the colon".to_owned(),
            context: None,
            help: format!("write `Key: value`; the keys are {}", all_keys()),
        };
    }
    // The colon is one within the value, as in `ListenAddress = 127.0.0.1:8698`.
    if name.text.contains(['=', ' ', '\t']) && SettingKey::named(first_word(name.text)).is_some() {
        return missing_colon(name);
    }
    let mut label = "no setting has this name".to_owned();
    let help = match (SettingKey::nearest(name.text), characters::invisible(name.text)) {
        (nearest, Some(invisible)) => {
            label = format!("an invisible character is in this name ({invisible})");
            let key = nearest.map_or_else(|| "it".to_owned(), |key| format!("`{key}`"));
            format!(
                "delete this line and type {key} anew: a web page or a word processor left the character there"
            )
        }
        (Some(key), None) if key.name().eq_ignore_ascii_case(name.text) => {
            format!("keys are written in exact case: `{key}`")
        }
        (Some(key), None) if name.text.trim_matches(|c: char| !c.is_ascii_alphanumeric()) == key.name() => {
            format!("write the key alone: `{key}`")
        }
        (Some(key), None) => format!("did you mean `{key}`?"),
        (None, None) => format!("the keys are {}", all_keys()),
    };
    Problem { title: "unknown key".to_owned(), span: name.range(), label, context: None, help }
}

fn missing_colon(line: Span<'_>) -> Problem {
    let help = match SettingKey::nearest(first_word(line.text)) {
        Some(key) => format!("a setting is written `Key: value`; did you mean `{key}: ...`?"),
        None if line.text.starts_with("- ") => {
            "a list is written on one line with commas: `Key: item, item`".to_owned()
        }
        None if line.text.starts_with(['[', '{', '}', ']']) => {
            "a file has no sections and no brackets around settings: remove this line".to_owned()
        }
        None => "a setting is written `Key: value`, and a comment begins with `#`".to_owned(),
    };
    Problem {
        title: "missing colon".to_owned(),
        span: line.range(),
        label: "neither a setting nor a comment".to_owned(),
        context: None,
        help,
    }
}

/// Returns the word with which a line without a colon begins. Other marks than the colon end it as well.
fn first_word(line: &str) -> &str {
    let ends = |c: char| c.is_whitespace() || matches!(c, '=' | ':' | '：' | '﹕');
    line.split(ends).next().unwrap_or_default()
}

fn not_utf8(mark: Range<usize>) -> Problem {
    Problem {
        title: "not UTF-8".to_owned(),
        span: mark,
        label: "this is no character".to_owned(),
        context: None,
        help: "save the file as UTF-8 (or plain ASCII)".to_owned(),
    }
}

fn all_keys() -> String {
    SettingKey::ALL.iter().map(|key| key.name()).collect::<Vec<_>>().join(", ")
}

/// Maximum number of bytes of a configuration file, many times what all settings take.
pub(super) const FILE_BYTES_MAX: usize = 1 << 16;

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::values::Settings;

    /// The keys with their values, and the titles of the problems with the offending text.
    type Read = (Vec<(SettingKey, String)>, Vec<(String, String)>);

    fn read(bytes: &[u8]) -> Read {
        let source = Text::decode(bytes);
        let mut problems = Vec::new();
        let raw = RawConfig::read(&source, Settings::may_repeat, &mut problems);
        for setting in &raw.settings {
            assert_eq!(&source.text[setting.key_span.clone()], setting.key.name());
            assert_eq!(&source.text[setting.value_span.clone()], setting.value);
        }
        let settings = raw.settings.iter().map(|setting| (setting.key, setting.value.to_owned())).collect();
        let problems = problems
            .into_iter()
            .map(|problem| (problem.title, source.text[problem.span].to_owned()))
            .collect();
        (settings, problems)
    }

    #[test]
    fn settings_are_found_among_white_space_and_comments() {
        let cases: [&[u8]; 12] = [
            b"ByteLimit: 1G",
            b"ByteLimit:1G\n",
            b"      ByteLimit: 1G\n      \n",
            b"\tByteLimit :\t1G\t\n",
            b"ByteLimit: 1G\r\n\r\n",
            b"\xEF\xBB\xBFByteLimit: 1G\r\n",
            b"# ByteLimit: 2G\nByteLimit: 1G\n",
            b"      # ByteLimit: 2G\n      ByteLimit: 1G\n",
            b"ByteLimit: 1G # and not 2G\n",
            b"ByteLimit: 1G #\n",
            b"#\n##\n#:\nByteLimit: 1G",
            b"ByteLimit: 1G\n# \"an open quote\nByteLimit:",
        ];
        for bytes in &cases[..11] {
            let text = String::from_utf8_lossy(bytes);
            assert_eq!(read(bytes), (vec![(SettingKey::ByteLimit, "1G".to_owned())], vec![]), "{text:?}");
        }
        let (settings, problems) = read(cases[11]);
        assert_eq!(
            (settings.len(), problems.len()),
            (1, 1),
            "an open quote in a comment does not affect the next line"
        );
    }

    #[test]
    fn a_hash_within_a_word_or_in_quotes_does_not_begin_a_comment() {
        let (settings, problems) = read(b"ExcludedInterfaces: a#b,\"c #d\" # e");
        assert_eq!(settings, [(SettingKey::ExcludedInterfaces, r#"a#b,"c #d""#.to_owned())]);
        assert_eq!(problems, []);
    }

    #[test]
    fn values_may_hold_colons_and_may_be_missing() {
        let (settings, problems) = read(b"ListenAddress: [::1]:8698\nExcludedInterfaces:\nByteLimit:   ");
        let expected = [
            (SettingKey::ListenAddress, "[::1]:8698".to_owned()),
            (SettingKey::ExcludedInterfaces, String::new()),
            (SettingKey::ByteLimit, String::new()),
        ];
        assert_eq!(settings, expected);
        assert_eq!(problems, []);
    }

    #[test]
    fn each_bad_line_is_one_problem_and_reading_goes_on() {
        let cases: [(&[u8], &str, &str); 15] = [
            (b"bytelimit: 1G", "unknown key", "bytelimit"),
            (b"  Pass word : 1G", "unknown key", "Pass word"),
            (b": 1G", "missing key", ":"),
            (b"ByteLimit 1G # ten", "missing colon", "ByteLimit 1G"),
            (b"ByteLimit=1G", "missing colon", "ByteLimit=1G"),
            (b"Byte\xffLimit\xfe: 1G", "not UTF-8", "\u{fffd}"),
            (b"# Gr\xfc\xdfe", "not UTF-8", "\u{fffd}"),
            (b"Workers: 2", "`Workers` is set twice", "Workers"),
            (b"\0", "missing colon", "\0"),
            (b"ListenAddress = 127.0.0.1:8698", "missing colon", "ListenAddress = 127.0.0.1"),
            (b"Syslog udp://a:514", "missing colon", "Syslog udp"),
            (b"\xE2\x80\x8BByteLimit: 1G", "unknown key", "\u{200b}ByteLimit"),
            (b"\"ByteLimit\": 1G", "unknown key", "\"ByteLimit\""),
            (b"- lo", "missing colon", "- lo"),
            (b"[General]", "missing colon", "[General]"),
        ];
        for (line, title, offending) in cases {
            let file = [b"Workers: 1\n", line, b"\nByteLimit: 1G\n"].concat();
            let text = String::from_utf8_lossy(&file).into_owned();
            let (settings, problems) = read(&file);
            assert_eq!(problems, [(title.to_owned(), offending.to_owned())], "{text:?}");
            let expected = [(SettingKey::Workers, "1".to_owned()), (SettingKey::ByteLimit, "1G".to_owned())];
            assert_eq!(settings, expected, "{text:?}");
        }
    }

    #[test]
    fn the_help_for_an_unknown_key_names_the_nearest_key() {
        let help = |line: &str| {
            let mut problems = Vec::new();
            RawConfig::read(&Text::decode(line.as_bytes()), Settings::may_repeat, &mut problems);
            problems.remove(0).help
        };
        assert_eq!(help("Bytelimit: 1"), "keys are written in exact case: `ByteLimit`");
        assert_eq!(help("ByteLimits: 1"), "did you mean `ByteLimit`?");
        assert_eq!(help("ByteLimit 1"), "a setting is written `Key: value`; did you mean `ByteLimit: ...`?");
        assert_eq!(help("ByteLimit = 1"), help("ByteLimit 1"));
        assert_eq!(help("ByteLimit：1"), help("ByteLimit 1"));
        let listen = "a setting is written `Key: value`; did you mean `ListenAddress: ...`?";
        assert_eq!(help("ListenAddress = 127.0.0.1:8698"), listen);
        assert!(help("\u{200b}ByteLimit: 1").starts_with("delete this line and type `ByteLimit` anew"));
        assert_eq!(help("\"ByteLimit\": 1"), "write the key alone: `ByteLimit`");
        assert_eq!(help("- ByteLimit: 1"), "write the key alone: `ByteLimit`");
        assert_eq!(help("- lo"), "a list is written on one line with commas: `Key: item, item`");
        assert!(help("[General]").starts_with("a file has no sections"));
        assert!(help("Password: 1").starts_with("the keys are TrafficInterval, ByteLimit, "));
    }
}
