//! Reads the query of a request whose route checks it: every parameter and value must be one that the route has.

use percent_encoding::percent_decode_str;

use super::routes::Parameter;

/// The parameters that a query sets, with their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct QueryValues(Vec<(&'static str, &'static str)>);

impl QueryValues {
    /// Returns the value of a parameter; `None` if the query does not set it.
    pub(super) fn of(&self, name: &str) -> Option<&'static str> {
        self.0.iter().find(|(set, _)| *set == name).map(|&(_, value)| value)
    }
}

/// Reads the query of a request for `path`, which has these parameters.
///
/// # Errors
/// A sentence for the client, which names the fault and lists what the path has.
pub(super) fn read(
    path: &str,
    parameters: &'static [Parameter],
    query: Option<&str>,
) -> Result<QueryValues, String> {
    let mut values = Vec::new();
    // As in HTML forms, an empty part between two `&` is no parameter.
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let value = read_part(part, parameters, &values)
            .map_err(|fault| format!("{fault}; {}", offer(path, parameters)))?;
        values.push(value);
    }
    Ok(QueryValues(values))
}

/// Reads one `name=value`. `earlier` are those before it.
fn read_part(
    part: &str,
    parameters: &'static [Parameter],
    earlier: &[(&'static str, &'static str)],
) -> Result<(&'static str, &'static str), String> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let (Some(name), Some(value)) = (decode(name), decode(value)) else {
        let part = quoted(part);
        return Err(format!("{part} has a malformed escape (write % and two hexadecimal digits, as UTF-8)"));
    };
    let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
        return Err(format!("there is no parameter {}", quoted(&name)));
    };
    if earlier.iter().any(|(set, _)| *set == name) {
        return Err(format!("{name} is set twice"));
    }
    match parameter.values.iter().find(|known| **known == value) {
        Some(known) => Ok((parameter.name, known)),
        None => Err(format!("{name} cannot be {}", quoted(&value))),
    }
}

/// Decodes the escapes of a name or a value; `None` if one is malformed or if the result is not UTF-8.
fn decode(text: &str) -> Option<String> {
    let is_escape =
        |rest: &str| matches!(rest.as_bytes(), [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
    // The part before the first percent sign is no escape.
    if !text.split('%').skip(1).all(is_escape) {
        return None;
    }
    let decoded = percent_decode_str(text).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// Lists the parameters of a path with their values.
fn offer(path: &str, parameters: &[Parameter]) -> String {
    if parameters.is_empty() {
        return format!("{path} has no parameters");
    }
    let each = parameters.iter().map(|Parameter { name, values }| format!("{name}={}", values.join("|")));
    format!("{path} has {}", each.collect::<Vec<_>>().join(" and "))
}

/// Quotes what a client sent, without control characters and not longer than a line.
fn quoted(text: &str) -> String {
    let short: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    let rest = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{rest}")
}

const QUOTED_CHARS_MAX: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: &[Parameter] = &[Parameter { name: "state", values: &["open", "closed"] }];

    #[test]
    fn known_values_are_read_and_everything_else_is_refused() {
        let malformed = |part: &str| {
            Err(format!("\"{part}\" has a malformed escape (write % and two hexadecimal digits, as UTF-8)"))
        };
        let refused = |fault: &str| Err(fault.to_owned());
        for (query, expected) in [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("&"), Ok(None)),
            (Some("state=open"), Ok(Some("open"))),
            (Some("&state=closed&"), Ok(Some("closed"))),
            (Some("st%61te=%6Fpen"), Ok(Some("open"))),
            (Some("state"), refused("state cannot be \"\"")),
            (Some("state=OPEN"), refused("state cannot be \"OPEN\"")),
            (Some("state=open+"), refused("state cannot be \"open+\"")),
            (Some("state=open=closed"), refused("state cannot be \"open=closed\"")),
            (Some("State=open"), refused("there is no parameter \"State\"")),
            (Some("state=open&limit=5"), refused("there is no parameter \"limit\"")),
            (Some("=open"), refused("there is no parameter \"\"")),
            (Some("state=open&state=open"), refused("state is set twice")),
            (Some("state=%zz"), malformed("state=%zz")),
            (Some("state=open%"), malformed("state=open%")),
            (Some("%4=open"), malformed("%4=open")),
            (Some("state=%e4"), malformed("state=%e4")),
            (Some("state=%0a"), refused("state cannot be \"\\n\"")),
        ] {
            let expected = expected.map_err(|fault| format!("{fault}; /path has state=open|closed"));
            let values = read("/path", STATE, query);
            assert_eq!(values.map(|values| values.of("state")), expected, "{query:?}");
        }
    }

    #[test]
    fn a_path_without_parameters_says_so_and_long_texts_are_cut() {
        assert_eq!(read("/path", &[], Some("&&")), Ok(QueryValues(Vec::new())));
        let long = format!("{}=1", "ä".repeat(1000));
        let said = read("/path", &[], Some(&long)).expect_err("it has no parameters");
        let name = "ä".repeat(QUOTED_CHARS_MAX);
        assert_eq!(said, format!("there is no parameter \"{name}\"...; /path has no parameters"));
    }
}
