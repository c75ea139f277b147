//! One HTTP request to the program.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The default port of the program.
const PORT: u16 = 8698;
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the body of the response.
///
/// # Errors
/// The program does not answer, or not with status 200.
pub(crate) fn get(path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
    stream.set_read_timeout(Some(READ_TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost:{PORT}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(io::Error::other(format!("{path}: {}", answer.lines().next().unwrap_or("no answer")))),
    }
}
