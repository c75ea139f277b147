//! What cannot be told before every worker has handed over: a bounded queue.

use std::collections::VecDeque;

use crate::time::Moment;

/// Items that wait until everything seen up to a moment is folded.
#[derive(Debug)]
pub(super) struct DelayQueue<T> {
    items: VecDeque<(Moment, T)>,
    items_max: usize,
}

/// Room that an empty queue keeps.
const KEPT: usize = 4096;

impl<T> DelayQueue<T> {
    pub(super) fn new(items_max: usize) -> Self {
        Self { items: VecDeque::new(), items_max }
    }

    /// Lets an item wait until what was seen by then is settled. False without room.
    pub(super) fn add(&mut self, by: Moment, item: T) -> bool {
        let has_room = self.items.len() < self.items_max;
        if has_room {
            self.items.push_back((by, item));
        }
        has_room
    }

    /// The next items that are settled, at most `items_max` of them.
    pub(super) fn take_settled(&mut self, settled: Moment, items_max: usize, taken: &mut Vec<T>) {
        taken.clear();
        taken.extend(std::iter::from_fn(|| self.next_settled(settled)).take(items_max));
    }

    /// The next item that is settled. One that came later waits behind it, even where its moment is earlier.
    pub(super) fn next_settled(&mut self, settled: Moment) -> Option<T> {
        let item = self.items.pop_front_if(|(by, _)| *by <= settled).map(|(_, item)| item);
        if self.items.is_empty() && self.items.capacity() > KEPT {
            // The memory of a flood is not kept.
            self.items = VecDeque::new();
        }
        item
    }

    pub(super) fn is_empty(&self) -> bool {
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
