//! Bodies that are written once for a report and shared by everybody who asks while that report is current.
//!
//! A reader holds a body and never the report, for as long as it takes to read it. So that slow readers do not hold one
//! body of each report among them, no further one is written while two older ones are read: until one of those readers
//! is done or cut ([`Bounds::answer_timeout`](super::Bounds)), whoever asks gets the latest body that there is.

use std::sync::{Arc, Weak};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::Mutex;
use tokio::task::yield_now;

use crate::flow::Published;
use crate::report::Report;

/// Bodies that are still read besides the latest: with the one that is being written, there are three.
const OLDER_MAX: usize = 1;

/// Bytes that are written before others have their turn: one thread answers everybody.
const PART_BYTES: usize = 128 * 1024;

/// What an array of JSON is made of.
pub(super) trait Elements: Sync {
    /// The elements of a report, in order.
    fn of<'a>(&'a self, report: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send;
}

/// The array of the current report.
#[derive(Debug, Default)]
pub(super) struct ResponseCache(Mutex<CachedResponse>);

#[derive(Debug, Default)]
struct CachedResponse {
    /// It keeps the address from being used again without keeping the report alive, so equal addresses are the same
    /// report.
    report: Weak<Report>,
    body: Bytes,
    /// Lives as long as anybody has the body.
    life: Weak<()>,
    /// Of the bodies before.
    older: Vec<Weak<()>>,
}

/// A body that ends a life when the last who had it lets go.
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
    /// The body. The first who asks writes it, and those who ask meanwhile wait for that.
    pub(super) async fn array(&self, report: &Published<Report>, elements: &impl Elements) -> Bytes {
        let mut held = self.0.lock().await;
        let report = report.read();
        let is_of_this = std::ptr::eq(held.report.as_ptr(), Arc::as_ptr(&report));
        if is_of_this || !held.has_room() {
            return held.body.clone();
        }
        let bytes = write(elements.of(&report), held.body.len()).await;
        held.take(Arc::downgrade(&report), bytes);
        held.body.clone()
    }
}

impl CachedResponse {
    /// Whether a further body may be written.
    fn has_room(&mut self) -> bool {
        self.older.retain(|life| life.strong_count() > 0);
        self.older.len() <= OLDER_MAX
    }

    fn take(&mut self, report: Weak<Report>, bytes: Vec<u8>) {
        let life = Arc::new(());
        self.older.push(std::mem::replace(&mut self.life, Arc::downgrade(&life)));
        self.body = Bytes::from_owner(CachedBody { bytes, _life: life });
        self.report = report;
    }
}

/// Writes an array, and lets others have their turn in between. The views are copied one at a time, so that a large
/// report never exists twice.
async fn write(views: impl Iterator<Item: Serialize + Send>, about_bytes: usize) -> Vec<u8> {
    // The next one is about as long as the last.
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

    /// Says how many times it was asked, so many times.
    #[derive(Default)]
    struct Counting {
        asked: AtomicU64,
        elements: usize,
    }

    impl Elements for Counting {
        fn of<'a>(&'a self, _: &'a Report) -> impl Iterator<Item: Serialize + Send> + Send {
            let asked = 1 + self.asked.fetch_add(1, Ordering::Relaxed);
            std::iter::repeat_n(asked, self.elements)
        }
    }

    fn counting(elements: usize) -> Counting {
        Counting { elements, ..Counting::default() }
    }

    fn run<T>(task: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(task)
    }

    #[test]
    fn a_body_is_written_once_per_report_and_is_one_for_all() {
        let report = Published::new(Report::default());
        let (body, elements) = (ResponseCache::default(), counting(3));
        let ask = || run(body.array(&report, &elements));
        let first = ask();
        assert_eq!(first, "[1,1,1]");
        assert_eq!(ask().as_ptr(), first.as_ptr(), "the same bytes, not equal ones");
        report.publish(Report::default());
        assert_eq!(ask(), "[2,2,2]", "an equal report that is another one");
        assert_eq!(ask(), "[2,2,2]");
    }

    #[test]
    fn whoever_asks_while_it_is_written_waits_for_it_and_others_have_their_turn() {
        let report = Published::new(Report::default());
        let (body, elements) = (ResponseCache::default(), counting(4 * PART_BYTES));
        run(async {
            let mut turns = 0;
            let others = async {
                while body.0.try_lock().is_err() {
                    turns += 1;
                    yield_now().await;
                }
            };
            let ((first, second), ()) =
                both(both(body.array(&report, &elements), body.array(&report, &elements)), others).await;
            assert_eq!(first.as_ptr(), second.as_ptr());
            assert!(turns >= 4, "{turns} turns");
        });
        assert_eq!(elements.asked.into_inner(), 1);
    }

    /// Polls both in turn until both are done.
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
        assert_eq!(slow[99], "[3]", "the latest one that there is");
        slow.remove(0);
        assert_eq!(ask(), "[4]", "one of them is done");
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
