//! A client's socket with two time limits: on how long a client may take to read an answer, and on how long a closing
//! connection waits for a client that still sends.
//!
//! hyper limits the size of a head and the time until it is complete, and reads no further request before the previous
//! answer is written. It does not limit the time that a client takes to read. It also closes a socket that has unread
//! bytes; the kernel then sends RST, and the client may never see the 4xx (RFC 9112, 9.6). This file adds both, below
//! hyper, so that they apply to every answer.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::bounds::Bounds;
use super::stream::ClientStream;

/// A stream that resets slow readers and lingers before it closes.
///
/// ```text
///            first byte of an answer          all bytes are with the kernel
///   Quiet ------------------------> Answering ----------------------------> Quiet
///                                       | answer_timeout: reset
///   Quiet or Answering --- shutdown ---> Lingering --- EOF, linger_timeout or linger_bytes_max ---> closed
/// ```
#[derive(Debug)]
pub(super) struct TimedIo {
    stream: ClientStream,
    phase: Phase,
    /// The only timer of the connection; it is used only while `Answering` or `Lingering`.
    timer: Pin<Box<Sleep>>,
    answer_timeout: Duration,
    linger_timeout: Duration,
    linger_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No byte of an answer waits to be written.
    Quiet,
    /// An answer is being written, until the timer expires.
    Answering,
    /// Our side is closed; bytes of the client are read and discarded until the timer expires.
    Lingering { bytes_read: usize },
}

impl TimedIo {
    /// Wraps an accepted stream.
    pub(super) fn new(stream: ClientStream, bounds: &Bounds) -> Self {
        stream.send_at_once();
        Self {
            stream,
            phase: Phase::Quiet,
            timer: Box::pin(sleep(bounds.answer_timeout)),
            answer_timeout: bounds.answer_timeout,
            linger_timeout: bounds.linger_timeout,
            linger_bytes_max: bounds.linger_bytes_max,
        }
    }

    /// Enters a phase that lasts at most `limit`.
    fn enter(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.timer.as_mut().reset(Instant::now() + limit);
    }

    /// Returns the result of a write, or an error if the write still waits for the client to read when the timer has
    /// expired.
    fn timed(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Quiet {
            self.enter(Phase::Answering, self.answer_timeout);
        }
        if written.is_pending() && self.timer.as_mut().poll(cx).is_ready() {
            // An incomplete answer is useless.
            self.stream.reset_on_close();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    /// Reads and discards until the client closes its side, the timer expires, or `linger_bytes_max` are read.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0_u8; LINGER_READ_BYTES];
        while let Phase::Lingering { bytes_read } = self.phase {
            if bytes_read >= self.linger_bytes_max || self.timer.as_mut().poll(cx).is_ready() {
                break;
            }
            let mut buf = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            match buf.filled().len() {
                0 => break,
                n => self.phase = Phase::Lingering { bytes_read: bytes_read + n },
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for TimedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TimedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.timed(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.timed(cx, written)
    }

    /// Returns true, so that hyper passes head and body to the kernel without copying the body.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Ends the answer. hyper calls this when it has nothing left to write, so the kernel has the whole answer.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.phase == Phase::Answering {
            self.phase = Phase::Quiet;
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.phase, Phase::Lingering { .. }) {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            let limit = self.linger_timeout;
            self.enter(Phase::Lingering { bytes_read: 0 }, limit);
        }
        self.poll_linger(cx)
    }
}

/// Answers 503 to a client beyond [`Bounds::connections_max`], without reading its request, and closes the connection.
pub(super) async fn refuse(mut timed_io: TimedIo) {
    // The answer fits into the empty send buffer of a new connection, so one write writes all of it or fails.
    let written = poll_fn(|cx| Pin::new(&mut timed_io).poll_write(cx, TOO_MANY_CONNECTIONS)).await;
    if written.is_ok() {
        let _ = poll_fn(|cx| Pin::new(&mut timed_io).poll_shutdown(cx)).await;
    }
}

/// The answer to a connection beyond [`Bounds::connections_max`].
const TOO_MANY_CONNECTIONS: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 50\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    \r\n\
    too many connections at once; try again in a while";

/// Maximum number of bytes of one read while lingering.
const LINGER_READ_BYTES: usize = 2048;
