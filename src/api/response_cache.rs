//! A cache of answer bodies: each is written once per report, and again for other GeoIP databases, and shared by all
//! clients while it is current.
//!
//! A connection holds the body, but not the report, until its client has read it. Slow clients could so keep one body
//! per report in memory. To bound this, no further body is written while clients hold two bodies that are older than
//! the latest one. Until one of these two is released, at the latest after
//! [`Bounds::answer_timeout`](super::Bounds), requests get the latest body, even if it is not of the current report.

use std::sync::{Arc, Weak};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::yield_now;

use crate::enrich::GeoIp;
use crate::flow::Published;
use crate::report::Report;

/// Maximum number of bodies older than the latest that clients may hold when a further body is written. The latest then
/// becomes an older one, so there are at most three bodies.
const OLDER_MAX: usize = 1;

/// Number of bytes after which the task that writes a body yields, because one thread answers all clients.
const PART_BYTES: usize = 128 * 1024;

/// The elements of a JSON array that is made from a report.
pub(super) trait Elements: Sync {
    /// Returns the elements for `report`, in the order of the array.
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send;

    /// Returns the databases that the elements have origins from; `None` if they have none.
    fn geoip(&self) -> Option<&Arc<GeoIp>> {
        None
    }
}

/// The JSON array of one path, for the current report.
#[derive(Debug, Default)]
pub(super) struct ResponseCache(Mutex<CachedResponse>);

#[derive(Debug, Default)]
struct CachedResponse {
    /// The report from which the body was made. A weak reference frees the report's content but not its allocation, so
    /// no other report can get the same address, and equal addresses mean the same report.
    report: Weak<Report>,
    /// The databases that its origins are from, in the same way.
    geoip: Weak<GeoIp>,
    body: Bytes,
    /// Can be upgraded as long as the cache or a client holds the body.
    life: Weak<()>,
    /// The same for each earlier body, which only clients hold.
    older: Vec<Weak<()>>,
}

/// A body and its `_life`, which is dropped when the last holder drops the body.
struct CachedBody {
    bytes: Vec<u8>,
    _life: Arc<()>,
}

impl AsRef<[u8]> for CachedBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl ResponseCache {
    /// Returns the body. The first request after a new report writes it, and requests that arrive meanwhile wait until
    /// it is written.
    pub(super) async fn array(&self, report: &Published<Report>, elements: &impl Elements) -> Bytes {
        self.array_and_whether_current(report, elements).await.0
    }

    /// Returns the same, and true unless the body is of an earlier report than the current one, or of earlier databases
    /// than those of `elements`.
    pub(super) async fn array_and_whether_current(
        &self,
        report: &Published<Report>,
        elements: &impl Elements,
    ) -> (Bytes, bool) {
        let mut cached = self.0.lock().await;
        let report = report.read();
        let source = (Arc::downgrade(&report), elements.geoip().map(Arc::downgrade).unwrap_or_default());
        let is_current = cached.report.ptr_eq(&source.0) && cached.geoip.ptr_eq(&source.1);
        if is_current || !cached.has_room() {
            return (cached.body.clone(), is_current);
        }
        let bytes = write(elements.of(&report), cached.body.len()).await;
        cached.replace(source, bytes);
        (cached.body.clone(), true)
    }
}

impl CachedResponse {
    /// Returns true if a further body may be written.
    fn has_room(&mut self) -> bool {
        self.older.retain(|life| life.strong_count() > 0);
        self.older.len() <= OLDER_MAX
    }

    /// Replaces the latest body by one that was made from this report and these databases.
    fn replace(&mut self, source: (Weak<Report>, Weak<GeoIp>), bytes: Vec<u8>) {
        let life = Arc::new(());
        self.older.push(std::mem::replace(&mut self.life, Arc::downgrade(&life)));
        self.body = Bytes::from_owner(CachedBody { bytes, _life: life });
        (self.report, self.geoip) = source;
    }
}

/// Writes an array and yields to other tasks after each [`PART_BYTES`]. `about_bytes` is the expected length. Views are
/// made one at a time, so that a large report is never in memory twice.
async fn write(views: impl Iterator<Item: Serialize + Send>, about_bytes: usize) -> Vec<u8> {
    // A body is about as long as the one before it.
    let mut body = Vec::with_capacity(about_bytes + about_bytes / 8);
    let mut written = 0;
    body.push(b'[');
    for view in views {
        if body.len() > 1 {
            body.push(b',');
        }
        serde_json::to_writer(&mut body, &view)
            .expect("views are structs of numbers and text, and writing to memory cannot fail");
        if body.len() - written >= PART_BYTES {
            written = body.len();
            yield_now().await;
        }
    }
    body.push(b']');
    body
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Elements that all have the same value: the number of calls so far.
    #[derive(Default)]
    struct Counting {
        calls: AtomicU64,
        elements: usize,
    }

    impl Elements for Counting {
        fn of<'a>(&'a self, _: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
            let calls = 1 + self.calls.fetch_add(1, Ordering::Relaxed);
            std::iter::repeat_n(calls, self.elements)
        }
    }

    fn counting(elements: usize) -> Counting {
        Counting { elements, ..Counting::default() }
    }

    fn run<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
    }

    #[test]
    fn a_body_is_written_once_per_report_and_shared_by_all_requests() {
        let report = Published::new(Report::default());
        let (body, elements) = (ResponseCache::default(), counting(3));
        let ask = || run(body.array(&report, &elements));
        let first = ask();
        assert_eq!(first, "[1,1,1]");
        assert_eq!(ask().as_ptr(), first.as_ptr(), "both requests get the same allocation");
        report.publish(Report::default());
        assert_eq!(ask(), "[2,2,2]", "a new report gets a new body even if it is equal");
        assert_eq!(ask(), "[2,2,2]");
    }

    #[test]
    fn other_requests_wait_while_a_body_is_written_but_other_tasks_run() {
        let report = Published::new(Report::default());
        let (body, elements) = (ResponseCache::default(), counting(4 * PART_BYTES));
        run(async {
            let mut yields = 0;
            let others = async {
                while body.0.try_lock().is_err() {
                    yields += 1;
                    yield_now().await;
                }
            };
            let ((first, second), ()) =
                both(both(body.array(&report, &elements), body.array(&report, &elements)), others).await;
            assert_eq!(first.as_ptr(), second.as_ptr());
            assert!(yields >= 4, "other tasks run between the parts: {yields} yields");
        });
        assert_eq!(elements.calls.into_inner(), 1);
    }

    /// Polls both futures in turn until both are ready.
    async fn both<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
        let (mut a, mut b) = (Box::pin(a), Box::pin(b));
        let (mut of_a, mut of_b) = (None, None);
        std::future::poll_fn(|cx| {
            if of_a.is_none()
                && let std::task::Poll::Ready(result) = a.as_mut().poll(cx)
            {
                of_a = Some(result);
            }
            if of_b.is_none()
                && let std::task::Poll::Ready(result) = b.as_mut().poll(cx)
            {
                of_b = Some(result);
            }
            match (of_a.take(), of_b.take()) {
                (Some(a), Some(b)) => std::task::Poll::Ready((a, b)),
                (a, b) => {
                    (of_a, of_b) = (a, b);
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }

    #[test]
    fn slow_readers_hold_no_more_than_three_bodies() {
        let report = Published::new(Report::default());
        let (body, elements) = (ResponseCache::default(), counting(1));
        let ask = || {
            report.publish(Report::default());
            run(body.array(&report, &elements))
        };
        let mut slow: Vec<Bytes> = (0..100).map(|_| ask()).collect();
        assert_eq!(slow[0], "[1]");
        assert_eq!(slow[99], "[3]", "the latest body is shared while two older ones are held");
        let (body_again, is_current) = run(body.array_and_whether_current(&report, &elements));
        assert_eq!((body_again, is_current), (Bytes::from("[3]"), false));
        slow.remove(0);
        assert_eq!(ask(), "[4]", "a new body is written once an older one is released");
        slow.clear();
        assert_eq!((ask(), ask()), ("[5]".into(), "[6]".into()));
    }

    #[test]
    fn the_cache_does_not_keep_an_old_report_alive() {
        let report = Published::new(Report::default());
        let body = ResponseCache::default();
        run(body.array(&report, &counting(1)));
        let old = Arc::downgrade(&report.read());
        report.publish(Report::default());
        assert!(old.upgrade().is_none());
    }
}
