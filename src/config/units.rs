//! Parses numbers, byte counts and lists, each exactly or with an error, and prints them.
//!
//! K, M and G are powers of 1000, in either case. Numbers are computed digit by digit in `u64`, never in
//! floating point, so `1.5G` is exactly 1500000000.

use std::fmt::{self, Display};
use std::ops::{Range, RangeInclusive};

use super::value_error::ValueError;

/// Why a text is not a valid number. The message is shown under the offending text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NumberError {
    /// Other characters than digits in a number.
    #[error("not a number")]
    NotANumber,
    /// A fraction in a number that must be whole.
    #[error("not a whole number")]
    Fraction,
    /// A number that is not a whole number of bytes, such as `1.5` or `1.0005K`.
    #[error("not a whole number of bytes")]
    PartOfAByte,
    /// More than four digits after the point of a percentage.
    #[error("too fine: at most four places")]
    TooFine,
    /// A percentage without its sign.
    #[error("no percent sign")]
    NoPercentSign,
    /// Letters after the digits that are not K, M or G.
    #[error("unknown unit")]
    UnknownUnit,
    /// Below what the setting allows.
    #[error("too small")]
    TooSmall,
    /// Above what the setting allows, or above what 64 bits can hold.
    #[error("too large")]
    TooLarge,
}

/// Reads a whole number without a suffix.
pub(super) fn whole(text: &str) -> Result<u64, NumberError> {
    match digits(text) {
        Err(NumberError::NotANumber) if is_decimal(text) => Err(NumberError::Fraction),
        result => result,
    }
}

/// Reads a number of bytes: `500000`, `5M`, `1.5G`.
pub(super) fn bytes(text: &str) -> Result<u64, NumberError> {
    suffixed(text, NumberError::PartOfAByte)
}

/// Reads a whole number with an optional suffix: `500`, `10K`, `1.5M`.
pub(super) fn amount(text: &str) -> Result<u64, NumberError> {
    suffixed(text, NumberError::Fraction)
}

/// Reads a number with an optional suffix K, M or G. `too_fine` is the error if it is not whole.
fn suffixed(text: &str, too_fine: NumberError) -> Result<u64, NumberError> {
    let number_len = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(number_len);
    if number.is_empty() {
        return Err(NumberError::NotANumber);
    }
    let zeros = match unit {
        "" => 0,
        "K" | "k" => 3,
        "M" | "m" => 6,
        "G" | "g" => 9,
        _ if unit.bytes().all(|b| b.is_ascii_alphabetic()) => return Err(NumberError::UnknownUnit),
        _ => return Err(NumberError::NotANumber),
    };
    scaled(number, zeros, too_fine)
}

/// Reads a percentage such as `0.1%`; returns parts per million.
pub(super) fn percent(text: &str) -> Result<u64, NumberError> {
    let (number, zeros) = (text.strip_suffix('%').unwrap_or(text), 4);
    let millionths = scaled(number.trim_end(), zeros, NumberError::TooFine)?;
    if text.ends_with('%') { Ok(millionths) } else { Err(NumberError::NoPercentSign) }
}

/// Reads a decimal number and multiplies it by 10^`zeros`. `too_fine` is the error if the product is not whole.
fn scaled(number: &str, zeros: u32, too_fine: NumberError) -> Result<u64, NumberError> {
    let (units, fraction) = match number.split_once('.') {
        None => (digits(number)?, 0),
        Some((units, fraction)) => (digits(units)?, part(fraction, zeros, too_fine)?),
    };
    let scaled = units.checked_mul(10_u64.pow(zeros)).and_then(|sum| sum.checked_add(fraction));
    scaled.ok_or(NumberError::TooLarge)
}

/// Returns the value of the digits after the point, multiplied by 10^`zeros`.
fn part(fraction: &str, zeros: u32, too_fine: NumberError) -> Result<u64, NumberError> {
    // `5.` and `5.x` are not numbers. The other digits are checked below, without the zeros at the end.
    digits(fraction.get(..1).unwrap_or_default())?;
    let significant = fraction.trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let decimals = u32::try_from(significant.len()).unwrap_or(u32::MAX);
    let missing = zeros.checked_sub(decimals).ok_or(too_fine)?;
    // At most nine digits are left here, so the product is below 10^9.
    Ok(digits(significant)? * 10_u64.pow(missing))
}

/// Reads digits only; `u64::from_str` alone would accept a sign.
fn digits(text: &str) -> Result<u64, NumberError> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NumberError::NotANumber);
    }
    text.parse().map_err(|_| NumberError::TooLarge)
}

/// Returns true if `text` is digits, a point, and digits.
fn is_decimal(text: &str) -> bool {
    text.split_once('.').is_some_and(|(units, part)| {
        digits(units) != Err(NumberError::NotANumber) && digits(part) != Err(NumberError::NotANumber)
    })
}

/// Returns the number if it is within the range that the setting allows.
pub(super) fn within<T: TryFrom<u64> + PartialOrd>(
    number: u64,
    range: &RangeInclusive<T>,
) -> Result<T, NumberError> {
    match T::try_from(number) {
        Ok(number) if number < *range.start() => Err(NumberError::TooSmall),
        Ok(number) if number <= *range.end() => Ok(number),
        _ => Err(NumberError::TooLarge),
    }
}

/// Displays a number in the shortest form without a fraction that [`amount`] reads back as the same number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amount(pub(super) u64);

/// Displays a number of bytes in the same form, which [`bytes`] reads back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes(pub(super) u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Amount(self.0).fmt(f)
    }
}

impl Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, letter) = match self.0 {
            n if n == 0 || n % 1_000 != 0 => (1, ""),
            n if n % 1_000_000 != 0 => (1_000, "K"),
            n if n % 1_000_000_000 != 0 => (1_000_000, "M"),
            _ => (1_000_000_000, "G"),
        };
        write!(f, "{}{letter}", self.0 / unit)
    }
}

/// One item of a list without its quotes, and its place in the text of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListItem<'a> {
    /// The item.
    pub(super) text: &'a str,
    /// Its bytes in the text that was passed to [`list`], including the quotes.
    pub(super) span: Range<usize>,
}

/// Why a text is not a list, and the offending bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ListError {
    /// The fault, which is shown under the offending text.
    pub(super) label: &'static str,
    /// What to write; `None` if that depends on the setting.
    pub(super) help: Option<&'static str>,
    /// The offending bytes.
    pub(super) span: Range<usize>,
}

impl ListError {
    /// Returns the same error as an error about a value. `form` is how the value may be written.
    pub(super) fn into_value(self, form: impl Display) -> ValueError {
        let error = match self.help {
            Some(help) => ValueError::new(self.label, help),
            None => ValueError::write(self.label, form),
        };
        error.at(self.span)
    }

    /// Returns an error whose remedy depends on the setting.
    fn new(label: &'static str, span: Range<usize>) -> Self {
        Self { label, help: None, span }
    }

    /// Returns the same error with this remedy.
    fn with_help(self, help: &'static str) -> Self {
        Self { help: Some(help), ..self }
    }
}

/// Returns the items with commas between them, as [`list`] reads them.
pub(super) fn joined(items: &[impl Display]) -> String {
    let written: Vec<String> = items.iter().map(ToString::to_string).collect();
    written.join(",")
}

/// Reads items between commas, each with or without double quotes; a comma within quotes belongs to the item.
/// An empty text, or one pair of quotes with nothing between them, is an empty list.
pub(super) fn list(text: &str) -> Result<Vec<ListItem<'_>>, ListError> {
    let mut items = Vec::new();
    if matches!(text, "" | "\"\"") {
        return Ok(items);
    }
    if is_in_brackets(text) {
        let error = ListError::new("a list has no brackets", 0..text.len());
        return Err(error.with_help("remove the brackets; commas between the items are enough"));
    }
    let mut quoted = false;
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => {
                let error = ListError::new("a semicolon", at..at + 1);
                return Err(error.with_help("write a comma between the items of a list"));
            }
            ',' if !quoted => {
                items.push(item(text, start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(item(text, start..text.len())?);
    Ok(items)
}

/// Returns true if one pair of brackets is around several items, or around items in quotes.
fn is_in_brackets(text: &str) -> bool {
    [('[', ']'), ('(', ')'), ('{', '}')].into_iter().any(|(opening, closing)| {
        text.strip_prefix(opening)
            .and_then(|rest| rest.strip_suffix(closing))
            .is_some_and(|inner| inner.contains([',', '"']) && !inner.contains([opening, closing]))
    })
}

/// Returns the item that is in these bytes of `text`, between two commas.
fn item(text: &str, between_commas: Range<usize>) -> Result<ListItem<'_>, ListError> {
    let padded = &text[between_commas.clone()];
    let trimmed = padded.trim();
    if trimmed.is_empty() {
        // There is no text to point at, so the error points at a comma.
        let comma = between_commas.start.saturating_sub(1);
        return Err(ListError::new("nothing on one side of this comma", comma..comma + 1));
    }
    let start = between_commas.start + (padded.len() - padded.trim_start().len());
    let span = start..start + trimmed.len();
    let bare = match trimmed.strip_prefix('"') {
        None => trimmed,
        Some(rest) => match rest.strip_suffix('"') {
            None => return Err(ListError::new("a quote that does not close, or text behind one", span)),
            Some(inner) => inner,
        },
    };
    if bare.contains('"') {
        return Err(ListError::new("a quote within an item", span));
    }
    if bare.trim().is_empty() {
        return Err(ListError::new("an empty item", span));
    }
    if bare.starts_with(SINGLE_QUOTES) || bare.ends_with(SINGLE_QUOTES) {
        return Err(ListError::new("not a quotation mark here", span).with_help(STRAIGHT_QUOTES));
    }
    Ok(ListItem { text: bare, span })
}

/// Reads words that are separated by white space. White space within double quotes belongs to the word, and the quotes
/// may be anywhere in the word. An empty pair of quotes is an empty word.
pub(super) fn words(text: &str) -> Result<Vec<String>, ListError> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted_from = None;
    for (at, c) in text.char_indices() {
        match (c, quoted_from) {
            ('"', Some(_)) => quoted_from = None,
            ('"', None) => {
                quoted_from = Some(at);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            // A shell would take these two for quotation marks.
            ('\'' | '`', None) if word.is_none() && text[at + 1..].contains(c) => {
                let error = ListError::new("not a quotation mark here", at..at + 1);
                return Err(error.with_help(STRAIGHT_QUOTES));
            }
            // A shell would redirect, connect or end something here.
            ('|' | '>' | '<' | '&' | ';', None) if word.is_none() => {
                let error = ListError::new("a character of a shell", at..at + 1);
                return Err(error.with_help(NO_SHELL));
            }
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(start) = quoted_from {
        return Err(ListError::new("a quote that does not close", start..text.len()));
    }
    words.extend(word);
    Ok(words)
}

/// Marks that are not quotation marks of the format, but those of shells and of Markdown.
const SINGLE_QUOTES: [char; 2] = ['\'', '`'];

const NO_SHELL: &str =
    "no shell reads it: write a script and its path here, or quotation marks around the argument";

const STRAIGHT_QUOTES: &str = "write straight double quotation marks (\"), or none";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::PartsPerMillion;

    #[test]
    fn a_byte_count_is_read_exactly_or_is_an_error() {
        let cases = [
            ("0", Ok(0)),
            ("170", Ok(170)),
            ("007", Ok(7)),
            ("1G", Ok(1_000_000_000)),
            ("1g", Ok(1_000_000_000)),
            ("5G", Ok(5_000_000_000)),
            ("10G", Ok(10_000_000_000)),
            ("1.5G", Ok(1_500_000_000)),
            ("1.50m", Ok(1_500_000)),
            ("1.0", Ok(1)),
            ("0.001K", Ok(1)),
            ("1.123456789G", Ok(1_123_456_789)),
            ("1.1234567890000000000000000000000G", Ok(1_123_456_789)),
            ("18446744073709551615", Ok(u64::MAX)),
            ("18446744073.709551615G", Ok(u64::MAX)),
            ("18446744073.709551616G", Err(NumberError::TooLarge)),
            ("18446744073709551616", Err(NumberError::TooLarge)),
            ("18446744074G", Err(NumberError::TooLarge)),
            ("99999999999999999999999999999999G", Err(NumberError::TooLarge)),
            ("1.5", Err(NumberError::PartOfAByte)),
            ("1.0005K", Err(NumberError::PartOfAByte)),
            ("1.1234567891G", Err(NumberError::PartOfAByte)),
            ("1GB", Err(NumberError::UnknownUnit)),
            ("1GiB", Err(NumberError::UnknownUnit)),
            ("5T", Err(NumberError::UnknownUnit)),
            ("1 G", Err(NumberError::NotANumber)),
            ("1.5.5G", Err(NumberError::NotANumber)),
            (".5G", Err(NumberError::NotANumber)),
            ("5.G", Err(NumberError::NotANumber)),
            ("1,5G", Err(NumberError::NotANumber)),
            ("+5", Err(NumberError::NotANumber)),
            ("-5", Err(NumberError::NotANumber)),
            ("G", Err(NumberError::NotANumber)),
            (".", Err(NumberError::NotANumber)),
            ("", Err(NumberError::NotANumber)),
            ("٣", Err(NumberError::NotANumber)),
            ("1é", Err(NumberError::NotANumber)),
        ];
        for (text, expected) in cases {
            assert_eq!(bytes(text), expected, "{text:?}");
        }
    }

    #[test]
    fn percentages_are_read_as_parts_per_million_and_printed_back() {
        for (text, ppm) in
            [("0.1%", 1_000), ("100%", 1_000_000), ("0.0001%", 1), ("12.3456%", 123_456), ("5%", 50_000)]
        {
            assert_eq!(percent(text), Ok(u64::from(ppm)), "{text}");
            assert_eq!(PartsPerMillion(ppm).to_string(), text);
        }
        assert_eq!((percent("1.50 %"), percent("007%")), (Ok(15_000), Ok(70_000)));
        for (text, error) in [
            ("0.1", NumberError::NoPercentSign),
            ("0.00001%", NumberError::TooFine),
            ("%", NumberError::NotANumber),
            ("1,5%", NumberError::NotANumber),
            ("-1%", NumberError::NotANumber),
            ("99999999999999999999%", NumberError::TooLarge),
        ] {
            assert_eq!(percent(text), Err(error), "{text}");
        }
    }

    #[test]
    fn whole_numbers_consist_of_digits_only() {
        let cases = [
            ("600", Ok(600)),
            ("0.5", Err(NumberError::Fraction)),
            ("1K", Err(NumberError::NotANumber)),
            ("-1", Err(NumberError::NotANumber)),
            ("", Err(NumberError::NotANumber)),
            ("18446744073709551616", Err(NumberError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(whole(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_range_includes_its_ends_and_nothing_beyond() {
        let cases = [
            (0, Err(NumberError::TooSmall)),
            (1, Ok(1)),
            (65_535, Ok(65_535)),
            (65_536, Err(NumberError::TooLarge)),
            (u64::MAX, Err(NumberError::TooLarge)),
        ];
        for (number, expected) in cases {
            assert_eq!(within::<u16>(number, &(1..=65_535)), expected, "{number}");
            assert_eq!(within::<u32>(number, &(1..=65_535)), expected.map(u32::from), "{number}");
        }
    }

    #[test]
    fn printed_bytes_are_short_and_read_back_the_same() {
        let cases = [
            (0, "0"),
            (999, "999"),
            (1_000, "1K"),
            (23_644, "23644"),
            (1_500_000_000, "1500M"),
            (1_000_000_000, "1G"),
            (1_000_000_000_000, "1000G"),
            (u64::MAX, "18446744073709551615"),
        ];
        for (number, text) in cases {
            assert_eq!(Bytes(number).to_string(), text);
            assert_eq!(bytes(text), Ok(number));
        }
    }

    #[test]
    fn items_of_a_list_may_be_quoted() {
        let cases: [(&str, &[&str]); 9] = [
            (r#""lo","dummy0""#, &["lo", "dummy0"]),
            ("lo,rx0", &["lo", "rx0"]),
            (r#"lo, "rx0" ,eth0"#, &["lo", "rx0", "eth0"]),
            ("lo", &["lo"]),
            (r#""lo""#, &["lo"]),
            (r#""a,b",c"#, &["a,b", "c"]),
            ("0,1", &["0", "1"]),
            ("", &[]),
            (r#""""#, &[]),
        ];
        for (text, expected) in cases {
            let items = list(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
            assert_eq!(items.iter().map(|item| item.text).collect::<Vec<_>>(), expected, "{text:?}");
            for item in items {
                assert_eq!(text[item.span].trim_matches('"'), item.text, "{text:?}");
            }
        }
    }

    #[test]
    fn white_space_in_quotes_belongs_to_the_word() {
        let cases: [(&str, &[&str]); 6] = [
            ("/bin/a", &["/bin/a"]),
            ("/bin/a  b\tc ", &["/bin/a", "b", "c"]),
            (r#"/bin/a "arg two""#, &["/bin/a", "arg two"]),
            (r#""/a b" --c="d e" "" 'f"#, &["/a b", "--c=d e", "", "'f"]),
            (r"/bin/a \n $x", &["/bin/a", r"\n", "$x"]),
            ("", &[]),
        ];
        for (text, expected) in cases {
            let read = words(text).unwrap_or_else(|error| panic!("{text:?}: {error:?}"));
            assert_eq!(read, expected, "{text:?}");
        }
        assert_eq!(words(r#"/a "b c"#).map_err(|error| error.span), Err(3..7));
    }

    #[test]
    fn an_error_in_a_list_has_the_offending_bytes() {
        let cases = [
            ("lo,", 2..3),
            (",lo", 0..1),
            ("lo,,rx0", 2..3),
            (r#"lo,"rx0"#, 3..7),
            (r#""lo"x,y"#, 0..5),
            (r#"l"o"#, 0..3),
            (r#"lo,"""#, 3..5),
            (r#"lo,"""""#, 3..7),
            (r#"""#, 0..1),
            (",", 0..1),
        ];
        for (text, expected) in cases {
            assert_eq!(list(text).map_err(|error| error.span), Err(expected), "{text:?}");
        }
    }
}
