//! The messages between the program and the helper of `AlertCommand`, on a stream socket.
//!
//! ```text
//!   0        3         4                  8
//!   +--------+---------+------------------+--------------------+
//!   | "TAH"  | version | length, LE       | JSON of that length|
//!   +--------+---------+------------------+--------------------+
//! ```
//!
//! Both ends are the same executable, so another version means that something else is at the other end. The first
//! message is the [`Program`], and no later one can name another: every thread of the monitor can write to the socket,
//! also one that was taken over. The helper answers it, and each [`HelperRequest`] but [`HelperRequest::Abort`], with
//! one [`HelperReply`] of the same number. It ends at a message that is none of these or has a field that it does not
//! know.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The program that the helper runs. It is the first message to the helper.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Program {
    /// Its absolute path.
    pub(super) path: String,
    /// Its arguments, without its own name.
    pub(super) arguments: Vec<String>,
    /// Maximum time that it may run.
    pub(super) time_limit_ms: u64,
}

/// A later message to the helper.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) enum HelperRequest {
    /// Tells whether the user of the helper may execute the program.
    Check { number: u64 },
    /// Runs the program.
    Run { number: u64, call: Call },
    /// Ends the program that runs.
    Abort,
}

/// What the program gets about a notice.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    /// The variables that it gets besides those of the helper. Their names are those of [`is_of_alert`].
    pub(super) variables: Vec<(String, String)>,
    /// What it reads from its standard input.
    pub(super) input: String,
}

/// Returns true for the name of a variable that tells of an alert: `TA_` and capital letters or `_`. No loader, shell
/// or library takes orders from such a variable.
pub(super) fn is_of_alert(name: &str) -> bool {
    name.strip_prefix("TA_").is_some_and(|rest| {
        !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    })
}

/// A message of the helper. Number 0 reports its start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HelperReply {
    pub(super) number: u64,
    pub(super) outcome: Outcome,
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// The helper has started, or the program is executable.
    Ready,
    /// The helper could not become the user that it must run as.
    Unfit(String),
    /// The program cannot be started; an `errno`.
    NotStarted(i32),
    /// A descriptor or memory is missing.
    Exhausted(String),
    /// Nobody can wait for the program, so it was ended.
    NotWaitable(String),
    /// It exited with this code.
    Exited(i32),
    /// It was ended by the signal of this name.
    Signaled(String),
    /// It was ended after its time limit.
    TooLong,
    /// It was ended by [`HelperRequest::Abort`].
    Aborted,
    /// Something else that waitpid(2) tells.
    Unknown(String),
}

/// Writes a message.
///
/// # Errors
/// The message is too long, or the socket cannot be written.
pub(super) fn send(mut socket: impl Write, message: &impl Serialize) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).ok().filter(|&length| length <= MESSAGE_BYTES_MAX);
    let length =
        length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"))?;
    let mut frame = Vec::with_capacity(HEADER_BYTES + body.len());
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&body);
    socket.write_all(&frame)
}

/// Reads a message.
///
/// # Errors
/// The socket is closed or cannot be read, or it delivers something else than a message.
pub(super) fn receive<T: DeserializeOwned>(mut socket: impl Read) -> io::Result<T> {
    let mut header = [0; HEADER_BYTES];
    socket.read_exact(&mut header)?;
    let [magic @ .., l0, l1, l2, l3] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    if magic != MAGIC || length > MESSAGE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no message of TrafficAlerted"));
    }
    let mut body = vec![0; length as usize];
    socket.read_exact(&mut body)?;
    Ok(serde_json::from_slice(&body)?)
}

/// Three letters and the version.
const MAGIC: [u8; 4] = *b"TAH\x02";
const HEADER_BYTES: usize = 8;
/// Maximum number of bytes of a message. The configuration, which has the arguments, has at most 64 KiB, and an alert
/// has less.
const MESSAGE_BYTES_MAX: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_received_as_it_was_sent() {
        let mut bytes = Vec::new();
        send(&mut bytes, &HelperReply { number: 7, outcome: Outcome::Exited(3) })
            .expect("a vector takes everything");
        let reply: HelperReply = receive(bytes.as_slice()).expect("it is whole");
        assert_eq!((reply.number, reply.outcome), (7, Outcome::Exited(3)));
        for cut in 0..bytes.len() {
            assert!(receive::<HelperReply>(&bytes[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_is_no_message_is_refused_before_it_is_read() {
        for bytes in [*b"TAH\x01\x02\0\0\0{}", *b"GET / HTTP", *b"TAH\x02\xff\xff\xff\xff{}"] {
            let error = receive::<HelperReply>(&bytes[..]).expect_err("it is none");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
        let long = "x".repeat(MESSAGE_BYTES_MAX as usize);
        let program = Program { path: long, arguments: vec![], time_limit_ms: 1 };
        let error = send(Vec::new(), &program).expect_err("it is too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn only_variables_of_alerts_are_taken() {
        for (name, want) in [
            ("TA_ID", true),
            ("TA_SOURCE_NAME", true),
            ("TA_", false),
            ("LD_PRELOAD", false),
            ("PATH", false),
            ("XTA_ID", false),
            ("TA_ID=x\nLD_PRELOAD", false),
            ("TA_ID\0", false),
            ("ta_id", false),
        ] {
            assert_eq!(is_of_alert(name), want, "{name:?}");
        }
    }
}
