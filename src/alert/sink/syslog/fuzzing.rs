//! What a collector sends back over TCP, and messages of any notice.

use std::cell::Cell;

use super::*;

/// Lets a collector send these bytes, in parts of different lengths, and then keep the connection open, close it,
/// reset it or send on without end, as the first byte says: a closed connection is found closed, an open one open, and
/// reading ends.
///
/// # Panics
/// Panics if one of these does not hold.
pub fn syslog_answer(input: &[u8]) {
    let (&how, sent) = input.split_first().unwrap_or((&0, &[]));
    let reads = Cell::new(0);
    let end = match how % 4 {
        0 => CollectorEnd::Open,
        1 => CollectorEnd::Closed,
        2 => CollectorEnd::Reset,
        _ => CollectorEnd::Endless,
    };
    let open =
        is_still_open(Collector { sent, part_bytes: usize::from(how / 4) * 16 + 1, end, reads: &reads });
    assert!(reads.get() <= 2 * READS_MAX, "{} reads", reads.get());
    // What is sent before may be more than is read at once.
    let is_read_whole = reads.get() < READS_MAX;
    match (end, open) {
        (CollectorEnd::Open, open) => assert!(open),
        (CollectorEnd::Closed | CollectorEnd::Reset, open) => assert!(!(open && is_read_whole)),
        (CollectorEnd::Endless, open) => assert!(open),
    }
}

#[derive(Clone, Copy)]
enum CollectorEnd {
    Open,
    Closed,
    Reset,
    Endless,
}

/// The receiving side of a connection that does not block.
struct Collector<'a> {
    sent: &'a [u8],
    part_bytes: usize,
    end: CollectorEnd,
    reads: &'a Cell<usize>,
}

impl Read for Collector<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let len = self.sent.len().min(self.part_bytes).min(buffer.len());
        if len > 0 {
            let (part, rest) = self.sent.split_at(len);
            buffer[..len].copy_from_slice(part);
            self.sent = rest;
            return Ok(len);
        }
        match self.end {
            CollectorEnd::Open => Err(ErrorKind::WouldBlock.into()),
            CollectorEnd::Closed => Ok(0),
            CollectorEnd::Reset => Err(ErrorKind::ConnectionReset.into()),
            CollectorEnd::Endless => Ok(buffer.len()),
        }
    }
}

/// Makes the messages of a notice for each kind of collector.
///
/// # Panics
/// Panics if one of them has a control character, or one for a datagram is too long.
pub(in crate::alert::sink) fn say(queued: &QueuedNotice) {
    for text in ["udp://192.0.2.9", "tcp://192.0.2.9", "unix:/dev/log"] {
        let target = SyslogTarget::parse(text).expect("it is the address of a collector");
        let syslog = Syslog::new(SyslogOptions::new(target, Facility::DAEMON), Retry::default());
        for message in syslog.messages(queued) {
            assert!(!message.contains(char::is_control), "{message:?}");
            assert!(message.len() <= DATAGRAM_MAX || !text.starts_with("udp"));
        }
    }
}
