//! A bounded queue of decisions that wait until every worker has handed over past a moment.

use std::collections::VecDeque;

use crate::time::Moment;

/// Items that wait until everything that workers saw up to their moment is folded; that moment is then settled.
#[derive(Debug)]
pub(in crate::flow) struct DelayQueue<T> {
    items: VecDeque<(Moment, T)>,
    items_max: usize,
}

/// Maximum number of items for which an empty queue keeps memory.
const KEPT: usize = 4096;

impl<T> DelayQueue<T> {
    pub(in crate::flow) fn new(items_max: usize) -> Self {
        Self { items: VecDeque::new(), items_max }
    }

    /// Appends an item that waits until `by` is settled. Returns false, and drops the item, if the queue is full.
    pub(in crate::flow) fn add(&mut self, by: Moment, item: T) -> bool {
        let has_room = self.items.len() < self.items_max;
        if has_room {
            self.items.push_back((by, item));
        }
        has_room
    }

    /// Moves the next settled items, at most `items_max`, into `taken`, which is cleared first.
    pub(in crate::flow) fn take_settled(&mut self, settled: Moment, items_max: usize, taken: &mut Vec<T>) {
        taken.clear();
        taken.extend(std::iter::from_fn(|| self.next_settled(settled)).take(items_max));
    }

    /// Removes and returns the first item if its moment is settled; otherwise returns `None`. A later item waits for
    /// the first one even if its own moment is earlier.
    pub(in crate::flow) fn next_settled(&mut self, settled: Moment) -> Option<T> {
        let item = self.items.pop_front_if(|(by, _)| *by <= settled).map(|(_, item)| item);
        if self.items.is_empty() && self.items.capacity() > KEPT {
            // The memory that a flood needed is freed.
            self.items = VecDeque::new();
        }
        item
    }

    pub(in crate::flow) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_when_they_are_settled_and_in_order() {
        let mut waiting = DelayQueue::new(2);
        assert!(waiting.add(Moment(10), 'a') && waiting.add(Moment(5), 'b'));
        assert!(!waiting.add(Moment(20), 'c'), "there is room for two");
        assert_eq!(waiting.next_settled(Moment(9)), None);
        assert_eq!(
            (waiting.next_settled(Moment(10)), waiting.next_settled(Moment(10))),
            (Some('a'), Some('b'))
        );
        assert!(waiting.is_empty());
    }
}
