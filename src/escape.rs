//! Text of strangers in a form that can be shown: in the log, on a terminal, in messages to receivers.
//!
//! A file name, an interface name, the name of a provider or the answer of a web server may contain characters that
//! have no glyph and change how the text around them looks: U+202E reverses what follows, so that `gpj.exe` is shown
//! for another name (CVE-2021-42574 describes this for source code). Such characters are written as Rust writes them in
//! a string: `\u{202e}`. Bytes that are not UTF-8 are written as `\xff`.
//!
//! The dashboard escapes the same characters (`src/api/dashboard/src/fields.ts`).
#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Returns true for a character that is not shown as a glyph of its own: general categories Cc, Cf, Zl and Zp, and the
/// property `Default_Ignorable_Code_Point` (Unicode 16, `DerivedGeneralCategory.txt` and `DerivedCoreProperties.txt`).
/// U+FE0E and U+FE0F are left out: they only choose between the two forms of an emoji.
///
/// ```
/// use traffic_alerted::escape::is_hidden;
///
/// assert!(is_hidden('\n') && is_hidden('\u{202e}') && is_hidden('\u{200b}'));
/// assert!(!is_hidden(' ') && !is_hidden('é') && !is_hidden('⚠'));
/// ```
pub const fn is_hidden(c: char) -> bool {
    matches!(
        c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}'
            | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Text whose hidden characters, and bytes that are not UTF-8, are displayed as escapes.
///
/// ```
/// use traffic_alerted::escape::Escaped;
///
/// assert_eq!(Escaped::text("a\u{202e}b\n").to_string(), r"a\u{202e}b\n");
/// assert_eq!(Escaped::bytes(b"eth\xff").to_string(), r"eth\xff");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(&'a [u8]);

impl<'a> Escaped<'a> {
    /// Takes a text.
    pub const fn text(text: &'a str) -> Self {
        Self(text.as_bytes())
    }

    /// Takes bytes, which should be UTF-8.
    pub const fn bytes(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes the path of a file.
    pub fn path(path: &'a Path) -> Self {
        Self(OsStr::as_bytes(path.as_os_str()))
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            let mut shown = chunk.valid();
            while let Some((at, c)) = shown.char_indices().find(|&(_, c)| is_hidden(c)) {
                write!(f, "{}{}", &shown[..at], c.escape_default())?;
                shown = &shown[at + c.len_utf8()..];
            }
            f.write_str(shown)?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

/// Escapes the hidden characters of a report, except for control characters: its line ends and the colours of a
/// terminal are those of the program that made it.
///
/// ```
/// assert_eq!(traffic_alerted::escape::report("a\n b\u{200b}"), "a\n b\\u{200b}");
/// ```
pub fn report(text: &str) -> Cow<'_, str> {
    replaced(text, |c| is_hidden(c) && !c.is_control(), |c, out| out.extend(c.escape_default()))
}

/// Escapes each line of a text, and leaves its line ends.
///
/// ```
/// assert_eq!(traffic_alerted::escape::lines("a\n\u{1b}[2J"), "a\n\\u{1b}[2J");
/// ```
pub fn lines(text: &str) -> Cow<'_, str> {
    replaced(text, |c| is_hidden(c) && c != '\n', |c, out| out.extend(c.escape_default()))
}

/// Escapes the hidden characters of a JSON document as JSON does. A program that reads it gets the same values as
/// without, and a terminal shows the escapes.
///
/// ```
/// assert_eq!(traffic_alerted::escape::json("[\"a\u{202e}\"]".to_owned()), r#"["a\u202e"]"#);
/// ```
pub fn json(document: String) -> String {
    // Outside of its strings a document has ASCII only, maybe with line ends. Within them, control characters before
    // U+007F are escapes already.
    let escape = |c: char, out: &mut String| {
        for unit in c.encode_utf16(&mut [0; 2]) {
            out.push_str(&format!("\\u{unit:04x}"));
        }
    };
    match replaced(&document, |c| is_hidden(c) && c >= '\u{7f}', escape) {
        Cow::Owned(escaped) => escaped,
        Cow::Borrowed(_) => document,
    }
}

/// Returns the text with `write` in place of each character for which `is_replaced` is true.
fn replaced(text: &str, is_replaced: fn(char) -> bool, write: impl Fn(char, &mut String)) -> Cow<'_, str> {
    if !text.contains(is_replaced) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_replaced(c) { write(c, &mut out) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::*;

    /// The standard library escapes these categories for `Debug`, with tables of its own. It does not escape letters
    /// and marks that are ignored by default.
    #[test]
    fn every_hidden_character_is_one_that_unicode_says_to_hide() {
        let ignorable = ['\u{115f}', '\u{1160}', '\u{3164}', '\u{ffa0}'];
        for c in '\0'..=char::MAX {
            // A character after the first of a string is escaped only if it cannot be printed.
            let is_unprintable = format!("a{c}").escape_debug().nth(1) == Some('\\') && !"\"'\\".contains(c);
            let is_mark = matches!(c, '\u{34f}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180d}' | '\u{180f}'
                | '\u{fe00}'..='\u{fe0d}' | '\u{e0100}'..='\u{e01ef}');
            if is_hidden(c) {
                assert!(
                    is_unprintable || is_mark || ignorable.contains(&c),
                    "{:?} can be shown",
                    u32::from(c)
                );
            }
            // What cannot be printed and is not hidden here: spaces, and characters without a meaning.
            let is_cf = matches!(c, '\u{600}'..='\u{605}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}');
            assert!(!(is_cf || c.is_control()) || is_hidden(c), "U+{:04X} is not hidden", u32::from(c));
        }
    }

    #[test]
    fn hidden_characters_are_escaped_and_letters_of_any_language_are_not() {
        let cases = [
            ("plain", "plain"),
            ("Größe 日本語 ⚠\u{fe0f} a\u{301}", "Größe 日本語 ⚠\u{fe0f} a\u{301}"),
            ("a\r\n\tb\u{1b}[31m", r"a\r\n\tb\u{1b}[31m"),
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}", r"a\u{2066}b\u{2069}"),
            ("pay\u{200b}pal\u{feff}", r"pay\u{200b}pal\u{feff}"),
            ("x\u{e0041}\u{2028}", r"x\u{e0041}\u{2028}"),
            (r"back\slash", r"back\slash"),
        ];
        for (text, want) in cases {
            assert_eq!(Escaped::text(text).to_string(), want);
            assert_eq!(Escaped::path(&PathBuf::from(text)).to_string(), want);
        }
        assert_eq!(Escaped::bytes(b"\xff\xe2\x80\xaea\xc3").to_string(), r"\xff\u{202e}a\xc3");
    }

    proptest! {
        #[test]
        fn json_keeps_its_value_and_shows_nothing_hidden(text in any::<String>()) {
            let document = serde_json::to_string(&text).expect("a text becomes JSON");
            let escaped = json(document);
            prop_assert!(!escaped.contains(is_hidden), "{escaped:?}");
            prop_assert_eq!(serde_json::from_str::<String>(&escaped).expect("it is JSON"), text);
        }

        #[test]
        fn nothing_hidden_is_left(bytes in proptest::collection::vec(any::<u8>(), 0..40), text in any::<String>()) {
            prop_assert!(!Escaped::bytes(&bytes).to_string().contains(is_hidden));
            prop_assert!(!Escaped::text(&text).to_string().contains(is_hidden));
            prop_assert!(!lines(&text).contains(|c| is_hidden(c) && c != '\n'));
            prop_assert!(!report(&text).contains(|c: char| is_hidden(c) && !c.is_control()));
        }
    }
}
