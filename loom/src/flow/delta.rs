//! A delta that keeps the numbers of its packets, and with each access tells loom of it.

use loom::cell::UnsafeCell;

use crate::time::Moment;

/// Stands for the program's `Delta`.
///
/// Every method reads or writes `access` besides the fields. Where two threads do so and neither access happens before
/// the other, loom fails the model: that is the data race that the fields themselves would have.
#[derive(Debug)]
pub struct Delta {
    /// Tells one delta from another.
    pub number: usize,
    /// When it was handed over.
    pub handed_over_at: Moment,
    packets: Vec<usize>,
    is_closed: bool,
    access: UnsafeCell<()>,
}

impl Delta {
    /// An empty delta.
    pub fn new(number: usize) -> Self {
        let access = UnsafeCell::new(());
        Self { number, handed_over_at: Moment::default(), packets: Vec::new(), is_closed: true, access }
    }

    /// Counts a packet, which is missing until the delta is closed.
    pub fn count(&mut self, packet: usize) {
        self.write();
        self.packets.push(packet);
        self.is_closed = false;
    }

    /// Puts what was counted where readers find it.
    pub fn close(&mut self) {
        self.write();
        self.is_closed = true;
    }

    /// Returns true if nothing that was counted is missing.
    pub fn is_closed(&self) -> bool {
        self.read();
        self.is_closed
    }

    /// The packets, in the order in which they were counted.
    pub fn packets(&self) -> &[usize] {
        self.read();
        &self.packets
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.write();
        self.packets.clear();
        self.handed_over_at = Moment::default();
        self.is_closed = true;
    }

    #[track_caller]
    fn write(&mut self) {
        self.access.with_mut(|_| ());
    }

    #[track_caller]
    fn read(&self) {
        self.access.with(|_| ());
    }
}
