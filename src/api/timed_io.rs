//! A client's socket with a clock over it: how long an answer may take to be read, and how a refusal is
//! delivered to a client that is still talking.
//!
//! hyper bounds what it reads, how long a head may take, and takes no further request before the last answer
//! has left. It does not bound how long a client may take to read, and it closes a socket on which unread
//! bytes are waiting; the kernel then sends RST, and the client may never see the 4xx that was meant for it
//! (RFC 9112, 9.6). Both are settled here, below hyper, so that they hold for every answer alike.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::bounds::Bounds;

/// A TCP stream that cuts slow readers and lingers before it closes.
///
/// ```text
///            first byte of an answer          all bytes are with the kernel
///   Quiet ------------------------> Answering ----------------------------> Quiet
///                                       | answer_timeout: reset
///   Quiet --- shutdown ---> Lingering --- EOF, linger_timeout or linger_bytes_max ---> closed
/// ```
#[derive(Debug)]
pub(super) struct TimedIo {
    stream: TcpStream,
    phase: Phase,
    /// The one timer of the connection; it means something only while `Answering` or `Lingering`.
    timer: Pin<Box<Sleep>>,
    answer_timeout: Duration,
    linger_timeout: Duration,
    linger_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Quiet,
    Answering,
    Lingering { bytes_read: usize },
}

impl TimedIo {
    /// Takes charge of an accepted stream.
    pub(super) fn new(stream: TcpStream, bounds: &Bounds) -> Self {
        // Head and body leave in one call, so there is nothing for Nagle to join. A socket that cannot be
        // told so is dead already, and the first read will say it.
        let _ = stream.set_nodelay(true);
        Self {
            stream,
            phase: Phase::Quiet,
            timer: Box::pin(sleep(bounds.answer_timeout)),
            answer_timeout: bounds.answer_timeout,
            linger_timeout: bounds.linger_timeout,
            linger_bytes_max: bounds.linger_bytes_max,
        }
    }

    fn enter(&mut self, phase: Phase, limit: Duration) {
        self.phase = phase;
        self.timer.as_mut().reset(Instant::now() + limit);
    }

    /// Judges the outcome of a write: a client that makes no room has until the timer.
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Quiet {
            self.enter(Phase::Answering, self.answer_timeout);
        }
        if written.is_pending() && self.timer.as_mut().poll(cx).is_ready() {
            // What the kernel still holds for this client is worthless to it: reset instead of lingering in
            // the kernel's memory. Where that is refused the socket closes the slow way.
            let _ = self.stream.set_zero_linger();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    /// Reads and forgets until the client has seen our end and closes its own, within bounds.
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
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watched(cx, written)
    }

    /// Head and body go to the kernel from where they are; a large body is never copied for one client.
    fn is_write_vectored(&self) -> bool {
        true
    }

    /// hyper calls this when it has nothing left to write: the answer is with the kernel.
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

/// Tells a client that every place is taken, and closes. Its request is not read.
pub(super) async fn turn_away(mut timed_io: TimedIo) {
    // It fits into the empty send buffer of a fresh connection, so one write takes it all or the client is gone.
    let told = poll_fn(|cx| Pin::new(&mut timed_io).poll_write(cx, NO_PLACE)).await;
    if told.is_ok() {
        let _ = poll_fn(|cx| Pin::new(&mut timed_io).poll_shutdown(cx)).await;
    }
}

/// The answer to a connection above [`Bounds::connections_max`], written without reading the question.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    content-type: text/plain; charset=utf-8\r\n\
    content-length: 50\r\n\
    retry-after: 1\r\n\
    connection: close\r\n\
    \r\n\
    too many connections at once; try again in a while";

/// Bytes read at a time while lingering.
const LINGER_READ_BYTES: usize = 2048;
