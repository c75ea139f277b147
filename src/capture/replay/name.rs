//! The names of captures in messages, and in the commands that messages advise.

use std::path::Path;

use super::compression::Compression;
use crate::escape::Escaped;

/// Returns the name of a capture in messages: its path, in which hidden characters are escaped, or `standard input` for
/// `-`.
pub fn capture_name(path: &Path) -> String {
    if path == Path::new("-") { STANDARD_INPUT.to_owned() } else { Escaped::path(path).to_string() }
}

/// Returns the commands that read a capture again after `command` has converted it. `FILE` in `command` is replaced by
/// the file, which was compressed with `outer`.
pub(super) fn piped(name: &str, outer: Option<Compression>, command: &str) -> String {
    let file = in_shell(name);
    let (before, file) = match outer {
        Some(outer) => (format!("{} -dc {file} | ", outer.name()), "-".to_owned()),
        None => (String::new(), file),
    };
    format!("`{before}{} | TrafficAlerted replay -`", command.replace("FILE", &file))
}

/// Returns the name of a capture as an argument of a command in a shell: `-` for standard input.
pub(super) fn in_shell(name: &str) -> String {
    if name == STANDARD_INPUT {
        return "-".to_owned();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:,@%=".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}

/// The name of standard input in messages.
const STANDARD_INPUT: &str = "standard input";

/// The command of Wireshark that converts a capture to pcap.
pub(super) const CONVERT: &str = "editcap -F pcap FILE -";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_name_the_file_as_a_shell_takes_it() {
        let standard_input = capture_name(Path::new("-"));
        assert_eq!(standard_input, "standard input");
        for (name, outer, expected) in [
            ("a.pcap.xz", None, "xz -dc a.pcap.xz"),
            ("it's 1.xz", None, r"xz -dc 'it'\''s 1.xz'"),
            (&standard_input, None, "xz -dc -"),
            (&standard_input, Some(Compression::Zstd), "zstd -dc - | xz -dc -"),
            ("a.gz", Some(Compression::Gzip), "gzip -dc a.gz | xz -dc -"),
        ] {
            assert_eq!(piped(name, outer, "xz -dc FILE"), format!("`{expected} | TrafficAlerted replay -`"));
        }
    }
}
