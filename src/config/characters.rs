//! Finds characters that a web page or a word processor writes in place of those of the format, and characters that
//! cannot be seen. A value with one of them would be read, but match nothing: no interface is named `“lo”`.

use super::value_error::ValueError;

/// A character that does not belong into a value, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreign {
    /// A quotation mark other than `"`.
    Quote,
    /// A dash other than `-`.
    Dash,
    /// White space other than a space and a tab, or a character without a glyph.
    Invisible,
    /// The wide or otherwise different form of this ASCII character.
    Variant(char),
}

impl Foreign {
    /// Returns why `c` does not belong into a value, or `None` if it may.
    fn of(c: char) -> Option<Self> {
        match c {
            '‘'..='‟' | '‹' | '›' | '«' | '»' | '′' | '″' | '「' | '」' | '＂' | '＇' => {
                Some(Self::Quote)
            }
            '‐'..='―' | '−' | '﹘' | '－' => Some(Self::Dash),
            '،' | '、' | '，' => Some(Self::Variant(',')),
            '؛' => Some(Self::Variant(';')),
            // The other full-width forms of ASCII are in its order.
            '！'..='～' => {
                let ascii = u8::try_from(u32::from(c) - u32::from('！') + u32::from('!')).ok()?;
                Some(Self::Variant(char::from(ascii)))
            }
            _ if is_invisible(c) => Some(Self::Invisible),
            _ => None,
        }
    }

    /// Returns the words under the character, and what to do.
    fn described(self, c: char) -> (String, String) {
        match self {
            Self::Quote => (
                "a typographic quotation mark".to_owned(),
                "write straight quotation marks (\"), or none".to_owned(),
            ),
            Self::Dash => ("a typographic dash".to_owned(), "write a hyphen (-)".to_owned()),
            Self::Variant(ascii) => ("not the ASCII character".to_owned(), format!("write `{ascii}`")),
            Self::Invisible => (
                format!("an invisible character ({})", name(c)),
                "delete this line and type it anew: a web page or a word processor left the character there"
                    .to_owned(),
            ),
        }
    }
}

/// Returns the error about the first character of a value that does not belong there, or `None` if all do. If
/// `quotes_hold_text`, anything may be between straight quotation marks.
pub(super) fn fault(value: &str, quotes_hold_text: bool) -> Option<ValueError> {
    let mut quoted = false;
    for (at, c) in value.char_indices() {
        quoted ^= c == '"';
        if quoted && quotes_hold_text {
            continue;
        }
        if let Some(foreign) = Foreign::of(c) {
            let (label, help) = foreign.described(c);
            return Some(ValueError::new(label, help).at(at..at + c.len_utf8()));
        }
    }
    None
}

/// Returns the first invisible character of a text, in words, or `None` if there is none.
pub(super) fn invisible(text: &str) -> Option<String> {
    text.chars().find(|&c| is_invisible(c)).map(name)
}

/// Returns true for white space other than ASCII's, and for characters that are formatted but not shown (Unicode's
/// default ignorable code points, without those that follow an emoji).
fn is_invisible(c: char) -> bool {
    let is_ignorable = matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
    );
    is_ignorable || (c.is_whitespace() && !c.is_ascii())
}

/// Returns the number of a character and, for the frequent ones, its name.
fn name(c: char) -> String {
    let number = format!("U+{:04X}", u32::from(c));
    match c {
        '\u{a0}' => format!("{number}, a no-break space"),
        '\u{ad}' => format!("{number}, a soft hyphen"),
        '\u{200b}' => format!("{number}, a zero-width space"),
        '\u{202f}' => format!("{number}, a narrow no-break space"),
        '\u{2060}' => format!("{number}, a word joiner"),
        '\u{feff}' => format!("{number}, a byte order mark"),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_alike_is_found_with_what_to_write() {
        let cases = [
            ("“lo”", 0, "quotation mark", "straight"),
            ("lo,‘eth0’", 3, "quotation mark", "straight"),
            ("„lo“", 0, "quotation mark", "straight"),
            ("«lo»", 0, "quotation mark", "straight"),
            ("‹lo›", 0, "quotation mark", "straight"),
            ("eth0’", 4, "quotation mark", "straight"),
            ("/bin/a —to b", 7, "dash", "hyphen"),
            ("br–lan", 2, "dash", "hyphen"),
            ("10.0.0.5，10.0.0.6", 8, "ASCII", "`,`"),
            ("lo；eth0", 2, "ASCII", "`;`"),
            ("１G", 0, "ASCII", "`1`"),
            ("1\u{a0}G", 1, "U+00A0, a no-break space", "anew"),
            ("lo\u{200b}", 2, "U+200B, a zero-width space", "anew"),
            ("\u{feff}lo", 0, "U+FEFF, a byte order mark", "anew"),
            ("lo\u{200e}", 2, "U+200E", "anew"),
            ("a\u{2009}b", 1, "U+2009", "anew"),
            ("\"a\" ”", 4, "quotation mark", "straight"),
        ];
        for (value, at, label, help) in cases {
            for quotes_hold_text in [false, true] {
                let error = fault(value, quotes_hold_text).unwrap_or_else(|| panic!("{value:?}"));
                assert_eq!(error.at.map(|span| span.start), Some(at), "{value:?}");
                assert!(error.label.contains(label), "{value:?}: {}", error.label);
                assert!(error.help.contains(help), "{value:?}: {}", error.help);
            }
        }
    }

    #[test]
    fn ascii_and_letters_of_any_language_are_left_alone() {
        for value in ["", "\"lo\",'x`", "Größe", "日本語", "a\tb", "br-lan", "https://a/?b=c;d#e", "🔔"]
        {
            assert!(fault(value, false).is_none(), "{value:?}");
        }
    }

    #[test]
    fn text_between_straight_quotation_marks_is_left_alone_where_it_is_text() {
        let value = "/bin/a \"the operator’s „phone“ – now\"";
        assert!(fault(value, true).is_none());
        assert!(fault(value, false).is_some());
    }
}
