//! A client's socket with time limits: how long a client may take to read an answer, and how long a closing connection
//! waits for a client that still sends.
//!
//! hyper bounds what it reads and how long a head may take, and takes no further request before the last answer has
//! left. It does not bound how long a client may take to read, and it closes a socket that has unread bytes; the kernel
//! then sends RST, and the client may never see the 4xx (RFC 9112, 9.6). Both are done here, below hyper, so that they
//! hold for every answer.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::bounds::Bounds;

/// A TCP stream that resets slow readers and lingers before it closes.
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
    /// Wraps an accepted stream.
    pub(super) fn new(stream: TcpStream, bounds: &Bounds) -> Self {
        // Head and body leave in one call, so Nagle's algorithm has nothing to join. If this fails the socket is
        // closed, and the first read fails too.
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

    /// Passes on the result of a write, or fails if the client has made no room until the timer.
    fn timed(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if self.phase == Phase::Quiet {
            self.enter(Phase::Answering, self.answer_timeout);
        }
        if written.is_pending() && self.timer.as_mut().poll(cx).is_ready() {
            // An incomplete answer is of no use: a reset frees the kernel's memory at once. If the option is refused,
            // the socket closes with FIN.
            let _ = self.stream.set_zero_linger();
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }

    /// Reads and discards until the client closes its side, within bounds.
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

    /// True: head and body go to the kernel without a copy, also a large body.
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

/// Answers 503 to a client beyond [`Bounds::connections_max`], and closes. Its request is not read.
pub(super) async fn refuse(mut timed_io: TimedIo) {
    // The answer fits into the empty send buffer of a new connection, so one write takes all of it or fails.
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

/// Bytes read at a time while lingering.
const LINGER_READ_BYTES: usize = 2048;
